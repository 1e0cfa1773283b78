"""`bontea audit`: what the stopping rule of `bontea serve` saved, and whether quality fell.

From the log of a server (`bontea serve --log FILE.jsonl`). A share of its requests (`--audit`
there) continues to a fixed N after the rule has stopped. For these requests two answers are known,
that of the rule and that of the fixed N, and here they are compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bontea._errors import BonteaError

EXAMPLES = """examples:
  bontea audit served.jsonl
      rule against fixed N on the audited requests, with intervals
  bontea audit served.0001.jsonl served.0002.jsonl served.jsonl --json
      all pieces of a log, every number for a machine
  bontea audit served.jsonl --measure judge
      quality by another score than the one that chose the answers, a column of the log that
      `bontea sample --rescore --reward-name judge` writes
"""


def add_parser(subparsers: Any, name: str) -> None:
    parser = subparsers.add_parser(
        name,
        help="what the rule of bontea serve saved, and whether quality fell",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--measure",
        metavar="NAME",
        help="compare answers by this score in the log, and not by the reward that chose them",
    )
    add("logs", nargs="+", type=Path, metavar="LOG", help="logs of bontea serve")
    add(
        "--confidence-level",
        type=float,
        default=0.95,
        metavar="P",
        help="how sure the intervals are (default: 0.95)",
    )
    add("--seed", type=int, default=0, help="seed of the random resamples behind the intervals")
    add("--json", action="store_true", help="every number as JSON")


def run(args: argparse.Namespace) -> int:
    from bontea.serve.audited import audit

    if args.seed < 0:
        raise BonteaError(f"--seed {args.seed} must be 0 or more")
    found = audit(
        args.logs, measure=args.measure, confidence_level=args.confidence_level, rng=args.seed
    )
    if args.json:
        import bontea

        made = {"version": bontea.__version__, "command": list(sys.argv), "seed": args.seed}
        print(json.dumps(made | found.to_dict(), allow_nan=False))
    else:
        print(found)
    return 0
