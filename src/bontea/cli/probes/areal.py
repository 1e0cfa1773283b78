"""`bontea check areal`: its PPOActor, from rewards to the advantages of tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from bontea._errors import BonteaError
from bontea.cli.probes._common import TOKENS


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Any:
    import torch

    import bontea.integrations.areal as adapter

    names = list(dict.fromkeys(ids.tolist()))
    rows = [np.flatnonzero(ids == name) for name in names]
    data = []
    for own in rows:
        ones = torch.ones(len(own), 1 + TOKENS)
        mask = ones.clone()
        mask[:, 0] = 0
        data.append(
            {
                "input_ids": ones.long(),
                "attention_mask": ones.long(),
                "loss_mask": mask.long(),
                "logprobs": torch.zeros_like(ones),
                "rewards": torch.tensor(rewards[own]).float(),
            }
        )
    settings = {"estimator": estimator, "n": n, "scale": "none"}
    config = adapter.BestOfNActorConfig(backend="fsdp:d1", kl_ctl=0.0, bontea=settings)
    out = adapter.BestOfNActor(config, None).compute_advantages(data)
    advantages = np.zeros(len(rewards))
    for own, group in zip(rows, out, strict=True):
        advantages[own] = group["advantages"][:, 0].numpy()
    return advantages, "areal.trainer.ppo.actor.PPOActor, subclassed", "a subclass", True


def settings(arguments: list[str]) -> str:
    """A YAML file of AReaL and what is changed in it, as its launch scripts take them."""
    from areal.api.cli_args import parse_cli_args, to_structured_cfg
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    import bontea.integrations.areal as adapter

    file, *overrides = [a for a in arguments if a != "--config"]
    try:
        found, _ = parse_cli_args(["--config", file, *overrides])
        config = OmegaConf.to_object(to_structured_cfg(found, adapter.BestOfNConfig))
    except (AssertionError, HydraException, OmegaConfBaseException) as error:
        raise BonteaError(f"AReaL's config does not take this: {error}") from None
    if config.critic is not None:
        raise BonteaError("critic: its values would be subtracted from the advantages")
    m = config.gconfig.n_samples
    return f"{adapter.prepare(config.actor, m).settings}, {m} rollouts per prompt"
