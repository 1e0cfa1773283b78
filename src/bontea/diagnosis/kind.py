"""Is there a tail at all: the kind of the rewards, and ties at the top.

Tail estimators read the differences between the best rewards of a prompt. Where these are equal,
because the reward has few values or repeats an atom, there is nothing to read.

*Ties* are counted as pairs: the share of equal pairs among the best `ceil(alpha m)` rewards of a
prompt. For normal rewards rounded to steps of 1/4, 1/2, 3/4, 1 standard deviation it is 17, 31, 42,
55 %, at any group size. Up to 42 % `adaptive_tea` keeps its lead (at 3/4, N = 128 and M = 16:
effective N 83 and SNR 0.73, against 15 and 0.57 of `max_at_k(k=15)`); from about 1.5 it has none.

*An atom below* does no harm while the whole tail lies above it: in 95 % of the groups of M or more.
With half of the rewards in the atom and M = 16 it is 99 %; with 60 % in it, 93 %, and
`linear_tea(n=128)` optimises best-of-40.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bontea._numbers import number, percent
from bontea.diagnosis.finding import Finding, Mark
from bontea.diagnosis.groups import groups_of
from bontea.diagnosis.reading import Reading
from bontea.tails.kind import RewardKind, reward_kind
from bontea.tails.normal import tail_size

if TYPE_CHECKING:
    from bontea.diagnosis.evidence import Evidence

MOST_TIES = 0.42
LEAST_CLEAN = 0.95


@dataclass(frozen=True)
class KindFinding(Finding):
    """The kind of the rewards and ties among the best."""

    key: ClassVar[str] = "kind"
    title: ClassVar[str] = "Kind of reward"

    kind: RewardKind
    ties: Reading
    """Share of equal pairs in the tails; the band is harmless."""
    clean: Reading | None
    """Share of groups of M whose whole tail lies above the atom; None unless the kind is mixed."""

    @property
    def mark(self) -> Mark:
        if self.kind.name == "constant":
            return "stop"
        return "ok" if self.kind.name == "continuous" and self.ties.inside else "look"

    @property
    def text(self) -> str:
        k = self.kind
        text = f"{k.name}: {k.rewards:,} rewards have {k.distinct:,} value{'s' * (k.distinct > 1)}"
        if k.name != "continuous":
            text += (
                f", the most frequent ({number(k.atom_value)}) {percent(k.atom_share)} of the time"
            )
        text += "."
        if k.name in ("constant", "binary"):
            return text
        text += (
            f" Of the pairs among the best {percent(k.alpha)} of a prompt "
            f"{percent(self.ties.value)} are equal (harmless up to {percent(MOST_TIES)}: steps of "
            "three quarters of a standard deviation)."
        )
        if self.clean is not None:
            text += (
                f" Above the atom lie {percent(k.above)} of the rewards, and the whole tail of "
                f"{percent(self.clean.value)} of the groups of M (harmless from "
                f"{percent(LEAST_CLEAN)})."
            )
        if not self.ties.inside:
            text += " The best rewards hardly differ: there is no tail to read."
        return text


def find_kind(rewards: np.ndarray, m: int, alpha: float, rng: np.random.Generator) -> KindFinding:
    """Kind and ties of a `(P, M)` table, and what groups of m see of an atom."""
    kind = reward_kind(rewards, alpha=alpha)
    clean = None
    if kind.name == "mixed":
        seen = reward_kind(groups_of(rewards, m, rng), alpha=alpha).clean_tails
        clean = Reading(seen, (LEAST_CLEAN, 1.0))
    return KindFinding(kind, Reading(share_of_ties(rewards, alpha), (0, MOST_TIES)), clean)


def share_of_ties(rewards: np.ndarray, alpha: float = 0.25) -> float:
    """Mean over prompts of the share of equal pairs among the best `max(2, ceil(alpha m))`."""
    counts = np.isfinite(rewards).sum(axis=1)
    best = -np.sort(-rewards, axis=1)
    shares = []
    for size in np.unique(counts[counts > 1]):
        k = max(2, tail_size(alpha, int(size)))
        top = best[counts == size][:, :k]
        # Runs of equal neighbours: a run of length r holds r (r - 1) ordered equal pairs.
        equal = np.zeros(len(top))
        run = np.zeros(len(top))
        for j in range(1, k):
            run = np.where(top[:, j] == top[:, j - 1], run + 1, 0)
            equal += 2 * run
        shares.append(equal / (k * (k - 1)))
    return float(np.concatenate(shares).mean()) if shares else 0.0


def look(evidence: Evidence) -> KindFinding:
    """The finding for `diagnose`."""
    return evidence.kind
