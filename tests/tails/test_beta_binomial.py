"""The beta prior of 0/1 rewards: exact values, the fit against a grid, hard batches."""

import math
import time
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats
from tests.statistics import assert_mean

from bontea.tails.beta_binomial import (
    WIDTH,
    beta_influence,
    expected_pass_at_n,
    fit_beta,
    log_rising,
    posterior_weight,
)


def all_fail(n, a, b):
    """`B(a, b+n)/B(a, b)` as a fraction, for whole n or whole a: it is symmetric in them."""
    steps, other = (int(n), a) if n == int(n) and n < 5000 else (int(a), n)
    assert steps in (n, a)
    b, other, value = Fraction(b), Fraction(other), Fraction(1)
    for i in range(steps):
        value *= (b + i) / (b + other + i)
    return value


@pytest.mark.parametrize("b", [1e-6, 0.3, 1, 17.25, 1e4])
@pytest.mark.parametrize(
    ("n", "a"),
    [(n, a) for n in (1, 2, 17, 128, 2048) for a in (1e-6, 0.3, 2.5, 1e4)]
    + [(n, a) for n in (1.0000001, 2.5, 300.5, 1e5, 12345678.5, 1e9) for a in (1, 2, 9, 1000)],
)
def test_exact_values(n, a, b):
    none = all_fail(n, a, b)
    assert expected_pass_at_n(n, a, b) == pytest.approx(float(1 - none), rel=1e-10)
    # N B(a, b+N-1)/B(a, b) from B(a, b+N)/B(a, b): one factor of the product less
    weight = Fraction(n) * none * (Fraction(a) + Fraction(b) + Fraction(n) - 1)
    weight = float(weight / (Fraction(b) + Fraction(n) - 1))
    assert posterior_weight(n, a, b) == pytest.approx(weight, rel=1e-10, abs=1e-300)


def test_exact_values_where_nothing_is_whole():
    mp = pytest.importorskip("mpmath")
    rng = np.random.default_rng(0)
    with mp.workdps(60):
        for _ in range(300):
            a, b = 10 ** rng.uniform(-6, 4, 2)
            n = 10 ** rng.uniform(0, 9)
            x, y, z = mp.mpf(a), mp.mpf(b), mp.mpf(n)
            log = mp.loggamma(y + z) - mp.loggamma(y) + mp.loggamma(x + y) - mp.loggamma(x + y + z)
            assert expected_pass_at_n(n, a, b) == pytest.approx(float(-mp.expm1(log)), rel=1e-10)
            rising = float(mp.loggamma(y + x) - mp.loggamma(y))
            assert float(log_rising(b, a)) == pytest.approx(rising, rel=1e-11)


def test_are_means_over_the_beta_law():
    """False-fail rate 5.7e-7 a number."""
    p = np.random.default_rng(0).beta(0.3, 2, 400_000)
    samples = np.stack([1 - (1 - p) ** 128, 128 * (1 - p) ** 127], axis=-1)
    assert_mean(
        samples, [expected_pass_at_n(128, 0.3, 2), posterior_weight(128, 0.3, 2)], [0.01, 0.6]
    )


def test_n_of_one():
    assert expected_pass_at_n(1, 0.3, 2) == pytest.approx(0.3 / 2.3, rel=1e-14)
    assert posterior_weight(1, 0.3, 2) == 1


def objective(a, b, s, t):
    """What `fit_beta` maximises, by SciPy's law and one group at a time."""
    penalty = (np.log(a) ** 2 + np.log(b) ** 2) / (2 * WIDTH**2)
    return sum(stats.betabinom.logpmf(k, m, a, b) for k, m in zip(s, t, strict=True)) - penalty


BATCHES = {
    "spread": ([0, 0, 0, 1, 0, 9, 0, 2], [16] * 8),
    "ragged": ([0, 3, 1, 7, 2, 0, 5, 0, 0], [4, 16, 1, 7, 9, 30, 8, 2, 0]),
    "alike": ([4, 4, 4, 4, 5, 3], [16] * 6),
    "two kinds": ([0] * 6 + [16] * 3, [16] * 9),
    "all fail": ([0] * 40, [16] * 40),
    "all pass": ([16] * 40, [16] * 40),
    "one group": ([3], [16]),
    "one rollout each": ([0, 1, 0, 0, 1, 0], [1] * 6),
}


@pytest.mark.parametrize("batch", BATCHES)
def test_is_the_best_of_a_grid(batch):
    """The optimum beats every point of a wide grid, and every near neighbour."""
    s, t = BATCHES[batch]
    a, b = fit_beta(s, t)
    best = objective(a, b, s, t)
    grid = np.exp(np.linspace(-9, 9, 37))
    x, y = np.meshgrid(grid, grid)
    assert best >= objective(x, y, s, t).max()
    for step in (1e-2, -1e-2):
        assert best > objective(a * math.exp(step), b, s, t)
        assert best > objective(a, b * math.exp(step), s, t)


def draw(a, b, groups, m, seed=0):
    rng = np.random.default_rng(seed)
    return rng.binomial(m, rng.beta(a, b, groups)), np.broadcast_to(m, groups)


