"""Constants of the normal distribution and of its upper tail.

Everything here is a number that depends on N and the tail fraction alone, computed once by
quadrature and cached. Source: Li, Qian, Mou 2026 (arXiv 2605.10716), Lemma 1, for the form
V_N ~ mu_alpha + ct_N sigma_alpha; the closed forms are standard normal theory.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from bontea._arrays import check_alpha, check_n

# Gauss-Legendre panels on [0, 40]: Phi(-40) underflows for every N below 1e300. Panels of width
# 1/4 are far narrower than the bend of the integrand near c_N, even at N = 1e9.
_PANELS, _NODES = 160, 16


@lru_cache(maxsize=4096)
def _expected_max(n: float) -> float:
    from scipy.special import log_ndtr

    if n == 1:
        return 0.0
    node, weight = np.polynomial.legendre.leggauss(_NODES)
    edges = np.linspace(0.0, 40.0, _PANELS + 1)
    half = (edges[1] - edges[0]) / 2
    x = (edges[:-1, None] + half * (node + 1)).ravel()
    w = np.tile(half * weight, _PANELS)
    # E[max] = int_0^inf 1 - Phi(x)^N - Phi(-x)^N dx. Written with N = 1 + e, both terms are
    # positive and small as they should be when N is near 1: no digits are lost at either end.
    log_p, log_q = log_ndtr(x), log_ndtr(-x)
    e = n - 1.0
    integrand = -np.exp(log_p) * np.expm1(e * log_p) - np.exp(log_q) * np.expm1(e * log_q)
    return float(integrand @ w)


def expected_max(n: float) -> float:
    """`c_N` of the standard normal; `bontea.tails.shapes.expected_max` has every tail."""
    return _expected_max(check_n(n))


class TailConstants(NamedTuple):
    """The upper `alpha` of a standard normal: its threshold, mean and standard deviation."""

    threshold: float
    """`z = Phi^{-1}(1 - alpha)`; -inf at alpha = 1."""
    mean: float
    """`lam = phi(z) / alpha`."""
    std: float
    """`s = sqrt(1 + z lam - lam^2)`."""


@lru_cache(maxsize=4096)
def tail_constants(alpha: float) -> TailConstants:
    """Threshold, mean and standard deviation of the upper `alpha` of a standard normal.

    At `alpha = 1` that is the whole law: `(-inf, 0, 1)`.

    >>> [round(v, 5) for v in tail_constants(0.25)]
    [0.67449, 1.27111, 0.49157]
    """
    from scipy.special import ndtri

    alpha = check_alpha(alpha)
    if alpha == 1:
        return TailConstants(-math.inf, 0.0, 1.0)
    z = float(-ndtri(alpha))
    lam = math.exp(-z * z / 2) / math.sqrt(2 * math.pi) / alpha
    return TailConstants(z, lam, math.sqrt(1 + z * lam - lam * lam))


def tail_coefficient(n: float, alpha: float) -> float:
    """`ct_N = (c_N - lam) / s`: best-of-N above the tail mean, in tail standard deviations.

    If rewards are normal above their upper `alpha` quantile, with mean `mu_alpha` and standard
    deviation `sigma_alpha` there, then

        V_N = E[max of N] ~ mu_alpha + ct_N sigma_alpha

    with an error of order `(1 - 2 alpha)^N`. Source: arXiv 2605.10716, Lemma 1 (form).
    Raises ValueError for n < 1 or alpha outside (0, 1].

    >>> [round(tail_coefficient(n, 0.25), 3) for n in (64, 128, 256, 512)]
    [2.182, 2.692, 3.165, 3.606]
    """
    _, lam, s = tail_constants(check_alpha(alpha))
    return (expected_max(n) - lam) / s


def tail_size(alpha: float, m: int) -> int:
    """`k = ceil(alpha m)`: how many of m rollouts make the tail.

    >>> tail_size(0.25, 16), tail_size(0.3, 10), tail_size(0.25, 17)
    (4, 3, 5)
    """
    return math.ceil(check_alpha(alpha) * m - 1e-9)  # 0.3 * 10 is 3.0000000000000004
