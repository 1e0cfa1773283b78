"""Expected normal order statistics against brute-force quadrature and known values."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from bontea import expected_max
from bontea.tails.order_statistics import normal_scores, product_moments


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


def test_product_moments_against_identities():
    """Of m standard normals: each row of E[Z_i Z_j] sums to 1; sums of E[Z_i^2 Z_j] are known."""
    for m in (2, 3, 5, 16, 40):
        second, third = product_moments(m, m, m)
        np.testing.assert_allclose(second.sum(1), 1, atol=1e-10)
        np.testing.assert_allclose(np.trace(second), m, rtol=1e-11)
        np.testing.assert_allclose(second, second[::-1, ::-1], atol=1e-10)  # symmetry of the normal
        np.testing.assert_allclose(third, -third[::-1, ::-1], atol=1e-10)
        # The mean is independent of differences, so E[Z_i^2 mean] = 2 E[Z_i] / m; and the sum of
        # squares is independent of the directions, so sum_i E[Z_i^2 Z_j] = (m + 1) E[Z_j].
        scores = normal_scores(m)[::-1]
        np.testing.assert_allclose(third.sum(1), 2 * scores, atol=1e-9)
        np.testing.assert_allclose(third.sum(0), (m + 1) * scores, atol=1e-8)


def test_product_moments_of_two_and_three_by_hand():
    second, _ = product_moments(3, 3, 3)
    # E[max mid] = sqrt(3)/(2 pi), E[max min] = -sqrt(3)/pi (Jones 1948).
    assert second[0, 1] == pytest.approx(np.sqrt(3) / (2 * np.pi), rel=1e-10)
    assert second[0, 2] == pytest.approx(-np.sqrt(3) / np.pi, rel=1e-10)


def test_product_moments_of_large_groups():
    """Ranks far apart and side by side, against simulation at M = 128: 5 standard errors."""
    rng = np.random.default_rng(0)
    total, squares, count = np.zeros((2, 32, 32)), np.zeros((2, 32, 32)), 0
    for _ in range(20):
        z = -np.sort(-rng.standard_normal((2000, 128)), axis=1)[:, :32]
        for i, left in enumerate((z, z * z)):
            total[i] += left.T @ z
            squares[i] += (left**2).T @ z**2
        count += len(z)
    mean = total / count
    se = np.sqrt((squares / count - mean**2) / count)
    error = np.abs(np.array(product_moments(128, 32, 32)) - mean)
    assert (error < 5 * se).all()
    assert (se < 0.02 * np.abs(mean)).all()


def test_a_block_of_the_moments_is_the_moments_of_the_block():
    whole, block = product_moments(24, 24, 24), product_moments(24, 24, 6)
    for a, b in zip(whole, block, strict=True):
        np.testing.assert_allclose(b, a[:, :6], atol=1e-12)


def test_product_moments_refuse_ranks_that_are_not_there():
    with pytest.raises(ValueError, match="from 1 to m=4"):
        product_moments(4, 5, 2)
