"""search-and-learn: JSONL with the completions of a problem and the scores of their steps.

`src/sal/search/best_of_n.py` and `src/sal/utils/score.py` (May 2025): `problem`, `completions`,
`scores` (of each completion a list, one number a step), `pred`, `completion_tokens`, `agg_scores`.
A process reward model scores steps; what a whole completion is worth is their last, least or
product, so these are three scores, and the user says which.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bontea.rollouts.formats._row import Placed, Record, Row, equal_lengths

NAME = "a search-and-learn file"
REWARD = None
GROUPS = "the completions of a problem are its rollouts"
OF_STEPS: dict[str, Callable[[Any], Any]] = {
    "scores.last": lambda steps: steps[-1],
    "scores.min": min,
    "scores.prod": math.prod,
}


def detect(record: Record) -> bool:
    if not {"problem", "completions", "scores"} <= record.keys():
        return False
    scores = record["scores"]
    return isinstance(scores, list) and all(isinstance(steps, list) for steps in scores)


def rows(records: Iterable[Placed]) -> Iterator[Row]:
    for place, record in records:
        texts = record["completions"]
        equal_lengths(place, completions=texts, scores=record["scores"])
        for i, (text, steps) in enumerate(zip(texts, record["scores"], strict=True)):
            clean = steps and None not in steps
            yield Row(
                f"{place}, completion {i + 1}",
                record,
                {name: of(steps) if clean else None for name, of in OF_STEPS.items()},
                prompt_id=record.get("unique_id"),
                prompt=record["problem"],
                completion=text,
                index=i,
                columns={"answer": record.get("answer")},
            )
