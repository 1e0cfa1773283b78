"""The records of a file, whatever contains them: the objects or rows that a tool wrote one by one.

What a file is stands in its first bytes, and only for text in its name. Every record comes with
its place, as a user finds it.
"""

from __future__ import annotations

import io
import json
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

from bontea._errors import BonteaError, MissingPackageError
from bontea._json import is_cut_off, strict_loads
from bontea.rollouts._csv import read_csv
from bontea.rollouts._open import kind_of, open_text, read_text
from bontea.rollouts._parquet import Table
from bontea.rollouts.formats import trinity
from bontea.rollouts.formats._row import ODD, Placed, Record, Text

Kind: TypeAlias = Literal["lines", "document", "parquet", "csv", "yaml", "zip", "sqlite"]
PACKED = (".gz", ".bz2", ".xz")
LINES = (".jsonl", ".ndjson")
MAGIC: dict[bytes, Kind] = {b"PAR1": "parquet", b"PK": "zip", b"SQLite format 3": "sqlite"}
ZSTD = 93
"""The method of zip members that newer Inspect logs have."""


def kind(path: Path) -> Kind:
    """What contains the records. BonteaError for a file that is none of these."""
    with path.open("rb") as file:
        start = file.read(16)
    for magic, found in MAGIC.items():
        if start.startswith(magic):
            return found
    what = kind_of(path)
    if what is not None:
        raise BonteaError(f"{path} is {what}")
    name = path.name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    if name.endswith((".yaml", ".yml")):
        return "yaml"
    if name.endswith((".csv", ".tsv")):
        return "csv"
    if name.endswith(".parquet"):
        return "parquet"  # whose reader says that it is none, or not whole
    with open_text(path) as text:
        line = b""
        while not line.strip() and (line := text.readline()):
            pass
        more = bool(text.read(1))
    return _kind_of_text(line.strip(), more, name)


def _kind_of_text(line: bytes, more: bool, name: str) -> Kind:
    if name.endswith(LINES) and line not in (b"{", b"["):
        return "lines"
    if line[:1] not in (b"{", b"["):
        return "lines" if not line or name.endswith((".json", *LINES)) else "csv"
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return "document"
    return "lines" if isinstance(value, dict) or more else "document"


def records(path: Path) -> Iterator[Placed]:
    """The records of a file in their order. BonteaError, with the place, for a broken one."""
    try:
        yield from _READERS[kind(path)](path)
    except BonteaError:
        raise
    except (EOFError, zlib.error, RuntimeError, RecursionError, *ODD) as error:
        raise BonteaError(
            f"{path} cannot be read ({type(error).__name__}: {str(error)[:100]}): it is damaged, "
            "or not what it seems to be"
        ) from error


def _lines(path: Path) -> Iterator[Placed]:
    with open_text(path) as file:
        number = 0
        while line := file.readline():
            number += 1
            if not line.strip():
                continue
            place = f"{path}, line {number}"
            if not line.endswith(b"\n") and number > 1 and is_cut_off(line):
                return
            value = strict_loads(line.strip(), place)
            yield place, _object(value, place)


def _object(value: Any, place: str) -> Record:
    if not isinstance(value, dict):
        raise BonteaError(f"{place}: {str(value)[:60]!r} is not an object")
    return value


def _document(path: Path) -> Iterator[Placed]:
    """One JSON value, or several after each other (as RewardBench writes them)."""
    text = read_text(path)
    decoder = json.JSONDecoder()
    at, number = 0, 0
    try:
        _, first = decoder.raw_decode(text, len(text) - len(text.lstrip()))
    except (ValueError, RecursionError):
        first = len(text)
    if not text[first:].strip():
        value = strict_loads(text, path)
        if isinstance(value, list):
            for i, item in enumerate(value):
                place = f"{path}, item {i + 1}"
                yield place, _object(item, place)
        else:
            yield str(path), _object(value, str(path))
        return
    space = re.compile(r"\s*")
    while (at := space.match(text, at).end()) < len(text):  # type: ignore[union-attr]
        number += 1
        place = f"{path}, object {number}"
        try:
            _, end = decoder.raw_decode(text, at)
        except ValueError:
            end = len(text)
        yield place, _object(strict_loads(text[at:end], place), place)
        at = end


def _parquet(path: Path) -> Iterator[Placed]:
    import polars as pl

    table = Table(path)
    for start in range(0, table.rows, table.step):
        frame = table.read(start, [pl.all()], table.step)
        for i, row in enumerate(frame.iter_rows(named=True)):
            yield f"{path}, row {start + i + 1}", row


def _csv(path: Path) -> Iterator[Placed]:
    _, found = read_csv(path)
    for line, row in found:
        yield f"{path}, line {line}", {name: Text(value) for name, value in row.items()}


