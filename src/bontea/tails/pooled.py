"""Tail lines of many prompts that share a shape and borrow scale from each other.

One prompt says little about its own scale (with M = 16 and a tail of half, its error is 32 % of the
scale itself) and next to nothing about how its tail bends. Prompts of one policy and one reward are
alike in both, so what all of them say together is worth more:

- *shape*: one bend g of the lognormal tail (`calibrate_tail`) for all prompts, drawn towards the
  normal (0) as a guess of standard deviation 0.15 (`SHAPE_PRIOR`) would be;
- *scale*: that of each prompt is drawn towards the mean over prompts, by the share of the spread
  between prompts that is noise of the fit;
- *location* follows: where the scale of a prompt is lowered, its line turns about the point at
  which location and scale have independent errors.

The mean over prompts is hardly touched by the second and third; each single prompt gains by them.
A bend for each prompt, estimated and drawn together in the same way, makes predictions worse, and
groups of 64 do not show how much prompts differ in it (LOG.md, 2026-11-24): `BEND_SPREAD` counts it
as an error, of the size that it has on real rollouts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bontea._arrays import Array, best_from_top, check_alpha, constant, per_group, to_numpy
from bontea._json import Result
from bontea.tails.calibrate import TooFewPromptsError, calibrate_tail
from bontea.tails.fit import line_weights, require_tail
from bontea.tails.normal import tail_size
from bontea.tails.shapes import LIMITS, expected_max, get_tail

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float
    from bontea.tails.calibrate import Family


SHAPE_PRIOR = {"lognormal": (0.0, 0.15), "gp": (-0.15, 0.15)}
"""Mean and standard deviation of the guess about the shape: on normal scores, the normal tail has
g = 0, a Gumbel tail 0.3; as a generalised Pareto tail the upper quarter of a normal has -0.2."""
BEND_SPREAD = 0.15
"""Standard deviation of the shape between prompts: 0.11 to 0.17 explain the errors of predictions
from 16 to 64 rollouts of the embedded policy."""
DRAWS = 10_000
_STEP = 0.02


@dataclass(frozen=True)
class SharedShape(Result):
    """The shape parameter that all prompts share."""

    value: float
    standard_error: float
    """What remains unknown about it, as a standard deviation."""
    kept: float
    """Weight of the estimate against the guess."""
    influence: Float[np.ndarray, " P"] = field(repr=False)
    """(P,) how much each prompt moved the estimate."""


@dataclass(frozen=True)
class PooledTail(Result):
    """Tail lines of P prompts. Arrays are `(P,)`, in reward units; NaN for a group too small."""

    tail: str
    alpha: float
    location: Float[np.ndarray, " P"]
    scale: Float[np.ndarray, " P"]
    """Drawn towards the mean."""
    own_location: Float[np.ndarray, " P"]
    own_scale: Float[np.ndarray, " P"]
    """The line of each prompt by itself."""
    line_noise: Float[np.ndarray, " P"]
    """Variance of the line at the score `-turn`, where it is independent of the scale."""
    turn: Float[np.ndarray, " P"]
    scale_noise: Float[np.ndarray, " P"]
    """Variance of `scale` about the true one."""
    scale_spread: float
    """Standard deviation of true scales between prompts."""
    shape: SharedShape | None
    """None for a tail that was given."""
    near: tuple[PooledTail, PooledTail] | None = field(repr=False)
    """The fit with the shared shape a little lower and higher, for the slope in it."""

    def predict(self, n: float) -> Float[np.ndarray, " P"]:
        """Best-of-n of each prompt, `(P,)`: `location + c_n scale`."""
        return self.location + expected_max(n, self.tail) * self.scale

    def predict_alone(self, n: float) -> Float[np.ndarray, " P"]:
        """The same by each prompt's own line: independent between prompts, for errors of means."""
        return self.own_location + expected_max(n, self.tail) * self.own_scale

    def slope_in_shape(self, n: float) -> Float[np.ndarray, " P"]:
        """`d predict(n) / dg` of each prompt, fit and constant both moved; 0 for a given tail."""
        if self.near is None:
            return np.zeros_like(self.location)
        low, high = self.near
        return (high.predict(n) - low.predict(n)) / (2 * _STEP)

    def variance(self, n: float) -> Float[np.ndarray, " P"]:
        """Of `predict(n)` about the truth, each prompt: noise of the fit, and of the shape.

        line_noise + (c_n + turn)^2 scale_noise + slope^2 (error of shape^2 + BEND_SPREAD^2)
        """
        reach = expected_max(n, self.tail) + self.turn
        fit = self.line_noise + reach**2 * self.scale_noise
        unknown = 0.0 if self.shape is None else self.shape.standard_error**2 + BEND_SPREAD**2
        return fit + self.slope_in_shape(n) ** 2 * unknown


