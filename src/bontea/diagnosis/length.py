"""Is the reward about length? Rank correlations within prompts, and the length of the winner.

Best-of-N picks the best reward. If the reward grows with length, it picks the longest, and a policy
trained for best-of-N learns to write longer. Prompts differ in the length they call for, so that
only differences within a prompt count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bontea._numbers import number
from bontea.diagnosis.finding import Finding, Mark
from bontea.diagnosis.reading import Reading, limits

if TYPE_CHECKING:
    from bontea.diagnosis.evidence import Evidence

HARMLESS = 0.2
WINNER = (0.4, 0.6)
LEAST = 4


@dataclass(frozen=True)
class LengthFinding(Finding):
    """Reward against the length of the completion. Bands are harmless."""

    key: ClassVar[str] = "length"
    title: ClassVar[str] = "Length"

    correlation: Reading
    """Mean over prompts of Spearman's rank correlation; its interval is over prompts."""
    winner: Reading
    """Mean place of the best rollout among the lengths of its prompt: 0 shortest, 1 longest."""
    prompts: int

    @property
    def mark(self) -> Mark:
        return "ok" if self.correlation.inside and self.winner.inside else "look"

    @property
    def text(self) -> str:
        text = (
            f"rank correlation of reward and length within prompts {self.correlation.value:+.2f} "
            f"{limits(self.correlation.interval)} over {self.prompts:,} prompts (harmless within "
            f"±{number(HARMLESS)}); the best rollout stands at {self.winner.value:.2f} "
            f"{limits(self.winner.interval)} of the lengths (0 shortest, 1 longest, 0.5 by "
            f"chance; harmless {number(WINNER[0])} to {number(WINNER[1])})."
        )
        if self.mark == "ok":
            return text
        which = "longest" if self.correlation.value + self.winner.value > 0.5 else "shortest"
        return text + (
            f" Best-of-N picks the {which}: a policy trained for it will follow the length. Check "
            "the winners by eye, and take length out of the reward or bound it."
        )


def find_length(rewards: np.ndarray, lengths: np.ndarray) -> LengthFinding | None:
    """Compare `(P, M)` rewards and lengths; None unless 2 prompts differ in both.

    A prompt needs 4 rollouts with both, and a spread of both.
    """
    from scipy.stats import rankdata

    both = np.isfinite(rewards) & np.isfinite(lengths)
    counts = both.sum(axis=1)
    order = np.argsort(~both, axis=1, kind="stable")
    rewards, lengths = (np.take_along_axis(a, order, axis=1) for a in (rewards, lengths))
    correlation, winner = [], []
    for size in np.unique(counts[counts >= LEAST]):
        r, length = (a[counts == size][:, :size] for a in (rewards, lengths))
        differ = (np.ptp(r, axis=1) > 0) & (np.ptp(length, axis=1) > 0)
        r, length = r[differ], length[differ]
        if len(r) == 0:
            continue
        of_reward, of_length = rankdata(r, axis=1), rankdata(length, axis=1)
        a = of_reward - of_reward.mean(axis=1, keepdims=True)
        b = of_length - of_length.mean(axis=1, keepdims=True)
        correlation.append((a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1)))
        best = r == r.max(axis=1, keepdims=True)
        winner.append((best * (of_length - 1) / (size - 1)).sum(1) / best.sum(1))
    prompts = sum(map(len, winner))
    if prompts < 2:
        return None
    rho, place = np.concatenate(correlation), np.concatenate(winner)
    return LengthFinding(
        Reading(float(rho.mean()), (-HARMLESS, HARMLESS), mean_interval(rho)),
        Reading(float(place.mean()), WINNER, mean_interval(place)),
        prompts,
    )


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of independent values, by Student's t."""
    from scipy.special import stdtrit

    n = len(values)
    half = float(stdtrit(n - 1, 0.975)) * values.std(ddof=1) / np.sqrt(n)
    return float(values.mean() - half), float(values.mean() + half)


def look(evidence: Evidence) -> LengthFinding | str:
    """The finding for `diagnose`, or why there is none."""
    scored = evidence.scored
    if scored.lengths is None or np.isnan(scored.lengths).all():
        return "the rewards come without completions"
    found = find_length(evidence.rewards, scored.table(scored.lengths))
    return found or "2 prompts whose rewards and lengths both differ are needed"
