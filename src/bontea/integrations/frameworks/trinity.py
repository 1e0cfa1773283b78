"""Trinity-RFT. `bontea check trinity`: its registry and operator, and a YAML of a job."""

from __future__ import annotations

import numpy as np

from bontea._errors import BonteaError
from bontea.integrations.frameworks.framework import Framework, Probed
from bontea.integrations.frameworks.probing import TOKENS, yaml_file


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Probed:
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
    return Probed(
        advantages, "trinity.algorithm.ADVANTAGE_FN and its operator", "found by its path"
    )


def settings(arguments: list[str]) -> str:
    from omegaconf import OmegaConf

    from bontea.integrations._settings import read_settings
    from bontea.integrations._step import AdvantageStep
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
    AdvantageStep(settings, m)
    return f"{settings}, {m} rollouts per task"


FRAMEWORK = Framework(
    "trinity",
    "trinity-rft",
    "0.6.0",
    versions=("0.6", "0.7"),
    use=(
        "algorithm:",
        "  algorithm_type: grpo",
        "  repeat_times: 16",
        "  advantage_fn: bontea.integrations.trinity.BestOfNAdvantage",
        "  advantage_fn_args: {estimator: adaptive_tea, n: 128}",
    ),
    off=(
        ("algorithm.kl_penalty_fn: none", "a KL inside the reward changes what is best"),
        (
            "algorithm_type",
            "ppo, rloo, reinforceplusplus and others compute advantages in the trainer: "
            "keep grpo or one like it",
        ),
        (
            "data_processor.experience_pipeline.operators",
            "filters and reward shaping run before: they change the groups",
        ),
    ),
    module="trinity",
    install="pip install trinity-rft==0.6.0",
    title="Trinity-RFT",
    hook="a class path in the YAML",
    probe=probe,
    settings=settings,
    environment=(
        # It asks for transformers>=5.12, the verl that it builds on for less than 5.11.
        "verl==0.9.1 cachetools fastapi uvicorn",
        "--no-deps trinity-rft==0.6.0",
        "sqlalchemy aiosqlite sortedcontainers math_verify openai jsonlines nvidia-ml-py "
        "word2number",
    ),
)
