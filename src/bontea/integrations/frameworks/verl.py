"""verl. `bontea check verl`: its dispatch by name, and its hydra config."""

from __future__ import annotations

import numpy as np

from bontea._errors import BonteaError
from bontea.integrations.frameworks.framework import Framework, Probed
from bontea.integrations.frameworks.probing import nearest, on_tokens, registered, settings_for


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Probed:
    import torch
    import verl
    from omegaconf import OmegaConf
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY
    from verl.trainer.ppo.ray_trainer import compute_advantage

    name = registered(estimator)
    loaded = name in ADV_ESTIMATOR_REGISTRY  # by verl, before we import ours
    import bontea.integrations.verl  # noqa: F401

    tokens, mask = on_tokens(rewards)
    data = verl.DataProto.from_dict(
        tensors={"token_level_rewards": tokens, "response_mask": mask},
        non_tensors={"uid": ids.astype(object)},
    )
    config = OmegaConf.create({"bontea": settings_for(estimator, n)})
    out = compute_advantage(data, name, config=config)
    how = (
        "verl loaded the module by itself (entry point or VERL_USE_EXTERNAL_MODULES)"
        if loaded
        else "verl did NOT load the module by itself: install bontea with pip in the environment "
        "of every node, or set VERL_USE_EXTERNAL_MODULES=bontea.integrations.verl there"
    )
    advantages = out.batch["advantages"]
    assert isinstance(advantages, torch.Tensor)
    return Probed(
        advantages[:, 0].numpy(), "verl.trainer.ppo.ray_trainer.compute_advantage", how, loaded
    )


def settings(arguments: list[str]) -> str:
    from hydra import compose, initialize_config_module
    from hydra.errors import HydraException
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY

    import bontea.integrations.verl as adapter

    with initialize_config_module("verl.trainer.config", version_base=None):
        try:
            config = compose("ppo_trainer", overrides=arguments)
        except HydraException as error:
            raise BonteaError(f"verl's config does not take this: {error}") from None
    name, m = config.algorithm.adv_estimator, config.actor_rollout_ref.rollout.n
    if name not in ADV_ESTIMATOR_REGISTRY:
        raise BonteaError(f"algorithm.adv_estimator={name!r} is unknown to verl{nearest(name)}")
    estimator = ADV_ESTIMATOR_REGISTRY[name]
    if not isinstance(estimator, adapter.Estimator):
        raise BonteaError(
            f"algorithm.adv_estimator={name!r} is an estimator of verl, not of bontea"
        )
    if config.algorithm.use_kl_in_reward:
        raise BonteaError("algorithm.use_kl_in_reward=true changes which response is best")
    fresh = adapter.Estimator(estimator.name, adapter.WHERE)
    return f"{fresh.prepare(config.algorithm, m=m).settings}, {m} rollouts per prompt"


FRAMEWORK = Framework(
    "verl",
    "verl",
    "0.9.1",
    versions=("0.9", "0.10"),
    use=(
        "algorithm.adv_estimator=bontea_adaptive_tea",
        "+algorithm.bontea.n=128",
        "actor_rollout_ref.rollout.n=16",
    ),
    off=(
        (
            "algorithm.use_kl_in_reward=false",
            "a KL inside the reward changes which response is best; use "
            "actor_rollout_ref.actor.use_kl_loss=true",
        ),
        (
            "algorithm.norm_adv_by_std_in_grpo",
            "no effect; +algorithm.bontea.scale=none|group|batch takes its place",
        ),
        (
            "algorithm.filter_groups",
            "drops prompts without a spread, which had zeros: the rest weigh more",
        ),
        (
            "actor_rollout_ref.actor.loss_agg_mode=seq-mean-token-mean",
            "divides by the length of each response: leave token-mean",
        ),
    ),
    module="verl",
    install="pip install verl==0.9.1",
    title="verl",
    hook="its registry, loaded by an entry point",
    probe=probe,
    settings=settings,
    environment=("verl==0.9.1 TransferQueue cachetools fastapi uvicorn",),
)
