"""What `curve`, `rules`, `diagnose` and `plan` share: the options that say how a file is read."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bontea._errors import BonteaError

if TYPE_CHECKING:
    from bontea.rollouts import Rollouts
    from bontea.rollouts.formats import Reading

FILES = (
    "rollouts: JSONL or Parquet, or a file or folder that TRL, verl, Inspect, verifiers, EvalPlus "
    "or another tool wrote (docs/other-files.md)"
)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """The options, in a group of their own."""
    group = parser.add_argument_group(
        "files of other tools and tables",
        "Most files are recognised. Where a file does not say which field is what, name the\n"
        "fields; a dotted path, such as metrics.accuracy or content.0, reaches into objects\n"
        "and lists.",
    )
    add = group.add_argument
    add(
        "--reward-column",
        action="append",
        metavar="NAME[=WEIGHT]",
        help="the score that is the reward; given several times, the reward is their weighted sum",
    )
    add("--id-column", metavar="NAME", help="field with an id: rows with the same are one prompt")
    add(
        "--prompt-column",
        metavar="NAME",
        help="field with the prompt; without an id, rows with the same are one prompt",
    )
    add("--completion-column", metavar="NAME", help="field with the response")
    add(
        "--group-size",
        type=int,
        metavar="M",
        help="M rows that follow each other are one prompt, where no field says so",
    )
    add("--step", type=int, metavar="N", help="training step to read (default of a folder: last)")
    add("--reward", metavar="FUNC", help="score the responses again, by MODULE:FUNCTION or a URL")
    add(
        "--scores",
        type=Path,
        metavar="FILE",
        help="file with scores by custom_id, for the output of an OpenAI batch",
    )


def given_reading(args: argparse.Namespace, also: tuple[str, ...] = ()) -> Reading:
    """The options that were given, and further scores to read."""
    from bontea.rollouts.formats import Reading

    if args.group_size is not None and args.group_size < 1:
        raise BonteaError(f"--group-size {args.group_size} must be at least 1")
    return Reading(
        reward=_reward(args.reward_column),
        prompt_id=args.id_column,
        prompt=args.prompt_column,
        completion=args.completion_column,
        group_size=args.group_size,
        step=args.step,
        function=args.reward,
        scores=args.scores,
        also=also,
    )


def said(rollouts: Rollouts) -> str | None:
    """What wrote a file that is not our own, and how it was read, in one line."""
    return None if rollouts.reading is None else rollouts.reading.said


def say_readings(found: Iterable[Rollouts]) -> None:
    """The same of several files, and what was left out of them, on stderr."""
    found = list(found)
    for rollouts in found:
        if rollouts.by_rule:
            rows = f"{rollouts.by_rule:,} row{'s' * (rollouts.by_rule > 1)}"
            print(
                f"{rollouts.source}: {rows} left out, which a stopping rule asked for because of "
                "the rewards before them (by_rule): what is left is a fair sample",
                file=sys.stderr,
            )
    for line in dict.fromkeys(map(said, found)):
        if line is not None:
            print(line, file=sys.stderr)


def _reward(given: list[str] | None) -> str | dict[str, float] | None:
    """`["a", "b=0.5"]` as names with weights; one name alone as it is.

    >>> _reward(["a", "b=0.5"])
    {'a': 1.0, 'b': 0.5}
    """
    if given is None:
        return None
    weights: dict[str, float] = {}
    for text in given:
        name, equals, weight = text.rpartition("=")
        if not equals:
            name, weight = text, "1"
        try:
            value = float(weight)
        except ValueError:
            value = float("nan")
        if not name or not abs(value) < float("inf"):
            raise BonteaError(
                f"--reward-column {text}: write NAME, or NAME=WEIGHT with a number, such as "
                "accuracy=0.5"
            )
        if name in weights:
            raise BonteaError(f"--reward-column {name} is given twice")
        weights[name] = value
    if len(given) == 1 and "=" not in given[0]:
        return given[0]
    return weights
