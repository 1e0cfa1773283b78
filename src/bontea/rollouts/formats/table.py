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
from bontea.rollouts.formats._row import (
    Placed,
    Record,
    Row,
    Text,
    equal_lengths,
    is_number,
    numbers_of,
    pick,
)

if TYPE_CHECKING:
    from bontea.rollouts.formats import Reading

REWARDS = ("reward", "rewards", "score", "scores")
RESPONSES = ("completion", "completions", "response", "responses", "output", "outputs", "samples")
NO_SCORES = ("prompt_id", "rollout", "stratum", "reasoning_only")
"""Fields of a rollout file that may hold a number or a boolean, and are not scores."""
NUMBERED = re.compile(r"(.+?)[_.\-]?(\d+)")


@dataclass
class Table:
    """A table, read as these options say."""

    reading: Reading
    NAME: str = "a table"
    REWARD: str | None = None
    GROUPS: str = ""

    by_prompt: bool = False
    """Whether a row is a prompt, with a list of rewards."""

    def detect(self, record: Record) -> bool:
        """Whether the first record says enough, and what of it is the reward."""
        reading, names = self.reading, self.reading.rewards
        lists = self._rewards_in(record)
        if lists:
            self.by_prompt = True
            self.NAME = "a table of one row a prompt"
            self.GROUPS = _same(_keys(record)) or "a row is a prompt"
            self.REWARD = next((name for name in ("rewards", "reward") if name in lists), None)
            return True
        self.NAME, self.REWARD = "a table of one row a rollout", "reward"
        by = [name for name in (reading.prompt_id, reading.prompt) if name is not None]
        by = by or _keys(record)
        self.GROUPS = _same(by)
        there = any(_has(record, name) for name in names) if names else "reward" in record
        return there and bool(by or reading.group_size)

    def rows(self, records: Iterable[Placed]) -> Iterator[Row]:
        for number, (place, record) in enumerate(records):
            if not self.by_prompt:
                yield self._row(place, record, numbers_of(record, *NO_SCORES))
                continue
            rewards = self._rewards_in(record)
            size = equal_lengths(place, **rewards)
            if not rewards:
                raise BonteaError(f"{place}: it has no list of rewards, as the rows before it have")
            lists = {**dict(_lists(record, ())), **rewards}
            texts = _texts(record, self.reading.completion, size)
            for i in range(size):
                scores = {name: v[i] for name, v in lists.items() if len(v) == size}
                row = self._row(f"{place}, response {i + 1}", record, scores)
                row.index, row.completion, row.rollout = (
                    i,
                    None if texts is None else texts[i],
                    None,
                )
                if row.prompt_id is None and row.prompt is None:
                    row.prompt_id = number
                yield row

    def _rewards_in(self, record: Record) -> dict[str, list[Any]]:
        """The lists of rewards that are named, or that have a usual name."""
        names = self.reading.rewards
        lists = {n: v for n, v in _lists(record, names) if n in (names or REWARDS)}
        for name in names:
            found = _list(pick(record, name)) if _has(record, name) else None
            if found is not None:
                lists[name] = found
        return lists

    def _row(self, place: str, record: Record, scores: dict[str, Any]) -> Row:
        rollout: Any = record.get("rollout")
        if isinstance(rollout, Text):
            rollout = int(rollout) if rollout.strip().isdecimal() else rollout or None
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
            by_rule=record.get("by_rule"),
            columns=record,
        )


def _keys(record: Record) -> list[str]:
    """The fields that say which prompt a row is of."""
    return [name for name in ("prompt_id", "prompt") if name in record]


def _same(names: Sequence[str]) -> str:
    """What makes rows one prompt, as a sentence; "" where no field does."""
    return f"rows with the same {' or '.join(names)} are one prompt" if names else ""


def _there(value: Any) -> Any:
    """An empty cell of a table is nothing; NaN, which pandas writes for it, too."""
    return None if value != value or (isinstance(value, Text) and not value) else value


def _has(record: Record, name: str) -> bool:
    try:
        pick(record, name)
    except KeyError:
        return False
    return True


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
            values_by = numbered.setdefault(found[1], {})
            if int(found[2]) in values_by:
                raise BonteaError(f"two columns are {found[1]} {int(found[2])}: rename {name!r}")
            values_by[int(found[2])] = value
    for name, values_by in numbered.items():
        if name not in record and len(values_by) > 1:
            yield name, [values_by[i] for i in sorted(values_by)]


def _texts(record: Record, chosen: str | None, size: int) -> list[Any] | None:
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
        if chosen is not None and isinstance(value, (str, int, float)):
            # One for the prompt, such as its right answer.
            return [value] * size
        cells = {
            int(found[2]): value
            for key, value in record.items()
            if (found := NUMBERED.fullmatch(key)) and found[1] == name
        }
        if len(cells) == size:
            return [cells[i] for i in sorted(cells)]
    return None