@pytest.mark.parametrize(("a", "b"), [(0.3, 2), (1, 1), (0.05, 3), (6, 2), (0.5, 20)])
def test_recovers_the_law(a, b):
    got = np.log(fit_beta(*draw(a, b, 40_000, np.arange(40_000) % 24 + 2)))
    np.testing.assert_allclose(got, np.log([a, b]), atol=0.06)


def test_predicts_pass_at_n_beyond_the_rollouts():
    a, b = fit_beta(*draw(0.3, 2, 4096, 16))
    assert expected_pass_at_n(128, a, b) == pytest.approx(expected_pass_at_n(128, 0.3, 2), abs=0.02)


@pytest.mark.parametrize(("groups", "m"), [(1, 16), (2, 1), (40, 16), (100_000, 64)])
def test_batches_without_a_spread_are_finite(groups, m):
    t = np.full(groups, m)
    fail, success = fit_beta(0 * t, t), fit_beta(t, t)
    np.testing.assert_allclose(success, fail[::-1], rtol=1e-4)  # the roles swapped
    assert 0 < fail[0] < 1 < fail[1] < 1e4
    # No success in `groups * m` tries: pass@1 is about 1 in that many or less, and not 0.
    assert 0 < expected_pass_at_n(1, *fail) < 1.5 / (groups * m) ** 0.5
    alike = fit_beta(t // 2, t)
    assert np.isfinite(alike).all()
    if m > 1:
        assert alike[0] / sum(alike) == pytest.approx(0.5, abs=1e-3)


def test_no_more_spread_than_chance():
    """The likelihood has no maximum here; the penalty gives one that is as good as binomial."""
    rng = np.random.default_rng(0)
    a, b = fit_beta(rng.binomial(16, 0.25, 1024), [16] * 1024)
    assert 50 < a + b < 1e5
    assert expected_pass_at_n(4, a, b) == pytest.approx(1 - 0.75**4, abs=0.01)


def test_nothing_to_fit_is_uniform():
    assert fit_beta([], []) == (1, 1)
    assert fit_beta([0, 0], [0, 0]) == (1, 1)
    assert fit_beta([0, 3], [0, 16]) == fit_beta([3], [16])


def test_order_and_shape_do_not_matter():
    s, t = draw(0.3, 2, 64, np.arange(64) % 9)
    order = np.random.default_rng(1).permutation(64)
    assert fit_beta(s[order], t[order]) == fit_beta(s, t)
    assert fit_beta(s.reshape(8, 8), t.reshape(8, 8)) == fit_beta(s, t)


def test_large_counts():
    got = fit_beta([10**9, 0, 10**8], [2 * 10**9, 10**9, 10**9])
    assert np.isfinite(got).all()


def test_takes_milliseconds():
    s, t = draw(0.3, 2, 1024, 16)
    fit_beta(s, t)
    took = []
    for _ in range(5):
        start = time.perf_counter()
        fit_beta(s, t)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.03


@pytest.mark.parametrize(
    ("s", "t", "words"),
    [
        ([1, 2], [3], "must have one shape"),
        ([1, 5], [3, 3], "group 1 has 5 successes in 3 trials"),
        ([-1], [3], "group 0 has -1 successes"),
        ([0.5], [3], r"group 0 has 0\.5 successes.*whole numbers"),
        ([math.nan], [3], "group 0 has nan successes"),
        ([0], [math.inf], "in inf trials"),
    ],
)
def test_bad_counts(s, t, words):
    with pytest.raises(ValueError, match=words):
        fit_beta(s, t)


@pytest.mark.parametrize("function", [expected_pass_at_n, posterior_weight])
def test_bad_arguments(function):
    for bad in (0, -1, math.nan, math.inf, "1", None, True):
        with pytest.raises(ValueError, match=r"a=.*positive finite.*fit_beta"):
            function(8, bad, 1)
        with pytest.raises(ValueError, match="b="):
            function(8, 1, bad)
    with pytest.raises(ValueError, match="deployment budget"):
        function(0.5, 1, 1)


def test_influence_is_the_spread_of_the_fit():
    """Sandwich errors of log a and log b against the fits of many batches."""
    rng, fits, stated = np.random.default_rng(11), [], []
    for _ in range(60):
        trials = np.full(300, 16)
        successes = rng.binomial(trials, rng.beta(0.5, 2, size=300))
        a, b = fit_beta(successes, trials)
        fits.append(np.log([a, b]))
        stated.append((beta_influence(successes, trials, a, b) ** 2).sum(0))
    assert np.allclose(np.sqrt(np.mean(stated, 0)) / np.std(fits, axis=0, ddof=1), 1, atol=0.3)


def test_influence_sums_to_the_penalty():
    """At the maximum the scores sum to the slope of the penalty, log(a, b) / 4."""
    successes, trials = np.array([0, 3, 1, 0, 7, 2]), np.array([8, 8, 4, 8, 8, 8])
    a, b = fit_beta(successes, trials)
    moved = beta_influence(successes, trials, a, b).sum(0)
    assert abs(moved).max() < 0.5
    again = [fit_beta(np.tile(successes, k), np.tile(trials, k)) for k in (1, 4)]
    assert np.abs(np.log(again[1]) - np.log(again[0])).max() < 1  # a weak penalty
