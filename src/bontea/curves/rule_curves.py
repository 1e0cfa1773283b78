"""Which way of choosing among k responses is worth it: best, votes, reliability, on one scale.

Best-of-k is one rule of several. Where answers can be compared, k responses can vote; where every
response is used, what counts is that all are good. `compare_rules` gives the value of each rule
(`bontea.curves.rules`) at each k from the same rollouts, exactly where there is a closed form, with
intervals over prompts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bontea._arrays import check_k
from bontea._errors import BonteaError, GroupTooSmallError
from bontea._ids import id_text
from bontea._json import Result
from bontea._numbers import number, percent
from bontea.curves.intervals import CURVE_METHOD, Method, mean_interval
from bontea.curves.leaders import Leader, find_leaders, leader_lines
from bontea.curves.mean_curve import Curve, check_grid, default_ks, with_limits
from bontea.curves.rules import (
    ONE_ANSWER,
    SHARES,
    WEIGHTS,
    Given,
    Weights,
    check_rules,
    choose_rules,
    rule_values,
)
from bontea.rollouts.chat_text import quoted
from bontea.rollouts.groups import Rollouts, as_rollouts

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float, Int

SUBSETS = 100_000
"""Of all prompts together, where a vote is found by drawing; 100 to 4,000 of each."""


@dataclass(frozen=True)
class RuleCurves(Result):
    """The value of each rule at each k; `str()` is for a person."""

    ks: Int[np.ndarray, " K"]
    curves: dict[str, Curve]
    """By rule; `value` is NaN at a k where the rule is not defined (`top4` below k = 4)."""
    monte_carlo_standard_error: dict[str, Float[np.ndarray, " K"]]
    """By rule: how far `value` may be off because subsets were drawn; 0 where it is exact."""
    leaders: list[Leader]
    threshold: float | None
    """From which measure on a response is a success."""
    answered: float | None
    """Share of the responses that have an answer; None without answers."""
    left_out: int
    """Rollouts without a score or without a measure."""
    notes: list[str]
    """What a person should know beside the numbers, a sentence each."""

    def __str__(self) -> str:
        lines = []
        for rule, curve in self.curves.items():
            cells = [
                f"k = {k}: {with_limits(*curve.at(k))}"
                for k, value in zip(self.ks.tolist(), curve.value, strict=True)
                if not np.isnan(value)
            ]
            lines.append(f"{rule}: " + ", ".join(cells))
        return "\n".join([*lines, *leader_lines(self.leaders), *self.notes])


def compare_rules(
    rollouts: Rollouts | Float[ArrayLike, "P M"],
    ks: Sequence[int] | None = None,
    *,
    rules: Sequence[str] | None = None,
    answers: Any = None,
    measure: Any = None,
    threshold: float | None = None,
    weights: Weights = "score",
    subsets: int | None = None,
    strata: Sequence[Any] | np.ndarray | None = None,
    method: Method = CURVE_METHOD,
    confidence_level: float = 0.95,
    resamples: int = 2000,
    batch: int | None = 200,
    rng: np.random.Generator | int | None = None,
) -> RuleCurves:
    """The mean over prompts of what each rule gets out of k responses.

    Parameters
    ----------
    rollouts
        The scores by which responses are chosen: `Rollouts`, a `(P, M)` array, or P lists.
    ks
        Values of k; default: powers of 2 up to the smallest group.
    rules
        Some of `best`, `majority`, `weighted`, `threshold`, `pass^k`, and `top2`, `top3`, ...;
        default: those that the other arguments allow.
    answers
        The final answer of each rollout, in the form of the rewards (P lists, or all in a row);
        None: it has none. `bontea.rollouts.answers.read_answers` reads them from a file.
    measure
        What each response is worth, in the form of the rewards; default: the rewards.
    threshold
        A response is a success from this measure on; default: 1 where every measure is 0 or 1.
    weights
        Of a weighted vote: `"score"`, for scores of at least 0, or `"sigmoid"`, `1 / (1 + exp(-
        score))`, for the logits of a reward model.
    subsets
        How many subsets of each prompt are drawn where a vote is not computed exactly; default:
        100,000 in all, at least 100 and at most 4,000 of each.
    strata, method, confidence_level, resamples, batch, rng
        Of the intervals, as for `bontea.curve`; `rng` is the seed of the subsets, too.

    A rollout without a score or without a measure (None, NaN) is left out of all rules, so that
    they are compared on the same draws; the result counts them. At k = 1 every rule that returns
    one response is the mean of the measure. Formulas: `bontea.curves.ranked`,
    `bontea.curves.voting`.

    Raises BonteaError for a k beyond the smallest group, an unknown rule, a vote without answers,
    negative weights, and success that is not defined.

    >>> right = [[1, 1, 0], [0, 0, 1]]
    >>> found = compare_rules(right, [1, 3], answers=[["4", "4", "5"], ["7", "7", "8"]], rng=0)
    >>> found.curves["best"].value.tolist(), found.curves["majority"].value.tolist()
    ([0.5, 1.0], [0.5, 0.5])
    """
    _check(weights, subsets, threshold)
    data = as_rollouts(rollouts, strata=strata)
    own = None if measure is None else _measure(measure, data)
    kept = _complete(data, own)
    places = np.asarray(kept.rows)
    given = Given(
        offsets=kept.offsets,
        scores=kept.rewards,
        measure=kept.rewards if own is None else own[places],
        own_measure=own is not None,
        answers=None if answers is None else _codes(_flat(answers, data), places, kept.offsets),
        threshold=threshold,
        weights=weights,
    )
    chosen, notes = choose_rules(given) if rules is None else (check_rules(rules, given), [])
    smallest = int(kept.counts.min())
    wanted = default_ks(smallest) if ks is None else sorted({check_k(k) for k in ks})
    if wanted and wanted[-1] > smallest:
        raise GroupTooSmallError(
            f"k = {wanted[-1]} exceeds the {smallest} rollouts of prompt "
            f"{quoted(kept.prompts[int(kept.counts.argmin())])}: draw more of them, or ask for "
            f"k up to {smallest}"
        )
    grid = check_grid(wanted, smallest)
    if subsets is None:
        subsets = int(np.clip(SUBSETS // len(given), 100, 4000))
    found = rule_values(chosen, grid, given, subsets=subsets, rng=np.random.default_rng(rng))
    ends = float(given.measure.min()), float(given.measure.max())
    curves = {}
    for rule, (values, _) in found.items():
        zero_one = given.zero_one or rule in SHARES
        there = ~np.isnan(values).any(0)
        interval = mean_interval(
            values[:, there],
            kept.strata,
            method=method,
            confidence_level=confidence_level,
            resamples=resamples,
            batch=batch,
            rng=rng,
            bounds=(0, 1) if zero_one else (-np.inf, np.inf),
            seen=(0, 1) if zero_one else ends,
            columns=[f"k = {k}" for k, one in zip(grid, there, strict=True) if one],
        )
        low, high, error = np.full((3, len(grid)), np.nan)
        low[there], high[there] = interval.low, interval.high
        error[there] = interval.standard_error
        curves[rule] = Curve(
            ks=np.asarray(grid),
            value=values.mean(0),
            low=low,
            high=high,
            per_prompt=values,
            confidence_level=confidence_level,
            standard_error=error,
            method=method,
            pass_at_k=zero_one,
            message=interval.message,
        )
    errors = {rule: np.sqrt(variance.sum(0)) / len(given) for rule, (_, variance) in found.items()}
    # By the score that measures it the best cannot lose: it is no alternative then, but a limit.
    rivals = [
        rule for rule in ONE_ANSWER if rule in found and (given.own_measure or rule != "best")
    ]
    single = np.add.reduceat(given.measure, given.offsets[:-1]) / kept.counts
    left_out = len(data.rewards) - len(kept.rewards)
    if left_out:
        notes.append(_left_out(left_out, len(data.rewards), own is not None))
    notes += _notes(chosen, given)
    notes += [
        f"{rule} is not exact at every k: {subsets:,} random subsets of each prompt, which leave a "
        f"standard error of up to {number(float(error.max()), 2)} in its mean over prompts"
        for rule, error in errors.items()
        if error.any()
    ]
    return RuleCurves(
        ks=np.asarray(grid),
        curves=curves,
        monte_carlo_standard_error=errors,
        leaders=find_leaders(
            grid, {rule: found[rule][0] for rule in rivals}, single, kept.strata, confidence_level
        ),
        threshold=given.success_from,
        answered=None if given.answers is None else float((given.answers >= 0).mean()),
        left_out=left_out,
        notes=notes,
    )


def _check(weights: str, subsets: int | None, threshold: float | None) -> None:
    if weights not in WEIGHTS:
        raise BonteaError(f"weights={weights!r} is not known: use one of {', '.join(WEIGHTS)}")
    if subsets is not None and subsets < 2:
        raise BonteaError(f"subsets={subsets} must be at least 2, better 1000")
    if threshold is not None and not np.isfinite(threshold):
        raise BonteaError(f"threshold={threshold} must be a finite number")


def _measure(measure: Any, data: Rollouts) -> np.ndarray:
    given = as_rollouts(_rows_of(measure, data))
    same = np.array_equal(given.offsets, data.offsets)
    if given.rows is not None and data.rows is not None:
        same = same and np.array_equal(given.rows, data.rows)
    if not same:
        raise BonteaError(
            f"a measure of {len(given.rewards):,} rollouts of {len(given):,} prompts does not "
            f"belong to scores of {len(data.rewards):,} of {len(data):,}: give one number for each "
            "rollout, in the same order"
        )
    given.scored()  # refuses numbers that stand for none
    return given.rewards


def _rows_of(values: Any, data: Rollouts) -> Any:
    """Values that are all in a row as lists, a list a prompt; others as they are."""
    if isinstance(values, Rollouts) or getattr(values, "ndim", 1) != 1:
        return values
    if len(values) == len(data.rewards) and not any(isinstance(v, (list, tuple)) for v in values):
        return [values[a:b] for a, b in zip(data.offsets, data.offsets[1:], strict=False)]
    return values


def _flat(answers: Any, data: Rollouts) -> list[Any]:
    """The answers of all rollouts in a row."""
    rows = [
        list(row) if isinstance(row, Iterable) and not isinstance(row, str) else [row]
        for row in _rows_of(answers, data)
    ]
    if [len(row) for row in rows] != data.counts.tolist():
        raise BonteaError(
            f"answers for {len(rows):,} prompts do not belong to {len(data.rewards):,} rollouts "
            f"of {len(data):,} prompts: give one for each rollout, None where there is none"
        )
    return [answer for row in rows for answer in row]


def _codes(answers: list[Any], places: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Answers as numbers from 0 on inside each prompt, -1 for none; 4, 4.0 and "4" are one.

    Of the rollouts at `places` only, which `offsets` divides into prompts.
    """
    out = np.full(len(places), -1)
    for a, b in zip(offsets.tolist(), offsets[1:].tolist(), strict=False):
        known: dict[str, int] = {}
        for i in range(a, b):
            text = id_text(answers[places[i]])
            if text:
                out[i] = known.setdefault(text, len(known))
    return out


