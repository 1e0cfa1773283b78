"""Curves: values, intervals that repeat and cover, and what is NaN when it cannot be known."""

import numpy as np
import pytest

from bontea import BonteaError, best_of_k, curve, expected_max
from bontea.curves.intervals import METHODS, mean_interval
from bontea.curves.mean_curve import (
    default_ks,
    dense_ks,
    is_landmark,
    with_limits,
)
from bontea.rollouts.groups import Rollouts

REWARDS = np.random.default_rng(0).normal(size=(30, 16)) + np.random.default_rng(1).normal(
    size=(30, 1)
)


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("ks", "low", "high"))


def test_value_is_the_mean_of_best_of_k():
    got = curve(REWARDS, [1, 5, 16], rng=0)
    np.testing.assert_allclose(got.value, best_of_k(REWARDS, [1, 5, 16]).mean(0))
    np.testing.assert_allclose(got.per_prompt, best_of_k(REWARDS, [1, 5, 16]))
    assert (got.low < got.value).all()
    assert (got.value < got.high).all()
    assert got.confidence_level == 0.95
    assert got.at(5) == (got.value[1], got.low[1], got.high[1])
    with pytest.raises(ValueError, match=r"k=4 is not on the curve's grid \[1, 5, 16\]"):
        got.at(4)


class TestRandomness:
    def test_same_seed_repeats(self):
        assert same(curve(REWARDS, [1, 16], rng=3), curve(REWARDS, [1, 16], rng=3))
        assert same(
            curve(REWARDS, [1, 16], rng=3), curve(REWARDS, [1, 16], rng=np.random.default_rng(3))
        )

    def test_another_seed_differs(self):
        assert not same(curve(REWARDS, [1, 16], rng=3), curve(REWARDS, [1, 16], rng=4))
        assert not same(curve(REWARDS, [1, 16]), curve(REWARDS, [1, 16]))

    @pytest.mark.parametrize("batch", [1, 7, 2000, 5000, None])
    def test_batch_changes_nothing(self, batch):
        got, expected = (
            curve(REWARDS, [1, 16], rng=3, resamples=300, batch=batch),
            curve(REWARDS, [1, 16], rng=3, resamples=300),
        )
        np.testing.assert_allclose(got.low, expected.low, rtol=1e-12)
        np.testing.assert_allclose(got.high, expected.high, rtol=1e-12)

    def test_confidence_level(self):
        narrow, wide = (
            curve(REWARDS, [1, 16], rng=3, confidence_level=0.5),
            curve(REWARDS, [1, 16], rng=3, confidence_level=0.99),
        )
        assert (wide.low < narrow.low).all()
        assert (narrow.high < wide.high).all()

    def test_global_numpy_state_is_left_alone(self):
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        curve(REWARDS, [1, 16], rng=3)
        assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_interval_is_of_prompts_not_rollouts():
    """Copying every rollout adds no prompt: the interval of the mean must not shrink."""
    once, often = curve(REWARDS, [1], rng=0), curve(np.tile(REWARDS, 20), [1], rng=0)
    np.testing.assert_allclose(often.high - often.low, once.high - once.low, rtol=1e-9)


def test_interval_has_the_size_of_the_standard_error():
    got = curve(REWARDS, [1, 16], rng=0)
    error = got.per_prompt.std(0, ddof=1) / np.sqrt(30)
    np.testing.assert_allclose(got.high - got.low, 2 * 1.96 * error, rtol=0.12)


def test_ragged_lists_and_nan_agree():
    ragged = [row[: 4 + i % 5].tolist() for i, row in enumerate(REWARDS)]
    table = np.full((30, 8), np.nan)
    for i, row in enumerate(ragged):
        table[i, : len(row)] = row
    first, second = curve(ragged, rng=0), curve(table, rng=0)
    assert same(first, second)
    assert first.ks.tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(first.value[0], np.mean([np.mean(row) for row in ragged]))


def test_ragged_lists_with_none():
    got = curve([[1.0, None, 3.0], [2.0], [5.0, 5.0]], [1], rng=0)
    assert got.value[0] == pytest.approx((2 + 2 + 5) / 3)


