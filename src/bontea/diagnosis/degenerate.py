"""Prompts that teach nothing: equal rewards, tails with nothing to tell apart, missing rewards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bontea._numbers import percent
from bontea.diagnosis.finding import Finding, Mark
from bontea.diagnosis.reading import Reading
from bontea.rollouts.groups import Rollouts
from bontea.tails.normal import tail_size

if TYPE_CHECKING:
    from bontea.diagnosis.evidence import Evidence

HARMLESS = 0.1
HOPELESS = 0.9


@dataclass(frozen=True)
class SignalFinding(Finding):
    """Shares of prompts without a gradient. Bands are harmless."""

    key: ClassVar[str] = "signal"
    title: ClassVar[str] = "Prompts without a gradient"

    prompts: int
    """Prompts with at least one reward."""
    most: int
    """Rewards of the largest."""
    equal: Reading
    """Share of the prompts whose rewards are all equal, or that have only one."""
    few: Reading
    """Share of the prompts with fewer than 3 different rewards in the tail, these included."""
    unscorable: Reading
    """Share of the rollouts without a reward."""
    unscored: int
    """Prompts without a single reward."""
    tails: bool
    """Whether `few` matters: not with 0/1 rewards."""

    @property
    def mark(self) -> Mark:
        if self.equal.value > HOPELESS:
            return "stop"
        inside = self.equal.inside and self.unscorable.inside
        return "ok" if inside and (self.few.inside or not self.tails) else "look"

    @property
    def text(self) -> str:
        text = (
            f"{percent(self.equal.value)} of {self.prompts:,} prompts have equal rewards and give "
            "no gradient; "
        )
        if self.tails:
            text += f"{percent(self.few.value)} have fewer than 3 different rewards in their tail; "
        text += (
            f"{percent(self.unscorable.value)} of the rollouts have no reward (each harmless up to "
            f"{percent(HARMLESS)})."
        )
        if self.unscored:
            text += f" {self.unscored:,} prompts have no reward at all and are left out."
        if not self.equal.inside:
            text += " Use prompts on which some rollouts do better than others."
        return text


def find_signal(rollouts: Rollouts, alpha: float, *, tails: bool) -> SignalFinding:
    """Count what gives no gradient; the tail is the `max(3, ceil(alpha m))` best rewards."""
    scored = rollouts.scored()
    rewards, counts = scored.table(), scored.counts
    best = -np.sort(-rewards, axis=1)
    sizes = np.array([max(3, tail_size(alpha, m)) for m in range(1, rewards.shape[1] + 1)])
    inside = np.arange(1, best.shape[1]) < np.minimum(sizes[counts - 1], counts)[:, None]
    distinct = 1 + ((best[:, 1:] < best[:, :-1]) & inside).sum(axis=1)
    equal = np.nanmax(rewards, axis=1) == np.nanmin(rewards, axis=1)
    missing = 1 - len(scored.rewards) / len(rollouts.rewards)
    return SignalFinding(
        prompts=len(rewards),
        most=int(counts.max()),
        equal=Reading(float(equal.mean()), (0, HARMLESS)),
        few=Reading(float((distinct < 3).mean()), (0, HARMLESS)),
        unscorable=Reading(float(missing), (0, HARMLESS)),
        unscored=len(rollouts) - len(scored),
        tails=tails,
    )


def look(evidence: Evidence) -> SignalFinding:
    """The finding for `diagnose`."""
    return evidence.signal
