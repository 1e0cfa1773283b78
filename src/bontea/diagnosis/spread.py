"""How prompts differ: spread within them, between them, and in the scale of their tails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bontea._numbers import number
from bontea.diagnosis.finding import Finding, Mark
from bontea.diagnosis.reading import Reading, limits
from bontea.diagnosis.upper import Reference, Summary

if TYPE_CHECKING:
    from bontea.diagnosis.evidence import Evidence

BETWEEN = 3.0
SCALES = 0.5


@dataclass(frozen=True)
class SpreadFinding(Finding):
    """Spread of the rewards, in reward units unless it says otherwise."""

    key: ClassVar[str] = "spread"
    title: ClassVar[str] = "Spread over prompts"

    within: tuple[float, float, float]
    """Quartiles over prompts of the standard deviation within a prompt."""
    between: float
    """Standard deviation between prompts of the true means, noise taken out."""
    ratio: Reading
    """`between` over the median `within`; the band is harmless."""
    scale_noise: Reading | None
    """Coefficient of variation of the tail scales; the band is that of prompts with one scale."""
    scale_spread: float
    """What of it is true difference between prompts."""

    @property
    def mark(self) -> Mark:
        wide = not self.ratio.inside or self.scale_spread > SCALES
        return "look" if wide else "ok"

    @property
    def text(self) -> str:
        low, middle, high = self.within
        text = (
            f"standard deviation within a prompt {number(middle, 3)} (quartiles {number(low, 3)} "
            f"and {number(high, 3)}); prompts' means differ by {number(self.between, 3)}, "
            f"{_times(self.ratio.value)} as much (harmless up to {number(BETWEEN)})."
        )
        if not self.ratio.inside:
            text += (
                " Most of the spread is between prompts: never compare rewards across prompts, and "
                "keep M well above 2."
            )
        if self.scale_noise is None:
            return text
        text += (
            f" Tail scales vary by {self.scale_noise.value:.2f} of their mean (prompts of one "
            f"scale: {limits(self.scale_noise.band)}), so true scales by about "
            f"{self.scale_spread:.2f} (harmless up to {number(SCALES)})."
        )
        if self.scale_spread > SCALES:
            text += " Prompts with a wide tail will dominate unless advantages are scaled by group."
        return text


def _times(ratio: float) -> str:
    return "infinitely" if np.isinf(ratio) else f"{number(ratio, 2)} times"


def find_spread(
    rewards: np.ndarray, summary: Summary | None, reference: Reference | None
) -> SpreadFinding | None:
    """Compare prompts of a `(P, M)` table; None unless 2 of them have 2 rewards.

    With relative noise c of one scale (simulated) and coefficient of variation v of the estimates,
    the true scales vary by `sqrt((1 + v^2) / (1 + c^2) - 1)`: the noise multiplies.
    """
    counts = np.isfinite(rewards).sum(axis=1)
    rewards, counts = rewards[counts > 1], counts[counts > 1]
    if len(rewards) < 2:
        return None
    sd = np.nanstd(rewards, axis=1) * np.sqrt(counts / (counts - 1))
    low, middle, high = np.quantile(sd, [0.25, 0.5, 0.75])
    noise = float((sd**2 / counts).mean())
    between = float(np.sqrt(max(np.nanmean(rewards, axis=1).var(ddof=1) - noise, 0)))
    noise_of_scale, true = None, np.nan
    if summary is not None and reference is not None and np.isfinite(summary.spread):
        band = np.quantile(reference.spreads, [0.025, 0.975])
        noise_of_scale = Reading(summary.spread, (float(band[0]), float(band[1])))
        one = np.square(reference.spreads).mean()
        true = float(np.sqrt(max((1 + summary.spread**2) / (1 + one) - 1, 0)))
    ratio = between / middle if middle > 0 else (np.inf if between > 0 else 0.0)
    return SpreadFinding(
        within=(float(low), float(middle), float(high)),
        between=between,
        ratio=Reading(float(ratio), (0, BETWEEN)),
        scale_noise=noise_of_scale,
        scale_spread=true,
    )


def look(evidence: Evidence) -> SpreadFinding | str:
    """The finding for `diagnose`, or why there is none."""
    summary = bands = None
    if evidence.no_upper is None:
        _, summary, bands = evidence.upper_half
    found = find_spread(evidence.rewards, summary, bands)
    return found or "2 prompts with 2 rewards are needed"
