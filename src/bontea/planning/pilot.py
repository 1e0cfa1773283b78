"""The reward law of a pilot: rewards of many prompts, each with a location and scale of its own.

*Rewards with few ties* are pooled after standardising each prompt by its own mean and standard
deviation, and the pool is a smooth law on a normal latent (`law`). Dividing by a standard deviation
that holds the reward itself shortens every tail (of M rewards none can be more than `(M-1)/sqrt(M)`
from the mean); leaving the reward out lengthens it, to a Student t with M - 2 degrees of freedom
if rewards are normal. So that law is mapped back:

    t_i = (R_i - mean) / (s_(-i) sqrt(1 - 1/M)),   s_(-i)^2 = [sum (R - mean)^2
                                                       - (R_i - mean)^2 M/(M-1)] / (M-2),
    z_i = Phi^-1(T_(M-2)(t_i)),                    T the distribution function of Student's t

which makes normal rewards standard normal at every M, and changes no order within a prompt. For
other laws it is a compromise that vanishes as M grows. The mean and standard deviation of all
rewards are used, not a line through the tail: what estimators see of the body depends on the body,
and a line through few rewards is noisier.

*Rewards with ties or atoms* have no common shape once each prompt is measured by itself. Where
prompts hardly differ (up to a tenth of the variance is between them) they are pooled as they are,
atoms and all; otherwise as above, without smoothing, and a note says what that hides.

*0/1 rewards* are described by the Beta law of the success rates (`fit_beta`).

The pilot is a sample. `Pilot.resamples` holds the laws of pilots with the prompts drawn again (with
replacement), from which `plan` takes how sure its figures are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bontea._errors import BonteaError
from bontea._json import Result, plain
from bontea._numbers import number, typed
from bontea.diagnosis.kind import MOST_TIES as TIES
from bontea.diagnosis.kind import share_of_ties
from bontea.planning.law import FAR, smooth_law
from bontea.rollouts.groups import as_rollouts
from bontea.tails.beta_binomial import fit_beta
from bontea.tails.kind import RewardKind, reward_kind
from bontea.theory.laws import Law, discrete, empirical
from bontea.theory.success import SuccessRates

LEAST_ROLLOUTS = 4
"""Rewards that a prompt needs to be standardised."""
FEW_ROLLOUTS = 8
"""Below this many a prompt the shape of the law is mostly that of the standardising, normal."""
RESAMPLES = 10
ALIKE = 0.1
"""Up to this share of the variance between prompts, rewards with ties are pooled as they are."""
LEAST_SMOOTH = 200
"""Pooled rewards from which on the law is smooth."""
MOST_ATOMS = 4096
_HEAD, _BLOCKS = 2000, 4000
"""Larger pools keep so many of their best rewards, and so many blocks of the others."""


@dataclass(frozen=True)
class Pilot(Result):
    """A reward law estimated from rewards, and what is to be said about it."""

    law: Law | SuccessRates
    resamples: tuple[Law | SuccessRates, ...]
    kind: RewardKind
    prompts: int
    """Prompts the law rests on."""
    rewards: int
    """Rewards the law rests on."""
    spread: float
    """Mean standard deviation of the rewards of a prompt, in reward units."""
    notes: tuple[str, ...]
    """What limits it, a sentence each."""
    hides_ties: bool = False
    """Ties and atoms of the rewards are not in the law: tail models look better on it than they
    are."""
    in_reward_units: bool = False
    """Rewards were pooled as they are; otherwise a law of continuous rewards is in standard
    deviations of a prompt's rewards, from its mean."""

    def to_dict(self) -> dict[str, Any]:
        """What is known of it, without the laws themselves, which are functions."""
        return plain(
            {
                "law": self.law.name,
                "kind": self.kind.name,
                "prompts": self.prompts,
                "rewards": self.rewards,
                "spread": self.spread,
                "notes": self.notes,
            }
        )

    def require(self, n: float) -> tuple[str, ...]:
        """Notes about a budget; ValueError for one that the pilot says nothing about."""
        if isinstance(self.law, SuccessRates):
            return ()
        if n > self.rewards:
            raise BonteaError(
                f"n={typed(n)} is beyond the {self.rewards:,} rewards of the pilot: the best of "
                f"{number(n)} lies where none was seen. Draw at least {number(n)} rewards over "
                f"all prompts, better {number(FAR * n)}, or plan on a named law, such as the "
                "normal"
            )
        if n > self.rewards / FAR:
            return (
                f"N = {number(n)} is more than a tenth of the {self.rewards:,} rewards of the "
                f"pilot, so the figures rest on very few of them; draw {number(FAR * n)} for firm "
                "figures",
            )
        return ()


