"""One strange reward: named, and no number beyond reason is printed because of it."""

import numpy as np
import pytest

from bontea.curves import compare, curve, evaluate, extrapolate
from bontea.curves.influence import find_influence
from bontea.curves.intervals import METHODS, mean_interval
from bontea.planning import diagnose, plan
from bontea.rollouts.groups import as_rollouts


def with_outlier(seed=0, value=30.0, shape=(12, 16)):
    rewards = np.random.default_rng(seed).normal(size=shape)
    rewards[3, 5] = value
    return rewards


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("method", METHODS)
def test_interval_stays_within_the_rewards(seed, method):
    rewards = with_outlier(seed)
    found = curve(rewards, method=method, rng=0)
    assert (found.high <= 30).all()
    assert (found.low >= rewards.min()).all()
    assert (found.low <= found.value).all()
    assert (found.value <= found.high).all()


@pytest.mark.parametrize("prompts", [5, 6, 12])
def test_a_limit_is_cut_at_the_rewards_or_where_student_reaches(prompts):
    """Of 5 prompts the mean may well lie beyond all of them: Student's t says how far."""
    values = np.random.default_rng(1).normal(size=(prompts, 3))
    values[0, 1] = 30
    seen = (values.min(0), values.max(0))
    free, cut = (mean_interval(values, rng=0, **more) for more in ({}, {"seen": seen}))
    by_t = mean_interval(values, method="jackknife")
    np.testing.assert_allclose(cut.high, np.minimum(free.high, np.maximum(seen[1], by_t.high)))
    np.testing.assert_allclose(cut.low, np.maximum(free.low, np.minimum(seen[0], by_t.low)))
    assert cut.high[1] < free.high[1]


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_predicted_below_what_was_measured(seed):
    rewards = with_outlier(seed)
    measured = curve(rewards, [16], rng=0).value[0]
    found = extrapolate(rewards, [17, 32, 128])
    assert found.refused
    assert np.isnan(found.value).all()
    assert f"{measured:.4g} that was measured as best-of-16" in found.message
    assert "prompt '3', rollout 5: 30" in found.message


LAWS = {
    "normal": lambda rng: rng.normal(size=(20, 16)),
    "t3": lambda rng: rng.standard_t(3, size=(20, 16)),
    "exponential": lambda rng: rng.exponential(size=(20, 16)),
    "0/1": lambda rng: (rng.random((20, 16)) < rng.beta(0.4, 2, size=(20, 1))).astype(float),
    "two kinds": lambda rng: (rng.random((20, 16)) < rng.choice([0, 0.1], (20, 1))).astype(float),
}


def test_every_prompt_solved_is_no_misfit():
    """The beta law leaves room for failure where none was seen; the measured 1 counts."""
    rewards = (np.random.default_rng(0).random((12, 16)) < 0.3).astype(float)
    rewards[:, 0] = 1
    found = extrapolate(rewards, [17, 64])
    assert not found.refused
    assert found.value.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("law", LAWS)
def test_the_prediction_never_falls(law):
    """From the last measured k on, in the mean; N close to M, where the model may begin lower."""
    refused = 0
    for seed in range(15):
        rewards = LAWS[law](np.random.default_rng(seed))
        end = curve(rewards, [16], method="jackknife").value[0]
        found = extrapolate(rewards, [8, 16, 17, 20, 64, 256])
        if found.refused:
            refused += 1
            continue
        assert (np.diff(found.value) >= 0).all()
        assert (found.value[1:] >= end - 1e-12).all()
        assert (np.diff(found.per_prompt, axis=1) >= -1e-12).all()
        assert (found.high >= found.value).all()
    assert refused <= (9 if law == "t3" else 2)


def test_an_ordinary_prediction_is_unchanged():
    """The measured value is a floor, nothing else."""
    rewards = np.random.default_rng(0).normal(size=(100, 16))
    found = extrapolate(rewards, [128])
    assert found.verdict == "holds"
    assert 2.3 < found.value[0] < 2.8
    assert "standard deviations" not in found.message


