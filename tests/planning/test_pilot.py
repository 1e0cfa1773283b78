"""The law of a pilot: standardising that normal rewards do not notice, and what it refuses."""

import math

import numpy as np
import pytest
from scipy import stats
from tests.statistics import assert_mean

from bontea import expected_max, reward_kind
from bontea.planning.pilot import normal_scores, pilot_law
from bontea.tails.beta_binomial import fit_beta
from bontea.theory import LAWS, SuccessRates, value
from bontea.theory.laws import empirical


def slow(group):
    """A reward at a time, against the others only."""
    out = []
    for i, reward in enumerate(group):
        others = np.delete(group, i)
        m = len(group)
        distance = reward - others.mean()  # = (R - mean) m / (m - 1)
        t = distance / (others.std(ddof=1) * math.sqrt(m / (m - 1)))
        out.append(stats.norm.ppf(stats.t.cdf(t, m - 2)))
    return out


@pytest.mark.parametrize("m", [4, 16])
def test_scores_by_hand(m):
    groups = np.random.default_rng(0).gumbel(size=(5, m))
    np.testing.assert_allclose(normal_scores(groups), [slow(g) for g in groups], rtol=1e-9)


@pytest.mark.parametrize("m", [4, 8, 32])
def test_normal_rewards_become_standard_normal_at_every_m(m):
    """Second and fourth moments 1 and 3. Plain standardising has a fourth of 1.8 at M = 4."""
    rng = np.random.default_rng(1)
    rewards = rng.normal(3, 5, size=(160_000 // m, 1)) + rng.normal(size=(160_000 // m, m)) * 7
    z = normal_scores(rewards)
    for power, moment in ((2, 1), (4, 3)):
        assert_mean((z**power).mean(-1), moment, 0.03 * moment**2)
    plain = (rewards - rewards.mean(-1, keepdims=True)) / rewards.std(-1, ddof=1, keepdims=True)
    assert (plain**4).mean() < 3 - 3 / m


def test_scores_keep_the_order_and_ignore_location_and_scale():
    rng = np.random.default_rng(2)
    groups = rng.exponential(size=(20, 12))
    z = normal_scores(groups)
    np.testing.assert_array_equal(np.argsort(z), np.argsort(groups))
    np.testing.assert_allclose(normal_scores(3 + 5 * groups), z, rtol=1e-8)
    np.testing.assert_allclose(normal_scores(-groups), -z, rtol=1e-8)


def test_one_reward_that_differs_is_far_out_and_finite():
    z = normal_scores(np.array([[0.0, 0.0, 0.0, 0.0, 1.0]]))
    assert np.isfinite(z).all()
    assert z[0, -1] > 4


def test_the_law_of_a_normal_pilot_is_normal():
    """Prompts of their own location and scale; V_128 to 3 %, where plain pooling is 9 % short."""
    rng = np.random.default_rng(3)
    rewards = rng.normal(size=(1000, 1)) + rng.normal(size=(1000, 16)) * np.exp(
        rng.normal(size=(1000, 1))
    )
    pilot = pilot_law(rewards)
    assert value(pilot.law, 1) == pytest.approx(0, abs=0.02)
    assert value(pilot.law, 128) == pytest.approx(expected_max(128), rel=0.03)
    plain = (rewards - rewards.mean(1, keepdims=True)) / rewards.std(1, ddof=1, keepdims=True)
    assert value(empirical(plain), 128) < 0.93 * expected_max(128)
    assert (pilot.prompts, pilot.rewards) == (1000, 16_000)
    assert pilot.spread == pytest.approx(rewards.std(1, ddof=1).mean())
    assert pilot.notes == ()


def test_a_heavier_tail_stays_heavier():
    rewards = LAWS["gumbel"]().latent.draw(np.random.default_rng(4), (500, 32))
    gumbel = (value("gumbel", 128) - value("gumbel", 1)) / math.sqrt(math.pi**2 / 6)
    assert value(pilot_law(rewards).law, 128) == pytest.approx(gumbel, rel=0.06)


def test_a_large_pool_keeps_its_best():
    """Ties of prompts that differ leave one law of steps, of at most 6,000 rewards."""
    rng = np.random.default_rng(5)
    rewards = 3 * rng.normal(size=(2000, 1)).round() + rng.normal(size=(2000, 16)).round()
    differ = np.ptp(rewards, axis=1) > 0
    pilot = pilot_law(rewards, resamples=0)
    assert pilot.hides_ties
    assert len(pilot.law.jumps) < 6000
    whole = empirical(normal_scores(rewards[differ]))
    for n in (1, 16, 128, 3000):
        assert value(pilot.law, n) == pytest.approx(value(whole, n), abs=1e-4)


def test_few_ties_make_a_smooth_law():
    """From 200 rewards on; V_N of it is that of the rewards up to a tenth of their number."""
    z = np.random.default_rng(5).normal(size=(400, 16))
    law = pilot_law(z, resamples=0).law
    assert law.slope is not None
    assert len(law.jumps) == 0
    whole = empirical(normal_scores(z))
    for n, away in ((1, 0.01), (16, 0.01), (128, 0.02), (640, 0.05)):
        assert value(law, n) == pytest.approx(value(whole, n), abs=away)
    assert pilot_law(z[:12], resamples=0).law.slope is None  # 192 rewards


def test_ties_of_prompts_that_are_alike_stay():
    """Their law is that of the rewards as they are, atoms and all."""
    rewards = np.random.default_rng(10).normal(size=(40, 16)).round()
    pilot = pilot_law(rewards, resamples=0)
    assert pilot.in_reward_units
    assert not pilot.hides_ties
    assert pilot.notes == ()
    for n in (1, 16, 64):
        assert value(pilot.law, n) == pytest.approx(value(empirical(rewards), n), rel=1e-9)
    apart = pilot_law(rewards + 5 * np.arange(40)[:, None], resamples=0)
    assert not apart.in_reward_units
    assert apart.hides_ties
    assert apart.law.slope is None


def test_success_rates():
    rng = np.random.default_rng(6)
    rewards = (rng.random((60, 16)) < rng.beta(0.3, 2, size=(60, 1))).astype(float)
    rewards[3, 5:] = np.nan
    rewards[7] = np.nan
    pilot = pilot_law(rewards)
    there = np.isfinite(rewards)
    a, b = fit_beta(np.nansum(rewards, 1), there.sum(1))
    assert pilot.law == SuccessRates(a, b)
    assert (pilot.prompts, pilot.rewards) == (59, there.sum())
    assert pilot.kind == reward_kind(rewards)
    assert len({law.a for law in pilot.resamples}) == len(pilot.resamples)
    assert pilot.require(1e6) == ()  # a beta law has a tail of its own
    assert pilot_law(rewards > 0.5).kind.name == "binary"


def test_resamples_draw_prompts():
    rng = np.random.default_rng(7)
    rewards = rng.normal(size=(2, 12))
    pilot = pilot_law(rewards, rng=0)
    own = [set(normal_scores(group[None] / np.ptp(group))[0]) for group in rewards]

    def values(law):
        return set(law.reward(np.append(law.jumps, -50.0)))

    assert values(pilot.law) == own[0] | own[1]
    drawn = [values(law) for law in pilot.resamples]
    assert all(found in (own[0], own[1], own[0] | own[1]) for found in drawn)
    assert len(drawn) == 10
    assert {len(found) for found in drawn} == {12, 24}
    again, other = pilot_law(rewards, rng=0), pilot_law(rewards, rng=1)
    assert drawn == [values(law) for law in again.resamples]
    assert drawn != [values(law) for law in other.resamples]


def test_what_is_left_out_and_said():
    rng = np.random.default_rng(8)
    rewards = rng.normal(size=(20, 5))
    rewards[0, 1:] = np.nan
    rewards[1] = 2.0
    rewards[2] = np.nan
    pilot = pilot_law(rewards)
    assert (pilot.prompts, pilot.rewards) == (17, 85)
    assert "2 of 19 prompts have fewer than 4 rewards, or equal ones" in " ".join(pilot.notes)
    assert "with 5 rollouts of a prompt" in pilot.notes[0]
    one = pilot_law(rng.normal(size=(1, 300)))
    assert "the pilot has one prompt" in one.notes[0]
    assert one.resamples == ()
    assert "the pilot has 3 prompts" in pilot_law(rng.normal(size=(3, 16))).notes[0]
    for apart in (0.5, 5):  # one pool of few values, and one of many
        steps = pilot_law(rng.integers(0, 4, size=(30, 16)) + apart * np.arange(30)[:, None])
        assert "ties or atoms, and prompts differ: these are lost" in steps.notes[-1]


def test_how_far_it_reaches():
    pilot = pilot_law(np.random.default_rng(9).normal(size=(20, 16)))
    assert pilot.require(32) == ()
    (note,) = pilot.require(33)
    assert "N = 33 is more than a tenth of the 320 rewards" in note
    assert pilot.require(320)
    with pytest.raises(ValueError, match="n=321 is beyond the 320 rewards of the pilot"):
        pilot.require(321)


@pytest.mark.parametrize(
    ("rewards", "words"),
    [
        (np.ones((5, 8)), "every reward of the pilot is 1: nothing can be planned"),
        (np.arange(40.0)[:, None], r"no prompt of the pilot has 4 rewards that differ .* has 1\)"),
        (np.where(np.eye(4) > 0, 1.0, -1.0), "two values, -1 and 1: write 0 and 1 for them"),
        (np.zeros((0, 4)), r"shape \(0, 4\) must be \(P, M\), .* and not empty"),
        (np.arange(4.0), r"shape \(4,\) must be \(P, M\)"),
        ([[0.0, math.inf]], "infinite"),
    ],
)
def test_bad_pilots(rewards, words):
    with pytest.raises(ValueError, match=words):
        pilot_law(rewards)
