"""Some models and some selecting scores, all measured by one other score, and compared in pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bontea._errors import BonteaError
from bontea._json import Result
from bontea.curves.comparison import Comparison, compare
from bontea.curves.difference import Difference
from bontea.curves.intervals import PAIRED_METHOD, Method
from bontea.curves.mean_curve import beyond, dense_ks
from bontea.curves.pairs import score_name
from bontea.curves.selection import TwoScores, compare_selectors, two_scores
from bontea.rollouts.groups import Rollouts, as_rollouts


@dataclass(frozen=True)
class ScoreEvaluation(Result):
    """What is known of each model and selecting score, by `"model"`, or `"model by score"` where
    there are several scores."""

    rollouts: dict[str, Rollouts]
    """By the same names, the selecting score as the reward."""
    found: dict[str, TwoScores]
    models: dict[str, Comparison]
    """The first model with each other one, by the same selecting score."""
    selectors: dict[str, Difference]
    """The first selecting score with each other one, on the same model."""


def evaluate_scores(
    rollouts: Mapping[str, Any],
    ks: Sequence[int] | None = None,
    *,
    measure: str,
    selectors: Sequence[str | None] = (None,),
    up_to: int | None = None,
    method: Method | None = None,
    confidence_level: float = 0.95,
    rng: np.random.Generator | int | None = None,
) -> ScoreEvaluation:
    """`two_scores` of each model with each selecting score (None: the reward), and comparisons.

    Raises BonteaError naming the model, as `two_scores` does, and for an `up_to` beyond its
    rollouts: nothing is predicted there.

    >>> draw = np.random.default_rng(0).normal
    >>> data = as_rollouts(draw(size=(20, 8)), scores={"judge": draw(size=(20, 8))})
    >>> list(evaluate_scores({"a": data, "b": data}, measure="judge", rng=0).models)
    ['a - b']
    """
    groups = {name: as_rollouts(data) for name, data in rollouts.items()}
    options: dict[str, Any] = {
        "measure": measure,
        "method": method,
        "confidence_level": confidence_level,
        "rng": rng,
    }
    paired = options | {"method": method or PAIRED_METHOD}
    shown: dict[str, Rollouts] = {}
    found: dict[str, TwoScores] = {}
    models: dict[str, Comparison] = {}
    differences: dict[str, Difference] = {}

    def grid(end: int) -> list[int]:
        """The k asked for, as far as there are responses; where none are, `two_scores` says so."""
        return [k for k in ks or dense_ks(min(end, up_to or end)) if k <= end] or [max(end, 1)]

    def label(model: str, select: str | None) -> str:
        return model if len(selectors) == 1 else f"{model} by {score_name(groups[model], select)}"

    for name, data in groups.items():
        for select in selectors:
            try:
                end = _smallest(data, select, measure)
                _check_end(data, select, measure, up_to or max(ks or [1]), end)
                one = two_scores(data, grid(end), select=select, **options)
            except BonteaError as error:
                raise BonteaError(f"{name}: {error}") from None
            found[label(name, select)] = one
            shown[label(name, select)] = replace(data, rewards=data.score(select))
        for other in selectors[1:]:
            pair = (selectors[0], other)
            differences[f"{label(name, pair[0])} - {label(name, other)}"] = compare_selectors(
                data, grid(_smallest(data, *pair, measure)), selectors=pair, **paired
            )
    first, *others = groups
    for name in others:
        for select in selectors:
            sides = groups[first], groups[name]
            names = label(first, select), label(name, select)
            models[" - ".join(names)] = compare(
                *sides,
                grid(min(_smallest(side, select, measure) for side in sides)),
                select=select,
                names=names,
                **paired,
            )
    return ScoreEvaluation(shown, found, models, differences)


def _smallest(data: Rollouts, *names: str | None) -> int:
    """The responses with all of these scores in the smallest group that has any."""
    there = ~np.isnan([data.score(name) for name in names]).any(axis=0)
    counts = np.bincount(np.repeat(np.arange(len(data)), data.counts)[there])
    return int(counts[counts > 0].min(initial=np.iinfo(int).max)) if there.any() else 0


def _check_end(data: Rollouts, select: str | None, measure: str, last: int, end: int) -> None:
    """BonteaError for a k beyond the responses, with the name of the shortest prompt's limit."""
    if last > end > 0:
        s, r = score_name(data, select), score_name(data, measure)
        raise BonteaError(
            f"k = {last} exceeds the {end} rollouts with {s} and {r} of the smallest group, and "
            f"nothing is predicted beyond them: {beyond(s, r)}"
        )
