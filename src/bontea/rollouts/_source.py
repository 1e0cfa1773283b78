"""What a file is, and who reads it: our own rollout files by Polars, other tools' by `formats`.

Our own are JSON lines or Parquet whose rows have `reward`, and `prompt_id` or `prompt`; they are
read in large pieces, and nothing but their first row is looked at twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from bontea.rollouts import _jsonl, _parquet
from bontea.rollouts._batch import FIELDS, Batch, check_scores
from bontea.rollouts._open import open_text
from bontea.rollouts.formats import FORMATS, Reading
from bontea.rollouts.formats._row import recognises

if TYPE_CHECKING:
    import numpy as np


class Source(Protocol):
    """An opened file of rollouts."""

    reading: Reading | None
    """How it is read, for a file that is not our own."""
    scores: tuple[str, ...]
    """The further scores that its batches have; a file of another tool has them in `kept`."""

    @property
    def there(self) -> list[str]:
        """Where a score may be, for messages: the fields of the first row, or known scores."""

    def batches(self, fields: Sequence[str] = FIELDS) -> Iterator[Batch]:
        """Its rows."""

    def places(self, a: int, b: int) -> str:
        """Two rows as a user finds them: "lines 3 and 17"."""

    def completions(self, rows: Sequence[int]) -> dict[int, str | None]:
        """The completions of those rows that the file has."""

    def kept(self, rows: np.ndarray) -> Mapping[str, np.ndarray] | None:
        """The scores of those rows beside the reward, once the batches have been read."""


def open_source(path: Path, reading: Reading | None = None) -> Source:
    """Who reads a file. Raises BonteaError for one of which nothing is known."""
    from bontea.rollouts.formats._reader import Reader
    from bontea.rollouts.formats._records import kind

    plain = reading is None or replace(reading, said="", also=()) == Reading()
    if plain and path.is_file():
        contained = kind(path)
        module = {"lines": _jsonl, "parquet": _parquet}.get(contained)
        if module is not None:
            row = _first_row(path, module)
            also = () if reading is None else reading.also
            # A dotted path that is no name of a field reaches into objects, which Polars is not
            # asked for here.
            paths = [name for name in also if "." in name and name not in (row or {})]
            if _is_ours(row) and not paths:
                return Ours(path, module, check_scores(also), list(row or {}))
    return Foreign(path, Reader(path, reading or Reading()))


class Ours:
    """A rollout file."""

    reading: Reading | None = None

    def __init__(
        self, path: Path, module: ModuleType, scores: Sequence[str], first_fields: list[str]
    ):
        self.path, self.module = path, module
        self.scores = tuple(scores)
        self.there = first_fields

    def batches(self, fields: Sequence[str] = FIELDS) -> Iterator[Batch]:
        yield from self.module.batches(self.path, fields, self.scores if "reward" in fields else ())

    def places(self, a: int, b: int) -> str:
        (what, first), (_, second) = (self.module.place(self.path, row) for row in (a, b))
        return f"{what}s {first} and {second}"

    def completions(self, rows: Sequence[int]) -> dict[int, str | None]:
        found: dict[int, str | None] = self.module.completions(self.path, rows)
        return found

    def kept(self, rows: np.ndarray) -> None:
        return None


class Foreign:
    """A file of another tool."""

    def __init__(self, path: Path, reader: Any):
        self.path, self.reader = path, reader
        self.reading: Reading | None = replace(reader.reading, said=reader.said)
        self.scores: tuple[str, ...] = ()

    @property
    def there(self) -> list[str]:
        names: list[str] = self.reader.names
        return names

    def batches(self, fields: Sequence[str] = FIELDS) -> Iterator[Batch]:
        yield from self.reader.batches(fields)

    def places(self, a: int, b: int) -> str:
        return f"{self.reader.place(a)} and {self.reader.place(b)}"

    def completions(self, rows: Sequence[int]) -> dict[int, str | None]:
        found: dict[int, str | None] = self.reader.completions(rows)
        return found

    def kept(self, rows: np.ndarray) -> Mapping[str, np.ndarray] | None:
        found: Mapping[str, np.ndarray] = self.reader.kept(rows)
        return found


def _first_row(path: Path, module: ModuleType) -> dict[str, Any] | None:
    """The first row; None where it is none."""
    if module is _parquet:
        table = _parquet.Table(path)
        # Values are not looked at: which columns there are is enough.
        return {name: [] if kind.is_nested() else 0 for name, kind in table.types.items()}
    with open_text(path) as file:
        line = b""
        while not line.strip() and (line := file.readline()):
            pass
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _is_ours(row: dict[str, Any] | None) -> bool:
    """Whether the first row has the fields of a rollout file, and is not another tool's."""
    if row is None:
        return True  # our reader says what is wrong with the line
    if "reward" not in row or not {"prompt_id", "prompt"} & row.keys():
        return not row
    if isinstance(row["reward"], list):
        return False
    return "prompt_id" in row or not any(recognises(known, row) for known in FORMATS)
