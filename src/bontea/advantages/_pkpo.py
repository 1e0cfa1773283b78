"""PKPO: unbiased max@k without a baseline, `A_i = k q_i`, and its leave-one-out baseline.

`pkpo` is unbiased and noisy: without a baseline it moves with the offset of the rewards, so it is
neither shift-invariant nor zero on a constant group. `pkpo_loo` subtracts the best of k - 1 others,
which leaves the rollout's own contribution; `max_at_k` is the centred form with less noise.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING

from bontea._arrays import Array, check_k, per_group
from bontea._errors import BonteaError, GroupTooSmallError
from bontea.advantages._max_at_k import subset_max_means, subset_weights
from bontea.advantages._ranks import RankSums

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


def _require(m: int, k: int, name: str) -> None:
    if m < k:
        raise GroupTooSmallError(
            f"{name} with k={k} needs at least {k} rollouts per prompt, got {m}: use k <= {m}"
        )


def pkpo(rewards: Float[ArrayLike, "*P M"], *, k: int) -> Float[Array, "*P M"]:
    """PKPO max@k advantage without baseline, `(*P, M) -> (*P, M)`, in the units of the rewards.

        A_i = k q_i,   q_i = mean over all k-subsets that contain i of their maximum

    Mean convention: the policy gradient estimate of a prompt is `(1/M) sum_i A_i grad log pi(y_i)`
    (the paper uses the sum convention: its weights are `M` times smaller).

    Unbiased for the gradient of E[max of k], k <= M. Not shift-invariant; a constant group of value
    c gets k c everywhere. Minus its group mean it is `(1 - k/M)` times `max_at_k`. On 0/1 rewards
    it is pass@k. Equal rewards get equal advantages; NaN is a missing rollout and gets 0.

    Raises GroupTooSmallError when no group has k rewards; ValueError for k < 1 or infinite rewards.
    Source: Walder & Karkhanis 2025 (arXiv 2505.15201); Bagirov et al. 2025.

    >>> pkpo([[0.0, 1.0, 3.0]], k=2).round(9).tolist()
    [[4.0, 4.0, 6.0]]
    """
    k = check_k(k)

    def kernel(r: Array, xp: ModuleType) -> Array:
        _require(r.shape[-1], k, "pkpo")
        return subset_max_means(r, k, xp, scale=k)

    return per_group(rewards, kernel, in_blocks=True)


@lru_cache(maxsize=256)
def _loo_sums(m: int, k: int) -> RankSums:
    (own, below), (own_j, below_j) = subset_weights(m, k), subset_weights(m, k - 1)
    # v = (j/M) q_i + (1 - j/M) v^(-i) over j-subsets, j = k - 1, and v = (j/M) sum own R.
    odds = (k - 1) / (m - k + 1)
    return RankSums(k * (own + odds * own_j), k * (below + odds * below_j), k * odds * own_j)


def pkpo_loo(rewards: Float[ArrayLike, "*P M"], *, k: int) -> Float[Array, "*P M"]:
    """PKPO with the leave-one-out-minus-one baseline, `(*P, M) -> (*P, M)`, in reward units.

        A_i = k (q_i - v^(-i)),   v^(-i) = mean over all (k-1)-subsets without i of their maximum

    Mean convention: the policy gradient estimate of a prompt is `(1/M) sum_i A_i grad log pi(y_i)`.

    Unbiased for the gradient of E[max of k], 2 <= k <= M; negative by rounding only, so not
    centred. At k = M the winner gets `M` times its lead over the runner-up and the others 0 (Tang
    et al.). A constant group gets zeros; equal rewards get equal advantages; NaN is a missing
    rollout and gets 0.

    Raises GroupTooSmallError when no group has k rewards; ValueError for k < 2 or infinite rewards.
    Source: Walder & Karkhanis 2025 (arXiv 2505.15201); Tang et al. 2025 for k = M.

    >>> pkpo_loo([[0.0, 1.0, 3.0]], k=3).round(9).tolist()
    [[0.0, 0.0, 6.0]]
    """
    k = check_k(k)
    if k < 2:
        raise BonteaError("k=1 leaves the baseline of pkpo_loo no rollout: use k >= 2, or rloo")

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        _require(m, k, "pkpo_loo")
        return _loo_sums(m, k)(r, xp)

    return per_group(rewards, kernel, in_blocks=True)
