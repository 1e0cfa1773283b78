"""Expected order statistics of a tail law and their product moments, by quadrature."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bontea._errors import BonteaError
from bontea.tails.shapes import get_tail

if TYPE_CHECKING:
    from bontea._types import Float


_NODES = 96
_ALL_RANKS = 512
"""Groups up to this size have all their expected scores computed at once."""
_GRADED = 10
"""Gaps of fewer ranks than this are integrated over the gap, on panels graded towards 0."""


@lru_cache(maxsize=512)
def _expected_scores(m: int, tail: str) -> np.ndarray:
    shape = get_tail(tail)
    x, density = _grid(m)
    z = shape.value(x)
    scores = np.array([z @ density(rank) for rank in range(m)])[::-1]
    if shape.name == "normal":
        scores = (scores - scores[::-1]) / 2  # exact antisymmetry
    scores = np.ascontiguousarray(scores)
    scores.setflags(write=False)
    return scores


def expected_scores(m: int, tail: str = "normal") -> Float[np.ndarray, " M"]:
    """`E[Z_(1)], ..., E[Z_(m)]`: expected order statistics of m variables of a tail law, ascending.

    Read-only float64 array of shape `(m,)`. The last entry is `expected_max(m, tail)`.

    >>> expected_scores(3).round(6).tolist()
    [-0.846284, 0.0, 0.846284]
    >>> expected_scores(3, "exponential").round(6).tolist()  # 1/3, 1/3 + 1/2, 1/3 + 1/2 + 1
    [0.333333, 0.833333, 1.833333]
    """
    if isinstance(m, bool) or not isinstance(m, (int, np.integer)) or m < 1:
        raise BonteaError(f"m={m!r} must be a whole number of at least 1")
    return _expected_scores(int(m), get_tail(tail).name)


def best_scores(m: int, k: int, tail: str = "normal") -> np.ndarray:
    """The k best of `expected_scores(m, tail)`, best first; quick for k far below m.

    >>> best_scores(3, 2).round(6).tolist()
    [0.846284, 0.0]
    """
    if m <= _ALL_RANKS:
        return expected_scores(m, tail)[::-1][:k]
    return _best_scores(int(m), int(k), get_tail(tail).name)


@lru_cache(maxsize=512)
def _best_scores(m: int, k: int, tail: str) -> np.ndarray:
    x, density = _grid(m)
    z = get_tail(tail).value(x)
    scores = np.array([z @ density(rank) for rank in range(k)])
    scores.setflags(write=False)
    return scores


class Moments(NamedTuple):
    """Product moments of order statistics Z of a tail law, ranks best first, `(rows, columns)`.

    With `psi` the score of a shift (`Shape.location_score`) and `Z psi - 1` that of a stretch:
    """

    second: np.ndarray
    """`E[Z_r Z_c]`"""
    location: np.ndarray
    """`E[psi(Z_r) Z_c]`"""
    scale: np.ndarray
    """`E[(Z_r psi(Z_r) - 1) Z_c]`"""


def product_moments(m: int, rows: int, columns: int, tail: str = "normal") -> Moments:
    """Moments of the `rows` and `columns` best of m variables of a tail law, rank 0 the best.

    float64, by quadrature of the joint density of two order statistics; relative accuracy about
    1e-9. About 0.4 ms for each pair of ranks. Raises ValueError for more ranks than m.

    >>> product_moments(2, 2, 2).second.round(9).tolist()  # E[max^2] = 1, E[max min] = 0
    [[1.0, 0.0], [0.0, 1.0]]
    """
    from scipy.special import gammaln, log_ndtr, ndtr

    most = max(rows, columns)
    if not 1 <= most <= m:
        raise BonteaError(f"rows={rows} and columns={columns} must be from 1 to m={m}")
    shape = get_tail(tail)
    second, location, scale = np.empty((3, most, most))
    windows = [_window(m, r) for r in range(most)]
    node, weight = np.polynomial.legendre.leggauss(12)
    edges = np.append(0.0, 2.0 ** np.arange(-_GRADED, 1))
    half = np.diff(edges)[:, None] / 2
    graded_t = (edges[:-1, None] + half * (node + 1)).ravel()
    graded_w = (half * weight).ravel()

    x, density = _grid(m)
    z, psi = shape.value(x), shape.location_score(x)
    for r in range(most):
        f = density(r)
        second[r, r], location[r, r] = (z * z) @ f, (psi * z) @ f
        scale[r, r] = ((z * psi - 1) * z) @ f

    for r in range(most):
        x = windows[r]
        zx, px = shape.value(x), shape.location_score(x)
        for c in range(min(r, rows, columns)):
            gap = r - c
            if gap < _GRADED:
                length = np.maximum(9.5 - x, 1.0)[:, None]
                y = x[:, None] + length * graded_t
                w = length * graded_w
            else:
                y = windows[c][None, :]
                w = np.full_like(y, y[0, 1] - y[0, 0])
            between = ndtr(-x)[:, None] - ndtr(-y)
            log_f = (
                gammaln(m + 1)
                - gammaln(m - r)
                - gammaln(gap)
                - gammaln(c + 1)
                + (m - r - 1) * log_ndtr(x)[:, None]
                + (gap - 1) * np.log(np.where(between > 0, between, 1.0))
                + c * log_ndtr(-y)
                - (x[:, None] ** 2 + y**2) / 2
                - np.log(2 * np.pi)
            )
            f = np.where(between > 0, np.exp(log_f), 0.0) * w * (x[1] - x[0])
            zy, py = shape.value(y), shape.location_score(y)
            fz = (f * zy).sum(1)
            second[r, c] = second[c, r] = zx @ fz
            location[r, c], scale[r, c] = px @ fz, (zx * px - 1) @ fz
            location[c, r] = zx @ (f * py).sum(1)
            scale[c, r] = zx @ (f * (zy * py - 1)).sum(1)
    return Moments(*(table[:rows, :columns] for table in (second, location, scale)))


def _grid(m: int) -> tuple[np.ndarray, Callable[[int], np.ndarray]]:
    """Normal scores x, and the density times step of the normal order statistic of a rank."""
    from scipy.special import gammaln, log_ndtr

    # The trapezoidal rule converges faster than any power for an analytic integrand that vanishes
    # at both ends; the step resolves the narrowest density (width ~ 1/sqrt(m)) many times over.
    x = np.arange(-12.0, 12.0, min(0.02, 0.2 / np.sqrt(m)))
    below, above = log_ndtr(x), log_ndtr(-x)
    bell = np.log(x[1] - x[0]) - (x**2 + np.log(2 * np.pi)) / 2

    def density(rank: int) -> np.ndarray:
        # m! / ((m-1-rank)! rank!) Phi^(m-1-rank) (1-Phi)^rank phi, rank 0 the best
        ways = gammaln(m + 1) - gammaln(m - rank) - gammaln(rank + 1)
        return np.exp(ways + (m - rank - 1) * below + rank * above + bell)

    return x, density


def _window(m: int, rank: int) -> np.ndarray:
    """Equally spaced points that hold all but about 1e-12 of a normal order statistic."""
    x, density = _grid(m)
    f = density(rank)
    mean = x @ f
    sd = np.sqrt((x * x) @ f - mean**2)
    return np.linspace(max(mean - 12 * sd, -10), min(mean + 14 * sd, 10), _NODES)
