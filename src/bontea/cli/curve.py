"""`bontea curve`: what the best of k responses is worth, and which of two models to deploy.

Unbiased best-of-k (on 0/1 rewards: pass@k) from files of rollouts, with intervals from the spread
over prompts. With --up-to beyond the rollouts of a prompt the curve is extrapolated, with its own
interval and a verdict, or the reason why not. Several files or models are compared in pairs, the
first with each other, on the prompts they share.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bontea._errors import BonteaError, GroupTooSmallError
from bontea._json import plain
from bontea.cli._files import check_output
from bontea.curves.intervals import CURVE_METHOD, METHODS, PAIRED_METHOD

if TYPE_CHECKING:
    from bontea.curves import Comparison, Curve, Extrapolation
    from bontea.rollouts.groups import Rollouts

EXAMPLES = """examples:
  bontea curve rollouts.jsonl --up-to 1024
      best of 1 to the rollouts there are, then extrapolated to 1024
  bontea curve before.jsonl after.jsonl --png curve.png --html report.html
      two models on the same prompts: where each is better, with a figure and a page
  bontea curve all.parquet --model small large --ks 1,8,64 --json
      two models of one file at three k, every number for a machine
"""


@dataclass
class Found:
    """One model: its rollouts and what they give."""

    rollouts: Rollouts
    smallest: int
    """Rewards of the smallest group: the curve's end."""
    curve: Curve
    beyond: Extrapolation | None


def add_parser(subparsers: Any, name: str) -> None:
    parser = subparsers.add_parser(
        name,
        help="best-of-k curves with intervals, extrapolated, compared",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="rollouts, JSONL or Parquet")
    add("--up-to", type=float, metavar="N", help="the last k; beyond the rollouts: extrapolated")
    add("--model", nargs="+", metavar="NAME", help="models of files that hold several")
    add("--ks", metavar="1,8,64", help="these k only (default: four to a doubling)")
    add(
        "--method",
        choices=METHODS,
        help=f"of the intervals (default: {CURVE_METHOD} for curves, {PAIRED_METHOD} for pairs)",
    )
    add("--confidence-level", type=float, default=0.95, metavar="P", help="default: 0.95")
    add("--seed", type=int, default=0, help="seed of everything random")
    add("--png", type=Path, metavar="FILE", help="draw the curves")
    add("--html", type=Path, metavar="FILE", help="write a page with curves and completions")
    add("--json", action="store_true", help="every number as JSON")


def run(args: argparse.Namespace) -> int:
    ks, up_to = _check(args)
    sources = read_sources(args.files, args.model)
    found = {label: find(label, r, ks, up_to, args) for label, r in sources.items()}
    comparisons = _compare(found, ks, up_to, args)
    written = []
    if args.png is not None:
        from bontea.report import plot_curves

        fig, _ = plot_curves(
            {label: f.curve for label, f in found.items()},
            extrapolations=_beyond(found),
            n=up_to,
        )
        fig.savefig(args.png, dpi=150, bbox_inches="tight")
        written.append(args.png)
    if args.html is not None:
        written.append(_write_html(found, comparisons, up_to, args))
    if args.json:
        print(json.dumps(as_json(found, comparisons, args), allow_nan=False))
    else:
        _print(found, comparisons, ks)
    for path in written:
        print(f"wrote {path}", file=sys.stderr)
    return 0


def _check(args: argparse.Namespace) -> tuple[list[int] | None, int | None]:
    """The k asked for and the last of them."""
    if args.seed < 0:
        raise BonteaError(f"--seed {args.seed} must be 0 or more")
    if not 0 < args.confidence_level < 1:
        raise BonteaError(f"--confidence-level {args.confidence_level:g} must be between 0 and 1")
    if args.up_to is not None and not (1 <= args.up_to <= 1e9 and args.up_to % 1 == 0):
        raise BonteaError(f"--up-to {args.up_to:g} must be a whole number from 1 to 1e9")
    check_output("--png", args.png, (".png",))
    check_output("--html", args.html, (".html", ".htm"))
    up_to = None if args.up_to is None else int(args.up_to)
    if args.ks is None:
        return None, up_to
    try:
        ks = sorted({int(part) for part in args.ks.split(",")})
    except ValueError:
        ks = []
    if not ks or ks[0] < 1:
        raise BonteaError(f"--ks {args.ks}: give whole numbers of at least 1, such as --ks 1,8,64")
    if up_to is not None and ks[-1] > up_to:
        raise BonteaError(f"--ks {args.ks} goes beyond --up-to {up_to}: raise that to {ks[-1]}")
    return ks, up_to


