"""best_of_k against brute force over subsets, and exact fractions for large groups."""

from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest
from tests.libraries import LIBRARIES, back, is_a, make
from tests.statistics import assert_mean

from bontea import GroupTooSmallError, best_of_k, expected_max

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


@pytest.mark.parametrize("k", [1, 3, 1024, 2048, 4095, 4096])
def test_large_group_against_fractions(k):
    m = 4096
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
