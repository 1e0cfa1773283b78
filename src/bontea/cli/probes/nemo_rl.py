"""`bontea check nemo_rl`: its advantage estimator, as its trainers call it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from bontea.cli.probes._common import TOKENS, python_settings


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Any:
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
    return out[:, 0].numpy(), path, "its methods are replaced by install", True


settings = python_settings