def pilot_law(
    rollouts: Any, *, resamples: int = RESAMPLES, rng: np.random.Generator | int | None = None
) -> Pilot:
    """The law of pilot rewards, as in the module docstring.

    `rollouts` is a `(P, M)` array (NaN: missing), ragged lists, or a `Rollouts`. Prompts with fewer
    than 4 rewards, or whose rewards are all equal, say nothing about the shape and are left out (of
    0/1 rewards every prompt counts). `rng` draws prompts again for `resamples` more laws. Raises
    BonteaError for infinite rewards, rewards that never differ, two values other than 0 and 1, or
    when no prompt is left.

    >>> pilot = pilot_law(np.random.default_rng(0).normal(3, 5, size=(200, 16)), rng=0)
    >>> upper_tenth, median = pilot.law.reward(pilot.law.latent.isf(np.array([0.1, 0.5])))
    >>> round(float(upper_tenth), 1), round(pilot.spread, 1)  # 1.28 in units of about 5
    (1.3, 4.9)
    """
    table = as_rollouts(rollouts).scored().table()
    kind = reward_kind(table)
    if kind.name == "constant":
        raise BonteaError(
            f"every reward of the pilot is {number(kind.lowest)}: nothing can be planned until "
            "rewards differ; check the reward, or use prompts on which some rollouts do better"
        )
    generator = np.random.default_rng(rng)
    if kind.name == "binary":
        return _success_rates(table, kind, resamples, generator)
    return _pooled(table, kind, resamples, generator)


def _success_rates(
    table: np.ndarray, kind: RewardKind, resamples: int, rng: np.random.Generator
) -> Pilot:
    if (kind.lowest, kind.highest) != (0.0, 1.0):
        raise BonteaError(
            f"the rewards of the pilot take two values, {number(kind.lowest)} and "
            f"{number(kind.highest)}: write 0 and 1 for them, as pass_at_n needs it"
        )
    there = np.isfinite(table)
    table, there = table[there.any(1)], there[there.any(1)]
    successes, trials = np.nansum(table, axis=1), there.sum(1)
    laws = []
    for who in [np.arange(len(table)), *_draws(len(table), resamples, rng)]:
        laws.append(SuccessRates(*fit_beta(successes[who], trials[who])))
    return Pilot(
        law=laws[0],
        resamples=tuple(laws[1:]),
        kind=kind,
        prompts=len(table),
        rewards=int(trials.sum()),
        spread=laws[0].spread,
        notes=_few_prompts(len(table)),
    )


