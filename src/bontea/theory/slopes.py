"""How fast bias and variance of an estimator fall with the number of rollouts M.

A bias of order r falls as `M^-r`: a line of slope -r on log-log paper. The line is fitted to the
signed bias, `bias_j = v M_j^slope + noise`, by generalised least squares with the covariance of the
simulation error: a bias that is lost in the noise then counts for as little as it should, where its
logarithm would count for anything. If the points leave the line by more than the simulation error
explains, a relative misfit common to all points is added until it does, and the interval is wider.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from bontea._arrays import Array, check_k, check_n
from bontea._errors import BonteaError
from bontea._json import Result
from bontea._numbers import number, percent_of
from bontea.advantages import EstimatorSpec
from bontea.theory.exact import fisher_information, gradient
from bontea.theory.laws import get_law
from bontea.theory.measure import Simulation, simulate

Component: TypeAlias = Literal["both", "location", "log_scale"]
COMPONENTS: tuple[Component, ...] = get_args(Component)
SLOPES = np.linspace(-10, 4, 5601)
"""Slopes that are tried; an interval that reaches an end is reported as infinite."""
_COARSE = SLOPES[::8]


@dataclass(frozen=True)
class PowerLaw(Result):
    """Slope on log-log paper with its 95 % interval."""

    slope: float
    low: float
    high: float
    misfit: float
    """How far points are from the line, as a share of their size, beyond the simulation error."""

    def __str__(self) -> str:
        text = f"{self.slope:.3f} (95 % interval {self.low:.3f} to {self.high:.3f})"
        return text + (
            f", points {percent_of(self.misfit)} off the line" if self.misfit > 0.005 else ""
        )


@dataclass(frozen=True)
class BiasSlope(Result):
    """Bias and variance of an estimator's gradient at each M.

    `bias` is `(J, 2)`: location and log scale of the latent, in reward units. `size` and `variance`
    are `(J,)`: of the component asked for, or of both in Fisher units, `size^2 = b' I^-1 b` and
    `variance = trace(I^-1 Cov)`, Cov of one group's gradient.
    """

    estimator: str
    law: str
    n: float
    component: Component
    ms: np.ndarray
    groups: np.ndarray
    bias: np.ndarray
    bias_standard_error: np.ndarray
    size: np.ndarray
    """Never negative: about its standard error where the bias is really 0."""
    size_standard_error: np.ndarray
    variance: np.ndarray
    variance_standard_error: np.ndarray
    bias_slope: PowerLaw
    variance_slope: PowerLaw

    def __str__(self) -> str:
        what = "location and log scale" if self.component == "both" else self.component
        lines = [
            f"{self.estimator} on {self.law} rewards, N = {number(self.n)}, {what}; ± is one SE",
            f"  {'M':>6}  {'bias location':^20}  {'bias log scale':^20}  {'size of bias':^20}"
            f"  {'variance of a group':^20}",
        ]
        for j, m in enumerate(self.ms):
            columns = [
                f"{value:9.4f} ± {se:.4f}"
                for value, se in (
                    (self.bias[j, 0], self.bias_standard_error[j, 0]),
                    (self.bias[j, 1], self.bias_standard_error[j, 1]),
                    (self.size[j], self.size_standard_error[j]),
                    (self.variance[j], self.variance_standard_error[j]),
                )
            ]
            lines.append(f"  {m:>6}  " + "  ".join(f"{column:<20}" for column in columns).rstrip())
        lines.append(f"  bias falls with slope     {self.bias_slope}")
        lines.append(f"  variance falls with slope {self.variance_slope}")
        return "\n".join(lines)


def bias_slope(
    estimator: str | Callable[..., Array] | EstimatorSpec,
    ms: Sequence[int],
    n: float,
    law: Any = "normal",
    *,
    component: Component = "both",
    groups: int | Sequence[int] = 20_000,
    batch: int | None = None,
    rng: np.random.Generator | int | None = None,
    progress: Callable[[int], None] | None = None,
    **params: Any,
) -> BiasSlope:
    """Measure how bias and variance of an estimator fall with M, `bias ~ M^slope`.

    Parameters
    ----------
    estimator, law, batch, rng, progress, params
        As in `effective_n`; `progress` counts the groups of all M.
    ms
        Numbers of rollouts, at least 2 different ones.
    n
        Deployment budget.
    component
        `"both"`, `"location"` or `"log_scale"`.
    groups
        Groups drawn at each M: one number, or one for each M.

    Raises
    ------
    GroupTooSmallError
        The smallest M is too small for the estimator.
    ValueError
        As in `effective_n`; fewer than 2 different M; an unknown component.

    >>> fit = bias_slope("tea", [32, 64, 128], 128, groups=2000, center=False, rng=0)
    >>> -1.0 < fit.bias_slope.slope < -0.6  # order 1 in the limit
    True
    """
    law, n = get_law(law), check_n(n)
    if component not in COMPONENTS:
        raise BonteaError(f"component={component!r} must be one of {', '.join(COMPONENTS)}")
    sizes = [check_k(m, "m") for m in ms]
    if len(set(sizes)) < max(2, len(sizes)):
        raise BonteaError(f"ms={list(ms)} must be at least 2 different numbers of rollouts")
    counts = [groups] * len(sizes) if isinstance(groups, (int, np.integer)) else list(groups)
    if len(counts) != len(sizes):
        raise BonteaError(f"groups={groups} must be one number, or one for each of ms={list(ms)}")

    truth = np.array(gradient(law, n)[:2])
    spec = EstimatorSpec.of(estimator, **params).bind(n=n)
    if component == "both":  # rows of the map from the gradient to Fisher units
        rows = np.linalg.inv(np.linalg.cholesky(fisher_information(law)))
    else:
        rows = np.eye(2)[[COMPONENTS.index(component) - 1]]

    bias, error, variance = [], [], []
    drawn: list[int] = []
    generators = np.random.default_rng(rng).spawn(len(sizes))
    for m, count, generator in zip(sizes, counts, generators, strict=True):
        sample = simulate(
            spec,
            law,
            m,
            groups=count,
            batch=batch,
            rng=generator,
            progress=progress and partial(_further, progress, sum(drawn)),
        )
        drawn.append(sample.groups)
        blocks = sample.blocks[:, :2]
        bias.append(blocks.mean(0) - truth)
        error.append(np.cov(blocks.T) / len(blocks))
        variance.append(sample.jackknife(partial(_variance, sample, rows)))
    b, covariance = np.array(bias), np.array(error)
    mapped, mapped_covariance = b @ rows.T, rows @ covariance @ rows.T
    size = np.linalg.norm(mapped, axis=1)
    along = mapped / np.where(size > 0, size, 1.0)[:, None]
    var, var_se = np.array(variance)[:, :, 0].T
    return BiasSlope(
        estimator=spec.label,
        law=law.name,
        n=n,
        component=component,
        ms=np.array(sizes),
        groups=np.array(drawn),
        bias=b,
        bias_standard_error=np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)),
        size=size,
        size_standard_error=np.sqrt(np.einsum("ji,jik,jk->j", along, mapped_covariance, along)),
        variance=var,
        variance_standard_error=var_se,
        bias_slope=fit_power_law(sizes, mapped, mapped_covariance),
        variance_slope=fit_power_law(sizes, var[:, None], var_se[:, None, None] ** 2),
    )


def _further(progress: Callable[[int], None], before: int, now: int) -> None:
    progress(before + now)


def _variance(sample: Simulation, rows: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Trace of the mapped covariance of one group's gradient, `(B, 1)`."""
    return np.einsum("ki,bij,kj->b", rows, sample.covariance(mean), rows)[:, None]


