"""`bontea curve`: what the best of k responses is worth, and which of two models to deploy.

Prints the unbiased mean of the best of k (on 0/1 rewards: pass@k) from files of rollouts, with
intervals from the spread over prompts. With --up-to beyond the rollouts of a prompt the curve is
extrapolated, with its own interval and a verdict; where it cannot be, the reason is said. Several
files or models are compared in pairs, the first with each other one, on the prompts they share.

With --measure the best of k is chosen by one score and measured by another: what deployment gives,
the k where that peaks, and what an oracle would give that chooses by the measure itself.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bontea._errors import BonteaError
from bontea._json import plain
from bontea._numbers import percent, typed
from bontea.cli._cut_off import add_cut_off, apply_cut_off
from bontea.cli._files import check_output
from bontea.cli._ks import read_ks
from bontea.cli._reading import FILES, add_reading, given_reading, said, say_readings
from bontea.cli._scores import add_scores, asked_scores, by_one_score, run_two_scores
from bontea.curves.intervals import CURVE_METHOD, METHODS, PAIRED_METHOD

if TYPE_CHECKING:
    from bontea.curves import Evaluation

EXAMPLES = """examples:
  bontea curve rollouts.jsonl --up-to 1024
      best of 1 to the rollouts there are, then extrapolated to 1024
  bontea curve before.jsonl after.jsonl --png curve.png --html report.html
      two models on the same prompts: where each is better, with a figure and a page
  bontea curve all.parquet --model small large --ks 1,8,64 --json
      two models of one file at three k, every number for a machine
  bontea curve rollouts.jsonl --select reward --measure judge --png curve.png
      chosen by the reward, what is the response worth by the judge: which N to deploy
  bontea curve logs/task.eval --reward-column match
      an Inspect log, by the scorer match; files of other tools are read as they are
