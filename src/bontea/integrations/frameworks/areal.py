"""AReaL. `bontea check areal`: its PPOActor, from rewards to the advantages of tokens."""

from __future__ import annotations

import numpy as np

from bontea._errors import BonteaError
from bontea.integrations.frameworks.framework import Framework, Probed
from bontea.integrations.frameworks.probing import TOKENS


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Probed:
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
    return Probed(advantages, "areal.trainer.ppo.actor.PPOActor, subclassed", "a subclass")


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


FRAMEWORK = Framework(
    "areal",
    "areal",
    "1.0.4",
    versions=("1.0", "1.1"),
    use=(
        "from bontea.integrations.areal import BestOfNConfig, BestOfNTrainer",
        "config, _ = load_expr_config(args, BestOfNConfig)   # in the place of GRPOConfig",
        "with BestOfNTrainer(config, train_dataset=...) as trainer:    # and of PPOTrainer",
        "    # YAML: actor: {bontea: {estimator: adaptive_tea, n: 128}}",
    ),
    off=(
        ("actor.reward_norm", "no effect: that code is replaced"),
        ("actor.reward_bias, reward_scaling, reward_clip", "no effect: rewards come as they are"),
        ("actor.adv_norm", "refused: it shifts and divides the advantages again"),
        ("actor.overlong_reward_penalty", "refused: put the penalty into the reward function"),
        ("actor.discount, gae_lambda", "refused unless 1: a rollout has one advantage"),
        ("critic", "refused: its values would be subtracted from the advantages"),
        ("actor.kl_ctl", "set it to 0: it is added to the advantages, without ref as well"),
    ),
    module="areal",
    install="pip install areal==1.0.4",
    title="AReaL",
    hook="subclasses of its trainer and engine",
    probe=probe,
    settings=settings,
    environment=(
        # It asks for torch<2.11 and for what its agents and inference servers need.
        "--no-deps areal==1.0.4",
        "aiohttp httpx colorlog tenacity flask torchdata numpy<2.4 lark uvloop pillow numba orjson "
        "hydra-core==1.4.0.dev1 omegaconf==2.4.0.dev2 transformers==5.3.0 ray==2.60.0 einops "
        "aiofiles openai datasets swanlab trackio wandb tensorboardx tabulate pybase64",
        "--no-deps peft==0.18.1 accelerate",
    ),
)
