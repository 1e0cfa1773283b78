"""The risk frontier: exact values against simulation and other quadratures, and what training does.

The training tests are deterministic (fixed seeds); their limits are several times the spread over
seeds that was measured.
"""

import numpy as np
import pytest
from scipy import integrate, special, stats
from tests.statistics import assert_mean

from bontea import ADVANTAGES, GroupTooSmallError, expected_max
from bontea.theory.frontier import (
    POLICY_SD,
    START,
    ascend,
    best_policy,
    mean_interval,
    policy_value,
    risk_frontier,
)


@pytest.mark.parametrize("n", [1, 2, 7.5, 128, 512])
@pytest.mark.parametrize("tau", [-0.7, 0.1, 1.0, 3.0])
def test_value_of_a_policy_without_spread(tau, n):
    expected = abs(tau) * expected_max(n) - tau**2 / 2
    assert policy_value(tau, n=n, sd=1e-7) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("tau", [0.0, 0.2, 2.6])
def test_value_against_simulation(tau):
    rng = np.random.default_rng(0)
    best = []
    for _ in range(10):
        t = tau + POLICY_SD * rng.normal(size=(8000, 128))
        best.append((-(t**2) / 2 + t * rng.normal(size=t.shape)).max(-1))
    assert_mean(np.concatenate(best), policy_value(tau, n=128), 0.02)


@pytest.mark.parametrize("n", [1, 2, 128, 512.5])
def test_value_against_another_quadrature(n):
    """Styles by Gauss-Hermite (none near 0), rewards by adaptive quadrature of N r f F^(N-1)."""
    tau = 2.4
    node, weight = np.polynomial.hermite_e.hermegauss(80)
    t, weight = tau + POLICY_SD * node, weight / weight.sum()

    def integrand(r):
        z = (r + t**2 / 2) / t
        return n * r * (weight @ (stats.norm.pdf(z) / t)) * (weight @ special.ndtr(z)) ** (n - 1)

    expected = integrate.quad(integrand, -25, 25, points=[0, 3, 6], epsabs=1e-11, limit=500)[0]
    assert policy_value(tau, n=n) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("start", [0.0, 8.5 * POLICY_SD - 0.1])
def test_value_has_no_kink(start):
    """Panels are split at t = 0 while the policy reaches it: that must not show."""
    values = np.array([policy_value(tau, n=128) for tau in start + np.linspace(0, 0.2, 21)])
    assert np.abs(np.diff(values, 8)).max() < 1e-6  # 1e-7 in value or 1e-5 in slope would show
    assert policy_value(-start, n=128) == pytest.approx(values[0], rel=1e-12)


@pytest.mark.parametrize("n", [2, 16, 128, 512])
def test_best_policy_on_a_grid(n):
    tau, value = best_policy(n)
    grid = np.concatenate([np.linspace(0, 4.5, 31), tau + np.linspace(-0.01, 0.01, 11)])
    values = np.array([policy_value(x, n=n) for x in grid])
    assert value >= values.max() - 1e-12
    assert tau == pytest.approx(grid[values.argmax()], abs=1.1e-3)
    assert tau == pytest.approx(expected_max(n), abs=0.01)
    assert value == pytest.approx(expected_max(n) ** 2 / 2, abs=0.012)


@pytest.mark.parametrize("n", [128, 512])
def test_reinforce_becomes_timid(n):
    result = risk_frontier("reinforce", n=n, m=16, seeds=3, rng=0)
    assert np.abs(result.tau).max() < 0.05
    assert result.share == pytest.approx([policy_value(0, n=n) / result.value_star] * 3, abs=0.005)


def test_strong_estimators_become_bold():
    """Budget-matched max@k stops at the N it can see, TEA further on, L-TEA at the best."""
    matched = risk_frontier("max_at_k", n=512, m=16, seeds=3, k=15, rng=0)
    tea = risk_frontier("tea", n=512, m=16, seeds=3, rng=0)
    linear = risk_frontier("linear_tea", n=512, m=16, seeds=3, alpha=0.5, rng=0)
    assert matched.tau == pytest.approx([expected_max(15)] * 3, abs=0.25)
    assert (tea.tau > matched.tau + 0.2).all()  # paired: a seed has the same draws
    assert (linear.tau > tea.tau + 0.2).all()
    assert matched.mean < tea.mean < linear.mean
    assert linear.share.min() > 0.98
    assert linear.tau.mean() == pytest.approx(linear.tau_star, abs=0.3)


def test_result_is_consistent():
    result = risk_frontier("tea", n=128, m=16, seeds=3, steps=60, alpha=0.5, rng=0)
    assert result.trajectory.shape == (61, 3)
    assert (result.trajectory[0] == START).all()
    assert np.array_equal(result.tau, result.trajectory[-50:].mean(0))
    values = [policy_value(tau, n=128) for tau in result.tau]
    assert result.share == pytest.approx(np.array(values) / result.value_star)
    assert (result.tau_star, result.value_star) == best_policy(128)
    assert f"{100 * result.mean:.1f} % of the best" in str(result)


def test_few_steps_average_what_there_is():
    result = risk_frontier("tea", n=128, m=16, seeds=1, steps=2, rng=0)
    assert result.tau[0] == result.trajectory[1:].mean()
    assert np.isnan([result.low, result.high]).all()


