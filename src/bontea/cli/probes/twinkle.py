"""`bontea check twinkle`: a call as a loop makes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from bontea.cli.probes._common import python_settings


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Any:
    from twinkle.advantage import Advantage

    from bontea.integrations.twinkle import BestOfNAdvantage

    function: Advantage = BestOfNAdvantage(estimator, n=n, scale="none")
    advantages = function(rewards.tolist(), groups=ids)
    return (
        advantages.numpy(),
        "a call, as your loop makes it",
        "a twinkle.advantage.Advantage",
        True,
    )


settings = python_settings
