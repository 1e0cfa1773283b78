"""Constants of the normal distribution against mpmath, closed forms and scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from bontea import expected_max, tail_coefficient
from bontea.tails import tail_constants, tail_size


def slow_expected_max(n):
    """`N int x phi(x) Phi(x)^(N-1) dx` in 30 digits, by another integrand than the library's."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(30):
        n = mpmath.mpf(n)

        def density(x):
            return n * x * mpmath.npdf(x) * mpmath.exp((n - 1) * mpmath.log(mpmath.ncdf(x)))

        return float(mpmath.quad(density, [-14, *np.arange(-6, 10.5, 0.5).tolist(), 16, 40]))


@pytest.mark.parametrize(
    "n", [1.0001, 1.01, 1.3, 1.9999, 2, 2.5, 3, 7.7, 16, 128, 1000.5, 1e5, 1e7, 1e9]
)
def test_expected_max_against_mpmath(n):
    assert expected_max(n) == pytest.approx(slow_expected_max(n), rel=1e-10, abs=0)


def test_expected_max_closed_forms():
    root = math.sqrt(math.pi)
    assert expected_max(1) == 0
    assert expected_max(2) == pytest.approx(1 / root, rel=1e-12)
    assert expected_max(3) == pytest.approx(3 / (2 * root), rel=1e-12)
    assert expected_max(4) == pytest.approx(6 / root * math.atan(math.sqrt(2)) / math.pi, rel=1e-12)
    # d c_N / dN at N = 1: int phi(x) x log Phi(x) dx + 0
    slope = expected_max(1 + 1e-9) / 1e-9
    x = np.linspace(-38, 38, 400001)
    exact = np.trapezoid(x * stats.norm.pdf(x) * stats.norm.logcdf(x), x)
    assert slope == pytest.approx(exact, rel=1e-6)


def test_expected_max_increases_and_is_below_its_bound():
    n = np.geomspace(1, 1e9, 200)
    c = np.array([expected_max(v) for v in n])
    assert (np.diff(c) > 0).all()
    assert (c <= np.sqrt(2 * np.log(n)) + 1e-12).all()
    assert expected_max(128) - stats.norm.ppf(1 - 1 / 128) > 0.17  # not that shortcut


@pytest.mark.parametrize("n", [128, 128.0, np.int64(128), np.float32(128)])
def test_expected_max_of_any_number(n):
    value = expected_max(n)
    assert type(value) is float
    assert value == expected_max(128)


@pytest.mark.parametrize("alpha", [1e-6, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999])
def test_tail_constants_against_truncnorm(alpha):
    threshold, mean, std = tail_constants(alpha)
    law = stats.truncnorm(stats.norm.isf(alpha), np.inf)
    assert threshold == pytest.approx(stats.norm.isf(alpha), rel=1e-12, abs=1e-15)
    assert mean == pytest.approx(law.mean(), rel=1e-8)
    # The closed form loses digits in a far tail, where std is a small difference.
    assert std == pytest.approx(law.std(), rel=1e-7 if alpha > 1e-3 else 1e-4)


def test_tail_constants_of_everything():
    assert tail_constants(1) == (-math.inf, 0.0, 1.0)
    assert tail_constants(1 - 1e-12)[1:] == pytest.approx((0, 1), abs=1e-9)


@pytest.mark.parametrize("alpha", [0.1, 0.25, 0.5, 1])
@pytest.mark.parametrize("n", [1, 64, 1e6])
def test_tail_coefficient(n, alpha):
    _, mean, std = tail_constants(alpha)
    assert mean + tail_coefficient(n, alpha) * std == pytest.approx(expected_max(n), abs=1e-12)


@pytest.mark.parametrize(
    ("alpha", "m", "k"),
    [
        (0.25, 16, 4),
        (0.25, 17, 5),
        (0.3, 10, 3),
        (0.1, 30, 3),
        (0.7, 10, 7),
        (1 / 3, 9, 3),
        (1, 5, 5),
        (1e-3, 5, 1),
    ],
)
def test_tail_size_guards_float_error(alpha, m, k):
    assert tail_size(alpha, m) == k


def test_tail_size_of_every_fraction():
    """`ceil(alpha m)` of decimal fractions, in exact arithmetic."""
    from fractions import Fraction

    for hundredth in range(1, 101):
        for m in range(1, 201):
            exact = math.ceil(Fraction(hundredth, 100) * m)
            assert tail_size(hundredth / 100, m) == exact
