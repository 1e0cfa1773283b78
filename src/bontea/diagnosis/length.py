"""Is the reward about length? Rank correlations within prompts, and the length of the winner.

Best-of-N picks the best reward. If the reward grows with length, it picks the longest, and a policy
trained for best-of-N learns to write longer. Prompts differ in the length they call for, so that
only differences within a prompt count.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    correlation, winner = [], []
    for r, of_reward, of_length in ranks_within(rewards, lengths):
        correlation.append(rank_correlation(of_reward, of_length))
        best = r == r.max(axis=1, keepdims=True)
        winner.append((best * (of_length - 1) / (r.shape[1] - 1)).sum(1) / best.sum(1))
    prompts = sum(map(len, winner))
    if prompts < 2:
        return None
    rho, place = np.concatenate(correlation), np.concatenate(winner)
    return LengthFinding(
        Reading(float(rho.mean()), (-HARMLESS, HARMLESS), mean_interval(rho)),
        Reading(float(place.mean()), WINNER, mean_interval(place)),
        prompts,
    )


def ranks_within(
    first: np.ndarray, second: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of `(P, M)` values: those of the first, and the ranks of both, `(P', m)` for each group size.

    Of the prompts that have 4 rollouts with both, and a spread of both; NaN is none.
    """
    from scipy.stats import rankdata

    both = np.isfinite(first) & np.isfinite(second)
    counts = both.sum(axis=1)
    order = np.argsort(~both, axis=1, kind="stable")
    first, second = (np.take_along_axis(a, order, axis=1) for a in (first, second))
    for size in np.unique(counts[counts >= LEAST]):
        a, b = (x[counts == size][:, :size] for x in (first, second))
        differ = (np.ptp(a, axis=1) > 0) & (np.ptp(b, axis=1) > 0)
        if differ.any():
            a, b = a[differ], b[differ]
            yield a, rankdata(a, axis=1), rankdata(b, axis=1)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's, of ranks `(P, m)`, for each prompt."""
    a = first - first.mean(axis=1, keepdims=True)
    b = second - second.mean(axis=1, keepdims=True)
    found: np.ndarray = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return found


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
