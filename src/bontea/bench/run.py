"""The tasks of a benchmark, done one by one; what is done stays done when it is stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bontea._errors import BonteaError
from bontea._json import plain, strict_loads


class Task(NamedTuple):
    """One measurement. Equal keys mean equal results, seeds included."""

    table: str
    key: str
    measure: Callable[[], list[dict[str, Any]]]
    """Returns rows of the table."""


def run(
    tasks: Sequence[Task],
    *,
    cache: Path | None = None,
    on_done: Callable[[Task], None] | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Do the tasks in order; rows by table.

    `cache` is a file of JSON lines, one a task, appended as they finish: tasks found there are not
    done again, and a last line that was cut off is. An exception of `on_done` ends the run with
    everything measured so far in the cache.
    """
    done = _read(cache) if cache is not None else {}
    tables: dict[str, list[dict[str, Any]]] = {}
    for task in tasks:
        name = f"{task.table} {task.key}"
        if name not in done:
            done[name] = plain(task.measure())
            if cache is not None:
                _append(cache, {"task": name, "rows": done[name]})
        tables.setdefault(task.table, []).extend(done[name])
        if on_done is not None:
            on_done(task)
    return tables


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    if not path.exists():
        return {}
    done = {}
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            entry = strict_loads(line, path)
            done[entry["task"]] = entry["rows"]
        except (ValueError, KeyError, TypeError):
            if number < len(lines):
                raise BonteaError(
                    f"{path}, line {number}, is not a finished task: delete the file to measure "
                    "everything again, or choose another --output"
                ) from None
            path.write_text("".join(f"{text}\n" for text in lines[:-1]), encoding="utf-8")
    return done


def _append(path: Path, entry: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
        file.flush()
        os.fsync(file.fileno())