"""


def add_parser(subparsers: Any, name: str) -> None:
    parser = subparsers.add_parser(
        name,
        help="best-of-k curves with intervals, extrapolated, compared",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help=FILES)
    add(
        "--up-to",
        type=float,
        metavar="N",
        help="the largest k; beyond the rollouts of a prompt the curve is extrapolated",
    )
    add("--model", nargs="+", metavar="NAME", help="models to read, of files that hold several")
    add("--ks", metavar="1,8,64", help="only these k (default: about four between k and 2 k)")
    add(
        "--method",
        choices=METHODS,
        help=f"how intervals are found (default: {CURVE_METHOD} for curves, {PAIRED_METHOD} for "
        "differences of two models)",
    )
    add(
        "--confidence-level",
        type=float,
        default=0.95,
        metavar="P",
        help="how often an interval is to hold the true value (default: 0.95)",
    )
    add("--seed", type=int, default=0, help="seed of everything random")
    add("--png", type=Path, metavar="FILE", help="write a figure of the curves")
    add("--html", type=Path, metavar="FILE", help="write a page with curves and completions")
    add("--json", action="store_true", help="print every number as JSON")
    add_scores(parser)
    add_cut_off(parser)
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    from bontea.curves import evaluate
    from bontea.rollouts import read_sources

    ks, up_to = _check(args)
    read = read_sources(args.files, args.model, given_reading(args, asked_scores(args)))
    say_readings(read.values())
    rollouts, cut_off = apply_cut_off(read, args)
    if args.measure is not None:
        return run_two_scores(rollouts, ks, up_to, args, cut_off)
    rollouts = by_one_score(rollouts, args)
    found = evaluate(
        rollouts,
        ks,
        up_to=up_to,
        method=args.method,
        confidence_level=args.confidence_level,
        rng=args.seed,
    )
    for warning in found.warnings:
        print(warning, file=sys.stderr)
    written = _write(found, up_to, args)
    if args.json:
        print(json.dumps(as_json(found, args, cut_off), allow_nan=False))
    else:
        _print(found, every=ks is not None, by=args.select[0] if args.select else None)
    for path in written:
        print(f"wrote {path}", file=sys.stderr)
    return 0


def _check(args: argparse.Namespace) -> tuple[list[int] | None, int | None]:
    """The k asked for and the last of them."""
    if args.seed < 0:
        raise BonteaError(f"--seed {args.seed} must be 0 or more")
    if not 0 < args.confidence_level < 1:
        raise BonteaError(
            f"--confidence-level {typed(args.confidence_level)} must be between 0 and 1"
        )
    if args.up_to is not None and not (1 <= args.up_to <= 1e9 and args.up_to % 1 == 0):
        raise BonteaError(f"--up-to {typed(args.up_to)} must be a whole number from 1 to 1e9")
    check_output("--png", args.png, (".png",))
    check_output("--html", args.html, (".html", ".htm"))
    up_to = None if args.up_to is None else int(args.up_to)
    if args.ks is None:
        return None, up_to
    ks = read_ks(args.ks)
    if up_to is not None and ks[-1] > up_to:
        raise BonteaError(f"--ks {args.ks} goes beyond --up-to {up_to}: raise that to {ks[-1]}")
    return ks, up_to


def _write(found: Evaluation, up_to: int | None, args: argparse.Namespace) -> list[Path]:
    """The figure and the page that were asked for."""
    written = []
    if args.png is not None:
        from bontea.report import plot_curves

        fig, _ = plot_curves(found.curves, extrapolations=found.extrapolations, n=up_to)
        fig.savefig(args.png, dpi=150, bbox_inches="tight")
        written.append(args.png)
    if args.html is not None:
        from bontea.deploy import quick_savings
        from bontea.planning import diagnose
        from bontea.report.html import write_report

        n = up_to or max(found.smallest.values())
        path = write_report(
            args.html,
            found.rollouts,
            n=n,
            curves=found.curves,
            extrapolations=found.extrapolations,
            comparisons=found.comparisons,
            diagnoses={
                name: diagnose(rollouts, n=n, rng=args.seed)
                for name, rollouts in found.rollouts.items()
            },
            savings=quick_savings(found.rollouts, seed=args.seed),
            settings={"command": " ".join(sys.argv), "seed": args.seed}
            | {name: line for name, r in found.rollouts.items() if (line := said(r)) is not None},
        )
        written.append(path)
    return written


def _print(found: Evaluation, *, every: bool, by: str | None) -> None:
    """The table, then what it means."""
    from rich.console import Console

    from bontea.report.curves import curve_lines, curve_table

    out = Console(highlight=False)
    if not out.is_terminal:
        out = Console(highlight=False, width=max(100, 20 + 40 * len(found.curves)))
    first = next(iter(found.curves.values()))
    what = "pass@k" if all(c.pass_at_k for c in found.curves.values()) else "best of k"
    what += f" by {by}" if by is not None else ""
    print(f"{what}, mean over prompts, {percent(first.confidence_level)} interval")
    out.print(curve_table(found, every=every))
    for line in curve_lines(found):
        print(line)
    for comparison in found.comparisons.values():
        print(f"\n{comparison}")


def as_json(
    found: Evaluation, args: argparse.Namespace, cut_off: dict[str, float | None]
) -> dict[str, Any]:
    """Everything and how it was made; NaN and infinities are null."""
    import bontea

    shared = "ks value low high standard_error method pass_at_k message"
    beyond = "ns value low high method alpha verdict message refused"
    pair = (
        "ks difference low high standard_error decided flips superiority superiority_low "
        "superiority_high prompts left_out names method pass_at_k verdict message interval_message"
    )

    def fields(thing: Any, names: str) -> dict[str, Any]:
        return {name: plain(getattr(thing, name)) for name in names.split()}

    return {
        "version": bontea.__version__,
        "command": list(sys.argv),
        "seed": args.seed,
        "confidence_level": args.confidence_level,
        "cut_off": args.cut_off,
        "select": args.select[0] if args.select else None,
        "curves": [
            {
                "name": name,
                "file": found.rollouts[name].source,
                "model": found.rollouts[name].model,
                "read_as": said(found.rollouts[name]),
                "prompts": len(curve.per_prompt),
                "rollouts": len(found.rollouts[name].rewards),
                "cut_off_share": cut_off[name],
                **fields(curve, shared),
                "extrapolation": (
                    fields(found.extrapolations[name], beyond)
                    if name in found.extrapolations
                    else None
                ),
            }
            for name, curve in found.curves.items()
        ],
        "comparisons": [fields(comparison, pair) for comparison in found.comparisons.values()],
    }
