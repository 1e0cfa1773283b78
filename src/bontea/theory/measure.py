"""What an estimator really optimises: effective N, cosine and signal-to-noise, by simulation.

Groups of M rewards are drawn from a known law, the estimator is run on them, and its expected
gradient in (location, log scale) of the latent,

    s = E[(1/M) sum_i A_i S_i],

is compared with the exact gradient g(N) of V_N (`bontea.theory.exact`). With I the Fisher
information of the scores and `<a, b> = a' I^-1 b`:

- effective N: the N' with `g_2(N') / g_1(N') = s_2 / s_1`, the budget the estimator optimises;
- cosine: `<s, g> / (|s| |g|)`, 1 when the direction is right;
- SNR: `<s, g> / |g|` over the root-mean-square advantage. Rollouts needed go as 1 / SNR^2.

Control variates: scores summed over the rollouts between fixed quantiles of the latent have known
expectations, and explain half of a group's gradient at M = 16 and nine tenths at M = 128. Their
coefficients come from the other half of the groups, so nothing is shifted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from bontea._arrays import Array, check_k, check_n
from bontea._errors import BonteaError
from bontea._json import Result
from bontea._numbers import number
from bontea.advantages.spec import EstimatorSpec
from bontea.theory.exact import LARGEST_N, fisher_information, gradient, gradients
from bontea.theory.laws import Law, get_law

BLOCKS = 64
"""Independent parts of a simulation, for standard errors by the jackknife."""

UPPER_LEVELS = (0.75, 0.5, 0.25, 0.125, 0.06, 0.03, 0.015)
"""Probabilities above the edges of the bins whose scores are the control variates."""

_LEAST_BLOCKS = 8


@dataclass(frozen=True)
class Alignment(Result):
    """What one estimator optimises on one law. `str()` is a page.

    Gradients are `(2,)`: location and log scale of the latent, in reward units.
    """

    estimator: str
    law: str
    n: float
    m: int
    groups: int
    value: float
    """Effective N, the budget really optimised; 1 when below what any N wants, inf when beyond, see
    `message`."""
    standard_error: float
    """Of `value`."""
    cosine: float
    cosine_standard_error: float
    snr: float
    """Per rollout."""
    snr_standard_error: float
    gradient: np.ndarray
    gradient_standard_error: np.ndarray
    truth: np.ndarray
    """The exact gradient of V_N."""
    variance: np.ndarray
    """Of one group's gradient."""
    variance_standard_error: np.ndarray
    message: str
    """Why a number is NaN or infinite; empty when none is."""

    @property
    def bias(self) -> np.ndarray:
        """`gradient - truth`; its standard error is `gradient_standard_error`."""
        return self.gradient - self.truth

    def _budget(self) -> str:
        """The effective N in words where there is no number."""
        if math.isinf(self.value):
            return f"beyond {number(LARGEST_N)}, more than can be told"
        if math.isnan(self.value):
            return "not defined"
        error = number(self.standard_error, 2) if math.isfinite(self.standard_error) else "?"
        return f"{number(self.value, 4)} ± {error}"

    def __str__(self) -> str:
        def pair(values: np.ndarray, errors: np.ndarray) -> str:
            return "  ".join(f"{v:8.4f} ± {e:.4f}" for v, e in zip(values, errors, strict=True))

        lines = [
            f"{self.estimator} on {self.law} rewards: N = {number(self.n)} from M = {self.m}",
            f"  effective N  {self._budget()}",
            f"  cosine       {self.cosine:.4f} ± {self.cosine_standard_error:.4f}",
            f"  SNR          {self.snr:.4f} ± {self.snr_standard_error:.4f}   per rollout",
            "                 location             log scale",
            f"  gradient     {pair(self.gradient, self.gradient_standard_error)}",
            f"  truth        {self.truth[0]:8.4f}{'':12}{self.truth[1]:8.4f}",
            f"  bias         {pair(self.bias, self.gradient_standard_error)}",
            f"  variance     {pair(self.variance, self.variance_standard_error)}   of one group",
            f"  {self.groups:,} groups; ± is a standard error",
        ]
        return "\n".join([*lines, f"  note: {self.message}"] if self.message else lines)


