"""What deployment gives: the response is chosen by one score, and judged by another.

`two_scores` has everything about one model on the same responses: how the selecting score rises
with k (the proxy), what the measure of the chosen response does, where that peaks, what an oracle
would give that selects by the measure itself, and how much of the oracle's gain the selecting score
captures. `compare_selectors` says which of two selecting scores chooses better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bontea._errors import BonteaError
from bontea._json import Result
from bontea._numbers import number, percent_of
from bontea.curves.difference import Difference, mean_difference
from bontea.curves.intervals import CURVE_METHOD, PAIRED_METHOD, Method, error_of_mean
from bontea.curves.mean_curve import Curve, check_grid, curve_of, is_landmark, with_limits
from bontea.curves.pairs import Pairs, pair_scores
from bontea.curves.peak import Peak, find_peak
from bontea.rollouts.chat_text import quoted
from bontea.rollouts.groups import Rollouts, as_rollouts

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


@dataclass(frozen=True)
class TwoScores(Result):
    """Selected by one score, measured by another. `str()` is a table, and the N to deploy.

    All curves are of the same prompts and responses: those that have both scores.
    """

    select: str
    measure: str
    proxy: Curve
    """Best-of-k of the selecting score: what one sees who looks at that alone."""
    chosen: Curve
    """The measure of the response that the selecting score chooses."""
    oracle: Curve
    """Best-of-k of the measure: what selecting by the measure itself would give."""
    regret: Difference
    """Oracle minus chosen: what is lost because the selecting score is not the measure."""
    captured: Float[np.ndarray, " K"]
    """Share of the oracle's gain over a single response that the chosen one has, `(chosen(k) -
    chosen(1)) / (oracle(k) - chosen(1))`; NaN at k = 1, and where the oracle gains nothing."""
    captured_low: Float[np.ndarray, " K"]
    captured_high: Float[np.ndarray, " K"]
    peak: Peak
    """Where the measure is highest: the N to deploy."""
    prompts: int
    rollouts: int
    """With both scores."""
    notes: list[str]
    """What does not count and what that assumes, a measure without spread; a sentence each."""

    DERIVED = ("message", "overshoot")

    def to_dict(self) -> dict[str, Any]:
        """Everything, as what JSON knows; NaN and infinities become None."""
        parts = {name: getattr(self, name) for name in ("regret", "peak")}
        return super().to_dict() | {name: part.to_dict() for name, part in parts.items()}

    @property
    def overshoot(self) -> float:
        """What the measure loses from its peak to the largest k."""
        return self.peak.value - self.peak.last_value

    @property
    def message(self) -> str:
        """Which N to deploy and what it is worth."""
        return self.peak.message

    def __str__(self) -> str:
        ks = self.chosen.ks
        rows = [("k", self.select, self.measure, "oracle", "share of its gain")]
        for i, k in enumerate(ks.tolist()):
            if not is_landmark(k, ks) and k != self.peak.k:
                continue
            share = self.captured[i]
            rows.append(
                (
                    f"{k}{' *' if k == self.peak.k else ''}",
                    with_limits(*self.proxy.at(k)),
                    with_limits(*self.chosen.at(k)),
                    with_limits(*self.oracle.at(k)),
                    percent_of(share) if np.isfinite(share) else "",
                )
            )
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        table = "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )
        return (
            f"selected by {self.select}, measured by {self.measure}: {self.prompts:,} prompts, "
            f"{self.rollouts:,} rollouts, {percent_of(self.chosen.confidence_level)} interval\n"
            f"{table}\n(* the peak of {self.measure})\n"
            + "".join(f"{note}\n" for note in self.notes)
            + self.message
        )


def two_scores(
    rollouts: Rollouts | Float[ArrayLike, "P M"],
    ks: Sequence[int] | None = None,
    *,
    measure: str,
    select: str | None = None,
    strata: Sequence[Any] | np.ndarray | None = None,
    method: Method | None = None,
    confidence_level: float = 0.95,
    resamples: int = 2000,
    batch: int | None = 200,
    rng: np.random.Generator | int | None = None,
) -> TwoScores:
    """What the response is worth by `measure` that is chosen by `select`, and which N to deploy.

    Parameters
    ----------
    rollouts
        `Rollouts` with both scores: `read_rollouts(path, also=["judge"])`, or
        `as_rollouts(rewards, scores={"judge": judged})`.
    ks
        Values of k; default: about four to a doubling, up to the smallest group. The peak is looked
        for among these.
    measure, select
        Names of scores; `select=None` is the reward.
    strata, method, confidence_level, resamples, batch, rng
        As in `curve`; differences have the method of `compare`.

    Nothing is predicted beyond the sample. Raises BonteaError for a score that is not there, one
    and the same score twice, a measure that is missing for other responses than a random choice,
    and a k beyond the smallest group.

    >>> rng = np.random.default_rng(0)
    >>> s = rng.normal(size=(60, 64))
    >>> judged = s - 0.7 * s**2 + 0.2 * rng.normal(size=s.shape)  # too much reward is no good
    >>> found = two_scores(as_rollouts(s, scores={"judge": judged}), measure="judge", rng=0)
    >>> found.peak.verdict, found.peak.k < 5, bool(found.proxy.value[-1] > found.proxy.value[0])
    ('peaks', True, True)
    """
    data = as_rollouts(rollouts, strata=strata)
    pairs = pair_scores(data, select, measure)
    if pairs.single:
        raise BonteaError(
            f"{pairs.select} selects and measures: name two scores that differ, or use curve for "
            "one (on the command line leave out --measure)"
        )
    pairs = pairs.scored()
    grid = check_grid(ks, int(pairs.rollouts.counts.min()), pairs)
    grid = sorted(set(grid))
    with_one = grid if grid[0] == 1 else [1, *grid]
    options: dict[str, Any] = {
        "confidence_level": confidence_level,
        "resamples": resamples,
        "batch": batch,
        "rng": rng,
    }
    plain = replace(pairs.rollouts, scores=None)
    judged = replace(plain, rewards=pairs.measured)
    proxy, chosen, oracle = (
        curve_of(one, grid, method=method or CURVE_METHOD, **options)
        for one in (
            Pairs(plain, pairs.select, pairs.select, True, ""),
            pairs,
            Pairs(judged, pairs.measure, pairs.measure, True, ""),
        )
    )
    gap = oracle.per_prompt - chosen.per_prompt
    level = pairs.values(with_one)[:, :1]
    captured, low, high = _share(
        chosen.per_prompt - level, oracle.per_prompt - level, plain.strata, confidence_level
    )
    notes = [pairs.message]
    if pairs.span[0] == pairs.span[1]:
        notes.append(
            f"{pairs.measure} is {number(pairs.span[0])} for every rollout, so that it cannot tell "
            "which choice is better"
        )
    counts = plain.counts
    end, median = int(counts.min()), float(np.median(counts))
    shortest = quoted(plain.prompts[int(counts.argmin())])
    if grid == [1]:
        notes.append(
            f"prompt {shortest} has one rollout with both scores, so that there is nothing to "
            "choose from: draw more rollouts of it, or leave it out"
        )
    elif end * 2 < median:
        notes.append(
            f"prompt {shortest} has only {end} rollouts with both scores, half of the prompts have "
            f"{number(median)} or more: the curves end at k = {end}"
        )
    carried = pairs.carried_by(grid)
    return TwoScores(
        select=pairs.select,
        measure=pairs.measure,
        proxy=proxy,
        chosen=chosen,
        oracle=oracle,
        regret=mean_difference(
            gap,
            grid,
            plain.strata,
            names=(f"selected by {pairs.measure}", f"selected by {pairs.select}"),
            measure=pairs.measure,
            span=pairs.span,
            method=method or PAIRED_METHOD,
            bounds=(0.0, pairs.bounds[1]),
            **options,
        ),
        captured=captured,
        captured_low=low,
        captured_high=high,
        peak=find_peak(
            chosen.per_prompt,
            grid,
            plain.strata,
            name=pairs.measure,
            **options,
        ),
        prompts=len(plain),
        rollouts=len(plain.rewards),
        notes=[note for note in (*notes, carried) if note],
    )


def compare_selectors(
    rollouts: Rollouts | Float[ArrayLike, "P M"],
    ks: Sequence[int] | None = None,
    *,
    selectors: tuple[str | None, str | None],
    measure: str,
    strata: Sequence[Any] | np.ndarray | None = None,
    method: Method = PAIRED_METHOD,
    confidence_level: float = 0.95,
    resamples: int = 2000,
    batch: int | None = 200,
    rng: np.random.Generator | int | None = None,
) -> Difference:
    """Which of two scores chooses better: the measure by the first minus that by the second.

    Paired by prompt, on the same responses: those that have all three scores. Arguments as in
    `two_scores`; one of the `selectors` may be None, the reward, or the measure itself.

    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=(40, 16))
    >>> good, bad = (truth + noise * rng.normal(size=truth.shape) for noise in (0.5, 2))
    >>> data = as_rollouts(good, scores={"bad": bad, "truth": truth})
    >>> compare_selectors(data, [4], selectors=(None, "bad"), measure="truth").decided.tolist()
    [True]
    """
    data = as_rollouts(rollouts, strata=strata)
    given = [data.score(name) for name in (*selectors, measure)]
    missing: np.ndarray = np.asarray(np.isnan(given).any(axis=0))
    if missing.all():
        raise BonteaError("no rollout has all three scores: score the same responses by each")
    both = []
    for name in selectors:
        # Checked by itself first, so that what is missing is looked at.
        pair = pair_scores(data, name, measure)
        rest = np.where(missing, np.nan, pair.rollouts.rewards)
        both.append(replace(pair, rollouts=replace(pair.rollouts, rewards=rest)).scored())
    first, second = both
    if first.select == second.select:
        raise BonteaError(f"the selectors are both {first.select}: name two scores")
    grid = check_grid(ks, int(first.rollouts.counts.min()), second if first.single else first)
    span = second.span if first.single else first.span
    binary = (second if first.single else first).bounds[1] == 1
    return mean_difference(
        first.values(grid) - second.values(grid),
        grid,
        first.rollouts.strata,
        names=(f"selected by {first.select}", f"selected by {second.select}"),
        measure=second.measure,
        span=span,
        method=method,
        confidence_level=confidence_level,
        resamples=resamples,
        batch=batch,
        rng=rng,
        bounds=(-1.0, 1.0) if binary else (-np.inf, np.inf),
        note=_all_three(missing),
    )


def _all_three(missing: np.ndarray) -> str:
    if not missing.any():
        return ""
    return (
        f"{int(missing.sum()):,} of {len(missing):,} rollouts lack one of the three scores and do "
        "not count, as if that were chance"
    )


def _share(
    part: np.ndarray, whole: np.ndarray, strata: Any, confidence_level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`mean(part) / mean(whole)` over prompts with its limits, `(K,)`; NaN where whole is 0.

    The error is that of `(part - ratio whole) / mean(whole)`, which is linear in the prompts.
    """
    from scipy.stats import t

    above = whole.mean(0)
    none = above <= 1e-12 * np.abs(whole).max(initial=0)
    ratio = part.mean(0) / np.where(none, np.nan, above)
    low, high = np.full((2, len(ratio)), np.nan)
    if len(part) > 1:
        with np.errstate(invalid="ignore"):  # one prompt, or all with the same share
            error, freedom = error_of_mean((part - ratio * whole)[:, ~none], strata)
            half = error / above[~none] * t.ppf((1 + confidence_level) / 2, freedom)
        low[~none], high[~none] = ratio[~none] - half, np.minimum(ratio[~none] + half, 1)
    return ratio, low, high
