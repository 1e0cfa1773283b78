"""ms-swift: training steps of its `swift rlhf` with a toy policy; `.ci/adapters swift`.

`msgspec`, which its trainer imports and its package does not ask for, is installed as well.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("swift.rlhf_trainers", reason="not installed: .ci/adapters swift")

import torch
from swift.pipelines.train.rlhf import SwiftRLHF
from swift.rewards import ORM, orms
from swift.rl_core.data import GRPOSample
from swift.rlhf_trainers import GRPOTrainer
from swift.trainers import TrainerFactory
from tests.integrations.batches import (
    CASES,
    EXAMPLES,
    batch,
    check_other_versions,
    core,
    run_script,
)

import bontea.integrations.swift as adapter
from bontea.cli import main
from bontea.demo import training_prompts
from bontea.integrations.frameworks.swift import settings as read_job
from bontea.integrations.frameworks.swift import toy_job

PLUGIN = EXAMPLES / "swift" / "plugin.py"
M = 16


class ByPosition(ORM):
    """The rewards that a test asks for, None where they are NaN; two functions share them."""

    asked = np.zeros(0)
    share = 1.0

    def __call__(self, completions, **_):
        assert len(completions) == len(ByPosition.asked)
        return [None if np.isnan(r) else float(r) * self.share for r in ByPosition.asked]


class Rest(ByPosition):
    share = 0.5


class Pipeline(SwiftRLHF):
    """ms-swift's own, which also keeps its trainer."""

    def train(self, trainer):
        self.trainer = trainer
        return super().train(trainer)


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """Rewards known to ms-swift; its table of trainers as it was."""
    monkeypatch.setitem(orms, "by_position", ByPosition)
    monkeypatch.setitem(orms, "rest", Rest)
    monkeypatch.setitem(TrainerFactory.TRAINER_MAPPING, "grpo", "swift.rlhf_trainers.GRPOTrainer")
    monkeypatch.delenv("BONTEA", raising=False)


def arguments(folder, *more):
    """A job of 6 prompts, in two micro-batches."""
    return [
        *toy_job(
            folder,
            training_prompts()[:6],
            M,
            per_device_train_batch_size=M * 3,
            gradient_accumulation_steps=2,
            max_completion_length=3,
        ),
        *("--reward_funcs", "by_position", "rest", "--reward_weights", "0.5", "1.0"),
        *more,
    ]


def run(folder, monkeypatch, settings, *more):
    """The job in a process that has not loaded the adapter yet; gives its trainer."""
    monkeypatch.setenv("BONTEA", json.dumps(settings))
    monkeypatch.delitem(sys.modules, adapter.__name__)
    pipeline = Pipeline(arguments(folder, *more))
    pipeline.main()
    return pipeline.trainer


def positional(seed=0, missing=()):
    """Rewards of 6 prompts with M rollouts side by side, and their group ids."""
    rewards = np.round(np.random.default_rng(seed).normal(size=6 * M) * 64) / 64
    rewards[list(missing)] = np.nan
    return rewards, np.arange(6 * M) // M


def close(got, expected):
    assert np.abs(np.asarray(got) - expected).max() < 1e-6 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("scale", ["none", "batch"])
def test_training_step(tmp_path, monkeypatch, scale):
    rewards, ids = positional(missing=(2, 3, 20))
    monkeypatch.setattr(ByPosition, "asked", rewards)
    settings = {"estimator": "max_at_k", "k": 4, "scale": scale}
    trainer = run(tmp_path, monkeypatch, settings)
    expected, scorable = np.zeros(len(ids)), ~np.isnan(rewards)  # the others are not in the scale
    expected[scorable] = core(rewards[scorable], ids[scorable], "max_at_k", k=4, scale=scale)
    close(list(trainer._logs["advantages"]), expected)
    assert np.abs(expected).max() > 0
    # On the tokens of both micro-batches, which the loss is computed from:
    parts = [inputs["grpo_batch"] for inputs in trainer._buffered_inputs]
    assert len(parts) == 2
    tokens = torch.cat([part.advantages for part in parts])
    assert tokens.shape[1] > 1
    for column in tokens.T:
        close(column, expected)
    first = trainer.state.log_history[0]
    assert float(first["best_of_n/zeroed_unscorable"]) == 3
    assert float(first["best_of_n/groups"]) == 6
    assert "rewards/ByPosition/mean" in first  # ms-swift's own are still there
    assert float(first["grad_norm"]) > 0


