"""The command line: `bontea SUBCOMMAND`, one file per subcommand.

Results go to stdout (only JSON with `--json`), everything else to stderr. The exit code is 0 on
success, 2 for bad input, 130 when stopped by Ctrl-C, 1 when the reader of the output closed the
pipe. Bad input is one line on stderr (BonteaError, OSError, a package that is missing); what else
is raised is a bug, and shows its traceback.
"""

from __future__ import annotations

import argparse
import os
import sys

import bontea
from bontea._errors import BonteaError
from bontea.cli import (
    audit,
    bench,
    check,
    curve,
    diagnose,
    ls,
    plan,
    rules,
    sample,
    serve,
    simulate,
    train,
)

COMMANDS = {
    "train": train,
    "sample": sample,
    "curve": curve,
    "rules": rules,
    "diagnose": diagnose,
    "plan": plan,
    "simulate": simulate,
    "serve": serve,
    "audit": audit,
    "bench": bench,
    "check": check,
    "ls": ls,
}


EXTRAS = {
    **dict.fromkeys(("torch", "transformers", "trl", "peft", "accelerate", "datasets"), "train"),
    **dict.fromkeys(("yaml", "jinja2"), "train"),
    **dict.fromkeys(("polars", "rich"), "rollouts"),
    **dict.fromkeys(("openai", "httpx"), "endpoint"),
    **dict.fromkeys(("starlette", "uvicorn", "aiohttp", "prometheus_client"), "serve"),
    **dict.fromkeys(("matplotlib", "plotly"), "report"),
}
"""Packages that a command may miss, and the extra of ours that has them."""


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="bontea",
        description="Post-train language models for the way they are deployed: best-of-N.",
        epilog="`bontea COMMAND --help` shows the arguments of a command, with examples.",
    )
    parser.add_argument("--version", action="version", version=f"bontea {bontea.__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        module.add_parser(subparsers, name)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a subcommand; returns the exit code."""
    args = make_parser().parse_args(argv)
    try:
        code = COMMANDS[args.command].run(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:  # a command with something to save has caught it before
        print(f"\nbontea {args.command}: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output, such as `head`, has seen enough. What is still buffered would
        # raise once more when the interpreter closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (BonteaError, OSError) as error:
        if os.environ.get("BONTEA_TRACEBACK"):
            raise
        print(f"bontea {args.command}: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None or os.environ.get("BONTEA_TRACEBACK"):
            raise
        print(
            f"bontea {args.command}: this needs the package {error.name}: pip install "
            f'"bontea[{extra}]"',
            file=sys.stderr,
        )
        return 2
