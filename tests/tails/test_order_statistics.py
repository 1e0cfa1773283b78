"""Expected normal order statistics against brute-force quadrature and known values."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from bontea import expected_max
from bontea.tails import normal_scores


def slow_score(i, m):
    """`E[Z_(i)]` of m, ascending, by quadrature over the probability scale's density."""
    law = stats.beta(i, m - i + 1)
    points = np.linspace(-9, 9, 37)
    return sum(
        integrate.quad(
            lambda x: x * law.pdf(stats.norm.cdf(x)) * stats.norm.pdf(x), a, b, epsabs=1e-13
        )[0]
        for a, b in pairwise(points)
    )


@pytest.mark.parametrize(
    ("m", "ranks"), [(1, [1]), (4, [1, 2, 3, 4]), (16, [1, 8, 13, 16]), (100, [3, 60, 99, 100])]
)
def test_brute_force(m, ranks):
    scores = normal_scores(m)
    for i in ranks:
        assert scores[i - 1] == pytest.approx(slow_score(i, m), rel=1e-9, abs=1e-11)


def test_known_values():
    """Harter 1961, Biometrika 48, table 1 (five decimals)."""
    assert normal_scores(2)[1] == pytest.approx(1 / math.sqrt(math.pi), rel=1e-12)
    np.testing.assert_allclose(normal_scores(5)[3:], [0.49502, 1.16296], atol=5e-6)
    np.testing.assert_allclose(
        normal_scores(10)[5:], [0.12267, 0.37576, 0.65606, 1.00136, 1.53875], atol=5e-6
    )


@pytest.mark.parametrize("m", [1, 2, 3, 16, 65, 512, 4096])
def test_properties(m):
    scores = normal_scores(m)
    assert scores.shape == (m,)
    assert np.isfinite(scores).all()
    assert (np.diff(scores) > 0).all()
    np.testing.assert_array_equal(scores, -scores[::-1])
    assert scores[-1] == pytest.approx(expected_max(m), rel=1e-10)
    if m >= 16:  # the sum of squares is m minus the sum of variances, which is of order 1
        assert m - 10 < scores @ scores < m


def test_read_only():
    with pytest.raises(ValueError, match="read-only"):
        normal_scores(4)[0] = 1


@pytest.mark.parametrize("m", [0, -1, 2.0, True, "3"])
def test_bad_m(m):
    with pytest.raises(ValueError, match=r"m=.*whole number"):
        normal_scores(m)
