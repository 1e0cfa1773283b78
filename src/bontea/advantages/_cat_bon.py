"""CAT-BoN: z-scores weighted by how likely a rank is to win among N.

Defined for any N, also beyond M, without a model of the tail: with N much larger than M nearly all
weight is on the winner, so it optimises about best-of-M whatever N is. Source: CAT-BoN.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from bontea._arrays import Array, check_n, constant, group_mean, per_group
from bontea._errors import GroupTooSmallError
from bontea.advantages._grpo import z_scores
from bontea.advantages._ranks import (
    NEGLIGIBLE,
    any_ties,
    best_first,
    first_and_last_of_run,
    unsort,
)

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


CLIP = 5.0
"""z-scores are clipped to this range on both sides."""


def cat_bon(rewards: Float[ArrayLike, "*P M"], *, n: float) -> Float[Array, "*P M"]:
    """CAT-BoN advantage, `(*P, M) -> (*P, M)`, without units.

        A_i = clip(z_i, -5, 5) w_i / mean(w),   w_i = N q_i^(N-1),
        z_i = (R_i - mean(R)) / std(R) (ddof = 1),   q_i = (#{R_j < R_i} + 1) / (M + 1)

    Mean convention: the policy gradient estimate of a prompt is `(1/M) sum_i A_i grad log pi(y_i)`.

    Shift- and scale-invariant, not centred. Equal rewards get equal advantages; a constant group
    gets zeros; NaN is a missing rollout and gets 0. Raises GroupTooSmallError when no group has two
    rewards, ValueError for n < 1 or infinite rewards. Source: CAT-BoN.

    >>> cat_bon([[0.0, 1.0, 2.0]], n=2).round(3).tolist()
    [[-0.5, 0.0, 1.5]]
    """
    n = check_n(n)

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        if m < 2:
            raise GroupTooSmallError("cat_bon needs at least 2 rollouts per prompt, got 1")
        z = xp.clip(z_scores(r, 0.0, xp), -CLIP, CLIP)
        # By rank, best first, in units of the best: q^(N-1) underflows for large N, this does not.
        log_w = (n - 1) * np.log1p(-np.arange(m) / m)
        count = int((log_w > math.log(NEGLIGIBLE)).sum())
        best, order = best_first(r, xp, count + 1)
        if any_ties(best, xp):
            best, order = best_first(r, xp)
            # Tied rewards have the rank of the last of them: those from there on are not better.
            last = first_and_last_of_run(best, xp)[1]
            log_w = xp.take(constant(log_w, r, xp), xp.reshape(last, (-1,)), axis=0)
            log_w = xp.reshape(log_w, r.shape)
            w = xp.exp(log_w - log_w[:, :1])
            w = w * xp.astype(w > NEGLIGIBLE, w.dtype)
            w = w / group_mean(w, xp)
        else:
            w = np.exp(log_w[:count])
            w = xp.broadcast_to(constant(w * (m / w.sum()), r, xp), (r.shape[0], count))
        return z * unsort(w, order[:, : w.shape[-1]], xp, m)

    return per_group(rewards, kernel, in_blocks=True)
