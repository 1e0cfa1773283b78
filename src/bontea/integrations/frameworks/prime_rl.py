"""prime-rl. `bontea check prime_rl`: its dictionary of algorithms, on its own episodes."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any
from unittest import mock

import numpy as np

from bontea._errors import BonteaError
from bontea.integrations.frameworks.framework import Framework, Probed


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Probed:
    import verifiers.v1 as vf
    from prime_rl.configs.algorithm import MaxRLAlgoConfig
    from prime_rl.orchestrator import algo

    import bontea.integrations.prime_rl as adapter

    def episode(reward: float, group: str) -> Any:
        node = vf.MessageNode(
            message=vf.AssistantMessage(content="a"),
            token_ids=[1],
            mask=[True],
            logprobs=[-0.1],
            sampled=True,
            parent=None,
        )
        trace = vf.Trace[vf.TaskData](
            task=vf.TraceTask(type="Task", data=vf.TaskData(idx=0, prompt=None)),
            agent=vf.AgentInfo(config=vf.AgentConfig()),
            nodes=[node],
            rewards={"reward": vf.Reward(score=reward)},
            ok=True,
        )
        return vf.Episode(
            env=vf.EnvInfo(id="check", name="check"),
            task=trace.task,
            group=vf.GroupInfo(id=group),
            traces=[trace],
        )

    settings = json.dumps({"estimator": estimator, "n": n, "scale": "none"})
    with (
        mock.patch.dict(os.environ, BONTEA=settings),
        mock.patch.dict(algo.ALGORITHM_CLASSES),  # put back afterwards
    ):
        adapter.install()
        algorithm = algo.build_algorithm(MaxRLAlgoConfig(), None)
    advantages = np.zeros(len(rewards))
    for name in dict.fromkeys(ids.tolist()):
        own = np.flatnonzero(ids == name)
        episodes = [episode(float(rewards[row]), name) for row in own]
        asyncio.run(algorithm.finalize_group(episodes))
        advantages[own] = [e.traces[0].nodes[0].advantages[0] for e in episodes]
    path = "prime_rl.orchestrator.algo.build_algorithm and finalize_group"
    return Probed(advantages, path, "put into ALGORITHM_CLASSES by its orchestrator's start")


def settings(arguments: list[str]) -> str:
    """A TOML file of `rl` or `orchestrator`."""
    import tomllib

    import bontea.integrations.prime_rl as adapter
    from bontea.integrations._step import AdvantageStep
    from bontea.integrations.frameworks.probing import config_file

    found = tomllib.loads(config_file(arguments, "TOML").read_text(encoding="utf-8"))
    own = found.get("orchestrator", found)
    sources = own.get("train", {}).get("source", [])
    default = own.get("algo", {}).get("type", "grpo")
    kinds = [source.get("algo", {}).get("type", default) for source in sources] or [default]
    if adapter.NAME not in kinds:
        raise BonteaError(
            f'algo.type={kinds[0]!r}: set it to "{adapter.NAME}", whose place ours takes'
        )
    text = own.get("env_vars", {}).get("BONTEA") or found.get("env_vars", {}).get("BONTEA")
    read = adapter.settings_of(text)
    m = own.get("group_size")
    AdvantageStep(read, m)
    return f"{read}, {m or 'an unknown number of'} rollouts per prompt"


FRAMEWORK = Framework(
    "prime_rl",
    "prime-rl",
    "0.8.0 (559b447)",
    versions=("0.8", "0.9"),
    use=(
        "python -m bontea.integrations.prime_rl @ orchestrator.toml    # for `orchestrator`",
        "[algo]                       # [orchestrator.algo] in the file of `rl`",
        'type = "max_rl"              # ours takes its place',
        "[env_vars]                   # [orchestrator.env_vars] likewise",
        """BONTEA = '{"estimator": "adaptive_tea", "n": 128}'""",
    ),
    off=(
        ('scale = "batch"', "refused: prime-rl scores a group as soon as it is complete"),
        (
            "train.filter_zero_advantages",
            "takes rollouts with advantage 0 out of the average over tokens: set it to false to "
            "keep the weight of the others",
        ),
    ),
    module="prime_rl.orchestrator.algo",
    install="clone prime-rl and follow its documentation",
    title="prime-rl",
    hook="an entry of its table of algorithms, put there by our start of its orchestrator",
    probe=probe,
    settings=settings,
    estimator="tea",  # not one of the whole batch: prime-rl shows a group at a time
    environment=(
        # The release of its environments that this commit was made with.
        "verifiers==0.3.1 renderers>=0.1.9 prime-pydantic-config>=0.4.3 numpy msgspec pyzmq "
        "loguru orjson wandb modelexpress pyarrow psutil setproctitle uvloop",
    ),
    clone=("PRIME_RL/src", "PRIME_RL/packages/prime-rl-configs/src"),
)
