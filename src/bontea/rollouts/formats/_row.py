"""What a reader of another tool's file gives: rows, one a rollout, and what they hold by name."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol, TypeAlias

from bontea._errors import BonteaError

Record: TypeAlias = dict[str, Any]
Placed: TypeAlias = tuple[str, Record]
"""A record of a file, and where it is: "FILE, line 3"."""


@dataclass(slots=True)
class Row:
    """One rollout."""

    place: str
    record: Record
    """The object of the file that dotted paths reach into."""
    scores: dict[str, Any]
    """What the tool measured of this rollout, by name: numbers, booleans, None where it failed."""
    prompt_id: Any = None
    prompt: Any = None
    completion: Any = None
    rollout: int | None = None
    stratum: str | None = None
    model: str | None = None
    finish_reason: str | None = None
    by_rule: Any = None
    """True where a stopping rule asked for it, which makes it no fair sample."""
    step: int | None = None
    """The training step, where a file may hold several: each is another policy."""
    index: int | None = None
    """Where a record holds several rollouts: which of them, in its lists."""
    columns: Record = field(default_factory=dict)
    """What a reward function may need beside prompt and completion."""


class Format(Protocol):
    """One origin of files: a module of this folder."""

    NAME: str
    """What the file is, after "read as": "a verl rollout dump"."""
    REWARD: str | None
    """The score that is the reward if the user names none; None: the only one, or asked for."""
    GROUPS: str
    """What makes rows one prompt, as a sentence goes on: "equal inputs are one prompt"."""

    def detect(self, record: Record) -> bool:
        """Whether the first record of a file is one of this origin."""

    def rows(self, records: Iterable[Placed]) -> Iterator[Row]:
        """The rollouts of the records, in their order."""


ODD = (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError)
"""What a reader runs into where a record is not as the tool writes it."""


def recognises(known: Format, record: Record) -> bool:
    """Whether a record is of this origin; one with the right names and other values is not."""
    try:
        return known.detect(record)
    except ODD:
        return False


class Text(str):
    """A field of a table without types: numbers are read from it, where one is wanted."""

    __slots__ = ()


NOTHING = {"", "na", "n/a", "nan", "null", "none", "<na>", "#n/a"}
YES_NO = {"true": 1.0, "false": 0.0}


def number(value: Any, place: str, name: str) -> float:
    """A score as a float, NaN for none; BonteaError, with the place, for what is no number."""
    if value is None:
        return math.nan
    if isinstance(value, Text):
        plain = value.strip().lower()
        if plain in NOTHING:
            return math.nan
        value = YES_NO.get(plain, value)
    try:
        if isinstance(value, str) and not isinstance(value, Text):
            raise ValueError
        if not isinstance(value, (bool, int, float, Decimal, str)):
            raise ValueError
        if isinstance(value, str) and "_" in value:  # Python's own digits with underscores
            raise ValueError
        out = float(value)
    except OverflowError:  # an integer that no float holds
        out = math.inf
    except ValueError:
        comma = isinstance(value, str) and re.fullmatch(r"\s*-?\d+,\d+\s*", value)
        advice = ": write a point in place of the comma" if comma else ""
        raise BonteaError(f"{place}: {name} {str(value)[:60]!r} is not a number{advice}") from None
    if math.isinf(out):
        raise BonteaError(f"{place}: {name} {str(value)[:60]} is infinite: clip it, or write null")
    return out


def is_number(value: Any) -> bool:
    """Whether a value may be a score; text of a table counts if a number can be read from it."""
    if isinstance(value, Text):
        try:
            number(value, "", "")
        except BonteaError:
            return False
        return value.strip().lower() not in NOTHING
    return isinstance(value, (bool, int, float, Decimal))


def numbers_of(record: Mapping[str, Any], *without: str) -> dict[str, Any]:
    """The fields of a record that hold a number."""
    return {k: v for k, v in record.items() if k not in without and is_number(v)}


def pick(value: Any, path: str) -> Any:
    """What a dotted path leads to; a key that itself holds dots comes first.

    Parts are keys of objects, or indices of lists. Below null is null. KeyError names the part
    that is not there.

    >>> pick({"a": {"b.c": [1, 2]}}, "a.b.c.1")
    2
    """
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        head, _, rest = path.partition(".")
        if not head.isdecimal() or int(head) >= len(value):
            raise KeyError(head)
        return pick(value[int(head)], rest) if rest else value[int(head)]
    if not isinstance(value, dict):
        raise KeyError(path)
    if path in value:
        return value[path]
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        head = ".".join(parts[:cut])
        if head in value:
            return pick(value[head], ".".join(parts[cut:]))
    raise KeyError(parts[0])


def flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The values inside nested objects and lists, by dotted name.

    >>> dict(flat({"a": 1, "b": [2, {"c": 3}]}, "x"))
    {'x.a': 1, 'x.b.0': 2, 'x.b.1.c': 3}
    """
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flat(item, f"{name}.{key}")
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from flat(item, f"{name}.{i}")
    else:
        yield name, value


def turns_text(turns: Any) -> str | None:
    """What the turns of a response say, as one text; text as it is, None for nothing."""
    if turns is None or isinstance(turns, str):
        return turns
    if isinstance(turns, dict):
        turns = [turns]
    said = []
    for turn in turns:
        content = turn.get("content") if isinstance(turn, dict) else turn
        if isinstance(content, list):
            content = "".join(
                part if isinstance(part, str) else str(part.get("text") or "")
                for part in content
                if isinstance(part, (str, dict))
            )
        if content:
            said.append(str(content))
    return "\n\n".join(said)


def equal_lengths(place: str, /, **lists: Any) -> int:
    """How many responses a record with lists has; BonteaError if its lists do not agree."""
    there = {name: values for name, values in lists.items() if values is not None}
    for name, values in there.items():
        if not isinstance(values, (list, tuple)):
            raise BonteaError(f"{place}: {name} is no list: {str(values)[:60]!r}")
    sizes = {name: len(values) for name, values in there.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{size} {name}" for name, size in sizes.items())
        raise BonteaError(f"{place}: {listed}: each response must have one of each")
    return next(iter(sizes.values()), 0)
