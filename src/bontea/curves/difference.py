"""A paired difference of two curves on the same prompts, with its interval: the small result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bontea._errors import BonteaError
from bontea._json import Result
from bontea._numbers import percent
from bontea.curves.intervals import PAIRED_METHOD, Method, mean_interval
from bontea.curves.mean_curve import is_landmark, with_limits

if TYPE_CHECKING:
    from bontea._types import Float, Int


@dataclass(frozen=True)
class Difference(Result):
    """Mean over prompts of the first curve minus the second. Arrays are `(K,)`."""

    ks: Int[np.ndarray, " K"]
    difference: Float[np.ndarray, " K"]
    low: Float[np.ndarray, " K"]
    """NaN where the prompts cannot give an interval; `message` says why."""
    high: Float[np.ndarray, " K"]
    standard_error: Float[np.ndarray, " K"]
    confidence_level: float
    names: tuple[str, str]
    """What is subtracted from what, such as `("selected by judge", "selected by reward")`."""
    measure: str
    """The score that both curves are in, and its unit."""
    prompts: int
    method: Method
    message: str
    """Why a limit is missing, and what else there is to say; empty when there is nothing."""

    DERIVED = ("decided",)

    @property
    def decided(self) -> np.ndarray:
        """`(K,)`: the interval excludes 0."""
        return (self.low > 0) | (self.high < 0)

    def at(self, k: int) -> tuple[float, float, float]:
        """Difference, lower and upper limit at one k of the grid."""
        (where,) = np.nonzero(self.ks == k)
        if len(where) == 0:
            raise BonteaError(f"k={k} is not on the grid {self.ks.tolist()} of the difference")
        i = where[0]
        return float(self.difference[i]), float(self.low[i]), float(self.high[i])

    def __str__(self) -> str:
        a, b = self.names
        rows = [
            f"k = {k}: {with_limits(*self.at(k), '+')}{'' if sure else '  (not decided)'}"
            for k, sure in zip(self.ks, self.decided, strict=True)
            if is_landmark(k, self.ks)
        ]
        return (
            f"{a} minus {b}, in {self.measure}, {self.prompts} prompts, "
            f"{percent(self.confidence_level)} interval ({self.method})\n  "
            + "\n  ".join(rows)
            + (f"\n{self.message}" if self.message else "")
        )


def mean_difference(
    values: Float[np.ndarray, "P K"],
    ks: Sequence[int],
    strata: Sequence[Any] | np.ndarray | None,
    *,
    names: tuple[str, str],
    measure: str,
    span: tuple[float, float],
    method: Method = PAIRED_METHOD,
    confidence_level: float = 0.95,
    resamples: int = 2000,
    batch: int | None = 200,
    rng: np.random.Generator | int | None = None,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    note: str = "",
) -> Difference:
    """The result from the differences of each prompt `(P, K)`.

    `span` are the lowest and the highest measure there is, `bounds` what the difference lies
    between for certain.
    """
    width = span[1] - span[0]
    # Both are one number at k = 1; rounding is no difference.
    values = np.where(np.abs(values) <= 1e-12 * max(map(abs, span)), 0, values)
    # At k = 1 nothing is chosen, and both are the same for certain.
    open_ = np.array([k != 1 or bool(column.any()) for k, column in zip(ks, values.T, strict=True)])
    low, high, error = np.zeros((3, len(ks)))
    interval = mean_interval(
        values[:, open_],
        strata,
        method=method,
        confidence_level=confidence_level,
        resamples=resamples,
        batch=batch,
        rng=rng,
        bounds=bounds,
        seen=(-width, width),
        columns=[f"k = {k}" for k, of in zip(ks, open_, strict=True) if of],
    )
    low[open_], high[open_], error[open_] = interval.low, interval.high, interval.standard_error
    return Difference(
        ks=np.asarray(ks),
        difference=values.mean(0),
        low=low,
        high=high,
        standard_error=error,
        confidence_level=confidence_level,
        names=names,
        measure=measure,
        prompts=len(values),
        method=method,
        message="; ".join(filter(None, [interval.message, note])),
    )
