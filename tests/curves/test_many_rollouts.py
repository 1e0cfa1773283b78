"""10,000 and 100,000 rollouts of a prompt, in float32 too: sums of many terms keep their digits."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from tests.libraries import back, make

import bontea
from bontea import best_of_k


def exact_pass_at_k(m, successes, k):
    """`1 - C(m - s, k) / C(m, k)` in whole numbers."""
    return float(1 - Fraction(comb(m - successes, k), comb(m, k)))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("m", [10_000, 100_000])
@pytest.mark.parametrize("successes", [1, 3, 40])
def test_rare_successes(library, dtype, m, successes):
    if library == "numpy" and dtype == "bfloat16":
        pytest.skip("NumPy has no bfloat16")
    rewards = np.zeros((2, m))
    rewards[:, np.arange(successes) * 7] = 1
    ks = [1, 2, 16, 100, m // 2]
    got = back(best_of_k(make(library, rewards, dtype), ks)).astype(float)
    expected = [exact_pass_at_k(m, successes, k) for k in ks]
    digits = {"float64": 1e-10, "float32": 1e-6, "float16": 3e-3, "bfloat16": 1e-2}[dtype]
    # float16 ends at 6e-8, with few digits below 6e-5.
    np.testing.assert_allclose(got, [expected] * 2, rtol=digits, atol=4e-8 * (dtype == "float16"))


@pytest.mark.parametrize("m", [10_000, 100_000])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_float32_is_float64(library, m):
    rewards = np.random.default_rng(0).normal(size=(2, m)).astype(np.float32)
    rewards[1] += 100
    rewards[0, 0] = -1e6  # never the best of many, and costs them no digits
    ks = [1, 2, 16, m // 2]
    got = back(best_of_k(make(library, rewards, "float32"), ks)).astype(float)
    expected = best_of_k(rewards.astype(float), ks)
    np.testing.assert_allclose(got[:, 1:], expected[:, 1:], rtol=2e-7, atol=2e-7)
    np.testing.assert_allclose(got[:, 0], expected[:, 0], rtol=1e-6)


def test_against_exact_weights():
    """C(j - 1, k - 1) / C(m, k) in fractions, at a size where they can be had."""
    m, k = 2000, 700
    rewards = np.random.default_rng(0).normal(size=m).round(3)
    total = sum(
        Fraction(float(r)) * comb(j, k - 1) for j, r in enumerate(np.sort(rewards)) if j >= k - 1
    )
    expected = float(total / comb(m, k))
    assert best_of_k(rewards, k) == pytest.approx(expected, rel=1e-12)
    assert best_of_k(rewards.astype(np.float32), k) == pytest.approx(expected, rel=1e-6)


SIBLINGS = {
    "max_at_k": {"k": 4},
    "max_at_k half": {"k": 4096},
    "pkpo": {"k": 4},
    "pkpo_loo": {"k": 4},
    "tail_rl": {},
    "grpo": {},
    "rloo": {},
    "gaussian_plug_in": {"n": 128},
    "softmax_tilt": {"n": 128},
    "calibrated_tea": {"n": 1e6},
    "cat_bon": {"n": 128},
}


@pytest.mark.parametrize("kind", ["normal", "rare"])
@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("name", SIBLINGS)
def test_estimators_in_float32(name, library, kind):
    """Of the largest advantage float32 keeps six digits; running sums of 100,000 kept four."""
    m = 100_000
    rewards = np.random.default_rng(0).normal(size=(1, m)).astype(np.float32)
    if kind == "rare":
        rewards = (np.arange(m)[None] % 25_000 == 7).astype(np.float32)
    estimator, params = bontea.ADVANTAGES[name.split()[0]], SIBLINGS[name]
    got = back(estimator(make(library, rewards, "float32"), **params)).astype(float)
    expected = estimator(rewards.astype(float), **params)
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("k", [2, 16, 5000])
def test_pass_at_k_by_fractions(k):
    m, s = 10_000, 3
    rewards = (np.arange(m) < s).astype(np.float32)[None]
    v = 1 - Fraction(comb(m - s, k), comb(m, k))
    q = 1 - Fraction(comb(m - 1 - s, k - 1), comb(m - 1, k - 1))
    spread = (float(v) * float(1 - v)) ** 0.5
    got = bontea.pass_at_k(rewards, k=k)[0]
    assert got[0] == pytest.approx(float(1 - v) / spread, rel=1e-5)
    assert got[-1] == pytest.approx(float(q - v) / spread, rel=1e-5)
