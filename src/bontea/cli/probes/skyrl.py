"""`bontea check skyrl`: its registry, and its command line."""

from __future__ import annotations

from typing import Any

import numpy as np

from bontea._errors import BonteaError
from bontea.cli.probes._common import nearest, on_tokens


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Any:
    from skyrl.backends.skyrl_train.utils.ppo_utils import compute_advantages_and_returns

    import bontea.integrations.skyrl as adapter

    cfg = adapter.read_config(
        [
            f"trainer.algorithm.advantage_estimator=bontea_{estimator}",
            f"trainer.algorithm.bontea.n={n}",
            "trainer.algorithm.bontea.scale=none",
            "generator.n_samples_per_prompt=16",
        ]
    )
    tokens, mask = on_tokens(rewards)
    out, _ = compute_advantages_and_returns(
        tokens, mask, list(ids), f"bontea_{estimator}", cfg.trainer.algorithm
    )
    path = "skyrl.backends.skyrl_train.utils.ppo_utils.compute_advantages_and_returns"
    return out[:, 0].numpy(), path, "registered when the entry point is imported", True


def settings(arguments: list[str]) -> str:
    import bontea.integrations.skyrl as adapter

    cfg = adapter.read_config(arguments)
    name, m = cfg.trainer.algorithm.advantage_estimator, cfg.generator.n_samples_per_prompt
    ours = dict(adapter.registered_names())
    if name not in ours:
        raise BonteaError(f"trainer.algorithm.advantage_estimator={name!r}{nearest(name)}")
    estimator = adapter.TokenEstimator(ours[name], adapter.WHERE)
    return f"{estimator.prepare(cfg.trainer.algorithm, m=m).settings}, {m} rollouts per prompt"
