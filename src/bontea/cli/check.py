"""`bontea check`: is the adapter of a framework alive in this environment?

One batch, shuffled and with an incomplete group, goes through the framework's own code, and the
advantages are compared with the core function. Settings of a launch script can be given as well,
and are read as the framework will read them: what cannot work is found before a job starts.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import sys
from typing import Any

import numpy as np

from bontea._errors import BonteaError, MissingPackageError
from bontea._numbers import number
from bontea.advantages import EstimatorSpec, advantages_for
from bontea.integrations.frameworks import FRAMEWORKS, OVERRIDE, Framework

EXAMPLES = """examples:
  bontea check verl
      import verl, run a batch through its dispatch, say what to set and what to leave off
  bontea check verl algorithm.adv_estimator=bontea_adaptive_tea +algorithm.bontea.n=128 \\
          actor_rollout_ref.rollout.n=16
      the same, and the settings of a job: put it before the launch command, with the same "$@"
  bontea check trinity config.yaml
      the settings in a YAML file (trinity, slime)

exit code: 0 if everything works; 1 if the framework runs but does not give our advantages, would
not load the adapter by itself, or has a version that is refused (BONTEA_UNTESTED_VERSION=1 tries it
all the same); 2 for settings that cannot work and for a framework that is missing
"""
N = 128
SIZES = (16,) * 11 + (11,)
TOLERANCE = 1e-5
"""Relative; frameworks compute in float32."""


def add_parser(subparsers: Any, name: str) -> None:
    parser = subparsers.add_parser(
        name,
        help="is the adapter of a framework alive in this environment?",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("framework", choices=FRAMEWORKS, help="its name")
    parser.add_argument(
        "settings", nargs="*", help="of a job, as the framework takes them; KEY=VALUE or a file"
    )
    parser.add_argument(
        "--estimator",
        help="for the batch, such as 'max_at_k(k=8)' (default: adaptive_tea; tea where groups are "
        "scored one by one)",
    )
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    framework = FRAMEWORKS[args.framework]
    require_installed(framework)
    if framework.status() == "refused":  # before its import, which may fail for that reason
        report = refused(framework)
    else:
        require_importable(framework)
        report = check(framework, args.estimator, args.settings)
    if args.json:
        print(json.dumps(report))
    else:
        print("\n".join(lines(report)))
    return 0 if report["works"] else 1


def check(framework: Framework, estimator: str | None, settings: list[str]) -> dict[str, Any]:
    """What was found, as `--json` prints it."""
    estimator = str(estimator or framework.estimator)
    spec = EstimatorSpec.of(estimator).bind(n=N, m=max(SIZES))
    # As in the first batch of a run, which has no groups before it.
    first: dict[str, Any] = {"history": np.zeros((0, max(SIZES)))} if spec.takes("history") else {}
    rng = np.random.default_rng(0)
    ids = np.repeat([f"prompt {i}" for i in range(len(SIZES))], SIZES)
    ids = ids[rng.permutation(len(ids))]
    rewards = rng.normal(size=len(ids)).astype(np.float32).astype(float)
    with contextlib.redirect_stdout(sys.stderr):  # trainers print
        probed = framework.probe(rewards, ids, estimator, N)
    expected = advantages_for(rewards, ids, spec, **first)
    error = float(np.abs(probed.advantages - expected).max() / np.abs(expected).max())
    with contextlib.redirect_stdout(sys.stderr):
        as_read = framework.settings(settings) if settings else None
    return {
        **of_version(framework),
        "found": probed.found,
        "path": probed.path,
        "rollouts": len(rewards),
        "prompts": len(SIZES),
        "estimator": estimator,
        "largest_relative_difference": error,
        "works": bool(error < TOLERANCE and probed.loaded),
        "settings": as_read,
        "use": list(framework.use),
        "off": [list(pair) for pair in framework.off],
    }


def refused(framework: Framework) -> dict[str, Any]:
    """What there is to say of a version that the adapter is not for."""
    return {**of_version(framework), "works": False, "refusal": framework.refusal()}


def of_version(framework: Framework) -> dict[str, Any]:
    return {
        "framework": framework.name,
        "version": framework.version(),
        "version_status": framework.status(),
        "tested": framework.tested,
        "accepted": framework.accepted,
    }


def lines(report: dict[str, Any]) -> list[str]:
    """The report for a person."""
    version = report["version"] or "of unknown version"
    meant = f"tested with {report['tested']}, accepts {report['accepted']}"
    known = {
        "tested": "as tested",
        "accepted": f"accepted: {meant}",
        "refused": f"refused: {meant}",
        "overridden": f"overridden: {meant}, and {OVERRIDE} is set",
        "unknown": f"tested with {report['tested']}",
    }[report["version_status"]]
    if "refusal" in report:
        return [f"{report['framework']} {version} ({known})", report["refusal"], "", "NOT TRIED"]
    agrees = "agrees with" if report["largest_relative_difference"] < TOLERANCE else "DIFFERS from"
    out = [
        f"{report['framework']} {version} ({known})",
        f"found: {report['found']}",
        f"ran: {report['rollouts']} rollouts of {report['prompts']} prompts, shuffled, one group "
        f"incomplete, {report['estimator']}, through",
        f"     {report['path']}",
        f"     {agrees} bontea.advantages_for (largest relative difference "
        f"{number(report['largest_relative_difference'], 2)})",
    ]
    if report["settings"]:
        out.append(f"settings: {report['settings']}")
    out += ["", "switch it on:", *(f"    {line}" for line in report["use"])]
    out += ["", "its other settings:"]
    out += [f"    {name}: {reason}" for name, reason in report["off"]]
    return [*out, "", "works" if report["works"] else "DOES NOT WORK: see above"]


def require_installed(framework: Framework) -> None:
    """ValueError that says how to install it, in which environment."""
    top = framework.module.partition(".")[0]
    if importlib.util.find_spec(top) is None:
        raise BonteaError(
            f"{framework.name} is not installed in {sys.prefix}: {framework.install} "
            f"({framework.tested} is tested)"
        )


def require_importable(framework: Framework) -> None:
    """ImportError that names its version."""
    try:
        importlib.import_module(framework.module)
    except ImportError as error:
        raise MissingPackageError(
            f"{framework.name} {framework.version()} is installed but cannot be imported: {error}"
        ) from error
