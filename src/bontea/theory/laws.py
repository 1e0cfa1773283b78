"""Reward laws: what a policy's rewards are distributed as, and how the policy can move them.

A law is a nondecreasing function of a latent variable, `R = h(X)`, and the policy moves X in
location and log scale (and, for some laws, in shape). X has a density f on the whole real line, so
that the score functions exist:

    S_location = psi(x) = -d log f / dx,    S_log_scale = x psi(x) - 1.

- A reward distribution on the whole line is its own latent: `h` is linear.
- One with an edge (exponential, uniform, beta, ...) has no location score: moving it would create
  rewards that the old policy never gives. Its latent is standard normal, with `R = Q(Phi(X))`, Q
  the quantile function. The same holds for laws with atoms: `h` then has jumps and flat parts.

Build one with `from_distribution`, `mixture`, `with_atoms`, `discrete`, `empirical` or `rounded`;
`LAWS` has the usual ones by name, and `get_law` turns a name, a frozen SciPy distribution or a
sample into a law.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from bontea._errors import BonteaError, WrongTypeError
from bontea._numbers import number, typed
from bontea.theory._latents import (
    GUMBEL_RANGE,
    Function,
    Latent,
    distribution_latent,
    mixture_latent,
    normal_latent,
    normal_pdf,
    standardise,
)

MOST_JUMPS = 100_000


@dataclass(frozen=True, eq=False)
class Shape:
    """A shape parameter of the latent that the policy can move as well."""

    name: str
    value: float
    score: Function
    """`d log pdf(x) / d shape`."""
    at: Callable[[float], Law]
    """The law at another value of the shape."""


@dataclass(frozen=True, eq=False)
class Law:
    """`R = reward(X)`, X the latent. Rewards, slope and heights are in reward units."""

    name: str
    latent: Latent
    reward: Function
    """`h`, nondecreasing and continuous from the right."""
    slope: Function | None
    """`h'` away from the jumps; None when `h` moves by jumps only."""
    jumps: np.ndarray = field(default_factory=lambda: np.empty(0))
    """`(J,)` latent positions where `h` jumps, ascending."""
    heights: np.ndarray = field(default_factory=lambda: np.empty(0))
    """`(J,)` by how much."""
    kinks: tuple[float, ...] = ()
    """Latent positions where `h` has a kink."""
    shape: Shape | None = None

    def __repr__(self) -> str:
        return f"Law({self.name!r})"

    def continuous(self, x: np.ndarray) -> np.ndarray:
        """`h` without its jumps."""
        if len(self.jumps) == 0:
            return self.reward(x)
        total = np.append(0.0, np.cumsum(self.heights))
        return self.reward(x) - total[np.searchsorted(self.jumps, x, side="right")]

    def latent_below(self, r: Any) -> np.ndarray:
        """The largest latent x with `h(x) <= r`, to rounding; the lowest looked at if none is."""
        return self._around(r)[0]

    def _around(self, r: Any) -> tuple[np.ndarray, np.ndarray]:
        """Neighbouring latents, as numbers of the machine go, with `h(low) <= r < h(high)`."""
        r = np.asarray(r, dtype=float)
        ends = np.arcsinh(self.latent.at(np.array(GUMBEL_RANGE)))
        low, high = np.full(r.shape, ends[0]), np.full(r.shape, ends[1])
        for _ in range(70):  # bisection in arcsinh(x): relative where x is large
            middle = (low + high) / 2
            below = self.reward(np.sinh(middle)) <= r
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.sinh(low), np.sinh(high)


# --- constructors ----------------------------------------------------------------------------


def from_distribution(distribution: Any, *, name: str | None = None) -> Law:
    """The law of a frozen continuous SciPy distribution, such as `scipy.stats.t(5)`.

    On the whole line its latent is SciPy's standard variate, `R = loc + scale X`. With an edge the
    latent is standard normal and `R = Q(Phi(X))`: no policy can move such a law in location.

    Raises ValueError when the mean is not finite (best-of-N then has no value), TypeError for what
    is not a frozen continuous distribution.

    >>> from scipy import stats
    >>> law = from_distribution(stats.expon())
    >>> law.reward(np.array([0.0])).round(6).tolist()  # the median
    [0.693147]
    """
    dist = _require_continuous(distribution)
    name = name or dist.dist.name
    low, high = dist.support()
    if math.isinf(low) and math.isinf(high):
        loc, scale, standard = standardise(dist)
        return Law(
            name,
            distribution_latent(standard),
            reward=lambda x: loc + scale * np.asarray(x, dtype=float),
            slope=lambda x: np.full(np.shape(x), scale),
        )
    return _on_normal(name, dist)


def _on_normal(name: str, dist: Any) -> Law:
    latent = normal_latent()

    def reward(x: np.ndarray) -> np.ndarray:
        p, q = latent.cdf(x), latent.sf(x)
        low = p < 0.5
        return np.where(low, dist.ppf(np.where(low, p, 0.5)), dist.isf(np.where(low, 0.5, q)))

    return Law(name, latent, reward, lambda x: _ratio(latent.pdf(x), dist.pdf(reward(x))))


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`a / b`; 0 where b is 0, which happens only where the reward has run out of digits."""
    return np.where(b > 0, a / np.where(b > 0, b, 1.0), 0.0)


