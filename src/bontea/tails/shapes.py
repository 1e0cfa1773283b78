"""Shapes of the upper tail: the law of a reward above its threshold, up to location and scale.

A shape is named by a string, so that it fits a config file, a command line and a cache key:

================== ============================================ ===================================
name               upper quantile at tail probability t         when
================== ============================================ ===================================
`normal`           `x(t) = Phi^{-1}(1 - t)`                     the default
`lognormal(g)`     `(exp(g x(t)) - 1) / g`                      normal scores that bend: g > 0 up
                                                                (heavier), g < 0 down, with a
                                                                ceiling at -1/g; g = 0 is normal
`exponential`      `-log t`                                     log-survival is a straight line
`gp(xi)`           `(t^-xi - 1) / xi`                           generalised Pareto; xi < 0 has a
                                                                ceiling at -1/xi; 0 is exponential
================== ============================================ ===================================

`bontea.tails.calibrate_tail` estimates g or xi from rewards. With X a standard normal variable,
`t = Phi(-X)`, every shape is a monotone function of X: expectations of order statistics are taken
over those of X.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bontea._arrays import check_n
from bontea._errors import BonteaError
from bontea._numbers import number
from bontea.tails.normal import expected_max as normal_expected_max


@dataclass(frozen=True)
class Shape:
    """A tail law in standard form, as functions of the normal score x (arrays to arrays)."""

    name: str
    value: Callable[[np.ndarray], np.ndarray]
    """The reward z(x) at normal score x."""
    location_score: Callable[[np.ndarray], np.ndarray]
    """`psi = -d log f(z) / dz` at z(x), f the density of z: the score of a shift of the tail."""
    whole: bool
    """Whether the law is defined, with these scores, on the whole line (rows="all")."""


def _normal() -> Shape:
    return Shape("normal", lambda x: x, lambda x: x, whole=True)


def _exponential() -> Shape:
    from scipy.special import log_ndtr

    return Shape("exponential", lambda x: -log_ndtr(-x), np.ones_like, whole=False)


def _gp(xi: float) -> Shape:
    from scipy.special import log_ndtr

    if xi == 0:
        return _exponential()
    return Shape(
        f"gp({xi:g})",
        lambda x: np.expm1(-xi * log_ndtr(-x)) / xi,
        lambda x: (1 + xi) * np.exp(xi * log_ndtr(-x)),
        whole=False,
    )


def _lognormal(g: float) -> Shape:
    if g == 0:
        return _normal()
    return Shape(
        f"lognormal({g:g})",
        lambda x: np.expm1(g * x) / g,
        lambda x: (x + g) * np.exp(-g * x),
        whole=True,
    )


TAILS: dict[str, Callable[..., Shape]] = {
    "normal": _normal,
    "lognormal": _lognormal,
    "exponential": _exponential,
    "gp": _gp,
}
LIMITS = {"gp": (-0.49, 0.25), "lognormal": (-0.5, 0.5)}
"""Range of the parameter. Below xi = -1/2 the tail's location score has no variance; far above 0
third moments, which the coefficients of linear_tea need, are lost."""


@lru_cache(maxsize=256)
def get_tail(tail: str) -> Shape:
    """A shape from its name: `"normal"`, `"exponential"`, `"gp(-0.2)"`, `"lognormal(0.1)"`.

    Raises ValueError for an unknown name, a missing or unwanted parameter, or one out of range.

    >>> get_tail("gp(-0.20)").name
    'gp(-0.2)'
    """
    known = "known tails: 'normal', 'exponential', 'lognormal(g)', 'gp(xi)', such as 'gp(-0.2)'"
    match = re.fullmatch(r"\s*([a-z_]+)\s*(?:\(\s*([^()]*?)\s*\))?\s*", str(tail))
    family, text = match.groups() if match else (None, None)
    if family not in TAILS:
        raise BonteaError(f"tail={tail!r} is not known; {known}")
    if family not in LIMITS:
        if text is not None:
            raise BonteaError(f"tail={tail!r}: {family} takes no parameter")
        return TAILS[family]()
    low, high = LIMITS[family]
    try:
        parameter = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        parameter = np.nan
    if not low <= parameter <= high:
        raise BonteaError(
            f"tail={tail!r}: {family} needs one number from {number(low)} to {number(high)} in "
            f"brackets, such as '{family}(-0.1)'; calibrate_tail(rewards) estimates it"
        )
    return TAILS[family](parameter)


def expected_max(n: float, tail: str = "normal") -> float:
    """`c_N`: the expected maximum of N independent variables of a tail law in standard form.

        c_N = E[z(X_max)],   z the shape's quantile at the normal score of the best of N

    for any real N >= 1. Under the normal: `c_N = E[Phi^{-1}(U^{1/N})]`, U uniform on (0, 1), to a
    relative 1e-10 or better from N = 1 to 1e9: in units of the standard deviation of a normal
    reward it is how much best-of-N adds to the mean. `Phi^{-1}(1 - 1/N)` is sometimes used in its
    place; it is 0.18 too small at N = 128. Under the exponential: the harmonic number
    `1 + 1/2 + ... + 1/N`. Other shapes: `bontea.tails.shapes`.

    Raises ValueError for n < 1, NaN or infinity, or an unknown tail.

    >>> round(expected_max(128), 5)
    2.5946
    >>> round(expected_max(4, "exponential"), 6) == round(1 + 1/2 + 1/3 + 1/4, 6)
    True
    """
    n = check_n(n)
    shape = get_tail(tail)
    return normal_expected_max(n) if shape.name == "normal" else _expected_max(n, shape)


@lru_cache(maxsize=4096)
def _expected_max(n: float, shape: Shape) -> float:
    from scipy.special import ndtri

    # The best of N has tail probability t = 1 - exp(-y/N), y standard exponential. In v = log y
    # the integrand decays exponentially on the left and doubly so on the right, where the
    # trapezoidal rule converges faster than any power of the step.
    v = np.arange(-90.0, 4.0, 0.02)
    y = np.exp(v)
    x = -ndtri(np.maximum(-np.expm1(-y / n), 1e-300))
    weight = np.exp(v - y) * 0.02
    use = np.isfinite(x)
    return float(shape.value(x[use]) @ weight[use])
