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
import math
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import bontea
from bontea._errors import BonteaError
from bontea._json import strict_loads
from bontea._progress import JobProgress
from bontea.rollouts.generate import sample_rollouts
from bontea.rollouts.model import load_model
from bontea.rollouts.table import RolloutFile, write_text
from bontea.training import distance, processes
from bontea.training.arm import Arm
from bontea.training.inputs import Inputs, load_inputs
from bontea.training.results import ArmResult, Spent, summarise
from bontea.training.settings import START, Settings


def run(settings: Settings, progress: JobProgress | None = None) -> dict[str, Any] | None:
    """Run or go on with a job; what `results.json` holds, None where not the main process.

    `settings` are resolved ones. Raises Stopped when Ctrl-C asked for that, and BonteaError for
    what can be known to be wrong before anything is trained.
    """
    folder = settings.output_folder()
    processes.join()
    return Job(settings, load_inputs(settings), folder, progress or JobProgress(quiet=True)).run()


@dataclass(frozen=True)
class Job:
    """Settings, what they load, where it all goes, and who is told how far it is."""

    settings: Settings
    inputs: Inputs
    folder: Path
    progress: JobProgress

    def run(self) -> dict[str, Any] | None:
        """Do what is not done yet: see the module."""
        arms = [
            Arm(self.settings, self.inputs, spec, self.folder / name, self.progress)
            for name, spec in self.settings.arms.items()
        ]
        for arm in arms:
            arm.check()
        self._prepare_folder(len(arms))
        results = [self._evaluate(self.folder / START, self.inputs.model)]
        for arm in arms:
            spent = arm.train()
            results.append(self._evaluate(arm.folder, str(arm.model), spent))
        return summarise(results, self.settings, self.folder) if processes.is_main() else None

    def load_model(self, path: str) -> Any:
        """A model for sampling, on the device of this process."""
        import torch

        # Weights trained in float32 under bfloat16 autocast are sampled in bfloat16 as well.
        mixed = torch.cuda.is_available() and self.settings.dtype == "float32"
        return load_model(
            path,
            dtype="bfloat16" if mixed else str(self.settings.dtype),
            trust_remote_code=self.settings.trust_remote_code,
        )

    def draw_held_out(self, model: Any, numbers: Iterable[int], path: Path) -> RolloutFile:
        """Rollouts of a model for held-out prompts, by number, in a file that may hold some."""
        return sample_rollouts(
            model,
            self.inputs.tokenizer,
            {i: self.inputs.held_out[i] for i in numbers},
            self.inputs.reward,
            path,
            m=self.settings.eval_rollouts,
            max_new_tokens=int(self.settings.max_new_tokens or 0),
            temperature=self.settings.temperature,
            batch_size=int(self.settings.eval_batch or 1),
            seed=self.settings.seed,
            on_chunk=self.progress.advance,
        )

    def far_from_start(self, model: Any, file: RolloutFile, path: Path) -> dict[int, float]:
        """KL from the start for every prompt of a rollout file of `model`, kept at `path`."""
        if path.exists():
            kept = {int(i): value for i, value in strict_loads(path.read_text(), path).items()}
            self.progress.advance(2 * len(kept))
            return kept
        texts = file.texts(distance.ROLLOUTS)

        def logs(of: Any) -> dict[int, np.ndarray]:
            out = {}
            for i, own in texts.items():
                out[i] = distance.log_likelihoods(
                    of,
                    self.inputs.tokenizer,
                    self.inputs.held_out[i]["prompt"],
                    own,
                    max_new_tokens=int(self.settings.max_new_tokens or 0),
                    temperature=self.settings.temperature,
                )
                self.progress.advance()
            return out

        trained = logs(model)
        model.to("cpu")  # where only one of them fits on the device
        start = logs(self.load_model(self.inputs.model))
        kl = {i: float(np.mean(trained[i] - start[i])) for i in texts}
        write_text(path, json.dumps(kl) + "\n")
        return kl

    def _prepare_folder(self, arms: int) -> None:
        """Make the folder, see that it takes files and has room, and write the settings."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".write-test-{os.getpid()}"
            probe.write_text("x")
            probe.unlink()
        except OSError as error:
            raise BonteaError(
                f"output folder {self.folder} cannot be written ({error.strerror}): choose another "
                "with --output"
            ) from None
        need, free = self._disk_need(arms), shutil.disk_usage(self.folder).free
        if need > free:
            raise BonteaError(
                f"output folder {self.folder} has {free / 1e6:,.0f} MB free, and about "
                f"{need / 1e6:,.0f} MB are needed for two checkpoints and the trained models: free "
                "some, or use --output"
            )
        path = self.folder / "settings.json"
        if processes.is_main() and not path.exists():
            record = {
                "version": bontea.__version__,
                "seed": self.settings.seed,
                "command": sys.argv,
                "settings": self.settings.to_dict(),
            }
            write_text(path, json.dumps(record, indent=2) + "\n")

    def _disk_need(self, arms: int) -> float:
        """Bytes for two checkpoints (weights and Adam's two moments) and one model for each arm."""
        from safetensors import safe_open

        parameters = 0
        for path in Path(self.inputs.model).glob("*.safetensors"):  # of a hub model: not yet known
            with safe_open(path, framework="numpy") as file:
                parameters += sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())
        weights = parameters * (4 if self.settings.dtype == "float32" else 2)
        trained = weights * 0.05 if self.settings.lora else weights
        return 1e7 + trained * (2 * 3 + arms)

    def _evaluate(self, folder: Path, model_path: str, spent: Spent | None = None) -> ArmResult:
        """Held-out rollouts of one model; each process draws a share of the prompts."""
        name = spent.estimator if spent else START
        rank, world = processes.rank(), processes.world_size()
        mine = list(range(rank, len(self.inputs.held_out), world))
        suffix = "" if world == 1 else f".{rank}-of-{world}"
        m = self.settings.eval_rollouts
        with self.progress.phase(f"{name}: held-out rollouts", len(mine) * m):
            model = self.load_model(model_path)
            file = self.draw_held_out(model, mine, folder / f"rollouts{suffix}.jsonl")
            table = file.table(len(self.inputs.held_out), m)
            distinct = file.distinct()
        kl = {}
        if spent:
            with self.progress.phase(f"{name}: distance from the start", 2 * len(mine)):
                kl = self.far_from_start(model, file, folder / f"kl{suffix}.json")
        if world > 1:
            from accelerate.utils import gather_object

            shares = gather_object([(mine, table, distinct, kl)])
            for rows, rewards, _, _ in shares:
                table[rows] = rewards[rows]
            sizes = [len(rows) for rows, _, _, _ in shares]
            distinct = float(np.average([s[2] for s in shares], weights=sizes))
            kl = {i: value for share in shares for i, value in share[3].items()}
        far = float(np.mean(list(kl.values()))) if spent else 0.0
        return ArmResult.from_rewards(name, table, distinct, far, spent)
