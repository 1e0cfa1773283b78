"""Rollouts seen by two scores: the one that selects, and the one that measures.

A response counts if it has both scores. What is left out is counted and said, and rests on one
assumption: that a score is missing by chance, whatever the scores of the response are. One part of
that can be seen in the data, and is looked at: whether the responses of a prompt that lack the
measure have other selecting scores than those that have it. The rank sum of the former is compared
with what a random choice of as many would give, over all prompts together:

    z = sum_p (T_p - n_p (m_p + 1) / 2) / sqrt(sum_p n_p (m_p - n_p) V_p / (m_p (m_p - 1))),

T_p the sum of their n_p ranks among the m_p of the prompt (ties have middle ranks), V_p the sum of
squares of all ranks about their mean. Beyond 4 (1 in 16,000 where it is chance) nothing is
computed: a judge that saw the best responses only, or failed on the longest, has left a sample of
other responses than those that are deployed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bontea._errors import BonteaError
from bontea._numbers import number
from bontea.curves.chosen import measured_by_prompt
from bontea.curves.influence import find_influence
from bontea.curves.unbiased import best_of_k_by_prompt
from bontea.rollouts.groups import Rollouts

MEASURED = "measured"
FAR = 4.0
"""Standard errors from which on a measure is not missing by chance."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Rollouts whose reward is the selecting score, NaN where one of the two is missing."""

    rollouts: Rollouts
    select: str
    """Name of the selecting score."""
    measure: str
    single: bool
    """Whether they are one score."""
    message: str
    """What was left out; empty where nothing was."""

    def __len__(self) -> int:
        return len(self.rollouts)

    @property
    def measured(self) -> np.ndarray:
        """`(R,)` the measure of each rollout."""
        return self.rollouts.rewards if self.single else self.rollouts.score(MEASURED)

    def measured_group(self, p: int) -> np.ndarray:
        """The measures of one prompt."""
        offsets = self.rollouts.offsets
        return self.measured[offsets[p] : offsets[p + 1]]

    @property
    def bounds(self) -> tuple[float, float]:
        """What means of the measure lie between for certain."""
        values = self.measured
        values = values[~np.isnan(values)]
        return (0.0, 1.0) if ((values == 0) | (values == 1)).all() else (-np.inf, np.inf)

    @property
    def span(self) -> tuple[float, float]:
        """The lowest and the highest measure."""
        return float(np.nanmin(self.measured)), float(np.nanmax(self.measured))

    def of(self, prompts: np.ndarray) -> Pairs:
        """Those of some prompts."""
        return replace(self, rollouts=self.rollouts.select(prompts))

    def scored(self) -> Pairs:
        """Without incomplete rollouts, and without prompts that have no others."""
        return replace(self, rollouts=self.rollouts.scored())

    def values(self, ks: Sequence[int]) -> np.ndarray:
        """`(P, K)` the expected measure of the response that wins among k; all are complete."""
        data = self.rollouts
        if self.single:
            return best_of_k_by_prompt(data.rewards, data.counts, ks)
        return measured_by_prompt(data.rewards, self.measured, data.counts, ks)

    def carried_by(self, ks: Sequence[int]) -> str:
        """Which strange value carries the curve, as a sentence; empty for most data."""
        if self.single:
            found = find_influence(self.rollouts, ks)
            return "" if found is None else found.message
        # Any response may win or not, so that what a strange measure carries is the mean.
        found = find_influence(replace(self.rollouts, rewards=self.measured, scores=None), [1])
        return "" if found is None else f"{self.measure}: {found.message}"


def score_name(data: Rollouts, name: str | None) -> str:
    """What a score is called in tables; the reward may be a column with a name of its own."""
    if name is not None:
        return name
    reading = data.reading
    return reading.reward if reading is not None and isinstance(reading.reward, str) else "reward"


