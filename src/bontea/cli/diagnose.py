"""`bontea diagnose`: what a file of rewards says before you train on it.

Is the upper tail of the rewards normal, heavy, light or at a ceiling? Do prompts give a gradient?
Does the reward follow the length of a response? What would estimators optimise on these rewards?
Prints each number beside what is expected or harmless, and at the end one recommendation, the same
as that of `bontea plan`. Takes some seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bontea._errors import BonteaError
from bontea._numbers import typed
from bontea.cli._cut_off import add_cut_off, apply_cut_off
from bontea.cli._files import check_output
from bontea.cli._reading import FILES, add_reading, given_reading, say_readings
from bontea.cli._scores import add_scores, asked_scores

if TYPE_CHECKING:
    from bontea.planning import Diagnosis

EXAMPLES = """examples:
  bontea diagnose rollouts.jsonl --deploy-n 128
      can these rewards be extrapolated to best-of-128, and which estimator fits?
  bontea diagnose rollouts.parquet --deploy-n 512 --rollouts 32 --png qq.png --json > diagnosis.json
      for training with 32 rollouts a prompt; figures, and every number for a machine
  bontea diagnose rollouts.jsonl --measure judge
      does best-of-N climb what the judge says, or the reward only?
"""


def add_parser(subparsers: Any, name: str) -> None:
    parser = subparsers.add_parser(
        name,
        help="look at rewards before training on them",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("file", type=Path, help=f"{FILES}; 64 prompts with 64 rollouts each are a good size")
    add(
        "--deploy-n",
        type=float,
        default=128,
        metavar="N",
        help="responses drawn per prompt when the model is used (default: 128)",
    )
    add(
        "--rollouts",
        type=int,
        metavar="M",
        help="rollouts of a prompt in training (default: 16, or the median number of rewards of a "
        "prompt where that is less)",
    )
    add("--model", help="the model in the file to diagnose, if it holds several")
    add(
        "--png",
        type=Path,
        metavar="FILE",
        help="write a figure: quantiles (QQ plot) and the end of the tail",
    )
    add("--seed", type=int, default=0, help="seed of everything random")
    add("--json", action="store_true", help="print every number as JSON")
    add_scores(parser, select=False)
    add_cut_off(parser)
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    from bontea.planning import diagnose
    from bontea.rollouts import read_rollouts

    if args.seed < 0:
        raise BonteaError(f"--seed {args.seed} must be 0 or more")
    if not 1 <= args.deploy_n < float("inf"):
        raise BonteaError(
            f"--deploy-n {typed(args.deploy_n)} must be at least 1: how many responses are drawn "
            "of a prompt when the model is used, such as 128"
        )
    if args.rollouts is not None and args.rollouts < 1:
        raise BonteaError(f"--rollouts {args.rollouts} must be at least 1, such as 16")
    check_output("--png", args.png, (".png",))
    rollouts = read_rollouts(
        args.file, model=args.model, reading=given_reading(args, asked_scores(args))
    )
    say_readings([rollouts])
    name = str(args.file)
    treated, cut_off = apply_cut_off({name: rollouts}, args)
    try:
        found = diagnose(
            treated[name], n=args.deploy_n, m=args.rollouts, measure=args.measure, rng=args.seed
        )
    except BonteaError as error:
        raise BonteaError(f"{args.file}: {error}") from None
    if args.png is not None:
        _draw(found, args.png)
    if args.json:
        print(json.dumps(as_json(found, args, cut_off[name]), allow_nan=False))
    else:
        print(found)
    return 0


def as_json(
    found: Diagnosis, args: argparse.Namespace, cut_off_share: float | None
) -> dict[str, Any]:
    """The diagnosis and how it was made; NaN and infinities are null."""
    import bontea

    return {
        "version": bontea.__version__,
        "command": list(sys.argv),
        "seed": args.seed,
        "file": str(args.file),
        "model": args.model,
        "measure": args.measure,
        "cut_off": args.cut_off,
        "cut_off_share": cut_off_share,
        **found.to_dict(),
        "page": str(found),
    }


def _draw(found: Diagnosis, path: Path) -> None:
    if found["qq"] is None:
        why = found.skipped.get("qq", "two values have no quantiles to compare")
        print(f"no figure: {why}", file=sys.stderr)
        return
    from bontea.report.diagnosis import plot_diagnosis

    fig, _ = plot_diagnosis(found)
    fig.savefig(path, dpi=150)
    print(f"wrote {path}", file=sys.stderr)
