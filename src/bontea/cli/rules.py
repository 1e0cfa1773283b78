"""`bontea rules`: which way of choosing among k responses is worth it, and at which k.

Prints what each rule gets out of k responses, from one file of rollouts: the best by a score, a
majority vote, a vote weighted by scores, the chance that all k succeed, and others, with intervals
from the spread over prompts. Votes compare the final answers of the responses.

rules (--rules best,majority,...):
  best        the response with the best score
  top4        the mean of the 4 responses with the best scores (any number)
  majority    the answer that most responses give
  weighted    the answer whose responses have the largest sum of scores
  threshold   the chance that the response with the best score reaches --threshold
  pass^k      the chance that all k responses succeed
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bontea._errors import BonteaError
from bontea._json import plain
from bontea._numbers import percent, typed
from bontea.cli._cut_off import add_cut_off, apply_cut_off
from bontea.cli._files import check_output
from bontea.cli._ks import read_ks
from bontea.cli._reading import FILES, add_reading, given_reading, said, say_readings
from bontea.curves.intervals import CURVE_METHOD, METHODS
from bontea.curves.rules import WEIGHTS, check_name

if TYPE_CHECKING:
    import numpy as np

    from bontea.curves.rule_curves import RuleCurves
    from bontea.rollouts import Rollouts

EXAMPLES = """examples:
  bontea rules rollouts.jsonl
      right or wrong as reward (1 or 0): a majority vote beside what a perfect verifier would get
  bontea rules rollouts.jsonl --answer-column answer --png rules.png
      chosen by the reward, measured by the right answer in the field answer
  bontea rules rollouts.jsonl --measure correct --rules best,weighted,top4 --ks 1,8,64
      chosen by the reward, measured by the field correct
  bontea rules rollouts.jsonl --rules majority --normaliser mycode:answer_of
      answers as a function of yours finds them in a response
