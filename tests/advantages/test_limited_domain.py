"""Estimators that are defined on some rewards only: `max_rl` (not negative), the others 0/1."""

import itertools
import math

import numpy as np
import pytest
from tests.libraries import LIBRARIES, back, is_a, make

import bontea
from bontea import GroupTooSmallError, max_at_k, max_rl, pass_at_k, tail_rl

ESTIMATORS = {
    "max_rl": max_rl,
    "pass_at_k": lambda r: pass_at_k(r, k=4),
    "inference_aware": lambda r: bontea.inference_aware(r, n=128),
}


def binary_groups(m=9):
    """Every number of successes, from none to all, shuffled."""
    rng = np.random.default_rng(0)
    rows = [rng.permuted(np.arange(m) < passes) for passes in range(m + 1)]
    return np.array(rows, dtype=float)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_laws(name):
    f, rewards = ESTIMATORS[name], binary_groups()
    got = f(rewards)
    assert np.isfinite(got).all()
    assert (got[[0, -1]] == 0).all()
    np.testing.assert_allclose(got.sum(-1), 0, atol=1e-12)
    for row, a in zip(rewards, got, strict=True):
        for value in (0, 1):
            assert np.ptp(a[row == value]) < 1e-12 if (row == value).any() else True
        assert (a * (row - row.mean()) >= 0).all()  # success is never discouraged
    order = np.random.default_rng(1).permutation(rewards.shape[-1])
    np.testing.assert_allclose(f(rewards[:, order]), got[:, order], atol=1e-13)
    np.testing.assert_allclose(f(rewards.reshape(2, 5, -1)).reshape(got.shape), got, atol=1e-13)
    np.testing.assert_allclose(f(rewards[3]), got[3], atol=1e-13)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_missing_rollouts(name):
    f, rewards = ESTIMATORS[name], binary_groups()
    holed = np.insert(rewards, 4, np.nan, axis=-1)
    got = f(holed)
    assert (got[:, 4] == 0).all()
    np.testing.assert_allclose(np.delete(got, 4, axis=-1), f(rewards), atol=1e-13)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "bool"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_libraries_and_dtypes(name, library, dtype):
    f, rewards = ESTIMATORS[name], binary_groups()
    got = f(make(library, rewards, dtype))
    assert is_a(library, got)
    if dtype.startswith("float"):
        assert dtype in str(got.dtype)
    np.testing.assert_allclose(back(got), f(rewards), atol=5e-3 if dtype == "float16" else 1e-5)


def test_max_rl_by_hand_and_tail_rl_on_binary_rewards():
    rewards = np.random.default_rng(0).exponential(size=(5, 8))
    mean = rewards.mean(-1, keepdims=True)
    np.testing.assert_allclose(max_rl(rewards), (rewards - mean) / mean, rtol=1e-12)
    binary = binary_groups()
    np.testing.assert_allclose(tail_rl(binary), max_rl(binary), atol=1e-12)


def test_pass_at_k_by_brute_force():
    for m, k in [(6, 1), (6, 3), (7, 4), (5, 5)]:
        for passes in range(m + 1):
            r = [1.0] * passes + [0.0] * (m - passes)
            best = {s: max(r[i] for i in s) for s in itertools.combinations(range(m), k)}
            v = np.mean(list(best.values()))
            q = np.array([np.mean([b for s, b in best.items() if i in s]) for i in range(m)])
            expected = np.zeros(m) if v in (0, 1) else (q - v) / math.sqrt(v * (1 - v))
            np.testing.assert_allclose(pass_at_k([r], k=k)[0], expected, atol=1e-12)


def test_pass_at_k_points_where_max_at_k_does():
    rewards = binary_groups(16)[1:-4]
    a, b = pass_at_k(rewards, k=4), max_at_k(rewards, k=4)
    np.testing.assert_allclose((a * b).sum(-1) ** 2, (a * a).sum(-1) * (b * b).sum(-1))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: max_rl([[1.0, -0.5]]), "non-negative rewards, got -0.5"),
        (lambda: pass_at_k([[0.0, 0.5, 1.0]], k=2), "0/1 rewards, got 0.5"),
        (lambda: pass_at_k([[0, 2, 1]], k=2), "0/1 rewards, got 2"),
        (lambda: max_rl([[1.0, math.inf]]), "infinite"),
        (lambda: pass_at_k([[0, 1]], k=0), "k=0"),
    ],
)
def test_bad_rewards(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_too_small():
    with pytest.raises(GroupTooSmallError, match="at least 4 rollouts"):
        pass_at_k([[0, 1, 1]], k=4)
    got = bontea.advantages_for([1.0, 0.0, 1.0, 0.0, 1.0], [0, 0, 0, 0, 1], "pass_at_k", k=2)
    assert got[-1] == 0
    assert got[0] > 0