def _require_continuous(distribution: Any) -> Any:
    if not all(hasattr(distribution, part) for part in ("isf", "dist", "pdf", "support")):
        raise WrongTypeError(
            f"{distribution!r} is not a frozen continuous SciPy distribution such as "
            "scipy.stats.norm(0, 1). For a discrete one use discrete(values, probabilities)"
        )
    if not math.isfinite(distribution.mean()):
        raise BonteaError(
            f"{distribution.dist.name}{distribution.args} has no finite mean: the expected best of "
            "N does not exist"
        )
    return distribution


def mixture(components: Sequence[Any], weights: Sequence[float], *, name: str = "mixture") -> Law:
    """A mixture of frozen continuous SciPy distributions on the whole line: its own latent, R = X.

    `weights` are positive and sum to 1. Raises ValueError otherwise, or for a component with an
    edge.

    >>> from scipy import stats
    >>> law = mixture([stats.norm(), stats.norm(-2, 1.5)], [0.8, 0.2])
    >>> law.latent.cdf(np.array([0.0])).round(4).tolist()
    [0.5818]
    """
    parts = [_require_continuous(part) for part in components]
    w = np.asarray(weights, dtype=float)
    if len(parts) == 0 or w.shape != (len(parts),) or not (w > 0).all() or abs(w.sum() - 1) > 1e-9:
        raise BonteaError(
            f"weights {list(weights)} must be positive, sum to 1, and be as many as the "
            f"{len(parts)} components"
        )
    for part in parts:
        if not all(map(math.isinf, part.support())):
            raise BonteaError(
                f"component {part.dist.name} has an edge at {part.support()}: a mixture is its own "
                "latent and needs components on the whole line"
            )
    latent = mixture_latent(parts, w)
    return Law(name, latent, lambda x: np.asarray(x, dtype=float), np.ones_like)


def with_atoms(distribution: Any, atoms: Mapping[float, float], *, name: str = "atoms") -> Law:
    """A continuous distribution with atoms: `{value: probability}`, on a standard normal latent.

    The rest of the probability follows `distribution`, a frozen continuous SciPy distribution.
    Raises ValueError for probabilities that are not positive, or that leave nothing for it (use
    `discrete`).

    >>> from scipy import stats
    >>> law = with_atoms(stats.halfnorm(), {-1.0: 0.5})  # normal above 0, an atom at -1
    >>> law.reward(np.array([-2.0, -0.1, 0.5])).round(9).tolist()
    [-1.0, -1.0, 0.5]
    """
    dist, latent = _require_continuous(distribution), normal_latent()
    where = np.array(sorted(atoms), dtype=float)
    mass = np.array([atoms[value] for value in sorted(atoms)], dtype=float)
    if not np.isfinite(where).all() or not (mass > 0).all() or not mass.sum() < 1:
        raise BonteaError(
            f"atoms {dict(atoms)} need finite values and positive probabilities that sum to less "
            "than 1; for a law of atoms only use discrete(values, probabilities)"
        )
    rest, count = 1 - mass.sum(), len(where)
    below = np.append(0.0, np.cumsum(mass))  # mass of the atoms below, by number of atoms passed
    above = np.append(np.cumsum(mass[::-1])[::-1], 0.0)
    start = latent.quantile(rest * dist.cdf(where) + below[:-1], rest * dist.sf(where) + above[:-1])
    end = latent.quantile(rest * dist.cdf(where) + below[1:], rest * dist.sf(where) + above[1:])

    def reward(x: np.ndarray) -> np.ndarray:
        passed = np.searchsorted(end, x, side="right")
        p = np.clip((latent.cdf(x) - below[passed]) / rest, 0, 1)
        q = np.clip((latent.sf(x) - above[passed]) / rest, 0, 1)
        values = np.where(p < 0.5, dist.ppf(p), dist.isf(q))
        return np.where(on_atom(x), where[np.minimum(passed, count - 1)], values)

    def on_atom(x: np.ndarray) -> np.ndarray:
        return np.searchsorted(start, x, side="right") > np.searchsorted(end, x, side="right")

    def slope(x: np.ndarray) -> np.ndarray:
        return np.where(on_atom(x), 0.0, _ratio(latent.pdf(x), rest * dist.pdf(reward(x))))

    # Between neighbouring atoms there is either a stretch of `distribution`, or one jump.
    low, high = dist.support()
    jumps, heights = [], []
    for i, value in enumerate(where):
        joined = i > 0 and start[i] <= end[i - 1]
        before = where[i - 1] if joined else min(value, high)
        last = i + 1 == count or start[i + 1] > end[i]
        after = max(value, low) if last else value
        jumps += [start[i], end[i]]
        heights += [value - before, after - value]
    keep = np.isfinite(jumps) & (np.array(heights) > 0)
    kinks = tuple(float(x) for x in [*start, *end] if math.isfinite(x))
    return Law(name, latent, reward, slope, np.array(jumps)[keep], np.array(heights)[keep], kinks)