def test_two_processes(tmp_path):
    script = Path(__file__).with_name("swift_two_processes.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    settings = '{"estimator": "max_at_k", "k": 4}'
    paths = [str(Path(__file__).parents[2]), *sys.path]
    env = dict(os.environ, BONTEA=settings, PYTHONPATH=os.pathsep.join(paths))
    command += ["--master_port", "29577", str(script), str(tmp_path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    for process in (0, 1):
        assert f"process {process} agrees" in done.stdout, done.stderr[-3000:]


def test_without_the_plugin_it_is_theirs(tmp_path, monkeypatch):
    """That the test above can fail."""
    rewards, ids = positional()
    monkeypatch.setattr(ByPosition, "asked", rewards)
    command = arguments(tmp_path)
    (tmp_path / "plugin.py").write_text("")
    pipeline = Pipeline(command)
    pipeline.main()
    assert type(pipeline.trainer) is GRPOTrainer
    theirs = list(pipeline.trainer._logs["advantages"])
    assert np.abs(theirs - core(rewards, ids, "max_at_k", k=4)).max() > 0.1


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(orms, "by_position", ByPosition)
        patch.setitem(orms, "rest", Rest)
        patch.setitem(TrainerFactory.TRAINER_MAPPING, "grpo", "")
        patch.setattr(ByPosition, "asked", positional()[0])
        return run(tmp_path_factory.mktemp("run"), patch, {"n": 64})


def set_up(trainer, monkeypatch, *, turns, **settings):
    """The trainer with other settings; `turns` is ms-swift's switch for rows that are turns."""
    step = adapter.AdvantageStep(adapter.read_settings(settings, where="test"))
    monkeypatch.setattr(trainer, "_best_of_n", step)
    monkeypatch.setattr(trainer, "dynamic_num_samples", turns)
    trainer._metrics["train"].clear()
    trainer.model.train()
    return step


def conversations(ids, requests=None):
    requests = range(len(ids)) if requests is None else requests
    return [
        GRPOSample(messages=[], prompt_id=str(name), request_id=f"request-{request}")
        for name, request in zip(ids, requests, strict=True)
    ]


def two_functions(rewards):
    """Half of the reward from each, with the weights 0.5 and 1."""
    half = torch.tensor(rewards, dtype=torch.float32).unsqueeze(1)
    return torch.cat([half, half / 2], dim=1)


@pytest.mark.parametrize(("name", "params"), CASES)
@pytest.mark.parametrize("scale", ["none", "batch"])
def test_shuffled_and_incomplete_groups(trainer, monkeypatch, name, params, scale):
    ids, rewards = batch(m=M, missing=5)
    # ms-swift's own statistics take M rows for a group: prompts with one rollout fill the last up.
    ids, rewards = np.append(ids, [f"alone {i}" for i in range(5)]), np.append(rewards, range(5))
    step = set_up(trainer, monkeypatch, turns=True, estimator=name, scale=scale, **params)
    got = trainer._compute_advantages(conversations(ids), two_functions(rewards), [])
    assert got.dtype == torch.float32
    close(got[:-5], core(rewards[:-5], ids[:-5], name, scale=scale, **params))
    assert (got[-5:] == 0).all()
    assert step.metrics["zeroed_alone"] == 5
    assert trainer._metrics["train"]["best_of_n/zeroed_alone"] == [5.0]


def test_turns_of_a_conversation_count_once(trainer, monkeypatch):
    ids, rewards = batch(m=M, missing=0)
    turns = np.random.default_rng(2).integers(1, 4, len(ids))
    owner = np.repeat(np.arange(len(ids)), turns)
    set_up(trainer, monkeypatch, turns=True, estimator="tea", scale="none")
    got = trainer._compute_advantages(
        conversations(ids[owner], owner), two_functions(rewards[owner]), []
    )
    close(got, core(rewards, ids, "tea", n=128)[owner])


def test_evaluation_is_theirs(trainer, monkeypatch):
    rewards, _ = positional(seed=3)
    step = set_up(trainer, monkeypatch, turns=False, estimator="tea")
    trainer.model.eval()
    got = trainer._compute_advantages([], two_functions(rewards), [])
    theirs = GRPOTrainer._compute_advantages(trainer, [], two_functions(rewards), [])
    torch.testing.assert_close(got, theirs)
    assert step.batches == 0
    trainer.model.train()
    ours = trainer._compute_advantages([], two_functions(rewards), [])
    assert (ours - theirs).abs().max() > 0.1


@pytest.mark.parametrize(
    ("settings", "more", "message"),
    [
        ({"estimator": "tee"}, (), "did you mean 'tea'"),
        ({"n": "many"}, (), r"\$BONTEA\.n='many'"),
        ({"estimator": "max_at_k", "k": M}, (), f"k <= {M - 1}"),
        ({}, ("--kl_in_reward", "true", "--beta", "0.1"), "subtracts the KL"),
        ({}, ("--advantage_estimator", "rloo", "--beta", "0.1"), "subtracts the KL"),
        ({}, ("--scale_rewards", "gdpo"), "their weighted sum"),
        ({}, ("--loss_type", "real"), "its sign"),
    ],
)
def test_refused_before_a_rollout(tmp_path, monkeypatch, settings, more, message):
    monkeypatch.setattr(ByPosition, "asked", None)
    with pytest.raises(ValueError, match=message):
        run(tmp_path, monkeypatch, settings, *more)


def test_the_file_itself_is_no_plugin(monkeypatch):
    from swift.utils import utils

    monkeypatch.setattr(utils, "_external_files", [])  # which its data loaders import again
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(ValueError, match="hides frameworks"):
        utils.import_external_file(adapter.__file__)


def test_megatron_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "swift.megatron", None)
    with pytest.raises(ValueError, match="use `swift rlhf`"):
        adapter.register()


def test_another_version_is_refused(monkeypatch, tmp_path):
    check_other_versions("swift", monkeypatch, tmp_path)
    assert TrainerFactory.TRAINER_MAPPING["grpo"] == adapter.PATH  # with the override


def test_another_signature(monkeypatch):
    monkeypatch.setattr(GRPOTrainer, "_compute_advantages", lambda self, inputs: None)
    adapter._trainer_class.cache_clear()
    with pytest.raises(ValueError, match="takes inputs; this was written for samples"):
        adapter.BestOfNGRPOTrainer  # noqa: B018


def test_check(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BONTEA", '{"estimator": "tea", "n": 256}')
    monkeypatch.delitem(sys.modules, adapter.__name__)
    job = ["--", "--rlhf_type", "grpo", "--num_generations", "16"]
    plugin = tmp_path / "plugin.py"
    plugin.write_text("import bontea.integrations.swift\n")
    assert main(["check", "swift", *job, "--external_plugins", str(plugin)]) == 0
    out = capsys.readouterr().out
    assert "agrees with bontea.advantages_for" in out
    assert "settings: tea(n=256, alpha=0.25), scale='batch', 16 rollouts per prompt" in out


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ((), "no file of --external_plugins"),
        (("--kl_in_reward", "true"), "subtracts the KL"),
        (("--num_rollouts", "16"), "does not take --num_rollouts 16"),
        (("--num_generations", "many"), "invalid int value"),
        (("--num_generations", "4"), "k <= 3"),
    ],
)
def test_check_of_a_wrong_job(tmp_path, monkeypatch, job, message):
    monkeypatch.setenv("BONTEA", '{"estimator": "max_at_k", "k": 4}')
    plugin = tmp_path / "plugin.py"
    plugin.write_text("import bontea.integrations.swift\n")
    monkeypatch.delitem(sys.modules, adapter.__name__)
    plugins = ["--external_plugins", str(plugin)] if job else []
    with pytest.raises(ValueError, match=message):
        read_job(["--rlhf_type", "grpo", *plugins, *job])


def test_example(tmp_path):
    launched = run_script("swift/run.sh", tmp_path, "--learning_rate", "5e-7")
    assert launched[0] == "rlhf"
    assert launched[-2:] == ["--learning_rate", "5e-7"]
    assert str(PLUGIN.resolve()) in launched
