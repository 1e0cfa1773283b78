"""A reward law in standard form (mean 0, standard deviation 1), and what more draws from it gain.

Prompts differ in where their rewards lie and how far they spread; the form of the law they share.
It is kept as a quantile function of the normal score x,

    Z = Q(X),   X standard normal,   Q rising, straight between knots,

which holds the normal law (Q a straight line), every tail of `bontea.tails.shapes`, and a law read
from the rewards of other prompts, with its atoms (Q flat), its skew and its ceiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bontea.tails.normal import tail_size
from bontea.tails.shapes import get_tail

if TYPE_CHECKING:
    from bontea._types import Float

LOWEST, HIGHEST, STEP = -9.0, 12.0, 0.005
"""Normal scores that count: beyond them lies less than 1e-18 of the probability."""
TOP_SHARE = 0.1
"""Beyond the sample the quantile function goes on as the line through this upper share of it."""


@dataclass(frozen=True, eq=False)
class StandardLaw:
    """A law with mean 0 and standard deviation 1, as quantiles at normal scores."""

    name: str
    values: Float[np.ndarray, " G"]
    """(G,) rewards at the scores of `scores()`, rising."""

    def excess(self, u: Any, w: int = 1) -> np.ndarray:
        """`E[(max of w draws - u)+]`, for an array of levels u, in standard deviations.

            G_w(u) = integral from u of 1 - F(z)^w dz

        by the trapezoidal rule over the quantile function, to a relative 1e-3 or better; 0 above
        the highest value of the law.
        """
        levels, table = _excess(self, int(w))
        u = np.asarray(u, dtype=float)
        inside = np.interp(u, levels, table, right=0.0)
        return inside + np.maximum(levels[0] - u, 0.0)

    @cached_property
    def information(self) -> float:
        """How much a reward says about the variance, as a share of what a normal one says.

        `2 / (E Z^4 - 1)`: 2.5 for a uniform law, less than 1 for heavy tails; from 1/4 to 4.
        """
        weight = np.exp(-(scores() ** 2) / 2)
        fourth = float(weight @ self.values**4 / weight.sum())
        return float(np.clip(2 / max(fourth - 1, 1e-9), 0.25, 4.0))

    def mean_gain(self, n: Any) -> np.ndarray:
        """`E[max of n + 1] - E[max of n]`, an array: what response n + 1 adds to a fixed N.

        integral of F(z)^n (1 - F(z)) dz, interpolated between powers of the square root of 2.
        """
        at, table = _mean_gains(self)
        n = np.maximum(np.asarray(n, dtype=float), 1.0)
        return np.exp(np.interp(np.log(n), at, table))

    def survival(self, u: Any) -> np.ndarray:
        """`P(Z > u)` for an array of levels."""
        from scipy.special import ndtr

        x = np.interp(np.asarray(u, dtype=float), self.values, scores(), right=np.inf)
        return ndtr(-x)


@lru_cache(maxsize=1)
def scores() -> np.ndarray:
    """The grid of normal scores, `(G,)`."""
    return np.arange(LOWEST, HIGHEST + STEP / 2, STEP)


@lru_cache(maxsize=256)
def _excess(law: StandardLaw, w: int) -> tuple[np.ndarray, np.ndarray]:
    """Levels and `G_w` there."""
    from scipy.special import log_ndtr

    middle = (scores()[1:] + scores()[:-1]) / 2
    above = -np.expm1(w * log_ndtr(middle)) * np.diff(law.values)
    table = np.append(np.cumsum(above[::-1])[::-1], 0.0)
    return law.values, table


@lru_cache(maxsize=64)
def _mean_gains(law: StandardLaw) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of n, from 1 to 2^33, and of the gain there."""
    from scipy.special import log_ndtr

    middle = (scores()[1:] + scores()[:-1]) / 2
    n = 2.0 ** np.arange(0, 33.5, 0.5)
    step = np.diff(law.values) * np.exp(log_ndtr(-middle))
    gains = np.exp(n[:, None] * log_ndtr(middle)) @ step
    return np.log(n), np.log(np.maximum(gains, 1e-300))


def named_law(tail: str) -> StandardLaw:
    """A whole law with the form of a tail of `bontea.tails.shapes`, such as `"lognormal(-0.1)"`.

    >>> round(float(named_law("normal").excess(0.0)), 4)  # the density at 0
    0.3989
    """
    return _named(get_tail(tail).name)


@lru_cache(maxsize=64)
def _named(tail: str) -> StandardLaw:
    return _standardise(tail, get_tail(tail).value(scores()))


def law_of(rows: Sequence[np.ndarray], *, extend: bool = True) -> StandardLaw:
    """The form that the rewards of many prompts share, from one sorted array for each prompt.

    The j-th best of m rewards is `location + scale e_j` in expectation, with `e_j` the same for all
    prompts: so the mean over prompts of the sorted rewards, less the mean of each prompt, has the
    form of the law whatever the scales are, with no division by a scale that is badly known. The
    j-th worst of m stands at the normal score of `(j - 3/8) / (m + 1/4)`. Between the scores Q is
    straight. Above the last it goes on as the line through its upper tenth (at least three
    points), a normal tail, if `extend`; else it stays level, as it must where the best reward is a
    ceiling.
    """
    from scipy.special import ndtri

    # A quarter of the prompts may have fewer: then they say nothing about the ends.
    most = max(int(np.quantile([len(row) for row in rows], 0.25, method="lower")), 2)
    knots = ndtri((np.arange(1, most + 1) - 0.375) / (most + 0.25))
    total, weight = np.zeros(most), np.zeros(most)
    for row in rows:
        m = len(row)
        own = ndtri((np.arange(1, m + 1) - 0.375) / (m + 0.25))
        inside = (knots >= own[0] - 1e-9) & (knots <= own[-1] + 1e-9)
        total[inside] += np.interp(knots[inside], own, row - row.mean())
        weight[inside] += 1
    # At the ends some prompts say nothing, and the mean of the others may fall: rewards only rise.
    values = np.maximum.accumulate(total / weight)
    x = scores()
    out = np.interp(x, knots, values)
    if extend:
        k = min(max(tail_size(TOP_SHARE, most), 3), most)
        top, height = knots[-k:], values[-k:]
        centred = top - top.mean()
        slope = max(float(centred @ height) / float(centred @ centred), 0.0)
        beyond = x > knots[-1]
        out[beyond] = values[-1] + slope * (x[beyond] - knots[-1])
    return _standardise("pilot", out)


def _standardise(name: str, values: np.ndarray) -> StandardLaw:
    weight = np.exp(-(scores() ** 2) / 2)
    weight /= weight.sum()
    mean = float(weight @ values)
    spread = float(np.sqrt(weight @ (values - mean) ** 2))
    return StandardLaw(name, (values - mean) / (spread if spread > 0 else 1.0))
