"""Findings about kind, signal, length, spread, tail, groups and ranking, against stupid routes."""

import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr
from tests.statistics import assert_mean

from bontea.diagnosis.ceiling import find_ceiling
from bontea.diagnosis.degenerate import find_signal
from bontea.diagnosis.groups import groups_of
from bontea.diagnosis.kind import MOST_TIES, find_kind
from bontea.diagnosis.length import find_length
from bontea.diagnosis.spread import find_spread
from bontea.diagnosis.success import find_success
from bontea.diagnosis.tail import find_tail
from bontea.planning import diagnose, pilot_law
from bontea.planning.ranking import RankingFinding
from bontea.rollouts.groups import Rollouts, as_rollouts
from bontea.tails import choose_alpha, expected_pass_at_n, reward_kind
from bontea.theory import get_law, value

NAN = np.nan


# --- groups ------------------------------------------------------------------------------------


def test_rollouts_tell_null_from_short():
    rewards = np.array([1.0, NAN, 2, 3, 4])
    lengths = np.array([5.0, 6, 7, 8, NAN])
    rollouts = Rollouts(rewards, np.array([0, 2, 5]), np.array(["a", "b"], object), lengths=lengths)
    np.testing.assert_array_equal(rollouts.table(), [[1, NAN, NAN], [2, 3, 4]])
    np.testing.assert_array_equal(rollouts.table(rollouts.lengths), [[5, 6, NAN], [7, 8, NAN]])
    scored = rollouts.scored()
    np.testing.assert_array_equal(scored.table(scored.lengths), [[5, NAN, NAN], [7, 8, NAN]])
    signal = find_signal(rollouts, 0.25, tails=True)
    assert signal.unscorable.value == pytest.approx(1 / 5)


def test_dealing_keeps_every_reward_with_its_prompt():
    rng = np.random.default_rng(0)
    table = np.arange(5)[:, None] + rng.uniform(size=(5, 11)) / 2  # the prompt is the whole part
    table[0, 3:] = NAN
    table[4, :5] = NAN
    dealt = groups_of(table, 4, rng)
    assert dealt.shape == (1 + 2 + 2 + 2 + 1, 4)
    whole = np.floor(dealt)
    assert np.all((np.nanmax(whole, axis=1)) == np.nanmin(whole, axis=1))
    kept = dealt[np.isfinite(dealt)]
    assert len(set(kept)) == len(kept) == 3 + 3 * 8 + 4
    assert set(kept) <= set(table[np.isfinite(table)])


# --- kind and ceiling --------------------------------------------------------------------------


def test_ties_are_pairs():
    rng = np.random.default_rng(1)
    table = rng.integers(0, 6, size=(30, 17)).astype(float)
    table[::3, 9:] = NAN
    shares = []
    for row in table:
        best = sorted(row[np.isfinite(row)])[::-1]
        best = best[: max(2, int(np.ceil(0.4 * len(best) - 1e-9)))]
        shares.append(np.mean([a == b for a, b in itertools.combinations(best, 2)]))
    got = find_kind(table, 8, 0.4, rng).ties
    assert got.value == pytest.approx(np.mean(shares), rel=1e-12)


@pytest.mark.parametrize("m", [16, 64])
def test_ties_of_rounding_depend_on_the_step_only(m):
    z = np.random.default_rng(2).normal(size=(4000, m))
    ties = [
        find_kind(np.round(z / step) * step, m, 0.25, None).ties.value
        for step in (0.25, 0.5, 0.75, 1.0)
    ]
    np.testing.assert_allclose(ties, [0.17, 0.31, MOST_TIES, 0.555], atol=0.03)


@pytest.mark.parametrize(
    ("rewards", "reached"),
    [
        (lambda z: z, False),
        (lambda z: np.minimum(z, 2), True),
        (lambda z: np.clip(np.round(3.5 + z), 1, 5), True),
        (lambda z: np.round(z), False),
        (lambda z: np.round(2 * z) / 2, False),
        (lambda z: np.where(z > 0, z, 0), False),  # an atom below
        (lambda z: np.where(z < 1, z, 7), True),
        (lambda z: np.where(z > 2.9, 9, z), False),  # a handful at the top
    ],
)
def test_ceilings(rewards, reached):
    table = rewards(np.random.default_rng(3).normal(size=(64, 32)))
    found = find_ceiling(table, reward_kind(table))
    assert found.reached == reached
    assert ("reach a ceiling" in str(found)) == reached
    assert found.maxima.value == pytest.approx((table.max(1) == table.max()).mean())
    assert found.rewards.value == pytest.approx((table == table.max()).mean())


