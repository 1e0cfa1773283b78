"""One training job: check everything, sample the start, train and sample each arm, compare.

Every finished piece is on disk before the next one starts, in the output folder:

    settings.json                  what was asked for, with version, seed and command line
    start/rollouts.jsonl           held-out rollouts of the start model
    ARM/checkpoints/, ARM/model/   while training; the trained model
    ARM/log.jsonl                  TRL's training log
    ARM/rollouts.jsonl             held-out rollouts of the trained model
    ARM/kl.json                    how far it is from the start, by held-out prompt
    results.json, curve.png        the comparison

so a killed job goes on where it stopped, and ends with what an unbroken one gives.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import bontea
from bontea._errors import BonteaError
from bontea._progress import JobProgress
from bontea.rollouts import rewards
from bontea.rollouts.model import load_tokenizer
from bontea.rollouts.prompts import Row, load_prompts
from bontea.rollouts.rewards import Reward
from bontea.rollouts.sample import sample_rollouts
from bontea.rollouts.table import RolloutFile, write_text
from bontea.training import arm as arm_module
from bontea.training import distance, processes
from bontea.training.results import ArmResult, summarise
from bontea.training.settings import Settings

START = "start"


@dataclass(frozen=True)
class Inputs:
    """What a job works on, loaded and checked."""

    model: str
    tokenizer: Any
    reward: Reward
    train_rows: list[Row]
    held_out: list[Row]


def run(settings: Settings, progress: JobProgress) -> dict[str, Any] | None:
    """Run or go on with a job; what `results.json` holds, None where not the main process."""
    folder = settings.output_folder()
    processes.join()
    inputs = load_inputs(settings)
    for arm in settings.arms:
        arm_module.check(settings, arm, len(inputs.train_rows))
    prepare_folder(settings, inputs)
    results = [_evaluate(settings, inputs, START, inputs.model, progress)]
    for arm in settings.arms:
        spent = arm_module.train(settings, arm, inputs, folder / arm.folder, progress)
        model = str(folder / arm.folder / "model")
        results.append(_evaluate(settings, inputs, arm.folder, model, progress, arm.name, spent))
    return summarise(results, settings, folder) if processes.is_main() else None


def load_inputs(settings: Settings) -> Inputs:
    """Load and check tokenizer, reward and prompts: cheap things first, all before training."""
    if settings.is_demo:
        import torch

        from bontea import demo

        # So small a model gains little from more, and waits long for them on a busy machine; and
        # the last digits, from which runs drift apart, no longer depend on the number of cores.
        torch.set_num_threads(1)
        model = str(demo.policy_folder())
    else:
        model = settings.model
    train_rows, held_out = _load_rows(settings)
    tokenizer = load_tokenizer(
        model,
        chats=not isinstance(train_rows[0]["prompt"], str),
        trust_remote_code=settings.trust_remote_code,
    )
    reward = load_reward(str(settings.reward), trust_remote_code=settings.trust_remote_code)
    return Inputs(model, tokenizer, reward, train_rows, held_out)


def load_reward(spec: str, **options: Any) -> Reward:
    """`rewards.load_reward`, which says early when the weights of the demo's reward are missing."""
    if spec.startswith("bontea.demo.reward:"):
        from bontea.demo.reward import encoder_folder

        encoder_folder()  # says how to install them
    return rewards.load_reward(spec, **options)


