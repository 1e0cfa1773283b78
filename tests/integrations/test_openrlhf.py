"""OpenRLHF: its experience maker, and its command up to the models; `.ci/adapters openrlhf`.

DeepSpeed, flash-attn and vLLM, which its modules import, need a GPU: they are empty here
(`openrlhf_parts.py`), and what the tests run calls none of them.
"""

# ruff: noqa: E402
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.integrations.batches import CASES, batch, check_other_versions, core, run_script
from tests.integrations.openrlhf_parts import experiences_of, stubs

pytest.importorskip("openrlhf", reason="not installed: .ci/adapters openrlhf")

STUBS = str(stubs(Path(__file__).parents[2] / "build" / "openrlhf-stubs"))
sys.path.append(STUBS)

import torch
from openrlhf.trainer.ppo_utils import experience_maker
from openrlhf.trainer.ppo_utils.length_penalty import apply_length_penalties

import bontea.integrations.openrlhf as adapter
from bontea.cli import main
from bontea.demo import policy_folder, training_prompts
from bontea.integrations.frameworks.openrlhf import maker

M = 16


@pytest.fixture(autouse=True)
def without_settings(monkeypatch):
    monkeypatch.delenv("BONTEA", raising=False)


def run(monkeypatch, experiences, settings, kl=0.0, **of):
    monkeypatch.setenv("BONTEA", json.dumps(settings))
    ours = maker(kl, **of)
    return ours, ours.compute_advantages_and_returns(experiences)


def theirs(experiences, kl=0.0, **of):
    """Of OpenRLHF's own class, with the same arguments."""
    args = maker(kl, **of).args
    kl_ctl, strategy = type("Kl", (), {"value": kl}), type("Strategy", (), {"args": args})
    own = experience_maker.RemoteExperienceMaker(None, None, None, None, kl_ctl, strategy, None)
    return own.compute_advantages_and_returns(experiences)


def check_tokens(experiences, expected):
    limit = 1e-6 * max(1, np.abs(expected).max())
    for experience in experiences:
        want = torch.tensor(expected[experience.index]).unsqueeze(1) * experience.action_mask
        got = experience.advantages * experience.action_mask
        assert (got - want).abs().max() < limit
        assert torch.equal(experience.advantages, experience.returns)


def whole(seed=0, missing=()):
    ids, rewards = np.arange(6 * M) // M, batch(m=M, missing=0, seed=seed)[1]
    rewards[list(missing)] = np.nan
    return ids, rewards


@pytest.mark.parametrize(("name", "params"), CASES)
@pytest.mark.parametrize("scale", ["none", "batch"])
def test_advantages_on_tokens(monkeypatch, name, params, scale):
    # The first group lacks five rewards; the second has one, which nothing can be compared with.
    ids, rewards = whole(missing=[*range(5), *range(M + 1, 2 * M)])
    settings = {"estimator": name, "scale": scale, **params}
    ours, out = run(monkeypatch, experiences_of(rewards), settings)
    compared = ~np.isnan(rewards) & (ids != 1)
    expected = np.zeros(len(rewards))
    expected[compared] = core(rewards[compared], ids[compared], name, scale=scale, **params)
    assert np.abs(expected).max() > 0
    check_tokens(out, expected)
    for experience in out:
        assert (experience.info["best_of_n/zeroed_unscorable"] == 5 + M - 1).all()
        assert (experience.info["best_of_n/zeroed_alone"] == 1).all()
        assert experience.info["best_of_n/groups"].shape == (len(experience.index),)
    assert ours._best_of_n.batches == 1


def test_the_rest_is_theirs(monkeypatch):
    """Ours and theirs differ by the advantages alone: KL, penalties for length and statistics are
    the same, of the same rewards."""
    ids, rewards = whole(seed=1)
    penalty = {"reward": {"stop_properly_penalty_coef": -0.5}}
    _, out = run(
        monkeypatch, experiences_of(rewards), {"estimator": "tea", "scale": "none"}, 0.1, **penalty
    )
    plain = theirs(experiences_of(rewards), 0.1, **penalty)
    penalised = experiences_of(rewards)
    apply_length_penalties(penalised, maker(**penalty).args)
    after = np.zeros(len(rewards))
    for experience in penalised:
        after[experience.index] = experience.rewards.numpy()
    assert (after != rewards).any()
    difference = torch.tensor(core(after, ids, "tea", n=128) - core(after, ids, "rloo"))
    for a, b in zip(out, plain, strict=True):
        want = difference[a.index].unsqueeze(1) * a.action_mask
        got = (a.advantages - b.advantages) * a.action_mask
        torch.testing.assert_close(got, want.float(), atol=2e-6, rtol=0)
        torch.testing.assert_close(a.rewards, b.rewards)
        torch.testing.assert_close(a.info["reward"], b.info["reward"])
        torch.testing.assert_close(a.info["group_reward_std"], b.info["group_reward_std"])
        assert set(b.info) < set(a.info)


