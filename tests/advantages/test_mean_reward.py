"""reinforce, rloo, grpo and BoN-max second against their formulas."""

import numpy as np
import pytest
from tests.statistics import assert_mean, gradient

from bontea import best_of_n_max_second, grpo, reinforce, rloo

REWARDS = np.random.default_rng(0).normal(size=(6, 5)) * [[1], [1], [10], [0.1], [1], [1]] + 3


def test_reinforce():
    expected = [[r - sum(row) / 5 for r in row] for row in REWARDS]
    np.testing.assert_allclose(reinforce(REWARDS), expected, atol=1e-13)


def test_rloo():
    expected = [[row[i] - np.delete(row, i).mean() for i in range(5)] for row in REWARDS]
    np.testing.assert_allclose(rloo(REWARDS), expected, atol=1e-13)


@pytest.mark.parametrize("eps", [0, 1e-4, 1e-6, 2.5])
def test_grpo(eps):
    expected = [
        [(r - row.mean()) / (np.sqrt(((row - row.mean()) ** 2).sum() / 4) + eps) for r in row]
        for row in REWARDS
    ]
    np.testing.assert_allclose(grpo(REWARDS, eps=eps), expected, atol=1e-12)


def test_grpo_default_eps():
    assert np.array_equal(grpo(REWARDS), grpo(REWARDS, eps=1e-4))
    tiny = REWARDS * 1e-6  # eps dominates: the advantage is about (R - mean) / eps
    np.testing.assert_allclose(grpo(tiny), grpo(REWARDS, eps=100), rtol=1e-9)


@pytest.mark.parametrize("eps", [-1e-9, float("nan")])
def test_grpo_bad_eps(eps):
    with pytest.raises(ValueError, match=r"eps=.*at least 0"):
        grpo(REWARDS, eps=eps)


def test_best_of_n_max_second():
    np.testing.assert_array_equal(
        best_of_n_max_second([[0.0, 1, 3], [3, 3, 1], [-2, -2, -5], [4, 4, 4]]),
        [[0, 0, 2], [2, 2, 0], [3, 3, 0], [0, 0, 0]],
    )
    assert np.array_equal(best_of_n_max_second([[7.0]]), [[0.0]])


@pytest.mark.parametrize("m", [2, 3, 8, 32])
def test_rloo_unbiased(m):
    """The mean gradient of normal rewards is (1, 0). False-fail rate 1.1e-6 a case."""
    z = np.random.default_rng(m).standard_normal((800_000 // m, m))
    assert_mean(gradient(rloo(z), z), [1.0, 0.0], 0.03)


@pytest.mark.parametrize("m", [2, 8])
def test_reinforce_is_short_by_one_in_m(m):
    z = np.random.default_rng(m).standard_normal((800_000 // m, m))
    assert_mean(gradient(reinforce(z), z), [1 - 1 / m, 0.0], 0.03)