def fit_pooled(
    rewards: Float[ArrayLike, "*P M"], *, alpha: float = 0.5, tail: str = "lognormal"
) -> PooledTail:
    """Fit the tails of all prompts, `(*P, M)`, together.

    With `mu_p, sigma_p` the tail line of a prompt (`bontea.tails.fit`), whose errors have the
    covariance `sigma^2 [[S_00, S_01], [S_01, S_11]]`, s the mean scale and t^2 the variance of true
    scales between prompts, by the method of moments:

        t^2 = max(0, (var sigma_p - S_11 s^2) / (1 + S_11)),   B_p = t^2 / (t^2 + S_11 (s^2 + t^2))
        scale_p    = s + B_p (sigma_p - s)
        location_p = mu_p + S_01 / S_11 (scale_p - sigma_p)

    and the shared shape is the mean of its estimate and the guess `SHAPE_PRIOR`, weighed by inverse
    variances.

    Parameters
    ----------
    alpha
        Tail fraction.
    tail
        `"lognormal"` (the default) or `"gp"`, whose parameter is estimated from all prompts (with
        one prompt, or prompts without a spread, it stays at the guess), or any name of
        `bontea.tails.shapes`, taken as known.

    Prompts whose rewards are all equal predict their value, and take no part in the pooling. Raises
    GroupTooSmallError when no group has 3 rewards in its tail, ValueError for infinite rewards or
    an unknown tail. Ours.

    >>> rng = np.random.default_rng(0)
    >>> scale = rng.uniform(0.8, 1.2, size=(200, 1))
    >>> rewards = scale * rng.normal(size=(200, 16))
    >>> truth = expected_max(128) * scale[:, 0]
    >>> alone = fit_pooled(rewards[:1], tail="normal").variance(128)[0] ** 0.5
    >>> error = (fit_pooled(rewards, tail="normal").predict(128) - truth).std()
    >>> round(float(alone), 1), round(float(error), 1)
    (1.1, 0.4)
    """
    alpha = check_alpha(alpha)
    if tail not in SHAPE_PRIOR:
        tail = get_tail(tail).name
        (line,), worst, size = _lines(rewards, alpha, [tail])
        return _pool(line, worst, size, alpha, tail)
    guess, width = SHAPE_PRIOR[tail]
    try:
        found = calibrate_tail(rewards, alpha=alpha, family=cast("Family", tail))
        g, se, influence = found.parameter, found.standard_error, found.influence
    except TooFewPromptsError:
        g, se, influence = guess, np.inf, None
    kept = width**2 / (width**2 + se**2)
    low, high = LIMITS[tail]
    # To two digits, far below its error: tables of the shape are kept from call to call.
    g = round(float(np.clip(guess + kept * (g - guess), low + _STEP, high - _STEP)), 2)
    names = [get_tail(f"{tail}({g + step:.2f})").name for step in (0.0, -_STEP, _STEP)]
    (line, *near), worst, size = _lines(rewards, alpha, names)
    if influence is None:
        influence = np.zeros(len(size))
    shape = SharedShape(g, float(width * np.sqrt(1 - kept)), float(kept), influence)
    below, above = (
        _pool(other, worst, size, alpha, name) for other, name in zip(near, names[1:], strict=True)
    )
    return _pool(line, worst, size, alpha, names[0], shape, (below, above))


