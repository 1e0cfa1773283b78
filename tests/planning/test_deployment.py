"""What N is worth: by formula on laws whose best-of-N is known."""

import math

import numpy as np
import pytest

from bontea.planning.worth import budgets, deployment, enough
from bontea.tails.beta_binomial import expected_pass_at_n
from bontea.theory import LAWS, SuccessRates, get_law, law_spread, value


def test_uniform_by_formula():
    """V_N = N / (N + 1), and a doubling gains N / ((2 N + 1) (N + 1))."""
    d = deployment("uniform", 64, price=0.25)
    n = np.array([8.0, 16, 32, 64, 128, 256, 512])
    np.testing.assert_array_equal(d.ns, n)
    np.testing.assert_allclose(d.value, n / (n + 1), rtol=1e-9)
    np.testing.assert_allclose(d.gain, n / ((2 * n + 1) * (n + 1)), rtol=1e-7)
    np.testing.assert_allclose(d.in_sd, (n / (n + 1) - 0.5) * math.sqrt(12), rtol=1e-6)
    np.testing.assert_array_equal(d.cost, 0.25 * n)
    assert d.least_gain == pytest.approx(0.1 / math.sqrt(12))
    assert d.enough == 16  # 16/(33*17) = .0285 < .0289 <= 8/(17*9) = .0523
    assert d.advice == "From N = 16 on a doubling gains less than 0.0289."
    assert deployment("uniform", 64, least_gain=0.002).enough == 256
    assert math.isnan(deployment("uniform", 64, least_gain=0).enough)
    assert np.isnan(d.low).all()


def test_normal_rewards_pay_for_every_doubling():
    d = deployment("normal", 128)
    assert d.cost is None
    np.testing.assert_array_equal(d.value, [value("normal", n) for n in d.ns])
    assert math.isnan(d.enough)
    assert d.advice == "Every doubling gains 0.1 or more, up to N = 1,000,000,000 at least."


def test_success_rates():
    rates = SuccessRates(0.3, 2.0)
    d = deployment(rates, 100)
    np.testing.assert_array_equal(d.ns, [12, 25, 50, 100, 200, 400, 800])
    np.testing.assert_array_equal(d.value, [expected_pass_at_n(n, 0.3, 2.0) for n in d.ns])
    assert d.mean == expected_pass_at_n(1, 0.3, 2.0)
    assert d.least_gain == 0.01
    n = d.enough
    pays = expected_pass_at_n(n, 0.3, 2.0) - expected_pass_at_n(n / 2, 0.3, 2.0)
    stops = expected_pass_at_n(2 * n, 0.3, 2.0) - expected_pass_at_n(n, 0.3, 2.0)
    assert stops < 0.01 <= pays


def test_budgets_at_both_ends():
    assert budgets(1).tolist() == [1, 2, 4, 8]
    assert budgets(3).tolist() == [1, 2, 3, 6, 12, 24]
    assert budgets(2.5).tolist() == [1, 2.5, 5, 10, 20]
    assert budgets(1e9).tolist() == [1.25e8, 2.5e8, 5e8, 1e9]
    assert math.isnan(deployment("normal", 1e9).gain[-1])


def test_enough_looks_at_all_that_follows():
    ns = [1, 2, 4, 8]
    assert enough(ns, np.array([0.1, 0.5, 0.2, 0.1]), 0.3) == 4  # a rare success pays late
    assert enough(ns, np.array([0.1, 0.1, 0.1, 0.1]), 0.3) == 1
    assert math.isnan(enough(ns, np.array([0.1, 0.1, 0.1, 0.4]), 0.3))
    assert math.isnan(enough(ns, np.array([0.1, 0.1, 0.1, math.nan]), 0.3))


@pytest.mark.parametrize(
    ("law", "spread", "tolerance"),
    [
        ("normal", 1, 1e-9),
        ("uniform", 1 / math.sqrt(12), 1e-9),
        ("exponential", 1, 1e-9),
        ("gumbel", math.pi / math.sqrt(6), 1e-9),
        ("logistic", math.pi / math.sqrt(3), 1e-9),
        ("student_t", math.sqrt(5 / 3), 1e-6),
        ("beta", math.sqrt(1 / 20), 1e-9),
        # .8 N(0, 1) + .2 N(-2, 1.5^2)
        ("skewed_mixture", math.sqrt(0.8 + 0.2 * (4 + 2.25) - 0.4**2), 1e-6),
        ("bernoulli", 0.3, 1e-12),
        # half-normal above 0, or -1: E[R^2] = 1, E[R] = (sqrt(2/pi) - 1) / 2
        ("atom", math.sqrt(1 - (math.sqrt(2 / math.pi) - 1) ** 2 / 4), 2e-3),
    ],
)
def test_spread_of_a_law(law, spread, tolerance):
    assert law_spread(LAWS[law]()) == pytest.approx(spread, rel=tolerance)


def test_spread_of_a_sample():
    sample = np.random.default_rng(0).normal(size=50).round(1)  # with ties
    assert law_spread(get_law(sample)) == pytest.approx(sample.std(), rel=1e-9)


def test_bad_arguments():
    with pytest.raises(ValueError, match="least_gain=-1 must be a number of at least 0"):
        deployment("normal", 8, least_gain=-1)
    with pytest.raises(ValueError, match="least_gain=nan"):
        deployment("normal", 8, least_gain=math.nan)
    with pytest.raises(ValueError, match="deployment budget"):
        deployment("normal", 0)
