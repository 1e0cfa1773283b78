"""Adaptive TEA: which estimator each batch gets, and that it is still aimed at best-of-N."""

import numpy as np
import pytest
from tests.statistics import assert_mean, gradient

from bontea import adaptive_tea, choose_alpha, expected_max, linear_tea, max_at_k


@pytest.mark.parametrize(("edge", "most"), [(-9, 0.75), (-0.4, 0.5), (0.2, 0.25), (None, None)])
def test_the_batch_decides(edge, most):
    """Normal above the edge, the rest far below: tails that reach there promise too much."""
    rng = np.random.default_rng(0)
    chosen = []
    for _ in range(20):
        z = rng.normal(size=(300, 64))
        rewards = np.minimum(z, 0.5) if edge is None else np.where(z > edge, z, z - 6)
        chosen.append(choose_alpha(rewards))
        expected = (
            max_at_k(rewards, k=63)
            if chosen[-1] is None
            else linear_tea(rewards, n=128, alpha=chosen[-1])
        )
        assert np.array_equal(adaptive_tea(rewards, n=128), expected)
    assert chosen.count(most) >= 11


def test_ragged_groups_share_the_decision():
    rng = np.random.default_rng(2)
    rewards = rng.normal(size=(300, 16))
    rewards[::2, 12:] = np.nan
    rewards[5, 3:] = np.nan  # 3 rewards: .75 leaves 3 in the tail
    rewards[6, 2:] = np.nan  # 2: no tail, max@1
    alpha = choose_alpha(rewards, alphas=[0.75])
    assert alpha == 0.75
    got = adaptive_tea(rewards, n=128, alphas=[0.75])
    np.testing.assert_allclose(
        got[0, :12], linear_tea(rewards[0, :12], n=128, alpha=alpha), atol=1e-12
    )
    np.testing.assert_allclose(
        got[5, :3], linear_tea(rewards[5, :3], n=128, alpha=alpha), atol=1e-12
    )
    np.testing.assert_allclose(got[6, :2], max_at_k(rewards[6, :2], k=1), atol=1e-12)


@pytest.mark.parametrize(("n", "k"), [(1, 1), (4, 4), (4.7, 4), (15, 15), (15.5, 15)])
def test_inside_the_sample_no_tail_is_needed(n, k):
    rewards = np.random.default_rng(0).normal(size=(64, 16))
    assert np.array_equal(adaptive_tea(rewards, n=n), max_at_k(rewards, k=k))


def test_aimed_at_best_of_n():
    """Over batches of 64 normal groups: a little short, where a batch was refused by chance."""
    rng = np.random.default_rng(0)
    steps = []
    for _ in range(1800):
        z = rng.standard_normal((64, 16))
        steps.append(gradient(adaptive_tea(z, n=128), z).mean(0))
    c = expected_max(128)
    assert_mean(np.array(steps), [0.99, 0.97 * c], [0.03, 0.06])


def test_a_batch_of_one_is_not_extrapolated():
    rewards = np.random.default_rng(0).normal(size=(1, 16))
    assert np.array_equal(adaptive_tea(rewards, n=128), max_at_k(rewards, k=15))


def test_bad_input():
    rewards = np.random.default_rng(0).normal(size=(8, 16))
    with pytest.raises(ValueError, match="n=0"):
        adaptive_tea(rewards, n=0)
    with pytest.raises(ValueError, match="alpha=2 "):
        adaptive_tea(rewards, n=128, alphas=[2])
    with pytest.raises(ValueError, match="tail='weird'"):
        adaptive_tea(rewards, n=128, tail="weird")


def test_not_under_jit():
    jax = pytest.importorskip("jax")
    with pytest.raises(ValueError, match="choose outside with choose_alpha"):
        jax.jit(lambda r: adaptive_tea(r, n=128))(np.zeros((4, 16)))
