"""Train the arms of an experiment at equal rollouts and measure them on held-out prompts.

    python benchmarks/experiments/training/run.py benchmarks/experiments/budget/config.yaml

A config names settings of `bontea train` and, in stages, lists of runs, each an estimator with the
values of M, N, learning rate and advantage scale it is tried at. A stage is done for all seeds
before the next, one run after the other, each in a folder of its own under `--work`; two processes
with the same config share them. A run that is killed goes on at its last saved step. What is kept
of a finished run is one line of `results.jsonl` beside `config.yaml` (`results_OTHER.jsonl` beside
`OTHER.yaml`):

- `best_of_k`: unbiased best-of-k of every held-out prompt, for the `ks`;
- `judge`: scores by a reward no arm was trained on, of plain rollouts, of the best of 128 and 512;
- `kl`: KL divergence from the start (`bontea.training.distance`), in nats per response;
- `spread`, `distinct`, seconds, two winners, and the training log at every tenth step.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

import bontea
from bontea._progress import JobProgress, Stopped
from bontea.rollouts.rewards import Reward, load_reward
from bontea.training import processes
from bontea.training.arm import Arm
from bontea.training.inputs import load_inputs
from bontea.training.job import Job
from bontea.training.settings import START, Settings

sys.path.insert(0, str(Path(__file__).parent))  # for the rewards named in configs

VALIDATION = 8
"""The last training prompts: none is trained on, learning rates are chosen on them."""
TRACED = {
    "reward": "reward",
    "best_of_n/group_best": "group_best",
    "best_of_n/supported_tail": "supported_tail",
    "best_of_n/max_seen": "max_seen",
    "best_of_n/max_predicted": "max_predicted",
    "best_of_n/tail_z": "tail_z",
    "best_of_n/advantage_rms": "advantage_rms",
    "best_of_n/degenerate_groups": "degenerate_groups",
    "grad_norm": "grad_norm",
    "entropy": "entropy",
}


@dataclasses.dataclass(frozen=True)
class Run:
    """One line of the results: what was trained, and from which seed."""

    estimator: str
    rollouts: int
    deploy_n: float
    learning_rate: float
    seed: int
    scale: str = "batch"

    @property
    def folder(self) -> str:
        name = self.estimator.replace("(", "-").replace(")", "").replace(", ", "-")
        name += f"_m{self.rollouts}_n{self.deploy_n:g}_lr{self.learning_rate:g}_s{self.seed}"
        return name if self.scale == "batch" else f"{name}_{self.scale}"


def runs_of(config: dict[str, Any]) -> list[Run]:
    """Every run of a config: by stage, by seed, then in the order written."""
    out = []
    for stage in config["stages"]:
        for seed in config["seeds"]:
            for entry in stage:
                for m in entry["rollouts"]:
                    for n in entry.get("deploy_n", [128]):
                        for rate in entry.get("learning_rate", [config.get("learning_rate")]):
                            for scale in entry.get("scale", ["batch"]):
                                out.append(Run(entry["estimator"], m, n, float(rate), seed, scale))
    return list(dict.fromkeys(out))


def named_after(config: Path, what: str, suffix: str = "") -> str:
    """`what` for `config.yaml`, `what_OTHER` for `OTHER.yaml`: each has its own."""
    return f"{what}{suffix}" if config.stem == "config" else f"{what}_{config.stem}{suffix}"


def done(path: Path) -> set[Run]:
    """The runs that a results file holds."""
    if not path.exists():
        return set()
    names = [field.name for field in dataclasses.fields(Run)]
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {Run(**{name: row[name] for name in names if name in row}) for row in rows}


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Hold the lock of a run's folder; False if another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def append(path: Path, row: dict[str, Any]) -> None:
    """One more line, whole or not at all, whoever else writes."""
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())


def settings_of(config: dict[str, Any], run: Run, folder: Path) -> Settings:
    """The settings of `bontea train` for one run."""
    settings = Settings.from_dict(
        {
            "rollouts": run.rollouts,
            "deploy_n": run.deploy_n,
            "learning_rate": run.learning_rate,
            "seed": run.seed,
            "advantage_scale": run.scale,
            "estimator": [trained_by(run)],
            "output": str(folder),
            "save_steps": 20,
            "eval_rollouts": 512,
            "eval_batch": 512,
            **config["settings"],
        },
        "config.yaml",
    )
    settings.resolve()
    return settings


def trained_by(run: Run) -> str:
    """The estimator of a run as `bontea train` takes it: `max_at_k` alone is k = M - 1 here."""
    if run.estimator == "max_at_k":
        return f"max_at_k(k={int(min(run.deploy_n, run.rollouts - 1))})"
    return "grpo" if run.estimator == START else run.estimator


def carry_out(config: dict[str, Any], run: Run, folder: Path) -> dict[str, Any]:
    """Train and measure; the line for the results."""
    settings = settings_of(config, run, folder)
    inputs = load_inputs(settings)
    train, validation = inputs.train_rows[:-VALIDATION], inputs.train_rows[-VALIDATION:]
    measured = validation if config.get("measure") == "validation" else inputs.held_out
    inputs = dataclasses.replace(inputs, train_rows=train, held_out=measured)
    (spec,) = settings.arms.values()
    job = Job(settings, inputs, folder, JobProgress(quiet=True))
    arm = Arm(settings, inputs, spec, folder, job.progress)
    arm.check()
    with job.progress.catch_interrupt():
        path, spent = inputs.model, None
        if run.estimator != START:
            spent = arm.train()
            path = str(arm.model)
        began = time.monotonic()
        row = measure(job, path, config.get("judge"))
    log = folder / "log.jsonl"
    trace = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return {
        **dataclasses.asdict(run),
        "reward": settings.reward,
        "steps": settings.steps,
        "batch_size": settings.batch_size,
        "version": bontea.__version__,
        "seconds_training": spent.seconds if spent else 0.0,
        "seconds_measuring": round(time.monotonic() - began, 1),
        **row,
        "trace": [
            {"step": entry["step"]}
            | {short: round(entry[name], 4) for name, short in TRACED.items() if name in entry}
            for entry in trace
            if entry["step"] % 10 == 0 and "grad_norm" in entry
        ],
    }


def measure(job: Job, path: str, judge: str | None) -> dict[str, Any]:
    """Draw held-out rollouts of a model and say everything about them."""
    model = job.load_model(path)
    prompts = [row["prompt"] for row in job.inputs.held_out]
    m = job.settings.eval_rollouts
    file = job.draw_held_out(model, range(len(prompts)), job.folder / "held_out.jsonl")
    table = file.table(len(prompts), m)
    texts = list(file.texts(m).values())
    ks = [2**i for i in range(int(np.log2(m)) + 1)]
    best = np.stack([bontea.best_of_k(table, k) for k in ks], axis=-1)
    out = {
        "ks": ks,
        "best_of_k": best.round(4).tolist(),
        "spread": round(float(table.std(axis=1).mean()), 4),
        "distinct": round(file.distinct(), 4),
        "winners": [[prompts[p], texts[p][int(table[p].argmax())]] for p in (0, len(prompts) // 2)],
    }
    if judge:
        out["judge"] = judged(load_reward(judge), prompts, texts, table)
    if path != job.inputs.model:
        far = job.far_from_start(model, file, job.folder / "kl.json")
        out["kl"] = round(float(np.mean(list(far.values()))), 3)
    return out


def judged(
    judge: Reward, prompts: list[Any], texts: list[list[str]], table: np.ndarray
) -> dict[str, list[float]]:
    """Another reward of 8 plain rollouts, of the best of every 128, and of the best of all."""
    m = table.shape[1]
    chosen = {"mean": [range(min(8, m))] * len(prompts)}
    blocks = [range(i, i + 128) for i in range(0, m - 127, 128)]
    for name, own in {"best_of_128": blocks, f"best_of_{m}": [range(m)]}.items():
        if own:
            chosen[name] = [[b[int(row[b].argmax())] for b in own] for row in table]
    out = {}
    for name, picks in chosen.items():
        asked = [prompts[p] for p, own in enumerate(picks) for _ in own]
        answers: list[Any] = [texts[p][j] for p, own in enumerate(picks) for j in own]
        if not isinstance(prompts[0], str):
            answers = [[{"role": "assistant", "content": text}] for text in answers]
        scores = judge(asked, answers)
        out[name] = np.reshape(scores, (len(prompts), -1)).mean(1).round(4).tolist()
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/experiments"))
    parser.add_argument("--results", type=Path, help="default: beside the config")
    parser.add_argument("--seeds", type=int, nargs="+", help="of those in the config; default all")
    parser.add_argument("--stages", type=int, help="only so many of the first; default all")
    args = parser.parse_args()
    if not args.config.is_file():
        parser.error(f"{args.config} is not there: give the config.yaml of an experiment")
    try:
        config = yaml.safe_load(args.config.read_text(encoding="utf-8"))
        stages, seeds = config["stages"], config["seeds"]
    except (yaml.YAMLError, KeyError, TypeError):
        parser.error(f"{args.config} has no stages and seeds: give an experiment's config.yaml")
    if args.stages is not None and not 1 <= args.stages <= len(stages):
        parser.error(f"--stages {args.stages}: {args.config} has 1 to {len(stages)}")
    if other := sorted(set(args.seeds or []) - set(seeds)):
        parser.error(f"--seeds {other[0]}: {args.config} has {', '.join(map(str, seeds))}")
    processes.join()
    torch.set_num_threads(1)  # two processes on two cores, and the same digits on any machine
    sys.path.insert(0, str(args.config.parent.resolve()))
    config["stages"] = stages[: args.stages]
    results = args.results or args.config.parent / named_after(args.config, "results", ".jsonl")
    work = args.work / named_after(args.config, args.config.resolve().parent.name)
    runs = [run for run in runs_of(config) if not args.seeds or run.seed in args.seeds]
    for number, run in enumerate(runs):
        if run in done(results):
            continue
        folder = work / run.folder
        with claimed(folder) as ours:
            if not ours or run in done(results):
                continue
            began = time.monotonic()
            try:
                row = carry_out(config, run, folder)
            except Stopped:
                sys.exit("stopped; the same command goes on")
            except FileNotFoundError as error:
                prepare = args.config.parent / "prepare.py"
                sys.exit(f"{error}{f'. Was {prepare} run?' if prepare.exists() else ''}")
            append(results, row)
            best = dict(zip(row["ks"], np.mean(row["best_of_k"], axis=0), strict=True))
            shown = "  ".join(f"{k}: {best[k]:.2f}" for k in (1, 8, 128) if k in best)
            print(
                f"{number + 1}/{len(runs)} {run.folder}  best of {shown}  "
                f"{time.monotonic() - began:.0f} s",
                flush=True,
            )
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
