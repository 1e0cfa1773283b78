"""Expected normal order statistics, by quadrature."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=512)
def _normal_scores(m: int) -> np.ndarray:
    from scipy.special import gammaln, log_ndtr

    # E[Z_(i)] = int x f_i(x) dx, f_i = m! / ((i-1)! (m-i)!) Phi^(i-1) (1-Phi)^(m-i) phi. The
    # trapezoidal rule converges faster than any power for an analytic integrand that vanishes at
    # both ends; the step resolves the narrowest f_i (width ~ 1/sqrt(m)) many times over.
    step = min(0.02, 0.2 / np.sqrt(m))
    x = np.arange(-12.0, 12.0 + step / 2, step)
    i = np.arange(1, m + 1)[:, None]
    log_f = (
        gammaln(m + 1)
        - gammaln(i)
        - gammaln(m - i + 1)
        + (i - 1) * log_ndtr(x)
        + (m - i) * log_ndtr(-x)
        - x**2 / 2
        - np.log(2 * np.pi) / 2
    )
    scores = np.exp(log_f) @ x * step
    scores = (scores - scores[::-1]) / 2  # exact antisymmetry
    scores.setflags(write=False)
    return scores


def normal_scores(m: int) -> np.ndarray:
    """`E[Z_(1)], ..., E[Z_(m)]`: expected order statistics of m standard normals, ascending.

    Read-only float64 array of shape `(m,)`. The last entry is `expected_max(m)`.

    >>> normal_scores(3).round(6).tolist()
    [-0.846284, 0.0, 0.846284]
    """
    if isinstance(m, bool) or not isinstance(m, (int, np.integer)) or m < 1:
        raise ValueError(f"m={m!r} must be a whole number of at least 1")
    return _normal_scores(int(m))


_NODES = 96
_GRADED = 10
"""Gaps of fewer ranks than this are integrated over the gap, on panels graded towards 0."""


def product_moments(m: int, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Second and third product moments of normal order statistics, ranks best first.

        second[r, c] = E[Z_r Z_c],   third[r, c] = E[Z_r^2 Z_c]

    for the `rows` and the `columns` best of m standard normals (rank 0 is the best), float64 of
    shape `(rows, columns)`, by quadrature of the joint density of two order statistics; relative
    accuracy about 1e-9. About 0.3 ms for each pair of ranks.

    >>> second, third = product_moments(2, 2, 2)
    >>> second.round(9).tolist()  # E[max^2] = 1, E[max min] = 0
    [[1.0, 0.0], [0.0, 1.0]]
    """
    from scipy.special import gammaln, ndtr

    most = max(rows, columns)
    if not 1 <= most <= m:
        raise ValueError(f"rows={rows} and columns={columns} must be from 1 to m={m}")
    powers = [_power_moments(m, r) for r in range(most)]
    second, third = np.empty((most, most)), np.empty((most, most))
    for r in range(most):
        second[r, r], third[r, r] = powers[r][2], powers[r][3]
    node, weight = np.polynomial.legendre.leggauss(12)
    edges = np.append(0.0, 2.0 ** np.arange(-_GRADED, 1))
    half = np.diff(edges)[:, None] / 2
    graded_t = (edges[:-1, None] + half * (node + 1)).ravel()
    graded_w = (half * weight).ravel()
    for r in range(most):
        x = _window(powers[r])
        for c in range(min(r, rows, columns)):
            gap = r - c
            if gap < _GRADED:
                length = np.maximum(9.5 - x, 1.0)[:, None]
                y = x[:, None] + length * graded_t
                w = length * graded_w
            else:
                y = _window(powers[c])[None, :]
                w = np.full_like(y, y[0, 1] - y[0, 0])
            between = ndtr(-x)[:, None] - ndtr(-y)
            log_f = (
                gammaln(m + 1)
                - gammaln(m - r)
                - gammaln(gap)
                - gammaln(c + 1)
                + (m - r - 1) * _log_ndtr(x)[:, None]
                + (gap - 1) * np.log(np.where(between > 0, between, 1.0))
                + c * _log_ndtr(-y)
                - (x[:, None] ** 2 + y**2) / 2
                - np.log(2 * np.pi)
            )
            f = np.where(between > 0, np.exp(log_f), 0.0) * w * (x[1] - x[0])
            y = np.broadcast_to(y, f.shape)
            fy = f * y
            second[r, c] = second[c, r] = x @ fy.sum(1)
            third[r, c] = (x * x) @ fy.sum(1)
            third[c, r] = x @ (fy * y).sum(1)
    return second[:rows, :columns], third[:rows, :columns]


def _power_moments(m: int, rank: int) -> np.ndarray:
    """`E[Z^p]`, p = 0 to 3, of one order statistic (rank 0 is the best)."""
    from scipy.special import gammaln

    x = np.arange(-12.0, 12.0, min(0.02, 0.2 / np.sqrt(m)))
    log_f = (
        gammaln(m + 1)
        - gammaln(m - rank)
        - gammaln(rank + 1)
        + (m - rank - 1) * _log_ndtr(x)
        + rank * _log_ndtr(-x)
        - x**2 / 2
        - np.log(2 * np.pi) / 2
    )
    return (x[:, None] ** np.arange(4)).T @ np.exp(log_f) * (x[1] - x[0])


def _window(powers: np.ndarray) -> np.ndarray:
    """Equally spaced points that hold all but about 1e-12 of an order statistic."""
    sd = np.sqrt(powers[2] - powers[1] ** 2)
    return np.linspace(max(powers[1] - 12 * sd, -10), min(powers[1] + 14 * sd, 10), _NODES)


def _log_ndtr(x: np.ndarray) -> np.ndarray:
    from scipy.special import log_ndtr

    return log_ndtr(x)