@pytest.mark.parametrize("estimator", ["tea", "prefix_tea"])
def test_seeds(estimator):
    def run(**more):
        return risk_frontier(estimator, n=128, m=16, **{"steps": 10, "seeds": 2, "rng": 0, **more})

    same, other = run(), run(rng=1)
    assert np.array_equal(run().trajectory, same.trajectory)
    assert (other.trajectory[-1] != same.trajectory[-1]).all()
    assert same.trajectory[-1, 0] != same.trajectory[-1, 1]
    assert np.array_equal(run(seeds=3).trajectory[:, :2], same.trajectory)
    assert np.array_equal(run(rng=np.random.default_rng(0)).trajectory, same.trajectory)


def test_estimator_gets_what_it_takes():
    seen = []

    def with_all(rewards, *, n, rng, power=1.0):
        seen.append((rewards.shape, n, rng, power))
        return rewards - rewards.mean(-1, keepdims=True)

    result = risk_frontier(with_all, n=128, m=7, seeds=3, steps=2, prompts=11, power=2.0, rng=0)
    assert [(shape, n, power) for shape, n, _, power in seen] == [((11, 7), 128, 2.0)] * 6
    assert len({id(rng) for _, _, rng, _ in seen}) == 3  # one stream per seed
    plain = risk_frontier("reinforce", n=128, m=7, seeds=3, steps=2, prompts=11, rng=0)
    np.testing.assert_allclose(result.trajectory, plain.trajectory, rtol=1e-12)


def test_length_of_advantages_does_not_matter():
    def long(rewards):
        return 1000 * ADVANTAGES["reinforce"](rewards)

    got = risk_frontier(long, n=128, m=8, seeds=1, steps=20, rng=0).trajectory
    expected = risk_frontier("reinforce", n=128, m=8, seeds=1, steps=20, rng=0).trajectory
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_progress():
    done = []
    risk_frontier("reinforce", n=2, m=4, seeds=2, steps=5, progress=done.append, rng=0)
    assert done == [1, 2, 3, 4, 5]


def test_adam_against_torch():
    torch = pytest.importorskip("torch")
    target = np.array([3.0, -1.0])

    def sample(theta, rng):
        return rng.normal(size=(2, 3)), lambda a: target - theta

    got = ascend(
        sample,
        np.zeros(2),
        "reinforce",
        n=2,
        learning_rate=0.1,
        seeds=1,
        steps=30,
        sizes={"m": 3},
        rng=0,
        progress=None,
        params={},
    )
    theta = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([theta], lr=0.1)
    for step in range(31):
        np.testing.assert_allclose(got[step, 0], theta.detach().numpy(), rtol=1e-9)
        theta.grad = theta.detach() - torch.tensor(target)
        adam.step()


@pytest.mark.parametrize("estimator", ["reinforce", "tea"])
def test_training_against_a_plain_loop(estimator):
    """Scores, scaling and Adam written out, with the draws of seed 0."""
    stream = np.random.default_rng(0).spawn(1)[0]
    params = {"n": 128} if estimator == "tea" else {}
    tau, m1, m2, path = START, 0.0, 0.0, [START]
    for step in range(1, 6):
        t = tau + POLICY_SD * stream.normal(size=(5, 16))
        rewards = -(t**2) / 2 + t * stream.normal(size=(5, 16))
        a = ADVANTAGES[estimator](rewards, **params)
        gradient = np.mean(a / np.sqrt(np.mean(a**2)) * (t - tau) / POLICY_SD**2)
        m1, m2 = 0.9 * m1 + 0.1 * gradient, 0.999 * m2 + 0.001 * gradient**2
        tau += 0.02 * m1 / (1 - 0.9**step) / np.sqrt(m2 / (1 - 0.999**step))
        path.append(tau)
    result = risk_frontier(estimator, n=128, m=16, seeds=1, steps=5, prompts=5, rng=0)
    np.testing.assert_allclose(result.trajectory[:, 0], path, rtol=1e-5)


def test_interval():
    values = np.array([0.2, 0.5, 0.9, 0.4])
    mean, low, high = mean_interval(values)
    expected = stats.t.interval(0.95, 3, loc=values.mean(), scale=stats.sem(values))
    assert (mean, low, high) == pytest.approx((0.5, *expected))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps=0 must be"),
        ({"seeds": 0}, "seeds=0 must be"),
        ({"prompts": 0}, "prompts=0 must be"),
        ({"m": 2.5}, "m=2.5 must be"),
        ({"n": 0.5}, "n=0.5 is not a deployment budget"),
        ({"n": 1}, "use n >= 2"),
        ({"estimator": "te"}, "did you mean 'tea'"),
        ({"alhpa": 0.5}, r"'tea'.*alhpa.*alpha"),
        ({"alpha": 2}, "alpha=2"),
        ({"estimator": lambda r: r * np.nan}, "advantages must be finite"),
        (
            {"estimator": lambda r: r[:, 0]},
            r"returned shape \(64,\) for rewards of shape \(64, 16\)",
        ),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message):
        risk_frontier(**{"estimator": "tea", "n": 128, "m": 16, "steps": 1, **change})


@pytest.mark.parametrize("sd", [0.0, -0.1, np.nan])
def test_policy_needs_a_spread(sd):
    with pytest.raises(ValueError, match="must be above 0"):
        policy_value(1.0, n=128, sd=sd)


def test_groups_too_small():
    with pytest.raises(GroupTooSmallError, match="at least 9"):
        risk_frontier("tea", n=128, m=8, steps=1)
