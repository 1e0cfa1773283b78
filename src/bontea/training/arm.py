"""Train one arm with the TRL trainer, from the start model to a saved model, resumable."""

from __future__ import annotations

import gc
import json
import math
import shutil
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bontea
from bontea import GroupTooSmallError
from bontea._errors import BonteaError
from bontea._progress import JobProgress, Stopped
from bontea.advantages import EstimatorSpec
from bontea.rollouts import model as models
from bontea.training.arms import Arm
from bontea.training.processes import world_size
from bontea.training.settings import Settings

if TYPE_CHECKING:
    from bontea.training.job import Inputs

RECORD = "bontea.json"
"""Written last into a saved model, and into every whole checkpoint."""


@dataclass(frozen=True)
class Spent:
    """What an arm cost."""

    rollouts: int
    seconds: float


def check(settings: Settings, arm: Arm, prompts: int) -> None:
    """Raise ValueError if the trainer would refuse this arm, before any rollout is drawn.

    With fewer training prompts than one step takes the trainer would end at once, without a step.
    """
    step = settings.batch_size // settings.rollouts
    if step > prompts:
        raise BonteaError(
            f"batch_size={settings.batch_size} with rollouts={settings.rollouts} takes {step} "
            f"prompts a step, but the training prompts are {prompts}: use --batch-size "
            f"{prompts * settings.rollouts} or less, more rollouts a prompt, or more prompts"
        )
    try:
        m = settings.rollouts
        spec = EstimatorSpec.of(arm.estimator, **arm.params)
        spec.bind(n=settings.deploy_n, m=m, alpha=settings.tail_fraction).checked(m)
    except GroupTooSmallError as error:
        raise BonteaError(f"rollouts={settings.rollouts} is too few: {error}") from None


def train(
    settings: Settings, arm: Arm, inputs: Inputs, folder: Path, progress: JobProgress
) -> Spent:
    """Train and save; return at once if that has been done, go on if it was begun."""
    record = folder / "model" / RECORD
    if record.exists():
        return Spent(**json.loads(record.read_text())["spent"])
    checkpoints = folder / "checkpoints"
    last = last_whole_checkpoint(checkpoints)
    with progress.phase(f"{arm.name}: training steps", settings.steps):
        trainer, watch = _trainer(settings, arm, inputs, checkpoints, progress, last)
        if last:
            _wind_prompts_forward(trainer, last)
        with warnings.catch_warnings():
            warnings.simplefilter("default", UserWarning)
            trainer.train(resume_from_checkpoint=str(last) if last else None)
        if trainer.state.global_step < settings.steps:
            raise Stopped
    spent = Spent(settings.steps * settings.batch_size, watch.seconds())
    if trainer.accelerator.is_main_process:
        (folder / "log.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in trainer.state.log_history)
        )
    _save(trainer, settings, arm, folder, spent)
    del trainer
    gc.collect()
    return spent


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was finished; one cut off by a kill is removed."""
    whole = []
    for path in folder.glob("checkpoint-*"):
        if (path / RECORD).exists():
            whole.append(path)
        else:
            shutil.rmtree(path, ignore_errors=True)
    return max(whole, key=lambda path: int(path.name.split("-")[1]), default=None)


def _wind_prompts_forward(trainer: Any, checkpoint: Path) -> None:
    """Go on with the prompt order of the run that wrote the checkpoint.

    TRL draws a new order for every epoch from one generator, and a resumed trainer starts that
    generator over, with the order of the first epoch: wind it past the finished ones.
    """
    import torch
    from transformers import TrainerState

    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    make = trainer._get_train_sampler

    def wound(*args: Any) -> Any:
        sampler = make(*args)
        for _ in range(int((state.epoch or 0) + 1e-6)):
            torch.randperm(sampler.num_samples, generator=sampler.generator)
        return sampler

    trainer._get_train_sampler = wound


def load_model(settings: Settings, path: str) -> Any:
    """A model for sampling, on the device of this process."""
    import torch

    # Weights trained in float32 under bfloat16 autocast are sampled in bfloat16 as well.
    mixed = torch.cuda.is_available() and settings.dtype == "float32"
    return models.load_model(
        path,
        dtype="bfloat16" if mixed else str(settings.dtype),
        trust_remote_code=settings.trust_remote_code,
    )


def disk_need(settings: Settings, model: str) -> float:
    """Bytes for two checkpoints (weights and Adam's two moments) and one model for each arm."""
    from safetensors import safe_open

    parameters = 0
    for path in Path(model).glob("*.safetensors"):  # a hub model's size is not known yet
        with safe_open(path, framework="numpy") as file:
            parameters += sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())
    weights = parameters * (4 if settings.dtype == "float32" else 2)
    trained = weights * 0.05 if settings.lora else weights
    return 1e7 + trained * (2 * 3 + len(settings.arms))


