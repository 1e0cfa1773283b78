"""Rows of a Parquet file of rollouts, in batches that fit the memory.

Only the columns asked for are read, and completions leave the scan as their lengths. A batch is a
slice of a few megabytes on disk; Polars skips the pages outside it, so that one large row group
takes little more memory than many small ones.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bontea._errors import BonteaError
from bontea.rollouts._batch import FIELDS, SCORE, Batch

if TYPE_CHECKING:
    import polars as pl

SLICE, LEAST_ROWS, MOST_ROWS = 1 << 25, 1000, 200_000
"""Bytes of a slice on disk, and its least and most rows."""


def batches(
    path: Path, fields: Sequence[str] = FIELDS, scores: Sequence[str] = ()
) -> Iterator[Batch]:
    """The rows of the file. Raises ValueError naming a column or row that is not as it should."""
    table = Table(path)
    if "reward" in fields:
        table.check_columns(scores)
    columns = [table.column(name) for name in fields]
    columns += [table.number(name).alias(SCORE + name) for name in scores]
    for start in range(0, table.rows, table.step):
        frame = table.read(start, columns, table.step)
        if "reward" in fields:
            frame = _check_rows(path, start, frame, scores)
        yield Batch(frame, table.original(frame))


def place(path: Path, row: int) -> tuple[str, int]:
    """Where a user finds a row."""
    return "row", row + 1


def completions(path: Path, rows: Sequence[int]) -> dict[int, str | None]:
    """The completions of those rows that the file has."""
    table = Table(path)
    column = table.text("completion")
    found: dict[int, str | None] = {}
    wanted = sorted({row for row in rows if row < table.rows})
    while len(found) < len(wanted):
        first = len(found)
        start = wanted[first]
        values = table.read(start, [column], LEAST_ROWS).to_series()
        last = bisect_left(wanted, start + len(values))
        found |= {row: values[row - start] for row in wanted[first:last]}
    return found


class Table:
    """An open Parquet file. Raises ValueError when it is none."""

    def __init__(self, path: Path):
        import polars as pl

        self.path = path
        try:
            self.scan = pl.scan_parquet(path.absolute(), glob=False)
            self.types = dict(self.scan.collect_schema())
            self.rows = int(self.scan.select(pl.len()).collect().item())
        except pl.exceptions.PolarsError as error:
            raise BonteaError(
                f"{path} is not a whole Parquet file ({_first_line(error)}): it was cut off while "
                "it was written or copied, or is something else; write it again"
            ) from None
        bytes_per_row = path.stat().st_size / max(self.rows, 1)
        self.step = int(min(max(SLICE / bytes_per_row, LEAST_ROWS), MOST_ROWS))

    def read(self, start: int, columns: Sequence[pl.Expr], rows: int) -> pl.DataFrame:
        import polars as pl

        try:
            return self.scan.slice(start, rows).select(columns).collect(engine="streaming")
        except pl.exceptions.PolarsError as error:
            raise BonteaError(
                f"{self.path}: rows {start + 1} to {min(start + rows, self.rows)} cannot be read "
                f"({_first_line(error)}): a value out of range, or a damaged file; write it again"
            ) from None

    def check_columns(self, scores: Sequence[str] = ()) -> None:
        """Are the columns there, and of a kind that can be read?"""
        missing = [] if {"prompt_id", "prompt"} & {*self.types} else ["prompt_id or prompt"]
        missing += [name for name in ("reward", *scores) if name not in self.types]
        if missing:
            raise BonteaError(
                f"{self.path} has no column {', and none '.join(missing)}; its columns are "
                f"{', '.join(self.types)}"
            )
        numbers = [(name, ("Boolean", "Null")) for name in ("reward", *scores)]
        for name, more in (*numbers, ("rollout", ("Null",))):
            kind = self.types.get(name)
            if kind is not None and not (kind.is_numeric() or str(kind) in more):
                raise BonteaError(f"{self.path}: the column {name} holds {kind}, not numbers")

    def column(self, name: str) -> pl.Expr:
        """A column as a `Batch` has it; a `rollout` in Float64 is still to be checked."""
        import polars as pl

        if name == "completion":
            return self.text(name).str.len_chars().cast(pl.Float64)
        if name not in ("reward", "rollout"):
            return self.text(name)
        kind = self.types.get(name)
        if kind is None:
            return pl.lit(None, dtype=pl.Float64 if name == "reward" else pl.Int64).alias(name)
        if name == "rollout" and (kind.is_integer() or kind == pl.Null):
            return pl.col(name).cast(pl.Int64)
        return self.number(name)

    def number(self, name: str) -> pl.Expr:
        """A column of numbers."""
        import polars as pl

        # NaN is what pandas writes for nothing.
        return pl.col(name).cast(pl.Float64).fill_nan(None)

    def text(self, name: str) -> pl.Expr:
        """A column as text, a chat as JSON."""
        import polars as pl

        kind = self.types.get(name)
        if kind is None:
            return pl.lit(None, dtype=pl.String).alias(name)
        if kind.is_nested():
            text = pl.struct(name).struct.json_encode()  # {"name":[...]}
            text = text.str.strip_prefix(f'{{"{name}":').str.strip_suffix("}")
            return pl.when(pl.col(name).is_not_null()).then(text).alias(name)
        if kind.is_float():  # NaN is what pandas writes for nothing
            return pl.col(name).cast(pl.Float64).fill_nan(None).cast(pl.String)
        return pl.col(name).cast(pl.String)

    def original(self, frame: pl.DataFrame) -> Callable[[int, str], Any]:
        def read(row: int, field: str) -> Any:
            text, kind = frame[field][row], self.types[field]
            if kind.is_float():
                return float(text)
            if kind.is_decimal():
                return Decimal(text)
            return json.loads(text) if kind.is_nested() else text

        return read


def _check_rows(path: Path, start: int, frame: pl.DataFrame, scores: Sequence[str]) -> pl.DataFrame:
    """The frame with whole numbers of rollouts; ValueError naming the first row that is wrong."""
    import polars as pl

    reward, rollout = pl.col("reward"), pl.col("rollout")
    wrong = {
        "there is no prompt_id and no prompt": (
            pl.col("prompt_id").is_null() & pl.col("prompt").is_null()
        ),
        "the reward is infinite: clip it, or write null for unscorable": reward.is_infinite(),
        "the rollout is not an integer": ~(rollout.abs() < 2.0**63) | (rollout != rollout.floor()),
    }
    for name in scores:
        infinite = pl.col(SCORE + name).is_infinite()
        wrong[f"{name} is infinite: clip it, or write null for unscorable"] = infinite
    if frame.schema["rollout"] == pl.Int64:
        del wrong["the rollout is not an integer"]
    for problem, where in wrong.items():
        for row in frame.select(pl.arg_where(where)).to_series()[:1]:
            raise BonteaError(f"{path}, row {start + row + 1}: {problem}")
    return frame.with_columns(rollout.cast(pl.Int64))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
