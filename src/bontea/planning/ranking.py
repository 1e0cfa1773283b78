"""What estimators would optimise on these rewards, as a finding: the rows of a plan at one M.

A pool of R rewards knows the best of N as long as some of them lie where it lies: the figures are
supported up to N = R / 10, rough beyond, and not made beyond N = R. The standard errors hold those
of the simulation and of the sample, prompts drawn again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from bontea._numbers import fixed, percent_of
from bontea.diagnosis.finding import Finding, Mark, Table
from bontea.diagnosis.reading import whole
from bontea.planning.rows import Row


@dataclass(frozen=True)
class RankingFinding(Finding):
    """Estimators at (N, M) on the law of these rewards."""

    key: ClassVar[str] = "ranking"
    title: ClassVar[str] = "What estimators would optimise on these rewards"

    rows: tuple[Row, ...]
    rewards: int
    """Pooled rewards that the law rests on."""
    supported: int | None
    """The largest N that they support; None for 0/1 rewards, which have no tail to be seen."""
    n: float

    @property
    def mark(self) -> Mark:
        return "look" if self.supported is not None and self.n > self.supported else "ok"

    @property
    def text(self) -> str:
        rollouts = "Rollouts: for the same progress, relative to the fastest that is admitted"
        refusals = "".join(f" {why[0].upper()}{why[1:]}." for why in self._refusals)
        if self.supported is None:
            return f"{self.rewards:,} rewards as a law of success rates. {rollouts}.{refusals}"
        text = (
            f"{self.rewards:,} rewards of all prompts as one law; supported up to N = "
            f"{self.supported:,}"
        )
        if self.n > self.supported:
            text += (
                f". N = {whole(self.n)} needs {whole(10 * self.n)} rewards for firm figures: these "
                "are rough, draw more if the choice is close"
            )
        return (
            f"{text}. {rollouts}; end: share of the best possible best-of-N reward (V_N) at which "
            f"a long training with it ends, in a test on normal rewards, not on yours.{refusals}"
        )

    @property
    def _refusals(self) -> list[str]:
        return list(dict.fromkeys(row.reason for row in self.rows if not row.admitted))

    @property
    def table(self) -> Table:
        return Table(
            f"Estimators at M = {self.rows[0].m:,}",
            ("estimator", "effective N", "cosine", "SNR", "rollouts", "end", "note"),
            tuple(_cells(row) for row in self.rows),
        )


def _cells(row: Row) -> tuple[str, ...]:
    if math.isnan(row.snr):
        return (row.estimator, "", "", "", "", "", _note(row))
    return (
        row.estimator,
        budget(row.effective_n, row.effective_n_standard_error),
        f"{row.cosine:.3f}",
        with_error(row.snr, row.snr_standard_error, 3),
        "never" if math.isinf(row.times) else with_error(row.times, row.times_standard_error, 2),
        "-" if math.isnan(row.end_share) else percent_of(row.end_share),
        _note(row),
    )


def _note(row: Row) -> str:
    if not row.admitted:
        return "not admitted"
    return "does not run" if row.reason else ""


MOST_TOLD = 1e6
"""Larger effective N are not told apart: the gradients of best-of-N hardly differ out there."""


def budget(value: float, error: float) -> str:
    """An effective N with its error, or in words that it is larger than can be told.

    >>> budget(81.3, 4.02), budget(math.inf, math.nan), budget(3e7, 1e9)
    ('81.3 ± 4.0', 'beyond 1e6', 'beyond 1e6')
    """
    return "beyond 1e6" if value > MOST_TOLD else with_error(value, error, 1)


def with_error(value: float, error: float, digits: int) -> str:
    """`0.756 ± 0.006`; only the value where it has no error, a question mark for an endless one.

    >>> with_error(0.7564, 0.0057, 3), with_error(1.0, 0.0, 2), with_error(152.3, math.inf, 1)
    ('0.756 ± 0.006', '1.00', '152.3 ± ?')
    """

    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "beyond"
    if error == 0:
        return fixed(value, digits)
    return f"{fixed(value, digits)} ± " + (fixed(error, digits) if math.isfinite(error) else "?")
