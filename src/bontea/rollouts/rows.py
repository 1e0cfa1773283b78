"""Whole rows of a file of rollouts, one after the other, and the file with one column more.

`read` has the rewards of a file in a few megabytes; this is for work that needs the texts as well.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from bontea._errors import BonteaError
from bontea._json import is_cut_off, strict_loads
from bontea.rollouts._open import open_text
from bontea.rollouts.chat_text import quoted
from bontea.rollouts.formats._records import kind
from bontea.rollouts.prompts import Row

SLICE = 1000
"""Rows of a Parquet file that are in memory at a time."""


class Line(NamedTuple):
    """A row and where it stands: the line of a JSONL file, or the row of a Parquet file, from 1."""

    number: int
    row: Row
    data: bytes = b""


def read_rows(path: Path) -> Iterator[Line]:
    """The rows of a file. Raises BonteaError naming a line that is none; the last one may have been
    cut off by a kill, and is left out then."""
    if kind(path) == "parquet":
        yield from _read_parquet(path)
        return
    with open_text(path) as file:
        for number in count(1):
            line = file.readline()
            if not line:
                return
            if not line.strip():
                continue
            if not line.endswith(b"\n") and is_cut_off(line):
                return
            row = strict_loads(line, f"{path}, line {number}")
            if not isinstance(row, dict):
                raise BonteaError(f"{path}, line {number}: {quoted(row)} is not an object")
            yield Line(number, {k: None if v != v else v for k, v in row.items()}, line)


def write_rows(
    path: Path,
    column: str,
    error_field: str,
    values: Mapping[int, tuple[float | None, str | None]],
    before: Callable[[Path], None],
) -> None:
    """Give rows, by number, a reward and the error there was; whole or not at all.

    `before` gets the path of the new file, whole on the disk, before it takes the old one's place.
    """
    temporary = path.with_name(path.name + ".tmp")
    if kind(path) == "parquet":
        _write_parquet(path, temporary, column, error_field, values)
    else:
        packed = path.suffix.lower() == ".gz"
        with gzip.open(temporary, "wb") if packed else temporary.open("wb") as file:
            for line in read_rows(path):
                file.write(_changed(line, column, error_field, values))
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    before(temporary)
    os.replace(temporary, path)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file that is appended to; a last line that was cut off is dropped, so
    that the next one does not come behind it."""
    with path.open("rb+") as file:
        good = 0
        for line in file:
            if not line.endswith(b"\n"):
                break
            good += len(line)
            yield json.loads(line)
        file.truncate(good)


def append_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add objects to a JSONL file, and see them onto the disk."""
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        file.flush()
        os.fsync(file.fileno())


def _changed(line: Line, column: str, error_field: str, values: Mapping[int, Any]) -> bytes:
    """The line as it was where nothing is new, but for a null in a column that it did not have:
    a reader that is asked for the column refuses a row without it."""
    if line.number not in values:
        data = line.data.rstrip()
        if column not in line.row:
            data = data.removesuffix(b"}").rstrip() + f", {json.dumps(column)}: null}}".encode()
        return data + b"\n"
    row = json.loads(line.data)
    row[column], error = values[line.number]
    row.pop(error_field, None)
    if error is not None:
        row[error_field] = error
    text = json.dumps(row, ensure_ascii=False)
    # Half a surrogate pair can be escaped, but is no UTF-8.
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        text = json.dumps(row)
    return text.encode() + b"\n"


def _read_parquet(path: Path) -> Iterator[Line]:
    import polars as pl

    try:
        scan = pl.scan_parquet(path.absolute(), glob=False)
        count = int(scan.select(pl.len()).collect().item())
        for start in range(0, count, SLICE):
            rows = scan.slice(start, SLICE).collect().to_dicts()
            for number, row in enumerate(rows, start=start + 1):
                yield Line(number, {k: None if v != v else _full(v) for k, v in row.items()})
    except pl.exceptions.PolarsError as error:
        raise BonteaError(f"{path} is not a whole Parquet file ({error})") from None


def _full(value: Any) -> Any:
    """Parquet gives every turn of a chat the fields of all turns."""
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return [{k: v for k, v in item.items() if v is not None} for item in value]
    return value


def _write_parquet(
    path: Path, target: Path, column: str, error_field: str, values: Mapping[int, Any]
) -> None:
    import polars as pl

    scan = pl.scan_parquet(path.absolute(), glob=False)
    names = scan.collect_schema().names()
    row, reward, why, new = (
        f"{prefix} of the rescoring" for prefix in ("row", "reward", "why", "new")
    )
    found = pl.LazyFrame(
        {
            row: list(values),
            reward: [value for value, _ in values.values()],
            why: [error for _, error in values.values()],
            new: [True] * len(values),
        },
        schema={row: pl.UInt32, reward: pl.Float64, why: pl.String, new: pl.Boolean},
    )
    both = scan.with_row_index(row, offset=1).join(found, on=row, how="left", maintain_order="left")
    old = pl.col(column).cast(pl.Float64).fill_nan(None) if column in names else pl.lit(None)
    both = both.with_columns(pl.coalesce(old, reward).cast(pl.Float64).alias(column))
    if error_field in names or any(error is not None for _, error in values.values()):
        before = pl.col(error_field) if error_field in names else pl.lit(None, dtype=pl.String)
        both = both.with_columns(
            pl.when(new).then(why).otherwise(before).cast(pl.String).alias(error_field)
        )
    both.drop(row, reward, why, new).sink_parquet(target.absolute())
