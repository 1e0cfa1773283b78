"""Gaussian plug-in: the gradient of `mean + c_N sd`, from all rollouts of the group.

Right only if the whole law of the rewards is normal. It has the least noise of the extrapolating
estimators, and pays for *bad* outliers as much as for good ones: a policy can learn to be wide
instead of good. `tea` with alpha = 1 is the same up to terms that centring removes.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from bontea._arrays import Array, check_n, per_group
from bontea.advantages._grpo import deviations
from bontea.tails.normal import expected_max

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


def gaussian_plug_in(rewards: Float[ArrayLike, "*P M"], *, n: float) -> Float[Array, "*P M"]:
    """Gradient of `mean + c_N sd` by plug-in, `(*P, M) -> (*P, M)`, in the units of the rewards.

        A_i = (R_i - mean) + c_N/(2 sd) ((R_i - mean)^2 - sd^2),   sd with ddof = 0

    Mean convention: the policy gradient estimate of a prompt is `(1/M) sum_i A_i grad log pi(y_i)`.

    Sums to zero. Assumes that the whole law of the rewards is normal. Equal rewards get equal
    advantages; a constant group or a group of one gets zeros; NaN is a missing rollout and gets 0.
    Raises ValueError for n < 1 or infinite rewards.

    >>> gaussian_plug_in([[-1.0, 0.0, 1.0]], n=1).tolist()
    [[-1.0, 0.0, 1.0]]
    """
    c = expected_max(check_n(n))

    def kernel(r: Array, xp: ModuleType) -> Array:
        u, sd, unit = deviations(r, xp)
        inverse = 1 / xp.where(sd > 0, sd, xp.ones_like(sd))
        return unit * (u * (1 + (c / 2 * inverse) * u) - (c / 2) * sd)

    return per_group(rewards, kernel, in_blocks=True)