def _pooled(table: np.ndarray, kind: RewardKind, resamples: int, rng: np.random.Generator) -> Pilot:
    scores, spreads, used_groups = [], [], []
    for row in table:
        group = row[np.isfinite(row)]
        if len(group) >= LEAST_ROLLOUTS and np.ptp(group) > 0:
            # In units of its span, so that squares stay in range.
            scores.append(normal_scores(group[None] / np.ptp(group))[0])
            spreads.append(group.std(ddof=1))
            used_groups.append(group)
    if not scores:
        most = int(np.isfinite(table).sum(1).max())
        raise BonteaError(
            f"no prompt of the pilot has {LEAST_ROLLOUTS} rewards that differ (the largest has "
            f"{most}): draw at least {LEAST_ROLLOUTS} rollouts of a prompt, better 16"
        )
    notes = list(_few_prompts(len(scores)))
    size = float(np.median([len(z) for z in scores]))
    if size < FEW_ROLLOUTS:
        notes.append(
            f"with {number(size)} rollouts of a prompt the shape of the law is mostly that of the "
            "standardising, which is normal: 16 or more tell"
        )
    used = np.isfinite(table).any(1).sum()
    if len(scores) < used:
        notes.append(
            f"{used - len(scores)} of {used} prompts have fewer than {LEAST_ROLLOUTS} rewards, or "
            "equal ones, and are left out"
        )
    few_ties = kind.name != "mixed" and share_of_ties(table) <= TIES
    as_they_are = not few_ties and share_between(table) <= ALIKE
    if not few_ties and not as_they_are:
        notes.append(
            "the rewards have ties or atoms, and prompts differ: these are lost where each prompt "
            "is measured by itself, so that figures of estimators with a tail model would flatter "
            "them"
        )
    build: Callable[[np.ndarray], Law] = _empirical
    if as_they_are:
        build, scores = _atoms, used_groups
    elif few_ties and sum(map(len, scores)) >= LEAST_SMOOTH:
        build = smooth_law
    laws = []
    for who in [range(len(scores)), *_draws(len(scores), resamples, rng)]:
        laws.append(build(np.concatenate([scores[p] for p in who])))
    return Pilot(
        law=laws[0],
        resamples=tuple(laws[1:]),
        kind=kind,
        prompts=len(scores),
        rewards=sum(map(len, scores)),
        spread=float(np.mean(spreads)),
        notes=tuple(notes),
        hides_ties=not few_ties and not as_they_are,
        in_reward_units=as_they_are,
    )


def normal_scores(rewards: np.ndarray) -> np.ndarray:
    """The z of the module docstring for groups `(P, M)`, M >= 3, none of them constant."""
    from scipy.special import ndtri, stdtr

    m = rewards.shape[-1]
    away = rewards - rewards.mean(-1, keepdims=True)
    total = np.square(away).sum(-1, keepdims=True)
    # An only reward that differs has nothing to be compared with: it counts as far out.
    others = np.maximum(total - np.square(away) * m / (m - 1), 1e-9 * total) / (m - 2)
    t = away / np.sqrt(others * (1 - 1 / m))
    return -np.sign(t) * ndtri(stdtr(m - 2, -np.abs(t)))


def _empirical(z: np.ndarray) -> Law:
    """The empirical law of the pool; a large one keeps its best, and the means of blocks below."""
    z = np.sort(z)
    share = np.full(len(z), 1 / len(z))
    if len(z) > _HEAD + _BLOCKS:
        blocks = np.array_split(z[:-_HEAD], _BLOCKS)
        share = np.append([len(block) for block in blocks], np.ones(_HEAD)) / len(z)
        z = np.append([block.mean() for block in blocks], z[-_HEAD:])
    return discrete(z, share, name="pilot")


def _atoms(rewards: np.ndarray) -> Law:
    """The law of rewards as they are; of very many, evenly spaced ranks."""
    values = np.sort(rewards)
    if len(values) > MOST_ATOMS:
        values = values[np.linspace(0, len(values) - 1, MOST_ATOMS).astype(int)]
    return empirical(values, name="pilot")


def share_between(rewards: np.ndarray) -> float:
    """Share of the variance that lies between prompts, noise of their means taken out."""
    counts = np.isfinite(rewards).sum(axis=1)
    rewards, counts = rewards[counts > 1], counts[counts > 1]
    if len(rewards) < 2:
        return math.inf
    within = np.nanvar(rewards, axis=1) * counts / (counts - 1)
    between = max(np.nanmean(rewards, axis=1).var(ddof=1) - (within / counts).mean(), 0)
    whole = between + within.mean()
    return float(between / whole) if whole > 0 else math.inf


def _draws(count: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Prompts drawn again; of one prompt there is nothing to draw."""
    return rng.integers(count, size=(resamples if count > 1 else 0, count))


def _few_prompts(count: int) -> tuple[str, ...]:
    if count == 1:
        return (
            "the pilot has one prompt, which says nothing about others: ± leaves out how prompts "
            "differ; use 16 or more",
        )
    if count < 8:
        return (f"the pilot has {count} prompts: ± over so few is rough; use 16 or more",)
    return ()
