"""SkyRL: its registry, its trainer's advantage step and its config; `.ci/adapters skyrl`."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("skyrl.train", reason="SkyRL is not installed: .ci/adapters skyrl")

import torch
from skyrl.backends.skyrl_train.training_batch import TrainingInputBatch, pad_training_input_batch
from skyrl.train.trainer import RayPPOTrainer
from skyrl.train.utils import validate_cfg
from tests.integrations.batches import CASES, batch, check_other_versions, core, run_script

import bontea.integrations.skyrl as adapter
from bontea.cli import main

TOKENS = 6


def config(name="tea", *more, step_wise=False, **settings):
    settings = {"scale": "none", **settings}
    return adapter.read_config(
        [
            "trainer.override_entrypoint=bontea.integrations.skyrl",
            f"trainer.algorithm.advantage_estimator=bontea_{name}",
            *(f"trainer.algorithm.bontea.{key}={value}" for key, value in settings.items()),
            "generator.n_samples_per_prompt=16",
            f"generator.step_wise_trajectories={str(step_wise).lower()}",
            *more,
        ]
    )


def inputs(ids, rewards, last=None):
    """As SkyRL's trainer has it: the reward on the last token, responses of different lengths."""
    lengths = np.random.default_rng(1).integers(1, TOKENS + 1, len(ids))
    mask = torch.tensor(np.arange(TOKENS) < lengths[:, None]).long()
    tokens = torch.zeros(len(ids), TOKENS)
    tokens[torch.arange(len(ids)), torch.tensor(lengths) - 1] = torch.tensor(rewards).float()
    data = TrainingInputBatch(
        {
            "sequences": torch.ones(len(ids), TOKENS + 2, dtype=torch.long),
            "attention_mask": torch.ones(len(ids), TOKENS + 2, dtype=torch.long),
            "response_mask": mask,
            "loss_mask": mask.float(),
            "rewards": tokens,
            "values": None,
        }
    )
    data.metadata = {"uids": list(ids), "avg_response_length": 1.0, "response_length": TOKENS}
    if last is not None:
        data.metadata["is_last_step"] = list(last)
    return data


def trainer_step(cfg, data):
    """The trainer's own method; of the trainer it uses the config and the metrics."""
    trainer = SimpleNamespace(cfg=cfg, all_metrics={})
    return RayPPOTrainer.compute_advantages_and_returns(trainer, data)


def per_row(data):
    advantages, mask = data["advantages"], data["response_mask"]
    out = advantages.sum(dim=1) / mask.sum(dim=1)
    torch.testing.assert_close(advantages, out[:, None] * mask, atol=1e-6, rtol=1e-6)
    assert torch.equal(advantages, data["returns"])
    return out.numpy()


@pytest.mark.parametrize(("name", "params"), CASES)
@pytest.mark.parametrize("scale", ["none", "batch"])
def test_trainer_step(name, params, scale):
    """With SkyRL's own padding: copies of row 0 under ids `pad0`, `pad1`, ..."""
    ids, rewards = batch()
    data = pad_training_input_batch(inputs(ids, rewards), 5)
    data.metadata["pad_size"] = 5
    out = trainer_step(config(name, scale=scale, **params), data)
    expected = core(rewards, ids, name, scale=scale, **params)
    got = per_row(out)
    assert len(got) == len(ids) + 5
    assert (got[len(ids) :] == 0).all()
    assert np.abs(got[: len(ids)] - expected).max() < 1e-6 * max(1, np.abs(expected).max())


def test_step_wise():
    """SkyRL hands over the last steps and spreads their advantages over all steps."""
    ids, rewards = batch()
    steps = np.random.default_rng(2).integers(1, 4, len(ids))
    owner = np.repeat(np.arange(len(ids)), steps)
    last = np.append(owner[1:] != owner[:-1], True)
    values = np.where(last, rewards[owner], 9.0)
    out = trainer_step(config("max_at_k", step_wise=True, k=4), inputs(ids[owner], values, last))
    expected = core(rewards, ids, "max_at_k", k=4)[owner]
    np.testing.assert_allclose(per_row(out), expected, atol=1e-5)


def test_validate_cfg_at_start():
    """SkyRL's own check of the whole config accepts our names, and no others."""
    logger = "trainer.logger=console"
    validate_cfg(config("tea", logger, n=64))
    cfg = config("tea", logger)
    cfg.trainer.algorithm.advantage_estimator = "bontea_tee"
    with pytest.raises(AssertionError, match="invalid advantage_estimator: bontea_tee"):
        validate_cfg(cfg)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n": "many"}, r"trainer\.algorithm\.bontea\.n='many'"),
        ({"alpha": 25}, r"trainer\.algorithm\.bontea\.alpha=25"),
        ({"alhpa": 0.5}, r"did you mean trainer\.algorithm\.bontea\.alpha"),
        ({"estimator": "rloo"}, "was told to use 'tea'"),
        ({"alpha": 0.1}, "at least"),
    ],
)
def test_wrong_settings_stop_before_ray(settings, message):
    with pytest.raises(ValueError, match=message):
        config("tea", **settings)


def test_whitening_is_named(caplog):
    config("tea", "trainer.algorithm.advantage_batch_normalize=true")
    assert "advantage_batch_normalize=true shifts" in caplog.text


def test_their_own_estimators_are_left_alone():
    cfg = adapter.read_config(["trainer.algorithm.advantage_estimator=rloo"])
    assert cfg.trainer.algorithm.bontea == {}


JOB = ["trainer.algorithm.advantage_estimator=bontea_tea", "generator.n_samples_per_prompt=16"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 0, "works"),
        ([*JOB, "trainer.algorithm.bontea.n=256"], 0, "settings: tea(n=256, alpha=0.25)"),
        ([*JOB, "trainer.algorithm.bontea.alpha=0.1"], 2, "rollouts"),
        (["trainer.algorithm.advantage_estimator=bontea_tee"], 2, "did you mean 'bontea_tea'"),
    ],
)
def test_check(arguments, code, message, capsys):
    assert main(["check", "skyrl", *arguments]) == code
    out, err = capsys.readouterr()
    assert message in (err if code else out)


def test_the_example_passes_its_own_check(tmp_path):
    launched = run_script("skyrl/run.sh", tmp_path, "trainer.epochs=1")
    validate_cfg(adapter.read_config(launched[2:]))


RAY = """
import ray, sys, torch
import bontea.integrations.skyrl as adapter
from skyrl.backends.skyrl_train.utils.ppo_utils import sync_registries
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
sync_registries()
cfg = adapter.read_config(["trainer.algorithm.advantage_estimator=bontea_rloo",
                           "trainer.algorithm.bontea.scale=none"])

@ray.remote
def task(cfg):
    from skyrl.backends.skyrl_train.utils.ppo_utils import compute_advantages_and_returns
    advantages, _ = compute_advantages_and_returns(
        torch.tensor([[0.0, 1.0], [0.0, 3.0]]), torch.ones(2, 2), ["a", "a"],
        cfg.trainer.algorithm.advantage_estimator, cfg.trainer.algorithm)
    return advantages.tolist()

print(ray.get(task.remote(cfg)))
"""


def test_in_a_ray_process():
    """Through SkyRL's registry actor, as `skyrl_entrypoint` gets it."""
    done = subprocess.run([sys.executable, "-c", RAY], capture_output=True, text=True, check=False)
    assert "[[-2.0, -2.0], [2.0, 2.0]]" in done.stdout, done.stderr[-3000:]


def test_another_version_is_refused(monkeypatch, tmp_path):
    check_other_versions("skyrl", monkeypatch, tmp_path)
