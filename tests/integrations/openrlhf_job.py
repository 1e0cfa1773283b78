"""Run by test_openrlhf.py: OpenRLHF's command up to where it needs a GPU, its trainer in Ray.

    openrlhf_job.py OUT [argument of the command ...]

The command makes its trainer, a Ray actor, and then starts the models; the groups of models are
replaced, so it stops there. The actor is then asked for advantages, which go to OUT.
"""

import sys
from types import SimpleNamespace

import numpy as np
import ray
from openrlhf.trainer import ppo_trainer
from openrlhf.trainer.ray import launcher
from openrlhf_parts import experiences_of

import bontea.integrations.openrlhf as adapter


class Started(Exception):
    """The models would start now."""


class Group:
    def __init__(self, *_, **__):
        pass

    def async_init_model_from_pretrained(self, *_):
        raise Started


def advantages(trainer, experiences):
    """In the actor's process."""
    maker = trainer.experience_maker
    parts = maker.compute_advantages_and_returns(experiences)
    rows = [
        (i, a) for p in parts for i, a in zip(p.index, p.advantages[:, 0].tolist(), strict=True)
    ]
    return type(maker).__name__, [a for _, a in sorted(rows)]


out = sys.argv.pop(1)
ray.init(num_cpus=2, include_dashboard=False)
launcher.RayActorGroup = Group
adapter.install()
actor, made = ppo_trainer.PPOTrainer, []
ppo_trainer.PPOTrainer = SimpleNamespace(
    remote=lambda *a, **k: made.append(actor.remote(*a, **k)) or made[0]
)
try:
    adapter.main()
except Started:
    rewards = np.random.default_rng(0).normal(size=64).round(1)
    call = made[0].__ray_call__.remote(advantages, experiences_of(rewards))
    name, got = ray.get(call)
    np.savez(out, name=name, got=got, rewards=rewards)