def test_prompts_without_rewards_are_left_out():
    more = np.concatenate([REWARDS, np.full((2, 16), np.nan)])
    assert same(curve(more, rng=0), curve(REWARDS, rng=0))
    assert curve([[None], [1.0], [2.0], [3.0]], [1], rng=0).value[0] == 2
    with pytest.raises(BonteaError, match="prompt 0 has no rollouts"):
        curve([[], [1.0], [2.0], [3.0]], [1], rng=0)
    with pytest.raises(ValueError, match="no prompt has a single reward"):
        curve(np.full((3, 4), np.nan))


@pytest.mark.parametrize("prompts", [1, 2, 4])
def test_too_few_prompts_for_an_interval(prompts):
    got = curve(REWARDS[:prompts], [1, 4], rng=0)
    assert np.isfinite(got.value).all()
    assert np.isnan(got.low).all()
    assert np.isnan(got.high).all()
    assert "use more" in got.message
    assert str(got).endswith(got.message)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", METHODS)
def test_prompts_that_agree(method):
    """A width of 0 would claim that the next prompt is known."""
    got = curve(np.full((5, 8), 0.7), [1, 8], method=method, rng=0)
    assert (got.value == 0.7).all()
    assert np.isnan([got.low, got.high, got.standard_error]).all()
    mixed = REWARDS.copy()
    mixed[:, 0] = 9.0  # best of all is 9 everywhere; the mean is not
    got = curve(mixed, [1, 16], method=method, rng=0)
    assert np.isnan([got.low[1], got.high[1]]).all()
    assert got.low[0] < got.value[0] < got.high[0]
    assert "the same value at k = 16," in got.message


@pytest.mark.parametrize("method", METHODS)
def test_methods(method):
    got = curve(REWARDS, [1, 16], method=method, rng=0)
    expected = mean_interval(got.per_prompt, method=method, rng=0)
    np.testing.assert_array_equal(got.low, expected.low)
    np.testing.assert_array_equal(got.high, expected.high)
    np.testing.assert_array_equal(got.standard_error, expected.standard_error)
    assert got.method == method


def test_strata():
    level = np.repeat([0, 50], 15)[:, None]
    strata = ["low"] * 15 + ["high"] * 15
    plain = curve(REWARDS + level, [1, 16], rng=0)
    got = curve(REWARDS + level, [1, 16], strata=strata, rng=0)
    np.testing.assert_array_equal(got.value, plain.value)
    assert (got.high - got.low < 0.1 * (plain.high - plain.low)).all()
    with pytest.raises(ValueError, match="2 strata for 30 groups"):
        curve(REWARDS, [1], strata=["x", "y"])


def test_strata_of_prompts_without_rewards_are_left_out():
    more = np.concatenate([np.full((1, 16), np.nan), REWARDS])
    strata = ["low"] * 15 + ["high"] * 15
    got = curve(more, [1], strata=["low", *strata], rng=0)
    assert same(got, curve(REWARDS, [1], strata=strata, rng=0))


def rollouts(table, **fields):
    return Rollouts(
        rewards=np.concatenate([np.asarray(row, dtype=float) for row in table]),
        offsets=np.cumsum([0, *map(len, table)]),
        prompts=np.array([f"prompt {i}" for i in range(len(table))], dtype=object),
        **fields,
    )


def test_rollouts_are_the_same_as_lists():
    ragged = [row[: 4 + i % 5].tolist() for i, row in enumerate(REWARDS)]
    ragged[3][1] = np.nan
    strata = np.array(["a", "b", "b"] * 10, dtype=object)
    got, expected = curve(rollouts(ragged), rng=0), curve(ragged, rng=0)
    assert same(got, expected)
    np.testing.assert_array_equal(got.per_prompt, expected.per_prompt)
    got = curve(rollouts(ragged, strata=strata), rng=0)
    assert same(got, curve(ragged, strata=strata, rng=0))
    assert not same(got, expected)


def test_one_long_group_needs_no_wide_table():
    """A table of 20,000 prompts by 200,000 rollouts would take 32 GB."""
    counts = np.ones(20_000, dtype=int)
    counts[7] = 200_000
    rewards = np.random.default_rng(0).normal(size=counts.sum())
    names = np.arange(len(counts)).astype(str)
    data = Rollouts(rewards, np.append(0, np.cumsum(counts)), names)
    got = curve(data, method="jackknife")
    assert got.ks.tolist() == [1]
    starts = np.cumsum(counts) - counts
    expected = np.add.reduceat(rewards, starts) / counts
    np.testing.assert_allclose(got.per_prompt[:, 0], expected)