def test_everything_is_put_back(monkeypatch):
    ids, rewards = whole()
    ours, _ = run(monkeypatch, experiences_of(rewards), {"estimator": "tea"})
    assert experience_maker.apply_length_penalties is apply_length_penalties
    assert ours.args.algo.advantage.estimator == "rloo"
    broken = experiences_of(rewards)
    broken[0].action_mask = None
    with pytest.raises(AttributeError):
        ours.compute_advantages_and_returns(broken)
    assert experience_maker.apply_length_penalties is apply_length_penalties
    assert ours.args.algo.advantage.estimator == "rloo"
    out = ours.compute_advantages_and_returns(experiences_of(rewards))
    expected = core(rewards, ids, "tea", n=128, scale="batch")
    check_tokens(out, expected)


def test_a_maker_that_lacks_the_hook(monkeypatch):
    monkeypatch.setattr(
        experience_maker.RemoteExperienceMaker,
        "compute_advantages_and_returns",
        lambda self, experiences: experiences,
    )
    with pytest.raises(RuntimeError, match="did not call apply_length_penalties"):
        run(monkeypatch, experiences_of(whole()[1]), {})


@pytest.mark.parametrize(
    ("settings", "of", "message"),
    [
        ({"estimator": "tee"}, {}, "did you mean 'tea'"),
        ({"n": "many"}, {}, r"\$BONTEA\.n='many'"),
        ({"estimator": "max_at_k", "k": M}, {}, f"k <= {M - 1}"),
        ({}, {"rollout": {"n_samples_per_prompt": 4}}, "4 rollouts"),
        ({}, {"train": {"async_enable": True}}, "leave it out"),
    ],
)
def test_refused_at_the_start(monkeypatch, settings, of, message):
    monkeypatch.setenv("BONTEA", json.dumps(settings))
    with pytest.raises(ValueError, match=message):
        maker(**of)


def test_other_estimators_are_refused():
    args = maker().args
    args.algo.advantage.estimator = "group_norm"
    with pytest.raises(ValueError, match="use rloo"):
        adapter.require_plain(args)


def test_a_kl_in_the_advantages_is_told(caplog):
    maker(0.01)
    assert "subtracted from the advantage of each token" in caplog.text


def job(folder, *more):
    """Arguments of OpenRLHF's command for the toy policy."""
    data = folder / "prompts.jsonl"
    data.write_text("\n".join(json.dumps({"input": p}) for p in training_prompts()[:8]))
    return [
        *("--actor.model_name_or_path", str(policy_folder()), "--data.prompt_dataset", str(data)),
        *("--data.input_key", "input", "--reward.remote_url", "reward.py"),
        *("--algo.advantage.estimator", "rloo", "--rollout.n_samples_per_prompt", str(M)),
        *("--algo.kl.init_coef", "0", "--rollout.batch_size", "8", "--train.batch_size", "128"),
        *("--ckpt.path", str(folder / "ckpt"), "--data.dataloader_num_workers", "0"),
        *more,
    ]


def run_job(folder, *more, settings='{"estimator": "max_at_k", "k": 4}'):
    script = Path(__file__).with_name("openrlhf_job.py")
    paths = [str(Path(__file__).parents[2]), STUBS, *sys.path]
    env = dict(os.environ, BONTEA=settings, PYTHONPATH=os.pathsep.join(filter(None, paths)))
    env["RAY_worker_niceness"] = "0"  # Ray's 15 takes minutes where another program is running
    command = [sys.executable, str(script), str(folder / "out.npz"), *job(folder, *more)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_in_the_actor_of_the_command(tmp_path):
    done = run_job(tmp_path)
    assert (tmp_path / "out.npz").exists(), done.stderr[-3000:]
    found = np.load(tmp_path / "out.npz")
    assert found["name"] == "BestOfNExperienceMaker"
    expected = core(found["rewards"], np.arange(64) // M, "max_at_k", k=4, scale="batch")
    assert np.abs(found["got"] - expected).max() < 1e-6


def test_the_actor_refuses_before_models_start(tmp_path):
    done = run_job(tmp_path, "--algo.advantage.estimator", "group_norm")
    assert "group_norm: use rloo" in done.stderr
    assert not (tmp_path / "out.npz").exists()


def test_the_command_refuses(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["openrlhf", "--train.async_enable"])
    with pytest.raises(ValueError, match="trainer of its own"):
        adapter.main()


def test_another_version_is_refused(monkeypatch, tmp_path):
    check_other_versions("openrlhf", monkeypatch, tmp_path)


def test_check(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BONTEA", '{"estimator": "tea", "n": 256}')
    assert main(["check", "openrlhf", "--", *job(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "agrees with bontea.advantages_for" in out
    assert "settings: tea(n=256, alpha=0.25), scale='batch', 16 rollouts per prompt" in out
    for more, message in [
        (("--algo.advantage.estimator", "dr_grpo"), "use rloo"),
        (("--algo.advantage.estimator", "bontea"), "invalid choice"),
        (("--rollout.samples", "16"), "unknown --rollout.samples 16"),
        (("--rollout.n_samples_per_prompt", "4"), "4 rollouts"),
    ]:
        assert main(["check", "openrlhf", "--", *job(tmp_path, *more)]) == 2
        assert message in capsys.readouterr().err


def test_example(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([STUBS, os.environ.get("PYTHONPATH", "")]))
    launched = run_script("openrlhf/run.sh", tmp_path, "--actor.adam.lr", "2e-6")
    assert launched[:2] == ["-m", "bontea.integrations.openrlhf"]
    assert launched[-2:] == ["--actor.adam.lr", "2e-6"]