def effective_n(
    estimator: str | Callable[..., Array] | EstimatorSpec,
    *,
    n: float,
    m: int,
    law: Any = "normal",
    groups: int = 40_000,
    batch: int | None = None,
    rng: np.random.Generator | int | None = None,
    progress: Callable[[int], None] | None = None,
    **params: Any,
) -> Alignment:
    """Measure what `estimator` optimises when it is asked for best-of-`n` and sees `m` rollouts.

    Parameters
    ----------
    estimator
        Anything that `EstimatorSpec.of` takes: a key in `ADVANTAGES`, text such as
        `"max_at_k(k=8)"`, `"module:function"`, or a callable `(rewards (P, m)) -> (P, m)`. `n`,
        `rng` and a `k` that is not given (`default_k`) are passed on if its signature has them.
    law
        Anything that `get_law` takes.
    groups
        How many groups are drawn; rounded up to whole batches.
    batch
        Groups in one call of the estimator. It matters for estimators that look at the whole
        batch, and for memory; the default divides the groups into 64 calls or more.
    rng
        Seed or NumPy generator; the same seed gives the same result.
    progress
        Called with the number of groups done so far.
    params
        For the estimator, such as `alpha=0.5` or `k=8`.

    Raises
    ------
    GroupTooSmallError
        m is too small for the estimator.
    ValueError
        An unknown estimator or law, n outside [1, 1e9], m < 1, too few groups, or advantages that
        are not finite or not of the shape of the rewards.

    >>> result = effective_n("tea", n=128, m=16, groups=4000, rng=0)
    >>> 20 < result.value < 26  # far from 128: the bias of TEA at M = 16
    True
    """
    law, n, m = get_law(law), check_n(n), check_k(m, "m")
    truth = np.array(gradient(law, n)[:2])
    spec = EstimatorSpec.of(estimator, **params).bind(n=n, m=m)
    sample = simulate(spec, law, m, groups=groups, batch=batch, rng=rng, progress=progress)

    metric = np.linalg.inv(fisher_information(law))
    length = math.sqrt(truth @ metric @ truth)

    def figures(mean: np.ndarray) -> np.ndarray:
        s, power = mean[:, :2], mean[:, 7]
        with np.errstate(divide="ignore", invalid="ignore"):
            along = s @ metric @ truth / length
            cosine = along / np.sqrt(np.einsum("bi,ij,bj->b", s, metric, s))
            snr = along / np.sqrt(power)
        variance = np.diagonal(sample.covariance(mean), axis1=1, axis2=2)
        return np.column_stack([_budgets(law, s), cosine, snr, s, variance])

    value, se = sample.jackknife(figures)
    return Alignment(
        estimator=spec.label,
        law=law.name,
        n=n,
        m=m,
        groups=sample.groups,
        value=float(value[0]),
        standard_error=float(se[0]),
        cosine=float(value[1]),
        cosine_standard_error=float(se[1]),
        snr=float(value[2]),
        snr_standard_error=float(se[2]),
        gradient=value[3:5],
        gradient_standard_error=se[3:5],
        truth=truth,
        variance=value[5:7],
        variance_standard_error=se[5:7],
        message=_message(law, truth, value),
    )


