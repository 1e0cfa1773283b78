"""AReaL: its trainer, its engine and its actor with best-of-N advantages.

    from bontea.integrations.areal import BestOfNConfig, BestOfNTrainer

    config, _ = load_expr_config(args, BestOfNConfig)      # actor.bontea: {n: 128}
    with BestOfNTrainer(config, train_dataset=train_dataset) as trainer:
        trainer.train(workflow=..., workflow_kwargs=...)

AReaL has no registry of advantages; it has classes that can be subclassed. Its trainer starts
workers that import the engine by its path, so bontea must be installed where they run. The settings
are a field of the actor's config, which goes there with it.

A worker gets a share of the groups, each of them whole. Rewards of all workers are gathered, so
that `scale` and estimators of the whole batch see the batch and not the share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bontea._errors import BonteaError
from bontea.integrations.frameworks import require_tested

require_tested("areal")

import areal.engine
import numpy as np
import torch
import torch.distributed as dist
from areal.api.cli_args import GRPOConfig, PPOActorConfig
from areal.engine.fsdp_engine import FSDPPPOActor
from areal.trainer.ppo.actor import PPOActor
from areal.trainer.rl_trainer import PPOTrainer
from areal.utils import stats_tracker

from bontea.integrations._settings import read_settings
from bontea.integrations._step import LOG, AdvantageStep

WHERE = "actor.bontea"


@dataclass
class BestOfNActorConfig(PPOActorConfig):
    """AReaL's, with a field for our settings."""

    bontea: dict[str, Any] = field(default_factory=dict)


@dataclass
class BestOfNConfig(GRPOConfig):
    """AReaL's, with our actor."""

    actor: BestOfNActorConfig = field(default_factory=BestOfNActorConfig)


def prepare(config: PPOActorConfig, m: int | None = None) -> AdvantageStep:
    """The estimator for an actor's config (with groups of m); ValueError for what cannot work."""
    for name, wanted, why in (
        ("adv_norm", None, "shifts and divides the advantages again"),
        ("overlong_reward_penalty", False, "is not in the reward: put it into the reward function"),
        ("discount", 1.0, "makes the advantages of a rollout differ by token"),
        ("gae_lambda", 1.0, "makes the advantages of a rollout differ by token"),
    ):
        if getattr(config, name) != wanted:
            raise BonteaError(f"actor.{name}={getattr(config, name)!r} {why}; set it to {wanted}")
    if config.kl_ctl:
        LOG.warning(
            "bontea: actor.kl_ctl=%r is added to the advantages, token by token; set it to 0",
            config.kl_ctl,
        )
    return AdvantageStep(read_settings(getattr(config, "bontea", None), where=WHERE), m)


class BestOfNActor(PPOActor):
    """AReaL's algorithm, with another number for each rollout.

    What AReaL does with rewards before it puts them on tokens is for rewards, and left out.
    """

    def __init__(self, config: PPOActorConfig, engine: Any):
        super().__init__(config, engine)
        self._best_of_n = prepare(config)
        self.reward_bias, self.reward_scaling, self.reward_clip = 0.0, 1.0, float("inf")
        self.reward_norm = None

    def compute_advantages(self, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """An entry of `data` is a group; `rewards` `(m,)` of it are the rewards afterwards too."""
        rewards = [group["rewards"] for group in data]
        shares = _gathered([r.float().cpu().numpy() for r in rewards], self.engine)
        groups = [group for share in shares for group in share]
        sizes = [len(group) for group in groups]
        advantages = self._best_of_n(
            np.concatenate(groups) if groups else [], np.repeat(np.arange(len(groups)), sizes)
        )
        ends = np.cumsum(sizes)
        first = sum(len(share) for share in shares[: _rank(self.engine)])
        mine = np.split(advantages, ends[:-1])[first : first + len(data)] if groups else []
        stats_tracker.scalar(**{f"best_of_n/{k}": v for k, v in self._best_of_n.metrics.items()})
        out = super().compute_advantages(
            [
                {**group, "rewards": torch.as_tensor(a, dtype=torch.float32).to(r.device)}
                for group, a, r in zip(data, mine, rewards, strict=True)
            ]
        )
        for group, r in zip(out, rewards, strict=True):
            group["rewards"] = r
        return out


class BestOfNFSDPActor(FSDPPPOActor):
    """AReaL's FSDP engine with our actor; its workers import it by this name."""

    def __init__(self, config: PPOActorConfig):
        super().__init__(config)
        self.actor = BestOfNActor(config, self)


class BestOfNTrainer(PPOTrainer):
    """AReaL's trainer with our engine for the actor; the reference model keeps AReaL's."""

    def __init__(self, config: GRPOConfig, *args: Any, **kwargs: Any):
        if config.critic is not None:
            raise BonteaError("critic: its values would be subtracted from the advantages")
        prepare(config.actor, config.gconfig.n_samples)
        super().__init__(config, *args, **kwargs)

    def _create_train_engine(self, actor_config: PPOActorConfig, alloc: Any) -> Any:
        """AReaL's, which imports the class where it is called."""
        if actor_config is not self.config.actor:
            return super()._create_train_engine(actor_config, alloc)
        if alloc.backend != "fsdp":
            raise BonteaError(f"actor.backend={alloc.backend!r}: best-of-N advantages are for fsdp")
        theirs = areal.engine.FSDPPPOActor
        areal.engine.FSDPPPOActor = BestOfNFSDPActor
        try:
            return super()._create_train_engine(actor_config, alloc)
        finally:
            areal.engine.FSDPPPOActor = theirs


def _gathered(mine: list[np.ndarray], engine: Any) -> list[list[np.ndarray]]:
    """The groups of every data-parallel rank."""
    group = getattr(engine, "dp_group", None)
    if group is None or dist.get_world_size(group) == 1:
        return [mine]
    shares: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(shares, mine, group=group)
    return shares


def _rank(engine: Any) -> int:
    group = getattr(engine, "dp_group", None)
    return 0 if group is None else dist.get_rank(group)
