"""Rows of a JSONL file of rollouts, in batches that fit the memory.

The file is read in pieces that end with a line, and Polars parses each with the types that are
wanted, so nothing is inferred from the first rows. What Polars does not tell is found out here:
which line is bad and why, whether a reward is null or not there, and whether a line has a field
twice, of which Polars takes the first and Python the last. A piece that it refuses (a broken line,
true among numbers) is taken line by line.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bontea._errors import BonteaError
from bontea._ids import id_text
from bontea._json import is_cut_off, strict_loads
from bontea.rollouts._batch import FIELDS, SCORE, Batch
from bontea.rollouts._open import open_text
from bontea.rollouts.chat_text import quoted

if TYPE_CHECKING:
    import polars as pl

PIECE = 1 << 23
"""Bytes of a piece; the line it ends in is read to its end."""
NAN = re.compile(rb'NaN(?:(?<=[^\\]": NaN)|(?<=[^\\]":NaN))')
"""A field that is NaN. Inside a text the quotation mark would come after a backslash."""
ESCAPED = re.compile(rb"\\u00(?:6[1-9a-fA-F]|7[0-9aA]|5[fF])")
"""A letter or `_` as an escape, with which a field can have another spelling."""
LETTERS = ["\\u006", "\\u007", "\\u005f", "\\u005F"]
"""What every such escape begins with."""


class Piece:
    """Whole lines of a file, the first of them number `first`."""

    def __init__(self, data: bytes, first: int, path: Path):
        self.data, self.first, self.path = data, first, path

    @cached_property
    def rows(self) -> list[tuple[int, bytes]]:
        """The lines that are not blank, each with its number."""
        lines = enumerate(self.data.split(b"\n"), self.first)
        return [(number, line) for number, line in lines if line.strip()]

    def original(self, row: int, field: str) -> Any:
        number, line = self.rows[row]
        return strict_loads(line, f"{self.path}, line {number}", FIELDS)[field]


def batches(
    path: Path, fields: Sequence[str] = FIELDS, scores: Sequence[str] = ()
) -> Iterator[Batch]:
    """The rows of the file. Raises ValueError naming the first line that is not one."""
    for piece in _pieces(path):
        frame = _parse(piece, fields, scores)
        yield Batch(frame.rename({name: SCORE + name for name in scores}), piece.original)


def place(path: Path, row: int) -> tuple[str, int]:
    """Where a user finds a row: blank lines are no rows, but they are lines."""
    for piece in _pieces(path):
        if row < len(piece.rows):
            return "line", piece.rows[row][0]
        row -= len(piece.rows)
    raise IndexError(row)


def completions(path: Path, rows: Sequence[int]) -> dict[int, str | None]:
    """The completions of those rows that the file has."""
    found: dict[int, str | None] = {}
    wanted, start = sorted(set(rows)), 0
    for piece in _pieces(path):
        while len(found) < len(wanted) and wanted[len(found)] < start + len(piece.rows):
            row = wanted[len(found)]
            number, line = piece.rows[row - start]
            value = checked(line, path, number)["completion"]
            found[row] = None if value is None else _text(value)
        if len(found) == len(wanted):
            break
        start += len(piece.rows)
    return found


def _pieces(path: Path) -> Iterator[Piece]:
    """The file without what a killed run left unfinished at its end."""
    number = 1
    with open_text(path) as file:
        while data := file.read(PIECE) + file.readline():
            if not data.endswith(b"\n"):  # the last line
                head, end, tail = data.rpartition(b"\n")
                if is_cut_off(tail):
                    data = head + end
            yield Piece(data, number, path)
            number += data.count(b"\n")


def _parse(piece: Piece, fields: Sequence[str], scores: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    frame = _fast(piece.data, fields, scores)
    if frame is None:
        data = NAN.sub(b"null", piece.data)
        frame = _fast(data, fields, scores) if data != piece.data else None
    if frame is None:
        return _by_line(piece, fields, scores)
    for row in _perhaps_twice(piece, frame):
        checked(piece.rows[row][1], piece.path, piece.rows[row][0], fields, scores)
    if "reward" in fields:
        # Polars has null for what is null and for what is not there.
        odd = pl.col("prompt_id").is_null() & pl.col("prompt").is_null()
        for name in ("reward", *scores):
            odd |= pl.col(name).is_null()
        for row in frame.select(pl.arg_where(odd)).to_series():
            checked(piece.rows[row][1], piece.path, piece.rows[row][0], fields, scores)
        frame = frame.with_columns(pl.col("reward", *scores).cast(pl.Float64))
    if "completion" in fields:
        frame = frame.with_columns(pl.col("completion").str.len_chars().cast(pl.Float64))
    return frame


def _perhaps_twice(piece: Piece, frame: pl.DataFrame) -> list[int]:
    """The rows that may have a field twice; most pieces show by a count of names that none has.

    As many names as values: each row that has a value has its name once. There are more names where
    rows have nulls, a field of this name inside another, or a text that is the name.
    """
    import polars as pl

    names = {field: _encode(field).encode() for field in frame.columns}
    values = {field: len(frame) - frame[field].null_count() for field in names}
    text = pl.Series([piece.data]).cast(pl.String, strict=False)
    patterns = [name.decode() for name in names.values()] + LETTERS
    if text.str.find_many(patterns).list.len()[0] == sum(values.values()):
        return []
    rows: set[int] = set()
    if ESCAPED.search(piece.data):
        rows.update(i for i, (_, line) in enumerate(piece.rows) if ESCAPED.search(line))
    for field, name in names.items():
        if piece.data.count(name) != values[field]:
            rows.update(i for i, (_, line) in enumerate(piece.rows) if line.count(name) > 1)
    return sorted(rows)


def _fast(data: bytes, fields: Sequence[str], scores: Sequence[str]) -> pl.DataFrame | None:
    """The fields by Polars alone; None where it refuses a value."""
    import polars as pl

    numbers = [name for name in ("reward", *scores) if name in (*fields, *scores)]
    # A verifier writes true and false.
    for kinds in product((pl.Float64, pl.Boolean), repeat=len(numbers)):
        types = {"rollout": pl.Int64, **dict(zip(numbers, kinds, strict=True))}
        try:
            return pl.read_ndjson(
                data, schema={name: types.get(name, pl.String) for name in (*fields, *scores)}
            )
        except pl.exceptions.PolarsError:
            continue
    return None


def _by_line(piece: Piece, fields: Sequence[str], scores: Sequence[str]) -> pl.DataFrame:
    """The same by Python's reader, which takes more and says what it does not take."""
    import polars as pl

    rows = [checked(line, piece.path, number, fields, scores) for number, line in piece.rows]
    columns: dict[str, pl.Series] = {}
    kinds: dict[str, Any] = {"rollout": pl.Int64, **dict.fromkeys(("reward", *scores), pl.Float64)}
    for name in (*fields, *scores):
        values = [row[name] for row in rows]
        kind: Any = kinds.get(name, pl.String)
        if name == "completion":
            values, kind = [None if v is None else float(len(_text(v))) for v in values], pl.Float64
        elif kind == pl.String:
            # Half a surrogate pair is no text to Polars.
            values = [
                None if v is None else _text(v).encode("utf-8", "replace").decode() for v in values
            ]
        columns[name] = pl.Series(name, values, kind)
    return pl.DataFrame(columns)