def read_sources(files: list[Path], models: list[str] | None) -> dict[str, Rollouts]:
    """Every model of every file, by a short name."""
    from bontea.rollouts import read_models, read_rollouts

    found: list[tuple[Path, str | None]] = []
    for path in files:
        if models is None:
            found.append((path, None))
            continue
        there = read_models(path)
        chosen = [model for model in models if model in there]
        found += [(path, model) for model in chosen or models]
    unknown = set(models or []) - {model for path, model in found if model is not None}
    if unknown:
        listed = ", ".join(map(repr, sorted(unknown)))
        raise BonteaError(f"no file has rollouts of {listed}: see the field model of their rows")
    stems = [path.stem for path in files]
    named = stems if len(set(stems)) == len(stems) else [str(path) for path in files]
    short = dict(zip(files, named, strict=True))
    out: dict[str, Rollouts] = {}
    for path, model in found:
        try:
            rollouts = read_rollouts(path, model=model)
        except ValueError:
            names = read_models(path) if model is None else []
            if len(names) < 2:
                raise
            listed = " ".join(shlex.quote(name) for name in names[:5])
            raise BonteaError(
                f"{path} holds rollouts of {len(names)} models: choose with --model {listed}"
                + " ..." * (len(names) > 5)
            ) from None
        if len(files) == 1:
            label = rollouts.model or short[path]
        else:
            label = short[path] if models is None or len(models) == 1 else f"{short[path]}: {model}"
        if label in out:
            raise BonteaError(f"{label} is named twice: name every file and model once")
        out[label] = rollouts
    return out


def find(
    label: str,
    rollouts: Rollouts,
    ks: list[int] | None,
    up_to: int | None,
    args: argparse.Namespace,
) -> Found:
    """The curve of one model, and what lies beyond its rollouts."""
    from bontea.curves import curve, extrapolate
    from bontea.curves.mean_curve import dense_ks

    try:
        scored = rollouts.scored()
    except BonteaError as error:
        raise BonteaError(f"{label}: {error}") from None
    counts = scored.counts
    smallest = int(counts.min())
    if ks is not None and ks[-1] > smallest and up_to is None:
        raise BonteaError(
            f"{label}: k = {ks[-1]} exceeds the {smallest} rewards of {_smallest(scored)}; draw "
            f"more, or add --up-to {ks[-1]} to extrapolate"
        )
    inside = [k for k in ks or dense_ks(min(smallest, up_to or smallest)) if k <= smallest]
    options = {"confidence_level": args.confidence_level, "rng": args.seed}
    if args.method:
        options["method"] = args.method
    line = curve(rollouts, inside or [smallest], **options)
    if smallest * 2 < float(_median(counts)):
        print(
            f"{label}: {_smallest(scored)} has only {smallest} rewards, half of the prompts have "
            f"{_median(counts):g} or more: the curve ends at k = {smallest}; draw the rest, or "
            "remove that prompt",
            file=sys.stderr,
        )
    if up_to is None or up_to <= smallest:
        return Found(rollouts, smallest, line, None)
    ns = sorted({n for n in ks or dense_ks(up_to) if n > smallest} | {up_to})
    try:
        beyond = extrapolate(rollouts, ns, confidence_level=args.confidence_level)
    except GroupTooSmallError as error:
        raise BonteaError(
            f"{label}: {error}; without --up-to the curve ends at k = {smallest}"
        ) from None
    return Found(rollouts, smallest, line, beyond)


def _median(counts: Any) -> float:
    import numpy as np

    return float(np.median(counts))


def _smallest(rollouts: Rollouts) -> str:
    """The prompt with the fewest rewards, in words."""
    name = str(rollouts.prompts[int(rollouts.counts.argmin())])
    return f"prompt {name if len(name) <= 60 else name[:57] + '...'!r}"


