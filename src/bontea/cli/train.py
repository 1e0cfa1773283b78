"""`bontea train`: post-train a model for best-of-N and compare it with its rivals."""

from __future__ import annotations

import argparse
import json
import shlex
import time
from pathlib import Path
from typing import Any

from bontea._errors import BonteaError, FailedError, what_gave_up
from bontea._json import strict_loads
from bontea.cli._flags import add_settings, given_settings, quiet_libraries, read_yaml
from bontea.training.settings import Settings

EXAMPLES = """examples:
  bontea train
      train the embedded toy policy with GRPO, max@k and TEA, and compare them (minutes on a CPU)
  bontea train --model Qwen/Qwen3-0.6B --reward Skywork/Skywork-Reward-V2-Qwen3-0.6B \\
      --prompts trl-lib/ultrafeedback-prompt --estimator tea --deploy-n 128 --lora 32
      train your own model on a GPU
  bontea train --resume
      go on with the latest job under runs/ that was stopped or killed
"""


def add_parser(subparsers: Any, name: str) -> None:
    parser = subparsers.add_parser(
        name,
        help="post-train a model for best-of-N and compare estimators on held-out prompts",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("config", nargs="?", default=None, help="YAML file of settings")
    add_settings(parser, Settings)
    parser.add_argument(
        "--resume",
        action="store_true",
        default=False,
        help="go on with the job in --output (default: the latest under runs/)",
    )
    parser.add_argument("--json", action="store_true", default=False, help="results as JSON")


def run(args: argparse.Namespace) -> int:
    quiet_libraries()
    started = time.time()
    given = given_settings(args, Settings)
    if "trl" in given:
        given["trl"] = _pairs(given["trl"])
    settings = _resumed(args, given) if args.resume else _fresh(args, given)
    settings.arms  # noqa: B018  (a misspelt estimator is found before PyTorch is loaded)

    import torch

    from bontea._progress import JobProgress, Stopped
    from bontea.report.table import comparison_table, difference_lines
    from bontea.training import job, processes

    settings.resolve(processes=processes.world_size(), gpu=torch.cuda.is_available())
    progress = JobProgress(quiet=not processes.is_main())
    progress.say(f"output: {settings.output}")
    again = f"bontea train --resume --output {shlex.quote(str(settings.output))}"
    try:
        with progress.catch_interrupt():
            mapping = job.run(settings, progress)
            processes.leave()
    except (Stopped, KeyboardInterrupt):
        progress.say(f"stopped; nothing finished is lost. Go on with:\n  {again}")
        return 130
    except Exception as error:
        gone = what_gave_up(error)
        if not gone:
            raise
        if gone == "disk":
            what = f"the disk of {settings.output} is full; nothing finished is lost. Free some"
            raise OSError(f"{what} space and go on with: {again}") from error
        what = f"{str(error) or type(error).__name__}\n"
        if gone == "memory":
            what += f"start a new job with less than --micro-batch {settings.micro_batch}; "
        raise FailedError(f"{what}nothing finished is lost; go on with:\n  {again}") from error
    if mapping is None:
        return 0
    if args.json:
        print(json.dumps(mapping))
        return 0
    from rich.console import Console

    out = Console(highlight=False)
    if not out.is_terminal:
        out = Console(highlight=False, width=160)
    out.print(comparison_table(mapping))
    for line in difference_lines(mapping):
        out.print(line, markup=False)
    out.print(
        f"models, rollouts, results.json and curve.png: {settings.output} "
        f"({time.time() - started:.0f} s)",
        markup=False,
        soft_wrap=True,
    )
    return 0


def _fresh(args: argparse.Namespace, given: dict[str, Any]) -> Settings:
    values = read_yaml(args.config) if args.config else {}
    settings = Settings.from_dict({**values, **given}, args.config or "settings")
    if settings.output is None:
        settings.output = str(Path("runs") / time.strftime("%Y%m%d-%H%M%S"))
    if (settings.output_folder() / "settings.json").exists():
        raise BonteaError(
            f"output folder {settings.output} already holds a job: go on with it by adding "
            "--resume, or choose another --output"
        )
    return settings


def _resumed(args: argparse.Namespace, given: dict[str, Any]) -> Settings:
    output = given.pop("output", None)
    if output is None:
        found = sorted(Path("runs").glob("*/settings.json"), key=lambda p: p.stat().st_mtime)
        if not found:
            raise FileNotFoundError("nothing to resume: no job under runs/; give its --output")
        output = str(found[-1].parent)
    path = Path(output) / "settings.json"
    if not path.exists():
        raise FileNotFoundError(f"nothing to resume: {path} is not there")
    try:
        saved = strict_loads(path.read_text(encoding="utf-8"), path)["settings"]
    except (ValueError, KeyError, TypeError) as error:
        raise BonteaError(f"{path} cannot be read ({error}): start a new job") from None
    asked = {**(read_yaml(args.config) if args.config else {}), **given}
    other = {k: v for k, v in asked.items() if saved.get(k) != v and k != "output"}
    if other:
        name = next(iter(other))
        raise BonteaError(
            f"the job in {output} was started with {name}={saved.get(name)!r}, not "
            f"{other[name]!r}: resume it without that setting, or start a new one"
        )
    return Settings.from_dict({**saved, "output": output}, str(path))


def _pairs(texts: list[str]) -> dict[str, Any]:
    import yaml

    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise BonteaError(f"--trl {text!r}: write NAME=VALUE, such as --trl use_vllm=true")
        try:
            pairs[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise BonteaError(f"--trl {text!r}: the value is not YAML: {error}") from None
    return pairs
