"""Calibrated TEA: its expectations by three other routes, and unbiasedness by simulation."""

import math
from functools import lru_cache

import numpy as np
import pytest
from scipy.special import gammaln, log_ndtr
from scipy.stats import norm
from tests.statistics import assert_mean, gradient

from bontea import GroupTooSmallError, expected_max, tail_coefficient, tea
from bontea.advantages._calibrated_tea import calibrated_tea, calibration, expectations
from bontea.tails.normal import tail_constants


def parts(rewards, k):
    """L and Q of groups `(P, m)`, by the formulas and nothing else."""
    m = rewards.shape[-1]
    tail = np.sort(rewards, axis=-1)[:, m - k :]
    r, mu, sd = tail[:, :1], tail.mean(-1, keepdims=True), tail.std(-1, keepdims=True)
    inside = m / k * (rewards >= r)
    return inside * (rewards - r), inside * ((rewards - mu) ** 2 - (r - mu) ** 2) / (2 * sd)


def columns(part, z):
    """Gradient in (location, log scale) and mean of every group, `(P, 3)`."""
    return np.concatenate([gradient(part, z), part.mean(-1, keepdims=True)], axis=-1)


def rule(low, high, nodes):
    node, weight = np.polynomial.legendre.leggauss(nodes)
    return low + (high - low) * (node + 1) / 2, (high - low) / 2 * weight


@lru_cache
def brute_force(m, k):
    """`expectations` for k = 3 and 4 by quadrature over the threshold and the other tail rewards.

    In polar coordinates of the excesses, where Q is smooth: it is not at equal tail rewards.
    """
    r, wr = rule(-8.0, 7.0, 80)
    rho, w_rho = rule(0.0, 14.0, 60)
    angle, w_angle = rule(0.0, math.pi / 2, 20)
    if k == 3:
        direction = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        w_direction = w_angle
    else:
        a, b = (grid.ravel() for grid in np.meshgrid(angle, angle))
        direction = np.stack([np.sin(a) * np.cos(b), np.sin(a) * np.sin(b), np.cos(a)], axis=-1)
        w_direction = np.outer(w_angle, w_angle * np.sin(angle)).ravel()  # a is the inner grid
    x = (rho[:, None, None] * direction).reshape(-1, k - 1)
    w_x = ((w_rho * rho ** (k - 2))[:, None] * w_direction).ravel()
    x = np.concatenate([np.zeros((len(x), 1)), x], axis=-1)
    log_factor = gammaln(m + 1) - gammaln(m - k + 1) - gammaln(k)
    total = np.zeros((2, 3))
    for threshold, w in zip(r, wr, strict=True):
        z = threshold + x
        density = np.exp(log_factor + (m - k) * log_ndtr(threshold) + norm.logpdf(z).sum(-1))
        weight = w * w_x * density
        for row, part in enumerate(parts(z, k)):  # of k rewards: (1/k) sum = (1/m) sum of m
            total[row] += weight @ columns(part, z)
    return total


def largest(values):
    """Tolerances are relative to the largest entry of L and of Q: some entries are 0."""
    return np.abs(values).max(-1, keepdims=True)


@pytest.mark.parametrize(("m", "k"), [(3, 3), (9, 3), (4, 4), (16, 4)])
def test_expectations_by_brute_force(m, k):
    expected = brute_force(m, k)
    assert (np.abs(expectations(m, k) - expected) < 1e-8 * largest(expected)).all()


@pytest.mark.parametrize("m", [3, 8, 64, 500, 4096])
def test_expectations_of_the_whole_group(m):
    """k = M in closed form: mean, standard deviation and shape of a normal group are independent.

    `sd^2 ~ chi^2_{M-1} / M`, mean kurtosis `3 (M-1)/(M+1)`, and with the minimum of the group
    `E[((min - mean)/sd)^2] = (E[min^2] - 1/M) M/(M-1)`.
    """
    sd = math.sqrt(2 / m) * math.exp(gammaln(m / 2) - gammaln((m - 1) / 2))
    x = np.arange(-12, 12, 1e-3)
    density = m * np.exp((m - 1) * log_ndtr(x) + norm.logpdf(x)) * 1e-3
    best, square = density @ x, density @ x**2
    depth = (square - 1 / m) * m / (m - 1)
    expected = [
        [1 - 1 / m, best / m, best],
        [0, sd / 2 * (3 * (m - 1) / (m + 1) - 1 + 1 / m - depth / m), sd / 2 * (1 - depth)],
    ]
    assert (np.abs(expectations(m, m) - expected) < 1e-9 * largest(expected)).all()


