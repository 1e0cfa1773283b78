"""The generalised Pareto law of excesses over a threshold: how a tail ends.

Far enough out, the excesses X of almost any law over a threshold follow a generalised Pareto law,

    P(X > x) = (1 + xi x / sigma)^(-1/xi),   x >= 0,

with shape xi: above 0 a power tail, 0 exponential, below 0 an end point at `-sigma / xi`. A normal
tail has the limit xi = 0, which it approaches very slowly: at the depths where there are data its
excesses look like xi = -0.2 or -0.3. Compare an estimate with what a normal tail gives at the same
depth and sample size (`bontea.diagnosis`), never with 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bontea._errors import BonteaError
from bontea._json import with_derived
from bontea._numbers import number

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


LEAST = 5
MOST_POINTS = 2000
"""Of more excesses than this, the mean of log(1 - theta x) is taken over the 500 largest and 1,500
means of the others, block by block: a fit takes milliseconds at any size."""


class ParetoFit(NamedTuple):
    """A generalised Pareto law fitted to excesses."""

    shape: float
    """xi; its standard error is about `(1 + xi) / sqrt(excesses)`."""
    scale: float
    """sigma, in the units of the excesses."""

    @property
    def end_point(self) -> float:
        """The largest possible excess: `-sigma / xi` for xi < 0, else infinite."""
        return -self.scale / self.shape if self.shape < 0 else float("inf")

    def to_dict(self) -> dict[str, Any]:
        """Everything, as what JSON knows; an infinite end point is None."""
        return with_derived(self, ("end_point",))


def fit_pareto(excesses: Float[ArrayLike, "*E"]) -> ParetoFit:
    """Shape and scale of the generalised Pareto law of excesses, by Zhang & Stephens.

    With `theta = -xi / sigma`, whose profile log-likelihood is

        xi(theta) = mean log(1 - theta x_i)
        l(theta) = n (log(-theta / xi(theta)) - xi(theta) - 1)

    the estimate is a posterior mean over m = 20 + floor(sqrt n) points of a weak, data-based prior,

        theta_j = 1 / x_max + (1 - sqrt(m / (j - 1/2))) / (3 x_q),   x_q the lower quartile,
        theta^ = sum_j theta_j w_j,   w_j proportional to exp l(theta_j),
        xi^ = xi(theta^),   sigma^ = -xi^ / theta^.

    It needs no starting value, always exists, and has less error than maximum likelihood in small
    samples. Excesses may come in any order; they are shifted by nothing, so subtract the threshold.

    Source: J. Zhang and M. A. Stephens, Technometrics 51 (2009) 316-325, where k = -xi.
    Raises ValueError for fewer than 5 excesses, or any that is not positive and finite.

    >>> excesses = np.random.default_rng(0).pareto(4, size=4000)  # xi = 1/4, sigma = 1/4
    >>> fit = fit_pareto(excesses)
    >>> abs(fit.shape - 0.25) < 0.05, abs(fit.scale - 0.25) < 0.02
    (True, True)
    """
    x = np.sort(np.asarray(excesses, dtype=float).ravel())
    if len(x) < LEAST:
        raise BonteaError(
            f"{len(x)} excesses are too few for a generalised Pareto law: give at least {LEAST} "
            "(some hundred for a usable shape), or lower the threshold"
        )
    if not (x[0] > 0 and np.isfinite(x[-1])):
        bad = x[0] if not x[0] > 0 else x[-1]
        raise BonteaError(
            f"excess {number(bad)} is not positive and finite: pass rewards above the threshold, "
            "minus the threshold"
        )
    n, unit = len(x), x[-1]
    x = x / unit  # the largest is 1 from here on
    m = 20 + int(np.sqrt(n))
    quartile = x[int(n / 4 + 0.5) - 1]
    theta = 1 + (1 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))) / (3 * quartile)
    x, share = _points(x)
    theta = theta[theta != 0]  # xi = 0 exactly: a removable point of l
    xi = np.log1p(-theta[:, None] * x) @ share
    likelihood = n * (np.log(-theta / xi) - xi - 1)
    weight = np.exp(likelihood - likelihood.max())
    best = float(theta @ weight / weight.sum())
    if best == 0:
        return ParetoFit(0.0, float(x @ share * unit))
    shape = float(np.log1p(-best * x) @ share)
    return ParetoFit(shape, float(-shape / best * unit))


def _points(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted excesses, or few points in their place, and the share of the excesses at each."""
    n = len(x)
    if n <= MOST_POINTS:
        return x, np.full(n, 1 / n)
    rest, blocks = n - MOST_POINTS // 4, MOST_POINTS * 3 // 4
    edges = np.linspace(0, rest, blocks + 1).astype(int)
    size = np.diff(edges)
    means = np.add.reduceat(x[:rest], edges[:-1]) / size
    points = np.append(means, x[rest:])
    return points, np.append(size, np.ones(n - rest)) / n
