"""CAT-BoN: z-scores weighted by how likely a rank is to win among N.

Defined for any N, also beyond M, without a model of the tail: with N much larger than M nearly all
weight is on the winner, so it optimises about best-of-M whatever N is. Source: CAT-BoN.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from array_api_compat import device

from bontea._arrays import Array, GroupTooSmallError, check_n, from_top, per_group
from bontea.advantages._ranks import best_first, first_and_last_of_run, unsort
from bontea.advantages.grpo import z_scores

CLIP = 5.0
"""z-scores are clipped to this range on both sides."""


def cat_bon(rewards: Any, *, n: float) -> Array:
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
        x, order = best_first(from_top(r, xp), xp)
        # Ascending ranks: with `last` the worst rank of its run of ties, m - 1 - last are below.
        below = (m - 1) - first_and_last_of_run(x, xp)[1]
        log_q = xp.log(xp.astype(below + 1, r.dtype)) - xp.log(
            xp.asarray(float(m + 1), dtype=r.dtype, device=device(r))
        )
        # Relative to the largest weight: q^(N-1) underflows for large N, the ratio does not.
        log_w = (n - 1) * log_q
        w = xp.exp(log_w - xp.max(log_w, axis=-1, keepdims=True))
        w = w / xp.mean(w, axis=-1, keepdims=True)
        return z * unsort(w, order, xp)

    return per_group(rewards, kernel)
