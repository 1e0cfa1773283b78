"""twinkle: its `Advantage`, called as its cookbooks call it; `.ci/adapters twinkle`."""

import runpy

import numpy as np
import pytest

pytest.importorskip("twinkle.advantage", reason="twinkle is not installed: .ci/adapters twinkle")

import torch
from tests.integrations.batches import CASES, EXAMPLES, batch, check_other_versions, core
from twinkle.advantage import Advantage, GRPOAdvantage

from bontea.cli import main
from bontea.integrations.twinkle import BestOfNAdvantage


@pytest.mark.parametrize(("name", "params"), CASES)
@pytest.mark.parametrize("scale", ["none", "batch"])
def test_groups_by_position(name, params, scale):
    rewards = np.random.default_rng(0).normal(size=96).astype(np.float32)
    ids = np.arange(96) // 16
    function = BestOfNAdvantage(name, scale=scale, **params)
    assert isinstance(function, Advantage)
    got = function(rewards.tolist(), num_generations=16)
    expected = core(rewards, ids, name, scale=scale, **params)
    assert np.abs(got.numpy() - expected).max() < 1e-6 * max(1, np.abs(expected).max())
    assert function.metrics["groups"] == 6


@pytest.mark.parametrize(("name", "params"), CASES)
def test_shuffled_and_incomplete_by_name(name, params):
    ids, rewards = batch()
    got = BestOfNAdvantage(name, scale="none", **params)(torch.tensor(rewards), groups=ids)
    expected = core(rewards, ids, name, **params)
    assert np.abs(got.numpy() - expected).max() < 1e-6 * max(1, np.abs(expected).max())


def test_the_same_as_their_own():
    """twinkle's GRPO without its scale is `reinforce`."""
    rewards = torch.randn(64, generator=torch.Generator().manual_seed(0))
    ours = BestOfNAdvantage("reinforce", scale="none")(rewards, num_generations=8)
    theirs = GRPOAdvantage()(rewards, num_generations=8, scale="none")
    torch.testing.assert_close(ours, theirs)
    many = torch.stack([rewards * 0.25, rewards * 0.75], dim=1)  # (B, functions) are summed
    torch.testing.assert_close(
        BestOfNAdvantage("reinforce", scale="none")(many, num_generations=8), theirs
    )


def test_scale_of_the_call():
    rewards = np.random.default_rng(0).normal(size=64).astype(np.float32)
    got = BestOfNAdvantage("tea")(rewards, num_generations=16, scale="group")
    expected = core(rewards, np.arange(64) // 16, "tea", scale="group", n=128)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    with pytest.raises(ValueError, match="scale='std'"):
        BestOfNAdvantage("tea")(rewards, num_generations=16, scale="std")


def test_the_example():
    runpy.run_path(str(EXAMPLES / "twinkle" / "loop.py"), run_name="__main__")


def test_wrong_settings():
    with pytest.raises(ValueError, match="did you mean 'tea'"):
        BestOfNAdvantage("tee")
    with pytest.raises(ValueError, match=r"BestOfNAdvantage\.n='many'"):
        BestOfNAdvantage("tea", n="many")
    with pytest.raises(ValueError, match="k <= 7"):
        BestOfNAdvantage("max_at_k", k=8, num_generations=8)
    with pytest.raises(ValueError, match="15 rewards are no groups of num_generations=8"):
        BestOfNAdvantage("tea")(torch.zeros(15), num_generations=8)


def test_check(capsys):
    assert main(["check", "twinkle", "estimator=tea", "n=256"]) == 0
    out = capsys.readouterr().out
    assert "agrees with bontea.advantages_for" in out
    assert "settings: tea(n=256, alpha=0.25)" in out
    assert main(["check", "twinkle", "estimator=tee"]) == 2
    assert "did you mean 'tea'" in capsys.readouterr().err


def test_another_version_is_refused(monkeypatch, tmp_path):
    check_other_versions("twinkle", monkeypatch, tmp_path)
