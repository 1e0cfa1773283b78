"""Train one arm with the TRL trainer, from the start model to a saved model, resumable."""

from __future__ import annotations

import difflib
import gc
import json
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bontea
from bontea._errors import BonteaError, GroupTooSmallError, what_gave_up
from bontea._json import strict_loads
from bontea._progress import JobProgress, Stopped
from bontea.advantages import EstimatorSpec
from bontea.rollouts.prompts import Row
from bontea.rollouts.rewards import named
from bontea.rollouts.table import write_text
from bontea.training.inputs import Inputs
from bontea.training.processes import world_size
from bontea.training.results import Spent
from bontea.training.settings import Settings

if TYPE_CHECKING:
    from bontea.integrations.trl import BestOfNConfig

RECORD = "bontea.json"
"""Written last into a saved model, and into every whole checkpoint."""


@dataclass(frozen=True)
class Arm:
    """One way to train from the start model, in a folder of its own."""

    settings: Settings
    inputs: Inputs
    spec: EstimatorSpec
    """As the user wrote it."""
    folder: Path
    progress: JobProgress

    @cached_property
    def bound(self) -> EstimatorSpec:
        """The estimator with the numbers of this job."""
        return self.spec.bind(
            n=self.settings.deploy_n, m=self.settings.rollouts, alpha=self.settings.tail_fraction
        )

    @property
    def label(self) -> str:
        """Its name in results: with the k that a `max_at_k` without one gets here."""
        return self.bound.label

    @property
    def model(self) -> Path:
        """The folder of the trained model."""
        return self.folder / "model"

    def check(self) -> None:
        """Raise BonteaError if the trainer would refuse this arm, before any rollout is drawn.

        With fewer training prompts than one step takes the trainer would end at once, without a
        step.
        """
        m, prompts = self.settings.rollouts, len(self.inputs.train_rows)
        step = self.settings.batch_size // m
        if step > prompts:
            raise BonteaError(
                f"batch_size={self.settings.batch_size} with rollouts={m} takes {step} prompts a "
                f"step, but the training prompts are {prompts}: use --batch-size {prompts * m} or "
                "less, more rollouts a prompt, or more prompts"
            )
        try:
            self.bound.checked(m)
        except GroupTooSmallError as error:
            raise BonteaError(f"rollouts={m} is too few: {error}") from None
        if self.settings.trl:
            self._config()

    def train(self) -> Spent:
        """Train and save; return at once if that has been done, go on if it was begun."""
        record = self.model / RECORD
        if record.exists():
            values = strict_loads(record.read_text(), record)
            return Spent(values["estimator"], **values["spent"])
        settings = self.settings
        last = last_whole_checkpoint(self.folder / "checkpoints")
        with self.progress.phase(f"{self.label}: training steps", settings.steps):
            trainer, watch = self._trainer(last)
            if last:
                _wind_prompts_forward(trainer, last)
            with warnings.catch_warnings():
                warnings.simplefilter("default", UserWarning)
                trainer.train(resume_from_checkpoint=str(last) if last else None)
            if trainer.state.global_step < settings.steps:
                raise Stopped
        spent = Spent(self.label, settings.steps * settings.batch_size, watch.seconds())
        if trainer.accelerator.is_main_process:
            log = "".join(json.dumps(row) + "\n" for row in trainer.state.log_history)
            (self.folder / "log.jsonl").write_text(log)
        trainer.save_model(str(self.model))
        if trainer.accelerator.is_main_process:
            self._finish(trainer, spent)
        trainer.accelerator.wait_for_everyone()  # the others read the model next
        del trainer
        gc.collect()
        return spent

    def _finish(self, trainer: Any, spent: Spent) -> None:
        trainer.processing_class.save_pretrained(self.model)
        record = {
            "version": bontea.__version__,
            "estimator": spent.estimator,
            "seed": self.settings.seed,
            "command": sys.argv,
            "settings": self.settings.to_dict(),
            "spent": {"rollouts": spent.rollouts, "seconds": spent.seconds},
        }
        write_text(self.model / RECORD, json.dumps(record, indent=2) + "\n")
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)

    def _trainer(self, last: Path | None) -> tuple[Any, _Watch]:
        from transformers.trainer_callback import PrinterCallback, ProgressCallback

        from bontea.integrations.trl import BestOfNTrainer

        config = self._config()
        with _refused_by_trl(ImportError, RuntimeError, ValueError):
            trainer = BestOfNTrainer(
                model=self.inputs.model,
                reward_funcs=named(self.inputs.reward),
                args=config,
                train_dataset=_as_they_are(self.inputs.train_rows),
                processing_class=self.inputs.tokenizer,
                peft_config=_lora(self.settings),
            )
        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)  # both write to stdout
        watch = _Watch(self.settings, self.progress, last)
        trainer.add_callback(watch.callback())
        return trainer, watch

    def _config(self) -> BestOfNConfig:
        import torch

        from bontea.integrations.trl import BestOfNConfig

        settings = self.settings
        known = [field.name for field in fields(BestOfNConfig)]
        for name in settings.trl:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                raise BonteaError(
                    f"--trl {name}: TRL's GRPOConfig has no such field"
                    + (f"; did you mean {near[0]!r}?" if near else "")
                )
        gpu = torch.cuda.is_available()
        micro = int(settings.micro_batch or 1)
        values: dict[str, Any] = {
            "output_dir": str(self.folder / "checkpoints"),
            "estimator": self.spec.name,
            "estimator_params": dict(self.spec.params),
            "deploy_n": settings.deploy_n,
            "tail_fraction": settings.tail_fraction,
            "advantage_scale": settings.advantage_scale,
            "num_generations": settings.rollouts,
            "per_device_train_batch_size": micro,
            "gradient_accumulation_steps": settings.batch_size // world_size() // micro,
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
            "run_name": self.label,
            "disable_tqdm": True,
            "dataloader_pin_memory": gpu,
        }
        with _refused_by_trl(ImportError, RuntimeError, TypeError, ValueError):
            return BestOfNConfig(**{**values, **settings.trl})


