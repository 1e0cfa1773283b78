"""NeMo-RL. `bontea check nemo_rl`: its advantage estimator, as its trainers call it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from bontea.integrations.frameworks.framework import Framework, Probed
from bontea.integrations.frameworks.probing import TOKENS, python_settings


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Probed:
    import torch
    from nemo_rl.algorithms.advantage_estimator import GRPOAdvantageEstimator

    import bontea.integrations.nemo_rl as adapter

    number = {name: i for i, name in enumerate(dict.fromkeys(ids.tolist()))}
    prompts = torch.tensor([[number[name], 0] for name in ids.tolist()])
    settings = {"estimator": estimator, "n": n, "scale": "none"}
    adapter.install()
    try:
        ours = GRPOAdvantageEstimator(SimpleNamespace(name="grpo", bontea=settings), None)
        mask = torch.ones(len(rewards), TOKENS)
        out = ours.compute_advantage(prompts, torch.tensor(rewards).float(), mask)
    finally:
        adapter.uninstall()
    path = "nemo_rl.algorithms.advantage_estimator.GRPOAdvantageEstimator"
    return Probed(out[:, 0].numpy(), path, "its methods are replaced by install")


FRAMEWORK = Framework(
    "nemo_rl",
    "nemo-rl",
    "0.6.0 (7ea279a)",
    versions=("0.6", "0.8"),
    use=(
        "python -m bontea.integrations.nemo_rl examples/run_grpo.py --config grpo.yaml \\",
        "    grpo.adv_estimator.name=grpo \\",
        "    '++grpo.adv_estimator.bontea={estimator: adaptive_tea, n: 128}'",
    ),
    off=(
        (
            "grpo.adv_estimator.normalize_rewards, use_leave_one_out_baseline",
            "no effect: that code is replaced",
        ),
        ("grpo.advantage_clip_low, advantage_clip_high", "clip the advantages; leave them out"),
        (
            "grpo.use_dynamic_sampling",
            "drops prompts without a spread, which had zeros: the rest weigh more",
        ),
        ("grpo.reward_scaling, reward_shaping", "are done before, to the rewards"),
    ),
    module="nemo_rl.algorithms.advantage_estimator",
    install="clone NeMo-RL and follow its documentation",
    title="NeMo-RL",
    hook="methods of its GRPO estimator, replaced by our start of its script",
    probe=probe,
    settings=python_settings,
    environment=(
        "numpy pydantic requests pillow transformers==5.10.4 nvidia-ml-py uvicorn fastapi mlflow "
        "ray swanlab wandb tensorboard prometheus_client hydra-core torchdata datasets pyzmq",
    ),
    clone=("NEMO_RL",),
)
