"""Expected gains against Monte Carlo, quadrature and the closed forms of the literature."""

import numpy as np
import pytest
from scipy import integrate, stats
from tests.statistics import assert_mean

from bontea.deploy import Prior, draw_index, expected_gain, fit_prior, rule_index, seen
from bontea.deploy.gain import posterior, student_excess
from bontea.deploy.standard import law_of, named_law, scores
from bontea.tails import expected_max
from bontea.tails.shapes import get_tail

RNG = np.random.default_rng(0)


def prior(tail="normal", **changes):
    fields = {
        "location": 0.5,
        "location_weight": 2.0,
        "variance": 1.2,
        "freedom": 9.0,
        "success": None,
        "ceiling": np.inf,
        "floor": False,
        "scored": 1.0,
        "prompts": 10,
        "trust": 1.0,
        "verdict": "unknown",
        "law": named_law(tail),
    }
    return Prior(**(fields | changes))


@pytest.mark.parametrize("freedom", [1.5, 4, 60])
@pytest.mark.parametrize("u", [-3.0, 0.0, 1.0, 6.0])
def test_student_excess_is_the_integral(u, freedom):
    law = stats.t(freedom)
    expected, _ = integrate.quad(law.sf, u, np.inf, limit=500)
    assert student_excess(u, freedom) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("tail", ["normal", "lognormal(-0.2)", "exponential", "gp(-0.3)"])