def _trainer(
    settings: Settings,
    arm: Arm,
    inputs: Inputs,
    checkpoints: Path,
    progress: JobProgress,
    last: Path | None,
) -> tuple[Any, _Watch]:
    import torch
    from datasets import Dataset
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    from bontea.integrations.trl import BestOfNConfig, BestOfNTrainer

    world = world_size()
    gpu = torch.cuda.is_available()
    micro = int(settings.micro_batch or 1)
    fields: dict[str, Any] = {
        "output_dir": str(checkpoints),
        "estimator": arm.estimator,
        "estimator_params": arm.params,
        "deploy_n": settings.deploy_n,
        "tail_fraction": settings.tail_fraction,
        "advantage_scale": settings.advantage_scale,
        "num_generations": settings.rollouts,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": settings.batch_size // world // micro,
        "max_steps": settings.steps,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "constant",
        "beta": settings.beta,
        "temperature": settings.temperature,
        "max_completion_length": settings.max_new_tokens,
        "seed": settings.seed,
        "use_cpu": not gpu,
        "bf16": gpu and settings.dtype != "float16",
        "gradient_checkpointing": gpu,
        "model_init_kwargs": {
            "dtype": str(settings.dtype),
            "trust_remote_code": settings.trust_remote_code,
        },
        "save_steps": settings.save_steps,
        "save_total_limit": 2,
        "logging_steps": 1,
        "report_to": settings.report_to,
        "run_name": arm.name,
        "disable_tqdm": True,
        "dataloader_pin_memory": gpu,
    }
    config = BestOfNConfig(**{**fields, **settings.trl})
    trainer = BestOfNTrainer(
        model=inputs.model,
        reward_funcs=inputs.reward,
        args=config,
        train_dataset=Dataset.from_list(inputs.train_rows),
        processing_class=inputs.tokenizer,
        peft_config=_lora(settings),
    )
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)  # both write to stdout
    watch = _Watch(settings, progress, last)
    trainer.add_callback(watch.callback())
    return trainer, watch


def _lora(settings: Settings) -> Any:
    if not settings.lora:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=settings.lora, lora_alpha=2 * settings.lora, target_modules="all-linear", bias="none"
    )


def _save(trainer: Any, settings: Settings, arm: Arm, folder: Path, spent: Spent) -> None:
    trainer.save_model(str(folder / "model"))
    if trainer.accelerator.is_main_process:
        _finish(trainer, settings, arm, folder, spent)
    trainer.accelerator.wait_for_everyone()  # the others read the model next


def _finish(trainer: Any, settings: Settings, arm: Arm, folder: Path, spent: Spent) -> None:
    trainer.processing_class.save_pretrained(folder / "model")
    record = {
        "version": bontea.__version__,
        "estimator": arm.name,
        "seed": settings.seed,
        "command": sys.argv,
        "settings": settings.to_mapping(),
        "spent": vars(spent),
    }
    (folder / "model" / RECORD).write_text(json.dumps(record, indent=2) + "\n")
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


class _Watch:
    """Progress, marks on whole checkpoints, stopping on request, and the time spent."""

    def __init__(self, settings: Settings, progress: JobProgress, last: Path | None):
        self.settings, self.progress = settings, progress
        self.before = json.loads((last / RECORD).read_text())["seconds"] if last else 0.0
        self.start = time.monotonic()
        self.logs: dict[str, float] = {}

    def seconds(self) -> float:
        return round(self.before + time.monotonic() - self.start, 1)

    def callback(self) -> Any:
        from transformers import TrainerCallback

        watch = self

        class Callback(TrainerCallback):
            def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                watch.start = time.monotonic()
                watch.progress.advance(at=state.global_step)

            def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                watch.logs.update(kwargs["logs"])

            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                names = {"mean": "reward", "best": "best_of_n/group_best"}
                watch.progress.advance(
                    at=state.global_step,
                    note="  ".join(
                        f"{short} {watch.logs[name]:.2f}"
                        for short, name in names.items()
                        if name in watch.logs
                    ),
                )
                if watch.progress.stop_requested:
                    control.should_save = control.should_training_stop = True

            def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
                if state.is_world_process_zero:
                    (folder / RECORD).write_text(json.dumps({"seconds": watch.seconds()}))

        return Callback()
