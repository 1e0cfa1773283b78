"""`bontea ls`: the names this installation knows: estimators, tails, laws, integrations."""

from __future__ import annotations

import argparse
import inspect
import json
from typing import Any

from bontea._numbers import number

EXAMPLES = """examples:
  bontea ls
      everything, one line a name
  bontea ls estimators --json
      the estimators with their parameters, for a script
"""
KINDS = ("estimators", "tails", "laws", "integrations")


def add_parser(subparsers: Any, name: str) -> None:
    parser = subparsers.add_parser(
        name,
        help="list estimators, tails, laws and integrations",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", nargs="?", choices=KINDS, help="what to list; default: everything")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    listed = {kind: LISTS[kind]() for kind in ([args.kind] if args.kind else KINDS)}
    if args.json:
        print(json.dumps(listed))
        return 0
    for kind, names in listed.items():
        print(f"{kind}:")
        width = max(map(len, names))
        for name, text in names.items():
            print(f"  {name:<{width}}  {text}")
    return 0


def _estimators() -> dict[str, str]:
    """Signature and module summary of every estimator."""
    from bontea import ADVANTAGES

    out = {}
    for name, function in ADVANTAGES.items():
        parameters = list(inspect.signature(function).parameters.values())[1:]
        shown = ", ".join(
            p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters
        )
        out[f"{name}({shown})"] = _first_line(inspect.getmodule(function))
    return out


def _tails() -> dict[str, str]:
    from bontea.tails.shapes import LIMITS, TAILS

    return {
        name: (
            f"one number from {number(LIMITS[name][0])} to {number(LIMITS[name][1])}, as in "
            f"{name}(-0.1)"
            if name in LIMITS
            else "no parameter"
        )
        for name in TAILS
    }


def _laws() -> dict[str, str]:
    from bontea.theory import LAWS

    return dict.fromkeys(LAWS, "a reward law that is known exactly (bontea.theory)")


def _integrations() -> dict[str, str]:
    from bontea.integrations.frameworks import FRAMEWORKS

    out = {}
    for name, framework in FRAMEWORKS.items():
        version = framework.version()
        there = f"{framework.distribution} {version} is installed" if version else "not installed"
        out[name] = f"{there}; {framework.accepted} is accepted, {framework.tested} tested"
    return out


LISTS = {
    "estimators": _estimators,
    "tails": _tails,
    "laws": _laws,
    "integrations": _integrations,
}


def _first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]
