"""NeMo-RL: its advantage estimator `grpo` computes best-of-N advantages.

    python -m bontea.integrations.nemo_rl examples/run_grpo.py --config grpo.yaml \\
        '++grpo.adv_estimator.bontea={estimator: adaptive_tea, n: 128}'

NeMo-RL picks an estimator by its name in a function that knows a few, which several modules import.
It makes a `GRPOAdvantageEstimator`, so the methods of that class are
replaced, in the driver, where advantages are computed. Settings come from the config of the
estimator, which allows more keys.

The trainers hand over whole batches, and the tokens of the prompt to tell prompts apart: two equal
prompts in a batch are one group.
"""

from __future__ import annotations

import inspect
import runpy
import sys
from typing import Any

from bontea._errors import BonteaError
from bontea.integrations.frameworks import require_tested

require_tested("nemo_rl")

import numpy as np
import torch
from nemo_rl.algorithms.advantage_estimator import GRPOAdvantageEstimator

from bontea.integrations._settings import read_settings, section
from bontea.integrations._step import AdvantageStep

WHERE = "grpo.adv_estimator.bontea"

_original: dict[str, Any] = {}


def prepare(self: Any, estimator_config: Any, loss_config: Any) -> None:
    """In the place of `GRPOAdvantageEstimator.__init__`; ValueError for what cannot work."""
    self._best_of_n = AdvantageStep(read_settings(section(estimator_config, "bontea"), where=WHERE))


def compute_advantage(
    self: Any, prompt_ids: torch.Tensor, rewards: torch.Tensor, mask: torch.Tensor, **_: Any
) -> torch.Tensor:
    """In the place of `GRPOAdvantageEstimator.compute_advantage`, `(B, T)` as there."""
    # As an id, or as the tokens of the prompt (B, L).
    rows = prompt_ids.reshape(len(prompt_ids), -1).cpu().numpy()
    groups = np.unique(rows, axis=0, return_inverse=True)[1]
    advantages = self._best_of_n(rewards, groups.ravel())
    of_rollout = torch.as_tensor(advantages, dtype=torch.float32).to(mask.device)
    return of_rollout.unsqueeze(-1).expand(mask.shape)


def install() -> None:
    """`name: grpo` is ours from here on in this process; ValueError for another NeMo-RL."""
    for name, known, ours in (
        ("__init__", ["self", "estimator_config", "loss_config"], prepare),
        ("compute_advantage", ["self", "prompt_ids", "rewards", "mask"], compute_advantage),
    ):
        theirs = _original.setdefault(name, getattr(GRPOAdvantageEstimator, name, None))
        if theirs is None or list(inspect.signature(theirs).parameters)[: len(known)] != known:
            raise BonteaError(
                f"nemo_rl's GRPOAdvantageEstimator.{name} is not what this was written for"
            )
        setattr(GRPOAdvantageEstimator, name, ours)


def uninstall() -> None:
    """Put NeMo-RL's own methods back."""
    for name, function in _original.items():
        setattr(GRPOAdvantageEstimator, name, function)


def main() -> None:
    """`install`, and then a launch script of NeMo-RL, which is the first argument."""
    if len(sys.argv) < 2:
        sys.exit(
            "which script? such as: python -m bontea.integrations.nemo_rl examples/run_grpo.py"
        )
    install()
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
