"""`bontea simulate`: what a stopping rule would have cost and gained, from rollouts drawn already.

Best-of-N need not draw N responses for every prompt. A rule stops when the next response is not
expected to be worth its price. From a file of rollouts this command says what the rule would have
done: mean reward, responses drawn, and how many a fixed N needs for the same reward. Each prompt is
judged with what the other prompts say, never with its own rollouts.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bontea._errors import BonteaError
from bontea._numbers import percent
from bontea.cli._reading import say_readings

EXAMPLES = """examples:
  bontea simulate rollouts.jsonl
      the responses needed for the mean reward of a fixed N of 4, 8, 16, ...
  bontea simulate rollouts.jsonl --price 0.01 --min-n 4 --max-n 64 --wave 4
      what a price of 0.01 reward units for each response would have done, four drawn at a time
  bontea simulate rollouts.jsonl --budget 16 --json
      16 responses a prompt on average, the price learnt on the way; every number for a machine
"""


def add_parser(subparsers: Any, name: str) -> None:
    from bontea.deploy import MAX_N

    parser = subparsers.add_parser(
        name,
        help="what a stopping rule would have cost and gained on rollouts",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="rollouts, JSONL or Parquet")
    add("--model", metavar="NAME", help="one model of a file that holds several")
    add("--price", type=float, metavar="C", help="of a response, in reward units")
    add("--budget", type=float, metavar="N", help="responses a prompt on average, in a stream")
    add("--fixed-n", type=int, metavar="N", help="match the mean reward of this fixed N")
    add("--min-n", type=int, default=1, metavar="N", help="never fewer responses (default: 1)")
    add(
        "--max-n",
        type=int,
        default=MAX_N,
        metavar="N",
        help=f"never more responses (default: {MAX_N})",
    )
    add("--wave", type=int, default=1, metavar="W", help="responses at a time (default: 1)")
    add("--tail", metavar="NAME", help="form of the law; default: read from the rollouts")
    add("--ceiling", type=float, metavar="R", help="the largest reward there can be")
    add("--confidence-level", type=float, default=0.95, metavar="P", help="default: 0.95")
    add("--seed", type=int, default=0, help="seed of everything random")
    add("--json", action="store_true", help="every number as JSON")


def run(args: argparse.Namespace) -> int:
    from bontea.deploy import simulate
    from bontea.rollouts import read_sources

    if args.seed < 0:
        raise BonteaError(f"--seed {args.seed} must be 0 or more")
    (rollouts,) = read_sources([args.file], None if args.model is None else [args.model]).values()
    say_readings([rollouts])
    found = simulate(
        rollouts,
        price=args.price,
        budget=args.budget,
        fixed_n=args.fixed_n,
        min_n=args.min_n,
        max_n=args.max_n,
        wave=args.wave,
        tail=args.tail,
        ceiling=args.ceiling,
        confidence_level=args.confidence_level,
        rng=args.seed,
    )
    for warning in found.warnings:
        print(warning, file=sys.stderr)
    if args.json:
        import bontea

        made = {"version": bontea.__version__, "command": list(sys.argv), "seed": args.seed}
        print(json.dumps(made | found.to_dict(), allow_nan=False))
        return 0
    from rich.console import Console

    from bontea.report.deploy import simulation_table

    out = Console(highlight=False)
    if not out.is_terminal:
        out = Console(highlight=False, width=160)
    print(
        f"{found.prompts} prompts, {found.orders} random orders of each, mean over prompts, "
        f"{percent(found.confidence_level)} interval"
    )
    out.print(simulation_table(found))
    print(f"{found.verdict}: {found.message}")
    return 0