@pytest.mark.parametrize(("m", "k"), [(16, 8), (40, 10), (256, 64)])
def test_expectations_by_simulation(m, k):
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(20):
        z = rng.standard_normal((150_000 // m, m))
        samples.append(np.stack([columns(part, z) for part in parts(z, k)], axis=1))
    samples = np.concatenate(samples)
    assert_mean(samples, expectations(m, k), 0.03)


@pytest.mark.parametrize("alpha", [0.25, 0.5])
def test_expectations_of_large_groups(alpha):
    """They tend to the gradients of the tail's mean and standard deviation, as 1/M."""
    z, lam, s = tail_constants(alpha)
    limit = np.array([[1, lam, lam - z], [0, s, (s**2 - (z - lam) ** 2) / (2 * s)]])
    bias = [m * (expectations(m, int(alpha * m)) - limit) for m in (1024, 4096)]
    assert (np.abs(bias[0]) > 0.3).all()
    np.testing.assert_allclose(*bias, rtol=0.04)


def test_coefficient_ratio():
    """By brute force: 4.871 raw and 4.918 centred, where TEA has 2.692."""
    (l_mu, l_sigma, l_mean), (q_mu, q_sigma, q_mean) = brute_force(16, 4)
    c = expected_max(128)
    for center, reference in [(False, 4.871), (True, 4.918)]:
        if center:
            l_sigma, q_sigma = l_sigma - l_mean / 16, q_sigma - q_mean / 16
        ratio = (c * l_mu - l_sigma) / (q_sigma - c * q_mu)  # Cramer's rule
        a, b = calibration(16, 4, 128.0, center)
        assert b / a == pytest.approx(ratio, rel=1e-7)
        assert ratio == pytest.approx(reference, abs=5e-4)
    assert tail_coefficient(128, 0.25) == pytest.approx(2.692, abs=5e-4)


@pytest.mark.parametrize("center", [True, False])
def test_tends_to_tea(center):
    rewards = np.random.default_rng(0).normal(size=(3, 20_000))
    got = calibrated_tea(rewards, n=512, center=center)
    expected = tea(rewards, n=512, center=center)
    np.testing.assert_allclose(got, expected, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize(
    ("m", "alpha", "n"),
    [(9, 0.25, 128), (16, 0.25, 1), (17, 0.3, 512.5), (5, 1, 128), (3, 1, 2), (64, 0.1, 1e6)],
)
def test_literal_transcription(m, alpha, n, center):
    rng = np.random.default_rng(m)
    rewards = np.concatenate([rng.normal(size=(4, m)) + 3, rng.exponential(size=(4, m))])
    k = math.ceil(alpha * m - 1e-9)
    a, b = calibration(m, k, n, center)
    first, second = parts(rewards, k)
    expected = a * first + b * second
    if center:
        expected -= expected.mean(-1, keepdims=True)
    got = calibrated_tea(rewards, n=n, alpha=alpha, center=center)
    np.testing.assert_allclose(got, expected, atol=1e-10 * np.abs(expected).max())


def test_defaults_are_a_quarter_centred():
    rewards = np.random.default_rng(0).normal(size=(2, 16))
    expected = calibrated_tea(rewards, n=99, alpha=0.25, center=True)
    assert np.array_equal(calibrated_tea(rewards, n=99), expected)


def simulate(draw, m, n, alpha, center, groups, at_once=4000):
    """Gradients of groups of rewards `draw(z)`, by the scores of the normal z: `(groups, 2)`."""
    rng = np.random.default_rng(0)
    out = []
    for _ in range(groups // at_once):
        z = rng.standard_normal((at_once, m))
        a = calibrated_tea(draw(z, rng), n=n, alpha=alpha, center=center)
        out.append(gradient(a, z))
    return np.concatenate(out)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize(
    ("m", "alpha", "n"), [(9, 0.3, 64), (16, 0.25, 128), (16, 0.25, 2), (16, 0.5, 128), (16, 1, 30)]
)
def test_unbiased_on_normal_rewards(m, alpha, n, center):
    """Gradient (1, c_N) to within 5 standard errors, which are less than 5 % of it.

    False-fail rate 5.7e-7 for each component.
    """
    s = simulate(lambda z, rng: z, m, n, alpha, center, 220_000)
    assert_mean(s[:, 0], 1.0, 0.05)
    assert_mean(s[:, 1], expected_max(n), 0.05 * expected_max(n))


def exponential_body(z, rng):
    return np.where(z < 0, -rng.exponential(size=z.shape), z)


def atom_body(z, rng):
    """Half the mass in one atom."""
    return np.where(z < 0, -1.0, z)


@pytest.mark.parametrize("draw", [exponential_body, atom_body])
@pytest.mark.parametrize(("m", "n"), [(32, 512), (48, 128)])
def test_unbiased_whatever_the_body_does(draw, m, n):
    """Raw form, gradient (1, c_N) as above: moving the tail moves only the upper part.

    Fewer than k of M rewards above the median: 1 in 950 groups of 32, which takes 0.3 % off the
    first component.
    """
    s = simulate(draw, m, n, 0.25, False, 60_000)
    assert_mean(s[:, 0], 1.0, 0.05)
    assert_mean(s[:, 1], expected_max(n), 0.05 * expected_max(n))


def test_continuous_in_the_rewards():
    """Two rewards that change places, in the tail or at its threshold, change nothing by a jump."""
    rewards = np.linspace(2, -2, 16)[None].repeat(15, axis=0)
    above, below = rewards.copy(), rewards.copy()
    for i in range(15):
        above[i, i + 1] = rewards[i, i] + 1e-9
        below[i, i + 1] = rewards[i, i] - 1e-9
    got, other = calibrated_tea(above, n=128), calibrated_tea(below, n=128)
    assert np.abs(got - other).max() < 1e-7


def test_ties_share():
    rewards = np.array([[3.0, 1.0, 3.0, 0.0, 2.0, 1.0, -1.0, 5.0, 0.5]])
    got = calibrated_tea(rewards, n=128, alpha=0.6, center=False)[0]  # the threshold is the tied 1
    assert got[0] == got[2] != 0
    assert got[1] == got[5] == 0
    jitter = np.random.default_rng(0).permuted(np.arange(9) * 1e-9)
    np.testing.assert_allclose(
        calibrated_tea(rewards + jitter, n=128, alpha=0.6, center=False)[0], got, atol=1e-6
    )


@pytest.mark.parametrize("center", [True, False])
def test_equal_tails_get_zeros(center):
    rewards = np.random.default_rng(0).normal(size=(3, 16)) - 9
    rewards[:, :4] = 0.7
    rewards[1] = 0.7
    assert np.array_equal(calibrated_tea(rewards, n=128, center=center), np.zeros((3, 16)))


def test_ragged_groups():
    """NaN is a missing rollout; every size has its own calibration; groups below 9 get zeros."""
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(6, 20))
    sizes = [20, 8, 9, 16, 1, 13]
    for row, size in enumerate(sizes):
        rewards[row, rng.permutation(20)[size:]] = np.nan
    got = calibrated_tea(rewards, n=128)
    for row, size in enumerate(sizes):
        there = ~np.isnan(rewards[row])
        assert (got[row, ~there] == 0).all()
        if size < 9:
            assert (got[row] == 0).all()
        else:
            expected = calibrated_tea(rewards[row, there], n=128)
            np.testing.assert_allclose(got[row, there], expected, rtol=1e-12)
            assert expected.any()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"n": 0.5}, "n=0.5 is not a deployment budget"),
        ({"n": 128, "alpha": 0}, "alpha=0 is not a tail fraction"),
        ({"n": 128, "alpha": 1.5}, "alpha=1.5 is not a tail fraction"),
    ],
)
def test_bad_parameters(params, words):
    with pytest.raises(ValueError, match=words):
        calibrated_tea(np.zeros((2, 16)), **params)


def test_too_small():
    with pytest.raises(GroupTooSmallError, match="at least 9 rollouts"):
        calibrated_tea(np.zeros((2, 8)), n=128)
    with pytest.raises(ValueError, match="k=2 of m=8 rollouts"):
        calibration(8, 2, 128.0, True)
    with pytest.raises(ValueError, match="k=9 of m=8 rollouts"):
        expectations(8, 9)


def test_infinite_rewards():
    rewards = np.random.default_rng(0).normal(size=(3, 16))
    rewards[1, 4] = np.inf
    with pytest.raises(ValueError, match="group 1 holds an infinite reward"):
        calibrated_tea(rewards, n=128)
