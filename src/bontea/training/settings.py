"""Every setting of a training job: what it means, its default, and its check."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bontea._arrays import check_alpha, check_n
from bontea._errors import BonteaError
from bontea._settings import DEMO, from_dict, given_or, require_own, setting
from bontea.advantages import EstimatorSpec, parse_estimators

START = "start"
"""The start model among the arms: its name, and its folder."""


@dataclass
class Settings:
    """A training job. `None` means: chosen by `resolve` from the other settings."""

    model: str = setting(DEMO, "start model: hub name or local folder")
    reward: str | None = setting(
        None, "sequence-classification model (hub name, folder), or module:function"
    )
    prompts: str | None = setting(None, "training prompts: JSONL, CSV, Parquet, or hub dataset")
    prompt_column: str = setting("prompt", "column that holds the prompt (text or chat)")
    prompts_split: str = setting("train", "split, for a hub dataset")
    eval_prompts: str | None = setting(
        None, "held-out prompts; default: a seeded fifth of the prompts, at most 64, is held out"
    )
    estimator: list[str] = setting(
        ["grpo", "max_at_k", "tea", "adaptive_tea"],
        "estimators to train with, each from the same start: tea, 'max_at_k(k=8)', module:function",
    )
    rollouts: int = setting(16, "rollouts per prompt in training (M)")
    deploy_n: float = setting(128, "responses sampled per prompt when deployed (N)")
    tail_fraction: float = setting(0.25, "share of a prompt's rollouts that make the tail")
    advantage_scale: str = setting(
        "batch", "unit root-mean-square over the 'batch' or 'group', or 'none'"
    )
    batch_size: int = setting(96, "rollouts per optimizer step, all processes together")
    micro_batch: int | None = setting(None, "rollouts per forward pass and process")
    steps: int = setting(80, "optimizer steps of each arm")
    learning_rate: float | None = setting(
        None, "default: 1e-4 for the demo, 1e-5 with --lora, else 1e-6"
    )
    beta: float = setting(0.0, "weight of the KL to the start model in the loss")
    temperature: float = setting(1.0, "sampling temperature, training and evaluation")
    max_new_tokens: int | None = setting(None, "longest completion; default 32 (demo), 512")
    lora: int = setting(0, "rank of a LoRA adapter on all linear layers; 0 trains every weight")
    dtype: str | None = setting(
        None,
        "weights in float32, bfloat16 or float16; default float32, with --lora on a GPU bfloat16",
    )
    eval_rollouts: int = setting(256, "rollouts per held-out prompt for the curve")
    eval_batch: int | None = setting(None, "rollouts drawn at once in evaluation")
    seed: int = setting(0, "seed of everything random")
    save_steps: int = setting(1, "optimizer steps between checkpoints")
    report_to: str = setting("none", "where TRL logs: none, wandb, tensorboard, trackio, ...")
    trust_remote_code: bool = setting(False, "run code that comes with a hub model")
    trl: dict[str, Any] = setting({}, "any other field of TRL's GRPOConfig, as name=value")
    output: str | None = setting(None, "output folder; default runs/DATE-TIME")

    @classmethod
    def from_dict(cls, values: dict[str, Any], where: str) -> Settings:
        """Settings from parsed YAML or JSON; an unknown key names its nearest neighbour."""
        if isinstance(values.get("estimator"), str):
            values = {**values, "estimator": [values["estimator"]]}
        return from_dict(cls, values, where)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def arms(self) -> dict[str, EstimatorSpec]:
        """The estimators to train with, by their folders: `max_at_k(k=8)` is in `max_at_k-k-8`.

        Raises BonteaError for an estimator that is unknown, or given twice.
        """
        out: dict[str, EstimatorSpec] = {}
        for spec in parse_estimators(self.estimator):
            folder = re.sub(r"[^\w.]+", "-", spec.label).strip("-")
            if folder in out or folder == START:
                raise BonteaError(
                    f"estimator {spec.label!r} would be kept in the folder {folder}, as another "
                    "one: train it in a job of its own"
                )
            out[folder] = spec
        return out

    @property
    def is_demo(self) -> bool:
        return self.model == DEMO

    def resolve(self, *, processes: int = 1, gpu: bool = False) -> None:
        """Fill what depends on other settings, and check everything that can be checked now."""
        if self.is_demo:
            from bontea import demo

            self.reward = self.reward or demo.DEFAULT_REWARD
            self.max_new_tokens = given_or(self.max_new_tokens, demo.MAX_COMPLETION_LENGTH)
            self.learning_rate = given_or(self.learning_rate, 1e-4)
            self.micro_batch = given_or(self.micro_batch, max(1, self.batch_size // processes))
            self.dtype = self.dtype or "float32"
        require_own(self.model, self.reward, self.prompts)
        self.max_new_tokens = given_or(self.max_new_tokens, 512)
        self.learning_rate = given_or(self.learning_rate, 1e-5 if self.lora else 1e-6)
        self.dtype = self.dtype or ("bfloat16" if gpu and self.lora else "float32")
        self.eval_batch = given_or(self.eval_batch, 256 if self.is_demo else 32)
        self._check_numbers()
        self._check_batch(processes)
        self.arms  # noqa: B018  (parses, and raises on a bad one)

    def _check_numbers(self) -> None:
        check_n(self.deploy_n, "deploy_n")
        check_alpha(self.tail_fraction, "tail_fraction")
        least = {
            "rollouts": 2,
            "batch_size": 2,
            "steps": 1,
            "max_new_tokens": 1,
            "eval_rollouts": 1,
            "eval_batch": 1,
            "save_steps": 1,
            "lora": 0,
        }
        for name, limit in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < limit:
                raise BonteaError(f"{name}={value!r} must be a whole number of at least {limit}")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            raise BonteaError(f"seed={self.seed!r} must be a whole number from 0 to 2**32 - 1")
        for name in ("learning_rate", "temperature"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not value > 0:
                raise BonteaError(f"{name}={value!r} must be a number above 0")
        for name, allowed in {
            "advantage_scale": ("none", "group", "batch"),
            "dtype": ("float32", "bfloat16", "float16"),
        }.items():
            if getattr(self, name) not in allowed:
                raise BonteaError(
                    f"{name}={getattr(self, name)!r} must be one of {', '.join(allowed)}"
                )

    def _check_batch(self, processes: int) -> None:
        if self.batch_size % self.rollouts:
            below = self.batch_size // self.rollouts * self.rollouts
            sizes = " or ".join(str(size) for size in (below, below + self.rollouts) if size)
            raise BonteaError(
                f"batch_size={self.batch_size} does not hold whole groups of "
                f"rollouts={self.rollouts}: use --batch-size {sizes}"
            )
        if self.batch_size % processes:
            raise BonteaError(
                f"batch_size={self.batch_size} cannot be split over {processes} processes evenly"
            )
        share = self.batch_size // processes
        if self.micro_batch is None:
            self.micro_batch = next(
                size for size in range(min(8, share), 0, -1) if not share % size
            )
        if self.micro_batch < 1 or share % self.micro_batch:
            raise BonteaError(
                f"micro_batch={self.micro_batch} does not divide the {share} rollouts of a process "
                f"and step (batch_size={self.batch_size})"
            )

    def output_folder(self) -> Path:
        if self.output is None:
            raise BonteaError("no output folder was chosen")
        return Path(self.output)