def discrete(values: Any, probabilities: Any, *, name: str = "discrete") -> Law:
    """A law of finitely many values, on a standard normal latent. One value makes a constant law.

    Raises ValueError unless values are finite and probabilities positive, with sum 1.

    >>> discrete([0, 1], [0.9, 0.1]).jumps.round(3).tolist()
    [1.282]
    """
    v, p = np.asarray(values, dtype=float).ravel(), np.asarray(probabilities, dtype=float).ravel()
    if len(v) == 0 or v.shape != p.shape or not np.isfinite(v).all():
        raise BonteaError(f"values {values} must be finite, and as many as their probabilities")
    if not (p > 0).all() or abs(p.sum() - 1) > 1e-9:
        raise BonteaError(f"probabilities {probabilities} must be positive and sum to 1")
    levels, which = np.unique(v, return_inverse=True)
    mass = np.bincount(which, weights=p)
    latent = normal_latent()
    low, high = np.cumsum(mass)[:-1], np.cumsum(mass[::-1])[::-1][1:]
    jumps = latent.quantile(low, high)
    return Law(
        name,
        latent,
        lambda x: levels[np.searchsorted(jumps, x, side="right")],
        None,
        jumps,
        np.diff(levels),
    )


def empirical(sample: Any, *, name: str = "empirical") -> Law:
    """The law of a sample of rewards, each value equally likely; in any order, ties allowed.

    Raises ValueError for an empty sample or one with NaN or infinite values.

    >>> empirical([3.0, 1.0, 2.0, 2.0]).heights.tolist()
    [1.0, 1.0]
    """
    values = np.asarray(sample, dtype=float).ravel()
    if len(values) == 0:
        raise BonteaError("the sample is empty: an empirical law needs at least one reward")
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise BonteaError(
            f"the sample holds {values[bad[0]]} at position {bad[0]} ({len(bad)} such values in "
            "all): leave missing rewards out and clip infinite ones"
        )
    return discrete(values, np.full(len(values), 1 / len(values)), name=name)


def rounded(law: Any, step: float, *, name: str | None = None) -> Law:
    """`law` with its rewards rounded to the nearest multiple of `step`.

    Raises ValueError unless step > 0, and when the grid has more than 100,000 points with a
    probability above 1e-20.

    >>> rounded("normal", 0.5).reward(np.array([0.2, 0.3, 5.1])).tolist()
    [0.0, 0.5, 5.0]
    """
    base = get_law(law)
    if not step > 0 or math.isinf(step):
        raise BonteaError(f"step={step!r} must be a positive number, in reward units")
    low, high = base.reward(base.latent.quantile([1e-20, 1.0], [1.0, 1e-20])) / step
    if high - low > MOST_JUMPS:
        raise BonteaError(
            f"step={typed(step)} makes {number(high - low, 3)} grid points on {base.name}, more "
            f"than {MOST_JUMPS}: use a larger step"
        )
    plain = Law(
        name or f"{base.name} rounded to {typed(step)}",
        base.latent,
        lambda x: step * np.floor(base.reward(x) / step + 0.5),
        None,
    )
    grid = step * np.arange(np.floor(low + 0.5), np.floor(high + 0.5))
    jumps, times = np.unique(plain._around(grid + step / 4)[1], return_counts=True)
    shape = base.shape
    if shape is not None:
        unrounded = shape.at
        shape = replace(shape, at=lambda to: rounded(unrounded(to), step))
    return replace(plain, jumps=jumps, heights=step * times, shape=shape)


