"""0/1 rewards with success rates that differ: the exact sums against enumeration and simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy.special import roots_jacobi
from tests.statistics import assert_mean

import bontea
from bontea import EstimatorSpec
from bontea.tails.beta_binomial import expected_pass_at_n
from bontea.theory.success import SuccessRates, success_alignment

CASES = [
    ("rloo", {}),
    ("grpo", {}),
    ("max_at_k", {"k": 4}),
    ("pass_at_n", {"prior": (0.3, 2.0)}),
    ("inference_aware", {}),
    ("inference_aware", {"center": False}),  # advantages of one sign
]


def slow(estimator, n, m, rates, **params):
    """All 2^m groups, and quadrature over p, exact for polynomials of degree 399."""
    function = EstimatorSpec.of(estimator, **params).bind(n=n, m=m)
    groups = np.array(list(itertools.product([0.0, 1.0], repeat=m)))
    a = np.asarray(function(groups, rng=np.random.default_rng(0)))
    x, weight = roots_jacobi(200, rates.b - 1, rates.a - 1)
    p, weight = (1 + x) / 2, weight / weight.sum()
    chance = np.where(groups == 1, p[:, None, None], 1 - p[:, None, None]).prod(-1)
    e = (chance * (a * (groups - p[:, None, None])).mean(-1)).sum(-1)
    g = n * (1 - p) ** (n - 1) * p * (1 - p)
    information = p * (1 - p)
    along = weight @ (e * g / information) / math.sqrt(weight @ (g * g / information))
    return {
        "cosine": along / math.sqrt(weight @ (e * e / information)),
        "snr": along / math.sqrt(weight @ (chance * (a * a).mean(-1)).sum(-1)),
        "gradient": weight @ e,
        "truth": weight @ g,
    }


@pytest.mark.parametrize(("estimator", "params"), CASES)
@pytest.mark.parametrize("rates", [SuccessRates(0.3, 2.0), SuccessRates(3.0, 0.7)])
@pytest.mark.parametrize(("n", "m"), [(3, 5), (64, 5), (64, 7)])
def test_against_enumeration(estimator, params, rates, n, m):
    got = success_alignment(estimator, n=n, m=m, rates=rates, **params, rng=0)
    for name, expected in slow(estimator, n, m, rates, **params).items():
        assert getattr(got, name) == pytest.approx(expected, rel=1e-8), name


def test_against_simulation():
    """M = 16, N = 40: two groups of each prompt, whose product has expectation e(p)^2."""
    rng = np.random.default_rng(0)
    rates, n, m = SuccessRates(0.8, 3.0), 40, 16
    p = rng.beta(rates.a, rates.b, size=(200_000, 1))
    twins, power = [], 0.0
    for _ in range(2):
        rewards = (rng.random((len(p), m)) < p).astype(float)
        a = bontea.max_at_k(rewards, k=15)
        twins.append((a * (rewards - p)).mean(-1))
        power += (a * a).mean() / 2
    p = p[:, 0]
    g = n * (1 - p) ** (n - 1)  # over p (1-p), as the score is R - p
    got = success_alignment("max_at_k", n=n, m=m, rates=rates, k=15, rng=0)
    norm = math.sqrt(np.mean(n**2 * (1 - p) ** (2 * n - 2) * p * (1 - p)))
    along = got.snr * math.sqrt(power) * norm
    assert_mean(twins[0] * g, along, 0.05 * along)
    square = (along / norm / got.cosine) ** 2
    assert_mean(twins[0] * twins[1] / (p * (1 - p)), square, 0.1 * square)
    assert_mean(twins[1], got.gradient, 0.05 * got.gradient)


@pytest.mark.parametrize("k", [1, 4, 15])
def test_max_at_k_is_exact_up_to_m(k):
    got = success_alignment("max_at_k", n=k, m=16, rates=SuccessRates(0.3, 2.0), k=k, rng=0)
    assert got.cosine == pytest.approx(1, abs=1e-9)
    assert got.gradient == pytest.approx(got.truth, rel=1e-9)


def test_pass_at_n_with_a_size_biased_prior_is_right_for_a_shared_logit():
    got = success_alignment(
        "pass_at_n", n=128, m=6, rates=SuccessRates(0.3, 2.0), prior=(1.3, 3.0), rng=0
    )
    assert got.gradient == pytest.approx(got.truth, rel=1e-9)


def test_figures_of_the_docs():
    """docs/choose-an-estimator.md: N = 128 from M = 16, success rates from Beta(.3, 2)."""
    rates = SuccessRates(0.3, 2.0)
    own = success_alignment("pass_at_n", n=128, m=16, rates=rates, prior=(0.3, 2.0), rng=0)
    plain = success_alignment("max_at_k", n=128, m=16, rates=rates, k=15, rng=0)
    assert round(own.cosine, 3) == 0.525
    assert round(plain.cosine, 3) == 0.538
    assert own.snr / plain.snr == pytest.approx(1.03, abs=0.005)


def test_large_m_and_n_stay_finite():
    for n in (1e3, 1e6, 1e9):
        got = success_alignment(
            "pass_at_n", n=n, m=512, rates=SuccessRates(0.3, 2.0), prior=(0.3, 2.0), rng=0
        )
        assert 0 < got.snr <= got.cosine <= 1 + 1e-9


def test_an_estimator_that_does_nothing():
    got = success_alignment(np.zeros_like, n=8, m=4, rates=SuccessRates(1.0, 1.0), rng=0)
    assert math.isnan(got.snr)
    assert math.isnan(got.cosine)
    assert got.gradient == 0


def test_rates():
    rates = SuccessRates(2.0, 3.0)
    assert rates.name == "0/1, success rates Beta(2, 3)"
    assert rates.spread == pytest.approx(math.sqrt(2 * 3 / (5 * 6)))  # E[p (1-p)]
    assert rates.value(7) == expected_pass_at_n(7, 2, 3)
    with pytest.raises(ValueError, match="a=0 is not a parameter"):
        SuccessRates(0, 1)
    with pytest.raises(ValueError, match="m=0 must be"):
        success_alignment("rloo", n=8, m=0, rates=rates)
    with pytest.raises(ValueError, match="did you mean 'rloo'"):
        success_alignment("rlo", n=8, m=4, rates=rates)
