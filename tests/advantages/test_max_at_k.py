"""max@k against brute force over subsets, its identities, and exact fractions at M = 4096."""

from fractions import Fraction
from itertools import combinations
from math import comb

import array_api_compat.numpy as xp
import numpy as np
import pytest
from tests.statistics import assert_mean, gradient

from bontea import GroupTooSmallError, best_of_k, max_at_k, rloo
from bontea.advantages._max_at_k import subset_max_means, subset_weights

GROUPS = {
    "normal": np.random.default_rng(0).normal(size=7),
    "tied": np.array([1.0, 0, 1, 1, 0, 2, 2]),
    "0/1": np.array([0.0, 0, 1, 0, 0, 1, 0]),
    "one winner": np.array([0.0, 0, 0, 0, 5, 0, 0]),
    "constant": np.full(7, 0.3),
    "far from 0": np.random.default_rng(1).normal(size=7) - 100,
}
every_group = pytest.mark.parametrize("rewards", GROUPS.values(), ids=GROUPS)


def mean_max(rewards, k, *, containing=None, without=None):
    """Mean of the maximum over all k-subsets that contain, or do not contain, one rollout."""
    subsets = [
        subset
        for subset in combinations(range(len(rewards)), k)
        if (containing is None or containing in subset) and without not in subset
    ]
    return np.mean([max(rewards[i] for i in subset) for subset in subsets])


@every_group
@pytest.mark.parametrize("k", range(1, 7))
def test_brute_force(rewards, k):
    q = np.array([mean_max(rewards, k, containing=i) for i in range(7)])
    v_without = np.array([mean_max(rewards, k, without=i) for i in range(7)])
    np.testing.assert_allclose(max_at_k([rewards], k=k)[0], k * (q - v_without), atol=1e-12)


@every_group
@pytest.mark.parametrize("k", range(1, 8))
def test_subset_means_and_identities(rewards, k):
    m = len(rewards)
    q = subset_max_means(rewards[None], k, xp)[0]
    np.testing.assert_allclose(q, [mean_max(rewards, k, containing=i) for i in range(m)])
    v = float(best_of_k([rewards], k)[0])
    assert v == pytest.approx(mean_max(rewards, k))
    assert q.mean() == pytest.approx(v)
    if k < m:
        v_without = np.array([best_of_k(np.delete(rewards, i)[None], k)[0] for i in range(m)])
        assert v_without.mean() == pytest.approx(v)
        np.testing.assert_allclose(k / m * q + (1 - k / m) * v_without, np.full(m, v))


def test_k_1_is_rloo():
    rewards = np.random.default_rng(0).normal(size=(5, 9))
    np.testing.assert_allclose(max_at_k(rewards, k=1), rloo(rewards), rtol=1e-12, atol=1e-12)


def test_largest_k_is_a_difference_of_two():
    """k = M - 1: only the best two rollouts change the maximum of the others."""
    a = max_at_k([[0.0, 1.0, 4.0, 9.0]], k=3)[0]
    q = np.array([(4 + 9 + 9) / 3, (4 + 9 + 9) / 3, (4 + 9 + 9) / 3, 9])
    np.testing.assert_allclose(a, 3 * (q - np.array([9, 9, 9, 4])))


@pytest.mark.parametrize("k", [2, 1024, 2048, 4095])
def test_large_group_against_fractions(k):
    """C(4095, 1023) does not fit a float; the weights must be right anyway."""
    m = 4096
    own, below = subset_weights(m, k)
    total = comb(m - 1, k - 1)
    for j in [1, 2, 3, 7, 50, 300, 2000, m - k, m - k + 1, m]:
        exact = Fraction(comb(m - j, k - 1), total)
        assert own[j - 1] == pytest.approx(float(exact), rel=1e-11, abs=1e-300)
        exact = Fraction(comb(m - j - 1, k - 2), total) if j < m else 0
        assert below[j - 1] == pytest.approx(float(exact), rel=1e-11, abs=1e-300)

    rewards = np.zeros((1, m))
    rewards[0, 17] = 1.0  # the advantage of one winner is k (1 - its chance without itself) = k
    a = max_at_k(rewards, k=k)[0]
    assert np.isfinite(a).all()
    assert a[17] == pytest.approx(k if k < m else 0)
    assert a[0] == pytest.approx(-k / (m - 1))

    ranks = np.arange(m, dtype=float)
    a = max_at_k(np.random.default_rng(0).permutation(ranks)[None], k=k)
    assert np.isfinite(a).all()
    # E[max of k of 0..m-1] = k (m + 1) / (k + 1) - 1; the best rollout has q = m - 1.
    without_best = Fraction(k * m, k + 1) - 1
    assert a.max() == pytest.approx(float(k * (m - 1 - without_best)), rel=1e-9)


def test_float32_keeps_its_digits():
    rewards = np.random.default_rng(0).normal(size=(4, 1024)) + 5
    exact = max_at_k(rewards.astype("float32").astype(float), k=512)
    got = max_at_k(rewards.astype("float32"), k=512)
    np.testing.assert_allclose(got, exact, atol=1e-4 * np.abs(exact).max())


@pytest.mark.parametrize(("m", "k"), [(1, 1), (4, 4), (4, 9)])
def test_too_small(m, k):
    with pytest.raises(GroupTooSmallError, match=rf"k={k} needs at least {k + 1} .* got {m}"):
        max_at_k(np.zeros((2, m)), k=k)


@pytest.mark.parametrize(("m", "k"), [(4, 2), (8, 7), (16, 4), (32, 16)])
def test_unbiased(m, k):
    """The mean gradient is that of E[max of k]: (1, c_k) in location and log scale.

    False-fail rate 1.1e-6 a case (tests/statistics.py).
    """
    from bontea import expected_max

    z = np.random.default_rng(m * k).standard_normal((400_000 if m < 16 else 120_000, m))
    assert_mean(
        gradient(max_at_k(z, k=k), z), [1.0, expected_max(k)], [0.04, 0.05 * expected_max(k)]
    )
