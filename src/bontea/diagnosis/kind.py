"""Is there a tail at all: the kind of the rewards, ties at the top, and a ceiling.

Tail estimators read the differences between the best rewards of a prompt. Where these are equal,
because the reward has few values, repeats an atom or has a ceiling, there is nothing to read.

*Ties* are counted as pairs: the share of equal pairs among the best `ceil(alpha m)` rewards of a
prompt. For normal rewards rounded to steps of 1/4, 1/2, 3/4, 1 standard deviation it is 17, 31, 42,
55 %, at any group size. Up to 42 % `adaptive_tea` keeps its lead (at 3/4, N = 128 and M = 16:
effective N 83 and SNR 0.73, against 15 and 0.57 of `max_at_k(k=15)`); from about 1.5 it has none.

A *ceiling* is a pile of rewards at the highest value: at least 5 rewards and 4 times as many as at
the next lower value, reached by at least 3 prompts and 5 % of them; or, where rewards have few
values, the best reward of at least a third of the prompts, and at least a quarter as frequent as
the next lower value (a bell ends in ever fewer rewards, a ceiling does not).

*An atom below* does no harm while the whole tail lies above it: in 95 % of the groups of M or more.
With half of the rewards in the atom and M = 16 it is 99 %; with 60 % in it, 93 %, and
`linear_tea(n=128)` optimises best-of-40.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bontea.diagnosis.groups import groups_of
from bontea.diagnosis.reading import Reading, percent
from bontea.tails.kind import RewardKind, reward_kind
from bontea.tails.normal import tail_size

MOST_TIES = 0.42
LEAST_CLEAN = 0.95
PILE, PILE_COUNT, PILE_PROMPTS = 4, 5, 3
PILE_MAXIMA, FEW_VALUES_MAXIMA = 0.05, 1 / 3
FEW_VALUES_PILE = 0.25


@dataclass(frozen=True)
class KindFinding:
    """The kind of the rewards and ties among the best."""

    kind: RewardKind
    ties: Reading
    """Share of equal pairs in the tails; the band is harmless."""
    clean: Reading | None
    """Share of groups of M whose whole tail lies above the atom; None unless the kind is mixed."""

    @property
    def mark(self) -> str:
        if self.kind.name == "constant":
            return "stop"
        return "ok" if self.kind.name == "continuous" and self.ties.inside else "look"

    def __str__(self) -> str:
        k = self.kind
        text = f"{k.name}: {k.rewards:,} rewards have {k.distinct:,} value{'s' * (k.distinct > 1)}"
        if k.name != "continuous":
            text += f", the most frequent ({k.atom_value:g}) {percent(k.atom_share)} of the time"
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
    return KindFinding(kind, Reading(_ties(rewards, alpha), (0, MOST_TIES)), clean)


def _ties(rewards: np.ndarray, alpha: float) -> float:
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


@dataclass(frozen=True)
class CeilingFinding:
    """Whether the best rollouts reach a highest reward."""

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
    def mark(self) -> str:
        return "stop" if self.reached else "ok"

    def __str__(self) -> str:
        text = (
            f"the highest reward, {self.highest:.6g}, is {percent(self.rewards.value)} of the "
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
