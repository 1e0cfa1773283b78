"""Tail shapes by name, and their expected maxima against closed forms."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import betaln, digamma

from bontea import expected_max
from bontea.tails import TAILS, get_tail

NAMES = ["normal", "exponential", "gp(-0.3)", "gp(0.2)", "lognormal(-0.2)", "lognormal(0.4)"]


@pytest.mark.parametrize("n", [1, 1.5, 4, 128, 1e4, 1e9])
def test_expected_max_closed_forms(n):
    harmonic = digamma(n + 1) + np.euler_gamma
    assert expected_max(n, "exponential") == pytest.approx(harmonic, rel=1e-11)
    for xi in (-0.49, -0.2, 0.25):
        exact = np.expm1(np.log(n) + betaln(n, 1 - xi)) / xi
        assert expected_max(n, f"gp({xi})") == pytest.approx(exact, rel=1e-9)
    assert expected_max(n, "gp(0)") == expected_max(n, "exponential")
    assert expected_max(n, "lognormal(0)") == expected_max(n)


def test_expected_max_of_a_lognormal():
    g = 0.3
    assert expected_max(1, f"lognormal({g})") == pytest.approx(np.expm1(g * g / 2) / g, rel=1e-12)
    x = np.linspace(-12, 12, 200001)
    f = 128 * np.exp(127 * stats.norm.logcdf(x) + stats.norm.logpdf(x))
    assert expected_max(128, f"lognormal({g})") == pytest.approx(
        np.trapezoid(np.expm1(g * x) / g * f, x), rel=1e-9
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_score_is_that_of_a_shift(name):
    """psi = -d log f / dz, by finite differences of the law's survival function at two z."""
    shape = get_tail(name)
    x = np.linspace(0.2, 3, 15)
    h = 1e-4

    def log_density(at):
        return stats.norm.logpdf(at) - np.log((shape.value(at + h) - shape.value(at - h)) / (2 * h))

    slope = (log_density(x + 1e-3) - log_density(x - 1e-3)) / (
        shape.value(x + 1e-3) - shape.value(x - 1e-3)
    )
    np.testing.assert_allclose(shape.location_score(x), -slope, rtol=1e-4, atol=1e-4)
    assert (np.diff(shape.value(x)) > 0).all()


def test_names():
    assert {name.partition("(")[0] for name in NAMES} == set(TAILS)
    assert get_tail(" gp( -0.20 ) ").name == "gp(-0.2)"
    assert get_tail("gp(-0.2)") is get_tail("gp(-0.2)")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("weibull", "tail='weibull' is not known; known tails: 'normal'"),
        ("", "is not known"),
        ("normal(1)", "normal takes no parameter"),
        ("gp", "gp needs one number from -0.49 to 0.25"),
        ("gp()", "gp needs one number"),
        ("gp(0.9)", "gp needs one number"),
        ("gp(nan)", "gp needs one number"),
        ("lognormal(-1)", "from -0.5 to 0.5"),
        (None, "tail=None is not known"),
    ],
)
def test_bad_names(name, words):
    with pytest.raises(ValueError, match="tail=") as error:
        get_tail(name)
    assert words in str(error.value)
