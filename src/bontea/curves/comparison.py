"""Two models on the same prompts, paired: by how much, how often, and where the order flips.

Pairing removes the differences between prompts, which are usually larger than those between models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from bontea._errors import BonteaError
from bontea._json import Result
from bontea._numbers import number, percent
from bontea.curves.chosen import winner_weights
from bontea.curves.intervals import PAIRED_METHOD, Method, mean_interval
from bontea.curves.mean_curve import check_grid, is_landmark, with_limits
from bontea.curves.pairs import Pairs, pair_scores
from bontea.curves.unbiased import best_of_k_weights
from bontea.rollouts.chat_text import quoted
from bontea.rollouts.groups import Rollouts, as_rollouts

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float, Int


ComparisonVerdict: TypeAlias = Literal["first", "second", "depends on k", "undecided"]


@dataclass(frozen=True)
class Comparison(Result):
    """Paired difference `a - b` of two models on the same prompts. Arrays are `(K,)`.

    `str()` is a table, and ends with which model is better where.
    """

    ks: Int[np.ndarray, " K"]
    difference: Float[np.ndarray, " K"]
    low: Float[np.ndarray, " K"]
    """NaN where the prompts cannot give an interval; `interval_message` says why."""
    high: Float[np.ndarray, " K"]
    confidence_level: float
    standard_error: Float[np.ndarray, " K"]
    superiority: Float[np.ndarray, " K"]
    """Chance that the best of k from a beats the best of k from b on a prompt, ties half."""
    superiority_low: Float[np.ndarray, " K"]
    superiority_high: Float[np.ndarray, " K"]
    prompts: int
    """How many were compared."""
    left_out: int
    """Prompts that only one model has, or that lack a reward from one."""
    names: tuple[str, str]
    method: Method
    pass_at_k: bool
    """All rewards are 0 or 1."""
    interval_message: str
    """Why a limit is missing, what was done about the strata, and which reward carries a curve;
    empty when there is nothing."""
    select: str = "reward"
    """The score that chooses among k responses."""
    measure: str = "reward"
    """The score of the chosen ones that is compared; mostly the same."""

    DERIVED = ("verdict", "message", "decided", "flips")

    @property
    def decided(self) -> np.ndarray:
        """`(K,)`: the interval of the difference excludes 0."""
        return (self.low > 0) | (self.high < 0)

    @property
    def flips(self) -> list[tuple[int, int]]:
        """Neighbours on the grid between which the difference changes sign, decided or not."""
        signed = [(int(k), d) for k, d in zip(self.ks, self.difference, strict=True) if d != 0]
        return [(k, after) for (k, d), (after, e) in pairwise(signed) if d * e < 0]

    def at(self, k: int) -> tuple[float, float, float]:
        """Difference, lower and upper limit at one k of the grid."""
        (where,) = np.nonzero(self.ks == k)
        if len(where) == 0:
            raise BonteaError(f"k={k} is not on the grid {self.ks.tolist()} of the comparison")
        i = where[0]
        return float(self.difference[i]), float(self.low[i]), float(self.high[i])

    @property
    def verdict(self) -> ComparisonVerdict:
        """Which model is better, at every k that is decided; `message` says at which k."""
        better = set(self._winner.tolist()) - {0}
        if len(better) == 2:
            return "depends on k"
        return "first" if 1 in better else "second" if better else "undecided"

    @property
    def message(self) -> str:
        """Which model is better at which k, and by how much at the largest."""
        return f"{self._where()}; {self._lead()}"

    @property
    def _winner(self) -> np.ndarray:
        """At each k 1 for the first, -1 for the second, 0 where it is not decided."""
        return np.where(self.decided, np.sign(self.difference), 0).astype(int)

    def _where(self) -> str:
        a, b = self.names
        winner = self._winner
        if not winner.any():
            return f"no k tells {a} and {b} apart"
        grid = self.ks.tolist()
        if (winner == winner[0]).all():
            better = a if winner[0] > 0 else b
            reach = f"every k from {grid[0]} to {grid[-1]}" if len(grid) > 1 else f"k = {grid[0]}"
            return f"{better} is better at {reach}"
        parts: list[str] = []
        for sign, run in groupby(zip(winner.tolist(), grid, strict=True), key=lambda pair: pair[0]):
            ks = [k for _, k in run]
            who = {1: a, -1: b, 0: "neither"}[sign]
            if ks[-1] == grid[-1]:
                reach = f"from k = {ks[0]} on" if len(ks) > 1 else f"at k = {ks[0]}"
            else:
                reach = f"at k = {ks[0]}" + (f" to {ks[-1]}" if len(ks) > 1 else "")
            first = sign and " is better " not in "".join(parts)
            parts.append(f"{who}{' is better' if first else ''} {reach}")
        choose = " (choose by the k you deploy)" if self.verdict == "depends on k" else ""
        return ", ".join(parts) + choose

    def _lead(self) -> str:
        k = int(self.ks[-1])
        d, low, high = self.at(k)
        if d < 0:
            d, low, high = -d, -high, -low
        leader = self.names[0] if self.difference[-1] > 0 else self.names[1]
        text = f"at k = {k} {leader} leads by {with_limits(d, low, high)}"
        if d == 0:
            text = f"at k = {k} the two are equal"
        if np.isnan(low) or np.isnan(high):
            return f"{text}, without an interval"
        if self.decided[-1]:
            return text
        if d == 0:
            return f"{text} ({with_limits(d, low, high)})"
        needed = self.prompts * (max(d - low, high - d) / d) ** 2
        rounded = float(np.format_float_positional(needed, 2, fractional=False))
        much = "more than a million" if needed > 1e6 else f"about {number(rounded)}"
        return (
            f"{text}, which may be chance: if the difference is real, {much} prompts would show it"
        )

    def __str__(self) -> str:
        a, b = self.names
        shown = [i for i, k in enumerate(self.ks) if is_landmark(k, self.ks)]
        differences = [
            with_limits(self.difference[i], self.low[i], self.high[i], "+") for i in shown
        ]
        wide = max(map(len, ["difference", *differences]))
        lines = [f"{'k':>7}  {'difference':<{wide}}  {a} beats {b}"]
        for i, text in zip(shown, differences, strict=True):
            chance = with_limits(
                self.superiority[i], self.superiority_low[i], self.superiority_high[i]
            )
            mark = "" if self.decided[i] else "  (not decided)"
            lines.append(f"{self.ks[i]:>7}  {text:<{wide}}  {chance}{mark}")
        left = f", {self.left_out} left out" if self.left_out else ""
        what = "pass@k" if self.pass_at_k else "best of k"
        if self.measure != self.select:
            what = f"{self.measure} of the best of k by {self.select}"
        return (
            f"{a} minus {b}, {what}, {self.prompts} prompts"
            f"{left}, {percent(self.confidence_level)} interval ({self.method})\n"
            + "\n".join(lines)
            + (f"\n{self.interval_message}" if self.interval_message else "")
            + f"\n{self.message}"
        )


def compare(
    a: Rollouts | Float[ArrayLike, "P M"],
    b: Rollouts | Float[ArrayLike, "P M"],
    ks: Sequence[int] | None = None,
    *,
    select: str | None = None,
    measure: str | None = None,
    strata: Sequence[Any] | np.ndarray | None = None,
    names: tuple[str, str] = ("a", "b"),
    method: Method = PAIRED_METHOD,
    confidence_level: float = 0.95,
    resamples: int = 2000,
    batch: int | None = 200,
    rng: np.random.Generator | int | None = None,
) -> Comparison:
    """Best-of-k of model `a` minus that of `b` on the same prompts, and how often `a` wins.

    Two `Rollouts` are matched by the names of their prompts, and prompts that only one of them has
    are left out and counted; anything else is matched by position. Other arguments as in `curve`;
    `strata` belong to the prompts of `a`.

    The chance that a wins is unbiased on each prompt: with w_i(k) and v_j(k) the chances that the
    best of k is the i-th reward of a and the j-th of b,

        sum_ij w_i(k) v_j(k) [1{a_i > b_j} + 1/2 1{a_i = b_j}],

    the mean over all pairs of k rollouts of a and k of b. With `select` and `measure`, as in
    `curve`, w and v are the chances to be chosen by one score, and a_i and b_j are the other.

    Limits hold for one k at a time. Raises ValueError when no prompt has rewards from both, when
    numbers of prompts without names differ, or when a k exceeds the smallest group.

    >>> rng = np.random.default_rng(0)
    >>> level = rng.normal(size=(50, 1))  # b is better on average, a has the wider tail
    >>> a, b = level + rng.normal(size=(50, 64)), level + 0.3 + 0.6 * rng.normal(size=(50, 64))
    >>> comparison = compare(a, b, [1, 64], rng=0)
    >>> comparison.flips, comparison.decided.tolist()
    ([(1, 64)], [True, True])
    """
    named = isinstance(a, Rollouts) and isinstance(b, Rollouts)
    first, second, known = _match(as_rollouts(a, strata=strata), as_rollouts(b), named)
    one, two = (pair_scores(side, select, measure) for side in (first, second))
    both = np.flatnonzero((one.rollouts.scored_counts > 0) & (two.rollouts.scored_counts > 0))
    if len(both) == 0:
        what = "a reward" if one.single else f"a response with {one.select} and {one.measure}"
        raise BonteaError(f"no prompt has {what} from both models: there is nothing to compare")
    one, two = one.of(both).scored(), two.of(both).scored()
    first, second = one.rollouts, two.rollouts
    grid = check_grid(ks, int(min(first.counts.min(), second.counts.min())), one)
    difference = one.values(grid) - two.values(grid)
    wins = superiority(one, two, grid)
    pass_at_k = one.single and first.zero_one and second.zero_one
    width = len(grid)
    most = np.repeat([max(one.bounds[1], two.bounds[1]), 1.0], width)
    (a_low, a_high), (b_low, b_high) = one.span, two.span
    interval = mean_interval(
        np.concatenate([difference, wins], axis=1),
        first.strata if first.strata is not None else second.strata,
        method=method,
        confidence_level=confidence_level,
        resamples=resamples,
        batch=batch,
        rng=rng,
        bounds=(np.repeat([-most[0], 0.0], width), most),
        seen=(np.repeat([a_low - b_high, 0.0], width), np.repeat([a_high - b_low, 1.0], width)),
        columns=[f"k = {k}" for k in grid] + [f"k = {k} (chance to win)" for k in grid],
    )
    notes = [interval.message]
    for name, side in zip(names, (one, two), strict=True):
        notes += [f"{name}: {note}" for note in (side.message, side.carried_by(grid)) if note]
    return Comparison(
        ks=np.asarray(grid),
        difference=difference.mean(0),
        low=interval.low[:width],
        high=interval.high[:width],
        confidence_level=confidence_level,
        standard_error=interval.standard_error[:width],
        superiority=wins.mean(0),
        superiority_low=interval.low[width:],
        superiority_high=interval.high[width:],
        prompts=len(both),
        left_out=known - len(both),
        names=names,
        method=method,
        pass_at_k=pass_at_k,
        interval_message="; ".join(filter(None, notes)),
        select=one.select,
        measure=one.measure,
    )


def superiority(
    a: Pairs | Rollouts, b: Pairs | Rollouts, ks: Sequence[int]
) -> Float[np.ndarray, "P K"]:
    """Chance that the best of k from a beats that from b, ties half, on each prompt.

    Every rollout of both is scored, by both scores where there are two.
    """
    a, b = (one if isinstance(one, Pairs) else pair_scores(one) for one in (a, b))
    grid = tuple(int(k) for k in ks)
    out = np.empty((len(a), len(grid)))
    for p in range(len(out)):
        x, y = a.rollouts.group(p), b.rollouts.group(p)
        if a.single:
            # Ranks that no k reaches have no weight: the best rewards of a are enough.
            weights = best_of_k_weights(len(x), grid)
            x, y = np.sort(x)[::-1][: len(weights)], np.sort(y)
            below = _best_is_among_the_lowest(len(y), grid)
        else:
            weights, chosen = winner_weights(x, grid), winner_weights(y, grid)
            x, y = a.measured_group(p), b.measured_group(p)
            order = np.argsort(y)
            y, below = y[order], np.zeros((len(y) + 1, len(grid)))
            below[1:] = np.cumsum(chosen[order], axis=0)
        won = below[np.searchsorted(y, x)] + below[np.searchsorted(y, x, side="right")]
        out[p] = np.einsum("ik,ik->k", weights, won) / 2
    return np.minimum(out, 1)


@lru_cache(maxsize=32)
def _best_is_among_the_lowest(m: int, ks: tuple[int, ...]) -> np.ndarray:
    """`C(j, k) / C(m, k)` for j = 0 to m, `(m + 1, K)`: chance that the best of k is one of j."""
    weights = best_of_k_weights(m, ks)
    out = np.zeros((m + 1, len(ks)))
    out[m + 1 - len(weights) :] = np.cumsum(weights[::-1], axis=0)
    return out


def _match(a: Rollouts, b: Rollouts, named: bool) -> tuple[Rollouts, Rollouts, int]:
    """The prompts of both, in the order of a, and how many prompts there are in all."""
    if not named:
        if len(a) != len(b):
            raise BonteaError(
                f"the models were run on {len(a)} and {len(b)} prompts: without "
                "names of prompts a paired comparison needs the same ones in the same order"
            )
        return a, b, len(a)
    where = {name: i for i, name in enumerate(b.prompts.tolist())}
    both = [(i, where[name]) for i, name in enumerate(a.prompts.tolist()) if name in where]
    if not both:
        examples = f"{quoted(a.prompts[0])} and {quoted(b.prompts[0])}"
        raise BonteaError(
            f"the two have no prompt in common (such as {examples}): a paired comparison needs "
            "rollouts of the same prompts, under the same names"
        )
    first, second = np.array(both).T
    return a.select(first), b.select(second), len(a) + len(b) - len(both)
