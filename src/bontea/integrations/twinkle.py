"""twinkle: an `Advantage` object for your training loop, in the place of `GRPOAdvantage()`.

from bontea.integrations.twinkle import BestOfNAdvantage

advantage_fn = BestOfNAdvantage("adaptive_tea", n=128)
advantages = advantage_fn(rewards, num_generations=16)
log(advantage_fn.metrics)
"""

from __future__ import annotations

from typing import Any

from bontea._errors import BonteaError
from bontea.integrations.frameworks import require_tested

require_tested("twinkle")

import numpy as np
import torch
from twinkle.advantage import Advantage

from bontea.advantages import scale_advantages
from bontea.integrations._settings import SCALES, read_settings
from bontea.integrations._step import AdvantageStep

WHERE = "BestOfNAdvantage"


class BestOfNAdvantage(Advantage):
    """Best-of-N advantages of a batch of rewards.

    The arguments are `estimator`, `n`, `alpha`, `scale`, `seed`, and parameters of the estimator;
    `num_generations`, if given here, is checked at once. ValueError for what cannot work.
    """

    def __init__(
        self, estimator: Any = None, *, num_generations: int | None = None, **settings: Any
    ) -> None:
        if estimator is not None:
            settings["estimator"] = estimator
        self._best_of_n = AdvantageStep(read_settings(settings, where=WHERE), num_generations)

    @property
    def metrics(self) -> dict[str, float]:
        """Of the latest batch."""
        return self._best_of_n.metrics

    def __call__(
        self,
        rewards: Any,
        num_generations: int = 1,
        scale: str | None = None,
        *,
        groups: Any = None,
        **_: Any,
    ) -> torch.Tensor:
        """`(B,)` rewards, or `(B, functions)` to be summed, to `(B,)` advantages.

        The rollouts of a prompt stand side by side, `num_generations` of them; or `groups` names
        the prompt of every row, in any order. `scale` scales this batch once more: twinkle's
        `"group"` gives every prompt the same weight, and `"batch"` and `"none"` change nothing.
        """
        rewards = torch.as_tensor(rewards, dtype=torch.float32)
        if rewards.ndim > 1:
            rewards = rewards.sum(dim=-1)
        if groups is None:
            if num_generations < 1 or len(rewards) % num_generations:
                raise BonteaError(
                    f"{len(rewards)} rewards are no groups of num_generations={num_generations}: "
                    "pass groups= with the prompt of every row where rollouts may fail"
                )
            groups = np.arange(len(rewards)) // num_generations
        if scale not in (None, *SCALES):
            raise BonteaError(f"scale={scale!r} must be one of {', '.join(SCALES)}")
        advantages = self._best_of_n(rewards, groups)
        if scale == "group" and len(advantages):
            advantages = scale_advantages(advantages, np.asarray(groups), by="group")
        return torch.as_tensor(advantages, dtype=rewards.dtype).to(rewards.device)
