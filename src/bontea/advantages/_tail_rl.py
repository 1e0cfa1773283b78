"""TailRL: every gap between neighbouring rewards is shared by the rollouts above it.

A gap that few rollouts passed counts more, so the upper tail weighs more than in the mean; on 0/1
rewards it is MaxRL. Source: TailRL.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from bontea._arrays import Array, per_group
from bontea.advantages._ranks import RankSums

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


@lru_cache(maxsize=256)
def _gap_sums(m: int) -> RankSums:
    """Best first, rank j lies between a gap that is shared by j rollouts and one by j + 1."""
    share = m / np.arange(1, m + 1)  # of each in the gap below rank j
    own = np.append(0.0, share[:-1])
    below = own - share
    return RankSums(own, below, (own + below * np.arange(m - 1, -1, -1)) / m)


def tail_rl(rewards: Float[ArrayLike, "*P M"]) -> Float[Array, "*P M"]:
    """TailRL advantage, `(*P, M) -> (*P, M)`, in the units of the rewards.

        A_(i) = M sum_{j=2..i} g_j / (M - j + 1),   g_j = R_(j) - R_(j-1), ascending

    minus the group mean. `M - j + 1` rollouts lie above gap j. Mean convention: the policy gradient
    estimate of a prompt is `(1/M) sum_i A_i grad log pi(y_i)`.

    Equal rewards get equal advantages, a constant group zeros; NaN is a missing rollout and gets 0;
    infinite rewards raise ValueError. Source: TailRL.

    >>> tail_rl([[0.0, 1.0, 3.0]]).round(9).tolist()
    [[-3.0, -1.5, 4.5]]
    """

    def kernel(r: Array, xp: ModuleType) -> Array:
        return _gap_sums(r.shape[-1])(r, xp)

    return per_group(rewards, kernel, in_blocks=True)