def _yaml(path: Path) -> Iterator[Placed]:
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """Takes no key twice, as with JSON."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [key.value for key, _ in node.value if isinstance(key.value, str)]
            twice = next((key for key in keys if keys.count(key) > 1), None)
            if twice is not None:
                raise BonteaError(f"{path}: the key {twice[:60]!r} is there twice: remove one")
            return super().construct_mapping(node, deep)

    try:
        value = yaml.load(read_text(path), Loader)
    except yaml.YAMLError as error:
        raise BonteaError(f"{path} is not YAML: {str(error).splitlines()[0]}") from None
    yield str(path), _object(value, str(path))


def _zip(path: Path) -> Iterator[Placed]:
    """An Inspect log, or what torch.save wrote."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.NameToInfo  # of a name that is there twice: the last
            if "header.json" in names or "_journal/start.json" in names:
                yield from _inspect(path, archive)
                return
            torch = any(name.endswith("data.pkl") for name in names)
    except zipfile.BadZipFile as error:
        raise BonteaError(
            f"{path} is not a whole zip archive ({error}): write or copy it again"
        ) from None
    if not torch:
        raise BonteaError(f"{path} is {kind_of(path)}; of zip archives, Inspect logs are read")
    yield str(path), _torch(path)


def _inspect(path: Path, archive: zipfile.ZipFile) -> Iterator[Placed]:
    names = archive.NameToInfo
    header = "header.json" if "header.json" in names else "_journal/start.json"
    log = strict_loads(_member(archive, header, path), f"{path}, {header}")
    samples = []
    for name in names:
        found = re.fullmatch(r"samples/(.*)_epoch_(\d+)(\.json|/sample\.json)", name, re.DOTALL)
        if found:
            key = found[1].zfill(20) if found[1].isdecimal() else found[1]
            samples.append((int(found[2]), key, name))
    if not samples:
        yield str(path), {"eval": log["eval"], "samples": []}
    for _, _, name in sorted(samples):  # as Inspect sorts them
        sample = strict_loads(_member(archive, name, path), f"{path}, {name}")
        yield str(path), {"eval": log["eval"], "samples": [sample]}


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    """A member of a zip archive. Those in zstd, which Python reads from 3.14 on, go by Polars."""
    info = archive.NameToInfo[name]
    try:
        return archive.read(info)
    except NotImplementedError:
        if info.compress_type != ZSTD:
            raise BonteaError(
                f"{path}: {name} is compressed in a way that is not known here: convert the log "
                "with `inspect log convert --to json`"
            ) from None
    import polars as pl

    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        lengths = file.read(4)
        skip = int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
        file.seek(info.header_offset + 30 + skip)
        data = file.read(info.compress_size)
    try:
        return "\n".join(pl.read_lines(io.BytesIO(data))["line"].to_list()).encode()
    except pl.exceptions.PolarsError as error:
        raise BonteaError(f"{path}: {name} cannot be unpacked ({error})") from None


def _torch(path: Path) -> Record:
    """What slime saved: only what can be loaded without running code that the file names."""
    try:
        import torch
    except ModuleNotFoundError:
        raise MissingPackageError(
            f'{path} is a torch file, which needs the package torch: pip install "bontea[train]"'
        ) from None
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, and torch, raise many types
        reason = str(error).split("\n")[0][:200]
        raise BonteaError(
            f"{path} holds objects that can only be loaded by running code that the file names, "
            f"which is not done here ({reason}): load it where it was written and save the samples "
            "as JSON lines"
        ) from None
    return _object(value, str(path))


def _sqlite(path: Path) -> Iterator[Placed]:
    try:
        with sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True) as base:
            base.row_factory = sqlite3.Row
            names = [
                row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type='table'")
            ]
            tables = []
            for name in names:
                quoted = name.replace('"', '""')
                columns = {row[1] for row in base.execute(f'PRAGMA table_info("{quoted}")')}
                tables += [quoted] if {*trinity.COLUMNS} <= columns else []
            if len(tables) != 1:
                raise BonteaError(
                    f"{path} is a SQLite database with {len(tables)} tables of experiences "
                    f"({', '.join(tables or names)}): one is read, with the columns "
                    f"{', '.join(trinity.COLUMNS)}"
                )
            chosen = ", ".join(trinity.COLUMNS)
            for row in base.execute(f'SELECT {chosen} FROM "{tables[0]}" ORDER BY id'):
                yield f"{path}, id {row['id']}", dict(row)
    except sqlite3.Error as error:
        raise BonteaError(f"{path} cannot be read as a SQLite database: {error}") from None
    finally:
        base.close()


_READERS: dict[Kind, Callable[[Path], Iterator[Placed]]] = {
    "lines": _lines,
    "document": _document,
    "parquet": _parquet,
    "csv": _csv,
    "yaml": _yaml,
    "zip": _zip,
    "sqlite": _sqlite,
}
