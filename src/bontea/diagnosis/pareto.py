"""How the upper tail ends: the generalised Pareto shape, against that of a normal tail.

Pooled over prompts in units of their tail lines, by Zhang & Stephens (`bontea.tails.pareto`), at
three thresholds. A normal tail does not give 0 here: at the depth of the best quarter, and with the
noise of the tail lines, it gives about -0.25 (groups of 64) to -0.5 (of 16). The band is the same
fit on simulated normal rewards in the same groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bontea._numbers import number, percent
from bontea.diagnosis.finding import Finding, Mark
from bontea.diagnosis.reading import Reading, limits
from bontea.diagnosis.upper import TAILS, Reference, Summary, Upper, pareto_at

if TYPE_CHECKING:
    from bontea.diagnosis.evidence import Evidence

RESAMPLES = 200


@dataclass(frozen=True)
class ParetoFinding(Finding):
    """Generalised Pareto shape xi of the excesses over pooled thresholds, `(3,)` arrays."""

    key: ClassVar[str] = "pareto"
    title: ClassVar[str] = "How the tail ends (generalised Pareto)"

    tails: np.ndarray
    """Share of the rewards above each threshold."""
    exceedances: np.ndarray
    shapes: np.ndarray
    """NaN with fewer than 20 exceedances."""
    expected: np.ndarray
    """Mean over normal data sets."""
    low: np.ndarray
    high: np.ndarray
    """The middle 95 % of normal data sets."""
    shape: Reading
    """At the first threshold: the value, normal band, and interval by resampling prompts."""
    drift: Reading
    """Shape at the second threshold minus at the first; a normal tail's band."""
    end: Reading
    """End point of the first law beyond the best reward seen, in units of the tail line, and a
    normal tail's band; infinite where the shape is above 0. Below the band: a bound is near."""

    @property
    def verdict(self) -> str:
        """`"heavier"`, `"lighter"` or `"normal"`."""
        if self.shape.inside:
            return "normal"
        return "heavier" if self.shape.value > self.shape.band[1] else "lighter"

    @property
    def mark(self) -> Mark:
        return "ok" if self.verdict == "normal" else "look"

    @property
    def text(self) -> str:
        verdict = {
            "normal": "as a normal tail",
            "heavier": "heavier than a normal tail",
            "lighter": "lighter than a normal tail",
        }[self.verdict]
        text = (
            f"shape {self.shape.value:.2f} {limits(self.shape.interval)} from "
            f"{self.exceedances[0]:,} excesses of the best {percent(self.tails[0])}; normal "
            f"rewards give {self.expected[0]:.2f} {limits(self.shape.band)} here, not 0: {verdict}."
        )
        if np.isfinite(self.drift.value):
            steady = "as it should" if self.drift.inside else "unsteady: believe the shape less"
            text += (
                f" At the best {percent(self.tails[1])} it is {self.shapes[1]:.2f} (change "
                f"{self.drift.value:+.2f}, normal {limits(self.drift.band)}: {steady})."
            )
        if self.shape.value < 0:
            near = (
                "so a bound of the reward is near" if self.end.value < self.end.band[0] else "fine"
            )
            least = self.end.band[0]
            normal = (
                f"{number(least, 2)} or more" if np.isfinite(least) else "mostly without an end"
            )
            text += (
                f" The fitted law ends {number(self.end.value, 2)} tail units beyond the best "
                f"reward seen (normal: {normal}): {near}."
            )
        return text


def find_pareto(
    upper: Upper, summary: Summary, reference: Reference, rng: np.random.Generator
) -> ParetoFinding | None:
    """Fit the tails; None with fewer than 20 excesses in the best quarter."""
    shapes = summary.shapes
    if not np.isfinite(shapes[0]):
        return None
    pooled, total = upper.pooled, int(upper.sizes.sum())
    drift = reference.shapes[:, 1] - reference.shapes[:, 0]
    low, high = np.full((2, len(TAILS)), np.nan)
    expected = np.full(len(TAILS), np.nan)
    known = np.isfinite(reference.shapes).all(axis=0)
    low[known], high[known] = np.quantile(reference.shapes[:, known], [0.025, 0.975], axis=0)
    expected[known] = reference.shapes[:, known].mean(axis=0)
    return ParetoFinding(
        tails=np.array(TAILS),
        exceedances=np.array([min(int(np.ceil(t * total)), len(pooled) - 1) for t in TAILS]),
        shapes=shapes,
        expected=expected,
        low=low,
        high=high,
        shape=Reading(
            float(shapes[0]),
            (float(low[0]), float(high[0])),
            _interval(upper, float(shapes[0]), rng),
        ),
        drift=Reading(float(shapes[1] - shapes[0]), _middle(drift)),
        end=Reading(summary.end, (float(np.quantile(reference.ends, 0.025)), np.inf)),
    )


def _middle(values: np.ndarray) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return (np.nan, np.nan)
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _interval(upper: Upper, shape: float, rng: np.random.Generator) -> tuple[float, float]:
    """The shape ± 1.96 standard deviations over resampled prompts.

    Not their quantiles: a prompt drawn twice makes ties, which lower the shape.
    """
    shapes = []
    for _ in range(RESAMPLES):
        rows = rng.integers(len(upper.sizes), size=len(upper.sizes))
        z = upper.z[rows]
        fit = pareto_at(np.sort(z[np.isfinite(z)]), int(upper.sizes[rows].sum()), TAILS[0])
        if fit is not None:
            shapes.append(fit[1].shape)
    half = 1.96 * float(np.std(shapes, ddof=1)) if len(shapes) > 1 else np.nan
    return shape - half, shape + half


def look(evidence: Evidence) -> ParetoFinding | str | None:
    """The finding for `diagnose`, or why there is none."""
    if evidence.no_upper is not None:
        return evidence.no_upper or None
    found = find_pareto(*evidence.upper_half, evidence.rng)
    return found or "fewer than 20 different rewards in the best quarter"