@dataclass(frozen=True)
class Simulation(Result):
    """Means over the groups of each block, and what follows from their means."""

    blocks: np.ndarray
    """`(B, 8)`: gradient after control variates (2), gradient s (2), s1^2, s2^2, s1 s2, A^2."""
    groups: int

    def covariance(self, mean: np.ndarray) -> np.ndarray:
        """Covariance matrix of one group's gradient from rows of means, `(rows, 2, 2)`."""
        square = mean[:, [4, 6, 6, 5]].reshape(-1, 2, 2)
        outer = mean[:, 2:4, None] * mean[:, None, 2:4]
        return (square - outer) * (self.groups / (self.groups - 1))

    def jackknife(
        self, figures: Callable[[np.ndarray], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """`figures` of the mean over blocks, and standard errors: figures map rows to rows."""
        count = len(self.blocks)
        total = self.blocks.sum(0)
        value = figures(total[None] / count)[0]
        without = figures((total - self.blocks) / (count - 1))
        with np.errstate(invalid="ignore"):
            spread = np.square(without - without.mean(0)).sum(0)
        return value, np.sqrt(spread * (count - 1) / count)


def simulate(
    estimator: EstimatorSpec,
    law: Law,
    m: int,
    *,
    groups: int,
    batch: int | None = None,
    rng: np.random.Generator | int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Simulation:
    """Run a bound estimator on `groups` groups of m rewards of `law`, a batch at a time."""
    groups = check_k(groups, "groups")
    if batch is None:  # small ones stay in the cache
        batch = max(1, min(groups // BLOCKS, 2**17 // m))
    calls = -(-groups // check_k(batch, "batch"))
    if calls < _LEAST_BLOCKS:
        raise BonteaError(
            f"groups={groups} in batches of {batch} make {calls} calls of the estimator: standard "
            f"errors need at least {_LEAST_BLOCKS}; draw more groups, or use smaller batches"
        )
    count = min(BLOCKS, calls)
    edges, expected = _bins(law)
    own, theirs = np.random.default_rng(rng).spawn(2)
    sums = np.zeros((count, 7 + len(expected)))  # s, its products, A^2, controls, groups
    moments = np.zeros((2, 3 + len(expected), 3 + len(expected)))  # by parity of the block
    for call in range(calls):
        x = law.latent.draw(own, (batch, m))
        rewards = law.reward(x)
        a = np.asarray(estimator(rewards, rng=theirs), dtype=float)
        scores = law.latent.scores(x)
        s = (a * scores).mean(-1).T
        controls = _controls(x, scores, edges) - expected
        block = call * count // calls
        ones = np.ones(batch)
        means = [*s.T, *(s * s).T, s[:, 0] * s[:, 1], (a * a).mean(-1), *controls.T, ones]
        sums[block] += [float(value.sum()) for value in means]
        z = np.column_stack([ones, s, controls])
        moments[block % 2] += z.T @ z
        if progress is not None:
            progress((call + 1) * batch)
    mean = sums[:, :-1] / sums[:, -1:]
    s = mean[:, :2].copy()
    for parity in (0, 1):
        s[parity::2] -= mean[parity::2, 6:] @ _coefficients(moments[1 - parity])
    return Simulation(np.concatenate([s, mean[:, :6]], axis=1), calls * batch)


def _bins(law: Law) -> tuple[np.ndarray, np.ndarray]:
    """Edges between bins of the latent, and the expectations of `_controls`.

    `E[psi(X); a < X < b] = f(a) - f(b)`, and `E[X psi(X) - 1; ...] = a f(a) - b f(b)`.
    """
    edges = law.latent.isf(np.array(UPPER_LEVELS))
    f = np.pad(law.latent.pdf(edges), 1)
    xf = np.pad(edges * law.latent.pdf(edges), 1)
    return edges, np.concatenate([-np.diff(f), -np.diff(xf)])


def _controls(x: np.ndarray, scores: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Group means of the scores of the rollouts in each bin, `(P, 2 bins)`."""
    above = [scores.mean(-1)] + [np.where(x > edge, scores, 0.0).mean(-1) for edge in edges]
    cumulative = np.stack([*above, np.zeros_like(above[0])])  # (bins + 1, 2, P)
    return np.concatenate(list(-np.diff(cumulative, axis=0).transpose(1, 0, 2)), axis=0).T


def _coefficients(moments: np.ndarray) -> np.ndarray:
    """Regression of the gradient on the controls, `(controls, 2)`; 0 when there are few groups."""
    count = moments[0, 0]
    width = len(moments) - 3
    if count < 10 * width:
        return np.zeros((width, 2))
    covariance = moments[1:, 1:] / count - np.outer(moments[0, 1:], moments[0, 1:]) / count**2
    scale = np.sqrt(np.maximum(np.diag(covariance)[2:], 1e-300))
    xx = covariance[2:, 2:] / scale[:, None] / scale
    xy = covariance[2:, :2] / scale[:, None]
    return np.linalg.lstsq(xx, xy, rcond=1e-10)[0] / scale[:, None]


# --- effective N -----------------------------------------------------------------------------


@lru_cache(maxsize=64)
def budget_curve(law: Law) -> tuple[np.ndarray, np.ndarray]:
    """`(log N, g_2 / g_1)` of the exact gradient, rising, from N = 1 to 1e9 or the law's last N.

    The ratio is the mean of X where the best of N is moved by it, so it rises with N; on a law
    with a best value it ends (all of the gradient is at the last jump), and on one with a single
    jump it is one number.
    """
    log_n = np.linspace(0, math.log(LARGEST_N), 600)
    g = gradients(law, np.exp(log_n))
    positive = g[:, 0] > 0
    ratio = np.divide(g[:, 1], g[:, 0], out=np.zeros(len(g)), where=positive)
    step = 1e-9 * (1 + np.abs(ratio[0]))
    rising = positive & np.append(True, np.diff(ratio) > step)
    length = len(g) if rising.all() else int(np.argmin(rising))
    return log_n[:length], ratio[:length]


def _budgets(law: Law, s: np.ndarray) -> np.ndarray:
    """Effective N of gradients `(B, 2)`."""
    from scipy.interpolate import PchipInterpolator

    log_n, ratio = budget_curve(law)
    if len(log_n) < 2:
        return np.full(len(s), math.nan)
    forward = s[:, 0] > 0
    got = np.divide(s[:, 1], s[:, 0], out=np.full(len(s), math.inf), where=forward)
    inside = np.clip(got, ratio[0], ratio[-1])
    out = np.exp(PchipInterpolator(ratio, log_n)(inside))
    out = np.where(got > ratio[-1], math.inf, np.where(got <= ratio[0], 1.0, out))
    return np.where(forward | (s[:, 1] > 0), out, math.nan)


def _message(law: Law, truth: np.ndarray, value: np.ndarray) -> str:
    budget, got = value[0], value[3:5]
    if not truth.any():
        return "the rewards of this law never differ: there is nothing to optimise"
    if not got.any():
        return "every advantage is 0: the estimator does nothing on this law"
    log_n, _ = budget_curve(law)
    if len(log_n) < 2:
        return (
            "effective N does not exist: rewards take two values, and the gradient has the same "
            "direction for every N"
        )
    if math.isnan(budget):
        return "effective N does not exist: the estimator lowers location and log scale"
    if math.isinf(budget):
        return (
            f"the direction is beyond that of N = {number(math.exp(log_n[-1]), 3)}, the "
            "largest there is"
        )
    return ""
