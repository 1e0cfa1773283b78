"""twinkle. `bontea check twinkle`: a call as a loop makes it."""

from __future__ import annotations

import numpy as np

from bontea.integrations.frameworks.framework import Framework, Probed
from bontea.integrations.frameworks.probing import python_settings


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Probed:
    from twinkle.advantage import Advantage

    from bontea.integrations.twinkle import BestOfNAdvantage

    function: Advantage = BestOfNAdvantage(estimator, n=n, scale="none")
    advantages = function(rewards.tolist(), groups=ids)
    return Probed(
        advantages.numpy(), "a call, as your loop makes it", "a twinkle.advantage.Advantage"
    )


FRAMEWORK = Framework(
    "twinkle",
    "twinkle-kit",
    "0.5.1",
    versions=("0.5", "0.6"),
    use=(
        "from bontea.integrations.twinkle import BestOfNAdvantage",
        'advantage_fn = BestOfNAdvantage("adaptive_tea", n=128)',
        "advantages = advantage_fn(rewards, num_generations=16)",
    ),
    off=(
        (
            "scale='group' in the call",
            "gives every prompt the same weight; leave it out to keep the estimator's",
        ),
    ),
    module="twinkle.advantage",
    install="pip install twinkle-kit==0.5.1",
    title="twinkle",
    hook="an `Advantage` object",
    probe=probe,
    settings=python_settings,
    environment=("twinkle-kit==0.5.1",),
)
