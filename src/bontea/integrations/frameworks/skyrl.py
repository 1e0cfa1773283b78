"""SkyRL. `bontea check skyrl`: its registry, and its command line."""

from __future__ import annotations

import numpy as np

from bontea._errors import BonteaError
from bontea.integrations.frameworks.framework import Framework, Probed
from bontea.integrations.frameworks.probing import nearest, on_tokens, registered, settings_for


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Probed:
    from skyrl.backends.skyrl_train.utils.ppo_utils import compute_advantages_and_returns

    import bontea.integrations.skyrl as adapter

    name = registered(estimator)
    cfg = adapter.read_config(
        [
            f"trainer.algorithm.advantage_estimator={name}",
            *(
                f"trainer.algorithm.bontea.{key}={value}"
                for key, value in settings_for(estimator, n).items()
            ),
            "generator.n_samples_per_prompt=16",
        ]
    )
    tokens, mask = on_tokens(rewards)
    out, _ = compute_advantages_and_returns(tokens, mask, list(ids), name, cfg.trainer.algorithm)
    path = "skyrl.backends.skyrl_train.utils.ppo_utils.compute_advantages_and_returns"
    return Probed(out[:, 0].numpy(), path, "registered when the entry point is imported")


def settings(arguments: list[str]) -> str:
    import bontea.integrations.skyrl as adapter

    cfg = adapter.read_config(arguments)
    name, m = cfg.trainer.algorithm.advantage_estimator, cfg.generator.n_samples_per_prompt
    ours = dict(adapter.registered_names())
    if name not in ours:
        raise BonteaError(f"trainer.algorithm.advantage_estimator={name!r}{nearest(name)}")
    estimator = adapter.TokenEstimator(ours[name], adapter.WHERE)
    return f"{estimator.prepare(cfg.trainer.algorithm, m=m).settings}, {m} rollouts per prompt"


FRAMEWORK = Framework(
    "skyrl",
    "skyrl",
    "0.4.0",
    versions=("0.4", "0.5"),
    use=(
        "trainer.override_entrypoint=bontea.integrations.skyrl",
        "trainer.algorithm.advantage_estimator=bontea_adaptive_tea",
        "trainer.algorithm.bontea.n=128",
        "generator.n_samples_per_prompt=16",
    ),
    off=(
        (
            "trainer.algorithm.advantage_batch_normalize=false",
            "shifts and divides the advantages again",
        ),
        (
            "trainer.algorithm.use_kl_in_reward=false",
            "a KL inside the reward changes what is best; use_kl_loss is fine",
        ),
        (
            "trainer.algorithm.grpo_norm_by_std",
            "no effect; trainer.algorithm.bontea.scale takes its place",
        ),
        (
            "trainer.algorithm.zero_variance_filter",
            "masks prompts without a spread, which had zeros: the rest weigh more",
        ),
        (
            "trainer.algorithm.loss_reduction=sequence_mean",
            "divides by the length of each response: leave token_mean",
        ),
    ),
    module="skyrl",
    install="pip install 'skyrl[fsdp]==0.4.0', with Python 3.12 or newer",
    title="SkyRL",
    hook="its registry, and an entry point with our config field",
    probe=probe,
    settings=settings,
    environment=(
        "skyrl==0.4.0 skyrl-gym ray==2.57.0 hydra-core==1.3.4 omegaconf loguru tqdm tensordict "
        "torchdata jaxtyping accelerate polars func_timeout tensorboard wandb orjson pybase64 "
        "fastapi uvicorn aiohttp",
    ),
)
