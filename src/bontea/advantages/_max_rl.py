"""MaxRL: the centred reward in units of the group's mean, for non-negative rewards.

On 0/1 rewards its expectation is the gradient of the log of the pass rate as M grows: rare
successes count more. Source: MaxRL (maximum likelihood reinforcement learning).
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from bontea._arrays import Array, from_top, is_traced, per_group
from bontea._errors import BonteaError
from bontea._numbers import number
from bontea.advantages._reinforce import centred

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


def max_rl(rewards: Float[ArrayLike, "*P M"]) -> Float[Array, "*P M"]:
    """MaxRL advantage of non-negative rewards, `(*P, M) -> (*P, M)`, without units.

        A_i = (R_i - mean(R)) / mean(R),   0 where mean(R) = 0

    Mean convention: the policy gradient estimate of a prompt is `(1/M) sum_i A_i grad log pi(y_i)`.

    Scale-invariant, not shift-invariant: it needs a reward whose zero means something. Equal
    rewards get zeros; NaN is a missing rollout and gets 0. Raises ValueError for a negative or
    infinite reward. Source: MaxRL; equals `tail_rl` on 0/1 rewards.

    >>> max_rl([[0.0, 0.0, 1.0, 1.0]]).tolist()
    [[-1.0, -1.0, 1.0, 1.0]]
    """

    def kernel(r: Array, xp: ModuleType) -> Array:
        if r.shape[0] and not is_traced(r) and bool(xp.min(r) < 0):
            raise BonteaError(
                f"max_rl needs non-negative rewards, got {number(float(xp.min(r)), 6)}: shift the "
                "reward so that its worst value is 0, or use an estimator that is shift-invariant"
            )
        # In units of the best reward, sums neither overflow nor vanish.
        top = xp.max(r, axis=-1, keepdims=True)
        unit = xp.where(top > 0, top, xp.ones_like(top))
        return centred(from_top(r, xp) / unit, xp) / xp.where(
            top > 0, xp.mean(r / unit, axis=-1, keepdims=True), xp.ones_like(top)
        )

    return per_group(rewards, kernel)
