"""verl: estimators under the names `bontea_adaptive_tea`, `bontea_max_at_k`, ..., which verl loads.

    python -m verl.trainer.main_ppo algorithm.adv_estimator=bontea_adaptive_tea \\
        +algorithm.bontea.n=128 ...

verl finds this module by the entry point in the group `verl.plugins` (verl 0.9 and newer), or by
`VERL_USE_EXTERNAL_MODULES=bontea.integrations.verl` in the environment of every node. `bontea`
without an estimator takes it from `+algorithm.bontea.estimator`, which may be `module:function`.

The trainer calls an estimator once a step with the whole batch, rows in any order and prompts
named by `uid`. Rows without response tokens are verl's padding. If an agent leaves several rows of
one session, its last output counts, once, as verl does it for its own `grpo`.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

from bontea.integrations.frameworks import UntestedVersionError, require_tested

try:
    require_tested("verl")
except UntestedVersionError as error:
    # verl hides what a plugin raises. So this warns, even where the import below fails, and the
    # estimators raise when one is used; a job of verl's own estimators can go on.
    warnings.warn(str(error), stacklevel=1)

import numpy as np
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, register_adv_est

from bontea.integrations._step import AdvantageStep
from bontea.integrations._tokens import TokenEstimator, registered_names

WHERE = "algorithm.bontea"


class Estimator(TokenEstimator):
    """An entry of verl's registry."""

    def prepare(self, config: Any, m: int | None = None) -> AdvantageStep:
        """UntestedVersionError at the first use, beside what the settings may raise."""
        if self._best_of_n is None:
            require_tested("verl")
        return super().prepare(config, m)

    def sessions(self, rows: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        """From verl's row keys `{uid}_{session}_{turn}`.

        verl hands the keys to `compute_advantage_for_multi_trajectories` and uses them for `grpo`
        alone. They are read there, a few calls up; where that function is not on the way (older
        trainers, which know no such sessions) every row is a rollout.
        """
        frame = sys._getframe(1)
        for _ in range(8):
            if frame is None:
                break
            if frame.f_code.co_name == "compute_advantage_for_multi_trajectories":
                keys = frame.f_locals.get("batch_keys")
                parts = [str(key).rpartition("_") for key in ([] if keys is None else keys)]
                if len(parts) == rows and all(turn.isdigit() for *_, turn in parts):
                    return np.array([p[0] for p in parts]), np.array([int(p[2]) for p in parts])
            frame = frame.f_back  # type: ignore[assignment]
        return None, None


def register() -> None:
    """Put every estimator into verl's registry; done when this module is imported."""
    for registered, name in registered_names():
        if registered not in ADV_ESTIMATOR_REGISTRY:
            register_adv_est(registered)(Estimator(name, WHERE))


register()
