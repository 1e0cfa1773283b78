"""Folders that tools write: which of their files are read.

A training run writes a file a step. Each step is another policy, so that only one is read: the
last, or the one asked for. A set of results that is spread over files is read whole.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from bontea._errors import BonteaError


class Steps(NamedTuple):
    """Files of training steps: where in the folder, and what their names say."""

    glob: str
    name: re.Pattern[str]
    """Groups `step`, and `kind` where there are several kinds of files."""


STEPS = (
    Steps("completions_*.parquet", re.compile(r"(?P<kind>)completions_(?P<step>\d+)\.parquet")),
    Steps("*.jsonl", re.compile(r"(?P<kind>)(?P<step>\d+)\.jsonl")),
    Steps("*_data_step*.jsonl", re.compile(r"(?P<kind>\w+)_data_step(?P<step>\d+)\.jsonl")),
    Steps(
        "iteration_*/*_rollout_summaries.jsonl",
        re.compile(r"iteration_(?P<step>\d+)/(?P<kind>.+)_rollout_summaries\.jsonl"),
    ),
    # prime-rl's other folder, `effective`, has what its filters left.
    Steps(
        "step_*/*/all/traces.jsonl",
        re.compile(r"step_(?P<step>\d+)/(?P<kind>\w+)/all/traces\.jsonl"),
    ),
)
TORCH = Steps("*.pt", re.compile(r"(?P<kind>.*?)_?(?P<step>\d+)\.pt"))
INSIDE = ("", "completions", "rollouts")
"""The folder itself, or one in the output folder of a training run."""
TOGETHER = ("shard_*of*.jsonl", "*.y*ml")
ALONE = ("traces.jsonl", "results.jsonl", "*.eval")


def files(path: Path, step: int | None) -> tuple[list[Path], str]:
    """The files to read, and what to say about the choice. BonteaError where one must be named."""
    if not path.is_dir():
        return [path], ""
    folders = [path / inside for inside in INSIDE if (path / inside).is_dir()]
    stepped = [by for steps in STEPS for folder in folders if (by := _stepped(folder, steps))]
    alone = [p for glob in ALONE for folder in folders for p in sorted(folder.glob(glob))]
    if len(stepped) + bool(alone) > 1:
        last = [str(by[max(by)]) for kinds in stepped for by in kinds.values()]
        listed = ", ".join([*last, *map(str, alone)][:5])
        raise BonteaError(f"{path} holds files of several tools: name one file, such as {listed}")
    if stepped:
        return _choose(path, stepped[0], step)
    if len(alone) == 1:
        return alone, alone[0].name
    if alone:
        names = ", ".join(p.name for p in alone[:5]) + ", ..." * (len(alone) > 5)
        raise BonteaError(f"{path} holds {len(alone)} logs ({names}): name one of them")
    for folder in folders:
        # Last: weights and settings of a training run have such names, too.
        if found := _stepped(folder, TORCH):
            return _choose(path, found, step)
        for glob in TOGETHER:
            there = sorted(p for p in folder.glob(glob) if ".gens." not in p.name)
            if there:
                return there, f"{len(there)} file{'s' * (len(there) != 1)}"
    raise IsADirectoryError(
        f"{path} is a folder without files of a tool that is known here (docs/other-files.md has "
        "them): name a file of rollouts"
    )


def _stepped(folder: Path, steps: Steps) -> dict[str, dict[int, Path]]:
    """The files of each kind, by step."""
    found: dict[str, dict[int, Path]] = {}
    for file in folder.glob(steps.glob):
        match = steps.name.fullmatch(file.relative_to(folder).as_posix())
        if match and file.is_file():
            by = found.setdefault(match["kind"], {})
            other = by.setdefault(int(match["step"]), file)
            if other != file:
                raise BonteaError(
                    f"{other} and {file} are both of step {int(match['step'])}: name one of them"
                )
    return found


def _choose(
    path: Path, found: dict[str, dict[int, Path]], step: int | None
) -> tuple[list[Path], str]:
    if len(found) > 1:
        last = ", ".join(str(by[max(by)]) for _, by in sorted(found.items()))
        raise BonteaError(
            f"{path} holds files of {len(found)} kinds ({', '.join(sorted(found))}): name one "
            f"file, such as {last}"
        )
    ((_, by),) = found.items()
    chosen = max(by) if step is None else step
    if chosen not in by:
        listed = ", ".join(map(str, sorted(by)[:10])) + ", ..." * (len(by) > 10)
        raise BonteaError(f"{path} has no step {step}, but {listed}")
    which = f"step {chosen}"
    if step is None and len(by) > 1:
        which += f", the last of {len(by)} (--step N for another)"
    return [by[chosen]], which
