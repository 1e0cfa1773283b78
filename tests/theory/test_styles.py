"""Policies over styles: exact value, gradient and optimum by second routes, and training.

The training tests are deterministic (fixed seeds); their limits are several times the spread over
seeds that was measured.
"""

import numpy as np
import pytest
from scipy import integrate, optimize, special
from tests.statistics import assert_mean

from bontea import expected_max
from bontea._numbers import percent
from bontea.theory.style_law import StyleLaw, draw_rewards
from bontea.theory.styles import STYLES, logit_gradient, softmax, style_frontier

RNG = np.random.default_rng(0)
SOME = np.array([0.0, 0.3, 1.0, -2.2])  # an atom, and a negative style: only |t| matters
POLICIES = [*RNG.dirichlet(np.ones(4), size=3), np.array([0.5, 0, 0.5, 0]), np.eye(4)[0]]


def cdf(r, policy):
    """F(r) of the mixture, the atom of style 0 included."""
    t = np.abs(SOME[1:]).reshape(-1, *np.ones(np.ndim(r), dtype=int))
    return policy[0] * (r >= 0) + np.tensordot(policy[1:], special.ndtr((r + t**2 / 2) / t), 1)


def slow_value(policy, n):
    """By adaptive quadrature of 1{r > 0} - F^N."""
    limits = {"epsabs": 1e-12, "limit": 500}
    right = integrate.quad(lambda r: 1 - cdf(r, policy) ** n, 0, 40, points=[0.5, 2, 8], **limits)
    left = integrate.quad(lambda r: cdf(r, policy) ** n, -40, 0, points=[-8, -2, -0.5], **limits)
    return right[0] - left[0]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("n", [1, 1.5, 2, 128, 512])
def test_value_against_quadrature(policy, n):
    assert StyleLaw(SOME).value(policy, n=n) == pytest.approx(slow_value(policy, n), abs=1e-9)


def test_value_against_simulation():
    rng = np.random.default_rng(1)
    law, policy = StyleLaw(SOME), np.array([0.9, 0.05, 0.04, 0.01])
    best = []
    for _ in range(10):
        styles = SOME[rng.choice(4, p=policy, size=(8000, 64))]
        best.append(draw_rewards(styles, rng).max(-1))
    assert_mean(np.concatenate(best), law.value(policy, n=64), 0.02)


@pytest.mark.parametrize(("n", "error"), [(1, 1e-13), (128, 1e-13), (1e4, 1e-12), (1e6, 1e-10)])
@pytest.mark.parametrize("t", [1e-5, 0.01, 0.1, 1.0, 3.3, 30.0])
def test_single_style_in_closed_form(t, n, error):
    law = StyleLaw([t])
    scale = t * max(expected_max(n), 1) + t**2 / 2
    expected = t * expected_max(n) - t**2 / 2
    assert abs(law.value(np.ones(1), n=n) - expected) <= error * scale
    assert law.single_values(n=n) == pytest.approx([expected], abs=error * scale)


def test_rewards_have_their_law():
    rewards = draw_rewards(np.full((1, 200_000), 1.5), np.random.default_rng(0))
    assert_mean(rewards[0], -(1.5**2) / 2, 0.02)
    assert_mean((rewards[0] + 1.5**2 / 2) ** 2, 1.5**2, 0.05)
    assert (draw_rewards(np.zeros((2, 3)), np.random.default_rng(0)) == 0).all()


@pytest.mark.parametrize("n", [1.5, 2, 128])
def test_gradient_by_finite_differences(n):
    law = StyleLaw(SOME)
    for policy in POLICIES[:3]:
        g = law.gradient(policy, n=n)
        for j in range(1, 4):
            step = 1e-5 * (np.eye(4)[j] - np.eye(4)[0])
            slope = law.value(policy + step, n=n) - law.value(policy - step, n=n)
            assert g[j] - g[0] == pytest.approx(slope / 2e-5, rel=1e-5, abs=1e-8)


