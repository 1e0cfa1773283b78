"""`bontea plan`: which estimator, how many rollouts of a prompt, and what N is worth.

Looks at what the rewards of a pilot (a file of rollouts) or of a named law admit, measures each
estimator at each M by early progress per rollout and by where training ends, and names one
estimator and one M; `bontea diagnose` names the same. Tables and the recommendation go to stdout.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bontea._errors import BonteaError
from bontea.cli._cut_off import add_cut_off, apply_cut_off
from bontea.cli._files import check_output
from bontea.cli._reading import FILES, add_reading, given_reading, say_readings

if TYPE_CHECKING:
    from bontea._progress import JobProgress
    from bontea.planning import Plan

EXAMPLES = """examples:
  bontea plan --deploy-n 128
      normal rewards: estimators at M = 8, 16, 32, 64, and what a doubling of N gains
  bontea plan --deploy-n 128 --pilot rollouts.jsonl --price 0.002 --png plan.png
      the rewards of your own policy, from a file such as `bontea sample` writes
  bontea plan --deploy-n 512 --rollouts 16,32 --estimator adaptive_tea 'max_at_k(k=8)'
      some estimators only
"""


def add_parser(subparsers: Any, name: str) -> None:
    parser = subparsers.add_parser(
        name,
        help="choose estimator, M and N before a run",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--deploy-n",
        type=float,
        required=True,
        metavar="N",
        help="responses drawn per prompt when deployed",
    )
    add(
        "--rollouts",
        default="8,16,32,64",
        metavar="M,...",
        help="numbers of rollouts per prompt (M) to compare (default: 8,16,32,64)",
    )
    add("--batch-size", type=int, default=1024, help="rollouts per training step (default 1024)")
    add("--pilot", type=Path, metavar="FILE", help=f"of the start policy, {FILES}")
    add("--model", help="the model in the pilot to plan for, if it holds several")
    add("--law", help="a reward law (`bontea ls laws`) instead of a pilot; default normal")
    add(
        "--estimator",
        nargs="+",
        metavar="NAME",
        help="to compare, such as tea 'max_at_k(k=8)' or module:function",
    )
    add("--price", type=float, help="of one rollout, in any unit")
    add(
        "--least-gain",
        type=float,
        metavar="X",
        help="reward a doubling of N has to bring; default a tenth of a standard deviation, or "
        "0.01 in pass@N",
    )
    add("--seed", type=int, default=0, help="seed of everything random")
    add("--png", type=Path, metavar="FILE", help="draw the plan")
    add("--json", action="store_true", help="the plan as JSON")
    add_cut_off(parser)
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    from bontea._progress import JobProgress, Stopped
    from bontea.planning.plans import check_price

    if args.seed < 0:
        raise BonteaError(f"--seed {args.seed} must be 0 or more")
    if args.pilot is not None and args.law is not None:
        raise BonteaError("--pilot and --law are two reward laws: give one of them")
    if args.cut_off != "keep" and args.pilot is None:
        raise BonteaError("--cut-off is about the rollouts of a pilot: give --pilot as well")
    if args.model is not None and args.pilot is None:
        raise BonteaError("--model names a model in a pilot: give --pilot as well")
    check_output("--png", args.png, (".png",))
    check_price(args.price)
    sizes = parse_sizes(args.rollouts)
    progress = JobProgress()
    try:
        with progress.catch_interrupt():
            plan = _plan(args, sizes, progress)
    except (Stopped, KeyboardInterrupt):
        progress.say("stopped; nothing was written")
        return 130
    if args.png is not None:
        from bontea.report.plan import plot_plan

        fig, _ = plot_plan(plan)
        fig.savefig(args.png, dpi=150)
        progress.say(f"wrote {args.png}")
    if args.json:
        print(json.dumps(as_json(plan, args), allow_nan=False))
        return 0
    _show(plan)
    return 0


def parse_sizes(text: str) -> list[int]:
    """`"8,16"` as numbers; ValueError names the part that is none.

    >>> parse_sizes("8, 16,32")
    [8, 16, 32]
    """
    sizes = []
    for part in text.split(","):
        if not part.strip().isdecimal():
            raise BonteaError(
                f"--rollouts {text!r}: {part.strip()!r} is not a number of rollouts; write whole "
                "numbers with commas between them, such as 8,16,32"
            )
        sizes.append(int(part))
    return sizes


def _plan(args: argparse.Namespace, sizes: list[int], progress: JobProgress) -> Plan:
    from bontea.advantages import parse_estimators
    from bontea.planning import plan
    from bontea.rollouts import read_rollouts

    rollouts = None
    if args.pilot is not None:
        name = str(args.pilot)
        rollouts = read_rollouts(args.pilot, model=args.model, reading=given_reading(args))
        say_readings([rollouts])
        rollouts = apply_cut_off({name: rollouts}, args)[0][name]

    def advance(done: int, total: int) -> None:
        progress.advance(at=round(100 * done / total))
        progress.check()

    with progress.phase("bontea plan, %", 100):
        return plan(
            rollouts,
            n=args.deploy_n,
            m=sizes,
            law=args.law,
            estimators=None if args.estimator is None else parse_estimators(args.estimator),
            batch_size=args.batch_size,
            price=args.price,
            least_gain=args.least_gain,
            rng=args.seed,
            progress=advance,
        )


def as_json(plan: Plan, args: argparse.Namespace) -> dict[str, Any]:
    """Everything the tables show, and how it was made; NaN and infinity are null."""
    import bontea

    settings = {key: str(v) if isinstance(v, Path) else v for key, v in vars(args).items()}
    settings.pop("command", None)
    return {
        "version": bontea.__version__,
        "command": list(sys.argv),
        "seed": args.seed,
        "settings": settings,
        **plan.to_dict(),
    }


def _show(plan: Plan) -> None:
    from rich.console import Console

    from bontea.report.plan import plan_tables, plan_text

    out = Console(highlight=False)
    if not out.is_terminal:
        out = Console(highlight=False, width=150)
    for table in plan_tables(plan, wide=out.width >= 110):
        out.print(table)
    for paragraph in plan_text(plan):
        out.print(f"\n{paragraph}", markup=False, width=min(out.width, 100))
