"""max@k: the unbiased, centred policy gradient of best-of-k, for k <= M - 1.

Needs no model of the rewards, so it is the opponent every tail extrapolation has to beat, and the
safe choice where a tail model cannot be trusted. It cannot look beyond M: with 16 rollouts it
optimises at most best-of-15.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from bontea._arrays import Array, check_k, per_group
from bontea._errors import GroupTooSmallError
from bontea.advantages._ranks import RankSums

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


@lru_cache(maxsize=256)
def subset_weights(m: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """How often a rank, best first, is the maximum of a random k-subset.

    First: of the subsets that contain rank j, the share whose maximum is j,
    `C(m-j, k-1) / C(m-1, k-1)` with j = 1 the best. Second: of the subsets that contain a given
    *worse* rank, the share whose maximum is j, `C(m-j-1, k-2) / C(m-1, k-1)`. By ratios of
    neighbours: binomials such as C(4095, 1023) do not fit a float.
    """
    j = np.arange(1, m)
    own = np.cumprod(np.concatenate([[1.0], np.maximum(m - j - (k - 1), 0) / (m - j)]))
    below = np.append(own[:-1] * (k - 1) / (m - j), 0.0)
    return own, below


@lru_cache(maxsize=256)
def _subset_sums(m: int, k: int, scale: float) -> RankSums:
    own, below = subset_weights(m, k)
    return RankSums(scale * own, scale * below, np.zeros(m))


def subset_max_means(r: Array, k: int, xp: ModuleType, scale: float = 1.0) -> Array:
    """`scale q_i`, q_i the mean over all k-subsets that contain i of their maximum, `(P, m)`."""
    return _subset_sums(r.shape[-1], k, scale)(r, xp, level=scale)


@lru_cache(maxsize=256)
def _max_at_k_sums(m: int, k: int) -> RankSums:
    own, below = subset_weights(m, k)
    scale = k / (1 - k / m)
    # The mean of q has weight own k/m on a rank: the chance that it is the maximum of a subset.
    return RankSums(scale * own, scale * below, scale * k / m * own)


def max_at_k(rewards: Float[ArrayLike, "*P M"], *, k: int) -> Float[Array, "*P M"]:
    """Unbiased, centred max@k advantage, `(*P, M) -> (*P, M)`, in the units of the rewards.

        A_i = k (q_i - v^(-i)),

    with `q_i` the mean of the maximum over all k-subsets that contain rollout i and `v^(-i)` the
    same over all k-subsets that do not. Since `v = (k/M) q_i + (1 - k/M) v^(-i)` for the mean `v`
    over all subsets, this equals `k/(1 - k/M) (q_i - mean(q))`, which is how it is computed, by one
    sort.

    Mean convention: the policy gradient estimate of a prompt is `(1/M) sum_i A_i grad log pi(y_i)`.

    Its expectation is exactly the gradient of E[max of k]; `k = 1` is `rloo`. The advantages of a
    group sum to zero; equal rewards get equal advantages, a constant group zeros; NaN is a missing
    rollout and gets 0. Numerically safe at M = 4096, k = 2048.

    Raises
    ------
    GroupTooSmallError
        No group has k + 1 rewards.
    ValueError
        k is not a whole number of at least 1; infinite rewards.

    Sources: Walder & Karkhanis 2025 (arXiv 2505.15201) and Bagirov et al. 2025 for max@k over all
    subsets; OrderGrad for this centring.

    >>> max_at_k([[0.0, 1.0, 3.0]], k=2).round(9).tolist()  # subsets {0,1}, {0,3}, {1,3}
    [[-2.0, -2.0, 4.0]]
    """
    k = check_k(k)

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        if m < k + 1:
            raise GroupTooSmallError(
                f"max_at_k with k={k} needs at least {k + 1} rollouts per prompt, got {m}: use "
                f"k <= {m - 1}" + ("" if m > 1 else ", which takes at least 2 rollouts")
            )
        return _max_at_k_sums(m, k)(r, xp)

    return per_group(rewards, kernel, in_blocks=True)
