"""`bontea check trinity`: its registry and operator, and a YAML of a job."""

from __future__ import annotations

from typing import Any

import numpy as np

from bontea._errors import BonteaError
from bontea.cli.probes._common import TOKENS, yaml_file


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Any:
    import asyncio

    import torch
    from trinity.algorithm.advantage_fn import ADVANTAGE_FN
    from trinity.buffer.operators.experience_operator import ensure_v1_operator
    from trinity.common.experience import EID, Experience

    cls = ADVANTAGE_FN.get("bontea.integrations.trinity.BestOfNAdvantage")
    operator = ensure_v1_operator(cls(estimator=estimator, n=n, scale="none"))
    exps = [
        Experience(
            eid=EID(batch=0, task=str(task), run=row),
            tokens=torch.arange(1 + TOKENS),
            prompt_length=1,
            logprobs=torch.zeros(TOKENS),
            reward=float(reward),
        )
        for row, (task, reward) in enumerate(zip(ids, rewards, strict=True))
    ]
    exps, _ = asyncio.run(operator.process(exps))
    advantages = np.array([float(exp.advantages[0]) for exp in exps])
    return advantages, "trinity.algorithm.ADVANTAGE_FN and its operator", "found by its path", True


def settings(arguments: list[str]) -> str:
    from omegaconf import OmegaConf

    from bontea.integrations._flat import FlatAdvantages
    from bontea.integrations._settings import read_settings
    from bontea.integrations.trinity import WHERE

    algorithm = OmegaConf.load(yaml_file(arguments)).get("algorithm") or {}
    name = algorithm.get("advantage_fn")
    if name != "bontea.integrations.trinity.BestOfNAdvantage":
        raise BonteaError(
            f"algorithm.advantage_fn={name!r}: set it to "
            "bontea.integrations.trinity.BestOfNAdvantage"
        )
    settings = read_settings(algorithm.get("advantage_fn_args"), where=WHERE)
    m = algorithm.get("repeat_times", 1)
    FlatAdvantages(settings, m)
    return f"{settings}, {m} rollouts per task"
