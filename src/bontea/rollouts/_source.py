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
from bontea.rollouts._batch import FIELDS, Batch
from bontea.rollouts._open import open_text
from bontea.rollouts.formats import FORMATS, Reading
from bontea.rollouts.formats._row import recognises

if TYPE_CHECKING:
    import numpy as np


class Source(Protocol):
    """An opened file of rollouts."""

    reading: Reading | None
    """How it is read, for a file that is not our own."""

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

    plain = reading is None or replace(reading, said="") == Reading()
    if plain and path.is_file():
        contained = kind(path)
        module = {"lines": _jsonl, "parquet": _parquet}.get(contained)
        if module is not None and _is_ours(path, module):
            return Ours(path, module)
    return Foreign(path, Reader(path, reading or Reading()))


class Ours:
    """A rollout file."""

    reading: Reading | None = None

    def __init__(self, path: Path, module: ModuleType):
        self.path, self.module = path, module

    def batches(self, fields: Sequence[str] = FIELDS) -> Iterator[Batch]:
        yield from self.module.batches(self.path, fields)

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


def _is_ours(path: Path, module: ModuleType) -> bool:
    """Whether the first row has the fields of a rollout file, and is not another tool's."""
    if module is _parquet:
        table = _parquet.Table(path)
        # Values are not looked at: which columns there are is enough.
        row: Any = {name: [] if kind.is_nested() else 0 for name, kind in table.types.items()}
    else:
        with open_text(path) as file:
            line = b""
            while not line.strip() and (line := file.readline()):
                pass
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            return True  # whose reader says what is wrong with the line
        if not isinstance(row, dict):
            return True
    if "reward" not in row or not {"prompt_id", "prompt"} & row.keys():
        return not row
    if isinstance(row["reward"], list):
        return False
    return "prompt_id" in row or not any(recognises(known, row) for known in FORMATS)
