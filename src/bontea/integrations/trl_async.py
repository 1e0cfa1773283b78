"""TRL's asynchronous trainer: `attach` puts best-of-N advantages into its rollout worker.

    from bontea.integrations.trl_async import attach

    trainer = AsyncGRPOTrainer(model, reward_funcs, args=AsyncGRPOConfig(...), train_dataset=...)
    attach(trainer, "adaptive_tea", n=128, groups=16).train()

`trl.experimental.async_grpo` computes advantages in a process of its own, group by group as they
are finished, and sends every rollout to the trainer with its advantage. The loop of that process is
extended in one place, `_score_group`: `groups` of them wait for each other, because estimators of a
whole batch (`pass_at_n`, and `adaptive_tea` before it has seen some) and `scale="batch"` see
nothing in one group. Rewards, metrics and rows stay TRL's.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from bontea._errors import BonteaError, FailedError
from bontea.integrations.frameworks import require_tested

require_tested("trl", ("1.16", "1.17"))  # experimental: it may change with any version

from trl.experimental.async_grpo.async_rollout_worker import RolloutGroup, TrainingSequence

from bontea.integrations._settings import Settings, read_settings
from bontea.integrations._step import LOG, AdvantageStep
from bontea.integrations._trl_checks import require_picklable

WHERE = "attach"
NO_ROW = TrainingSequence([], [], [], "")
"""In the place of the rows of a rollout that left none: its reward counts, TRL would skip it."""


class BestOfNLoop:
    """The change itself, before a loop of TRL among the bases of a class."""

    num_generations: int
    _push_metrics: Callable[..., None]

    def use(self, settings: Settings, groups: int) -> None:
        """ValueError for what cannot work."""
        self._best_of_n = AdvantageStep(settings, self.num_generations)
        self._groups = groups
        self._waiting: list[tuple[RolloutGroup, list[list[Any]]]] = []

    async def _score_group(self, group: RolloutGroup) -> list[Any]:
        """Nothing for the first groups of a batch; for its last one, the rows of all of them."""
        rows = [own or [NO_ROW] for own in group.completions_sequences]
        scored = await super()._score_group(  # type: ignore[misc]
            dataclasses.replace(group, completions_sequences=rows)
        )
        if len(scored) != sum(map(len, rows)):
            raise FailedError(
                f"TRL made {len(scored)} samples of {sum(map(len, rows))} training rows, so it is "
                "unknown which rollout each belongs to; trl 1.16 is tested"
            )
        samples_left = iter(scored)
        self._waiting.append((group, [[next(samples_left) for _ in own] for own in rows]))
        if len(self._waiting) < self._groups:
            return []
        batch, self._waiting = self._waiting, []
        rollouts = [samples for _, per_rollout in batch for samples in per_rollout]
        rewards = [samples[0].metrics["reward"] for samples in rollouts]  # NaN: unscorable
        ids = [samples[0].group_id for samples in rollouts]
        for samples, advantage in zip(rollouts, self._best_of_n(rewards, ids), strict=True):
            for sample in samples:
                sample.advantage = float(advantage)
        self._push_metrics({f"best_of_n/{k}": float(v) for k, v in self._best_of_n.metrics.items()})
        return [
            sample
            for sent, per_rollout in batch
            for own, samples in zip(sent.completions_sequences, per_rollout, strict=True)
            for sample in samples
            if own
        ]


def build_loop(base: Any, settings: Settings, groups: int, **arguments: Any) -> Any:
    """What TRL's child process calls to get its loop; `base` is the class it would have used."""
    loop = type(f"BestOfN{base.__name__}", (BestOfNLoop, base), {})(**arguments)
    loop.use(settings, groups)
    return loop


def attach(
    trainer: Any, estimator: Any = None, *, groups: int | None = None, **settings: Any
) -> Any:
    """Give an AsyncGRPOTrainer best-of-N advantages before it trains; returns the same trainer.

    Parameters
    ----------
    estimator, settings
        `estimator`, `n`, `alpha`, `scale`, `seed`, and parameters of the estimator.
    groups
        How many prompts make a batch. Left out, those of an optimizer step as TRL counts it:
        `per_device_train_batch_size * gradient_accumulation_steps * processes / num_generations`.
        With more, the rollouts of a batch outlive more updates of the policy, and TRL drops those
        older than `max_staleness`.

    Raises ValueError for what is not such a trainer, and for what cannot work. Attaching again
    replaces the estimator.
    """
    if estimator is not None:
        settings["estimator"] = estimator
    chosen = read_settings(settings, where=WHERE)
    require_picklable(chosen.estimator)
    if not hasattr(trainer, "rollout_worker"):
        raise BonteaError(
            f"{type(trainer).__name__} has no rollout worker: this is for AsyncGRPOTrainer; for "
            "GRPOTrainer use bontea.integrations.trl.attach"
        )
    args = trainer.args
    AdvantageStep(chosen, args.num_generations)
    if groups is None:
        samples = args.per_device_train_batch_size * args.gradient_accumulation_steps
        groups = max(1, samples * trainer.accelerator.num_processes // args.num_generations)
    if groups < 1:
        raise BonteaError(f"groups={groups} must be at least 1")
    if groups == 1:
        LOG.warning(
            "bontea: groups=1: every prompt is a batch of its own, so scale='batch' gives every "
            "prompt the same weight, as scale='group' does"
        )
    worker = trainer.rollout_worker
    if worker is None:  # not the main process
        return trainer
    base = getattr(worker, "_loop_cls", None)
    if isinstance(base, functools.partial) and base.func is build_loop:
        base = base.args[0]
    if not hasattr(base, "_score_group"):
        raise BonteaError(
            f"{type(worker).__name__} computes advantages itself: only workers made from TRL's "
            "AsyncRolloutWorker have the `_score_group` that is extended"
        )
    if getattr(worker, "_process", None) is not None:
        raise BonteaError("the rollout worker runs already: attach before train()")
    worker._loop_cls = functools.partial(build_loop, base, chosen, groups)
    return trainer
