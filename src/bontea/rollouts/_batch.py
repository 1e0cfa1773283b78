"""A batch: successive rows of a rollout file, in the same few columns whatever the file is like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bontea._errors import BonteaError

if TYPE_CHECKING:
    import polars as pl

FIELDS = (
    "prompt_id",
    "prompt",
    "reward",
    "completion",
    "rollout",
    "stratum",
    "model",
    "finish_reason",
    "by_rule",
)
SCORE = "score "
"""Begins the name of a further score in a batch, which may have any name in the file."""


@dataclass(frozen=True)
class Batch:
    frame: pl.DataFrame
    """The fields asked for: `reward` Float64 (null: unscorable), `rollout` Int64, `completion` its
    length in characters as Float64, the others String; null where there is none. Further scores
    that were asked for are Float64, under their names after `SCORE`. Prompts are equal
    where they are equal in the file, but a chat may be spelled in any way: see `original`."""
    original: Callable[[int, str], Any]
    """`original(row of this batch, field)`: what the file has there, as Python reads it."""


def check_scores(names: Sequence[str]) -> tuple[str, ...]:
    """The names of further scores of our own files; BonteaError for a field that is none."""
    for name in names:
        if name in FIELDS and name != "reward":
            raise BonteaError(
                f"{name!r} is not a score: it is the field of a rollout file for another thing "
                "(docs/rollout-files.md); give the name of a column that holds a number"
            )
    return tuple(dict.fromkeys(name for name in names if name != "reward"))


def check_path(path: str | Path) -> Path:
    """The path of a file, or of a folder of files, that may hold rollouts."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there")
    if not (path.is_file() or path.is_dir()):
        raise BonteaError(
            f"{path} is a pipe or a device, and files of rollouts are read more than once: write "
            "it to a file first"
        )
    return path
