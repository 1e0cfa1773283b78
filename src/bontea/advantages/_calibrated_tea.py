"""Calibrated TEA: TEA's two parts, weighted so that the expected gradient is exactly best-of-N's.

TEA adds the gradient of the tail mean (L) and `ct_N` times that of the tail standard deviation (Q).
Estimated from k of M rollouts, both are biased: TEA with 16 rollouts and N = 128 really optimises
about best-of-23. Under a normal upper tail the biases are known numbers, so two factors per
`(M, k, N)` remove them at every M, whatever the body of the distribution does. No rank enters but
the threshold's: the advantage is continuous in the rewards and ties need no rule. The price is
noise: `linear_tea` is exact under the same assumption with less. Equal tail rewards give zeros.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import count
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from bontea._arrays import Array, check_alpha, check_n, per_group
from bontea._errors import BonteaError
from bontea.advantages._reinforce import centred
from bontea.advantages._tea import tail_form
from bontea.tails.fit import require_tail
from bontea.tails.normal import expected_max, tail_constants

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


# Trapezoidal rules in r, t and w, see `expectations`: half these steps change the result by less
# than 1e-10. The step in w is fixed by the Gaussian exp(-w^2), the one in t by the strip
# |Im t| < pi/4 in which the integrand is analytic.
_THRESHOLDS, _T_STEP, _W_STEP = 64, 0.1, 0.6


@lru_cache(maxsize=512)
def expectations(m: int, k: int) -> np.ndarray:
    """What L and Q of `calibrated_tea` expect on m standard normal rewards, `(2, 3)`.

        rows L, Q;   columns E[(1/m) sum_i X_i S_i] for S = z and for S = z^2 - 1, E[mean X]

    Given the threshold r (the k-th best), the k - 1 better rewards are independent normals above r.
    With their excesses `x_l = z_l - r`, and `x_k = 0`, and mean and standard deviation of the k
    excesses `m_x` and sd,

        (1/m) sum_i L_i S_i = (1/k) sum_l x_l S(r + x_l)
        (1/m) sum_i Q_i S_i = (1/k) sum_l (x_l^2 - 2 x_l m_x) S(r + x_l) / (2 sd)
        1/sd = (2/pi) int_0^inf du int dw exp(-(1/k) sum_l (u x_l - w)^2)

    Given (r, u, w) all factors belong to one x_l each: what is left are moments of a normal
    variable above 0, and a sum over r, `u ~ sinh t` and w. Relative error about 1e-11 of the
    largest entry of a row, in 4 to 20 ms. Read-only float64. Raises ValueError unless 3 <= k <= m.
    """
    from scipy.special import betaincinv, log_ndtr, ndtri

    if not 3 <= k <= m:
        raise BonteaError(f"k={k} of m={m} rollouts: the tail needs at least 3 and at most all m")
    worst, best = ndtri(betaincinv(m - k + 1, k, 1e-15)), -ndtri(betaincinv(k, m - k + 1, 1e-15))
    r = np.linspace(worst, best, _THRESHOLDS)[:, None]
    log_p = (m - k) * log_ndtr(r) + (k - 1) * log_ndtr(-r) - r * r / 2
    p = np.exp(log_p - log_p.max())
    p /= p.sum()

    # L by parts: E[x (r + x)] = 1 and E[x ((r + x)^2 - 1)] = E[r + x], the inverse Mills ratio.
    mean = np.exp(-r * r / 2 - log_ndtr(-r)) / np.sqrt(2 * np.pi)
    linear = (k - 1) / k * np.array([1.0, (p * mean).sum(), (p * (mean - r)).sum()])

    scores = ((r, 1.0, 0.0), (r * r - 1, 2 * r, 1.0), (1.0, 0.0, 0.0))  # in powers of x
    quadratic = np.zeros(3)
    # The mean excess of k rewards is below `reach` but for a chance of exp(-32).
    reach = mean[0, 0] - worst + 8 / np.sqrt(k - 1)
    unit = 1 / tail_constants(k / m).std
    for j in count():
        t = j * _T_STEP
        u = unit * np.sinh(t)
        # Beyond these ends exp(-w^2/k), of the excess 0, or the Gaussian around u m_x has vanished.
        w = np.arange(-6.0, 6.0 + min(6 * np.sqrt(k), u * reach), _W_STEP)
        # exp(-(u x - w)^2 / k) phi(r + x) is, up to a factor, the density of tau times N(s, 1).
        tau = 1 / np.sqrt(1 + 2 * u * u / k)
        s = tau * (2 * u * w / k - r)
        log_above = log_ndtr(s)
        log_mass = (s * s - r * r) / 2 - w * w / k + np.log(tau) + log_above - log_ndtr(-r)
        e = [np.ones_like(s), s + np.exp(-s * s / 2 - log_above) / np.sqrt(2 * np.pi)]
        for power in range(2, 5):
            e.append(s * e[-1] + (power - 1) * e[-2])
        e = [tau**power * moment for power, moment in enumerate(e)]
        joint = p * np.exp((k - 1) * log_mass - w * w / k)
        term = np.empty(3)
        for column, score in enumerate(scores):
            once, twice = (sum(c * e[i + q] for i, c in enumerate(score)) for q in (1, 2))
            term[column] = (joint * ((1 - 2 / k) * twice - 2 * (k - 2) / k * e[1] * once)).sum()
        term *= unit * np.cosh(t) * (0.5 if j == 0 else 1.0)
        quadratic += term
        if np.abs(term).max() < 1e-12 * np.abs(quadratic).max():
            break
    quadratic *= (k - 1) / (2 * k) * (2 / np.pi) * _T_STEP * _W_STEP
    result = np.stack([linear, quadratic])
    result.setflags(write=False)
    return result


@lru_cache(maxsize=4096)
def calibration(m: int, k: int, n: float, center: bool) -> tuple[float, float]:
    """The factors `(a, b)` of L and Q for groups of m, a tail of k, and best-of-n.

    They solve, with the `expectations` of L and Q under a normal law,

        a E[L S_mu]    + b E[Q S_mu]    = 1
        a E[L S_sigma] + b E[Q S_sigma] = c_N

    With `center`, the group mean of A is to be subtracted, which takes `E[mean(A)] / m` off the
    second line (and nothing off the first). Raises ValueError unless 3 <= k <= m.

    >>> a, b = calibration(16, 4, 128, False)
    >>> round(a, 4), round(b / a, 3)  # in TEA: 1 and 2.692
    (1.7278, 4.871)
    """
    (l_mu, l_sigma, l_mean), (q_mu, q_sigma, q_mean) = expectations(m, k)
    lost = 1 / m if center else 0.0
    system = [[l_mu, q_mu], [l_sigma - lost * l_mean, q_sigma - lost * q_mean]]
    a, b = np.linalg.solve(system, [1.0, expected_max(n)])
    return float(a), float(b)


def calibrated_tea(
    rewards: Float[ArrayLike, "*P M"], *, n: float, alpha: float = 0.25, center: bool = True
) -> Float[Array, "*P M"]:
    """Calibrated tail-extrapolated advantage, `(*P, M) -> (*P, M)`, in the units of the rewards.

    With `k = ceil(alpha M)`, the tail the k largest rewards, `r` the k-th largest, `mu` and `sd`
    the mean and standard deviation (ddof = 0) of the tail, and `(a, b) = calibration(M, k, n,
    center)`:

        A_i = a L_i + b Q_i
        L_i = (M/k) 1{R_i >= r} (R_i - r)
        Q_i = (M/k) 1{R_i >= r} ((R_i - mu)^2 - (r - mu)^2) / (2 sd)

    minus the group mean of A when `center` is true; TEA is `a = 1, b = ct_N`. Mean convention: the
    policy gradient estimate of a prompt is `(1/M) sum_i A_i grad log pi(y_i)`.

    Parameters
    ----------
    rewards, n, alpha, center
        As in `tea`.

    Notes
    -----
    The expected gradient in location and log-scale is exactly `(1, c_N)` at every M when rewards
    are normal, centred or not. Where only the tail is, it is so up to the chance that fewer than k
    rewards come from the tail: at M = 16, alpha = 0.25 and half the mass in one atom, 1 % of the
    groups, which takes 2 to 3 % off the first component. Keep alpha well below the share of the
    rewards that is normal: with the same atom, alpha = 0.5 takes 60 % off. Near alpha = 1
    bad outliers earn a positive advantage, as in `tea`.

    Signal to noise per rollout at N = 128, M = 16, centred: 0.44 and 0.64 for alpha = 0.25 and 0.5
    (`linear_tea`: 0.55 and 0.71; `tea`: 0.59 and 0.68, in the direction of best-of-23 and -41).

    Small n: where best-of-n lies below the mean of the tail (n < 7 at M = 16, alpha = 0.25), b is
    negative and the tail is narrowed; for n far below M and a tiny tail a turns negative, too. That
    is still exact on normal rewards, but noisy (0.42 at n = 2): use `max_at_k` for n < M (0.96).

    Shift-invariant, scale-equivariant. The boundary rollout gets exactly 0 before centring; equal
    rewards get equal advantages. A constant group, or equal tail rewards, get zeros. NaN is a
    missing rollout and gets 0. `sd` has the floor that it has in `tea`.

    Raises
    ------
    GroupTooSmallError
        In every group `ceil(alpha M) < 3`: at k = 2, Q is 0 and N cannot matter.
    ValueError
        n < 1, alpha outside (0, 1], infinite rewards.

    Ours; the two parts are those of Li, Qian, Mou 2026 (arXiv 2605.10716).

    >>> a = calibrated_tea([[3.0, 2.0, 1.0, 0.0, -1.0, -2.0]], n=128, alpha=0.5, center=False)
    >>> a.round(2).tolist()[0][:2]  # the best is pushed up, the runner-up down
    [7.8, -15.9]
    """
    n, alpha = check_n(n), check_alpha(alpha)

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        k = require_tail(m, alpha)
        a, b = calibration(m, k, n, center)
        # a L + b Q is a times TEA's shape with b/a for ct_N.
        out = tail_form(r, k, m / k * a, b / a, xp)
        return centred(out, xp) if center else out

    return per_group(rewards, kernel, in_blocks=True)