def fit_power_law(ms: Sequence[float], values: np.ndarray, covariance: np.ndarray) -> PowerLaw:
    """Fit `values_j = v M_j^slope`, `(J, d)` with error covariance `(J, d, d)`, to d numbers v.

    Generalised least squares: v in closed form for every slope of a grid; the interval is the
    slopes whose chi-square is within `t^2` of the least, t the 95 % quantile of the normal (of
    Student's t when a misfit had to be estimated). All NaN when an error is 0.
    """
    from scipy.special import stdtrit

    log_m = np.log(np.asarray(ms, dtype=float))
    log_m = log_m - log_m.mean()
    count, d = values.shape
    dof = count * d - d - 1
    if not np.all(np.diagonal(covariance, axis1=1, axis2=2) > 0):
        return PowerLaw(math.nan, math.nan, math.nan, math.nan)

    def fit(misfit: float, scale: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Chi-square of every slope, and the fitted values at the best."""
        powers = np.exp(slopes[:, None] * log_m)  # (slopes, J)
        weight = np.linalg.inv(covariance + (misfit * scale)[:, None, None] ** 2 * np.eye(d))
        normal = np.einsum("pj,jab->pab", powers**2, weight)
        right = np.einsum("pj,jab,jb->pa", powers, weight, values)
        v = np.linalg.solve(normal, right[..., None])[..., 0]
        residual = values - powers[:, :, None] * v[:, None, :]
        chi2 = np.einsum("pja,jab,pjb->p", residual, weight, residual)
        best = int(np.argmin(chi2))
        return chi2, powers[best, :, None] * v[best]

    misfit, scale = 0.0, np.zeros(count)
    chi2, fitted = fit(misfit, scale, SLOPES)
    if dof > 0 and chi2.min() > dof:
        for _ in range(5):  # the size of the points is that of the line through them
            scale = np.linalg.norm(fitted, axis=1)
            low, high = 0.0, 1.0
            while fit(high, scale, _COARSE)[0].min() > dof and high < 1e3:
                high *= 2
            for _ in range(20):
                misfit = (low + high) / 2
                chi2, fitted = fit(misfit, scale, _COARSE)
                low, high = (misfit, high) if chi2.min() > dof else (low, misfit)
        chi2, fitted = fit(misfit, scale, SLOPES)
    limit = float(stdtrit(dof if misfit > 0 else math.inf, 0.975)) ** 2
    inside = np.flatnonzero(chi2 - chi2.min() <= limit)
    slope = SLOPES[int(np.argmin(chi2))]
    low_end = -math.inf if inside[0] == 0 else float(SLOPES[inside[0]])
    high_end = math.inf if inside[-1] == len(SLOPES) - 1 else float(SLOPES[inside[-1]])
    return PowerLaw(float(slope), low_end, high_end, misfit)
