"""`--select` and `--measure`: the response is chosen by one score and measured by another."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bontea._errors import BonteaError
from bontea.cli._reading import said

if TYPE_CHECKING:
    from pathlib import Path

    from bontea.curves import ScoreEvaluation
    from bontea.rollouts import Rollouts


def add_scores(parser: argparse.ArgumentParser, *, select: bool = True) -> None:
    """The options; `select` where several selecting scores may be compared."""
    group = parser.add_argument_group(
        "two scores",
        "Choose the response by one score, and measure it by another: any column of the file that\n"
        "holds a number, such as one that bontea sample --rescore added (docs/two-scores.md).",
    )
    if select:
        group.add_argument(
            "--select",
            action="append",
            metavar="NAME",
            help="the score that chooses the best of k (default: the reward); given several times, "
            "they are compared",
        )
    group.add_argument(
        "--measure", metavar="NAME", help="the score that says what the chosen response is worth"
    )


def asked_scores(args: argparse.Namespace) -> tuple[str, ...]:
    """The names of the scores to read beside the reward."""
    names = [*(getattr(args, "select", None) or []), args.measure]
    return tuple(dict.fromkeys(name for name in names if name not in (None, "reward")))


def by_one_score(rollouts: dict[str, Rollouts], args: argparse.Namespace) -> dict[str, Rollouts]:
    """The rollouts with the score of `--select` as the reward, where nothing else is measured."""
    if not args.select:
        return rollouts
    if len(args.select) > 1:
        raise BonteaError(
            "--select is given several times: say with --measure NAME by which score the responses "
            "that they choose are compared"
        )
    name = args.select[0]
    return {key: replace(data, rewards=data.score(name)) for key, data in rollouts.items()}


def run_two_scores(
    rollouts: dict[str, Rollouts],
    ks: list[int] | None,
    up_to: int | None,
    args: argparse.Namespace,
    cut_off: dict[str, float | None],
) -> int:
    """`bontea curve --measure`: print, draw and write what is known."""
    from bontea.curves import evaluate_scores

    selectors = list(dict.fromkeys(args.select)) if args.select else [None]
    if len(args.select or []) > len(selectors):
        raise BonteaError("--select is given twice with one name: name each score once")
    found = evaluate_scores(
        rollouts,
        ks,
        measure=args.measure,
        selectors=selectors,
        up_to=up_to,
        method=args.method,
        confidence_level=args.confidence_level,
        rng=args.seed,
    )
    written = _write(found, args)
    if args.json:
        print(json.dumps(as_json(found, rollouts, args, cut_off), allow_nan=False))
    else:
        _print(found)
    for path in written:
        print(f"wrote {path}", file=sys.stderr)
    return 0


def _print(found: ScoreEvaluation) -> None:
    blocks = []
    for name, two in found.found.items():
        head = f"{name}: " if len(found.found) > 1 else ""
        blocks.append(f"{head}{two}")
    blocks += [str(pair) for pair in (*found.selectors.values(), *found.models.values())]
    print("\n\n".join(blocks))


def _write(found: ScoreEvaluation, args: argparse.Namespace) -> list[Path]:
    """The figure and the page that were asked for."""
    written = []
    if args.png is not None:
        from bontea.report import plot_two_scores

        fig, _ = plot_two_scores(found.found)
        fig.savefig(args.png, dpi=150)
        written.append(args.png)
    if args.html is not None:
        from bontea.deploy import quick_savings
        from bontea.planning import diagnose
        from bontea.report.html import write_report

        n = max(int(two.chosen.ks[-1]) for two in found.found.values())
        settings: dict[str, Any] = {"command": " ".join(sys.argv), "seed": args.seed}
        for name, rollouts in found.rollouts.items():
            if (line := said(rollouts)) is not None:
                settings[name] = line
        path = write_report(
            args.html,
            found.rollouts,
            n=n,
            curves={name: two.proxy for name, two in found.found.items()},
            diagnoses={
                name: diagnose(rollouts, n=n, measure=args.measure, rng=args.seed)
                for name, rollouts in found.rollouts.items()
            },
            savings=quick_savings(found.rollouts, seed=args.seed),
            scores=found,
            settings=settings,
        )
        written.append(path)
    return written


def as_json(
    found: ScoreEvaluation,
    rollouts: dict[str, Rollouts],
    args: argparse.Namespace,
    cut_off: dict[str, float | None],
) -> dict[str, Any]:
    """Everything and how it was made; NaN and infinities are null."""
    import bontea

    curves = ("proxy", "chosen", "oracle")
    return {
        "version": bontea.__version__,
        "command": list(sys.argv),
        "seed": args.seed,
        "confidence_level": args.confidence_level,
        "cut_off": args.cut_off,
        "measure": args.measure,
        "files": [
            {
                "name": name,
                "file": data.source,
                "model": data.model,
                "read_as": said(data),
                "rollouts": len(data.rewards),
                "cut_off_share": cut_off[name],
            }
            for name, data in rollouts.items()
        ],
        "two_scores": [
            {"name": name}
            | {
                key: {k: v for k, v in value.items() if k != "per_prompt"}
                if key in curves
                else value
                for key, value in two.to_dict().items()
            }
            for name, two in found.found.items()
        ],
        "selectors": [pair.to_dict() for pair in found.selectors.values()],
        "models": [pair.to_dict() for pair in found.models.values()],
    }