def test_signal_counts():
    table = np.array(
        [
            [1.0, 1, 1, 1, 1, 1, 1, 1],  # equal
            [1, 2, 2, 2, 2, 2, 2, 2],  # one value among the 3 best
            [1, 2, 3, 4, 5, 6, 7, 8],
            [1, 2, NAN, NAN, NAN, NAN, NAN, NAN],  # two rewards
            [4, NAN, NAN, NAN, NAN, NAN, NAN, NAN],  # one
            [NAN] * 8,
        ]
    )
    found = find_signal(as_rollouts(table), 0.25, tails=True)
    assert found.prompts == 5
    assert found.unscored == 1
    assert found.equal.value == pytest.approx(2 / 5)
    assert found.few.value == pytest.approx(4 / 5)
    assert found.unscorable.value == pytest.approx((6 + 7 + 8) / 48)
    assert found.mark == "look"


# --- length and spread -------------------------------------------------------------------------


def test_length_against_scipy():
    rng = np.random.default_rng(4)
    length = rng.integers(1, 9, size=(12, 15)).astype(float)  # with ties
    rewards = rng.normal(size=(12, 15)) + 0.3 * length
    rewards[0, :3] = NAN
    length[1, 4:6] = NAN
    rewards[2] = 1.0  # no spread
    found = find_length(rewards, length)
    rho, place = [], []
    for r, x in zip(rewards, length, strict=True):
        both = np.isfinite(r) & np.isfinite(x)
        r, x = r[both], x[both]
        if np.ptp(r) > 0:
            rho.append(spearmanr(r, x).statistic)
            longer = (x < x[r.argmax()]).sum() + ((x == x[r.argmax()]).sum() - 1) / 2
            place.append(longer / (len(x) - 1))
    assert found.prompts == 11
    assert found.correlation.value == pytest.approx(np.mean(rho), rel=1e-12)
    assert found.winner.value == pytest.approx(np.mean(place), rel=1e-12)


def test_length_intervals_and_sentences():
    """Without a link the interval holds 0 in 95 % of data sets; with one the finding says so."""
    rng = np.random.default_rng(5)
    missed = []
    for _ in range(400):
        low, high = find_length(
            rng.normal(size=(20, 8)), rng.exponential(size=(20, 8))
        ).correlation.interval
        missed.append(not low < 0 < high)
    assert_mean(np.array(missed, float), 0.05, 0.06)
    length = rng.uniform(size=(40, 16))
    for sign, word in ((1, "longest"), (-1, "shortest")):
        found = find_length(sign * length + 0.3 * rng.normal(size=length.shape), length)
        assert found.mark == "look"
        assert f"picks the {word}" in str(found)
    assert find_length(np.ones((9, 9)), np.ones((9, 9))) is None


def test_spread_between_prompts_without_their_noise():
    """Means with sd 2 about noise of sd 1 / sqrt(8)."""
    rng = np.random.default_rng(6)
    got = [
        find_spread(2 * rng.normal(size=(64, 1)) + rng.normal(size=(64, 8)), None, None).between
        for _ in range(200)
    ]
    assert_mean(np.square(got), 4.0, 0.5)
    alone = find_spread(rng.normal(size=(64, 8)), None, None)
    assert alone.ratio.value < 0.25
    assert alone.mark == "ok"


# --- tail --------------------------------------------------------------------------------------


def test_steps_are_those_of_training():
    """64 prompts of 64 rewards are four steps of 64 groups of 16."""
    rng = np.random.default_rng(7)
    table = np.minimum(rng.normal(size=(64, 64)), 0.5)
    found = find_tail(table, 16, 0.25, np.random.default_rng(0))
    assert (found.steps, found.step, found.m) == (4, 64, 16)
    dealt = groups_of(table, 16, np.random.default_rng(0)).reshape(4, 64, 16)
    chosen = [choose_alpha(step) for step in dealt]
    assert found.choices == {a: chosen.count(a) / 4 for a in set(chosen)}
    assert found.refused == 1.0
    assert found.supported is None


def test_bend_tells_the_side():
    rng = np.random.default_rng(8)
    heavy = find_tail(rng.gumbel(size=(64, 64)), 16, 0.25, rng)
    light = find_tail(rng.uniform(size=(64, 64)), 16, 0.25, rng)
    assert heavy.heavy
    assert not heavy.light
    assert light.light
    assert not light.heavy
    assert "heavier" in str(heavy)
    assert "lighter" in str(light)
    assert set(heavy.checks) == {0.25, 0.5, 0.75}