def _compare(
    found: dict[str, Found], ks: list[int] | None, up_to: int | None, args: argparse.Namespace
) -> dict[str, Comparison]:
    """The first model with each other one."""
    from bontea.curves import compare
    from bontea.curves.mean_curve import dense_ks

    (first, a), *others = found.items()
    out = {}
    for label, b in others:
        most = min(a.smallest, b.smallest)
        grid = [k for k in ks or dense_ks(min(most, up_to or most)) if k <= most] or [most]
        options = {"method": args.method} if args.method else {}
        out[f"{first} - {label}"] = compare(
            a.rollouts,
            b.rollouts,
            grid,
            names=(first, label),
            confidence_level=args.confidence_level,
            rng=args.seed,
            **options,
        )
    return out


def _beyond(found: dict[str, Found]) -> dict[str, Extrapolation]:
    return {label: f.beyond for label, f in found.items() if f.beyond is not None}


def _write_html(
    found: dict[str, Found],
    comparisons: dict[str, Comparison],
    up_to: int | None,
    args: argparse.Namespace,
) -> Path:
    from bontea.diagnosis import diagnose
    from bontea.report.html import write_report

    n = up_to or max(f.smallest for f in found.values())
    return write_report(
        args.html,
        {label: f.rollouts for label, f in found.items()},
        n=n,
        curves={label: f.curve for label, f in found.items()},
        extrapolations=_beyond(found),
        comparisons=comparisons,
        diagnoses={label: diagnose(f.rollouts, n=n, rng=args.seed) for label, f in found.items()},
        settings={"command": " ".join(sys.argv), "seed": args.seed},
    )


def _print(
    found: dict[str, Found], comparisons: dict[str, Comparison], ks: list[int] | None
) -> None:
    """The table, then what it means."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from bontea.curves.mean_curve import with_limits

    table = Table()
    table.add_column("k", justify="right", no_wrap=True)
    cells: dict[int, dict[str, str]] = {}
    for label, f in found.items():
        prompts, rewards = len(f.curve.per_prompt), f.rollouts.counts
        size = f"{rewards.min()}" + (
            f" to {rewards.max()}" if rewards.max() > rewards.min() else ""
        )
        plural = "s" * (prompts != 1)
        table.add_column(
            Text(f"{label}\n{prompts:,} prompt{plural} x {size}"), justify="right", no_wrap=True
        )
        rows = [(k, with_limits(*f.curve.at(k))) for k in f.curve.ks.tolist()]
        if f.beyond is not None and not f.beyond.refused:
            rows += [(int(n), "~ " + with_limits(*f.beyond.at(n))) for n in f.beyond.ns]
        ends = (f.curve.ks[-1], rows[-1][0])
        for k, text in rows:
            if ks or k & (k - 1) == 0 or k in ends:
                cells.setdefault(k, {})[label] = text
    for k in sorted(cells):
        table.add_row(str(k), *(cells[k].get(label, "") for label in found))
    out = Console(highlight=False)
    if not out.is_terminal:
        out = Console(highlight=False, width=max(100, 20 + 40 * len(found)))
    zero_one = all(f.curve.pass_at_k for f in found.values())
    level = 100 * next(iter(found.values())).curve.confidence_level
    print(f"{'pass@k' if zero_one else 'best of k'}, mean over prompts, {level:g} % interval")
    out.print(table)
    if any(text.startswith("~") for row in cells.values() for text in row.values()):
        print("~ extrapolated: more responses than a prompt has rollouts")
    for label, f in found.items():
        for text in (f.curve.message, _verdict(f)):
            if text:
                print(f"{label}: {text}")
    for comparison in comparisons.values():
        print(f"\n{comparison}")


def _verdict(f: Found) -> str:
    if f.beyond is None:
        return ""
    if f.beyond.refused:
        return f"nothing is predicted beyond k = {f.smallest}: {f.beyond.message}"
    return (
        f"beyond k = {f.smallest} extrapolated by a {f.beyond.method}; "
        f"{f.beyond.verdict}: {f.beyond.message}"
    )


def as_json(
    found: dict[str, Found], comparisons: dict[str, Comparison], args: argparse.Namespace
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
        "curves": [
            {
                "name": label,
                "file": f.rollouts.source,
                "model": f.rollouts.model,
                "prompts": len(f.curve.per_prompt),
                "rollouts": len(f.rollouts.rewards),
                **fields(f.curve, shared),
                "extrapolation": None if f.beyond is None else fields(f.beyond, beyond),
            }
            for label, f in found.items()
        ],
        "comparisons": [fields(comparison, pair) for comparison in comparisons.values()],
    }
