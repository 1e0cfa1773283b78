"""tinker-cookbook. `bontea check tinker`: the function its trainer calls, on its own classes."""

from __future__ import annotations

import numpy as np

from bontea.integrations.frameworks.framework import Framework, Probed
from bontea.integrations.frameworks.probing import python_settings


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Probed:
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
    return Probed(
        advantages, "tinker_cookbook.rl.train.compute_advantages", "bound anew by install"
    )


FRAMEWORK = Framework(
    "tinker",
    "tinker-cookbook",
    "0.6.1",
    versions=("0.6", "0.7"),
    use=(
        "import bontea.integrations.tinker",
        'bontea.integrations.tinker.install("adaptive_tea", n=128)',
        "asyncio.run(tinker_cookbook.rl.train.main(config))",
    ),
    off=(
        (
            "kl_penalty_coef",
            "is added to the advantages: choose it for advantages of unit size",
        ),
        (
            "stream_minibatch_config",
            "the estimator then sees one minibatch of groups at a time",
        ),
    ),
    module="tinker_cookbook",
    install="pip install tinker-cookbook==0.6.1",
    title="tinker-cookbook",
    hook="two functions bound anew",
    probe=probe,
    settings=python_settings,
    environment=(
        # It asks for a tml-renderers that the registry does not have; the tested code needs none.
        "--no-deps tinker-cookbook==0.6.1",
        "tinker>=0.38 aiohttp anyio blobfile chz cloudpickle datasets huggingface-hub pillow "
        "pydantic pyrage rich safetensors termcolor tiktoken tqdm transformers==5.10.4 "
        "tml-renderers",
    ),
)
