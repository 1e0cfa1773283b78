"""Effective N, cosine and SNR against exact directions and slow, plain simulation."""

import math
from functools import partial

import numpy as np
import pytest
from scipy import optimize, stats
from tests.statistics import gradient as plain_gradient

import bontea
from bontea import GroupTooSmallError, expected_max
from bontea._numbers import number
from bontea.theory import advantage, effective_n, empirical, fisher_information, get_law, gradient
from bontea.theory.measure import BLOCKS, budget_curve, simulate

GROUPS = 8000


def oracle(law, n):
    """The exact advantage as an estimator: right on average at every M."""
    return advantage(get_law(law), n)


def z_score(a, se_a, b, se_b=0.0):
    return np.max(np.abs(np.subtract(a, b)) / np.hypot(se_a, se_b))


@pytest.mark.parametrize("law", ["normal", "gumbel", "student_t", "uniform", "atom", "rounded"])
def test_the_exact_advantage_is_measured_as_exact(law):
    result = effective_n(oracle(law, 8), n=8, m=4, law=law, groups=20_000, rng=0)
    assert z_score(result.gradient, result.gradient_standard_error, gradient(law, 8)[:2]) < 5
    assert z_score(result.value, result.standard_error, 8) < 5
    assert result.standard_error < 0.5
    assert 0.999 < result.cosine <= 1 + 1e-12
    assert result.message == ""
    # The root-mean-square advantage comes from the same draws: SNR = |g| / rms.
    x = get_law(law).latent.draw(np.random.default_rng(5), (400_000,))
    rms = math.sqrt(np.mean(advantage(law, 8, latent=True)(x) ** 2))
    g = np.array(gradient(law, 8)[:2])
    length = math.sqrt(g @ np.linalg.solve(fisher_information(law), g))
    assert result.snr == pytest.approx(length / rms, rel=0.05)


