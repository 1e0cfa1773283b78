"""prime-rl: its orchestrator with best-of-N advantages in the place of the algorithm `max_rl`.

    python -m bontea.integrations.prime_rl @ orchestrator.toml

    algo = { type = "max_rl" }
    env_vars = { BONTEA = '{"estimator": "adaptive_tea", "n": 128}' }

prime-rl names its algorithms in a union of config classes that is closed, so a new name would be
refused; what a name stands for is looked up in a dictionary when the orchestrator starts, and there
`max_rl`, which has no parameters, becomes ours. The settings are those of the environment variable.

A group is scored as soon as it is complete. So estimators of the whole batch see one group
(`adaptive_tea` those before it as well), there is no scale by the batch, and `scale` is "none" if
it is not given.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
from typing import Any

from bontea._errors import BonteaError
from bontea.integrations.frameworks import require_tested

require_tested("prime_rl")

from prime_rl.orchestrator import algo
from prime_rl.orchestrator.algo import Algorithm, assign_advantages
from prime_rl.orchestrator.algo.base import iter_trainable_traces

from bontea.integrations._settings import VARIABLE, Settings, as_dict, read_settings
from bontea.integrations._step import AdvantageStep

NAME = "max_rl"
"""The algorithm that ours takes the place of."""


def settings_of(text: str | None = None) -> Settings:
    """From JSON as in the environment variable, or from that itself."""
    where = f"${VARIABLE}"
    given = as_dict(text or os.environ.get(VARIABLE, "").strip() or None, where)
    scale = given.get("scale", "none")
    if scale == "batch":
        raise BonteaError(
            f'{where}.scale="batch": prime-rl scores a group as soon as it is complete, so there '
            'is no batch; use "none", or "group", which gives every prompt the same weight'
        )
    return dataclasses.replace(read_settings(given, where=where), scale=scale)


class BestOfNAlgorithm(Algorithm):
    """Best-of-N advantages of the rollouts of a group, failed ones left out."""

    def __init__(self, config: Any, policy_pool: Any):
        super().__init__(config, policy_pool)
        self._best_of_n = AdvantageStep(settings_of())

    async def score_group(self, episodes: list[Any]) -> None:
        """An advantage for every trace that can be trained on."""
        traces = [trace for _, trace in iter_trainable_traces(episodes)]
        advantages = self._best_of_n([trace.reward for trace in traces], [0] * len(traces))
        for trace, advantage in zip(traces, advantages.tolist(), strict=True):
            assign_advantages(trace, advantage)


def install() -> None:
    """In this process `max_rl` is ours from here on; ValueError for what cannot work."""
    AdvantageStep(settings_of())
    known = getattr(algo, "ALGORITHM_CLASSES", {}).get(NAME)
    if known is None or list(inspect.signature(known.score_group).parameters)[1:] != ["episodes"]:
        raise BonteaError("prime_rl.orchestrator.algo is not what this was written for")
    algo.ALGORITHM_CLASSES[NAME] = BestOfNAlgorithm


def main() -> None:
    """prime-rl's `orchestrator` command, after `install`."""
    install()
    from prime_rl.entrypoints.orchestrator import main as theirs

    theirs()


if __name__ == "__main__":
    main()
