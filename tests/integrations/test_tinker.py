"""tinker-cookbook: its `prepare_minibatch` on its own classes; `.ci/adapters tinker`."""

import asyncio

import numpy as np
import pytest

pytest.importorskip("tinker_cookbook", reason="not installed: .ci/adapters tinker")

import tinker
import torch
from tests.integrations.batches import CASES, batch, check_other_versions, core, in_order
from tinker_cookbook.completers import TokensWithLogprobs
from tinker_cookbook.rl import train
from tinker_cookbook.rl.types import Trajectory, TrajectoryGroup, Transition

import bontea.integrations.tinker as adapter
from bontea.cli import main


@pytest.fixture(autouse=True)
def restored():
    yield
    adapter.uninstall()


def trajectory(step_reward, length):
    return Trajectory(
        transitions=[
            Transition(
                ob=tinker.ModelInput.from_ints([1, 2]),
                ac=TokensWithLogprobs(
                    tokens=list(range(5, 5 + length)), maybe_logprobs=[-0.5] * length
                ),
                reward=step_reward,
                episode_done=True,
            )
        ],
        final_ob=tinker.ModelInput.empty(),
    )


def groups_of(ids, rewards):
    """Part of the reward comes from the step, part from the whole group."""
    out = []
    for name in dict.fromkeys(ids):
        mine = [float(r) for r in rewards[ids == name]]
        out.append(
            TrajectoryGroup(
                [trajectory(r - 0.5, 1 + i % 4) for i, r in enumerate(mine)],
                [0.5] * len(mine),
                [{} for _ in mine],
            )
        )
    return out


class Builder:
    """What `prepare_minibatch` asks of an EnvGroupBuilder."""

    def logging_tags(self):
        return ["test"]


class Tokenizer:
    def decode(self, tokens, **_):
        return " ".join(map(str, tokens))

    def encode(self, text, **_):
        return [0]


def minibatch(groups):
    return asyncio.run(
        train.prepare_minibatch([Builder() for _ in groups], groups, Tokenizer(), None, 0.0, 0.0)
    )


def per_trajectory(data):
    out = []
    for datum in data:
        values = datum.loss_fn_inputs["advantages"].to_torch()
        mask = datum.loss_fn_inputs["mask"].to_torch().bool()
        assert (values[~mask] == 0).all()
        assert len(set(values[mask].tolist())) == 1
        out.append(float(values[mask][0]))
    return np.array(out)


@pytest.mark.parametrize(("name", "params"), CASES)
@pytest.mark.parametrize("scale", ["none", "batch"])
def test_prepare_minibatch(name, params, scale):
    ids, rewards = batch()
    installed = adapter.install(name, scale=scale, **params)
    data, metrics, usage = minibatch(groups_of(ids, rewards))
    expected = in_order(ids, core(rewards, ids, name, scale=scale, **params))
    assert np.abs(per_trajectory(data) - expected).max() < 1e-6 * max(1, np.abs(expected).max())
    assert metrics["best_of_n/groups"] == 6
    assert usage is not None
    assert installed._best_of_n.batches == 1  # printing is no batch
    assert not installed._known


def test_printed_advantages_are_those_of_the_batch(caplog):
    ids, rewards = batch()
    adapter.install("tea", scale="none")
    seen = []
    original = train.assemble_training_data
    train.assemble_training_data = lambda groups, advantages, **kw: (
        seen.append(advantages),
        original(groups, advantages, **kw),
    )[1]
    try:
        minibatch(groups_of(ids, rewards))
    finally:
        train.assemble_training_data = original
    *printed, whole = seen
    assert [len(parts) for parts in printed] == [1, 1]
    for part, full in zip(printed, whole, strict=False):
        assert set(part[0].tolist()) <= set(full.tolist())


def test_uninstall():
    ids, rewards = batch()
    groups = groups_of(ids, rewards)
    theirs = train.compute_advantages(groups)
    adapter.install("reinforce", scale="none")
    ours = train.compute_advantages(groups)
    for one, other in zip(theirs, ours, strict=True):
        torch.testing.assert_close(one, other)
    adapter.install("tea", n=64)  # replaces the first
    adapter.uninstall()
    assert train.compute_advantages.__module__ == "tinker_cookbook.rl.data_processing"
    assert train.prepare_minibatch.__module__ == "tinker_cookbook.rl.train"


def test_wrong_settings():
    with pytest.raises(ValueError, match="did you mean 'tea'"):
        adapter.install("tee")
    with pytest.raises(ValueError, match=r"install\.alpha=25"):
        adapter.install("tea", alpha=25)


def test_check(capsys):
    assert main(["check", "tinker", "estimator=tea", "n=256"]) == 0
    out = capsys.readouterr().out
    assert "agrees with bontea.advantages_for" in out
    assert "settings: tea(n=256, alpha=0.25)" in out
    assert main(["check", "tinker", "estimator=tee"]) == 2
    assert "did you mean 'tea'" in capsys.readouterr().err


def test_another_version_is_refused(monkeypatch, tmp_path):
    check_other_versions("tinker", monkeypatch, tmp_path)