def _as_they_are(rows: list[Row]) -> Any:
    """A dataset that gives back the very values of the rows.

    A dataset of the values themselves makes columns of one type: it refuses text beside numbers,
    turns 3 beside 0.5 into 3.0, and fills the objects of one row with the keys of the others.
    """
    from datasets import Dataset

    return Dataset.from_dict({"row": range(len(rows))}).with_transform(_Values(rows))


@dataclass(frozen=True)
class _Values:
    """The values of rows by number; a class, which also goes to another process."""

    rows: list[Row]

    def __call__(self, batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        return {name: [self.rows[i][name] for i in batch["row"]] for name in self.rows[0]}


@contextmanager
def _refused_by_trl(*kinds: type[Exception]) -> Iterator[None]:
    """Say of errors of these kinds that TRL does not take the settings."""
    try:
        yield
    except kinds as error:
        if isinstance(error, (BonteaError, ModuleNotFoundError)) or what_gave_up(error):
            raise
        raise BonteaError(f"TRL refuses these settings: {error}") from error


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


def _lora(settings: Settings) -> Any:
    if not settings.lora:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=settings.lora, lora_alpha=2 * settings.lora, target_modules="all-linear", bias="none"
    )


class _Watch:
    """Progress, marks on whole checkpoints, stopping on request, and the time spent."""

    def __init__(self, settings: Settings, progress: JobProgress, last: Path | None):
        self.settings, self.progress = settings, progress
        self.before = strict_loads((last / RECORD).read_text(), last)["seconds"] if last else 0.0
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
                    write_text(folder / RECORD, json.dumps({"seconds": watch.seconds()}))

        return Callback()
