"""The shape of the tail, estimated from a pilot: one parameter shared by all prompts.

Prompts differ in location and scale; whether their tails bend is common to them, and far too little
is known about it from one group. In a tail of shape g the expected j-th best of m is
`mu + sigma e_j(g)`. A contrast of the k best rewards that vanishes on constants and on the normal
line sees the bend only. Summed over prompts, the ratio of bend to spread has the expectation of the
sums as its limit at every m, because both are linear in the sorted rewards: no bias from small
groups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from bontea._arrays import Array, best_from_top, check_alpha, constant, per_group, to_numpy
from bontea._errors import BonteaError
from bontea._json import Result
from bontea._numbers import number
from bontea.tails.fit import require_tail
from bontea.tails.order_statistics import best_scores
from bontea.tails.shapes import LIMITS

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


Family: TypeAlias = Literal["lognormal", "gp"]
"""Of tails with a parameter that can be estimated: the keys of `LIMITS`."""


class TooFewPromptsError(BonteaError):
    """Fewer than 2 prompts whose tail rewards differ: they say nothing about a shape."""


@dataclass(frozen=True)
class TailShape(Result):
    """An estimated tail shape. `str()` ends with what to do."""

    tail: str
    """Name to pass as `tail=`: the estimate, or its limit when the rewards lie beyond it."""
    parameter: float
    standard_error: float
    """Over prompts, by the infinitesimal jackknife."""
    prompts: int
    """Prompts with a spread and enough rewards."""
    limited: bool
    """Whether the estimate is at the limit of the family."""
    influence: Float[np.ndarray, " P"] = field(
        default_factory=lambda: np.empty(0), repr=False, compare=False
    )
    """(P,) how much each prompt moved the estimate, its Newton step; 0 for prompts left out."""

    @property
    def message(self) -> str:
        """Which tail to use."""
        family = self.tail.partition("(")[0]
        if self.limited:
            return (
                f"the rewards lie beyond what {family} can follow: ties, a ceiling or outliers "
                "in the tail. Do not extrapolate; use max_at_k"
            )
        if family == "lognormal" and abs(self.parameter) < 2 * self.standard_error:
            return "not told apart from a normal tail: use tail='normal'"
        return f"use tail='{self.tail}'"

    def __str__(self) -> str:
        return (
            f"tail {self.tail} (standard error {number(self.standard_error, 2)}, {self.prompts} "
            f"prompts); {self.message}"
        )


def calibrate_tail(
    rewards: Float[ArrayLike, "*P M"], *, alpha: float = 0.25, family: Family = "lognormal"
) -> TailShape:
    """Estimate the tail's shape parameter from pilot rewards `(*P, M)`, pooled over prompts.

    Solves for the parameter g

        sum_p v . R_p = T(g) sum_p s . R_p,   T(g) = (v . e(g)) / (s . e(g)),

    R_p the k = ceil(alpha M) best rewards of prompt p, best first, e(g) their expectation in
    standard form, s the centred normal scores and v a quadratic contrast that vanishes on constants
    and on normal scores. Prompts weigh by their scale. Groups of every size (NaN is missing) take
    their own k, s, v and e.

    Parameters
    ----------
    alpha
        Tail fraction, as in the estimator that will use the shape.
    family
        `"lognormal"`: the bend of normal scores, 0 is normal. `"gp"`: generalised Pareto, 0 is
        exponential.

    Raises ValueError for fewer than two prompts with 3 different rewards in their tails, an unknown
    family, or infinite rewards. Ours.

    >>> rng = np.random.default_rng(0)
    >>> shape = calibrate_tail(np.expm1(-0.2 * rng.normal(size=(2000, 32))) / -0.2)
    >>> abs(shape.parameter + 0.2) < 3 * shape.standard_error < 0.1
    True
    """
    alpha = check_alpha(alpha)
    if family not in LIMITS:
        raise BonteaError(f"family={family!r} must be one of {', '.join(map(repr, LIMITS))}")

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        k = require_tail(m, alpha)
        best = best_from_top(r, xp)[:, :k]
        spread, bend = (best @ constant(w, r, xp) for w in contrasts(m, k))
        size = xp.full_like(spread, m)
        return xp.stack([spread, bend, size], axis=-1)

    table = to_numpy(per_group(rewards, kernel, per_rollout=False, missing=np.nan)).reshape(-1, 3)
    use = np.isfinite(table).all(-1) & (table[:, 0] > 0)
    table = table[use]
    prompts = len(table)
    if prompts < 2:
        raise TooFewPromptsError(
            f"a tail shape needs at least 2 prompts whose tail rewards differ, got {prompts}: give "
            "more prompts, or more rollouts of each"
        )
    sizes = table[:, 2].astype(int)

    def equation(g: float) -> np.ndarray:
        """Bend minus expected bend of every prompt; the sum falls with g."""
        ratio = {m: _bend(m, require_tail(m, alpha), f"{family}({g:.9g})") for m in set(sizes)}
        return table[:, 1] - np.array([ratio[m] for m in sizes]) * table[:, 0]

    low, high = LIMITS[family]
    g, limited = _root(lambda g: equation(g).sum(), low, high)
    step = 0.01
    slope = (equation(min(g + step, high)).sum() - equation(max(g - step, low)).sum()) / (
        min(g + step, high) - max(g - step, low)
    )
    step_of = equation(g) / slope  # one Newton step for each prompt left out
    error = float(np.sqrt(prompts / (prompts - 1) * ((step_of - step_of.mean()) ** 2).sum()))
    influence = np.zeros(len(use))
    influence[use] = -(step_of - step_of.mean())
    return TailShape(f"{family}({g:.4g})", g, error, prompts, limited, influence)


def contrasts(m: int, k: int, tail: str = "normal") -> tuple[np.ndarray, np.ndarray]:
    """Weights on the k best of m rewards, best first: their spread, and their bend off a tail."""
    score = best_scores(m, k, tail)
    spread = score - score.mean()
    bend = spread**2 - (spread**2).mean()
    return spread, bend - spread * (bend @ spread) / (spread @ spread)


def _bend(m: int, k: int, tail: str) -> float:
    """Expected bend over expected spread in a tail."""
    spread, bend = contrasts(m, k)
    expected = best_scores(m, k, tail)
    return float(bend @ expected / (spread @ expected))


def _root(falling: Callable[[float], float], low: float, high: float) -> tuple[float, bool]:
    """Where a falling function crosses 0, or the limit it points to and True."""
    from scipy.optimize import brentq

    if falling(low) <= 0:
        return low, True
    if falling(high) >= 0:
        return high, True
    return float(brentq(falling, low, high, xtol=1e-5)), False
