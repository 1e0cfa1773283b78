"""What a TRL trainer needs besides TRL: its estimator, a little memory, and what to say when."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from bontea._errors import BonteaError, GroupTooSmallError
from bontea.advantages import advantages_for, scale_advantages
from bontea.advantages.flat import Scale
from bontea.integrations._metrics import TailWindow, batch_metrics
from bontea.integrations._params import estimator_call

SCALES = ("none", "group", "batch")
"""What `advantage_scale` may be."""

DEGENERATE_BATCHES = 5
"""Generation batches in a row without any signal before a warning."""

GROUPS_TO_JUDGE_A_TAIL = 200
"""Fewer groups can miss by chance: no warning about the tail model before."""


class BestOfN:
    """Rewards of a generation batch in, its advantages and metrics out."""

    def __init__(
        self,
        estimator: str | Callable[..., Any],
        *,
        n: float,
        alpha: float,
        m: int,
        scale: Scale,
        params: Mapping[str, Any] | str | None,
    ):
        if scale not in SCALES:
            raise BonteaError(f"advantage_scale={scale!r} must be one of {', '.join(SCALES)}")
        if params is not None and not isinstance(params, Mapping):
            raise BonteaError(
                f"estimator_params={params!r} must be a dict of the estimator's parameters, such "
                'as {"permutations": 8}; on a command line, in JSON'
            )
        self.n, self.alpha, self.m, self.scale = n, alpha, m, scale
        try:
            self.call = estimator_call(
                estimator, n=n, alpha=alpha, m=m, params=params, asarray=torch.as_tensor
            )
        except GroupTooSmallError as error:
            raise BonteaError(f"num_generations={m} is too few: {error}") from None
        self.window = TailWindow(alpha)
        self._said: set[str] = set()
        self._without_signal = 0
        self._moment: tuple[int, int] | None = None
        self._repeats = 0

    def step(
        self, rewards: torch.Tensor, *, m: int, training: bool, seed: int, step: int, loud: bool
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """`(B,)` rewards of all processes, groups of `m` side by side, NaN = unscorable.

        `loud`: this process may warn (one of them does).
        """
        groups = torch.arange(len(rewards)) // m
        scorable = ~rewards.isnan()
        rng = self._rng(training, seed, step)
        raw, advantages = torch.zeros_like(rewards), torch.zeros_like(rewards)
        if scorable.any():
            raw = advantages_for(rewards, groups, self.call, rng=rng)
            advantages[scorable] = scale_advantages(raw[scorable], groups[scorable], by=self.scale)

        blocks = rewards.reshape(-1, m)
        metrics = batch_metrics(blocks, raw.reshape(-1, m), n=self.n, alpha=self.alpha)
        check = None
        if training:  # evaluation has other prompts, and often other group sizes
            self.window.add(blocks)
            check = self.window.check()
        if check is not None:
            metrics |= {"max_seen": check.seen, "max_predicted": check.predicted, "tail_z": check.z}
        if loud:
            self._warn(metrics, check, m, training)
        return advantages, {name: v for name, v in metrics.items() if math.isfinite(v)}

    def _rng(self, training: bool, seed: int, step: int) -> np.random.Generator:
        """Seeded by when it is used, not by what was drawn before: every process draws the same,
        and a resumed run what the unbroken one would have."""
        moment = (int(training), step)
        self._repeats = self._repeats + 1 if moment == self._moment else 0
        self._moment = moment
        return np.random.default_rng((seed, *moment, self._repeats))

    def _warn(self, metrics: dict[str, float], check: Any, m: int, training: bool) -> None:
        if metrics["unscorable"] == 1:
            self._say(
                "nothing scorable",
                "no completion of a batch got a reward (every reward function returned None or "
                "NaN): its advantages are zeros and nothing is learned from it",
            )
        if not training:
            if (
                m != self.m
                and "eval group" not in self._said
                and not self.call.fits(m, torch.as_tensor)
            ):
                self._say(
                    "eval group",
                    f"num_generations_eval={m} is too few rollouts for {self.call.name} "
                    f"(training has {self.m}): in evaluation the advantages, and with them "
                    "eval_loss, are zero. Rewards and best_of_n/group_best are still right; for "
                    "the rest use more generations",
                )
            return
        self._without_signal = self._without_signal + 1 if metrics["degenerate_groups"] == 1 else 0
        if self._without_signal == DEGENERATE_BATCHES:
            warnings.warn(
                f"every group of the last {DEGENERATE_BATCHES} generation batches had zero "
                "advantages: nothing is being learned (except from a KL term). The rewards that "
                "the estimator looks at are equal within each group: either the reward does not "
                "tell the responses apart, or the policy repeats itself (raise the temperature, "
                "check that completions differ)",
                stacklevel=2,
            )
        if (
            check is not None
            and "alpha" in self.call.params
            and check.verdict == "fails"
            and check.groups >= GROUPS_TO_JUDGE_A_TAIL
        ):
            self._say(
                "tail",
                f"{check}. {self.call.name} extrapolates that tail: look at the reward's ceiling "
                "(a bounded or discrete reward has no normal tail), or train with "
                "estimator='max_at_k'",
            )

    def _say(self, topic: str, message: str) -> None:
        """Warn once in a run."""
        if topic not in self._said:
            self._said.add(topic)
            warnings.warn(message, stacklevel=3)