def slow(estimator, m, n, groups=150_000, law="normal"):
    """The same figures for laws on a normal latent, by plain means and a root search."""
    rng = np.random.default_rng(77)
    per_group, power = [], []
    for _ in range(10):
        z = rng.standard_normal((groups // 10, m))
        a = estimator(get_law(law).reward(z))
        per_group.append(plain_gradient(a, z))
        power.append(np.mean(a * a))
    g = np.concatenate(per_group)
    s, cov = g.mean(0), np.cov(g.T) / len(g)
    budget = optimize.brentq(lambda n: expected_max(n) - s[1] / s[0], 1, 1e6)
    ratio_se = math.sqrt(
        (cov[1, 1] - 2 * s[1] / s[0] * cov[0, 1] + (s[1] / s[0]) ** 2 * cov[0, 0]) / s[0] ** 2
    )
    slope = (expected_max(budget * 1.01) - expected_max(budget)) / (0.01 * budget)
    fisher = np.array([1, math.sqrt(2)])
    truth = np.array([1, expected_max(n)]) / fisher
    along = (s / fisher) @ truth / np.linalg.norm(truth)
    return {
        "gradient": (s, np.sqrt(np.diag(cov))),
        "variance": (np.var(g, axis=0), np.std((g - s) ** 2, axis=0) / math.sqrt(len(g))),
        "effective_n": (budget, ratio_se / slope),
        "cosine": (along / np.linalg.norm(s / fisher), 0.0),
        "snr": (along / math.sqrt(np.mean(power)), 0.0),
    }


CASES = {
    "tea": ({}, lambda r: bontea.tea(r, n=128)),
    "max_at_k": ({"k": 15}, lambda r: bontea.max_at_k(r, k=15)),
    "linear_tea": ({"alpha": 0.5}, lambda r: bontea.linear_tea(r, n=128, alpha=0.5)),
    "cat_bon": ({}, lambda r: bontea.cat_bon(r, n=128)),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_against_plain_simulation(name):
    params, function = CASES[name]
    result = effective_n(name, n=128, m=16, groups=40_000, **params, rng=0)
    expected = slow(function, 16, 128)
    errors = {
        "gradient": result.gradient_standard_error,
        "variance": result.variance_standard_error,
        "effective_n": result.standard_error,
    }
    for what in errors:
        value, se = getattr(result, "value" if what == "effective_n" else what), errors[what]
        assert z_score(value, se, *expected[what]) < 5, what
    assert abs(result.cosine - expected["cosine"][0]) < 5 * result.cosine_standard_error + 1e-3
    assert abs(result.snr - expected["snr"][0]) < 8 * result.snr_standard_error
    assert result.standard_error < 0.02 * result.value
    assert result.snr_standard_error < 0.005


def test_a_law_that_is_normal_in_its_tail_only():
    """Same latent, and all of the exact gradient above the atom: c_N is still the ratio."""
    result = effective_n("tea", n=128, m=16, law="atom", groups=40_000, rng=0)
    expected = slow(lambda r: bontea.tea(r, n=128), 16, 128, law="atom")
    assert z_score(result.gradient, result.gradient_standard_error, *expected["gradient"]) < 5
    assert z_score(result.value, result.standard_error, *expected["effective_n"]) < 5


def test_standard_errors_and_control_variates():
    """Over 60 seeds: unbiased, errors as large as they say, smaller than plain ones."""
    spec = bontea.EstimatorSpec.of("tea").bind(n=128, m=16)
    law, rows = get_law("normal"), []
    for seed in range(60):
        sample = simulate(spec, law, 16, groups=1280, rng=seed)
        value, se = sample.jackknife(lambda mean: mean[:, :4])
        rows.append([*value, *se])
    rows = np.array(rows)
    expected = effective_n("tea", n=128, m=16, groups=40_000, rng=1000)
    spread = rows[:, :4].std(0, ddof=1)
    assert (
        z_score(
            rows[:, :2].mean(0),
            spread[:2] / math.sqrt(60),
            expected.gradient,
            expected.gradient_standard_error,
        )
        < 5
    )
    # 60 seeds know a standard deviation to 9 %.
    np.testing.assert_allclose(spread, rows[:, 4:].mean(0), rtol=0.4)
    assert (spread[:2] < 0.85 * spread[2:]).all()


def test_same_seed_same_result():
    first, again, other = (
        effective_n("prefix_tea", n=128, m=16, groups=640, rng=seed) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.gradient, again.gradient)
    assert str(first) == str(again)
    assert not np.array_equal(first.gradient, other.gradient)
    generator = np.random.default_rng(3)
    assert np.array_equal(
        effective_n("prefix_tea", n=128, m=16, groups=640, rng=generator).gradient, first.gradient
    )


def test_what_the_estimator_is_given():
    seen = []

    def whole_batch(rewards, *, n, rng, weight=1.0):
        seen.append((rewards.shape, n, type(rng), weight))
        return rewards - rewards.mean()  # looks beyond the group

    done = []
    result = effective_n(
        whole_batch, n=64, m=8, groups=1000, batch=96, weight=2.0, progress=done.append, rng=0
    )
    assert seen == [((96, 8), 64.0, np.random.Generator, 2.0)] * 11
    assert done == [96 * (i + 1) for i in range(11)]
    assert result.groups == 1056
    assert result.estimator.endswith(".whole_batch(weight=2)")
    # A batch mean is no baseline for a whole batch: a share 1/768 of the gradient is missing.
    assert z_score(result.gradient[0], result.gradient_standard_error[0], 1 - 1 / 768) < 5
    rloo = effective_n("rloo", n=2, m=8, groups=640, rng=0)  # takes neither n nor rng
    assert len(rloo.gradient) == 2


def test_bound_arguments_are_left_alone():
    """A partial that fixed n = 32 is measured at n = 128 as it is."""
    bound = partial(bontea.linear_tea, n=32, alpha=0.5)
    result = effective_n(bound, n=128, m=16, groups=GROUPS, rng=0)
    assert z_score(result.value, result.standard_error, 32) < 5
    assert result.standard_error < 2
    assert result.truth[1] == pytest.approx(expected_max(128))
    assert result.estimator == "linear_tea(n=32, alpha=0.5)"


@pytest.mark.parametrize("law", ["normal", "atom", "gumbel", "student_t", "beta", "rounded"])
def test_budget_curve_against_a_root_search(law):
    log_n, ratio = budget_curve(get_law(law))
    assert (np.diff(ratio) > 0).all()
    assert log_n[-1] == pytest.approx(math.log(1e9))
    for n in (1.0, 3.7, 1e4):
        g = gradient(law, n)
        i = int(np.searchsorted(log_n, math.log(n)))
        assert ratio[i] >= g.log_scale / g.location - 1e-9
        assert i == 0 or ratio[i - 1] < g.log_scale / g.location


def test_below_and_beyond_every_budget():
    # It dislikes spread.
    below = effective_n(lambda r: np.minimum(r, 0.0), n=8, m=4, groups=GROUPS, rng=0)
    assert (below.value, below.message) == (1.0, "")
    law = empirical(np.arange(5.0))
    beyond = effective_n(
        lambda r: (r == 4) - (r == 3) * 1.0, n=8, m=4, law=law, groups=GROUPS, rng=0
    )
    assert beyond.value == math.inf
    assert "beyond that of N =" in beyond.message
    assert beyond.message in str(beyond)
    away = effective_n(lambda r: np.minimum(-r, 0.0), n=8, m=4, groups=GROUPS, rng=0)
    assert math.isnan(away.value)
    assert "lowers location and log scale" in away.message
    assert away.cosine < 0


def test_bernoulli_has_no_effective_n():
    result = effective_n("rloo", n=8, m=4, law="bernoulli", groups=GROUPS, rng=0)
    assert math.isnan(result.value)
    assert "two values" in result.message
    assert result.cosine == pytest.approx(1, abs=1e-3)
    # The scores of the latent see the one direction that success has.
    assert result.snr == pytest.approx(
        stats.norm.pdf(stats.norm.isf(0.1))
        * math.hypot(1, stats.norm.isf(0.1) / math.sqrt(2))
        * math.sqrt(3 / 4)
        / 0.3,  # RLOO has mean square p q M / (M - 1)
        rel=0.05,
    )


def test_nothing_to_optimise():
    constant = effective_n("rloo", n=8, m=4, law=[3.5], groups=640, rng=0)
    assert math.isnan(constant.value)
    assert math.isnan(constant.cosine)
    assert "never differ" in constant.message
    assert constant.gradient.tolist() == [0, 0]
    idle = effective_n(np.zeros_like, n=8, m=4, groups=640, rng=0)
    assert "every advantage is 0" in idle.message
    assert math.isnan(idle.snr)


def test_str_has_the_figures():
    result = effective_n("tea", n=128, m=16, law="gumbel", groups=640, alpha=0.5, rng=0)
    text = str(result)
    assert text.startswith("tea(alpha=0.5) on gumbel rewards: N = 128 from M = 16\n")
    assert f"{number(result.value, 4)} ± " in text
    assert "640 groups" in text
    assert np.array_equal(result.bias, result.gradient - result.truth)


def test_bad_arguments():
    with pytest.raises(GroupTooSmallError, match="use at least 9 rollouts"):
        effective_n("tea", n=128, m=8)
    with pytest.raises(ValueError, match=r"n=0\.5 is not a deployment budget"):
        effective_n("tea", n=0.5, m=16)
    with pytest.raises(ValueError, match="is above 1,000,000,000"):
        effective_n("tea", n=1e10, m=16)
    with pytest.raises(ValueError, match="m=0 must be"):
        effective_n("tea", n=128, m=0)
    with pytest.raises(ValueError, match="did you mean 'gumbel'"):
        effective_n("tea", n=128, m=16, law="gumbell")
    with pytest.raises(ValueError, match="did you mean 'tea'"):
        effective_n("teaa", n=128, m=16)
    with pytest.raises(ValueError, match="holds nan at position 1"):
        effective_n("tea", n=128, m=16, law=[0.0, math.nan])
    with pytest.raises(ValueError, match="draw more groups"):
        effective_n("tea", n=128, m=16, groups=7)
    with pytest.raises(ValueError, match="batch=0 must be"):
        effective_n("tea", n=128, m=16, batch=0)
    with pytest.raises(ValueError, match="make 4 calls"):
        effective_n("tea", n=128, m=16, groups=BLOCKS, batch=16)
    with pytest.raises(ValueError, match=r"returned shape \(1,\)"):
        effective_n(lambda r: r[:, 0], n=128, m=16, groups=BLOCKS)
    with pytest.raises(ValueError, match="must be finite"):
        effective_n(lambda r: r * math.nan, n=128, m=16, groups=BLOCKS)