def pair_scores(data: Rollouts, select: str | None = None, measure: str | None = None) -> Pairs:
    """The rollouts by two scores; `select` None is the reward, `measure` None the same as `select`.

    Raises BonteaError for a score that is not there, that no rollout has, that holds numbers which
    stand for none, and where the measure is not missing by chance (see the module docstring).
    """
    s = data.score(select)
    r = s if measure is None else data.score(measure)
    name = score_name(data, select)
    # A tool's file may hold the reward a second time, under its own name.
    if r is s or np.array_equal(r, s, equal_nan=True):
        return Pairs(data if s is data.rewards else replace(data, rewards=s), name, name, True, "")
    measure = score_name(data, measure)
    for one, values in ((name, s), (measure, r)):
        try:
            replace(data, rewards=values, scores=None).scored()
        except BonteaError as error:
            raise BonteaError(f"{one}: {error}") from None
    no_s, no_r = np.isnan(s), np.isnan(r)
    both = ~(no_s | no_r)
    if not both.any():
        raise BonteaError(
            f"no rollout has both {name} and {measure}: score the same responses by both "
            f"(bontea sample --rescore --reward ... --reward-name {measure})"
        )
    _refuse_chosen(data, s, no_r, name, measure)
    rollouts = replace(data, rewards=np.where(both, s, np.nan), scores={MEASURED: r})
    return Pairs(rollouts, name, measure, False, _left_out(data, s, r, name, measure))


def _left_out(data: Rollouts, s: np.ndarray, r: np.ndarray, select: str, measure: str) -> str:
    """How many rollouts do not count, and what that assumes."""
    no_s, no_r = np.isnan(s), np.isnan(r)
    missing = no_s | no_r
    if not missing.any():
        return ""
    parts = [
        f"{int(no.sum()):,} of {len(s):,} rollouts have no {name}"
        for name, no in ((measure, no_r), (select, no_s))
        if no.any()
    ]
    owner = np.repeat(np.arange(len(data)), data.counts)
    gone = len(data) - len(np.unique(owner[~missing]))
    prompts = f", {gone:,} prompt{'s' * (gone > 1)} with no other" * (gone > 0)
    said = (
        f"{' and '.join(parts)}, and do not count{prompts}: the curve assumes that they lack it by "
        "chance, not because of what their scores are or would be"
    )
    z = missing_by_chance(r[~no_r], no_s[~no_r], owner[~no_r])
    if abs(z) >= FAR:
        side = "higher" if z > 0 else "lower"
        said += (
            f"; but those without {select} have a {side} {measure} than the others of their "
            f"prompts ({number(z, 3)} standard errors): if {select} cannot be had of them in "
            "deployment either, write a very low one, so that they take up a draw"
        )
    return said


def _refuse_chosen(
    data: Rollouts, s: np.ndarray, no_r: np.ndarray, select: str, measure: str
) -> None:
    """BonteaError where the responses without a measure have other selecting scores."""
    there = ~np.isnan(s)
    owner = np.repeat(np.arange(len(data)), data.counts)[there]
    z = missing_by_chance(s[there], no_r[there], owner)
    if abs(z) < FAR:
        return
    side = "higher" if z > 0 else "lower"
    raise BonteaError(
        f"{int(no_r[there].sum()):,} of {len(owner):,} rollouts have no {measure}, and that is no "
        f"chance: their {select} is {side} than that of the others of their prompts "
        f"({number(z, 3)} standard errors). What is left is no fair sample of the responses that "
        f"{select} chooses from: score the missing ones as well (bontea sample --rescore "
        f"--reward ... --reward-name {measure} scores those that are null), or judge a random "
        "choice of all responses"
    )


def missing_by_chance(values: np.ndarray, missing: np.ndarray, owner: np.ndarray) -> float:
    """How far the ranks of `missing` `(R,)` are from a random choice, in standard errors.

    Ranks of `values` are taken among those of the same `owner`, numbers of prompts that rise.
    Above 0 the missing ones have higher values; 0 where nothing, or everything, is missing.
    """
    order = np.lexsort((values, owner))
    v, o, gone = values[order], owner[order], missing[order]
    _, o, sizes = np.unique(o, return_inverse=True, return_counts=True)
    begins = np.ones(len(v), dtype=bool)
    begins[1:] = (v[1:] != v[:-1]) | (o[1:] != o[:-1])
    block = np.cumsum(begins) - 1
    rank = np.arange(len(v)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1.0
    rank = (np.bincount(block, rank) / np.bincount(block))[block]
    away = rank - (sizes[o] + 1) / 2
    lost = np.bincount(o, gone)
    spread = np.bincount(o, away**2)
    variance = lost * (sizes - lost) * spread / (sizes * np.maximum(sizes - 1, 1))
    total = float(variance.sum())
    return float(away[gone].sum()) / np.sqrt(total) if total > 0 else 0.0
