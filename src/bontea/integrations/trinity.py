"""Trinity-RFT: an advantage function named by its dotted path in the YAML, nothing to register.

    algorithm:
      algorithm_type: grpo
      advantage_fn: bontea.integrations.trinity.BestOfNAdvantage
      advantage_fn_args: {estimator: adaptive_tea, n: 128}

It runs where Trinity computes group advantages, in the experience pipeline before the buffer, on
all experiences of one explore step. Steps of one run (`eid.run`, `eid.step`) are one rollout: the
last one's reward counts, once, and all get its advantage, on the tokens of `action_mask`. Where a
workflow leaves `run` and `step` alone, every experience is a rollout.

Algorithms that compute advantages in the trainer (ppo, rloo, reinforceplusplus, ...) hand over
another kind of batch: keep `algorithm_type: grpo` or another one of its kind.
"""

from __future__ import annotations

from typing import Any

from bontea._errors import BonteaError
from bontea.integrations.frameworks import require_tested

require_tested("trinity")

import torch
from trinity.algorithm.advantage_fn import GroupAdvantage
from trinity.common.experience import Experience, group_by

from bontea.integrations._settings import read_settings
from bontea.integrations._step import AdvantageStep

WHERE = "algorithm.advantage_fn_args"


class BestOfNAdvantage(GroupAdvantage):
    """Best-of-N advantages for the experiences of a batch.

    The arguments are `estimator`, `n`, `alpha`, `scale`, `seed`, and parameters of the estimator.
    ValueError for what cannot work, when Trinity builds the function.
    """

    def __init__(self, **settings: Any) -> None:
        self._best_of_n = AdvantageStep(read_settings(settings, where=WHERE))

    def process(self, exps: list[Experience]) -> tuple[list[Experience], dict[str, float]]:
        """Sets `advantages` and `returns` of every experience; the list stays in its order."""
        if not exps:
            return [], {}
        steps = [(exp.eid.rid, exp.eid.step) for exp in exps]
        runs = len(set(steps)) == len(steps)  # otherwise the workflow does not number them
        advantages = self._best_of_n(
            [exp.reward for exp in exps],
            [str(exp.eid.tid) for exp in exps],
            rollouts=[run for run, _ in steps] if runs else None,
            order=[step for _, step in steps] if runs else None,
        )
        for exp, advantage in zip(exps, torch.tensor(advantages, dtype=torch.float32), strict=True):
            if exp.action_mask is None:
                raise BonteaError(
                    f"experience {exp.eid} has no action_mask: its advantage has no tokens to go to"
                )
            exp.advantages = exp.action_mask * advantage
            exp.returns = exp.advantages.clone()
        return exps, {f"best_of_n/{name}": value for name, value in self._best_of_n.metrics.items()}

    def group_experiences(self, exps: list[Experience]) -> dict[str, list[Experience]]:
        """By task, as `process` does it."""
        return group_by(exps, id_type="task")

    def calculate_group_advantage(
        self, group_id: str, exps: list[Experience]
    ) -> tuple[list[Experience], dict[str, float]]:
        """One group by itself. Trinity calls `process`, where estimators see the whole batch."""
        return self.process(exps)

    @classmethod
    def default_args(cls) -> dict[str, Any]:
        """Where `advantage_fn_args` is left out: the environment variable `BONTEA`, or defaults."""
        return {}
