"""GRPO: the centred reward in units of the group's standard deviation.

Optimises the mean reward, with prompts of small spread weighted up. Source: Shao et al. 2024
(DeepSeekMath, arXiv 2402.03300).
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import TYPE_CHECKING

from bontea._arrays import Array, from_first, group_mean, group_rms, per_group
from bontea._errors import BonteaError, GroupTooSmallError
from bontea.advantages._reinforce import centred

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


def grpo(rewards: Float[ArrayLike, "*P M"], *, eps: float = 1e-4) -> Float[Array, "*P M"]:
    """Group-relative advantage, `(*P, M) -> (*P, M)`, without units.

        A_i = (R_i - mean(R)) / (std(R) + eps),   std with ddof = 1

    Mean convention: the policy gradient estimate of a prompt is `(1/M) sum_i A_i grad log pi(y_i)`.

    `ddof = 1` and `eps = 1e-4` are what TRL and verl compute (verl: eps = 1e-6). `eps` is in the
    units of the rewards: the default belongs to rewards of about unit size, and rewards of size
    1e-4 or less get advantages that are smaller for it. With `eps=0` the unit does not matter.

    Equal rewards get
    zeros; NaN is a missing rollout and gets 0. Raises GroupTooSmallError when no group has two
    rewards, ValueError for infinite rewards or eps < 0.
    Source: Shao et al. 2024 (arXiv 2402.03300).

    >>> grpo([[1.0, 2.0, 3.0]], eps=0).round(9).tolist()
    [[-1.0, 0.0, 1.0]]
    """
    if not eps >= 0:
        raise BonteaError(f"eps={eps!r} must be at least 0")

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        if m < 2:
            raise GroupTooSmallError("grpo needs at least 2 rollouts per prompt, got 1")
        return z_scores(r, eps, xp)

    return per_group(rewards, kernel, in_blocks=True)


def z_scores(r: Array, eps: float, xp: ModuleType) -> Array:
    """`(R - mean) / (std + eps)` with ddof = 1 for groups `(P, m)`, m >= 2; 0 on constant ones."""
    m = r.shape[-1]
    u, sd, unit = deviations(r, xp)
    # A constant group has u = 0 everywhere: any divisor will do there, but not 0.
    unit = xp.where(unit > 0, unit, xp.ones_like(unit))
    sd = xp.where(sd > 0, sd * math.sqrt(m / (m - 1)), xp.ones_like(sd))
    return u / (sd + eps / unit)


def deviations(r: Array, xp: ModuleType) -> tuple[Array, Array, Array]:
    """Deviations from the group mean as `u * unit`, and their standard deviation as `sd * unit`.

    `unit` `(P, 1)` is the mean absolute deviation, in which squares neither overflow nor vanish:
    `sd` (ddof = 0) is at least 1. On a constant group all three are 0.
    """
    a = centred(from_first(r), xp)
    unit = group_mean(xp.abs(a), xp)
    u = a / xp.where(unit > 0, unit, xp.ones_like(unit))
    return u, group_rms(u, xp), unit