def _complete(data: Rollouts, measure: np.ndarray | None) -> Rollouts:
    """The rollouts that have a score and a measure; `rows` are their places in `data`."""
    data.scored()  # refuses numbers that stand for none, naming the row of the file
    rewards = data.rewards
    if measure is not None:
        rewards = np.where(np.isnan(measure), np.nan, rewards)
        if np.isnan(rewards).all():
            raise BonteaError(
                "no rollout has both a score and a measure: both are needed for each response"
            )
    return replace(
        data, rewards=rewards, rows=np.arange(len(rewards)), source=None, scores=None
    ).scored()


def _left_out(count: int, total: int, own_measure: bool) -> str:
    what = "score or no measure" if own_measure else "score"
    return (
        f"{count:,} of {total:,} rollouts {'has' if count == 1 else 'have'} no {what} and "
        f"{'does' if count == 1 else 'do'} not count; the others stand for them, which is right "
        "where it is chance which ones are missing"
    )


def _notes(rules: Sequence[str], given: Given) -> list[str]:
    """What a person should know beside the numbers."""
    notes = []
    counts = np.diff(given.offsets)
    if int(counts.max()) == 1:
        notes.append("one rollout a prompt: at k = 1 there is nothing to choose; draw more")
    by_score = [rule for rule in rules if rule in ("best", "threshold")]
    if not given.own_measure and by_score:
        notes.append(
            f"{by_score[0]} is chosen by the score that measures it: no other choice of one "
            "response can be worth more; what a real verifier gives shows when something else "
            "measures (--measure, --answer-column)"
        )
    answers = given.answers
    if answers is not None:
        votes = {"majority", "weighted"} & set(rules)
        none = answers < 0
        if count := int(none.sum()):
            what = "it takes up a draw and votes" if count == 1 else "they take up a draw and vote"
            notes.append(
                f"{count:,} of {len(answers):,} responses ({percent(none.mean())}) "
                f"{'has' if count == 1 else 'have'} no answer that could be found"
                + (f": in a vote {what} for nothing" if votes else "")
            )
        starts = given.offsets[:-1]
        answered = np.add.reduceat(~none, starts)
        different = np.maximum.reduceat(answers, starts) + 1
        alone = int(((different == answered) & (answered > 1)).sum())
        if alone and votes:
            notes.append(
                f"in {alone:,} of {len(given):,} prompts no answer was given twice: there a "
                "majority is a random choice; if equal answers look different, give a normaliser "
                "(--normaliser)"
            )
    bar = given.success_from
    if bar is not None and set(SHARES) & set(rules) and (given.measure < bar).all():
        notes.append(
            f"no response reaches the threshold {number(bar)}; the largest measure is "
            f"{number(float(given.measure.max()), 4)}"
        )
    return notes
