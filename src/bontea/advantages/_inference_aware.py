"""Inference-aware advantage of pass@N for 0/1 rewards: the plug-in of the group's failure rate.

With failure rate p, pass@N is `1 - p^N` and its gradient `N p^(N-1)` times the gradient of 1 - p:
the centred reward times a weight that is large for hard prompts. Here p is the failure rate of the
group itself. Needs no prior, but `p^(N-1)` of a rate measured on M rollouts means little for N far
beyond M: groups with one success get all the weight (`pass_at_n` shares it out). Groups that all
fail or all pass get zeros. Source: Chow et al. 2024 (arXiv 2412.15287).
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from bontea._arrays import Array, check_n, per_group, require_binary
from bontea.advantages._pass_at_n import by_successes

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


def inference_aware(
    rewards: Float[ArrayLike, "*P M"], *, n: float, center: bool = True
) -> Float[Array, "*P M"]:
    """Inference-aware pass@N advantage of 0/1 rewards, `(*P, M) -> (*P, M)`, in units of pass@N.

        A_i = N p^(N-1) (R_i - mean(R)),   p = 1 - mean(R) the failure rate of the group

    and with `center=False`, from which that is the group mean away,

        A_i = N p^(N-1) / (1-p)  where R_i = 1,   N p^N / (1-p)  where R_i = 0.

    Mean convention: the policy gradient estimate of a prompt is `(1/M) sum_i A_i grad log pi(y_i)`.

    The source weighs responses drawn by best-of-N: `g+ = N p^(N-1)/(1-p^N)` on winners and
    `g- = N p/(1-p)` on losers. Best-of-N draws a winner `(1-p^N)/(1-p)` times as often as the
    policy, a loser `p^(N-1)` times; multiplied, these are the weights above for the rollouts of
    the policy itself.

    Groups that all fail or all pass get zeros, in both forms: the raw weight has no limit as
    p -> 1, and carries no information there. Equal rewards get equal advantages; NaN is a missing
    rollout and gets 0. The plug-in is biased: p is measured on the rollouts it weighs, and
    `p^(N-1)` bends strongly where N is beyond M.

    Raises ValueError for n < 1 or a reward that is neither 0 nor 1. Source: Chow et al. 2024
    (arXiv 2412.15287); the plug-in, the centring and the zeros are ours.

    >>> inference_aware([[0, 0, 0, 1]], n=3).tolist()  # 3 (3/4)^2 = 27/16
    [[-0.421875, -0.421875, -0.421875, 1.265625]]
    """
    n = check_n(n)

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        require_binary(r, "inference_aware", xp)
        success = np.arange(m + 1) / m
        p = 1 - success
        weight = n * p ** (n - 1)
        if center:
            winner, loser = weight * p, weight * (p - 1)
        else:
            winner = weight / np.where(success > 0, success, 1.0)
            loser = winner * p
            winner[-1] = loser[0] = 0.0
        return by_successes(r, winner, loser, xp)

    return per_group(rewards, kernel)
