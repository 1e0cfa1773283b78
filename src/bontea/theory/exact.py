"""Best-of-N of a reward law, without sampling: value, gradient, advantage, Fisher information.

Everything is an integral over the latent X of the law (see `laws`), of distribution function F:

    V_N = E[max of N rewards] = E[h(max of N latents)],
    dV_N / d theta = N int F^(N-1) (-dF / d theta) dh,      -dF = f for location, x f for log scale,
    A*(r) = N int_{-inf}^r F_R(t)^(N-1) dt,                 dV_N / d theta = E[A*(R) S_theta].

The variable of integration is `s = -log(-log F(x))`, in which the maximum of N has density
`exp(t - exp(t))`, `t = log N - s`, for any law and any real N: one set of nodes serves every N.
Gauss-Legendre panels are halved until the Legendre series of h, h' and x has ended on each. Jumps
of h are exact sums. Relative accuracy is about 1e-10 for smooth laws and N up to 1e6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from bontea._arrays import check_n
from bontea._errors import BonteaError
from bontea._json import with_derived
from bontea._numbers import number, typed
from bontea.theory._latents import GUMBEL_RANGE, Latent
from bontea.theory.laws import Law, get_law

_NODES = 16
_WIDTH = 0.5
_TOLERANCE = 1e-11
_MOST_PANELS = 4000
LARGEST_N = 1e9


class Gradient(NamedTuple):
    """The gradient of V_N in the parameters of the latent, in reward units."""

    location: float
    log_scale: float
    shape: float | None
    """None for a law without a shape."""

    def to_dict(self) -> dict[str, Any]:
        """Everything, as what JSON knows."""
        return with_derived(self, ())


@dataclass(frozen=True, eq=False)
class _Panels:
    """Gauss-Legendre nodes in s, `(panels, nodes)`, and the law at them."""

    edges: np.ndarray
    s: np.ndarray
    ds: np.ndarray
    x: np.ndarray
    h: np.ndarray
    slope: np.ndarray
    pdf: np.ndarray

    def integral_to(self, integrand: np.ndarray, s: Any, *, ends: bool = False) -> np.ndarray:
        """Integral from 0 to s (any shape) of a function given at the nodes.

        Each panel's interpolating polynomial is integrated, so the result is as accurate anywhere
        as the quadrature. With `ends` the integral is from -inf, of a function whose total is 0:
        each half is then summed from its own end, where it keeps its relative accuracy.
        """
        s = np.clip(np.asarray(s, dtype=float), self.edges[0], self.edges[-1])
        panel = np.clip(np.searchsorted(self.edges, s, side="right") - 1, 0, len(self.s) - 1)
        half = np.diff(self.edges) / 2
        series = np.polynomial.legendre.legint((integrand @ _to_legendre()).T * half, lbnd=-1)
        whole = (integrand * self.ds).sum(1)
        zero = int(np.searchsorted(self.edges, 0.0))  # 0 is an edge
        lower, upper = slice(None, zero), slice(zero, None)
        forward, backward = (lower, upper) if ends else (upper, lower)
        start = np.empty_like(whole)
        start[forward] = np.cumsum(whole[forward]) - whole[forward]
        start[backward] = -np.cumsum(whole[backward][::-1])[::-1]
        t = (s - self.edges[panel]) / half[panel] - 1
        return start[panel] + np.polynomial.legendre.legval(t, series[:, panel], tensor=False)


@lru_cache(maxsize=1)
def _rule() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(_NODES)


@lru_cache(maxsize=1)
def _to_legendre() -> np.ndarray:
    """`values at the nodes @ this` are the coefficients of their Legendre series."""
    node, weight = _rule()
    basis = np.polynomial.legendre.legvander(node, _NODES - 1)
    return weight[:, None] * basis * (np.arange(_NODES) + 0.5)


@lru_cache(maxsize=64)
def _panels(law: Law) -> _Panels:
    """Panels on which the law is resolved, from equal ones by halving."""
    low, high = GUMBEL_RANGE
    edges = np.arange(low, high + _WIDTH / 2, _WIDTH)
    kinks = law.latent.to_s(np.array(law.kinks))
    edges = np.union1d(edges, kinks[(kinks > low) & (kinks < high)])
    settled = np.empty(0)  # left edges of panels that need no halving
    while True:
        new = ~np.isin(edges[:-1], settled)
        left, right = edges[:-1][new], edges[1:][new]
        panels = _at(law, left, right)
        values = np.stack([panels.x, panels.h, panels.slope])
        unresolved = np.abs(values @ _to_legendre())[..., -2:].max(-1) * (right - left)
        # Beyond s = log N the density of the maximum falls as exp(-s).
        unresolved *= np.exp(np.minimum(math.log(LARGEST_N) - left, 0))
        rough = (unresolved > _TOLERANCE * np.abs(values).max(-1)).any(0)
        rough &= (panels.ds > 0).all(1)
        settled = np.append(settled, left[~rough])
        if not rough.any() or len(edges) + rough.sum() > _MOST_PANELS:
            return _at(law, edges[:-1], edges[1:])
        edges = np.union1d(edges, (left + right)[rough] / 2)


def _at(law: Law, left: np.ndarray, right: np.ndarray) -> _Panels:
    """The nodes of the panels from `left` to `right`."""
    node, weight = _rule()
    half = (right - left)[:, None] / 2
    s = left[:, None] + half * (node + 1)
    with np.errstate(all="ignore"):
        x = law.latent.at(s)
        h, pdf = law.continuous(x), law.latent.pdf(x)
        slope = law.slope(x) if law.slope else np.zeros_like(x)
        good = np.isfinite(x) & np.isfinite(h) & np.isfinite(slope) & (pdf > 0)
    # Where the quantile function has run out of digits there is nothing left to integrate.
    x, h, slope = np.where(good, [x, h, slope], 0.0)
    edges = np.append(left, right[-1:])
    return _Panels(
        edges, s, np.where(good, half * weight, 0.0), x, h, slope, np.where(good, pdf, 1)
    )


def _check(law: Any, n: float) -> tuple[Law, float]:
    n = check_n(n)
    if n > LARGEST_N:
        raise BonteaError(
            f"n={typed(n)} is above {number(LARGEST_N)}, the largest that is computed exactly"
        )
    return get_law(law), n


def _best(panels: _Panels, n: float) -> np.ndarray:
    """Density in s of the best of n, at the nodes."""
    t = math.log(n) - panels.s
    return np.exp(t - np.exp(t))


def _jump_rates(law: Law, n: float) -> np.ndarray:
    """`N F^(N-1)` times the height of each jump."""
    return n * np.exp((n - 1) * law.latent.log_cdf(law.jumps)) * law.heights


def value(law: Any, n: float) -> float:
    """`V_N`: the expected best of N rewards, for any real N from 1 to 1e9, in reward units.

        V_N = E[h_c(max of N latents)] + sum_j height_j (1 - F(x_j)^N),   h_c: h without its jumps

    `law` is anything that `get_law` takes. Raises ValueError for an unknown law or n outside
    [1, 1e9].

    >>> round(value("normal", 128), 5), round(value([1.0, 2.0, 4.0], 2), 9)  # (1 + 3*2 + 5*4) / 9
    (2.5946, 3.0)
    """
    law, n = _check(law, n)
    jumps = float(-np.expm1(n * law.latent.log_cdf(law.jumps)) @ law.heights)
    if law.slope is None:  # a step function: its lowest value, and its jumps
        first = law.jumps[:2].mean() if len(law.jumps) > 1 else law.jumps.sum() + 1
        return float(law.reward(np.array([first]))[0] - law.heights[:1].sum()) + jumps
    panels = _panels(law)
    return float(np.sum(_best(panels, n) * panels.ds * panels.h)) + jumps


def gradient(law: Any, n: float) -> Gradient:
    """The gradient of `V_N` in location, log scale and (if the law has one) shape of the latent.

        dV_N / d theta = N int F^(N-1) (-dF / d theta) dh,  jumps of h as sums

    That is `E[A*(R) S_theta]`: what the policy gradient of best-of-N is on average. A normal law
    has `(1, c_N)`. Arguments and errors as in `value`.

    >>> [round(v, 6) for v in gradient("logistic", 2)[:2]]  # the best of two is 1 on average
    [1.0, 1.0]
    """
    law, n = _check(law, n)
    location, log_scale = gradients(law, np.array([n]))[0]
    if law.shape is None:
        return Gradient(float(location), float(log_scale), None)
    panels = _panels(law)
    # -dF/d shape = int_x^inf S f dx', and f dx' is the density of one draw.
    one = law.shape.score(panels.x) * _best(panels, 1.0)
    minus_df = -panels.integral_to(one, panels.s, ends=True)
    shape = np.sum(_best(panels, n) * panels.ds * panels.slope * minus_df / panels.pdf)
    if len(law.jumps):
        minus_df = -panels.integral_to(one, law.latent.to_s(law.jumps), ends=True)
        shape += _jump_rates(law, n) @ minus_df
    return Gradient(float(location), float(log_scale), float(shape))


def gradients(law: Law, ns: np.ndarray) -> np.ndarray:
    """`gradient` in (location, log scale) for many N, `(len(ns), 2)`."""
    out = np.zeros((len(ns), 2))
    if law.slope is not None:
        panels = _panels(law)
        rate = panels.ds * panels.slope
        for row, n in enumerate(ns):
            weight = _best(panels, n) * rate
            out[row] += weight.sum(), np.sum(weight * panels.x)
    if len(law.jumps):
        pdf = law.latent.pdf(law.jumps)
        for row, n in enumerate(ns):
            weight = _jump_rates(law, n) * pdf
            out[row] += weight.sum(), weight @ law.jumps
    return out


def advantage(law: Any, n: float, *, latent: bool = False) -> Callable[[Any], np.ndarray]:
    """The advantage whose expected gradient is exactly that of `V_N`: a function of the reward.

        A*(r) = N int_{-inf}^r F_R(t)^(N-1) dt - E[the same],   F_R the distribution of rewards

    It never decreases, and is nearly flat below the upper 1/N or so of the rewards. The constant
    makes its mean 0, so that N = 1 gives `r - E[R]`. The function takes and returns arrays of any
    shape, in reward units; with `latent=True` it takes latents, such as draws of `law.latent`,
    which is faster. Arguments and errors as in `value`.

    >>> advantage("uniform", 2)([0.0, 0.5, 1.0]).round(6).tolist()  # r^2 - 1/3
    [-0.333333, -0.083333, 0.666667]
    """
    law, n = _check(law, n)
    rates = _jump_rates(law, n)
    total = np.append(0.0, np.cumsum(rates))
    mean = float(rates @ law.latent.sf(law.jumps))
    if law.slope is not None:
        panels = _panels(law)
        rise = _best(panels, n) * panels.slope / panels.pdf
        t = np.exp(-panels.s)
        share = np.where(panels.s > 0, -np.expm1(-t), -np.exp(-t))
        mean += float(np.sum(rise * panels.ds * share))

    def of_latent(x: Any) -> np.ndarray:
        x = np.asarray(x, dtype=float)
        out = total[np.searchsorted(law.jumps, x, side="right")] - mean
        if law.slope is not None:
            out = out + panels.integral_to(rise, law.latent.to_s(x))
        return out

    def of_reward(r: Any) -> np.ndarray:
        r = np.asarray(r, dtype=float)
        x = law.latent_below(r)
        # Between two possible rewards, and beyond the last, A* is a line.
        return of_latent(x) + (r - law.reward(x)) * n * np.exp((n - 1) * law.latent.log_cdf(x))

    return of_latent if latent else of_reward


def fisher_information(law: Any) -> np.ndarray:
    """`E[S S']` of the scores of location and log scale of one latent, `(2, 2)`.

    >>> fisher_information("normal").round(9).tolist()
    [[1.0, 0.0], [0.0, 2.0]]
    """
    return _fisher(get_law(law).latent).copy()


@lru_cache(maxsize=64)
def _fisher(latent: Latent) -> np.ndarray:
    panels = _panels(Law("latent", latent, lambda x: x, np.ones_like))
    scores = latent.scores(panels.x)
    return np.einsum("ipq,jpq,pq->ij", scores, scores, _best(panels, 1.0) * panels.ds)


def law_spread(law: Law) -> float:
    """Standard deviation of the rewards of a law.

    A step function by sums over its jumps; any other by the trapezoid rule in
    `s = -log(-log F(x))`, whose density vanishes fast at both ends: to 1e-9 where h is smooth, to
    1e-3 where it also jumps.

    >>> round(law_spread(get_law("uniform")) ** 2 * 12, 6), law_spread(get_law([0.0, 2.0]))
    (1.0, 1.0)
    """
    if law.slope is None:  # E[h] and E[h^2] above the lowest value
        height = np.cumsum(law.heights)
        above = law.latent.sf(law.jumps)
        mean = float(law.heights @ above)
        square = float((height**2 - (height - law.heights) ** 2) @ above)
        return math.sqrt(max(square - mean**2, 0.0))
    s, step = np.linspace(*GUMBEL_RANGE, 8001, retstep=True)
    h = law.reward(law.latent.at(s))
    weight = np.exp(-s - np.exp(-s)) * step
    good = np.isfinite(h)
    mean = float(weight[good] @ h[good])
    return math.sqrt(float(weight[good] @ (h[good] - mean) ** 2))
