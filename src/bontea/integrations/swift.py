"""ms-swift: its GRPOTrainer with another advantage, put into its table of trainers.

    # plugin.py
    import bontea.integrations.swift

    BONTEA='{"estimator": "adaptive_tea", "n": 128}' swift rlhf --rlhf_type grpo \\
        --external_plugins plugin.py --num_generations 16 ...

ms-swift has no hook for advantages and refuses keys that it does not know, so the settings are in
the environment. It executes the plugin while it reads its arguments, in every process, and later
takes the trainer for `grpo` from a table of class paths. The subclass overrides
`_compute_advantages`, which gets the rewards of all processes: rollouts, loss, KL, logging and
checkpoints stay ms-swift's. Evaluation keeps ms-swift's own advantages.

Never pass this file itself to `--external_plugins`: ms-swift puts the folder of a plugin in front
of `sys.path`, where the other files of this folder hide the frameworks they are named after.
"""

from __future__ import annotations

import functools
import inspect
import sys
from typing import Any

from bontea._errors import BonteaError
from bontea.integrations.frameworks import require_tested

require_tested("swift")

import numpy as np
import torch
from accelerate.utils import gather_object
from swift.trainers import TrainerFactory

from bontea.integrations._settings import read_settings
from bontea.integrations._step import AdvantageStep

WHERE = "settings"
PATH = f"{__name__}.BestOfNGRPOTrainer"
ARGUMENTS = ("samples", "rewards_per_func", "batch_encoded_inputs")


class BestOfNMixin:
    """The change itself, for `class Mine(BestOfNMixin, GRPOTrainer)` of ms-swift.

    `metrics` of a batch are logged as `best_of_n/...`.
    """

    def __init__(self, *positional: Any, **kwargs: Any) -> None:
        args = kwargs["args"]
        require_plain(args)
        self._best_of_n = AdvantageStep(read_settings(where=WHERE), args.num_generations)
        super().__init__(*positional, **kwargs)

    def _compute_advantages(
        self, samples: Any, rewards_per_func: torch.Tensor, batch_encoded_inputs: Any
    ) -> torch.Tensor:
        """`(B,)` for the `(B, functions)` rewards of all processes, in their order."""
        # ms-swift logs its statistics of the rewards there.
        theirs = super()._compute_advantages(samples, rewards_per_func, batch_encoded_inputs)  # type: ignore[misc]
        if not self.model.training:  # type: ignore[attr-defined]
            return theirs
        groups: Any = np.arange(len(rewards_per_func)) // self.num_generations  # type: ignore[attr-defined]
        rollouts = None
        if self.dynamic_num_samples:  # type: ignore[attr-defined]
            # Turns of one conversation are rows of their own and share its request_id.
            groups = gather_object([sample.prompt_id for sample in samples])
            rollouts = gather_object([sample.request_id for sample in samples])
        rewards = weighted_sum(rewards_per_func, self.reward_weights)  # type: ignore[attr-defined]
        advantages = self._best_of_n(rewards, groups, rollouts=rollouts)
        for name, value in self._best_of_n.metrics.items():
            self._metrics["train"][f"best_of_n/{name}"].append(value)  # type: ignore[attr-defined]
        return torch.as_tensor(advantages).to(theirs)


def weighted_sum(per_function: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """`(B, functions)` to `(B,)` as ms-swift sums them, but NaN where every function gave None."""
    values = per_function.detach().double()
    total = (values * weights.double()).nansum(dim=1)
    return torch.where(values.isnan().all(dim=1), torch.nan, total)


def require_plain(args: Any) -> None:
    """ValueError for settings of ms-swift under which its advantages are no longer ours."""
    if args.kl_in_reward and args.beta:
        raise BonteaError(
            f"--kl_in_reward true with --beta {args.beta} subtracts the KL from the reward, which "
            "changes which response is best: leave --advantage_estimator grpo, which keeps the KL "
            "in the loss"
        )
    if args.scale_rewards == "gdpo":
        raise BonteaError(
            "--scale_rewards gdpo normalises each reward function for itself; best-of-N is of "
            "their weighted sum: leave it out"
        )
    if args.loss_type == "real":
        raise BonteaError(
            "--loss_type real uses nothing of an advantage but its sign: use --loss_type dapo"
        )


def register() -> None:
    """Make it ms-swift's trainer for `grpo`; done when this module is imported.

    ValueError for settings that cannot work, before a model is loaded.
    """
    if not __name__.startswith("bontea."):
        raise BonteaError(
            f"--external_plugins {__file__} hides frameworks behind the files next to it: pass a "
            "plugin.py with the line `import bontea.integrations.swift` instead"
        )
    if "swift.megatron" in sys.modules or "swift.ray.megatron" in sys.modules:
        raise BonteaError(
            "`megatron rlhf` has trainers of its own, which this does not reach: use `swift rlhf`"
        )
    AdvantageStep(read_settings(where=WHERE))
    TrainerFactory.TRAINER_MAPPING["grpo"] = PATH


@functools.cache
def _trainer_class() -> type:
    from swift.rlhf_trainers import GRPOTrainer

    given = tuple(inspect.signature(GRPOTrainer._compute_advantages).parameters)[1:]
    if given != ARGUMENTS:
        raise BonteaError(
            f"GRPOTrainer._compute_advantages of this ms-swift takes {', '.join(given)}; this was "
            f"written for {', '.join(ARGUMENTS)}"
        )
    doc = """ms-swift's GRPOTrainer with a best-of-N advantage, set up by `$BONTEA`."""
    name = PATH.rpartition(".")[2]
    return type(name, (BestOfNMixin, GRPOTrainer), {"__module__": __name__, "__doc__": doc})


def __getattr__(name: str) -> Any:
    # Built on first use: ms-swift's trainer takes seconds to import.
    if name == "BestOfNGRPOTrainer":
        return _trainer_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


register()