# --- law and ranking ---------------------------------------------------------------------------


@pytest.mark.parametrize("m", [8, 32])
def test_pooled_law_of_normal_rewards_is_normal(m):
    """Whatever the prompts' locations and scales: V_N of the law is that of the normal."""
    rng = np.random.default_rng(9)
    got = []
    for _ in range(40):
        scale = np.exp(rng.normal(size=(2048 // m, 1)))
        rewards = 10 * rng.normal(size=scale.shape) + scale * rng.normal(size=(len(scale), m))
        law = pilot_law(rewards, resamples=0).law
        got.append([value(law, n) for n in (2, 16, 128)])
    truth = [value("normal", n) for n in (2, 16, 128)]
    assert_mean(got, truth, [0.02, 0.05, 0.15])


def test_pooled_law_of_skewed_rewards():
    """Exponential rewards in groups of 64, in standard deviations about their mean."""
    rng = np.random.default_rng(10)
    got = [
        [value(law, n) for n in (8, 64)]
        for law in (pilot_law(rng.exponential(size=(64, 64)), resamples=0).law for _ in range(30))
    ]
    truth = np.array([value("exponential", n) for n in (8, 64)]) - 1
    np.testing.assert_allclose(np.mean(got, axis=0), truth, rtol=0.06)


def ranking(table, n, m=16, groups=4000):
    found = diagnose(table, n=n, m=m, groups=groups, rng=0)
    return found["ranking"] or found.skipped["ranking"]


def test_ranking_of_normal_rewards():
    rng = np.random.default_rng(11)
    table = 5 * rng.normal(size=(256, 1)) + rng.normal(size=(256, 64))
    found = ranking(table, 128)
    assert isinstance(found, RankingFinding)
    by_name = {row.estimator: row for row in found.rows}
    assert by_name["linear_tea"].effective_n == pytest.approx(128, rel=0.2)
    assert by_name["max_at_k(k=15)"].effective_n == pytest.approx(15, rel=0.1)
    assert by_name["max_at_k(k=6)"].effective_n == pytest.approx(6, rel=0.1)
    assert by_name["grpo"].effective_n == pytest.approx(1, abs=0.05)
    assert found.supported == 256 * 64 // 10
    assert found.mark == "ok"
    assert ranking(table[:4], 128, groups=640).mark == "look"  # 256 rewards


@pytest.mark.parametrize(
    ("n", "m", "words"),
    [
        (1e9, 16, "beyond the 1,024 rewards"),
        (1025, 16, "beyond the 1,024 rewards"),
        (1, 16, "the mean reward"),
        (128, 1, "nothing to compare"),
    ],
)
def test_ranking_says_why_not(n, m, words):
    rng = np.random.default_rng(12)
    table = rng.normal(size=(64, 1)) + rng.normal(size=(64, 16))
    found = ranking(table, n, m)
    assert isinstance(found, str)
    assert words in found


def test_ranking_where_ties_are_lost():
    """Ties of prompts that differ are lost in the pool: tail models get no figures, and say why."""
    rng = np.random.default_rng(12)
    table = 9.0 * np.arange(64)[:, None] + rng.normal(size=(64, 16)).round()
    found = ranking(table, 128, groups=640)
    figures = {row.estimator: row for row in found.rows if np.isfinite(row.snr)}
    assert list(figures) == ["grpo", "max_at_k(k=6)", "max_at_k(k=15)"]
    for row in found.rows:
        if row.estimator not in figures:
            assert row.reason.startswith("not admitted: the best rewards are mostly equal")


def test_ranking_with_an_atom_is_that_of_the_law():
    rng = np.random.default_rng(13)
    law = get_law("atom")
    table = law.reward(law.latent.draw(rng, (256, 16)))
    linear = next(row for row in ranking(table, 128).rows if row.estimator == "linear_tea")
    assert linear.effective_n == pytest.approx(114, rel=0.4)  # the law itself: docs
    assert pilot_law(table, resamples=0).in_reward_units  # with its atom


def test_success():
    rng = np.random.default_rng(14)
    rate = rng.beta(0.5, 3, size=(2000, 1))
    table = np.where(rng.random((2000, 16)) < rate, 1.0, -1.0)
    found = find_success(table, 64)
    np.testing.assert_allclose(found.prior, (0.5, 3), rtol=0.2)
    assert found.rate == pytest.approx((table == 1).mean())
    assert found.none.value == pytest.approx((table == -1).all(1).mean())
    assert found.pass_at_n == pytest.approx(expected_pass_at_n(64, 0.5, 3), abs=0.03)
