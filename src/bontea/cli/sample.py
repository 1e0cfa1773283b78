"""`bontea sample`: draw rollouts of prompts, score them, and write them as they come.

From a model in this process, or from an OpenAI-compatible server (--endpoint). A run that is
stopped or killed goes on with --resume; nothing that was written is drawn again.
"""

from __future__ import annotations

import argparse
import errno
import importlib.util
import json
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bontea._errors import BonteaError, FailedError, MissingPackageError
from bontea.cli.train import add_setting, quiet_libraries
from bontea.rollouts.settings import DEMO, Record, SampleSettings, fingerprint, settings_path

if TYPE_CHECKING:
    from bontea._progress import JobProgress
    from bontea.rollouts.prompts import Row
    from bontea.rollouts.rewards import Reward
    from bontea.rollouts.table import RolloutFile

EXAMPLES = """examples:
  bontea sample
      64 rollouts of each held-out prompt of the embedded policy, into rollouts.jsonl
  bontea sample --model Qwen/Qwen3-0.6B --reward Skywork/Skywork-Reward-V2-Qwen3-0.6B \\
      --prompts prompts.jsonl --rollouts 64 --output qwen.jsonl
      your own model, reward model and prompts
  bontea sample --endpoint http://localhost:8000/v1 --model Qwen/Qwen3-8B \\
      --reward mymodule:reward --prompts prompts.jsonl --output qwen.parquet
      a model behind a server; its key comes from the environment (--api-key-env)
  bontea sample --resume --output qwen.parquet --rollouts 256
      go on with a file, or add to it
"""
SUFFIXES = (".jsonl", ".parquet")
FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""A full disk, the largest file there may be, a used-up quota."""


def add_parser(subparsers: Any, name: str) -> None:
    parser = subparsers.add_parser(
        name,
        help="draw and score rollouts, to a file that survives a kill",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    for field in fields(SampleSettings):
        add_setting(parser, field)
    parser.add_argument(
        "--resume",
        action="store_true",
        default=False,
        help="go on with --output, with the settings it was begun with",
    )
    parser.add_argument("--json", action="store_true", default=False, help="a summary as JSON")


def run(args: argparse.Namespace) -> int:
    from bontea._progress import JobProgress, Stopped
    from bontea.rollouts.table import RolloutFile, locked, read_parquet, write_parquet

    quiet_libraries()
    started = time.time()
    given = {f.name: getattr(args, f.name) for f in fields(SampleSettings) if f.name in args}
    output = Path(given.setdefault("output", SampleSettings.output))
    _check_output(output)
    again = f"bontea sample --resume --output {shlex.quote(str(output))}"
    # Parquet cannot be appended to: rows are gathered beside it, and turned into it at the end.
    parquet = output.suffix == ".parquet"
    rows_path = output.with_name(output.name + ".jsonl") if parquet else output
    progress = JobProgress()
    file: RolloutFile | None = None
    try:
        with locked(output), progress.catch_interrupt():
            record = _find_record(output, rows_path, args.resume, given)
            settings = record.resumed(given, output) if record else SampleSettings(**given)
            _resolve(settings)
            prompts = _load_prompts(settings)
            record = _updated(record, settings, prompts, output)
            draw = _prepare(settings, prompts, record.asked[:-1], progress)
            record.save(settings_path(output))
            if parquet and output.exists() and not rows_path.exists():
                read_parquet(output, rows_path)
            file = RolloutFile(rows_path)
            found, total = len(file), len(prompts) * settings.rollouts
            with progress.phase("rollouts", total, found):
                if found < total:
                    draw(file)
            progress.check()
            if parquet:
                write_parquet(rows_path, output)
                rows_path.unlink()
    except (Stopped, KeyboardInterrupt):
        safe = f"{len(file):,} rollouts are safe in {rows_path}; " if file is not None else ""
        progress.say(f"stopped; {safe}go on with:\n  {again}")
        return 130
    except (OSError, ValueError, RuntimeError) as error:
        if file is None:
            raise
        full = getattr(error, "errno", None) in FULL or "No space left" in str(error)
        what = f"the disk of {output} is full ({error}): free some space" if full else str(error)
        if "out of memory" in what:
            what += f"\nstart again with less than --batch-size {settings.batch_size}"
        raise FailedError(
            f"{what}\n{len(file):,} rollouts are safe in {rows_path}; go on with:\n  {again}"
        ) from error
    summary = _summary(record, output, file, len(prompts), len(file) - found, started)
    if args.json:
        print(json.dumps(summary))
    else:
        _print(summary)
    return 0


def _check_output(output: Path) -> None:
    if output.suffix not in SUFFIXES:
        raise BonteaError(f"--output {output}: the name must end in {' or '.join(SUFFIXES)}")
    if output.is_dir():
        raise IsADirectoryError(f"--output {output} is a folder: name a file in it")
    if not output.parent.is_dir():
        raise FileNotFoundError(
            f"--output {output}: there is no folder {output.parent}; make it first"
        )
    if output.suffix == ".parquet" and importlib.util.find_spec("polars") is None:
        raise MissingPackageError(
            f'--output {output} needs Polars: pip install "bontea[rollouts]", or write .jsonl'
        )


def _find_record(
    output: Path, rows_path: Path, resume: bool, given: dict[str, Any]
) -> Record | None:
    """What the file was begun with, None for a new one; refuses to mix or to overwrite."""
    held = next((p for p in (rows_path, output) if p.exists() and p.stat().st_size), None)
    path = settings_path(output)
    if held and not resume:
        raise BonteaError(
            f"{held} holds rollouts already: go on with them by adding --resume, or choose another "
            "--output"
        )
    if held and not path.exists():
        raise FileNotFoundError(
            f"{held} cannot be added to: {path}, which says how it was drawn, is not there; choose "
            "another --output"
        )
    if resume and path.exists():
        return Record.load(path)
    if resume and given.keys() == {"output"}:
        raise FileNotFoundError(f"nothing to resume: {path} is not there")
    return None


def _resolve(settings: SampleSettings) -> None:
    """Fill what depends on other settings, and check everything that can be checked now."""
    demo_model = settings.model == DEMO
    if demo_model and not settings.endpoint:
        from bontea import demo

        settings.reward = settings.reward or demo.DEFAULT_REWARD
        settings.max_new_tokens = settings.max_new_tokens or demo.MAX_COMPLETION_LENGTH
    settings.check()
    settings.max_new_tokens = settings.max_new_tokens or 512
    if settings.endpoint:
        settings.batch_size = settings.batch_size or 64
        return
    settings.batch_size = settings.batch_size or (256 if demo_model else 32)
    if settings.dtype is None:
        import torch

        gpu = torch.cuda.is_available() and not demo_model
        settings.dtype = "auto" if gpu else "float32"


def _load_prompts(settings: SampleSettings) -> dict[int, Row]:
    if settings.prompts is None:
        from bontea import demo

        rows: list[Row] = [{"prompt": prompt} for prompt in demo.held_out_prompts()]
    else:
        from bontea.rollouts.prompts import load_prompts

        rows = load_prompts(
            settings.prompts, column=settings.prompt_column, split=settings.prompts_split
        )
    if settings.completions and not isinstance(rows[0]["prompt"], str):
        raise BonteaError(
            f"--completions sends texts, and the prompts of {settings.prompts} are chats: leave "
            "it out"
        )
    return dict(enumerate(rows))


def _updated(
    record: Record | None, settings: SampleSettings, prompts: dict[int, Row], output: Path
) -> Record:
    """The record of this run; ValueError if the prompts are no longer those of the file."""
    mark = fingerprint(list(prompts.values()))
    if record is None:
        return Record(settings, mark, [settings.rollouts])
    if record.prompts != mark:
        raise BonteaError(
            f"the prompts of {settings.prompts} have changed since {output} was begun: restore "
            "them, or choose another --output"
        )
    grown = [settings.rollouts] if settings.rollouts > record.asked[-1] else []
    return Record(settings, mark, record.asked + grown, record.version, record.command)


def _prepare(
    settings: SampleSettings, prompts: dict[int, Row], earlier: list[int], progress: JobProgress
) -> Callable[[RolloutFile], None]:
    """Load and check what draws and scores; returns the function that fills a file."""
    from bontea.rollouts.service import read_key
    from bontea.training import job

    for flag, name in (
        ("--api-key-env", settings.api_key_env),
        ("--reward-key-env", settings.reward_key_env),
    ):
        if name is not None and read_key(flag, name) is None:
            raise BonteaError(f"{flag}: no environment variable of that name holds a key")
    prepare = _from_endpoint if settings.endpoint else _from_model
    rate = _Rate(progress, len(prompts) * settings.rollouts)
    draw = prepare(settings, prompts, earlier, rate)
    reward = job.load_reward(
        str(settings.reward),
        trust_remote_code=settings.trust_remote_code,
        key_name=settings.reward_key_env,
        timeout=settings.timeout,
        retries=settings.retries,
    )
    return lambda file: draw(file, reward)


def _from_endpoint(
    settings: SampleSettings, prompts: dict[int, Row], _: list[int], rate: _Rate
) -> Callable[[RolloutFile, Reward], None]:
    from bontea.rollouts.endpoint import Sampling, sample_endpoint
    from bontea.rollouts.service import Service

    service = Service(
        "--endpoint",
        str(settings.endpoint),
        "--api-key-env",
        settings.api_key_env or "OPENAI_API_KEY",
        model=settings.model,
        timeout=settings.timeout,
        retries=settings.retries,
    )
    service.client_options()  # says what to install
    sampling = Sampling(**{f.name: getattr(settings, f.name) for f in fields(Sampling)})

    def draw(file: RolloutFile, reward: Reward) -> None:
        rate.start(len(file))
        sample_endpoint(
            service,
            sampling,
            prompts,
            reward,
            file,
            rollouts=settings.rollouts,
            batch_size=int(settings.batch_size or 1),
            on_rows=lambda _: rate.show(len(file)),
            on_trouble=lambda text: rate.progress.say(f"endpoint: {text}"),
            should_stop=lambda: rate.progress.stop_requested,
        )

    return draw


def _from_model(
    settings: SampleSettings, prompts: dict[int, Row], earlier: list[int], rate: _Rate
) -> Callable[[RolloutFile, Reward], None]:
    from bontea.rollouts.model import load_model, load_tokenizer
    from bontea.rollouts.sample import sample_rollouts

    path = settings.model
    if path == DEMO:
        import torch

        from bontea import demo

        torch.set_num_threads(1)  # as in training: the same digits on any number of cores
        path = str(demo.policy_folder())
    trust = {"trust_remote_code": settings.trust_remote_code}
    tokenizer = load_tokenizer(path, chats=not isinstance(prompts[0]["prompt"], str), **trust)

    def draw(file: RolloutFile, reward: Reward) -> None:
        def on_chunk(_: int) -> None:
            rate.show(len(file))
            rate.progress.check()

        model = load_model(path, dtype=str(settings.dtype), **trust)
        rate.start(len(file))
        sample_rollouts(
            model,
            tokenizer,
            prompts,
            reward,
            file,
            rollouts=settings.rollouts,
            max_new_tokens=int(settings.max_new_tokens or 1),
            temperature=settings.temperature,
            batch_size=int(settings.batch_size or 1),
            seed=settings.seed,
            earlier=earlier,
            name=settings.model,
            on_chunk=on_chunk,
        )

    return draw


class _Rate:
    """Shows how many rollouts there are, and how many come in a second in this run."""

    def __init__(self, progress: JobProgress, total: int):
        self.progress, self.total = progress, total

    def start(self, done: int) -> None:
        self.began, self.found = time.monotonic(), done

    def show(self, done: int) -> None:
        rate = (done - self.found) / max(time.monotonic() - self.began, 1e-9)
        note = "" if not rate else f"{rate:.1f}/s" if rate > 1 else f"{60 * rate:.1f}/min"
        if rate and not self.progress.console.is_terminal:  # there, the bar says so
            note += f", about {(self.total - done) / rate:.0f} s left"
        self.progress.advance(at=done, note=note)


def _summary(
    record: Record, output: Path, file: RolloutFile, prompts: int, drawn: int, started: float
) -> dict[str, Any]:
    import numpy as np

    rewards = file.table(prompts, record.settings.rollouts)
    scored = ~np.isnan(rewards)
    best = np.where(scored, rewards, -np.inf).max(axis=1)[scored.any(axis=1)]
    return {
        "version": record.version,
        "seed": record.settings.seed,
        "command": list(sys.argv),
        "settings": asdict(record.settings),
        "output": str(output),
        "prompts": prompts,
        "rollouts": len(file),
        "drawn": drawn,
        "unscorable": int((~scored).sum()),
        "mean_reward": float(rewards[scored].mean()) if scored.any() else None,
        "mean_best": float(best.mean()) if len(best) else None,
        "distinct": round(file.distinct(), 6),
        "seconds": round(time.time() - started, 1),
    }


def _print(summary: dict[str, Any]) -> None:
    per_prompt = summary["settings"]["rollouts"]
    print(
        f"{summary['prompts']:,} prompts with {per_prompt:,} rollouts each, {summary['drawn']:,} "
        f"of them new ({summary['seconds']:.0f} s)"
    )
    if summary["mean_reward"] is not None:
        print(
            f"mean reward {summary['mean_reward']:.4g}, mean best of {per_prompt:,} "
            f"{summary['mean_best']:.4g}"
        )
    print(f"different completions {summary['distinct']:.0%}, unscorable {summary['unscorable']:,}")
    print(f"rollouts: {summary['output']}")