def test_gradient_is_the_mean_of_the_exact_advantage():
    """A*(r) = N int_0^r F^(N-1) by cumulated trapezoids, averaged over the rewards of a style."""
    n, policy = 16, POLICIES[0]
    r = np.linspace(-30, 30, 600_001)
    exact = integrate.cumulative_trapezoid(n * cdf(r, policy) ** (n - 1), r, initial=0)
    exact -= np.interp(0, r, exact)
    z = np.linspace(-9, 9, 100_001)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    got = StyleLaw(SOME).gradient(policy, n=n)
    for j, t in enumerate(np.abs(SOME)):
        advantage = np.interp(t * z - t**2 / 2, r, exact)
        assert got[j] == pytest.approx(integrate.trapezoid(advantage * density, z), abs=1e-3)


def test_budget_of_one_is_the_mean():
    law = StyleLaw(SOME)
    np.testing.assert_allclose(law.gradient(POLICIES[0], n=1), -(SOME**2) / 2, atol=1e-12)
    assert law.value(POLICIES[0], n=1) == pytest.approx(-(POLICIES[0] @ SOME**2) / 2)


def test_value_is_concave():
    law, rng = StyleLaw(STYLES), np.random.default_rng(2)
    for _ in range(20):
        a, b = rng.dirichlet(np.full(len(STYLES), 0.1), size=2)
        ends = (law.value(a, n=64) + law.value(b, n=64)) / 2
        assert law.value((a + b) / 2, n=64) > ends


@pytest.mark.parametrize("n", [1.5, 2, 16, 128, 512, 1e5])
def test_best_policy_is_one_style_or_two_neighbours(n):
    law = StyleLaw(STYLES)
    policy, value = law.best(n=n)
    used = np.flatnonzero(policy)
    assert policy.sum() == pytest.approx(1, abs=1e-12)
    assert (policy >= 0).all()
    assert len(used) == 1 or (len(used) == 2 and used[1] - used[0] == 1)
    assert abs(policy @ law.styles - min(expected_max(n), 4)) < 0.1
    assert law.single_values(n=n).max() <= value < law.single_values(n=n).max() + 0.001
    for other in np.random.default_rng(3).dirichlet(np.full(41, 0.2), size=20):
        assert law.value(other, n=n) < value
        assert law.value(0.99 * policy + 0.01 * other, n=n) < value


@pytest.mark.parametrize("n", [2, 16, 512])
def test_best_policy_against_a_general_optimiser(n):
    """Coarse grids, where mixing gains most; SLSQP knows nothing of the structure."""
    law = StyleLaw([0, 0.7, 1.4, 2.1, 2.8, 3.5])
    found = optimize.minimize(
        lambda p: -law.value(p / p.sum(), n=n),
        np.full(6, 1 / 6),
        bounds=[(0, 1)] * 6,
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 500},
    )
    assert law.best(n=n)[1] == pytest.approx(-found.fun, abs=1e-7)


def test_a_mixture_can_beat_every_style():
    """By a grid over the share of the second style: N = 2 and c_N = 0.56 between two styles."""
    law = StyleLaw([0.3, 0.9])
    shares = np.linspace(0, 1, 10_001)
    values = [law.value(np.array([1 - q, q]), n=2) for q in shares]
    policy, value = law.best(n=2)
    assert value == pytest.approx(max(values), abs=1e-8)
    assert value > law.single_values(n=2).max() + 0.002
    assert policy[1] == pytest.approx(shares[np.argmax(values)], abs=2e-4)


def test_logit_gradient_by_finite_differences():
    rng = np.random.default_rng(0)
    logits, a, drawn = rng.normal(size=5), rng.normal(size=(3, 4)), rng.integers(0, 5, (3, 4))
    got = logit_gradient(a, drawn, softmax(logits))
    for j in range(5):
        step = 1e-6 * np.eye(5)[j]
        up, down = (np.mean(a * np.log(softmax(logits + s)[drawn])) for s in (step, -step))
        assert got[j] == pytest.approx((up - down) / 2e-6, abs=1e-8)


def test_softmax_of_large_logits():
    assert softmax(np.array([[1000.0, 1000.0], [-1e4, 0.0]])).tolist() == [[0.5, 0.5], [0, 1]]


