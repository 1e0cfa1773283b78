"""Best-of-N of known laws: closed forms, slow quadrature, finite differences, brute force."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, special, stats

from bontea import expected_max
from bontea.theory import (
    LAWS,
    advantage,
    discrete,
    empirical,
    fisher_information,
    get_law,
    gradient,
    mixture,
    rounded,
    student_t,
    value,
    with_atoms,
)

NS = [1, 1.001, 1.5, 2, 16, 128, 1e4, 1e6]
CLOSED = {
    "normal": expected_max,
    "uniform": lambda n: n / (n + 1),
    "exponential": lambda n: special.digamma(n + 1) + np.euler_gamma,
    "logistic": lambda n: special.digamma(n) + np.euler_gamma,
    "gumbel": lambda n: np.euler_gamma + math.log(n),
    "bernoulli": lambda n: -math.expm1(n * math.log(0.9)),
}


@pytest.mark.parametrize("name", sorted(CLOSED))
@pytest.mark.parametrize("n", [*NS, 1e9])
def test_value_closed_forms(name, n):
    assert value(name, n) == pytest.approx(CLOSED[name](n), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("n", [*NS, 1e9])
def test_gradient_of_the_normal(n):
    assert gradient("normal", n)[:2] == pytest.approx((1, expected_max(n)), abs=1e-9)
    assert gradient("normal", n).shape is None


def slow_value(quantile, n, points=()):
    """`int_0^1 Q(u^(1/N)) du` in pieces, with the upper tail in `w = 1 - u`."""

    def piece(w):
        # 1 - u^(1/N), without losing it when w is small
        return quantile(-math.expm1(math.log1p(-w) / n))

    edges = np.unique([0, *np.geomspace(1e-14, 0.5, 30), *np.linspace(0.5, 1, 9), *points])
    return sum(
        integrate.quad(piece, a, b, limit=200, epsabs=0, epsrel=1e-11)[0]
        for a, b in itertools.pairwise(edges)
    )


@pytest.mark.parametrize("n", [1.5, 16, 1e4, 1e6])
@pytest.mark.parametrize("dist", [stats.t(5), stats.beta(2, 2), stats.gamma(0.5), stats.laplace()])
def test_value_against_slow_quadrature(dist, n):
    # Laplace's quantile function has a kink that nobody declared.
    law = "student_t" if dist.dist.name == "t" else "beta" if dist.dist.name == "beta" else dist
    slow = slow_value(dist.isf, n, [1 - 0.5**n] if dist.dist.name == "laplace" else [])
    # Beyond 1e-14 the slow route leaves out about 1e-14 Q(1 - 1e-14 / N), relative.
    assert value(law, n) == pytest.approx(slow, rel=1e-9)


def test_value_of_a_lumpy_law():
    """Two narrow humps far apart: the quantile function is nearly a step."""
    law = mixture([stats.norm(0, 0.01), stats.norm(10, 0.01)], [0.5, 0.5])
    for n in (1, 2, 16):
        r = np.linspace(-0.2, 10.2, 200_001)
        slow = 10.2 - np.trapezoid(law.latent.cdf(r) ** n, r)
        assert value(law, n) == pytest.approx(slow, rel=1e-8)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_empirical_against_every_draw(n):
    sample = [0.5, -1.0, 2.0, 2.0, 3.5]
    slow = np.mean([max(draw) for draw in itertools.product(sample, repeat=n)])
    assert value(sample, n) == pytest.approx(slow, rel=1e-12)


def test_atoms_by_hand():
    # Half the mass at -1, the upper half of a normal above: V_2 = -1/4 + E[max; max > 0]
    upper = integrate.quad(lambda x: 2 * x * stats.norm.pdf(x) * stats.norm.cdf(x), 0, 12)[0]
    assert value("atom", 2) == pytest.approx(-1 / 4 + upper, rel=1e-9)
    # Rounding to a grid: P(R <= g) = Phi(g + 1/4)
    g = np.arange(-20, 21) * 0.5
    mass = np.diff(np.append(0, stats.norm.cdf(g + 0.25) ** 7))
    assert value("rounded", 7) == pytest.approx(g @ mass, rel=1e-9)


def moved(law, location, log_scale):
    """The law after the policy moved its latent, as a law on the old latent."""
    scale = math.exp(log_scale)
    return replace(
        law,
        reward=lambda x: law.reward(location + scale * x),
        slope=law.slope and (lambda x: scale * law.slope(location + scale * x)),
        jumps=(law.jumps - location) / scale,
        kinks=tuple((kink - location) / scale for kink in law.kinks),
    )


@pytest.mark.parametrize("n", [1, 2.5, 128, 1e5])
@pytest.mark.parametrize("name", sorted(LAWS))
def test_gradient_against_finite_differences(name, n):
    law, h = get_law(name), 1e-4
    steps = [(-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12)]
    expected = [
        sum(w * value(moved(law, *(k * h * np.eye(2)[i])), n) for k, w in steps) / h for i in (0, 1)
    ]
    got = gradient(law, n)
    assert got[:2] == pytest.approx(expected, rel=1e-7, abs=2e-9)
    if law.shape is not None:
        slope = sum(w * value(law.shape.at(law.shape.value + k * h), n) for k, w in steps) / h
        assert got.shape == pytest.approx(slope, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("n", [2.5, 128])
def test_shape_gradient_with_jumps(n):
    law, h = rounded(student_t(7.0), 0.5), 1e-4
    slope = (value(law.shape.at(7 + h), n) - value(law.shape.at(7 - h), n)) / (2 * h)
    assert gradient(law, n).shape == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("n", [1, 2.5, 128])
@pytest.mark.parametrize("name", [*sorted(LAWS), "empirical"])
def test_gradient_is_the_advantage_times_the_score(name, n):
    """`E[A*(R) S]`, by Gauss-Legendre over arcsinh(x), and E[A*] = 0."""
    law = empirical([0.0, 1.0, 1.5, 4.0]) if name == "empirical" else get_law(name)
    reach = 5000 if name == "student_t" else 45
    low = -reach if name in ("student_t", "logistic") else -15
    ends = np.union1d(np.arcsinh([low, -2, -1, 1, 3, 6, reach]), np.arcsinh(law.kinks))
    ends = np.union1d(ends, np.arcsinh(law.jumps[np.abs(law.jumps) < 9]))
    node, weight = np.polynomial.legendre.leggauss(120)
    half = np.diff(ends)[:, None] / 2
    y = (ends[:-1, None] + half * (node + 1)).ravel()
    x = np.sinh(y)
    f = (half * weight).ravel() * np.cosh(y) * law.latent.pdf(x)
    assert f.sum() == pytest.approx(1, abs=1e-9)
    a = advantage(law, n, latent=True)(x)
    scale = np.abs(a) @ f
    expected = law.latent.scores(x) @ (a * f)
    tolerance = 1e-7 if name == "student_t" else 1e-8  # its tail beyond 5000
    assert gradient(law, n)[:2] == pytest.approx(expected, rel=tolerance, abs=tolerance * scale)
    assert a @ f == pytest.approx(0, abs=tolerance * scale)
    if law.shape is not None:
        expected = law.shape.score(x) @ (a * f)
        assert gradient(law, n).shape == pytest.approx(expected, rel=1e-6, abs=1e-9)


CDF = {
    "normal": stats.norm.cdf,
    "exponential_body": lambda r: np.where(r > 0, stats.norm.cdf(r), np.exp(np.minimum(r, 0)) / 2),
    "atom": lambda r: np.where(r < -1, 0, np.maximum(stats.norm.cdf(r), 0.5)),
    "logistic": stats.logistic.cdf,
    "gumbel": stats.gumbel_r.cdf,
    "exponential": stats.expon.cdf,
    "student_t": stats.t(5).cdf,
    "uniform": stats.uniform.cdf,
    "beta": stats.beta(2, 2).cdf,
    "skewed_mixture": lambda r: 0.8 * stats.norm.cdf(r) + 0.2 * stats.norm.cdf(r, -2, 1.5),
    "rounded": lambda r: stats.norm.cdf(np.floor(r / 0.5) * 0.5 + 0.25),
    "bernoulli": lambda r: np.where(r < 0, 0, np.where(r < 1, 0.9, 1)),
}


@pytest.mark.parametrize("n", [1.5, 2, 128])
@pytest.mark.parametrize("name", sorted(LAWS))
def test_advantage_against_its_definition(name, n):
    """Differences of A* over rewards, in and between the possible ones and beyond the best."""
    law = get_law(name)
    r = np.linspace(*law.reward(law.latent.ppf(np.array([0.02, 0.9999]))), 12)
    r = np.append(r, r[-1] + 3.0)
    f = CDF[name](np.linspace(r[:-1], r[1:], 20_001))
    expected = n * np.trapezoid(f ** (n - 1), axis=0) * np.diff(r) / 20_000
    got = np.diff(advantage(law, n)(r))
    # The trapezoidal rule misplaces a jump of the distribution by up to half a step.
    jumpy = name in ("atom", "rounded", "bernoulli")
    tolerance = n * np.diff(r) / 20_000 if jumpy else 1e-6 * n
    np.testing.assert_array_less(np.abs(got - expected), tolerance)
    x = law.latent.ppf(np.array([0.3, 0.77, 0.99]))
    np.testing.assert_allclose(
        advantage(law, n)(law.reward(x)), advantage(law, n, latent=True)(x), rtol=1e-7, atol=1e-9
    )


def test_advantage_at_n_1_is_the_centred_reward():
    for name in ("normal", "gumbel", "atom", "rounded", "uniform"):
        law = get_law(name)
        r = law.reward(np.linspace(-3, 3, 7))
        np.testing.assert_allclose(advantage(law, 1)(r), r - value(law, 1), atol=1e-9)


def test_advantage_of_the_uniform():
    """N int_0^r t^(N-1) dt = r^N, in any shape, below and above the possible rewards too."""
    r = np.array([[-1.0, 0.0, 0.5], [0.9, 1.0, 3.0]])
    expected = np.where(r > 1, 1 + 7 * (r - 1), np.clip(r, 0, 1) ** 7) - 1 / 8
    np.testing.assert_allclose(advantage("uniform", 7)(r), expected, atol=1e-12)


def test_fisher_information():
    g = np.euler_gamma
    expected = {
        "normal": [[1, 0], [0, 2]],
        "beta": [[1, 0], [0, 2]],  # that of its latent
        "logistic": [[1 / 3, 0], [0, (3 + math.pi**2) / 9]],
        "gumbel": [[1, g - 1], [g - 1, math.pi**2 / 6 + (1 - g) ** 2]],
        "student_t": [[6 / 8, 0], [0, 10 / 8]],
    }
    for name, matrix in expected.items():
        np.testing.assert_allclose(fisher_information(name), matrix, atol=1e-10)


def test_degenerate_laws():
    assert value([3.5], 128) == 3.5
    assert gradient([3.5], 128)[:2] == (0.0, 0.0)
    assert advantage([3.5], 4)([3.5, 2.5, 4.5]).tolist() == [0.0, 0.0, 4.0]
    two = discrete([-1, 1], [0.25, 0.75])
    assert value(two, 2) == pytest.approx(1 - 2 / 16)
    heavy = with_atoms(stats.norm(), {0.0: 0.999})
    x = integrate.quad(lambda r: r * stats.norm.pdf(r) * 0.001, -12, 12, points=[0])[0]
    assert value(heavy, 1) == pytest.approx(x, abs=1e-12)


@pytest.mark.parametrize("function", [value, gradient, advantage])
def test_bad_arguments(function):
    for n in (0.5, 0, -1, math.nan, math.inf, "128", True):
        with pytest.raises(ValueError, match="is not a deployment budget"):
            function("normal", n)
    with pytest.raises(ValueError, match="is above 1,000,000,000"):
        function("normal", 2e9)
    with pytest.raises(ValueError, match="did you mean 'normal'"):
        function("normla", 128)
    with pytest.raises(ValueError, match="holds nan"):
        function([1.0, math.nan], 128)