# --- the table -------------------------------------------------------------------------------


def _exponential_body() -> Law:
    """Normal above 0, minus an exponential variable below."""
    from scipy.special import log_ndtr, ndtr

    def slope(x: np.ndarray) -> np.ndarray:
        below = np.minimum(x, 0)
        return np.where(x >= 0, 1.0, normal_pdf(below) / ndtr(below))

    return Law(
        "exponential_body",
        normal_latent(),
        reward=lambda x: np.where(x >= 0, x, math.log(2) + log_ndtr(np.minimum(x, 0))),
        slope=slope,
        kinks=(0.0,),
    )


def student_t(df: float = 5.0) -> Law:
    """Student's t, with its degrees of freedom as a shape: the policy can fatten the tails.

    Raises ValueError unless df > 1 (the mean must exist).
    """
    from scipy import stats
    from scipy.special import digamma

    if not df > 1 or math.isinf(df):
        raise BonteaError(f"df={df!r} must be above 1: the expected best of N does not exist")
    half = digamma((df + 1) / 2) - digamma(df / 2) - 1 / df

    def score(x: np.ndarray) -> np.ndarray:
        square = np.square(x)
        return (half - np.log1p(square / df) + (df + 1) / df * square / (df + square)) / 2

    law = from_distribution(stats.t(df), name="student_t")
    return replace(law, shape=Shape("df", float(df), score, student_t))


def _named(build: Callable[[], Law], name: str) -> Callable[[], Law]:
    return lru_cache(maxsize=1)(lambda: replace(build(), name=name))


def _scipy(name: str, *args: float) -> Law:
    from scipy import stats

    return from_distribution(getattr(stats, name)(*args))


def _atom() -> Law:
    from scipy import stats

    return with_atoms(stats.halfnorm(), {-1.0: 0.5})


def _skewed_mixture() -> Law:
    from scipy import stats

    return mixture([stats.norm(), stats.norm(-2, 1.5)], [0.8, 0.2])


_BUILDERS: dict[str, Callable[[], Law]] = {
    "normal": partial(_scipy, "norm"),
    "exponential_body": _exponential_body,  # only the upper half is normal
    "atom": _atom,  # normal above 0, half the mass in one atom at -1
    "logistic": partial(_scipy, "logistic"),
    "gumbel": partial(_scipy, "gumbel_r"),
    "exponential": partial(_scipy, "expon"),
    "student_t": student_t,
    "uniform": partial(_scipy, "uniform"),
    "beta": partial(_scipy, "beta", 2, 2),
    "skewed_mixture": _skewed_mixture,  # 0.8 N(0, 1) + 0.2 N(-2, 1.5^2)
    "rounded": lambda: rounded("normal", 0.5),
    "bernoulli": lambda: discrete([0, 1], [0.9, 0.1]),  # a success in 10
}
LAWS: dict[str, Callable[[], Law]] = {
    name: _named(build, name) for name, build in _BUILDERS.items()
}
"""Name -> function that builds the law (once)."""


def get_law(law: Any) -> Law:
    """A law from its name in `LAWS`, a frozen SciPy distribution, a sample, or itself.

    Raises ValueError for an unknown name, naming the nearest one, or a sample that is empty or not
    finite; TypeError for anything else.

    >>> get_law("gumbel"), get_law([1.0, 2.0])
    (Law('gumbel'), Law('empirical'))
    """
    if isinstance(law, Law):
        return law
    if isinstance(law, str):
        if law in LAWS:
            return LAWS[law]()
        near = difflib.get_close_matches(law, LAWS, n=1, cutoff=0.4)
        raise BonteaError(
            f"unknown law {law!r}"
            + (f"; did you mean {near[0]!r}?" if near else "")
            + f" Known: {', '.join(LAWS)}; or a frozen SciPy distribution, or a sample of rewards"
        )
    if hasattr(law, "dist") or callable(law):
        return from_distribution(law)
    try:
        values = np.asarray(law, dtype=float)
    except (TypeError, ValueError):
        values = None
    if values is None or values.ndim == 0:
        raise WrongTypeError(
            f"{law!r} is not a law: give a name ({', '.join(LAWS)}), a Law, a frozen continuous "
            "SciPy distribution, or a sample of rewards"
        )
    if values.ndim > 1:
        raise BonteaError(
            f"rewards of shape {values.shape} belong to many prompts, and as one law the "
            "differences between prompts would pass for luck: give plan(rewards, n=...) the data, "
            "take pilot_law(rewards).law, or the rewards of one prompt"
        )
    return empirical(values)