"""


def add_parser(subparsers: Any, name: str) -> None:
    parser = subparsers.add_parser(
        name,
        help="best, votes and reliability of k responses, compared",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help=FILES)
    add("--rules", metavar="A,B", help="which rules (default: all that the file allows but topJ)")
    add("--ks", metavar="1,8,64", help="only these k (default: powers of 2)")
    add("--select", metavar="NAME", help="field to choose and to weigh by (default: the reward)")
    add("--measure", metavar="NAME", help="field that says what a response is worth")
    add(
        "--answer-column",
        metavar="NAME",
        help="field with the right answer: a response is worth 1 if its answer is that, else 0",
    )
    add(
        "--normaliser",
        metavar="FUNC",
        help="MODULE:FUNCTION, from the text of a response to its answer, or None (default: for "
        "numbers and multiple choice)",
    )
    add("--threshold", type=float, metavar="T", help="a response succeeds from this measure on")
    add(
        "--weights",
        choices=WEIGHTS,
        default="score",
        help="of a weighted vote: the score, or for the logits of a reward model its sigmoid "
        "(default: score)",
    )
    add(
        "--subsets",
        type=int,
        metavar="S",
        help="of each prompt, where a vote is not exact (default: 100,000 in all)",
    )
    add("--model", metavar="NAME", help="one model of a file that holds several")
    add("--method", choices=METHODS, default=CURVE_METHOD, help="how intervals are found")
    add("--confidence-level", type=float, default=0.95, metavar="P", help="default: 0.95")
    add("--seed", type=int, default=0, help="seed of everything random")
    add("--png", type=Path, metavar="FILE", help="write a figure of the rules")
    add("--json", action="store_true", help="print every number as JSON")
    add_cut_off(parser)
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    from bontea.curves.rule_curves import compare_rules

    ks, rules = _check(args)
    measure: Any
    rollouts, measure = _read(args)
    answers, notes = _answers(rollouts, rules, args)
    measured = args.measure or args.select or " + ".join(args.reward_column or ["reward"])
    if args.answer_column is not None:
        from bontea.rollouts.answers import read_right

        assert answers is not None
        measure = read_right(rollouts, answers, args.answer_column, args.normaliser)
        measured = "share of right answers"
    found = compare_rules(
        rollouts,
        ks,
        rules=rules,
        answers=answers,
        measure=measure,
        threshold=args.threshold,
        weights=args.weights,
        subsets=args.subsets,
        method=args.method,
        confidence_level=args.confidence_level,
        rng=args.seed,
    )
    found = replace(found, notes=[*notes, *found.notes])
    if args.png is not None:
        from bontea.report.rules import plot_rules

        fig, _ = plot_rules(found, measured)
        fig.savefig(args.png, dpi=150, bbox_inches="tight")
    if args.json:
        print(json.dumps(as_json(found, rollouts, measured, args), allow_nan=False))
    else:
        _print(found, rollouts, measured)
    if args.png is not None:
        print(f"wrote {args.png}", file=sys.stderr)
    return 0


def _check(args: argparse.Namespace) -> tuple[list[int] | None, list[str] | None]:
    """The k and the rules asked for."""
    if args.seed < 0:
        raise BonteaError(f"--seed {args.seed} must be 0 or more")
    if not 0 < args.confidence_level < 1:
        raise BonteaError(
            f"--confidence-level {typed(args.confidence_level)} must be between 0 and 1"
        )
    if args.measure is not None and args.answer_column is not None:
        raise BonteaError("--measure and --answer-column are two measures: give one")
    if args.select is not None and args.reward_column is not None:
        raise BonteaError("--select and --reward-column both name the score: give one")
    check_output("--png", args.png, (".png",))
    rules = None
    if args.rules is not None:
        rules = [rule.strip() for rule in args.rules.split(",")]
        for rule in rules:
            check_name(rule)
    return None if args.ks is None else read_ks(args.ks), rules


def _read(args: argparse.Namespace) -> tuple[Rollouts, Rollouts | None]:
    """The rollouts with their scores, and the same with what they are worth."""
    from bontea.rollouts import read_sources

    models = None if args.model is None else [args.model]
    reading = given_reading(args)
    if args.select is not None:
        reading = replace(reading, reward=args.select)
    read = read_sources([args.file], models, reading)
    say_readings(read.values())
    found, _ = apply_cut_off(read, args)
    (rollouts,) = found.values()
    if args.measure is None:
        return rollouts, None
    reading = replace(reading, reward=args.measure, function=None, scores=None)
    worth = read_sources([args.file], models, reading)
    (measure,) = (one.with_cut_off(args.cut_off) for one in worth.values())
    return rollouts, measure


def _answers(
    rollouts: Rollouts, rules: list[str] | None, args: argparse.Namespace
) -> tuple[np.ndarray | None, list[str]]:
    """The answers of the responses, where they are needed; why there are none, where they might."""
    from bontea.rollouts.answers import read_answers

    wanted = args.answer_column is not None or (
        rules is not None and {"majority", "weighted"} & set(rules)
    )
    if not wanted and rules is not None:
        return None, []
    try:
        answers = read_answers(rollouts, args.normaliser)
    except BonteaError as error:
        if wanted or args.normaliser is not None:
            raise
        return None, [f"no votes: {error}"]
    if not wanted and all(answer is None for answer in answers):
        return None, [
            f"no votes: none of the {len(answers):,} responses has a final answer that could be "
            "found; --normaliser MODULE:FUNCTION names a function that finds them"
        ]
    return answers, []


def _print(found: RuleCurves, rollouts: Rollouts, measured: str) -> None:
    from rich.console import Console

    from bontea.report.rules import rules_lines, rules_table

    out = Console(highlight=False)
    if not out.is_terminal:
        out = Console(highlight=False, width=max(100, 20 + 30 * len(found.curves)))
    first = next(iter(found.curves.values()))
    print(f"{measured}, mean over prompts, {percent(first.confidence_level)} interval; {rollouts}")
    out.print(rules_table(found))
    for line in rules_lines(found):
        print(line)


def as_json(
    found: RuleCurves, rollouts: Rollouts, measured: str, args: argparse.Namespace
) -> dict[str, Any]:
    """Everything and how it was made; NaN and infinities are null."""
    import bontea

    shared = "value low high standard_error method message"
    return {
        "version": bontea.__version__,
        "command": list(sys.argv),
        "seed": args.seed,
        "confidence_level": args.confidence_level,
        "cut_off": args.cut_off,
        "file": rollouts.source,
        "model": rollouts.model,
        "read_as": said(rollouts),
        "measured": measured,
        "prompts": len(next(iter(found.curves.values())).per_prompt),
        "rollouts": len(rollouts.rewards),
        "left_out": found.left_out,
        "answered": found.answered,
        "threshold": found.threshold,
        "ks": plain(found.ks),
        "rules": {
            rule: {name: plain(getattr(curve, name)) for name in shared.split()}
            | {"monte_carlo_standard_error": plain(found.monte_carlo_standard_error[rule])}
            for rule, curve in found.curves.items()
        },
        "leaders": plain(found.leaders),
        "notes": found.notes,
    }
