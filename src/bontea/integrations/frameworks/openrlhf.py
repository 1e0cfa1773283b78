"""OpenRLHF. `bontea check openrlhf`: its experience maker, and the arguments of its command."""

from __future__ import annotations

import argparse
import json
import os
import runpy
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from bontea._errors import BonteaError
from bontea.integrations._settings import VARIABLE
from bontea.integrations.frameworks.framework import Framework, Probed
from bontea.integrations.frameworks.probing import TOKENS

PER_EXPERIENCE = 8


def maker(kl_coefficient: float = 0.0, **of: Any) -> Any:
    """Our experience maker with OpenRLHF's arguments that it reads; `of` replaces some."""
    import bontea.integrations.openrlhf as adapter

    args = SimpleNamespace(
        algo=SimpleNamespace(
            advantage=SimpleNamespace(estimator="rloo", gamma=1.0, lambd=1.0, no_std_norm=False),
            kl=SimpleNamespace(init_coef=kl_coefficient, use_loss=False),
        ),
        rollout=SimpleNamespace(n_samples_per_prompt=16, max_new_tokens=TOKENS),
        reward=SimpleNamespace(
            clip_range=(-1e6, 1e6), overlong_buffer_len=None, stop_properly_penalty_coef=None
        ),
        train=SimpleNamespace(async_enable=False),
    )
    for section, values in of.items():
        vars(getattr(args, section)).update(values)
    strategy, kl = SimpleNamespace(args=args), SimpleNamespace(value=kl_coefficient)
    return adapter.BestOfNExperienceMaker(None, None, None, None, kl, strategy, None)


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Probed:
    """OpenRLHF's groups are complete: a rollout that is missing has the reward NaN."""
    import torch
    from openrlhf.trainer.ppo_utils.experience import Experience

    names = list(dict.fromkeys(ids.tolist()))
    m = max(int((ids == name).sum()) for name in names)
    place = np.zeros(len(ids), int)
    for number, name in enumerate(names):
        own = np.flatnonzero(ids == name)
        place[own] = number * m + np.arange(len(own))
    asked = np.full(m * len(names), np.nan)
    asked[place] = rewards
    shuffled = np.random.default_rng(0).permutation(len(asked))
    experiences = [
        Experience(
            index=part.tolist(),
            rewards=torch.tensor(asked[part], dtype=torch.float32),
            action_mask=torch.ones(len(part), TOKENS, dtype=torch.bool),
            kl=torch.zeros(len(part), TOKENS),
        )
        for part in np.split(shuffled, np.arange(PER_EXPERIENCE, len(shuffled), PER_EXPERIENCE))
    ]
    settings = json.dumps({"estimator": estimator, "n": n, "scale": "none"})
    with mock.patch.dict(os.environ, {VARIABLE: settings}):
        out = maker(rollout={"n_samples_per_prompt": m})
    advantages = np.zeros(len(asked))
    for experience in out.compute_advantages_and_returns(experiences):
        advantages[experience.index] = experience.advantages[:, 0].numpy()
    path = "RemoteExperienceMaker.compute_advantages_and_returns"
    return Probed(advantages[place], path, "bound anew by python -m bontea.integrations.openrlhf")


def settings(arguments: list[str]) -> str:
    """The arguments of the command, which its own parser reads, and `$BONTEA`."""
    from openrlhf.utils.config import hierarchize

    import bontea.integrations.openrlhf as adapter

    class Parsed(Exception):
        """Stops the command where it has its arguments."""

    def parse(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        parser.error = _refuse  # type: ignore[method-assign, assignment]
        args, unknown = parser.parse_known_args(arguments)
        if unknown:
            _refuse(f"unknown {' '.join(unknown)}")
        raise Parsed(args)

    with mock.patch.object(argparse.ArgumentParser, "parse_args", parse):
        try:
            runpy.run_module(adapter.COMMAND, run_name="__main__")
        except Parsed as parsed:
            args = hierarchize(parsed.args[0])
    adapter.require_plain(args)
    found, m = adapter.read_settings(where=adapter.WHERE), args.rollout.n_samples_per_prompt
    adapter.AdvantageStep(found, m)
    return f"{found}, {m} rollouts per prompt"


def _refuse(message: str) -> None:
    raise BonteaError(f"train_ppo_ray does not take this: {message}")


FRAMEWORK = Framework(
    "openrlhf",
    "openrlhf",
    "0.11.2",
    versions=("0.11", "0.12"),
    use=(
        """export BONTEA='{"estimator": "adaptive_tea", "n": 128}'""",
        "python -m bontea.integrations.openrlhf --algo.advantage.estimator rloo",
        "       --rollout.n_samples_per_prompt 16 ...    # as openrlhf.cli.train_ppo_ray",
    ),
    off=(
        (
            "--algo.kl.use_loss",
            "without it --algo.kl.init_coef is subtracted from the advantage of each token",
        ),
        ("--reward.clip_range", "clips the advantages: leave -10 10, which few reach"),
        (
            "--algo.dynamic_filtering_enable",
            "drops prompts by their score, most of which had zeros: the rest weigh more",
        ),
        ("--train.async_enable", "is refused: it has a trainer of its own"),
    ),
    module="openrlhf.trainer.ppo_trainer",
    install="pip install 'openrlhf[vllm]==0.11.2'",
    title="OpenRLHF",
    hook="its command, with its experience maker bound anew",
    probe=probe,
    settings=settings,
    environment=(
        # DeepSpeed, flash-attn and vLLM need a GPU: the tests put empty modules there.
        "--no-deps openrlhf==0.11.2",
        "ray[default]==2.55.0 transformers==5.15.0 accelerate datasets peft loralib tqdm "
        "jsonlines einops pylatexenc sympy torchdata tensorboard optree",
    ),
)
