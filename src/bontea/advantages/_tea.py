"""TEA, the tail-extrapolated advantage: best-of-N from M << N rollouts, as a plug-in.

Assumes that the rewards of a prompt are normal above their upper `alpha` quantile (nothing about
the rest). Then V_N is the tail mean plus a known multiple of the tail standard deviation, and TEA
is the policy gradient of that sum with the tail statistics estimated from the group. Its bias is of
order 1/M: with 16 rollouts and N = 128 it really optimises about best-of-23. A group whose tail
rewards are all equal gets zeros.
"""

from __future__ import annotations

import math
import warnings
from types import ModuleType
from typing import TYPE_CHECKING

from bontea._arrays import Array, check_alpha, check_n, group_mean, group_rms, per_group
from bontea._numbers import number, typed
from bontea.advantages._reinforce import centred
from bontea.tails.fit import require_tail
from bontea.tails.normal import tail_coefficient

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


SD_FLOOR = 1e-6
"""The tail standard deviation is never taken below this share of the group's range."""


def coefficient(n: float, k: int, m: int) -> float:
    """`ct_N` at the tail fraction really used, `k/m`; warns when N is too small for that tail."""
    ct = tail_coefficient(n, k / m)
    if ct < 0:
        warnings.warn(
            f"n={typed(n)} is too small for a tail of {k} in {m} rollouts: best-of-{number(n)} "
            "lies below the mean of that tail, and the extrapolation would narrow it. Use a "
            "larger tail fraction, or max_at_k(rewards, k=n), which is unbiased for n < M",
            stacklevel=2,
        )
    return ct


def tail_form(r: Array, k: int, scale: float, ct: float, xp: ModuleType) -> Array:
    """`scale 1{R >= r} [(R - r) + ct/(2 sd) ((R - mu)^2 - (r - mu)^2)]` of groups `(P, m)`.

    r, mu and sd are the threshold, mean and standard deviation of the k largest rewards. sd is at
    least SD_FLOOR of the group's range; equal tail rewards get 0, whatever it is.
    """
    m = r.shape[-1]
    ordered = xp.sort(r, axis=-1, stable=False)
    threshold = ordered[:, m - k : m - k + 1]
    tail = ordered[:, m - k :] - threshold
    mean = group_mean(tail, xp)
    span = ordered[:, -1:] - ordered[:, :1]
    span = xp.where(span > 0, span, xp.ones_like(span))
    # In units of the span, squares neither overflow nor vanish, whatever the unit of the rewards.
    u = (tail - mean) / span
    sd = group_rms(u, xp)
    sd = span * xp.where(sd > SD_FLOOR, sd, xp.full_like(sd, SD_FLOOR))
    width = sd * (2 / ct if ct else math.inf)
    # With e = R - r: e^2/width + e (1 - 2 (mu - r)/width), which keeps its digits at e = 0.
    excess = r - threshold
    excess = xp.maximum(excess, xp.zeros_like(excess[:1, :1]))
    return excess * (excess / (width / scale) + (scale - 2 * scale * (mean / width)))


def tea(
    rewards: Float[ArrayLike, "*P M"], *, n: float, alpha: float = 0.25, center: bool = True
) -> Float[Array, "*P M"]:
    """Tail-extrapolated advantage, `(*P, M) -> (*P, M)`, in the units of the rewards.

    With `k = ceil(alpha M)`, the tail the k largest rewards, `r` the k-th largest, `mu` and `sd`
    the mean and standard deviation (ddof = 0) of the tail, and `ct_N = tail_coefficient(n, k/M)`:

        A_i = (M/k) 1{R_i >= r} [ (R_i - r) + ct_N/(2 sd) ((R_i - mu)^2 - (r - mu)^2) ]

    minus the group mean of A when `center` is true. Mean convention: the policy gradient estimate
    of a prompt is `(1/M) sum_i A_i grad log pi(y_i)`.

    Parameters
    ----------
    rewards
        `(*P, M)`: prompts, then rollouts. NaN is a missing rollout: it gets 0 and its group is
        treated as one smaller.
    n
        Deployment budget N, any real number of at least 1, usually much larger than M.
    alpha
        Tail fraction. Smaller assumes less about the rewards, larger is less noisy.
    center
        Subtract the group mean of A. This changes no expectation that matters and lowers variance.

    Notes
    -----
    The boundary rollout gets exactly 0 before centring, so equal rewards get equal advantages. A
    constant group, or equal tail rewards, get zeros. `sd` is never taken below 1e-6 of the group's
    range (a numerical guard: `A` is bounded by `(M/k) (R_max - r) (1 + ct_N sqrt(k))` in any case).

    Raises
    ------
    GroupTooSmallError
        In every group `ceil(alpha M) < 3`: at k = 2 the formula is "winner minus runner-up"
        whatever N is.
    ValueError
        n < 1, alpha outside (0, 1], infinite rewards.

    Source: Li, Qian, Mou 2026 (arXiv 2605.10716), TEA. The paper leaves open whether a baseline is
    subtracted; centring, and evaluating `ct_N` at k/M, are our choices.

    >>> a = tea([[0.1, 0.4, -0.3, 1.9, 0.2, 1.1, -1.0, 0.8, 0.3, -0.2, 0.6, 0.5]], n=128)
    >>> a.round(2).tolist()[0][3:6]  # the best rollout, one of the body, the runner-up
    [6.07, -0.46, -1.46]
    """
    n, alpha = check_n(n), check_alpha(alpha)

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        k = require_tail(m, alpha)
        a = tail_form(r, k, m / k, coefficient(n, k, m), xp)
        return centred(a, xp) if center else a

    return per_group(rewards, kernel, in_blocks=True)