def test_the_reward_is_named_with_the_curve_without_it():
    rewards = with_outlier()
    found = find_influence(as_rollouts(rewards))
    assert (found.prompts, found.rollouts, found.rewards) == (("3",), (5,), (30.0,))
    assert 25 < found.deviations[0] < 40
    others = np.delete(rewards, 3, axis=0)  # at the same k: the prompt has 15 others
    assert found.k == 16
    assert found.without == pytest.approx(others.max(1).mean())
    assert found.value == pytest.approx(rewards.max(1).mean())
    assert found.message.startswith("one of 192 rewards is ")
    assert f"without it: best-of-16 is {found.without:.3g}" in found.message


def test_everything_that_shows_the_rewards_names_it():
    rewards = with_outlier()
    place = "prompt '3', rollout 5: 30"
    assert place in curve(rewards, rng=0).message
    assert place in str(curve(rewards, rng=0))
    assert (
        place in compare(rewards, np.random.default_rng(1).normal(size=(12, 16))).interval_message
    )
    assert place in evaluate({"a": rewards}, rng=0).curves["a"].message
    found = diagnose(rewards, n=1, rng=0)  # N = 1: nothing is simulated
    assert place in found.findings["influence"].text
    assert place in str(found).replace("\n", " ")
    only = ["max_at_k", "rloo"]
    planned = plan(rewards, n=16, m=8, estimators=only, groups=500, rng=0)
    assert any(place in note for note in planned.notes)


def test_unscored_rollouts_are_counted_in_its_place():
    rewards = with_outlier()
    rewards[3, :5] = np.nan
    assert find_influence(as_rollouts(rewards)).rollouts == (5,)


def test_below_and_several():
    low = find_influence(as_rollouts(with_outlier(value=-60.0)))
    assert low.k == 1
    assert "below the others" in low.message
    rewards = with_outlier()
    rewards[7, 2] = 29
    both = find_influence(as_rollouts(rewards))
    assert set(both.prompts) == {"3", "7"}
    assert both.message.startswith("2 of 192 rewards are ")


def test_a_wrong_unit_among_zeros_and_ones():
    rewards = (np.random.default_rng(0).random((12, 16)) < 0.4).astype(float)
    assert find_influence(as_rollouts(rewards)) is None
    rewards[2, 1] = 100
    assert find_influence(as_rollouts(rewards)).rewards == (100.0,)


@pytest.mark.parametrize(
    ("law", "most"),
    [("normal", 0), ("exponential", 0.01), ("lognormal", 0.02), ("standard_cauchy", 0.08)],
)
@pytest.mark.parametrize("shape", [(12, 16), (40, 16), (4, 4)])
def test_false_alarms(law, most, shape):
    """Heavy tails have many large rewards, and none is strange; measured: 0, 0, 0, 4 %."""
    drawn = 100
    found = sum(
        find_influence(as_rollouts(getattr(np.random.default_rng(seed), law)(size=shape)))
        is not None
        for seed in range(drawn)
    )
    assert found <= most * drawn


@pytest.mark.parametrize("law", ["student", "0/1", "sparse", "scales differ"])
def test_false_alarms_on_other_rewards(law):
    def draw(rng):
        if law == "student":
            return rng.standard_t(3, size=(12, 16))
        if law == "0/1":
            return (rng.random((12, 16)) < 0.05).astype(float)
        if law == "sparse":
            return (rng.random((12, 16)) < 0.1) * rng.lognormal(size=(12, 16))
        return rng.normal(size=(12, 16)) * rng.lognormal(size=(12, 1))

    found = sum(
        find_influence(as_rollouts(draw(np.random.default_rng(seed)))) is not None
        for seed in range(100)
    )
    assert found <= (5 if law == "student" else 1)
