"""Files of prompts as rows, with every value as the file has it.

Text in a table stays text, a date in JSON stays text, a whole number beside a null stays a whole
number, and an object has the keys it has. Readers that make columns of one type change these.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from bontea._errors import BonteaError
from bontea._json import strict_loads
from bontea.rollouts._csv import read_csv
from bontea.rollouts._open import kind_of, open_text, read_text

Placed: TypeAlias = tuple[str, dict[str, Any]]
"""Where a row stands, such as "line 3", and the row."""

KINDS = {
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
PACKED = (".gz", ".bz2", ".xz")


def kind_by_name(path: Path) -> str | None:
    """What the name of a file says it is: json, csv or parquet; None if it says nothing."""
    name = path.name.lower()
    for suffix in PACKED:
        name = name.removesuffix(suffix)
    return KINDS.get(Path(name).suffix)


def read_rows(path: Path, column: str) -> list[Placed]:
    """The rows of a file, each with its place.

    `column` holds the prompts: it tells a JSON object that is a row from one that holds rows.
    Raises BonteaError naming the line, or what the file is, and what to do.
    """
    kind = kind_by_name(path)
    if kind is None:
        raise BonteaError(
            f"prompts {path}: the name must end in {', '.join(KINDS)} (also with "
            f"{', '.join(PACKED)}), not {path.suffix!r}"
        )
    if path.stat().st_size == 0:
        raise BonteaError(f"prompts {path} is an empty file: it needs one row per prompt")
    if kind == "parquet":
        return _parquet(path)
    if kind == "csv":
        return [(f"line {line}", row) for line, row in read_csv(path)[1]]
    return _json(path, column)


def _json(path: Path, column: str) -> list[Placed]:
    """JSON lines, one list of objects, or one object that holds such a list."""
    lines = _lines(path)
    first = next(lines, None)
    if first is None:
        raise BonteaError(f"prompts {path} is an empty file: it needs one row per prompt")
    try:
        value = json.loads(first[1])
    except (ValueError, RecursionError):
        value = None  # perhaps the first line of a longer text
    if isinstance(value, dict) and (column in value or next(lines, None) is not None):
        return [(f"line {number}", _row(path, number, line)) for number, line in _lines(path)]
    whole = strict_loads(read_text(path), f"prompts {path}")
    if isinstance(whole, dict) and column not in whole:
        inside = [value for value in whole.values() if _has_rows(value, column)]
        whole = inside[0] if len(inside) == 1 else whole
    rows = whole if isinstance(whole, list) else [whole]
    for number, row in enumerate(rows, start=1):
        _check_row(row, f"prompts {path}, row {number}")
    return [(f"row {number}", row) for number, row in enumerate(rows, start=1)]


def _row(path: Path, number: int, line: bytes) -> dict[str, Any]:
    where = f"prompts {path}, line {number}"
    row = strict_loads(line, where)
    _check_row(row, where)
    return row


def _check_row(row: Any, where: str) -> None:
    if not isinstance(row, dict):
        raise BonteaError(
            f"{where}: {str(row)[:60]!r} is not an object: a row names its values, such as "
            '{"prompt": "..."}'
        )
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except RecursionError:
        raise BonteaError(f"{where}: nested too deeply") from None
    except UnicodeEncodeError as error:
        raise BonteaError(
            f"{where}: {error.object[error.start : error.end]!r} is half of a pair (a surrogate), "
            "which is no character: write the text again, whole"
        ) from None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, each with its number."""
    with open_text(path) as file:
        number = 1
        while line := file.readline():
            if line.strip():
                yield number, line
            number += 1


def _has_rows(value: Any, column: str) -> bool:
    rows = value if isinstance(value, list) else []
    return any(isinstance(row, dict) and column in row for row in rows)


def _parquet(path: Path) -> list[Placed]:
    import polars as pl

    try:
        # An absolute path is never taken for a URL, and no sign in it for a pattern.
        frame = pl.read_parquet(path.absolute(), glob=False, hive_partitioning=False)
    except pl.exceptions.PolarsError as error:
        kind = kind_of(path) or "something else, or was cut off: write it again"
        said = str(error).strip().partition("\n")[0]
        raise BonteaError(
            f"prompts {path} is not a whole Parquet file ({said}): it is {kind}"
        ) from None
    return [(f"row {number}", row) for number, row in enumerate(frame.iter_rows(named=True), 1)]
