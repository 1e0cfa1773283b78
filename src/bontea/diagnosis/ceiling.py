"""Do the best rollouts reach a highest reward, beyond which nothing can be better?

A *ceiling* is a pile of rewards at the highest value: at least 5 rewards and 4 times as many as at
the next lower value, reached by at least 3 prompts and 5 % of them; or, where rewards have few
values, the best reward of at least a third of the prompts, and at least a quarter as frequent as
the next lower value (a bell ends in ever fewer rewards, a ceiling does not).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bontea._numbers import number, percent
from bontea.diagnosis.finding import Finding, Mark
from bontea.diagnosis.reading import Reading
from bontea.tails.kind import RewardKind

if TYPE_CHECKING:
    from bontea.diagnosis.evidence import Evidence

PILE, PILE_COUNT, PILE_PROMPTS = 4, 5, 3
PILE_MAXIMA, FEW_VALUES_MAXIMA = 0.05, 1 / 3
FEW_VALUES_PILE = 0.25


@dataclass(frozen=True)
class CeilingFinding(Finding):
    """Whether the best rollouts reach a highest reward."""

    key: ClassVar[str] = "ceiling"
    title: ClassVar[str] = "Ceiling"

    highest: float
    rewards: Reading
    """Share of the rewards at the highest value."""
    maxima: Reading
    """Share of the prompts whose best reward is the highest value."""
    shared: int
    """Most prompts with the same best reward."""
    tied: float
    """Share of the prompts with more than one best rollout."""
    reached: bool

    @property
    def mark(self) -> Mark:
        return "stop" if self.reached else "ok"

    @property
    def text(self) -> str:
        text = (
            f"the highest reward, {number(self.highest)}, is {percent(self.rewards.value)} of the "
            f"rewards and the best of {percent(self.maxima.value)} of the prompts (a ceiling from "
            f"{percent(self.maxima.band[1])}); {percent(self.tied)} of the prompts have several "
            "best rollouts."
        )
        if self.reached:
            text += (
                " The best rollouts reach a ceiling: more of them cannot do better, and a tail "
                "model would promise that they do."
            )
        return text


def find_ceiling(rewards: np.ndarray, kind: RewardKind) -> CeilingFinding:
    """Is the highest reward of a `(P, M)` table a pile?"""
    values, count = np.unique(rewards[np.isfinite(rewards)], return_counts=True)
    scored = rewards[np.isfinite(rewards).any(axis=1)]
    best = np.nanmax(scored, axis=1)
    at_top = best == values[-1]
    _, same = np.unique(best, return_counts=True)
    tied = (scored == best[:, None]).sum(axis=1) > 1
    pile = len(values) > 1 and count[-1] >= max(PILE_COUNT, PILE * count[-2])
    few_values = kind.name in ("discrete", "mixed") and kind.clean_tails < 1
    full = len(values) > 1 and count[-1] >= FEW_VALUES_PILE * count[-2]
    reached = (
        len(values) > 1
        and at_top.sum() >= PILE_PROMPTS
        and (
            (pile and at_top.mean() >= PILE_MAXIMA)
            or (few_values and full and at_top.mean() >= FEW_VALUES_MAXIMA)
        )
    )
    most = PILE_MAXIMA if pile or not few_values else FEW_VALUES_MAXIMA
    return CeilingFinding(
        highest=float(values[-1]),
        rewards=Reading(float(count[-1] / count.sum()), (0.0, PILE_MAXIMA)),
        maxima=Reading(float(at_top.mean()), (0.0, most)),
        shared=int(same.max()),
        tied=float(tied.mean()),
        reached=bool(reached),
    )


def look(evidence: Evidence) -> CeilingFinding | None:
    """The finding for `diagnose`; none where rewards have one or two values."""
    return evidence.ceiling
