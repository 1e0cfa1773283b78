"""Curves and comparisons: intervals that repeat, that cover, and that are NaN when they cannot."""

import numpy as np
import pytest

from bontea import best_of_k, compare, curve, expected_max
from bontea.curves.curve import as_table, default_ks

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


@pytest.mark.parametrize(
    "draw",
    [
        lambda **options: curve(REWARDS, [1, 16], **options),
        lambda **options: compare(REWARDS, REWARDS[::-1], [1, 16], **options),
    ],
    ids=["curve", "compare"],
)
class TestRandomness:
    def test_same_seed_repeats(self, draw):
        assert same(draw(rng=3), draw(rng=3))
        assert same(draw(rng=3), draw(rng=np.random.default_rng(3)))

    def test_another_seed_differs(self, draw):
        assert not same(draw(rng=3), draw(rng=4))
        assert not same(draw(), draw())

    @pytest.mark.parametrize("batch", [1, 7, 2000, 5000, None])
    def test_batch_changes_nothing(self, draw, batch):
        got, expected = draw(rng=3, resamples=300, batch=batch), draw(rng=3, resamples=300)
        np.testing.assert_allclose(got.low, expected.low, rtol=1e-12)
        np.testing.assert_allclose(got.high, expected.high, rtol=1e-12)

    def test_confidence_level(self, draw):
        narrow, wide = draw(rng=3, confidence_level=0.5), draw(rng=3, confidence_level=0.99)
        assert (wide.low < narrow.low).all()
        assert (narrow.high < wide.high).all()

    def test_global_numpy_state_is_left_alone(self, draw):
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        draw(rng=3)
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
    assert first.ks.tolist() == [1, 2, 4]
    np.testing.assert_allclose(first.value[0], np.mean([np.mean(row) for row in ragged]))


def test_ragged_lists_with_none():
    got = curve([[1.0, None, 3.0], [2.0], [5.0, 5.0]], [1], rng=0)
    assert got.value[0] == pytest.approx((2 + 2 + 5) / 3)


def test_prompts_without_rewards_are_left_out():
    more = np.concatenate([REWARDS, np.full((2, 16), np.nan)])
    assert same(curve(more, rng=0), curve(REWARDS, rng=0))
    assert curve([[], [1.0], [2.0], [3.0]], [1], rng=0).value[0] == 2
    with pytest.raises(ValueError, match="no prompt has a single reward"):
        curve(np.full((3, 4), np.nan))


@pytest.mark.parametrize("prompts", [1, 2])
def test_too_few_prompts_for_an_interval(prompts):
    got = curve(REWARDS[:prompts], [1, 4], rng=0)
    assert np.isfinite(got.value).all()
    assert np.isnan(got.low).all()
    assert np.isnan(got.high).all()


@pytest.mark.filterwarnings("error")
def test_prompts_that_agree():
    got = curve(np.full((5, 8), 0.7), [1, 8], rng=0)
    assert (got.low == 0.7).all()
    assert (got.high == 0.7).all()
    mixed = REWARDS.copy()
    mixed[:, 0] = 9.0  # best of all is 9 everywhere; the mean is not
    got = curve(mixed, [1, 16], rng=0)
    assert got.low[1] == got.high[1] == 9
    assert got.low[0] < got.value[0] < got.high[0]


def test_k_beyond_the_sample():
    with pytest.raises(ValueError, match=r"k=17 exceeds the 16 .*predict_best_of_n"):
        curve(REWARDS, [1, 17])
    ragged = [[1.0, 2.0], [1.0, 2.0, 3.0]]
    with pytest.raises(ValueError, match=r"k=3 exceeds the 2 rewards of the smallest group"):
        curve(ragged, [3])
    with pytest.raises(ValueError, match="exceeds"):
        compare(REWARDS, REWARDS[:, :8], [16])


@pytest.mark.parametrize("ks", [[0], [1.5], [-2, 1]])
def test_bad_ks(ks):
    with pytest.raises(ValueError, match="whole number"):
        curve(REWARDS, ks)


def test_shape():
    with pytest.raises(ValueError, match=r"must be \(P, M\)"):
        curve(np.zeros((2, 3, 4)))
    assert as_table([[1, 2], [3]]).tolist()[0] == [1, 2]


def test_infinite_rewards():
    with pytest.raises(ValueError, match="infinite"):
        curve([[1.0, np.inf], [1.0, 2.0]], [1])


def test_default_grid():
    assert default_ks(1) == [1]
    assert default_ks(16) == [1, 2, 4, 8, 16]
    assert default_ks(17) == [1, 2, 4, 8, 16, 17]


def test_torch_rewards():
    torch = pytest.importorskip("torch")
    assert same(curve(torch.tensor(REWARDS), rng=0), curve(REWARDS, rng=0))


def test_compare_is_paired():
    """Prompts differ by far more than the models: only a paired interval sees the difference."""
    rng = np.random.default_rng(0)
    prompts = rng.normal(size=(40, 1)) * 20
    a, b = (prompts + rng.normal(size=(40, 32)) + shift for shift in (0.5, 0.0))
    got = compare(a, b, [1, 32], rng=0)
    np.testing.assert_allclose(
        got.difference, curve(a, [1, 32]).value - curve(b, [1, 32]).value, atol=1e-9
    )
    assert (got.low > 0).all()
    assert (got.high < 1).all()
    assert curve(a, [1], rng=0).low[0] < curve(b, [1], rng=0).value[0]


def test_compare_swaps_sign():
    there = compare(REWARDS, REWARDS[::-1], [1, 16])
    back = compare(REWARDS[::-1], REWARDS, [1, 16])
    np.testing.assert_allclose(there.difference, -back.difference)


def test_compare_sizes_and_missing_prompts():
    a, b = REWARDS.copy(), REWARDS[:, :10] - 1
    assert compare(a, b).ks.tolist() == [1, 2, 4, 8, 10]
    a[3], b[7] = np.nan, np.nan
    keep = np.setdiff1d(np.arange(30), [3, 7])
    assert same(compare(a, b, rng=0), compare(a[keep], b[keep], rng=0))
    with pytest.raises(ValueError, match="30 and 29 prompts"):
        compare(a, b[:29])


@pytest.mark.filterwarnings("error")
def test_compare_with_itself():
    got = compare(REWARDS, REWARDS, [1, 16], rng=0)
    assert (got.low == 0).all()
    assert (got.high == 0).all()


def test_nothing_in_common():
    a, b = np.full((3, 4), np.nan), np.full((3, 4), 1.0)
    with pytest.raises(ValueError, match="no prompt has a reward from both models"):
        compare(a, b)
    with pytest.raises(ValueError, match="no prompt has a reward from both models"):
        compare(a, b, [1])


def test_coverage():
    """95 % intervals at 40 prompts hold the truth in 90 to 98.5 % of 300 repeats.

    BCa of 40 skewed values covers about 93 %. At that coverage 300 repeats leave the range with
    probability 3e-2 a number downwards; the seed is fixed, so the outcome is not random.
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
