"""`bontea plan`: which estimator, how many rollouts of a prompt, and what N is worth.

Measures the direction and the noise of each estimator at each M, on a named reward law or on that
of a pilot (a file of rollouts), and says what to use. It plans the gradient of the policy as it is,
not the training run. Tables and the recommendation go to stdout.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bontea._errors import BonteaError
from bontea._json import plain
from bontea.cli._files import check_output

if TYPE_CHECKING:
    from bontea._progress import JobProgress
    from bontea.rollouts import Rollouts
    from bontea.theory.deployment import Deployment
    from bontea.theory.pilot import Pilot
    from bontea.theory.plan import Plan

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
    add("--deploy-n", type=float, required=True, metavar="N", help="responses drawn when deployed")
    add("--rollouts", default="8,16,32,64", metavar="M,...", help="rollouts per prompt to compare")
    add("--batch-size", type=int, default=1024, help="rollouts per training step (default 1024)")
    add("--pilot", type=Path, metavar="FILE", help="rollouts of the start policy, JSONL or Parquet")
    add("--model", help="the model in the pilot to plan for, if it holds several")
    add("--law", help="a reward law (`bontea ls laws`) instead of a pilot; default normal")
    add("--estimator", nargs="+", metavar="NAME", help="such as tea or 'max_at_k(k=8)'")
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


def run(args: argparse.Namespace) -> int:
    from bontea._progress import JobProgress, Stopped
    from bontea.theory.plan import check_price

    if args.seed < 0:
        raise BonteaError(f"--seed {args.seed} must be 0 or more")
    if args.pilot is not None and args.law is not None:
        raise BonteaError("--pilot and --law are two reward laws: give one of them")
    if args.model is not None and args.pilot is None:
        raise BonteaError("--model names a model in a pilot: give --pilot as well")
    check_output("--png", args.png, (".png",))
    check_price(args.price)
    sizes = parse_sizes(args.rollouts)
    progress = JobProgress()
    try:
        with progress.catch_interrupt():
            plan, pilot = _plan(args, sizes, progress)
    except (Stopped, KeyboardInterrupt):
        progress.say("stopped; nothing was written")
        return 130
    if args.png is not None:
        from bontea.report.plan import plot_plan

        fig, _ = plot_plan(plan)
        fig.savefig(args.png, dpi=150)
        progress.say(f"wrote {args.png}")
    if args.json:
        print(json.dumps(as_json(plan, pilot, args)))
        return 0
    _show(plan, pilot)
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


def _plan(
    args: argparse.Namespace, sizes: list[int], progress: JobProgress
) -> tuple[Plan, Pilot | None]:
    from bontea.rollouts import read_rollouts
    from bontea.theory.pilot import pilot_law
    from bontea.theory.plan import plan
    from bontea.training.arms import parse_arms

    estimators = None
    if args.estimator is not None:
        estimators = [(arm.estimator, arm.params) for arm in parse_arms(args.estimator)]
    rollouts = pilot = None
    if args.pilot is not None:
        rollouts = read_rollouts(args.pilot, model=args.model)
        pilot = pilot_law(rollouts, rng=args.seed)
        pilot.require(args.deploy_n)

    def advance(done: int, total: int) -> None:
        progress.advance(at=round(100 * done / total))
        progress.check()

    with progress.phase("bontea plan, %", 100):
        result = plan(
            n=args.deploy_n,
            m=sizes,
            law=pilot if pilot is not None else args.law or "normal",
            estimators=estimators,
            batch_size=args.batch_size,
            price=args.price,
            least_gain=args.least_gain,
            rng=args.seed,
            progress=advance,
        )
    if rollouts is not None and pilot is not None:
        worth = pilot_deployment(
            rollouts, pilot, args.deploy_n, args.price, args.least_gain, args.seed
        )
        result = replace(result, deployment=worth)
    return result, pilot


def pilot_deployment(
    rollouts: Rollouts,
    pilot: Pilot,
    n: float,
    price: float | None,
    least_gain: float | None,
    seed: int,
) -> Deployment:
    """Best-of-N of the pilot's prompts in reward units: seen up to the smallest group, then the
    extrapolation with its own doubts."""
    import numpy as np

    from bontea.curves import curve, extrapolate
    from bontea.theory.deployment import (
        LEAST_GAIN,
        LEAST_GAIN_01,
        Deployment,
        budgets,
        check_gain,
        enough,
    )
    from bontea.theory.pilot import LEAST_ROLLOUTS

    table = np.asarray(rollouts)
    count = np.isfinite(table).sum(1)
    binary = pilot.kind.name == "binary"
    table = table[count >= (1 if binary else LEAST_ROLLOUTS)]
    smallest = int(np.isfinite(table).sum(1).min())
    ns = budgets(n)
    seen = (ns <= smallest) & (ns == np.floor(ns))
    value, low, high = np.full((3, len(ns)), math.nan)
    if seen.any():
        inside = curve(table, ns[seen].astype(int).tolist(), rng=seed)
        value[seen], low[seen], high[seen] = inside.value, inside.low, inside.high
    gain = _doublings(ns, value)
    note = ""
    if not seen.all():
        # All budgets: a doubling out of the sample is a difference within one fit.
        fit = extrapolate(table, ns.tolist())
        value[~seen], low[~seen], high[~seen] = fit.value[~seen], fit.low[~seen], fit.high[~seen]
        gain = np.where(np.isnan(gain), _doublings(ns, fit.value), gain)
        note = f"Beyond {smallest} rollouts: " + (
            f"nothing is predicted, {fit.message}"
            if fit.refused
            else f"{fit.method}, {fit.verdict}: {fit.message}"
        )
    default = LEAST_GAIN_01 if binary else LEAST_GAIN * pilot.spread
    least = check_gain(default if least_gain is None else least_gain)
    known = np.isfinite(gain)
    return Deployment(
        ns=ns,
        value=value,
        low=low,
        high=high,
        gain=gain,
        spread=pilot.spread,
        mean=float(np.nanmean(np.nanmean(table, axis=1))),
        least_gain=least,
        enough=enough(ns[known], gain[known], least) if known.any() else math.nan,
        price=price,
        source=tuple("seen" if inside else "extrapolated" for inside in seen),
        note=note,
    )


def _doublings(ns: Any, value: Any) -> Any:
    """`V_2N - V_N`, NaN where 2N is not among the budgets."""
    import numpy as np

    by_n = dict(zip(ns, value, strict=True))
    return np.array([by_n.get(2 * n, math.nan) for n in ns]) - value


def as_json(plan: Plan, pilot: Pilot | None, args: argparse.Namespace) -> dict[str, Any]:
    """Everything the tables show, and how it was made; NaN and infinity are null."""
    import bontea

    hidden = ("simulation_se", "resampled")
    settings = {key: str(v) if isinstance(v, Path) else v for key, v in vars(args).items()}
    settings.pop("command", None)
    worth = plan.deployment
    cost = worth.cost
    return plain(
        {
            "version": bontea.__version__,
            "command": list(sys.argv),
            "seed": args.seed,
            "settings": settings,
            "law": plan.law,
            "pilot": None
            if pilot is None
            else {
                "kind": pilot.kind.name,
                "prompts": pilot.prompts,
                "rewards": pilot.rewards,
                "spread": pilot.spread,
            },
            "cosine_limit": plan.cosine_limit,
            "rows": [
                {key: v for key, v in asdict(row).items() if key not in hidden} for row in plan.rows
            ],
            "best": None if plan.best is None else [plan.best.estimator, plan.best.m],
            "fewest": None if plan.fewest is None else [plan.fewest.estimator, plan.fewest.m],
            "deployment": [
                {
                    "n": worth.ns[i],
                    "value": worth.value[i],
                    "low": worth.low[i],
                    "high": worth.high[i],
                    "in_sd": worth.in_sd[i],
                    "gain": worth.gain[i],
                    "cost": None if cost is None else cost[i],
                    "source": worth.source[i],
                }
                for i in range(len(worth.ns))
            ],
            "least_gain": worth.least_gain,
            "enough_n": worth.enough,
            "notes": [*plan.notes, *([worth.note] if worth.note else [])],
            "recommendation": plan.recommendation,
        }
    )


def _show(plan: Plan, pilot: Pilot | None) -> None:
    from rich.console import Console

    from bontea.report.plan import plan_tables, plan_text

    out = Console(highlight=False)
    if not out.is_terminal:
        out = Console(highlight=False, width=140)
    for table in plan_tables(plan):
        out.print(table)
    for paragraph in plan_text(plan, pilot):
        out.print(f"\n{paragraph}", markup=False, width=min(out.width, 100))