def test_reinforce_becomes_timid():
    result = style_frontier("reinforce", n=128, m=16, seeds=2, rng=0)
    assert result.share.max() < 0.03
    assert (result.probabilities[:, 0] > 0.95).all()
    assert (result.entropy < 0.2).all()


@pytest.mark.parametrize("timidity", [0, 1])
def test_strong_estimators_become_bold(timidity):
    matched = style_frontier("max_at_k", n=128, m=16, seeds=3, k=15, timidity=timidity, rng=0)
    linear = style_frontier("linear_tea", n=128, m=16, seeds=3, timidity=timidity, rng=0)
    assert 0.8 < matched.share.min() < matched.share.max() < 0.95
    assert linear.share.min() > 0.96
    mean_style = (linear.probabilities @ linear.styles).mean()
    assert mean_style > (matched.probabilities @ matched.styles).mean() + 0.3


def test_a_model_of_the_whole_law_is_fooled():
    """Half timid, half as bold as can be: a wide normal law to the eyes of the plug-in."""
    result = style_frontier("gaussian_plug_in", n=128, m=16, seeds=2, rng=0)
    assert result.share.max() < 0.5
    ends = result.probabilities[:, result.styles < 0.5].sum(1), result.probabilities[:, -1]
    assert (ends[0] > 0.4).all()
    assert (ends[1] > 0.3).all()


def test_result_is_consistent():
    law = StyleLaw(STYLES)
    result = style_frontier("tea", n=512, m=16, seeds=2, steps=60, rng=0)
    assert result.trajectory.shape == (61, 2, 41)
    assert np.allclose(result.trajectory[0], 1 / 41)
    assert np.allclose(result.trajectory.sum(-1), 1)
    assert np.array_equal(result.probabilities, result.trajectory[-50:].mean(0))
    values = [law.value(p, n=512) for p in result.probabilities]
    assert result.share == pytest.approx(np.array(values) / result.value_star)
    assert law.value(result.best, n=512) == result.value_star > result.single_star
    assert result.single_star == pytest.approx(3 * expected_max(512) - 4.5)
    assert result.entropy == pytest.approx([-(p @ np.log(p)) for p in result.probabilities])
    assert f"{percent(result.mean)} of the best" in str(result)


def test_start():
    result = style_frontier(
        "tea", n=128, m=16, seeds=1, steps=1, timidity=2, styles=[0, -1, 3], rng=0
    )
    weights = np.exp([0, -2, -6])
    np.testing.assert_allclose(result.trajectory[0, 0], weights / weights.sum())
    assert result.styles.tolist() == [0, 1, 3]


def test_seeds():
    def run(**more):
        return style_frontier(
            "prefix_tea", n=128, m=16, **{"steps": 10, "seeds": 2, "rng": 0, **more}
        )

    same = run()
    assert np.array_equal(run().trajectory, same.trajectory)
    assert not np.array_equal(run(rng=1).trajectory, same.trajectory)
    assert not np.array_equal(same.trajectory[:, 0], same.trajectory[:, 1])
    assert np.array_equal(run(seeds=3).trajectory[:, :2], same.trajectory)


def test_progress():
    done = []
    style_frontier("reinforce", n=2, m=4, seeds=2, steps=4, progress=done.append, rng=0)
    assert done == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps=0 must be"),
        ({"seeds": 0}, "seeds=0 must be"),
        ({"prompts": -1}, "prompts=-1 must be"),
        ({"m": 0}, "m=0 must be"),
        ({"n": 0.5}, "n=0.5 is not a deployment budget"),
        ({"n": 1}, "use n >= 2"),
        ({"styles": [5.3, 9]}, "between 0 and 2 c_N"),
        ({"styles": []}, "at least one finite number"),
        ({"styles": [0, np.nan]}, "at least one finite number"),
        ({"styles": 3}, "styles=3 must be a list"),
        ({"timidity": np.inf}, "timidity=inf"),
        ({"estimator": "te"}, "did you mean 'tea'"),
        ({"k": 4}, r"'tea'.*'k'"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message):
        style_frontier(**{"estimator": "tea", "n": 128, "m": 16, "steps": 1, **change})
