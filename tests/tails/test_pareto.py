"""Generalised Pareto fits: against the formula written out, against MLE, and against the truth."""

import math

import numpy as np
import pytest
from scipy.stats import genpareto
from tests.statistics import assert_mean

from bontea.tails import pareto
from bontea.tails.pareto import fit_pareto


def as_published(x):
    """Zhang & Stephens (2009) in their own symbols: k = -shape, one number at a time."""
    x = sorted(x)
    n = len(x)
    m = 20 + math.floor(math.sqrt(n))
    quartile = x[math.floor(n / 4 + 0.5) - 1]
    thetas = [1 / x[-1] + (1 - math.sqrt(m / (j - 0.5))) / (3 * quartile) for j in range(1, m + 1)]

    def profile(theta):
        k = -sum(math.log(1 - theta * v) for v in x) / n
        return n * (math.log(theta / k) + k - 1)

    values = [profile(theta) for theta in thetas]
    weights = [1 / sum(math.exp(other - own) for other in values) for own in values]
    theta = sum(t * w for t, w in zip(thetas, weights, strict=True))
    k = -sum(math.log(1 - theta * v) for v in x) / n
    return -k, k / theta


@pytest.mark.parametrize("shape", [-0.7, -0.2, 0.0, 0.4])
@pytest.mark.parametrize("size", [5, 40, 300])
def test_the_formula(shape, size):
    x = genpareto.rvs(shape, scale=3, size=size, random_state=1)
    assert fit_pareto(x) == pytest.approx(as_published(x), rel=1e-9)


@pytest.mark.parametrize("shape", [-0.2, 0.1, 0.4])
def test_unbiased_with_the_error_of_the_best(shape):
    """At 500 excesses the mean is the truth, and the spread that of maximum likelihood."""
    fits = np.array(
        [
            fit_pareto(genpareto.rvs(shape, scale=2, size=500, random_state=seed))
            for seed in range(300)
        ]
    )
    assert_mean(fits[:, 0], shape, 0.02)
    assert_mean(fits[:, 1], 2, 0.06)
    best = (1 + shape) / np.sqrt(500)
    assert 0.85 < fits[:, 0].std(ddof=1) / best < 1.3


@pytest.mark.parametrize("shape", [-0.2, 0.0, 0.3])
def test_near_maximum_likelihood(shape):
    """Both are efficient: on 5,000 excesses they differ by a fraction of their error."""
    x = genpareto.rvs(shape, scale=0.5, size=5000, random_state=3)
    mle, _, scale = genpareto.fit(x, floc=0)
    error = (1 + shape) / np.sqrt(5000)
    assert fit_pareto(x).shape == pytest.approx(mle, abs=error / 2)
    assert fit_pareto(x).scale == pytest.approx(scale, rel=error / 2)


def test_uniform_excesses_end_where_they_do():
    """The uniform law has shape -1 and ends at 1; no fit may end before the largest excess."""
    x = np.random.default_rng(0).uniform(size=2000)
    fit = fit_pareto(x)
    assert fit.shape == pytest.approx(-1, abs=0.05)
    assert x.max() < fit.end_point < 1.01
    assert fit_pareto(-(np.log(x[:500]) ** 3)).end_point == np.inf


def test_units_and_order():
    x = genpareto.rvs(-0.3, size=200, random_state=5)
    shape, scale = fit_pareto(x)
    for unit in (2.0**-60, 2.0**60):
        assert fit_pareto(unit * x[::-1]) == pytest.approx((shape, unit * scale), rel=1e-9)


def test_many_excesses_are_summed_in_blocks(monkeypatch):
    """20,000 excesses: blocks move the shape by less than a hundredth of its error."""
    x = genpareto.rvs(-0.25, size=20_000, random_state=7)
    short = fit_pareto(x)
    monkeypatch.setattr(pareto, "MOST_POINTS", 10**9)
    assert short.shape == pytest.approx(fit_pareto(x).shape, abs=0.01 * 0.75 / np.sqrt(20_000))


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ([1.0, 2.0], "2 excesses are too few"),
        ([0.0, 1, 2, 3, 4, 5], "excess 0 is not positive"),
        ([-1.0, 1, 2, 3, 4, 5], "excess -1 is not positive"),
        ([1.0, 1, 2, 3, np.inf], "excess inf is not positive and finite"),
        ([1.0, 1, 2, 3, np.nan], "excess nan is not positive and finite"),
    ],
)
def test_bad_excesses(x, words):
    with pytest.raises(ValueError, match=words):
        fit_pareto(x)
