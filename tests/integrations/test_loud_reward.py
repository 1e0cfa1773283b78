"""One huge reward that silences a batch is warned about, now and then, with its share."""

import logging

import numpy as np
import pytest

from bontea._numbers import percent
from bontea.integrations._settings import Settings
from bontea.integrations._step import AdvantageStep

GROUPS = np.repeat([f"g{i}" for i in range(8)], 16)


def batch(seed, value=None):
    rewards = np.random.default_rng(seed).normal(size=128)
    if value is not None:
        rewards[35] = value
    return rewards


@pytest.mark.parametrize(
    "estimator", ["rloo", "max_at_k(k=8)", "linear_tea(alpha=0.5)", "reinforce"]
)
@pytest.mark.parametrize("scale", ["batch", "none"])
def test_named_with_its_share(estimator, scale):
    said = []
    step = AdvantageStep(Settings(estimator=estimator, n=128, scale=scale), 16, say=said.append)
    for seed in range(5):
        step(batch(seed), GROUPS)
    assert not said
    assert step.metrics["loudest_group"] < 0.7
    out = step(batch(9, 1e6), GROUPS)
    assert len(said) == 1
    assert "1,000,000 in group 'g2'" in said[0]
    share = float((out[32:48] ** 2).sum() / (out**2).sum())
    assert step.metrics["loudest_group"] == pytest.approx(share)
    assert f"{percent(share)} of the advantage mass" in said[0]


def test_now_and_then():
    said = []
    step = AdvantageStep(Settings(estimator="rloo", n=128, scale="batch"), 16, say=said.append)
    for seed in range(9):
        step(batch(seed, 1e5), GROUPS)
    assert len(said) == 4  # batches 1, 2, 4, 8
    again = AdvantageStep(Settings(estimator="rloo", n=128, scale="batch"), 16, say=said.append)
    again.load_state(step.state())
    again(batch(20, 1e5), GROUPS)
    assert len(said) == 4


def test_a_group_scale_keeps_the_others():
    said = []
    step = AdvantageStep(Settings(estimator="rloo", n=128, scale="group"), 16, say=said.append)
    out = step(batch(0, 1e12), GROUPS).reshape(8, 16)
    np.testing.assert_allclose(np.sqrt((out**2).mean(1)), 1)
    assert not said


def test_one_group_that_has_a_signal_is_not_loud():
    """Of hard 0/1 prompts only one may have a success: that is no strange reward."""
    said = []
    step = AdvantageStep(Settings(estimator="rloo", n=128, scale="batch"), 16, say=said.append)
    step((np.arange(128) == 35).astype(float), GROUPS)
    assert not said


def test_it_is_a_warning_in_the_log(caplog):
    step = AdvantageStep(Settings(estimator="rloo", n=128, scale="batch"), 16)
    with caplog.at_level(logging.WARNING, logger="bontea"):
        step(batch(0, 1e8), GROUPS)
    assert any("advantage mass" in record.message for record in caplog.records)