@pytest.mark.parametrize("w", [1, 4, 16])
def test_excess_of_a_law_is_that_of_its_draws(tail, w):
    law, shape = named_law(tail), get_tail(tail)
    raw = shape.value(RNG.normal(size=(400_000 // w, w)))
    weight = np.exp(-(scores() ** 2) / 2) / np.exp(-(scores() ** 2) / 2).sum()
    mean = weight @ shape.value(scores())
    spread = np.sqrt(weight @ (shape.value(scores()) - mean) ** 2)
    best = ((raw - mean) / spread).max(1)
    for u in (-2.0, 0.5, 1.5):
        assert_mean(np.maximum(best - u, 0), law.excess(u, w), 0.06)


def test_the_excess_of_the_normal_law_is_exact():
    u = np.array([-9.5, -2.0, 0.0, 1.0, 3.0, 5.0])
    exact = stats.norm.pdf(u) - u * stats.norm.sf(u)
    assert named_law("normal").excess(u) == pytest.approx(exact, rel=1e-3)
    lowest = -8.0  # everything lies above: the excess is the expected maximum
    for w in (1, 8, 1000):
        got = named_law("normal").excess(lowest, w) + lowest
        assert got == pytest.approx(expected_max(w), abs=1e-3)


@pytest.mark.parametrize("n", [1, 7, 100, 10**6, 10**9])
def test_mean_gain_is_the_difference_of_expected_maxima(n):
    h = max(1e-4 * n, 1.0)  # of n + 1 and n at small n; the slope where those digits cancel
    expected = (expected_max(n + h) - expected_max(n)) / h
    assert named_law("normal").mean_gain(n) == pytest.approx(expected, rel=5e-3)


def test_the_posterior_is_that_of_all_rewards_at_once():
    """Against the unnormalised posterior density on a grid of mean and variance."""
    rewards = np.array([0.1, 1.4, -0.3, 2.2])
    p = prior()
    m, v = np.meshgrid(np.linspace(-4, 5, 901), np.geomspace(0.02, 200, 900), indexing="ij")
    density = stats.invgamma(p.freedom / 2, scale=p.freedom * p.variance / 2).pdf(v)
    squares = ((rewards - rewards.mean()) ** 2).sum()
    density *= stats.chi2(3).pdf(squares / v) / v  # the scale is known by the spread alone
    weight, n = p.location_weight, len(rewards)
    middle = (weight * p.location + rewards.sum()) / (weight + n)
    density *= stats.norm(middle, np.sqrt(v / (weight + n))).pdf(m)
    density *= v  # steps of log v
    density /= density.sum()
    location, _, square, nu = posterior(p, seen(rewards))
    assert (density * m).sum() == pytest.approx(float(location), abs=1e-3)
    assert (density * v).sum() == pytest.approx(float(nu * square / (nu - 2)), rel=1e-3)
    best = rewards.max()
    u = (best - m) / np.sqrt(v)
    gain = np.sqrt(v) * (stats.norm.pdf(u) - u * stats.norm.sf(u))
    assert float(expected_gain(p, seen(rewards))) == pytest.approx((density * gain).sum(), rel=2e-3)
    # The index is larger, by less than the spread of the gain.
    index = float(draw_index(p, seen(rewards)))
    assert (density * gain).sum() < index < np.sqrt((density * gain**2).sum()) * 1.05


def test_nodes_and_closed_form_agree():
    """The normal law read from many rewards has the gain of Student's t."""
    rows = [np.sort(row) for row in RNG.normal(size=(400, 256))]
    read, closed = prior(law=law_of(rows)), prior()
    state = seen(RNG.normal(size=(50, 12)), [2, 5, 12])
    ratio = expected_gain(read, state) / expected_gain(closed, state)
    assert np.all(np.abs(np.log(ratio)) < 0.15), ratio


def test_no_wave_is_worth_more_per_response_than_one_response():
    """Looking ahead without learning in between gains nothing, under every law and posterior."""
    state = seen(RNG.normal(size=(40, 9)), [1, 4, 9])
    for tail in ("normal", "exponential", "gp(-0.3)"):
        gains = [expected_gain(prior(tail), state, w) / w for w in (1, 2, 4, 16)]
        for more, fewer in zip(gains[1:], gains[:-1], strict=True):
            assert np.all(more <= fewer * (1 + 1e-3))


def test_laws_of_the_index():
    """Shifted and stretched with the rewards; falls with the best; blind to the order."""
    p = prior()
    moved = prior(location=3 * 0.5 + 7, variance=9 * 1.2)
    r = RNG.normal(size=(30, 8))
    for function in (expected_gain, draw_index, rule_index):
        plain = function(p, seen(r))
        assert function(moved, seen(3 * r + 7)) == pytest.approx(3 * plain, rel=1e-9)
        assert function(p, seen(r[:, ::-1])) == pytest.approx(plain, rel=1e-9)
    state = seen(r)
    better = state._replace(best=state.best + 0.5)
    assert np.all(draw_index(p, better) < draw_index(p, state))


def test_unscorable_responses_cost_and_give_nothing():
    p = prior(scored=0.5)
    half = expected_gain(p, seen([[0.0, np.nan, 1.0, np.nan]]))
    whole = expected_gain(prior(), seen([[0.0, 1.0]]))
    assert half == pytest.approx(whole * 0.5)
    assert np.isinf(expected_gain(p, seen([[np.nan, np.nan]])))[0]
    assert np.isinf(draw_index(p, seen([[np.nan]])))[0]


def test_a_ceiling_that_is_reached_leaves_nothing():
    p = prior(ceiling=2.0)
    assert expected_gain(p, seen([[0.0, 2.0]]))[0] == 0
    below = [[0.0, 1.5]]
    assert 0 < expected_gain(p, seen(below))[0] < expected_gain(prior(), seen(below))[0]


def test_zero_one_rewards():
    """E[1 - (1-p)^w] under Beta(a, b + failures), and nothing after a success."""
    p = prior(success=(0.4, 2.0))
    for w in (1, 5):
        law = stats.beta(0.4, 2.0 + 3)
        expected = law.expect(lambda x, w=w: 1 - (1 - x) ** w)
        assert expected_gain(p, seen([0.0] * 3), w) == pytest.approx(expected, rel=1e-6)
    assert expected_gain(p, seen([0.0, 1.0])) == 0
    assert draw_index(p, seen([0.0] * 3)) == pytest.approx(0.4 / 5.4)


def test_trust_0_ignores_the_rewards():
    p = prior(trust=0.0)
    a, b = (rule_index(p, seen(RNG.normal(scale=s, size=(20, 6)))) for s in (1, 5))
    assert np.all(a == a[0])
    assert np.all(a == b)


def test_at_a_floor_responses_count_as_unscored():
    r = np.array([[-3.0, 0.2, -3.0, 0.9, -3.0, 0.4]])
    at = [1, 2, 3, 4, 6]
    state = seen(r, at, floor=True)
    assert state.scored.tolist() == [[1, 2, 1, 2, 3]]
    assert state.mean[0, -1] == pytest.approx(np.mean([0.2, 0.9, 0.4]))
    assert state.squares[0, -1] == pytest.approx(3 * np.var([0.2, 0.9, 0.4]))
    assert state.best[0].tolist() == [-3.0, 0.2, 0.2, 0.9, 0.9]
    only = seen([[-3.0, -3.0]], floor=True)
    assert only.scored.tolist() == [0]
    assert np.isfinite(expected_gain(prior(floor=True), only))[0]


def test_statistics_are_those_of_each_prefix():
    r = RNG.normal(1e6, 1, size=(5, 20))
    r[RNG.random(r.shape) < 0.3] = np.nan
    at = np.arange(21)
    state = seen(r, at)
    for i in range(5):
        for n in at:
            row = r[i, :n][~np.isnan(r[i, :n])]
            assert state.scored[i, n] == len(row)
            if len(row):
                assert state.mean[i, n] == pytest.approx(row.mean(), rel=1e-12)
                assert state.squares[i, n] == pytest.approx(row.var() * len(row), abs=1e-6)
                assert state.best[i, n] == row.max()


def test_constant_rewards_end_in_no_gain():
    p = fit_prior(np.full((5, 8), 2.0))
    assert p.variance == 0
    assert expected_gain(p, seen([2.0] * 4)) == 0
