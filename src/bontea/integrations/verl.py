"""verl: estimators under the names `bontea_tea`, `bontea_max_at_k`, ..., loaded by verl itself.

    python -m verl.trainer.main_ppo algorithm.adv_estimator=bontea_tea +algorithm.bontea.n=128 ...

verl finds this module by the entry point in the group `verl.plugins` (verl 0.9 and newer), or by
`VERL_USE_EXTERNAL_MODULES=bontea.integrations.verl` in the environment of every node. `bontea`
without an estimator takes it from `+algorithm.bontea.estimator`, which may be `module:function`.

The trainer calls an estimator once a step with the whole batch, rows in any order and prompts
named by `uid`. Rows without response tokens are verl's padding. If an agent leaves several rows of
one session, its last output counts, once, as verl does it for its own `grpo`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, register_adv_est

from bontea.advantages import ADVANTAGES
from bontea.integrations._flat import FlatAdvantages
from bontea.integrations._settings import read_settings, section
from bontea.integrations._tokens import rollout_rewards, to_tokens, without_tokens

PREFIX = "bontea_"
WHERE = "algorithm.bontea"


class Estimator:
    """What verl's registry holds: `(token_level_rewards, response_mask, ...) -> (A, returns)`.

    Both are `(B, T)` and the same, as for verl's estimators without a critic.
    """

    def __init__(self, name: str | None):
        self.name = name
        self._flat: FlatAdvantages | None = None

    def prepare(self, config: Any, m: int | None = None) -> FlatAdvantages:
        """Read `algorithm.bontea` of the config; ValueError for what cannot work."""
        settings = read_settings(section(config, "bontea"), where=WHERE, estimator=self.name)
        if self._flat is None or self._flat.settings != settings or m:
            self._flat = FlatAdvantages(settings, m)
        return self._flat

    def __call__(
        self,
        token_level_rewards: torch.Tensor,
        response_mask: torch.Tensor,
        index: Any = None,
        config: Any = None,
        **_: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if index is None:
            raise ValueError(
                "verl passed no prompt ids (`uid` in non_tensor_batch), which best-of-N advantages "
                "need to know the rollouts of a prompt"
            )
        flat = self.prepare(config)
        sessions, turns = _sessions(len(response_mask))
        advantages = flat(
            rollout_rewards(token_level_rewards),
            index,
            rollouts=sessions,
            order=turns,
            padding=without_tokens(response_mask),
        )
        spread = to_tokens(advantages, response_mask)
        return spread, spread


def _sessions(rows: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The agent session of every row and its place in it, from the keys `{uid}_{session}_{turn}`.

    verl hands the keys to `compute_advantage_for_multi_trajectories`, and uses them for `grpo`
    alone. They are read there, a few calls up; where that function is not on the way (older
    trainers, which know no such sessions) every row is a rollout.
    """
    frame = sys._getframe(1)
    for _ in range(6):
        if frame is None:
            break
        if frame.f_code.co_name == "compute_advantage_for_multi_trajectories":
            keys = frame.f_locals.get("batch_keys")
            if keys is not None and len(keys) == rows:
                parts = [str(key).rpartition("_") for key in keys]
                if all(turn.isdigit() for *_, turn in parts):
                    return np.array([p[0] for p in parts]), np.array([int(p[2]) for p in parts])
        frame = frame.f_back  # type: ignore[assignment]
    return None, None


def register() -> list[str]:
    """Put every estimator into verl's registry, under the names that are returned."""
    names = {f"{PREFIX}{name}": name for name in ADVANTAGES} | {"bontea": None}
    for registered, name in names.items():
        if registered not in ADV_ESTIMATOR_REGISTRY:
            register_adv_est(registered)(Estimator(name))
    return list(names)


register()
