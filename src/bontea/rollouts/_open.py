"""Text files as people have them, opened as one kind: UTF-8, with lines that end in a line feed.

A name says little about a file: a `.jsonl` may be compressed, a spreadsheet writes UTF-16, an old
Mac program ends lines with a carriage return. What a file is stands in its first bytes, and is
found there. What cannot be read is refused with what to do about it.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from bontea._errors import BonteaError, not_utf8

HEAD = 1 << 16
"""Bytes that are looked at to find out what a file is."""
PACKED: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
OTHER = {
    b"PAR1": "a Parquet file: give it a name that ends in .parquet",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it first (zstd -d FILE)",
    b"PK\x03\x04": "a zip archive (perhaps a spreadsheet): unpack it, or save it as CSV",
    b"PK\x05\x06": "an empty zip archive",
    b"SQLite format 3": "a SQLite database",
    b"ARROW1": "an Arrow file: save it as Parquet",
    b"\x89HDF": "an HDF5 file: save it as JSONL or Parquet",
    b"\xd0\xcf\x11\xe0": "an old Excel file: save it as CSV",
    b"%PDF": "a PDF",
}
BOMS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


class TextFile:
    """An open text file. `read` and `readline` give UTF-8."""

    def __init__(self, path: Path, file: IO[bytes], encoding: str, newlines: bool):
        self.path = path
        # newline=None turns every kind of line end into one.
        as_it_is = encoding == "utf-8" and not newlines
        self._file: IO[Any] = (
            file if as_it_is else io.TextIOWrapper(file, encoding=encoding, newline=None)
        )

    def read(self, size: int = -1) -> bytes:
        with _named(self.path):
            return _as_bytes(self._file.read(size))

    def readline(self) -> bytes:
        with _named(self.path):
            return _as_bytes(self._file.readline())


def _as_bytes(data: str | bytes) -> bytes:
    return data if isinstance(data, bytes) else data.encode()


@contextmanager
def open_text(path: Path) -> Iterator[TextFile]:
    """Open a text file of any usual encoding, compression and kind of line end.

    Raises BonteaError for a file that is no text, or of a kind that is not read, with what to do.
    """
    with path.open("rb") as raw, _named(path):
        start = raw.read(16)
        raw.seek(0)
        unpack = next((way for magic, way in PACKED.items() if start.startswith(magic)), None)
        file: IO[bytes] = unpack(raw) if unpack else raw
        head = file.read(HEAD)
        file.seek(0)
    with path.open("rb") as raw:
        file = unpack(raw) if unpack else raw
        yield TextFile(path, file, _encoding(path, head), b"\r" in head and b"\n" not in head)


def read_text(path: Path) -> str:
    """The whole of a text file."""
    with open_text(path) as file:
        data = file.read()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BonteaError(not_utf8(path, error)) from None


def kind_of(path: Path) -> str | None:
    """What a file is that is no text, from its first bytes, with what to do; None for others."""
    with path.open("rb") as file:
        start = file.read(16)
    return next((kind for magic, kind in OTHER.items() if start.startswith(magic)), None)


def _encoding(path: Path, head: bytes) -> str:
    for magic, kind in OTHER.items():
        if head.startswith(magic):
            raise BonteaError(f"{path} is {kind}")
    for mark, encoding in BOMS.items():
        if head.startswith(mark):
            return encoding
    if b"\x00" not in head:
        return "utf-8"
    # Latin letters in UTF-16 have a zero beside each, and all on the same side.
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) / 2
    if odd > 0.4 * half and even < 0.1 * half:
        return "utf-16-le"
    if even > 0.4 * half and odd < 0.1 * half:
        return "utf-16-be"
    raise BonteaError(
        f"{path} is not a text file: byte {head.index(0) + 1:,} is zero; give JSON lines, CSV or "
        "Parquet, and name a Parquet file .parquet"
    )


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn what the readers of compressed and encoded files raise into a sentence."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        raise BonteaError(
            f"{path} is not a whole compressed file ({error}): write or copy it again"
        ) from None
    except UnicodeDecodeError as error:
        raise BonteaError(
            f"{path} is not whole {error.encoding.upper()} ({error.reason} at byte "
            f"{error.start + 1:,}): save it as UTF-8"
        ) from None
    except OSError as error:
        if error.errno is not None:
            raise
        # bz2 says so about a damaged file.
        raise BonteaError(
            f"{path} is not a whole compressed file ({error}): write or copy it again"
        ) from None
