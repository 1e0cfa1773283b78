"""Expected normal order statistics against brute-force quadrature and known values."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import gamma

from bontea import expected_max
from bontea.tails.order_statistics import expected_scores, product_moments


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
    scores = expected_scores(m)
    for i in ranks:
        assert scores[i - 1] == pytest.approx(slow_score(i, m), rel=1e-9, abs=1e-11)


def test_known_values():
    """Harter 1961, Biometrika 48, table 1 (five decimals)."""
    assert expected_scores(2)[1] == pytest.approx(1 / math.sqrt(math.pi), rel=1e-12)
    np.testing.assert_allclose(expected_scores(5)[3:], [0.49502, 1.16296], atol=5e-6)
    np.testing.assert_allclose(
        expected_scores(10)[5:], [0.12267, 0.37576, 0.65606, 1.00136, 1.53875], atol=5e-6
    )


@pytest.mark.parametrize("m", [1, 2, 3, 16, 65, 512, 4096])
def test_properties(m):
    scores = expected_scores(m)
    assert scores.shape == (m,)
    assert np.isfinite(scores).all()
    assert (np.diff(scores) > 0).all()
    np.testing.assert_array_equal(scores, -scores[::-1])
    assert scores[-1] == pytest.approx(expected_max(m), rel=1e-10)
    if m >= 16:  # the sum of squares is m minus the sum of variances, which is of order 1
        assert m - 10 < scores @ scores < m


def test_read_only():
    with pytest.raises(ValueError, match="read-only"):
        expected_scores(4)[0] = 1


@pytest.mark.parametrize("m", [0, -1, 2.0, True, "3"])
def test_bad_m(m):
    with pytest.raises(ValueError, match=r"m=.*whole number"):
        expected_scores(m)


def test_product_moments_against_identities():
    """Of m standard normals: each row of E[Z_i Z_j] sums to 1; sums of E[Z_i^2 Z_j] are known."""
    for m in (2, 3, 5, 16, 40):
        second, location, scale = product_moments(m, m, m)
        assert np.array_equal(location, second)  # the normal's score of a shift is z itself
        third = scale + expected_scores(m)[::-1]
        np.testing.assert_allclose(second.sum(1), 1, atol=1e-10)
        np.testing.assert_allclose(np.trace(second), m, rtol=1e-11)
        np.testing.assert_allclose(second, second[::-1, ::-1], atol=1e-10)  # symmetry of the normal
        np.testing.assert_allclose(third, -third[::-1, ::-1], atol=1e-10)
        # The mean is independent of differences, so E[Z_i^2 mean] = 2 E[Z_i] / m; and the sum of
        # squares is independent of the directions, so sum_i E[Z_i^2 Z_j] = (m + 1) E[Z_j].
        scores = expected_scores(m)[::-1]
        np.testing.assert_allclose(third.sum(1), 2 * scores, atol=1e-9)
        np.testing.assert_allclose(third.sum(0), (m + 1) * scores, atol=1e-8)


def test_product_moments_of_two_and_three_by_hand():
    second = product_moments(3, 3, 3).second
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
    moments = product_moments(128, 32, 32)
    third = moments.scale + expected_scores(128)[::-1][:32]
    error = np.abs(np.array([moments.second, third]) - mean)
    assert (error < 5 * se).all()
    assert (se < 0.02 * np.abs(mean)).all()


def test_a_block_of_the_moments_is_the_moments_of_the_block():
    whole, block = product_moments(24, 24, 24), product_moments(24, 24, 6)
    for a, b in zip(whole, block, strict=True):
        np.testing.assert_allclose(b, a[:, :6], atol=1e-12)


def test_product_moments_refuse_ranks_that_are_not_there():
    with pytest.raises(ValueError, match="from 1 to m=4"):
        product_moments(4, 5, 2)


def renyi(m):
    """Mean and variance of exponential order statistics, best first (Renyi's representation)."""
    gaps = 1 / np.arange(1, m + 1)
    return (np.array([(gaps[r:] ** p).sum() for r in range(m)]) for p in (1, 2))


def test_exponential_tail_against_renyi():
    mean, variance = renyi(24)
    rank = np.arange(12)
    second = variance[np.maximum.outer(rank, rank)] + np.outer(mean[:12], mean[:12])
    got = product_moments(24, 12, 12, "exponential")
    np.testing.assert_allclose(expected_scores(24, "exponential")[::-1], mean, rtol=1e-12)
    np.testing.assert_allclose(got.second, second, rtol=1e-10)
    np.testing.assert_allclose(got.location, np.tile(mean[:12], (12, 1)), rtol=1e-10)  # psi = 1
    np.testing.assert_allclose(got.scale, second - mean[:12], rtol=1e-9, atol=1e-10)


def beta_moment(m, r, a, c, b):
    """`E[t_r^a t_c^b]` of uniform order statistics, ranks from the smallest, c <= r, in closed
    form: `t_c / t_r` is Beta(c+1, r-c) and independent of `t_r`, Beta(r+1, m-r)."""

    def moment(p, q, power):
        return gamma(p + power) / gamma(p) * gamma(p + q) / gamma(p + q + power)

    return moment(r + 1, m - r, a + b) * (moment(c + 1, r - c, b) if c < r else 1)


@pytest.mark.parametrize("xi", [-0.49, -0.2, 0.1, 0.25])
def test_generalised_pareto_tail_against_closed_forms(xi):
    m = 40
    got = product_moments(m, 12, 12, f"gp({xi})")
    for r in range(12):
        for c in range(r + 1):
            e = {
                (a, b): beta_moment(m, r, a * xi, c, b * xi) for a in (-1, 0, 1) for b in (-1, 0, 1)
            }
            second = (e[-1, -1] - e[-1, 0] - e[0, -1] + 1) / xi**2
            assert got.second[r, c] == pytest.approx(second, rel=1e-8)
            down = (1 + xi) * (e[1, -1] - e[1, 0]) / xi
            assert got.location[r, c] == pytest.approx(down, rel=1e-8)
            across = (1 + xi) * (e[-1, 1] - e[0, 1]) / xi
            assert got.location[c, r] == pytest.approx(across, rel=1e-8)
    # Z psi - 1 = ((1 + xi) (1 - t^xi) / xi - 1)
    turned = (1 + xi) * (beta_moment(m, 5, -xi, 5, 0) - 2 + beta_moment(m, 5, xi, 5, 0)) / xi**2
    z = (beta_moment(m, 5, -xi, 5, 0) - 1) / xi
    assert got.scale[5, 5] == pytest.approx(turned - z, rel=1e-7)


def test_lognormal_tail_against_quadrature():
    """Second moments of the two best of four, by the joint density on a plain grid."""
    g = -0.3
    x = np.arange(-9, 9, 0.01)
    z = np.expm1(g * x) / g
    f = 12 * stats.norm.pdf(x)[:, None] * stats.norm.pdf(x) * stats.norm.cdf(x)[:, None] ** 2
    f = np.triu(f) - np.diag(np.diag(f)) / 2  # rows the second best, columns the best
    got = product_moments(4, 2, 2, f"lognormal({g})")
    assert got.second[1, 0] == pytest.approx(z @ f @ z * 1e-4, rel=1e-4)
    psi = (x + g) * np.exp(-g * x)
    assert got.location[1, 0] == pytest.approx(psi @ f @ z * 1e-4, rel=1e-3)
    assert got.scale[0, 1] == pytest.approx(z @ f @ (z * psi - 1) * 1e-4, rel=1e-3)
