"""The rules by which k responses become one answer, or one number: their names, and their values.

- `best`      the response with the best score
- `top4`      the mean of the 4 responses with the best scores (any number)
- `majority`  the answer that most responses give
- `weighted`  the answer whose responses have the largest sum of scores
- `threshold` the chance that the response with the best score reaches a threshold
- `pass^k`    the chance that all k responses succeed

The *score* of a response is what a deployed system sees and chooses by, the *measure* is what the
response is worth. Formulas: `bontea.curves.ranked` and `bontea.curves.voting`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from bontea._errors import BonteaError
from bontea._numbers import number
from bontea.curves.ranked import best_by, every_succeeds, top_by
from bontea.curves.voting import Votes, majority, weighted

if TYPE_CHECKING:
    from bontea._types import Float, Int

RULES = ("best", "topJ", "majority", "weighted", "threshold", "pass^k")
ONE_ANSWER = ("best", "majority", "weighted")
"""Rules that return one response, so that they are alternatives to each other."""
SHARES = ("threshold", "pass^k")
"""Rules whose value is a chance, whatever the measure is."""
Weights: TypeAlias = Literal["score", "sigmoid"]
WEIGHTS: tuple[Weights, ...] = get_args(Weights)
WORK = 4e9
"""Multiplications that exact majorities may take in all: about 20 seconds."""


@dataclass(frozen=True)
class Given:
    """The R rollouts of P prompts that have a score and a measure."""

    offsets: Int[np.ndarray, " P1"]
    """(P + 1,) as in `Rollouts`."""
    scores: Float[np.ndarray, " R"]
    measure: Float[np.ndarray, " R"]
    own_measure: bool
    """Whether it is something else than the scores."""
    answers: Int[np.ndarray, " R"] | None
    """Numbers from 0 on inside each prompt, -1 for none."""
    threshold: float | None
    """As it was given."""
    weights: Weights
    """Of a weighted vote."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def zero_one(self) -> bool:
        """Whether every measure is 0 or 1."""
        return bool(((self.measure == 0) | (self.measure == 1)).all())

    @property
    def success_from(self) -> float | None:
        """The measure from which on a response is a success; None where nothing says it."""
        return 1.0 if self.threshold is None and self.zero_one else self.threshold


def choose_rules(given: Given) -> tuple[list[str], list[str]]:
    """The rules that can be computed, and a sentence for one that cannot and was to be expected."""
    rules, notes = ["best"], []
    if given.answers is not None and (given.answers >= 0).any():
        rules.append("majority")
        if given.own_measure:  # by the measure itself it would be a vote of those who know
            if problem := _weights_problem(given):
                notes.append(f"weighted is left out: {problem}")
            else:
                rules.append("weighted")
    if given.threshold is not None:
        rules.append("threshold")
    return rules + (["pass^k"] if given.success_from is not None else []), notes


def check_rules(rules: Sequence[str], given: Given) -> list[str]:
    """The rules that are asked for, each once; BonteaError for one that cannot be computed."""
    out = list(dict.fromkeys(rules))
    if not out:
        raise BonteaError(f"rules is empty: give some of {', '.join(RULES)}")
    for rule in out:
        check_name(rule)
        if problem := _problem(rule, given):
            raise BonteaError(f"{rule}: {problem}")
    return out


def check_name(rule: str) -> None:
    """BonteaError for a rule that there is not."""
    if top_number(rule) is None and (rule not in RULES or rule == "topJ"):
        raise BonteaError(
            f"rule {rule!r} is not known: use some of {', '.join(RULES)} (topJ with a number, such "
            "as top4)"
        )


def top_number(rule: str) -> int | None:
    """4 of `top4`; None for another rule."""
    found = re.fullmatch(r"top([1-9]\d{0,5})", rule)
    return int(found[1]) if found else None


def _problem(rule: str, given: Given) -> str | None:
    """Why a rule cannot be computed, and what to do."""
    if rule in ("majority", "weighted"):
        if given.answers is None:
            return "it compares answers, and there are none: give answers"
        if not (given.answers >= 0).any():
            return (
                f"none of the {len(given.answers):,} responses has an answer that could be found: "
                "give a normaliser that finds it (--normaliser MODULE:FUNCTION)"
            )
        return _weights_problem(given) if rule == "weighted" else None
    if rule == "threshold" and given.threshold is None:
        return "give the measure that is to be reached, --threshold T"
    if rule == "pass^k" and given.success_from is None:
        return (
            "measures are not all 0 or 1, so that success has to be defined: give the measure from "
            "which on a response succeeds, --threshold T"
        )
    return None


def _weights_problem(given: Given) -> str | None:
    lowest = float(given.scores.min())
    if given.weights != "score" or lowest >= 0:
        return None
    return (
        f"weights of a vote must be at least 0, and scores go down to {number(lowest, 4)}: take "
        '--weights sigmoid (in Python weights="sigmoid") for the logits of a reward model, or '
        "scale them"
    )


def rule_values(
    rules: Sequence[str], ks: Sequence[int], given: Given, *, subsets: int, rng: np.random.Generator
) -> dict[str, tuple[Float[np.ndarray, "P K"], Float[np.ndarray, "P K"]]]:
    """Of each rule the values `(P, K)`, and the variances that drawing subsets left in them."""
    out = {
        rule: (np.empty((len(given), len(ks))), np.zeros((len(given), len(ks)))) for rule in rules
    }
    votes = given.scores
    if given.weights == "sigmoid":
        votes = (1 + np.tanh(votes / 2)) / 2  # 1 / (1 + exp(-x)), which overflows
    bar = given.success_from
    success = np.zeros(len(votes), bool) if bar is None else given.measure >= bar
    for p in range(len(given)):
        own = slice(given.offsets[p], given.offsets[p + 1])
        scores, measure, succeeds = given.scores[own], given.measure[own], success[own]
        answers = np.empty(0, int) if given.answers is None else given.answers[own]
        for rule, (values, variances) in out.items():
            found: np.ndarray | Votes
            if rule == "best":
                found = best_by(scores, measure, ks)
            elif rule == "threshold":
                found = best_by(scores, succeeds.astype(float), ks)
            elif rule == "pass^k":
                found = every_succeeds(succeeds, ks)
            elif rule == "majority":
                work = WORK / len(given)
                found = majority(answers, measure, ks, work=work, subsets=subsets, rng=rng)
            elif rule == "weighted":
                found = weighted(answers, votes[own], measure, ks, subsets=subsets, rng=rng)
            else:
                found = top_by(scores, measure, ks, top_number(rule) or 1)
            if isinstance(found, Votes):
                values[p], variances[p] = found.value, found.variance
            else:
                values[p] = found
    return out