def checked(
    line: bytes,
    path: Path,
    number: int,
    fields: Sequence[str] = FIELDS,
    scores: Sequence[str] = (),
) -> dict[str, Any]:
    """The fields of a line; BonteaError saying what is wrong with those that are read."""
    where = f"{path}, line {number}"
    try:
        row = strict_loads(line, where, (*fields, *scores))
    except BonteaError as error:
        raise BonteaError(f"{error}; {A_ROW}") from None
    found = read_row(row, where, "reward" in fields, scores)
    return {name: found.get(name) for name in (*FIELDS, *scores)}


def read_row(
    row: Any, where: str, whole: bool = True, scores: Sequence[str] = ()
) -> dict[str, Any]:
    """An object of a file with values that can be used; `whole`: is it a row?

    `scores` are fields that hold numbers like the reward, and may be missing.
    """
    try:
        if not isinstance(row, dict):
            raise BonteaError(f"{quoted(row)} is not an object")
        # NaN, which pandas writes for nothing, is the only value unequal to itself.
        found = {name: None if v != v else v for name, v in row.items()}
        if whole:
            if found.get("prompt_id") is None and found.get("prompt") is None:
                raise BonteaError("no prompt_id and no prompt")
            if "reward" not in row:
                raise BonteaError("no reward (null is a rollout that could not be scored)")
            for name in ("reward", *scores):
                found[name] = _score(found.get(name), name)
            found["rollout"] = _rollout(found.get("rollout"))
            id_text(found.get("prompt_id"))
    except (ValueError, RecursionError) as error:
        problem = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BonteaError(f"{where}: {problem}; {A_ROW}") from None
    return found


A_ROW = "a row is a JSON object with reward and prompt_id or prompt"


def _score(value: Any, name: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, (int, float)):
        raise BonteaError(f"{name} {str(value)[:60]!r} is not a number")
    try:
        number = float(value)
    except OverflowError:  # an integer that no float holds
        number = math.inf
    if math.isinf(number):
        raise BonteaError(f"{name} {str(value)[:60]} is infinite: clip it, or write null")
    return number


def _rollout(value: Any) -> int | None:
    if value is None:
        return None
    number = not isinstance(value, bool) and isinstance(value, (int, float))
    if not (number and abs(value) < 1 << 63 and value == int(value)):
        raise BonteaError(f"rollout {str(value)[:60]!r} is not an integer")
    return int(value)


_encode = json.JSONEncoder(ensure_ascii=False).encode


def _text(value: Any) -> str:
    """What Polars has for a value that is to be text."""
    if isinstance(value, str):
        return value
    number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return (id_text(value) or "") if number else _encode(value)
