"""RLOO: REINFORCE with the mean of the *other* rollouts as baseline; unbiased for the mean reward.

Source: Kool et al. 2019; Ahmadian et al. 2024 (arXiv 2402.14740).
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from bontea._arrays import Array, from_first, per_group
from bontea._errors import GroupTooSmallError
from bontea.advantages._reinforce import centred

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


def rloo(rewards: Float[ArrayLike, "*P M"]) -> Float[Array, "*P M"]:
    """REINFORCE leave-one-out, `(*P, M) -> (*P, M)`, in the units of the rewards.

        A_i = R_i - mean of the other M-1 rewards = (R_i - mean(R)) M / (M-1)

    Mean convention: the policy gradient estimate of a prompt is `(1/M) sum_i A_i grad log pi(y_i)`.

    Unbiased for the gradient of the mean reward at every M >= 2. Equal rewards get zeros; NaN is a
    missing rollout and gets 0. Raises GroupTooSmallError when no group has two rewards, ValueError
    for infinite rewards. Source: Kool et al. 2019; Ahmadian et al. 2024 (arXiv 2402.14740).

    >>> rloo([[1.0, 2.0, 6.0]]).tolist()
    [[-3.0, -1.5, 4.5]]
    """
    return per_group(rewards, _rloo, in_blocks=True)


def _rloo(r: Array, xp: ModuleType) -> Array:
    m = r.shape[-1]
    if m < 2:
        raise GroupTooSmallError("rloo needs at least 2 rollouts per prompt, got 1")
    return centred(from_first(r), xp) * (m / (m - 1))
