"""Analytic pass@k advantage for 0/1 rewards: max@k in units of the spread of pass@k.

Source: Chen et al. 2025 (pass@k training).
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from bontea._arrays import Array, check_k, per_group, require_binary
from bontea._errors import GroupTooSmallError
from bontea.advantages._max_at_k import subset_weights
from bontea.advantages._pass_at_n import by_successes

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


def pass_at_k(rewards: Float[ArrayLike, "*P M"], *, k: int) -> Float[Array, "*P M"]:
    """Analytic pass@k advantage of 0/1 rewards, `(*P, M) -> (*P, M)`, without units.

        A_i = (q_i - v) / sqrt(v (1 - v)),

    with `q_i` the share of the k-subsets containing i that hold a success and `v` the share of all
    k-subsets that do. Mean convention: the policy gradient estimate of a prompt is
    `(1/M) sum_i A_i grad log pi(y_i)`.

    Zeros where v is 0 or 1 (all fail; or so many pass that every k-subset does). NaN is a missing
    rollout and gets 0. For k > M no unbiased form exists (Walder & Karkhanis 2025, Cor. 2).

    Raises GroupTooSmallError when no group has k rewards; ValueError for k < 1 or for a reward that
    is neither 0 nor 1. Source: Chen et al. 2025.

    >>> pass_at_k([[0, 0, 1, 0]], k=2).round(3).tolist()
    [[-0.333, -0.333, 1.0, -0.333]]
    """
    k = check_k(k)

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        require_binary(r, "pass_at_k", xp)
        if m < k:
            raise GroupTooSmallError(
                f"pass_at_k with k={k} needs at least {k} rollouts per prompt, got {m}: use "
                f"k <= {m}"
            )
        return by_successes(r, *_advantages(m, k), xp)

    return per_group(rewards, kernel, in_blocks=True)


@lru_cache(maxsize=256)
def _advantages(m: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Advantage of a success and of a failure, by the number of successes in the group, 0 to m.

    With s the share of successes and f that of the k-subsets containing a failure that hold no
    success, q is 1 and 1 - f, and v = 1 - (1 - s) f.
    """
    s = np.arange(m + 1) / m
    # After s m successes, the next rank is a failure, and `own` is how often it is the maximum.
    f = np.append(subset_weights(m, k)[0], 0.0)
    certain = (s == 0) | (f == 0)
    v = np.where(certain, 1.0, 1 - (1 - s) * f)
    spread = np.where(certain, 1.0, np.sqrt(v * (1 - s) * f))
    return (1 - s) * f / spread * ~certain, -s * f / spread * ~certain
