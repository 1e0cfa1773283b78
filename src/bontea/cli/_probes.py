"""For `bontea check`: one batch through a framework's own dispatch, and its settings, as it reads.

`probe_NAME(rewards, ids, estimator, n)` gives the advantages of the rows without a scale, and what
they went through. `settings_NAME(arguments)` reads what a launch script passes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

TOKENS = 4


def probe_verl(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Any:
    import torch
    import verl
    from omegaconf import OmegaConf
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY
    from verl.trainer.ppo.ray_trainer import compute_advantage

    loaded = f"bontea_{estimator}" in ADV_ESTIMATOR_REGISTRY  # by verl, before we import ours
    import bontea.integrations.verl  # noqa: F401

    tokens, mask = _tokens(rewards)
    data = verl.DataProto.from_dict(
        tensors={"token_level_rewards": tokens, "response_mask": mask},
        non_tensors={"uid": ids.astype(object)},
    )
    config = OmegaConf.create({"bontea": {"n": n, "scale": "none"}})
    out = compute_advantage(data, f"bontea_{estimator}", config=config)
    how = (
        "verl loaded the module by itself (entry point or VERL_USE_EXTERNAL_MODULES)"
        if loaded
        else "verl did NOT load the module by itself: install bontea with pip in the environment "
        "of every node, or set VERL_USE_EXTERNAL_MODULES=bontea.integrations.verl there"
    )
    advantages = out.batch["advantages"]
    assert isinstance(advantages, torch.Tensor)
    return advantages[:, 0].numpy(), "verl.trainer.ppo.ray_trainer.compute_advantage", how, loaded


def settings_verl(arguments: list[str]) -> str:
    from hydra import compose, initialize_config_module
    from hydra.errors import HydraException
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY

    import bontea.integrations.verl as adapter

    with initialize_config_module("verl.trainer.config", version_base=None):
        try:
            config = compose("ppo_trainer", overrides=arguments)
        except HydraException as error:
            raise ValueError(f"verl's config does not take this: {error}") from None
    name, m = config.algorithm.adv_estimator, config.actor_rollout_ref.rollout.n
    if name not in ADV_ESTIMATOR_REGISTRY:
        raise ValueError(f"algorithm.adv_estimator={name!r} is unknown to verl{_nearest(name)}")
    estimator = ADV_ESTIMATOR_REGISTRY[name]
    if not isinstance(estimator, adapter.Estimator):
        raise ValueError(f"algorithm.adv_estimator={name!r} is an estimator of verl, not of bontea")
    if config.algorithm.use_kl_in_reward:
        raise ValueError("algorithm.use_kl_in_reward=true changes which response is best")
    fresh = adapter.Estimator(estimator.name, adapter.WHERE)
    return f"{fresh.prepare(config.algorithm, m=m).settings}, {m} rollouts per prompt"


def probe_skyrl(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Any:
    from skyrl.backends.skyrl_train.utils.ppo_utils import compute_advantages_and_returns

    import bontea.integrations.skyrl as adapter

    cfg = adapter.read_config(
        [
            f"trainer.algorithm.advantage_estimator=bontea_{estimator}",
            f"trainer.algorithm.bontea.n={n}",
            "trainer.algorithm.bontea.scale=none",
            "generator.n_samples_per_prompt=16",
        ]
    )
    tokens, mask = _tokens(rewards)
    out, _ = compute_advantages_and_returns(
        tokens, mask, list(ids), f"bontea_{estimator}", cfg.trainer.algorithm
    )
    path = "skyrl.backends.skyrl_train.utils.ppo_utils.compute_advantages_and_returns"
    return out[:, 0].numpy(), path, "registered when the entry point is imported", True


def settings_skyrl(arguments: list[str]) -> str:
    import bontea.integrations.skyrl as adapter

    cfg = adapter.read_config(arguments)
    name, m = cfg.trainer.algorithm.advantage_estimator, cfg.generator.n_samples_per_prompt
    ours = dict(adapter.registered_names())
    if name not in ours:
        raise ValueError(f"trainer.algorithm.advantage_estimator={name!r}{_nearest(name)}")
    estimator = adapter.TokenEstimator(ours[name], adapter.WHERE)
    return f"{estimator.prepare(cfg.trainer.algorithm, m=m).settings}, {m} rollouts per prompt"


def probe_trinity(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Any:
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


def settings_trinity(arguments: list[str]) -> str:
    from omegaconf import OmegaConf

    from bontea.integrations._flat import FlatAdvantages
    from bontea.integrations._settings import read_settings
    from bontea.integrations.trinity import WHERE

    algorithm = OmegaConf.load(_file(arguments)).get("algorithm") or {}
    name = algorithm.get("advantage_fn")
    if name != "bontea.integrations.trinity.BestOfNAdvantage":
        raise ValueError(
            f"algorithm.advantage_fn={name!r}: set it to "
            "bontea.integrations.trinity.BestOfNAdvantage"
        )
    settings = read_settings(algorithm.get("advantage_fn_args"), where=WHERE)
    m = algorithm.get("repeat_times", 1)
    FlatAdvantages(settings, m)
    return f"{settings}, {m} rollouts per task"


def probe_slime(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Any:
    from types import SimpleNamespace

    from slime.utils.misc import load_function
    from slime.utils.types import Sample

    function = load_function("bontea.integrations.slime.post_process_rewards")
    group = {name: number for number, name in enumerate(dict.fromkeys(ids.tolist()))}
    samples = [
        Sample(group_index=group[name], index=row, rollout_id=row, reward=float(reward))
        for row, (name, reward) in enumerate(zip(ids.tolist(), rewards, strict=True))
    ]
    args = SimpleNamespace(
        advantage_estimator="grpo",
        normalize_advantages=False,
        n_samples_per_prompt=16,
        reward_key=None,
        bontea={"estimator": estimator, "n": n, "scale": "none"},
    )
    _, advantages = function(args, samples)
    return np.array(advantages), "slime.utils.misc.load_function, on its samples", "found", True


def settings_slime(arguments: list[str]) -> str:
    import yaml

    from bontea.integrations._flat import FlatAdvantages
    from bontea.integrations._settings import read_settings

    path = _file(arguments)
    found = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("bontea")
    if found is None:
        raise ValueError(f"{path} has no key `bontea`, such as bontea: {{estimator: tea, n: 128}}")
    settings = read_settings(found, where="bontea")
    FlatAdvantages(settings)
    return str(settings)


def probe_twinkle(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Any:
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


def probe_tinker(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Any:
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
    return advantages, "tinker_cookbook.rl.train.compute_advantages", "bound anew by install", True


def probe_trl(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Any:
    """One generation batch of GRPOTrainer with the toy policy; its last group is incomplete."""
    import tempfile

    from datasets import Dataset

    from bontea.demo import policy_folder, training_prompts
    from bontea.integrations.trl import BestOfNConfig, BestOfNTrainer

    names = list(dict.fromkeys(ids.tolist()))
    m = max(int((ids == name).sum()) for name in names)
    asked: list[float | None] = []
    for name in names:
        own = rewards[ids == name].tolist()
        asked += own + [None] * (m - len(own))
    got: list[Any] = []

    class Probe(BestOfNTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            out = super()._generate_and_score_completions(inputs)
            got.append(out["advantages"].clone())
            return out

    def reward(completions: list[str], **_: Any) -> list[float | None]:
        return asked

    with tempfile.TemporaryDirectory() as folder:
        args = BestOfNConfig(
            folder,
            estimator=estimator,
            deploy_n=n,
            advantage_scale="none",
            num_generations=m,
            per_device_train_batch_size=m * len(names),
            max_completion_length=2,
            max_steps=1,
            bf16=False,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        )
        prompts = Dataset.from_dict({"prompt": training_prompts()[: len(names)]})
        Probe(str(policy_folder()), reward, args, train_dataset=prompts).train()
    advantages, blocks = np.zeros(len(rewards)), got[0].cpu().numpy().reshape(-1, m)
    for name, block in zip(names, blocks, strict=True):
        own_rows = np.flatnonzero(ids == name)
        advantages[own_rows] = block[: len(own_rows)]
    return (
        advantages,
        "one step of GRPOTrainer with a toy policy",
        "a subclass of its trainer",
        True,
    )


def settings_python(arguments: list[str]) -> str:
    """`estimator=tea n=128 num_generations=16`, for frameworks that are set up in Python."""
    from bontea.integrations._flat import FlatAdvantages
    from bontea.integrations._settings import plain, read_settings

    given = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise ValueError(f"{argument!r} must be KEY=VALUE, such as n=128")
        given[key] = plain(value)
    m = given.pop("num_generations", None)
    settings = read_settings(given, where="settings")
    FlatAdvantages(settings, m)
    return str(settings)


PROBES = {
    "trl": probe_trl,
    "verl": probe_verl,
    "trinity": probe_trinity,
    "skyrl": probe_skyrl,
    "slime": probe_slime,
    "twinkle": probe_twinkle,
    "tinker": probe_tinker,
}
SETTINGS = {
    "verl": settings_verl,
    "trinity": settings_trinity,
    "skyrl": settings_skyrl,
    "slime": settings_slime,
}


def _tokens(rewards: np.ndarray) -> Any:
    """Rewards on the last of TOKENS tokens, and a mask of ones."""
    import torch

    tokens = torch.zeros(len(rewards), TOKENS)
    tokens[:, -1] = torch.tensor(rewards).float()
    return tokens, torch.ones(len(rewards), TOKENS, dtype=torch.long)


def _nearest(name: str) -> str:
    import difflib

    from bontea.integrations._tokens import registered_names

    near = difflib.get_close_matches(str(name), [known for known, _ in registered_names()], n=1)
    return f": did you mean {near[0]!r}?" if near else ": use bontea_adaptive_tea or another one"


def _file(arguments: list[str]) -> Path:
    if len(arguments) != 1 or not Path(arguments[0]).is_file():
        raise ValueError(f"{' '.join(arguments)!r} must be one YAML file")
    return Path(arguments[0])
