"""QQ of the upper half: are the best rewards where a normal tail puts them?

The upper halves of all prompts, each in units of its own tail line, are pooled and compared with
the same of simulated normal rewards in groups of the same sizes (`bontea.diagnosis.upper`): bands
and critical values are those of the statistic itself, noise of the tail lines included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bontea._numbers import number, percent
from bontea.diagnosis.finding import Finding, Mark
from bontea.diagnosis.reading import Reading, limits
from bontea.diagnosis.upper import Reference, Summary, Upper, correlate, grid

if TYPE_CHECKING:
    from bontea.diagnosis.evidence import Evidence


@dataclass(frozen=True)
class QQFinding(Finding):
    """The QQ of the pooled upper half, `(G,)` points from its middle to its end."""

    key: ClassVar[str] = "qq"
    title: ClassVar[str] = "QQ of the upper half"

    expected: np.ndarray
    """Mean quantiles of normal rewards, in units of the tail line."""
    seen: np.ndarray
    low: np.ndarray
    high: np.ndarray
    """The middle 95 % of data sets of normal rewards, at each point."""
    scores: np.ndarray
    """Standard normal scores of the points among all rewards."""
    outside: float
    """Share of the points outside their band."""
    correlation: Reading
    """Of seen with expected quantiles, at 100 equal steps; 95 % of normal data sets are in the
    band."""
    prompts_outside: Reading
    """Share of the prompts whose own correlation is below that of 95 % of normal prompts: 5 % are
    expected, and the band holds 95 % of normal data sets."""
    prompts: int
    rewards: int
    """Rewards of these prompts, of which the upper half is drawn."""

    @property
    def end_gap(self) -> float:
        """Seen minus expected at the score that one reward in a hundred exceeds."""
        i = int(np.searchsorted(self.scores, 2.326))
        i = min(i, len(self.scores) - 1)
        return float(self.seen[i] - self.expected[i])

    @property
    def mark(self) -> Mark:
        return "ok" if self.correlation.inside else "look"

    @property
    def text(self) -> str:
        side = "above (heavier)" if self.end_gap > 0 else "below (lighter)"
        verdict = (
            "as normal rewards give" if self.correlation.inside else "not as from normal tails"
        )
        few = " Few rewards: little can be seen." if self.rewards < 1000 else ""
        return (
            f"correlation {self.correlation.value:.5f} (normal: at least "
            f"{self.correlation.band[0]:.5f} in 95 % of data sets): {verdict}. One reward in a "
            f"hundred lies {number(abs(self.end_gap), 2)} tail units {side} the reference; "
            f"{percent(self.outside)} of the points leave their 95 % band. "
            f"{percent(self.prompts_outside.value)} of {self.prompts:,} prompts leave theirs (5 % "
            f"expected, {limits(self.prompts_outside.band)} in normal data sets).{few}"
        )


def find_qq(upper: Upper, summary: Summary, reference: Reference) -> QQFinding:
    """Compare the upper halves with normal rewards in the same groups."""
    from scipy.stats import binom

    low = np.array([reference.prompt_low[int(size)] for size in upper.sizes])
    prompts, total = len(upper.sizes), int(upper.sizes.sum())
    band = binom.ppf([0.025, 0.975], prompts, 0.05) / prompts
    seen = summary.points
    return QQFinding(
        expected=reference.points,
        seen=seen,
        low=reference.points_low,
        high=reference.points_high,
        scores=grid(total),
        outside=float(((seen < reference.points_low) | (seen > reference.points_high)).mean()),
        correlation=Reading(
            correlate(summary.levels, reference.levels), (reference.correlation_low, 1.0)
        ),
        prompts_outside=Reading(
            float((summary.correlations < low).mean()), (float(band[0]), float(band[1]))
        ),
        prompts=prompts,
        rewards=total,
    )


def look(evidence: Evidence) -> QQFinding | str | None:
    """The finding for `diagnose`, or why there is none."""
    if evidence.no_upper is not None:
        return evidence.no_upper or None
    return find_qq(*evidence.upper_half)
