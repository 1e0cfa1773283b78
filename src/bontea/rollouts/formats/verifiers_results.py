"""verifiers before version 1 (and its legacy part since): `results.jsonl` of an evaluation.

`verifiers/legacy/utils/save_utils.py`, `state_to_output` (August 2026): `example_id`, `prompt`,
`completion`, `answer`, `reward`, `error`, `is_truncated`, `metrics`, which are written at the top
too. A rollout that ended in an error has a reward of 0 there, though nothing was scored: it is
unscorable here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bontea._errors import BonteaError
from bontea._ids import id_text
from bontea.rollouts.formats._row import Placed, Record, Row, is_number, turns_text

NAME = "a verifiers results file"
REWARD = "reward"
GROUPS = "rows of one example_id are one prompt; rollouts with an error are unscorable"


def detect(record: Record) -> bool:
    return {"example_id", "reward", "completion"} <= record.keys()


def rows(records: Iterable[Placed]) -> Iterator[Row]:
    known: dict[str | None, tuple[Any, Any]] = {}
    for place, record in records:
        key = id_text(record.get("example_id"))
        example = record.get("task"), record.get("answer")
        if known.setdefault(key, example) != example:
            raise BonteaError(
                f"{place}: example {key} has another task or answer than before: the file holds "
                "runs of several environments, whose examples have the same numbers; read the "
                "files that they came from one by one"
            )
        metrics = record.get("metrics")
        scores = {"reward": record.get("reward")}
        if isinstance(metrics, dict):
            scores |= {name: value for name, value in metrics.items() if is_number(value)}
        if record.get("error"):
            scores = dict.fromkeys(scores)
        yield Row(
            place,
            record,
            scores,
            prompt_id=record.get("example_id"),
            prompt=record.get("prompt"),
            completion=turns_text(record.get("completion")),
            finish_reason="length" if record.get("is_truncated") else None,
            columns=record,
        )
