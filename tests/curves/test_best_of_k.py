"""best_of_k against brute force over subsets, and exact fractions for large groups."""

import sys
from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest
from tests.libraries import LIBRARIES, back, is_a, make
from tests.statistics import assert_mean

from bontea import GroupTooSmallError, best_of_k, expected_max
from bontea.curves.unbiased import best_of_k_by_prompt, best_of_k_weights

REWARDS = np.stack(
    [
        np.random.default_rng(0).normal(size=8),
        np.array([1.0, 0, 1, 1, 0, 2, 2, 0]),
        np.array([0.0, 0, 0, 1, 0, 0, 1, 0]),
        np.random.default_rng(1).normal(size=8) * 1e-3 + 50,
    ]
)


@pytest.mark.parametrize("k", range(1, 9))
def test_brute_force(k):
    expected = [np.mean([max(subset) for subset in combinations(row, k)]) for row in REWARDS]
    np.testing.assert_allclose(best_of_k(REWARDS, k), expected, rtol=1e-12)


def test_ends():
    np.testing.assert_allclose(best_of_k(REWARDS, 1), REWARDS.mean(-1))
    np.testing.assert_array_equal(best_of_k(REWARDS, 8), REWARDS.max(-1))


def test_pass_at_k():
    """On 0/1 rewards with c successes of M: `1 - C(M-c, k)/C(M, k)`."""
    for c in range(11):
        rewards = (np.arange(10) < c).astype(float)[None]
        expected = [1 - comb(10 - c, k) / comb(10, k) for k in range(1, 11)]
        np.testing.assert_allclose(best_of_k(rewards, range(1, 11))[0], expected, atol=1e-14)


@pytest.mark.parametrize("m", [4096, 10_000])
@pytest.mark.parametrize("share", [0, 0.0005, 0.25, 0.5, 0.9997, 1])
def test_large_group_against_fractions(m, share):
    k = max(1, int(share * m))
    for rank in (1, 2, 5, 100, m - k + 1):  # one winner at that rank among equals is not seen ...
        rewards = np.zeros((1, m))
        rewards[0, :rank] = 1.0  # ... rank winners are: 1 - C(m - rank, k) / C(m, k)
        exact = 1 - Fraction(comb(m - rank, k), comb(m, k))
        assert best_of_k(rewards, k)[0] == pytest.approx(float(exact), rel=1e-11)
    exact = Fraction(k * (m + 1), k + 1) - 1
    assert best_of_k(np.arange(m, dtype=float)[None], k)[0] == pytest.approx(float(exact))


def test_grid_is_one_column_each():
    ks = [1, 3, 8]
    got = best_of_k(REWARDS.reshape(2, 2, 8), ks)
    assert got.shape == (2, 2, 3)
    for i, k in enumerate(ks):
        np.testing.assert_allclose(got[..., i].ravel(), best_of_k(REWARDS, k))
    assert best_of_k(REWARDS, [3]).shape == (4, 1)
    assert best_of_k(REWARDS, np.int64(3)).shape == (4,)


def test_groups_one_after_the_other():
    """Of any sizes, in any order, and a column for each k."""
    rng = np.random.default_rng(0)
    counts = rng.integers(3, 9, size=50)
    groups = [rng.normal(size=count) for count in counts]
    got = best_of_k_by_prompt(np.concatenate(groups), counts, [3, 1, 2])
    np.testing.assert_allclose(got, [best_of_k(group, [3, 1, 2]) for group in groups])


@pytest.mark.parametrize("limit", [1, 20, 10**9])
def test_parts_of_a_grid_change_nothing(monkeypatch, limit):
    """Very many k are done some at a time; so are prompts."""
    module = sys.modules[best_of_k.__module__]
    rewards = np.random.default_rng(0).normal(size=(9, 30))
    expected = best_of_k(rewards, range(1, 31))
    monkeypatch.setattr(module, "MOST_WEIGHTS", limit)
    monkeypatch.setattr(module, "BLOCK", limit)
    np.testing.assert_allclose(best_of_k(rewards, range(1, 31)), expected, rtol=1e-13)
    counts = np.full(9, 30)
    got = best_of_k_by_prompt(rewards.ravel(), counts, range(1, 31))
    np.testing.assert_allclose(got, expected, rtol=1e-13)


@pytest.mark.parametrize("m", [1, 2, 7, 40])
def test_weights_are_a_distribution_over_ranks(m):
    weights = best_of_k_weights(m, tuple(range(1, m + 1)))
    np.testing.assert_allclose(weights.sum(0), 1)
    for k in range(1, m + 1):
        expected = [comb(m - j, k - 1) / comb(m, k) for j in range(1, m + 1)]
        np.testing.assert_allclose(weights[:, k - 1], expected[: len(weights)], atol=1e-30)


def test_nan_is_missing():
    rewards = np.full((3, 8), np.nan)
    rewards[0, [1, 4, 6]] = [3.0, 1.0, 2.0]
    rewards[1] = REWARDS[0]
    rewards[2, 0] = 5.0
    got = best_of_k(rewards, [1, 2, 3, 4])
    np.testing.assert_allclose(got[0, :3], [2, 8 / 3, 3])
    assert np.isnan(got[0, 3])
    np.testing.assert_allclose(got[1], best_of_k(REWARDS[:1], [1, 2, 3, 4])[0])
    assert got[2, 0] == 5
    assert np.isnan(got[2, 1:]).all()


def test_too_many():
    with pytest.raises(GroupTooSmallError, match=r"best-of-9 .* got 8: .*predict_best_of_n"):
        best_of_k(REWARDS, 9)
    assert np.isnan(best_of_k(REWARDS, [8, 9])[:, 1]).all()


@pytest.mark.parametrize("k", [0, -1, 1.5, [2, 0], [1.0]])
def test_bad_k(k):
    with pytest.raises(ValueError, match="whole number"):
        best_of_k(REWARDS, k)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "bool"])
def test_dtypes(library, dtype):
    rewards = make(library, [[0, 1, 1, 0], [1, 1, 1, 1]], dtype)
    got = best_of_k(rewards, [1, 2])
    assert is_a(library, got)
    default = "float32" if library == "torch" else "float64"
    assert str(got.dtype).removeprefix("torch.") == (dtype if "float" in dtype else default)
    np.testing.assert_allclose(back(got), [[1 / 2, 5 / 6], [1, 1]], rtol=1e-3)


def test_constant_groups_are_exact():
    for value in (0.1, -3.3e10, 1e-30):
        assert (best_of_k(np.full((2, 7), value), [1, 3, 7]) == value).all()


@pytest.mark.parametrize(("m", "k"), [(8, 2), (16, 16)])
def test_unbiased(m, k):
    """E[best of k] of normal rewards is c_k. False-fail rate 5.7e-7 a case."""
    rewards = np.random.default_rng(m).standard_normal((100_000, m))
    assert_mean(best_of_k(rewards, k), expected_max(k), 0.015)
