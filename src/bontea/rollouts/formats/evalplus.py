"""EvalPlus: `samples_eval_results.json`, which `evalplus.evaluate` writes.

`evalplus/evaluate.py` (0.3.1): `{"date", "hash", "eval": {task_id: [{"task_id", "solution",
"base_status", "plus_status", ...}]}}`; a status is "pass", "fail" or "timeout", and `plus_status`
is null with `--base-only`. As in EvalPlus itself a solution has passed the extra tests if it has
passed both. BigCodeBench, made from it, has one `status`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bontea._errors import BonteaError
from bontea.rollouts.formats._row import Placed, Record, Row

NAME = "an EvalPlus results file"
REWARD = None
GROUPS = "solutions of one task are one prompt"
STATUSES = ("base_status", "plus_status", "status")
PASSED = {"pass": True, "fail": False, "timeout": False}


def detect(record: Record) -> bool:
    tasks = record.get("eval")
    return isinstance(tasks, dict) and any(_solutions(value) for value in tasks.values())


def rows(records: Iterable[Placed]) -> Iterator[Row]:
    for place, record in records:
        for task, solutions in record["eval"].items():
            if not isinstance(solutions, list):
                raise BonteaError(f"{place}: the task {task!r} holds no list of solutions")
            for i, found in enumerate(solutions):
                where = f"{place}, {task}, solution {i + 1}"
                if not isinstance(found, dict) or not found.keys() & {*STATUSES}:
                    raise BonteaError(f"{where}: it has none of {', '.join(STATUSES)}")
                given = {name: found[name] for name in STATUSES if found.get(name) is not None}
                for name, status in given.items():
                    if not isinstance(status, str) or status not in PASSED:
                        raise BonteaError(
                            f"{where}: {name} {str(status)[:60]!r} is none of {', '.join(PASSED)}"
                        )
                scores = {name: PASSED[status] for name, status in given.items()}
                if "plus_status" in scores:
                    scores["plus_status"] &= scores.get("base_status", True)
                yield Row(
                    where,
                    found,
                    scores,
                    prompt_id=task,
                    completion=found.get("solution"),
                    index=None,
                    columns={"task_id": task},
                )


def _solutions(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and isinstance(value[0], dict)
        and bool(value[0].keys() & {*STATUSES})
    )
