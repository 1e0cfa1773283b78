"""Softmax tilt: the policy gradient of a soft maximum, with a temperature that matches best-of-N.

With temperature `sd / c_N` the exponentially tilted policy of a normal reward has the mean of
best-of-N. One rollout takes nearly all weight when N is large. Source: exponential tilting as in
soft best-of-N; the match of temperature is ours.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import TYPE_CHECKING

from bontea._arrays import Array, check_n, from_top, group_mean, per_group
from bontea.advantages._grpo import deviations
from bontea.tails.normal import expected_max

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


NO_OVERFLOW = 80.0
"""Up to here, and down to minus this, the exponential is a float32 with all its digits."""


def softmax_tilt(rewards: Float[ArrayLike, "*P M"], *, n: float) -> Float[Array, "*P M"]:
    """Softmax advantage with the temperature of best-of-N, `(*P, M) -> (*P, M)`, without units.

        A_i = M softmax(R / tau)_i - 1,   tau = sd / c_N,   sd the group's (ddof = 0)

    Mean convention: the policy gradient estimate of a prompt is `(1/M) sum_i A_i grad log pi(y_i)`.

    Shift- and scale-invariant; sums to zero; between -1 and M - 1. Equal rewards get equal
    advantages; a constant group, a group of one, and n = 1 give zeros; NaN is a missing rollout and
    gets 0. Raises ValueError for n < 1 or infinite rewards.

    >>> softmax_tilt([[0.0, 0.0, 1.0]], n=128).round(2).tolist()
    [[-0.99, -0.99, 1.98]]
    """
    c = expected_max(check_n(n))

    def kernel(r: Array, xp: ModuleType) -> Array:
        u, sd, _ = deviations(r, xp)
        if c * math.sqrt(r.shape[-1]) > NO_OVERFLOW:  # z-scores are below sqrt(m)
            u = from_top(u, xp)
        w = xp.exp(u * (c / xp.where(sd > 0, sd, xp.ones_like(sd))))
        return w / group_mean(w, xp) - 1

    return per_group(rewards, kernel, in_blocks=True)
