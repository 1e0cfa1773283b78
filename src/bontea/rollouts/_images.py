"""The size of an image from its first bytes: PNG, JPEG, GIF, WebP, BMP.

Read by hand, because a report is no reason to need an imaging library.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any


def decoded(value: Any) -> bytes | None:
    """The bytes of an image given as bytes, as a list of them, as base64 or as a `data:` address.

    None where it is none of these.
    """
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, list):
        try:
            return bytes(value)
        except (TypeError, ValueError):
            return None
    if not isinstance(value, str):
        return None
    if value[:5].lower() == "data:":
        kind, _, value = value.partition(",")
        if not kind.lower().endswith(";base64"):
            return None
    text = re.sub(r"\s", "", value).rstrip("=").replace("-", "+").replace("_", "/")
    text = text[: len(text) - (len(text) % 4 == 1)]  # cut off in the middle
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def image_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels as the header says; None for what has no such header.

    >>> image_size(b"GIF89a" + bytes([64, 0, 32, 0]))
    (64, 32)
    """
    try:
        width, height = _size(data)
    except IndexError:  # cut off before the size
        return None
    return (width, height) if width > 0 and height > 0 else None


def _size(data: bytes) -> tuple[int, int]:
    if data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR":
        return _big(data, 16, 4), _big(data, 20, 4)
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return _little(data, 6, 2), _little(data, 8, 2)
    if data[:2] == b"BM":
        return _bmp(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    return 0, 0


def _bmp(data: bytes) -> tuple[int, int]:
    if _little(data, 14, 4) == 12:  # the first version of the header
        return _little(data, 18, 2), _little(data, 20, 2)
    height = _little(data, 22, 4)
    if height >= 1 << 31:  # negative: the top row comes first
        height = (1 << 32) - height
    return _little(data, 18, 4), height


def _webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return _little(data, 24, 3) + 1, _little(data, 27, 3) + 1
    if kind == b"VP8L":
        bits = _little(data, 21, 4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return _little(data, 26, 2) & 0x3FFF, _little(data, 28, 2) & 0x3FFF
    return 0, 0


def _jpeg(data: bytes) -> tuple[int, int]:
    """The first frame header; segments before it (Exif, colour profiles) are passed over."""
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # filling
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _big(data, at + 7, 2), _big(data, at + 5, 2)
        else:
            at += 2 + max(_big(data, at + 2, 2), 2)
    return 0, 0


def _big(data: bytes, at: int, count: int) -> int:
    return int.from_bytes(_taken(data, at, count), "big")


def _little(data: bytes, at: int, count: int) -> int:
    return int.from_bytes(_taken(data, at, count), "little")


def _taken(data: bytes, at: int, count: int) -> bytes:
    if len(data) < at + count:
        raise IndexError(at)
    return data[at : at + count]