@pytest.mark.parametrize("method", METHODS)
def test_pass_at_k_stays_in_its_range(method):
    successes = np.array([0, 0, 0, 0, 0, 1, 0, 0, 9, 0])
    rewards = (np.arange(16) < successes[:, None]).astype(float)
    for flipped in (rewards, 1 - rewards):
        got = curve(flipped, [1, 2], method=method, rng=0)
        free = mean_interval(got.per_prompt, method=method, rng=0)
        np.testing.assert_array_equal(got.low, np.maximum(free.low, 0))
        np.testing.assert_array_equal(got.high, np.minimum(free.high, 1))
        if method == "jackknife":
            assert free.low[0] < 0 or free.high[0] > 1
    assert got.pass_at_k
    assert "pass@2:" in str(got)
    assert not curve(2 * rewards, [1], rng=0).pass_at_k


def test_k_beyond_the_sample():
    with pytest.raises(ValueError, match=r"k=17 exceeds the 16 .*extrapolate"):
        curve(REWARDS, [1, 17])
    ragged = [[1.0, 2.0], [1.0, 2.0, 3.0]]
    with pytest.raises(ValueError, match=r"k=3 exceeds the 2 rewards of the smallest group"):
        curve(ragged, [3])


@pytest.mark.parametrize("ks", [[0], [1.5], [-2, 1]])
def test_bad_ks(ks):
    with pytest.raises(ValueError, match="whole number"):
        curve(REWARDS, ks)


def test_shape():
    with pytest.raises(ValueError, match=r"must be \(P, M\)"):
        curve(np.zeros((2, 3, 4)))


def test_infinite_rewards():
    with pytest.raises(ValueError, match="prompt 1, rollout 1: the reward is inf"):
        curve([[1.0, 2.0], [np.nan, np.inf]], [1])
    with pytest.raises(ValueError, match=r"'prompt 0'.*, rollout 0: the reward is -inf"):
        curve(rollouts([[-np.inf], [1.0]]), [1])


def test_default_grid():
    assert default_ks(1) == [1]
    assert default_ks(16) == [1, 2, 4, 8, 16]
    assert default_ks(17) == [1, 2, 4, 8, 16, 17]
    assert dense_ks(1) == [1]
    assert dense_ks(9) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert set(default_ks(1000)) <= set(dense_ks(1000))
    ratios = np.divide(dense_ks(100_000)[10:], dense_ks(100_000)[9:-1])
    assert ratios.max() < 1.26
    assert curve(REWARDS).ks.tolist() == dense_ks(16)


def test_table():
    assert [k for k in dense_ks(24) if is_landmark(k, dense_ks(24))] == [1, 2, 4, 8, 16, 24]
    assert all(is_landmark(k, [3, 5, 7]) for k in (3, 5, 7))
    assert with_limits(0.4123, 0.2, 0.6012) == "0.41 [0.20, 0.60]"
    assert with_limits(41.23, 20, 60, "+") == "+41 [20, 60]"
    assert with_limits(0.41234, 0.411, 0.413) == "0.4123 [0.4110, 0.4130]"
    assert with_limits(0.5, np.nan, np.nan) == "0.50"
    text = str(curve(REWARDS, rng=0))
    assert text.startswith("mean over 30 prompts, 95 % interval (studentised)\n  best of 1: ")
    assert "best of 3" not in text


def test_torch_rewards():
    torch = pytest.importorskip("torch")
    assert same(curve(torch.tensor(REWARDS), rng=0), curve(REWARDS, rng=0))


def test_coverage():
    """95 % intervals at 40 prompts hold the truth in 90 to 98.5 % of 300 repeats.

    benchmarks/experiments/coverage measures it: 94.5 % or so. At that coverage 300 repeats leave
    the range with probability 1e-3; the seed is fixed, so the outcome is not random.
    """
    rng = np.random.default_rng(0)
    held = np.zeros(2)
    for _ in range(300):
        level = rng.exponential(size=(40, 1))
        got = curve(level + rng.normal(size=(40, 8)), [1, 8], resamples=400, rng=rng)
        truth = 1 + np.array([0, expected_max(8)])
        held += (got.low <= truth) & (truth <= got.high)
    assert (held / 300 > 0.90).all(), held / 300
    assert (held / 300 < 0.985).all(), held / 300
