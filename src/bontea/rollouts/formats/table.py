"""Tables: rows in the fields of a rollout file, or one row a prompt, in any container.

One row a rollout has `reward`, and `prompt_id` or `prompt`. One row a prompt has a list of rewards
(`rewards`), or a column for each (`reward_0` to `reward_15`), and the completions in the same way.
With `--reward-column` and the like the fields may have any name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bontea._errors import BonteaError
from bontea.rollouts.formats._row import Placed, Record, Row, Text, is_number, numbers_of, pick

if TYPE_CHECKING:
    from bontea.rollouts.formats import Reading

REWARDS = ("reward", "rewards", "score", "scores")
RESPONSES = ("completion", "completions", "response", "responses", "output", "outputs", "samples")
NUMBERED = re.compile(r"(.+?)[_.\-]?(\d+)")


@dataclass
class Table:
    """A table, read as these options say."""

    reading: Reading
    NAME: str = "a table"
    REWARD: str | None = None
    GROUPS: str = ""

    def detect(self, record: Record) -> bool:
        """Whether the first record says enough, and what of it is the reward."""
        names = self.reading.rewards
        lists = {name: v for name, v in _lists(record, names) if name in names or name in REWARDS}
        chosen = [name for name in names if name in lists or _has(record, name)]
        if lists and (not names or any(_is_list(record, name, lists) for name in names)):
            self.NAME, self.GROUPS = "a table of one row a prompt", "a row is a prompt"
            self.REWARD = next((name for name in ("rewards", "reward") if name in lists), None)
            return True
        if names and not chosen:
            return False
        self.NAME, self.REWARD = "a table of one row a rollout", "reward"
        reading = self.reading
        by = [name for name in (reading.prompt_id, reading.prompt) if name is not None]
        by = by or [name for name in ("prompt_id", "prompt") if name in record]
        self.GROUPS = f"equal {' or '.join(by)} is one prompt" if by else ""
        return bool(names or "reward" in record) and bool(by or reading.group_size)

    def rows(self, records: Iterable[Placed]) -> Iterator[Row]:
        names = self.reading.rewards
        for number, (place, record) in enumerate(records):
            lists = dict(_lists(record, names))
            for name in names:
                if name not in lists and _is_list(record, name, lists):
                    lists[name] = _list(pick(record, name))
            size = _size(place, lists, names or REWARDS)
            if size is None:
                yield self._row(place, record, numbers_of(record, "prompt_id", "rollout"))
                continue
            texts = _texts(record, lists, self.reading.completion, size)
            for i in range(size):
                scores = {
                    name: values[i]
                    for name, values in lists.items()
                    if len(values) == size and (name in names or is_number(values[i]))
                }
                scores |= {
                    name: None
                    for name, values in lists.items()
                    if len(values) == size and name not in scores and values[i] is None
                }
                row = self._row(f"{place}, response {i + 1}", record, scores)
                row.index, row.completion, row.rollout = i, None if texts is None else texts[i], i
                if row.prompt_id is None and row.prompt is None:
                    row.prompt_id = number
                yield row

    def _row(self, place: str, record: Record, scores: dict[str, Any]) -> Row:
        rollout = record.get("rollout")
        if isinstance(rollout, Text):
            rollout = int(rollout) if rollout.strip().isdecimal() else rollout or None
        if not (rollout is None or (isinstance(rollout, int) and not isinstance(rollout, bool))):
            if not (isinstance(rollout, float) and rollout.is_integer()):
                raise BonteaError(f"{place}: rollout {str(rollout)[:60]!r} is not an integer")
            rollout = int(rollout)
        return Row(
            place,
            record,
            scores,
            prompt_id=_there(record.get("prompt_id")),
            prompt=_there(record.get("prompt")),
            completion=record.get("completion"),
            rollout=rollout,
            stratum=_there(record.get("stratum")),
            model=_there(record.get("model")),
            finish_reason=_there(record.get("finish_reason")),
            columns=record,
        )


def _there(value: Any) -> Any:
    """An empty cell of a table is nothing; NaN, which pandas writes for it, too."""
    return None if value != value or (isinstance(value, Text) and not value) else value


def _has(record: Record, name: str) -> bool:
    try:
        pick(record, name)
    except KeyError:
        return False
    return True


def _is_list(record: Record, name: str, lists: dict[str, list[Any]]) -> bool:
    return name in lists or (_has(record, name) and _list(pick(record, name)) is not None)


def _list(value: Any) -> list[Any] | None:
    """A list of numbers and nulls; a cell of a CSV file may have it as JSON."""
    if isinstance(value, Text) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if not isinstance(value, list) or not all(v is None or is_number(v) for v in value):
        return None
    return value


def _lists(record: Record, names: Sequence[str]) -> Iterator[tuple[str, list[Any]]]:
    """The columns that have one number for each response: lists, and numbered columns."""
    numbered: dict[str, dict[int, Any]] = {}
    for name, value in record.items():
        if (values := _list(value)) is not None:
            yield name, values
        elif (found := NUMBERED.fullmatch(name)) and found[1] in {*REWARDS, *names}:
            numbered.setdefault(found[1], {})[int(found[2])] = value
    for name, values_by in numbered.items():
        if name not in record and len(values_by) > 1:
            yield name, [values_by[i] for i in sorted(values_by)]


def _size(place: str, lists: dict[str, list[Any]], names: Sequence[str]) -> int | None:
    sizes = {name: len(lists[name]) for name in names if name in lists}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{size} {name}" for name, size in sizes.items())
        raise BonteaError(f"{place}: {listed}: each response must have one of each")
    return next(iter(sizes.values()), None)


def _texts(record: Record, lists: Any, chosen: str | None, size: int) -> list[Any] | None:
    """The responses of a row, where it has one for each reward."""
    for name in RESPONSES if chosen is None else (chosen,):
        value = pick(record, name) if _has(record, name) else None
        if isinstance(value, Text) and value.lstrip().startswith("["):
            try:
                value = json.loads(value)
            except ValueError:
                continue
        if isinstance(value, list) and len(value) == size:
            return value
        cells = {
            int(found[2]): value
            for key, value in record.items()
            if (found := NUMBERED.fullmatch(key)) and found[1] == name
        }
        if len(cells) == size:
            return [cells[i] for i in sorted(cells)]
    return None
