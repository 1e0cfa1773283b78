"""`bontea check verl`: its dispatch by name, and its hydra config."""

from __future__ import annotations

from typing import Any

import numpy as np

from bontea._errors import BonteaError
from bontea.cli.probes._common import nearest, on_tokens


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Any:
    import torch
    import verl
    from omegaconf import OmegaConf
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY
    from verl.trainer.ppo.ray_trainer import compute_advantage

    loaded = f"bontea_{estimator}" in ADV_ESTIMATOR_REGISTRY  # by verl, before we import ours
    import bontea.integrations.verl  # noqa: F401

    tokens, mask = on_tokens(rewards)
    data = verl.DataProto.from_dict(
        tensors={"token_level_rewards": tokens, "response_mask": mask},
        non_tensors={"uid": ids.astype(object)},
    )
    config = OmegaConf.create({"bontea": {"n": n, "scale": "none"}})
    out = compute_advantage(data, f"bontea_{estimator}", config=config)
    how = (
        "verl loaded the module by itself (entry point or VERL_USE_EXTERNAL_MODULES)"
        if loaded
        else "verl did NOT load the module by itself: install bontea with pip in the environment "
        "of every node, or set VERL_USE_EXTERNAL_MODULES=bontea.integrations.verl there"
    )
    advantages = out.batch["advantages"]
    assert isinstance(advantages, torch.Tensor)
    return advantages[:, 0].numpy(), "verl.trainer.ppo.ray_trainer.compute_advantage", how, loaded


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