def _lines(
    rewards: Any, alpha: float, tails: list[str]
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """For each tail location and scale of the line, `(P, 2)`, from one sort of the rewards.

    And the worst reward minus the best, and the size of each group, `(P,)`.
    """

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        k = require_tail(m, alpha)
        best_first = best_from_top(r, xp)
        weights = np.concatenate([_line(m, k, tail) for tail in tails], axis=1)
        lines = best_first[:, :k] @ constant(weights, r, xp)
        worst = best_first[:, -1:]
        top = xp.max(r, axis=-1, keepdims=True)
        return xp.concat([lines, top, worst, xp.full_like(worst, m)], axis=-1)

    rows = to_numpy(per_group(rewards, kernel, per_rollout=False, missing=np.nan))
    *lines, top, worst, size = rows.reshape(-1, 2 * len(tails) + 3).T
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return [np.stack([top + mu, sigma], axis=-1) for mu, sigma in pairs], worst, size


def _pool(
    line: np.ndarray,
    worst: np.ndarray,
    size: np.ndarray,
    alpha: float,
    tail: str,
    shape: SharedShape | None = None,
    near: tuple[PooledTail, PooledTail] | None = None,
) -> PooledTail:
    """The scales drawn together, for one tail."""
    mu, sigma = line.T
    errors = np.full((len(line), 2, 2), np.nan)
    for m in np.unique(size[np.isfinite(size)]):
        errors[size == m] = line_covariance(int(m), alpha, tail)
    s00, s01, s11 = errors[:, 0, 0], errors[:, 0, 1], errors[:, 1, 1]

    use = worst < 0  # False for NaN, and for prompts whose rewards are all equal
    count = int(use.sum())
    scale, kept, between = sigma, np.ones_like(sigma), 0.0
    own = np.where(use, sigma**2, 0.0)
    if count > 1:
        mean, noise = sigma[use].mean(), s11[use].mean()
        between = max((sigma[use].var(ddof=1) - noise * mean**2) / (1 + noise), 0.0)
        kept = np.where(use, between / (between + s11 * (mean**2 + between)), 1.0)
        scale = np.where(use, mean + kept * (sigma - mean), sigma)
        # Noise goes with the true scale: mean square of what is known of it.
        own = np.where(use, scale**2 + (1 - kept) * between, 0.0)
    return PooledTail(
        tail=tail,
        alpha=alpha,
        location=mu + s01 / s11 * (scale - sigma),
        scale=scale,
        own_location=mu,
        own_scale=sigma,
        line_noise=(s00 - s01**2 / s11) * own,
        turn=s01 / s11,
        scale_noise=s11 * own * (kept + (1 - kept) ** 2 / max(count, 1)),
        scale_spread=float(np.sqrt(between)),
        shape=shape,
        near=near,
    )


def _line(m: int, k: int, tail: str) -> np.ndarray:
    """Weights on the k best rewards, best first, `(k, 2)`: location and scale of the line."""
    at_zero, at_one = (line_weights(m, range(k), at, tail) for at in (0.0, 1.0))
    return np.stack([at_zero, at_one - at_zero], axis=-1)


@lru_cache(maxsize=512)
def line_covariance(m: int, alpha: float, tail: str = "normal") -> np.ndarray:
    """Covariance of the errors of a line's location and scale, in units of scale^2, `(2, 2)`.

    By simulation of the best `ceil(alpha m)` of m standard rewards, `DRAWS` groups with a fixed
    seed: 1 % of the variances.

    >>> line_covariance(16, 0.5)[1, 1].round(1)  # the scale of one group has an error of 32 %
    np.float64(0.1)
    """
    k = tail_size(alpha, m)
    value, weights = get_tail(tail).value, _line(m, k, tail)
    rng = np.random.default_rng(0)
    parts = [value(best_normals(rng, DRAWS // 20, m, k)) @ weights for _ in range(20)]
    return np.cov(np.concatenate(parts).T)


def best_normals(rng: np.random.Generator, count: int, m: int, k: int) -> np.ndarray:
    """The k best of m standard normal variables, best first, `(count, k)`, without the others.

    Upper tail probabilities of ordered uniforms are ratios of sums of exponentials.
    """
    from scipy.special import ndtri

    sums = rng.standard_exponential((count, k)).cumsum(axis=1)
    rest = rng.standard_gamma(m + 1 - k, (count, 1))
    return -ndtri(sums / (sums[:, -1:] + rest))
