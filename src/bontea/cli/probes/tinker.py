"""`bontea check tinker`: the function that its trainer calls, on its own classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from bontea.cli.probes._common import python_settings


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Any:
    import tinker
    from tinker_cookbook.rl import train
    from tinker_cookbook.rl.types import Trajectory, TrajectoryGroup

    import bontea.integrations.tinker as adapter

    names = list(dict.fromkeys(ids.tolist()))
    rows = [np.flatnonzero(ids == name) for name in names]
    groups = [
        TrajectoryGroup(
            [Trajectory(transitions=[], final_ob=tinker.ModelInput.empty()) for _ in own],
            rewards[own].tolist(),
            [{} for _ in own],
        )
        for own in rows
    ]
    adapter.install(estimator, n=n, scale="none")
    try:
        parts = train.compute_advantages(groups)
    finally:
        adapter.uninstall()
    advantages = np.zeros(len(rewards))
    advantages[np.concatenate(rows)] = np.concatenate([part.numpy() for part in parts])
    return advantages, "tinker_cookbook.rl.train.compute_advantages", "bound anew by install", True


settings = python_settings
