"""Several files of rollouts, each with one model or several, by short names."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from bontea._errors import BonteaError
from bontea.rollouts.formats import Reading
from bontea.rollouts.groups import Rollouts
from bontea.rollouts.read import read_models, read_rollouts


def read_sources(
    files: Sequence[str | Path],
    models: Sequence[str] | None = None,
    reading: Reading | None = None,
) -> dict[str, Rollouts]:
    """Every model of every file, by a name for tables: the file's, the model's, or both.

    `models` chooses among those of files that hold several, and is needed for these; `reading` says
    how the files are read. Raises
    BonteaError for a model that no file has, and for a file or model that is named twice.
    """
    paths = [Path(file) for file in files]
    found: list[tuple[Path, str | None]] = []
    for path in paths:
        if models is None:
            found.append((path, None))
            continue
        there = read_models(path, reading)
        chosen = [model for model in models if model in there]
        found += [(path, model) for model in chosen or models]
    unknown = set(models or []) - {model for path, model in found if model is not None}
    if unknown:
        listed = ", ".join(map(repr, sorted(unknown)))
        raise BonteaError(f"no file has rollouts of {listed}: see the field model of their rows")
    stems = [path.stem for path in paths]
    named = stems if len(set(stems)) == len(stems) else [str(path) for path in paths]
    short = dict(zip(paths, named, strict=True))
    out: dict[str, Rollouts] = {}
    for path, model in found:
        rollouts = _read(path, model, reading)
        if len(paths) == 1:
            label = rollouts.model or short[path]
        else:
            label = short[path] if models is None or len(models) == 1 else f"{short[path]}: {model}"
        if label in out:
            raise BonteaError(f"{label} is named twice: name every file and model once")
        out[label] = rollouts
    return out


def _read(path: Path, model: str | None, reading: Reading | None) -> Rollouts:
    """The rollouts of a file; BonteaError that lists its models where one must be chosen."""
    try:
        return read_rollouts(path, model=model, reading=reading)
    except BonteaError:
        names = read_models(path, reading) if model is None else []
        if len(names) < 2:
            raise
        listed = " ".join(shlex.quote(name) for name in names[:5])
        raise BonteaError(
            f"{path} holds rollouts of {len(names)} models: choose with --model {listed}"
            + " ..." * (len(names) > 5)
        ) from None
