"""Best-of-k curves over prompts, with intervals.

Prompts are the independent unit: intervals resample prompts, never single rollouts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bontea._errors import BonteaError
from bontea._json import Result
from bontea._numbers import fixed, number, percent
from bontea.curves.intervals import CURVE_METHOD, Method, mean_interval
from bontea.curves.pairs import Pairs, pair_scores
from bontea.rollouts.groups import Rollouts, as_rollouts

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float, Int


@dataclass(frozen=True)
class Curve(Result):
    """Mean best-of-k over prompts. Arrays are `(K,)`; `per_prompt` is `(P, K)`.

    `str()` is a table, and ends with what the interval is of, or why there is none.
    """

    ks: Int[np.ndarray, " K"]
    value: Float[np.ndarray, " K"]
    low: Float[np.ndarray, " K"]
    """NaN where the prompts cannot give an interval; `message` says why."""
    high: Float[np.ndarray, " K"]
    per_prompt: Float[np.ndarray, "P K"]
    confidence_level: float
    standard_error: Float[np.ndarray, " K"]
    method: Method
    """How the interval was made."""
    pass_at_k: bool
    """All rewards are 0 or 1."""
    message: str
    """Why a limit is missing, what was done about the strata, and which reward carries the curve;
    empty when there is nothing."""
    select: str = "reward"
    """The score that chooses among k responses."""
    measure: str = "reward"
    """The score of the chosen one that the values are of; mostly the same."""

    def at(self, k: int) -> tuple[float, float, float]:
        """Value, lower and upper limit at one k of the grid."""
        (where,) = np.nonzero(self.ks == k)
        if len(where) == 0:
            raise BonteaError(f"k={k} is not on the curve's grid {self.ks.tolist()}")
        i = where[0]
        return float(self.value[i]), float(self.low[i]), float(self.high[i])

    def __str__(self) -> str:
        name = "pass@" if self.pass_at_k else "best of "
        rows = [
            f"{name}{k}: {with_limits(*self.at(k))}" for k in self.ks if is_landmark(k, self.ks)
        ]
        prompts = len(self.per_prompt)
        both = f"{self.measure} of the best by {self.select}, "
        what = both if self.measure != self.select else ""
        return (
            f"{what}mean over {prompts} prompt{'s' * (prompts > 1)}, "
            f"{percent(self.confidence_level)} interval ({self.method})\n  "
            + "\n  ".join(rows)
            + "\n"
            + (
                self.message
                or "the interval is for prompts like these; four times as many halve it, and more "
                "rollouts hardly do"
            )
        )


def curve(
    rollouts: Rollouts | Float[ArrayLike, "P M"],
    ks: Sequence[int] | None = None,
    *,
    select: str | None = None,
    measure: str | None = None,
    strata: Sequence[Any] | np.ndarray | None = None,
    method: Method = CURVE_METHOD,
    confidence_level: float = 0.95,
    resamples: int = 2000,
    batch: int | None = 200,
    rng: np.random.Generator | int | None = None,
) -> Curve:
    """The best-of-k curve of one model: mean over prompts, interval from the spread over prompts.

    Parameters
    ----------
    rollouts
        `Rollouts`, `(P, M)` rewards with NaN for a missing rollout, or a list of P lists of any
        lengths. Prompts without a single reward are left out.
    ks
        Values of k; default: about four to a doubling, up to the smallest group.
    select, measure
        Names of scores (`Rollouts.scores`; default: the reward, and the same as `select`). With two
        scores the value at k is the expected `measure` of the response that has the highest
        `select` among k: unbiased, ties share (`measured_best_of_k`). Rollouts that lack one of the
        two do not count, and `message` says how many. `two_scores` gives this curve with those
        beside it.
    strata
        `(P,)` labels: prompts are resampled inside their stratum; default: those of `rollouts`.
    method
        `"studentised"`, `"bca"`, `"percentile"` (resampling) or `"jackknife"` (none, fast): see
        `bontea.curves.intervals`.
    resamples, batch
        Resamples of prompts, and how many are held in memory at once; `batch` does not change the
        result.
    rng
        Seed or NumPy generator; the same seed gives the same interval.

    Limits are NaN where all prompts agree and with fewer than 5 prompts (2 for the jackknife); 0/1
    rewards (pass@k) have limits in [0, 1], and no limit lies beyond the lowest or the highest
    reward unless Student's t with so few prompts reaches there. One strange reward that carries the
    curve is named in `message` (bontea.curves.influence).
    Raises ValueError when a k exceeds the smallest group, or nothing is left, and where a measure
    is missing for other responses than a random choice (`bontea.curves.pairs`).

    >>> c = curve(np.random.default_rng(0).normal(size=(50, 64)), [1, 8, 64], rng=0)
    >>> [round(v, 1) for v in c.at(64)]  # c_64 = 2.34
    [2.3, 2.2, 2.4]
    """
    pairs = pair_scores(as_rollouts(rollouts, strata=strata), select, measure).scored()
    return curve_of(
        pairs,
        check_grid(ks, int(pairs.rollouts.counts.min()), pairs),
        method=method,
        confidence_level=confidence_level,
        resamples=resamples,
        batch=batch,
        rng=rng,
    )


def curve_of(
    pairs: Pairs,
    ks: list[int],
    *,
    method: Method = CURVE_METHOD,
    confidence_level: float = 0.95,
    resamples: int = 2000,
    batch: int | None = 200,
    rng: np.random.Generator | int | None = None,
) -> Curve:
    """The curve of rollouts that all have both scores."""
    values = pairs.values(ks)
    interval = mean_interval(
        values,
        pairs.rollouts.strata,
        method=method,
        confidence_level=confidence_level,
        resamples=resamples,
        batch=batch,
        rng=rng,
        bounds=pairs.bounds,
        seen=pairs.span,
        columns=[f"k = {k}" for k in ks],
    )
    return Curve(
        ks=np.asarray(ks),
        value=values.mean(0),
        low=interval.low,
        high=interval.high,
        per_prompt=values,
        confidence_level=confidence_level,
        standard_error=interval.standard_error,
        method=method,
        pass_at_k=pairs.single and pairs.rollouts.zero_one,
        message="; ".join(filter(None, [pairs.message, interval.message, pairs.carried_by(ks)])),
        select=pairs.select,
        measure=pairs.measure,
    )


def default_ks(m: int) -> list[int]:
    """Powers of 2 up to m, and m.

    >>> default_ks(24)
    [1, 2, 4, 8, 16, 24]
    """
    return sorted({*(2**i for i in range(m.bit_length())), m})


def dense_ks(m: int) -> list[int]:
    """Four values of k to a doubling up to m, and m: enough for a smooth line.

    >>> dense_ks(24)
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 16, 19, 23, 24]
    """
    return sorted({k for i in range(4 * m.bit_length()) if (k := round(2 ** (i / 4))) <= m} | {m})


def is_landmark(k: int, ks: Sequence[int] | np.ndarray) -> bool:
    """Whether k is for a table: a power of 2, the last of `ks`, or any where `ks` are few."""
    k = int(k)
    return len(ks) <= 8 or k & (k - 1) == 0 or k == ks[-1]


def with_limits(value: float, low: float, high: float, sign: str = "") -> str:
    """`0.41 [0.22, 0.60]`, with the digits that the interval has; `sign="+"` shows one.

    >>> with_limits(0.41, 0.22, 0.6), with_limits(4.1e-30, 2.2e-30, 6e-30)
    ('0.41 [0.22, 0.60]', '4.1e-30 [2.2e-30, 6e-30]')
    """
    width = high - low if np.isfinite(high - low) and high > low else max(abs(value), 1e-300)
    digits = max(0, int(1 - np.floor(np.log10(width) + 1e-9))) if width else 2

    def shown(x: float, sign: str = "") -> str:
        if digits <= 6:
            return fixed(x, digits, sign)
        size = np.floor(np.log10(max(abs(x), 1e-300)))
        return (sign if x > 0 else "") + number(x, int(np.clip(size + 1 + digits, 2, 6)))

    if not np.isfinite(low) and not np.isfinite(high):
        return shown(value, sign)
    ends = ["?" if np.isnan(end) else shown(end) for end in (low, high)]
    return f"{shown(value, sign)} [{ends[0]}, {ends[1]}]"


def beyond(select: str, measure: str) -> str:
    """Why the measure of a chosen response is not extrapolated, and what would be needed."""
    return (
        f"no response here has a {select} as high as the best of so many would have, so that its "
        f"{measure} was never seen, and it may rise or fall; draw as many rollouts of some "
        "prompts, or look at a smaller k"
    )


def check_grid(ks: Sequence[int] | None, smallest: int, pairs: Pairs | None = None) -> list[int]:
    """The values of k, none beyond the smallest group."""
    grid = dense_ks(smallest) if ks is None else list(np.asarray(ks, dtype=object))
    if not grid:
        raise BonteaError("ks is empty: give at least one k, such as [1, 8, 64]")
    if max(grid) > smallest and pairs is not None and not pairs.single:
        raise BonteaError(
            f"k={max(grid)} exceeds the {smallest} rollouts with both scores of the smallest "
            f"group, and nothing is predicted beyond them: {beyond(pairs.select, pairs.measure)}"
        )
    if max(grid) > smallest:
        raise BonteaError(
            f"k={max(grid)} exceeds the {smallest} rewards of the smallest group: draw more "
            "rollouts, or use bontea.extrapolate"
        )
    return grid
