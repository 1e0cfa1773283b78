"""Files that a command is asked to write, checked before it works for them."""

from __future__ import annotations

import os
from pathlib import Path

from bontea._errors import BonteaError


def check_output(flag: str, path: Path | None, suffixes: tuple[str, ...]) -> None:
    """ValueError unless `path` can be written and ends in one of `suffixes`; None is fine."""
    if path is None:
        return
    if path.is_dir() or path.suffix.lower() not in suffixes:
        raise BonteaError(f"{flag} {path} must be the name of a {suffixes[0]} file")
    if not path.parent.is_dir():
        raise BonteaError(f"{flag} {path}: there is no folder {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise BonteaError(f"{flag} {path} cannot be written: choose another place")