def _load_rows(settings: Settings) -> tuple[list[Row], list[Row]]:
    options = {"column": settings.prompt_column, "split": settings.prompts_split}
    if settings.prompts is None:
        from bontea import demo

        rows = [{"prompt": prompt} for prompt in demo.training_prompts()]
        held_out = [{"prompt": prompt} for prompt in demo.held_out_prompts()]
    else:
        rows, held_out = load_prompts(settings.prompts, **options), []
    if settings.eval_prompts is not None:
        held_out = load_prompts(settings.eval_prompts, **options)
    elif not held_out:
        if len(rows) < 2:
            raise BonteaError(
                f"prompts {settings.prompts} hold {len(rows)} row: at least 2 are needed, one to "
                "train on and one to hold out (or give --eval-prompts)"
            )
        order = random.Random(settings.seed).sample(range(len(rows)), len(rows))
        cut = max(1, min(64, len(rows) // 5))
        held_out = [rows[i] for i in order[:cut]]
        rows = [rows[i] for i in sorted(order[cut:])]
    return rows, held_out


def prepare_folder(settings: Settings, inputs: Inputs) -> None:
    """Make the output folder, see that it takes files and has room, and write the settings."""
    folder = settings.output_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-test-{os.getpid()}"
        probe.write_text("x")
        probe.unlink()
    except OSError as error:
        raise BonteaError(
            f"output folder {folder} cannot be written ({error.strerror}): choose another with "
            "--output"
        ) from None
    need, free = arm_module.disk_need(settings, inputs.model), shutil.disk_usage(folder).free
    if need > free:
        raise BonteaError(
            f"output folder {folder} has {free / 1e6:,.0f} MB free, and about {need / 1e6:,.0f} MB "
            "are needed for two checkpoints and the trained models: free some, or use --output"
        )
    if processes.is_main():
        record = {
            "version": bontea.__version__,
            "seed": settings.seed,
            "command": sys.argv,
            "settings": settings.to_mapping(),
        }
        path = folder / "settings.json"
        if not path.exists():
            path.write_text(json.dumps(record, indent=2) + "\n")


def _evaluate(
    settings: Settings,
    inputs: Inputs,
    name: str,
    model_path: str,
    progress: JobProgress,
    title: str = "",
    spent: arm_module.Spent | None = None,
) -> ArmResult:
    """Held-out rollouts of one model; each process draws a share of the prompts."""
    folder = settings.output_folder() / name
    rank, world = processes.rank(), processes.world_size()
    mine = list(range(rank, len(inputs.held_out), world))
    suffix = "" if world == 1 else f".{rank}-of-{world}"
    with progress.phase(f"{title or name}: held-out rollouts", len(mine) * settings.eval_rollouts):
        model = arm_module.load_model(settings, model_path)
        file = draw_held_out(
            settings, inputs, model, mine, folder / f"rollouts{suffix}.jsonl", progress
        )
        table = file.table(len(inputs.held_out), settings.eval_rollouts)
        distinct = file.distinct()
    kl = {}
    if spent:
        with progress.phase(f"{title}: distance from the start", 2 * len(mine)):
            kl = far_from_start(
                settings, inputs, model, file, folder / f"kl{suffix}.json", progress
            )
    if world > 1:
        from accelerate.utils import gather_object

        shares = gather_object([(mine, table, distinct, kl)])
        for rows, rewards, _, _ in shares:
            table[rows] = rewards[rows]
        sizes = [len(rows) for rows, _, _, _ in shares]
        distinct = float(np.average([s[2] for s in shares], weights=sizes))
        kl = {i: value for share in shares for i, value in share[3].items()}
    far = float(np.mean(list(kl.values()))) if spent else 0.0
    return ArmResult.from_rewards(title or name, table, distinct, far, spent)


def draw_held_out(
    settings: Settings,
    inputs: Inputs,
    model: Any,
    numbers: Sequence[int],
    path: Path,
    progress: JobProgress,
) -> RolloutFile:
    """Rollouts of a model for held-out prompts, by number, in a file that may hold some already."""
    return sample_rollouts(
        model,
        inputs.tokenizer,
        {i: inputs.held_out[i] for i in numbers},
        inputs.reward,
        path,
        rollouts=settings.eval_rollouts,
        max_new_tokens=int(settings.max_new_tokens or 0),
        temperature=settings.temperature,
        batch_size=int(settings.eval_batch or 1),
        seed=settings.seed,
        on_chunk=progress.advance,
    )


def far_from_start(
    settings: Settings,
    inputs: Inputs,
    model: Any,
    file: RolloutFile,
    path: Path,
    progress: JobProgress,
) -> dict[int, float]:
    """KL from the start model for every prompt of a rollout file of `model`, kept at `path`."""
    if path.exists():
        kept = {int(i): value for i, value in json.loads(path.read_text()).items()}
        progress.advance(2 * len(kept))
        return kept
    texts = file.texts(distance.ROLLOUTS)

    def logs(of: Any) -> dict[int, np.ndarray]:
        out = {}
        for i, own in texts.items():
            out[i] = distance.log_likelihoods(
                of,
                inputs.tokenizer,
                inputs.held_out[i]["prompt"],
                own,
                max_new_tokens=int(settings.max_new_tokens or 0),
                temperature=settings.temperature,
            )
            progress.advance()
        return out

    trained = logs(model)
    model.to("cpu")  # where only one of them fits on the device
    start = logs(arm_module.load_model(settings, inputs.model))
    kl = {i: float(np.mean(trained[i] - start[i])) for i in texts}
    write_text(path, json.dumps(kl) + "\n")
    return kl
