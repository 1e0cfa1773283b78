"""Run by test_swift.py with torchrun: a group of 8 rollouts is split over two processes."""

import os
import sys
from pathlib import Path

import numpy as np
from swift.pipelines.train.rlhf import SwiftRLHF
from swift.rewards import ORM, orms
from tests.integrations.batches import core

from bontea.demo import training_prompts
from bontea.integrations.frameworks.swift import toy_job

M, OWN = 8, 12
RANK = int(os.environ["RANK"])
MINE = slice(RANK * OWN, (RANK + 1) * OWN)
REWARDS = np.round(np.random.default_rng(0).normal(size=2 * OWN) * 64) / 64


class Reward(ORM):
    def __call__(self, completions, **_):
        return REWARDS[MINE].tolist()


class Pipeline(SwiftRLHF):
    def train(self, trainer):
        out = super().train(trainer)
        expected = core(REWARDS, np.arange(2 * OWN) // M, "max_at_k", k=4, scale="batch")
        tokens = trainer._buffered_inputs[0]["grpo_batch"].advantages
        assert trainer.accelerator.num_processes == 2
        assert np.abs(np.array(trainer._logs["advantages"]) - expected).max() < 1e-6
        assert np.abs(tokens[:, 0].numpy() - expected[MINE]).max() < 1e-6
        print(f"process {RANK} agrees", flush=True)
        return out


orms["of_the_test"] = Reward
own_folder = Path(sys.argv[1], str(RANK))
own_folder.mkdir()
more = {"per_device_train_batch_size": OWN, "reward_funcs": "of_the_test", "ddp_backend": "gloo"}
Pipeline(toy_job(own_folder, training_prompts()[:3], M, **more)).main()
