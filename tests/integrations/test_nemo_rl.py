"""nemo_rl: its GRPO estimator, made by its own factory; `NEMO_RL=clone .ci/adapters nemo_rl`.

The module of its trainers cannot be imported without its whole environment, so the function that
makes the estimator is cut out of that file and runs as it stands there.
"""

import ast
import types
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip(
    "nemo_rl.algorithms.advantage_estimator", reason="not on the path: .ci/adapters"
)

import nemo_rl
import torch
from nemo_rl.algorithms import advantage_estimator
from nemo_rl.algorithms.advantage_estimator import AdvEstimatorConfig
from tests.integrations.batches import CASES, batch, check_other_versions, core

import bontea.integrations.nemo_rl as adapter
from bontea.cli import main


@pytest.fixture(autouse=True)
def restored():
    yield
    adapter.uninstall()


def factory():
    """`_create_advantage_estimator` of its trainers."""
    path = Path(nemo_rl.__file__).parent / "algorithms" / "grpo.py"
    (node,) = (
        node
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if getattr(node, "name", None) == "_create_advantage_estimator"
    )
    node.args.args[0].annotation = None
    names = dict(vars(advantage_estimator))
    exec(compile(ast.Module([node], []), str(path), "exec"), names)
    return names[node.name]


def made(**settings):
    """An estimator by the way of the trainers, from a config with ours in it."""
    adapter.install()
    config = AdvEstimatorConfig(name="grpo", bontea=settings)
    grpo = types.SimpleNamespace(adv_estimator=config)
    return factory()(types.SimpleNamespace(grpo=grpo, loss_fn=None))


def tensors(ids, rewards):
    """Prompts as padded token rows, as the trainers pass them, and a mask of the response."""
    number = {name: i for i, name in enumerate(dict.fromkeys(ids))}
    prompts = torch.tensor([[number[name] % 2, number[name] // 2, 0] for name in ids])
    mask = (torch.arange(7) < 3 + torch.arange(len(ids))[:, None] % 4).float()
    return prompts, torch.tensor(rewards).float(), mask


def compute(estimator, ids, rewards):
    prompts, values, mask = tensors(ids, rewards)
    out = estimator.compute_advantage(
        prompt_ids=prompts,
        rewards=values,
        mask=mask,
        repeated_batch={},
        logprobs_policy=None,
        logprobs_reference=None,
    )
    assert out.shape == mask.shape
    assert (out == out[:, :1]).all()
    return out[:, 0].numpy()


@pytest.mark.parametrize(("name", "params"), CASES)
@pytest.mark.parametrize("scale", ["none", "batch"])
def test_estimator(name, params, scale):
    ids, rewards = batch()
    got = compute(made(estimator=name, scale=scale, **params), ids, rewards)
    expected = core(rewards, ids, name, scale=scale, **params)
    assert np.abs(got - expected).max() < 1e-6 * max(1, np.abs(expected).max())


def test_ids_of_one_dimension():
    ids, rewards = batch()
    prompts, values, mask = tensors(ids, rewards)
    out = made(estimator="tea", scale="none").compute_advantage(
        prompts[:, 0] + 2 * prompts[:, 1], values, mask
    )
    np.testing.assert_allclose(out[:, 0], core(rewards, ids, "tea", n=128), atol=1e-6)


def test_groups_of_one_and_rewards_that_are_no_numbers():
    ids, rewards = batch()
    ids[:2] = "alone", "also alone"
    rewards[5] = np.nan
    estimator = made(estimator="tea", scale="none")
    got = compute(estimator, ids, rewards)
    np.testing.assert_allclose(got, core(rewards, ids, "tea", n=128), atol=1e-6)
    assert estimator._best_of_n.metrics["zeroed_alone"] == 2
    assert estimator._best_of_n.metrics["zeroed_unscorable"] == 1


def test_uninstall():
    ids, rewards = batch(missing=0)
    made(estimator="tea")
    adapter.uninstall()
    config = AdvEstimatorConfig(normalize_rewards=False, use_leave_one_out_baseline=True)
    theirs = advantage_estimator.GRPOAdvantageEstimator(config, None)
    ours_before = core(rewards, ids, "rloo")
    np.testing.assert_allclose(compute(theirs, ids, rewards), ours_before, atol=1e-5)
    assert not hasattr(theirs, "_best_of_n")


def test_wrong_settings():
    with pytest.raises(ValueError, match="did you mean 'tea'"):
        made(estimator="tee")
    with pytest.raises(ValueError, match=r"grpo\.adv_estimator\.bontea\.alpha=25"):
        made(estimator="tea", alpha=25)


def test_another_nemo_rl_is_refused(monkeypatch):
    monkeypatch.setattr(
        advantage_estimator.GRPOAdvantageEstimator, "compute_advantage", lambda self, batch: None
    )
    monkeypatch.setattr(adapter, "_original", {})
    with pytest.raises(ValueError, match="is not what this was written for"):
        adapter.install()


def test_a_launch_script(tmp_path, monkeypatch, capsys):
    """It runs as the main program, with its own arguments, after `install`."""
    script = tmp_path / "run_grpo.py"
    script.write_text(
        "import sys\n"
        "from nemo_rl.algorithms.advantage_estimator import GRPOAdvantageEstimator as found\n"
        "print(__name__, sys.argv[1:], found.compute_advantage.__module__)\n"
    )
    monkeypatch.setattr("sys.argv", ["nemo_rl", str(script), "--config", "x.yaml"])
    adapter.main()
    assert "__main__ ['--config', 'x.yaml'] bontea.integrations.nemo_rl" in capsys.readouterr().out


def test_check(capsys):
    assert main(["check", "nemo_rl", "estimator=tea", "n=256", "num_generations=16"]) == 0
    out = capsys.readouterr().out
    assert "agrees with bontea.advantages_for" in out
    assert "settings: tea(n=256, alpha=0.25)" in out
    assert main(["check", "nemo_rl", "estimator=max_at_k", "k=16", "num_generations=16"]) == 2
    assert "k <= 15" in capsys.readouterr().err


def test_another_version(monkeypatch, tmp_path):
    check_other_versions("nemo_rl", monkeypatch, tmp_path)
