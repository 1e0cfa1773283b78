"""CSV and TSV files as they are written: every field is text, and nothing is guessed from it.

A table has no types: "007", "null", "1e5" and "NA" are what they look like. What is found out is
the separator: that of the comma, semicolon, tab and bar which gives the first rows as many fields
as the header. Rows with more or fewer fields, which readers fill or shift without a word, are
refused with their line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bontea._errors import BonteaError
from bontea.rollouts._open import not_utf8, open_text

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
FIRST_LINES, FIRST_CHARACTERS = 1000, 1 << 20
"""How much of a file is looked at to find the separator."""
LONGEST_FIELD = (1 << 31) - 1
"""Characters. Python's own limit, 131,072, is too little for a long completion."""


def read_csv(path: Path) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    """The names of the columns, and the rows as text, each with the line it begins in.

    Fields in quotation marks may hold separators, line ends and doubled quotation marks. Blank
    lines are left out. A first line `sep=;`, which Excel takes, names the separator. Raises
    BonteaError, for a row when it is reached, naming the line and what to do: no header, a name
    that is there twice, a separator that cannot be told, fields that do not match the header.
    """
    csv.field_size_limit(max(LONGEST_FIELD, csv.field_size_limit()))
    start, separator = _separator(path)
    records = _records(path, start, separator)
    line, names = next((one for one in records if "".join(one[1]).strip()), (0, []))
    if not names:
        raise BonteaError(
            f"{path} is an empty file: the first line of a table has the names of its columns"
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        what = f"the column {twice!r} is there twice" if twice else "two columns have no name"
        raise BonteaError(
            f"{path}, line {line}: {what}; give each column a name of its own (the first line of "
            "a table has the names)"
        )
    return names, _rows(path, names, records, separator)


def _rows(
    path: Path, names: list[str], records: Iterator[tuple[int, list[str]]], separator: str
) -> Iterator[tuple[int, dict[str, str]]]:
    for line, fields in records:
        if len(fields) == 1 < len(names) and not fields[0].strip():
            continue  # a line of spaces
        if len(fields) != len(names):
            raise BonteaError(
                f"{path}, line {line}: {_count(len(fields))} where the header has {len(names)} "
                f"(separated by {SEPARATORS.get(separator, repr(separator))}): put text that holds "
                f"{separator!r}, a line end or a quotation mark into quotation marks"
            )
        yield line, dict(zip(names, fields, strict=True))


def _records(path: Path, start: int, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The fields of each record after line `start`, with the line it begins in."""
    # strict: without it a quotation mark that is not closed swallows the rest of the file.
    reader = csv.reader(islice(_lines(path), start, None), delimiter=separator, strict=True)
    line = start + 1
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise BonteaError(
                f"{path}, line {line}: {error}: a field with a quotation mark, a separator or a "
                'line end in it stands in quotation marks, and those inside are doubled ("")'
            ) from None
        if fields is None:
            return
        if fields:
            yield line, fields
        line = start + reader.line_num + 1


def _lines(path: Path) -> Iterator[str]:
    with open_text(path) as file:
        number = 1
        while line := file.readline():
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                raise BonteaError(not_utf8(f"{path}, line {number}", error)) from None
            number += 1


def _separator(path: Path) -> tuple[int, str]:
    """How many lines stand before the header, and what separates the fields."""
    lines: list[str] = []
    size = 0
    for line in islice(_lines(path), FIRST_LINES):
        lines.append(line)
        size += len(line)
        if size > FIRST_CHARACTERS:
            break
    named = re.fullmatch(r"sep=(.)", lines[0].strip("\r\n"), re.IGNORECASE) if lines else None
    if named:
        return 1, named[1]
    header = next((line for line in lines if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", header)
    agreeing = {one: _agreeing(lines, one) for one in SEPARATORS if one in bare}
    if not agreeing:
        return 0, "\t" if ".tsv" in path.name.lower() else ","
    best = max(agreeing.values())
    found = [one for one, count in agreeing.items() if count == best]
    if len(found) > 1:
        kinds = " or ".join(SEPARATORS[one] for one in found)
        raise BonteaError(
            f"{path}: its fields may be separated by {kinds}: put names that hold the other sign "
            f'into quotation marks, or write a first line such as "sep={found[0]}"'
        )
    return 0, found[0]


def _agreeing(lines: list[str], separator: str) -> int:
    """How many of the first records have as many fields as the header has with this separator."""
    counts: list[int] = []
    try:
        for fields in csv.reader(lines, delimiter=separator, strict=True):
            counts += [len(fields)] if fields else []
    except csv.Error:
        pass  # perhaps the record in which the first lines end
    return counts.count(counts[0]) if counts and counts[0] > 1 else 0


def _count(fields: int) -> str:
    return f"{fields} field{'s' * (fields != 1)}"
