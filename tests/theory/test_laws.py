"""Reward laws: quantiles, scores, jumps, and what is refused."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from bontea.theory.laws import (
    LAWS,
    Law,
    discrete,
    empirical,
    from_distribution,
    get_law,
    mixture,
    rounded,
    student_t,
    with_atoms,
)

CONTINUOUS = sorted(set(LAWS) - {"bernoulli", "rounded"})
GRID = np.linspace(-5.03, 6.02, 301)  # misses every jump and kink


@pytest.mark.parametrize("name", sorted(LAWS))
def test_built_once_and_named(name):
    law = get_law(name)
    assert law is LAWS[name]() is get_law(law)
    assert law.name == name
    assert repr(law) == f"Law({name!r})"


@pytest.mark.parametrize("name", sorted(LAWS))
def test_latent_functions_agree(name):
    latent = get_law(name).latent
    p = np.array([1e-30, 1e-12, 1e-3, 0.2, 0.5, 0.8, 0.999])
    np.testing.assert_allclose(latent.cdf(latent.ppf(p)), p, rtol=1e-9)
    np.testing.assert_allclose(latent.sf(latent.isf(p)), p, rtol=1e-9)
    np.testing.assert_allclose(latent.cdf(GRID) + latent.sf(GRID), 1, rtol=1e-12)
    np.testing.assert_allclose(np.exp(latent.log_cdf(GRID)), latent.cdf(GRID), rtol=1e-9)
    np.testing.assert_allclose(np.exp(latent.log_sf(GRID)), latent.sf(GRID), rtol=1e-9)
    far = latent.isf(1e-25)  # where 1 - cdf is 0 in floating point
    assert latent.log_cdf(far) == pytest.approx(-1e-25, rel=1e-9)
    assert latent.log_sf(far) == pytest.approx(math.log(1e-25), rel=1e-9)
    s = np.linspace(-5, 60, 50)
    np.testing.assert_allclose(latent.to_s(latent.at(s)), s, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", sorted(LAWS))
def test_scores_are_derivatives(name):
    """The location score against finite differences of log f, both scores against E[S] = 0."""
    latent = get_law(name).latent
    step = 1e-5
    slope = (np.log(latent.pdf(GRID - step)) - np.log(latent.pdf(GRID + step))) / (2 * step)
    psi, log_scale = latent.scores(GRID)
    np.testing.assert_allclose(psi, slope, rtol=1e-6, atol=1e-6)
    # log scale: the density of e^t X is f(x e^-t) e^-t
    moved = [np.log(latent.pdf(GRID * np.exp(-t))) - t for t in (step, -step)]
    np.testing.assert_allclose(log_scale, (moved[0] - moved[1]) / (2 * step), rtol=1e-6, atol=1e-6)
    for i in (0, 1):
        mean = integrate.quad(
            lambda x, i=i: float(latent.scores(np.array(x))[i] * latent.pdf(x)), -60, 60, limit=200
        )[0]
        assert mean == pytest.approx(0, abs=1e-5)  # Student's tail beyond 60


@pytest.mark.parametrize("name", sorted(LAWS))
def test_draws_follow_the_latent(name):
    latent = get_law(name).latent
    draws = latent.draw(np.random.default_rng(0), (500, 40))
    assert draws.shape == (500, 40)
    assert stats.kstest(draws.ravel(), latent.cdf).pvalue > 1e-6
    again = latent.draw(np.random.default_rng(0), (500, 40))
    assert np.array_equal(draws, again)


@pytest.mark.parametrize("name", sorted(LAWS))
def test_reward_is_nondecreasing_and_jumps_where_it_says(name):
    law = get_law(name)
    assert (np.diff(law.reward(GRID)) >= 0).all()
    assert (law.heights > 0).all()
    seen = law.reward(law.jumps + 1e-9) - law.reward(law.jumps - 1e-9)
    np.testing.assert_allclose(seen, law.heights, atol=1e-7)
    # What is left is continuous: it moves no more than its slope allows.
    near = law.jumps[np.abs(law.jumps) < 6]
    left = law.continuous(near + 1e-9) - law.continuous(near - 1e-9)
    np.testing.assert_allclose(left, 0, atol=1e-7)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_slope_is_the_derivative(name):
    law = get_law(name)
    x, step = np.linspace(-4.03, 5.02, 301), 1e-5
    expected = (law.continuous(x + step) - law.continuous(x - step)) / (2 * step)
    np.testing.assert_allclose(law.slope(x), expected, rtol=2e-5, atol=1e-9)


@pytest.mark.parametrize(
    "dist",
    [
        stats.norm(5, 2),
        stats.norm(loc=5, scale=2),
        stats.t(3, 1, scale=4),
        stats.t(df=3, loc=1),
        stats.gumbel_r(1, 0.5),
        stats.laplace(0, 2),
        stats.expon(1, 3),
        stats.beta(2, b=3, scale=2),
        stats.gamma(0.5),
        stats.lognorm(s=0.7),
        stats.gumbel_l(),
    ],
    ids=lambda dist: f"{dist.dist.name}{dist.args}{dist.kwds}",
)
def test_from_distribution_has_that_distribution(dist):
    law = from_distribution(dist)
    r = dist.ppf([0.001, 0.1, 0.5, 0.9, 0.9999])
    np.testing.assert_allclose(law.latent.cdf(law.latent_below(r)), dist.cdf(r), rtol=1e-7)
    draws = law.reward(law.latent.draw(np.random.default_rng(1), (20_000,)))
    assert stats.kstest(draws, dist.cdf).pvalue > 1e-6
    if not np.isinf(dist.support()).all():  # an edge: no location score, so a normal latent
        assert law.latent is get_law("normal").latent


@pytest.mark.parametrize(
    ("name", "same", "scale"),
    [("normal", stats.gennorm(2), math.sqrt(0.5)), ("logistic", stats.genlogistic(1), 1.0)],
)
def test_numeric_score_of_unknown_distributions(name, same, scale):
    """A law that SciPy also knows under another name, whose score is by finite differences."""
    psi = from_distribution(same).latent.psi(GRID * scale) * scale
    np.testing.assert_allclose(psi, get_law(name).latent.psi(GRID), atol=1e-8)


def test_edge_laws_keep_their_upper_tail():
    law = get_law("exponential")
    x = stats.norm.isf([1e-10, 1e-30])
    np.testing.assert_allclose(law.reward(x), -np.log([1e-10, 1e-30]), rtol=1e-12)


def test_mixture():
    parts, w = [stats.norm(0, 1), stats.logistic(-2, 1.5)], np.array([0.7, 0.3])
    latent = mixture(parts, w).latent
    f = w @ [part.pdf(GRID) for part in parts]
    np.testing.assert_allclose(latent.pdf(GRID), f)
    # -f'/f, with f' by components
    d = w[0] * -GRID * parts[0].pdf(GRID)
    d += w[1] * -np.tanh((GRID + 2) / 3) / 1.5 * parts[1].pdf(GRID)
    np.testing.assert_allclose(latent.psi(GRID), -d / f, rtol=1e-9)
    # far out only the logistic is left, where its density underflows less
    assert latent.psi(np.array([-500.0])) == pytest.approx(-1 / 1.5)
    np.testing.assert_allclose(latent.ppf(latent.cdf(GRID)), GRID, atol=1e-9)


@pytest.mark.parametrize(
    ("dist", "atoms"),
    [
        (stats.norm(), {0.3: 0.2}),
        (stats.norm(), {-1.0: 0.2, 2.0: 0.3}),
        (stats.halfnorm(), {-1.0: 0.5}),
        (stats.halfnorm(), {-2.0: 0.1, -1.0: 0.2, 0.5: 0.1}),
        (stats.uniform(), {-1.0: 0.1, 0.0: 0.1, 0.5: 0.1, 1.0: 0.1, 3.0: 0.2, 4.0: 0.1}),
    ],
)
def test_with_atoms_has_that_distribution(dist, atoms):
    law = with_atoms(dist, atoms)
    rest = 1 - sum(atoms.values())
    r = np.sort([*atoms, *(np.array(list(atoms)) - 1e-6), *np.linspace(-3, 5, 41)])

    def cdf(r):
        return rest * dist.cdf(r) + sum(p for value, p in atoms.items() if value <= r)

    expected = np.array([cdf(value) for value in r])
    np.testing.assert_allclose(law.latent.cdf(law.latent_below(r)), expected, atol=1e-9)
    x = np.linspace(-4.003, 4.001, 4001)
    assert (np.diff(law.reward(x)) >= 0).all()
    seen = law.reward(law.jumps + 1e-9) - law.reward(law.jumps - 1e-9)
    np.testing.assert_allclose(seen, law.heights, atol=1e-6)
    # Steps of 0.002 under a slope below 25 leave no room for the jumps, of 0.5 and more.
    assert np.abs(np.diff(law.continuous(x))).max() < 0.05


def test_discrete_and_empirical():
    law = discrete([2, 0, 5, 2], [0.1, 0.5, 0.2, 0.2])
    np.testing.assert_allclose(law.latent.cdf(law.jumps), [0.5, 0.8])
    assert law.heights.tolist() == [2, 3]
    assert law.reward(np.array([-9.0, law.jumps[0], 0.5, 9.0])).tolist() == [0, 2, 2, 5]
    sample = np.random.default_rng(0).permutation([3.0, 1, 1, 2])  # any order, ties
    again = get_law(sample)
    np.testing.assert_allclose(again.latent.cdf(again.jumps), [0.5, 0.75])
    assert np.array_equal(again.jumps, empirical(np.sort(sample)[::-1]).jumps)


def test_sample_of_one_value_is_a_constant_law():
    law = get_law([3.5])
    assert len(law.jumps) == 0
    assert law.reward(np.array([-1e9, 0.0, 7.0])).tolist() == [3.5, 3.5, 3.5]
    assert len(get_law([2.0, 2.0, 2.0]).jumps) == 0


def test_rounded():
    law = rounded("gumbel", 0.5)
    x = law.latent.draw(np.random.default_rng(0), (1000,))
    np.testing.assert_allclose(law.reward(x), np.round(x * 2) / 2)
    inside = law.jumps[np.abs(law.jumps) < 3]
    np.testing.assert_allclose(inside * 2 - np.floor(inside * 2), 0.5, atol=1e-9)
    # An atom that steps over several grid points makes one jump.
    coarse = rounded("atom", 0.25)
    assert (np.diff(coarse.jumps) > 0).all()
    assert coarse.heights[0] == 1.0
    assert coarse.jumps[0] == pytest.approx(0, abs=1e-12)


def test_student_t_shape():
    law, step = student_t(7.0), 1e-5
    assert (law.shape.name, law.shape.value) == ("df", 7.0)
    moved = [np.log(law.shape.at(7 + t).latent.pdf(GRID)) for t in (step, -step)]
    np.testing.assert_allclose(law.shape.score(GRID), (moved[0] - moved[1]) / (2 * step), atol=1e-7)
    rounded_up = rounded(law, 0.5).shape.at(9.0)
    assert isinstance(rounded_up, Law)
    assert rounded_up.shape.value == 9.0


def test_unknown_law_names_the_nearest():
    with pytest.raises(ValueError, match="unknown law 'gumble'; did you mean 'gumbel'"):
        get_law("gumble")
    with pytest.raises(ValueError, match="Known: normal"):
        get_law("zzz")


@pytest.mark.parametrize("bad", [None, 3.0, object(), stats.norm, stats.poisson(3), {"a": 1}])
def test_not_a_law(bad):
    with pytest.raises(TypeError, match="is not"):
        get_law(bad)


def test_bad_samples():
    with pytest.raises(ValueError, match=r"holds nan at position 2 \(1 such"):
        get_law([1.0, 2.0, np.nan])
    with pytest.raises(ValueError, match="holds inf at position 0"):
        empirical([np.inf, 1.0])
    with pytest.raises(ValueError, match="sample is empty"):
        empirical([])


def test_bad_parameters():
    with pytest.raises(ValueError, match="no finite mean"):
        from_distribution(stats.cauchy())
    with pytest.raises(ValueError, match="df=1 must be above 1"):
        student_t(1)
    with pytest.raises(ValueError, match="sum to 1"):
        mixture([stats.norm(), stats.norm()], [0.5, 0.6])
    with pytest.raises(ValueError, match="expon has an edge"):
        mixture([stats.norm(), stats.expon()], [0.5, 0.5])
    with pytest.raises(ValueError, match="less than 1"):
        with_atoms(stats.norm(), {0.0: 0.5, 1.0: 0.5})
    with pytest.raises(ValueError, match="must be positive and sum to 1"):
        discrete([0, 1], [1.0, 0.0])
    with pytest.raises(ValueError, match="as many as"):
        discrete([0, 1], [1.0])
    with pytest.raises(ValueError, match="step=0 must be"):
        rounded("normal", 0)
    with pytest.raises(ValueError, match="use a larger step"):
        rounded("normal", 1e-5)
