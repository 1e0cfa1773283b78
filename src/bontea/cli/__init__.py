"""The command line: `bontea SUBCOMMAND`, one file per subcommand.

Results go to stdout (only JSON with `--json`), everything else to stderr. The exit code is 0 on
success, 2 for bad input, 130 when stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys

import bontea
from bontea.cli import bench, check, curve, diagnose, ls, plan, sample, train

COMMANDS = {
    "train": train,
    "sample": sample,
    "curve": curve,
    "diagnose": diagnose,
    "plan": plan,
    "bench": bench,
    "check": check,
    "ls": ls,
}


def main(argv: list[str] | None = None) -> int:
    """Run a subcommand; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="bontea",
        description="Post-train language models for the way they are deployed: best-of-N.",
        epilog="`bontea COMMAND --help` shows the arguments of a command, with examples.",
    )
    parser.add_argument("--version", action="version", version=f"bontea {bontea.__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        module.add_parser(subparsers, name)
    args = parser.parse_args(argv)
    try:
        return COMMANDS[args.command].run(args)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        if os.environ.get("BONTEA_TRACEBACK"):
            raise
        print(f"bontea {args.command}: {error}", file=sys.stderr)
        return 2
