"""Chosen by one score, measured by another: curves, the oracle, selectors, models, bad input."""

from dataclasses import replace
from itertools import combinations
from math import comb

import numpy as np
import pytest

from bontea._errors import BonteaError
from bontea.curves import (
    best_of_k,
    compare,
    compare_selectors,
    curve,
    measured_best_of_k,
    two_scores,
)
from bontea.curves.comparison import superiority
from bontea.curves.pairs import missing_by_chance, pair_scores
from bontea.rollouts import as_rollouts

RNG = np.random.default_rng(0)
S = RNG.normal(size=(30, 32))
R = S - 0.5 * S**2 + 0.5 * RNG.normal(size=S.shape) + RNG.normal(size=(30, 1))
KS = [1, 4, 32]


def data(s=S, r=R, **more):
    return as_rollouts(s, scores={"judge": r, **more})


def test_the_curve_is_the_mean_of_the_unbiased_values():
    got = curve(data(), KS, measure="judge", rng=0)
    np.testing.assert_allclose(got.per_prompt, measured_best_of_k(S, R, KS), rtol=1e-12)
    np.testing.assert_allclose(got.value, got.per_prompt.mean(0))
    assert (got.select, got.measure, got.pass_at_k) == ("reward", "judge", False)
    assert (got.low < got.value).all()
    assert (got.value < got.high).all()
    assert str(got).startswith("judge of the best by reward, mean over 30 prompts")


def test_one_score_by_name_is_the_curve_of_that_score():
    by_name = curve(data(), KS, select="judge", rng=0)
    np.testing.assert_array_equal(by_name.value, curve(R, KS, rng=0).value)
    both = curve(data(), KS, select="judge", measure="judge", rng=0)
    np.testing.assert_array_equal(both.low, by_name.low)
    assert (by_name.select, by_name.measure) == ("judge", "judge")
    np.testing.assert_array_equal(curve(data(), KS, rng=0).value, curve(S, KS, rng=0).value)


def test_strata_narrow_the_interval_as_in_every_curve():
    kinds = np.repeat([0, 1], 15)
    r = R + 10 * kinds[:, None]
    wide = curve(data(r=r), [4], measure="judge", rng=0)
    narrow = curve(data(r=r), [4], measure="judge", strata=kinds, rng=0)
    assert narrow.value == wide.value
    assert (narrow.high - narrow.low)[0] < (wide.high - wide.low)[0] / 4


def test_two_scores_has_all_curves_of_the_same_responses():
    got = two_scores(data(), KS, measure="judge", rng=0)
    np.testing.assert_allclose(got.proxy.per_prompt, best_of_k(S, KS))
    np.testing.assert_allclose(got.oracle.per_prompt, best_of_k(R, KS))
    gap = best_of_k(R, KS) - measured_best_of_k(S, R, KS)
    assert gap.min() >= -1e-12
    np.testing.assert_allclose(got.regret.difference, gap.mean(0), atol=1e-12)
    assert got.regret.difference[0] == 0
    assert got.regret.low[1:].min() > 0
    mean = R.mean()
    np.testing.assert_allclose(
        got.captured[1:],
        (got.chosen.value[1:] - mean) / (got.oracle.value[1:] - mean),
    )
    assert np.isnan(got.captured[0])
    assert (got.captured_low[1:] < got.captured[1:]).all()
    assert got.overshoot == pytest.approx(got.peak.value - got.chosen.value[-1])
    assert str(got).endswith(got.peak.message)
    assert got.to_dict()["peak"]["verdict"] == got.peak.verdict


def test_a_grid_without_1_has_the_same_numbers():
    whole = two_scores(data(), KS, measure="judge", rng=0)
    part = two_scores(data(), [32, 4], measure="judge", rng=0)
    np.testing.assert_allclose(part.captured, whole.captured[1:])


def test_a_score_measured_by_itself_is_refused():
    for select in ("judge", None):
        with pytest.raises(BonteaError, match="selects and measures: name two scores"):
            two_scores(data(), select=select, measure=select or "reward")
    with pytest.raises(BonteaError, match="selects and measures"):
        two_scores(data(r=S.copy()), measure="judge")


def test_which_selector_is_better():
    noise = np.random.default_rng(1).normal(size=S.shape)
    found = data(noise=noise)
    got = compare_selectors(found, KS, selectors=("judge", "noise"), measure="judge")
    want = best_of_k(R, KS) - measured_best_of_k(noise, R, KS)
    np.testing.assert_allclose(got.difference, want.mean(0), atol=1e-12)
    assert got.names == ("selected by judge", "selected by noise")
    assert got.decided.tolist() == [False, True, True]
    back = compare_selectors(found, KS, selectors=("noise", "judge"), measure="judge")
    np.testing.assert_allclose(back.difference, -got.difference)
    assert back.measure == "judge"
    with pytest.raises(BonteaError, match="both reward"):
        compare_selectors(found, KS, selectors=(None, "reward"), measure="judge")


def test_selectors_are_compared_on_the_responses_that_have_all_three():
    rng = np.random.default_rng(2)
    noise = rng.normal(size=S.shape)
    noise[rng.random(S.shape) < 0.2] = np.nan
    got = compare_selectors(data(noise=noise), [3], selectors=(None, "noise"), measure="judge")
    s = np.where(np.isnan(noise), np.nan, S)
    want = measured_best_of_k(s, R, 3) - measured_best_of_k(noise, R, 3)
    assert got.difference[0] == pytest.approx(want.mean())
    assert f"{np.isnan(noise).sum()} of 960 rollouts lack one" in got.message


def test_two_models_by_the_measure_of_what_is_chosen():
    rng = np.random.default_rng(3)
    other = as_rollouts(S[:, :20], scores={"judge": R[:, :20] + 0.3})
    got = compare(data(), other, [4], select="reward", measure="judge", names=("a", "b"))
    want = measured_best_of_k(S, R, 4) - measured_best_of_k(S[:, :20], R[:, :20] + 0.3, 4)
    assert got.difference[0] == pytest.approx(want.mean())
    assert "judge of the best of k by reward" in str(got)
    s, r = rng.integers(0, 4, (2, 1, 6)).astype(float), rng.integers(0, 3, (2, 1, 6)).astype(float)
    sides = [pair_scores(as_rollouts(s[i], scores={"r": r[i]}), None, "r") for i in (0, 1)]
    for k in (1, 2, 5):
        (got,) = superiority(*sides, [k])[0]
        assert got == pytest.approx(wins(s[0][0], r[0][0], s[1][0], r[1][0], k))


def wins(s, r, t, q, k):
    """All pairs of k-subsets, each with each of its winners."""

    def outcomes(select, measure):
        for subset in combinations(range(len(select)), k):
            best = [i for i in subset if select[i] == max(select[j] for j in subset)]
            for i in best:
                yield measure[i], 1 / len(best) / comb(len(select), k)

    return sum(
        w * v * ((x > y) + (x == y) / 2) for x, w in outcomes(s, r) for y, v in outcomes(t, q)
    )


def test_missing_scores_are_counted_and_said():
    rng = np.random.default_rng(4)
    r, s = R.copy(), S.copy()
    r[rng.random(r.shape) < 0.1] = np.nan
    s[5, 3] = np.nan
    r[7] = np.nan
    got = two_scores(data(s, r), [1, 4], measure="judge", rng=0)
    there = ~np.isnan(r) & ~np.isnan(s)
    assert (got.prompts, got.rollouts) == (29, there.sum())
    lost = f"{np.isnan(r).sum()} of 960 rollouts have no judge and 1 of 960 rollouts"
    assert lost in got.notes[0]
    assert "1 prompt with no other" in got.notes[0]
    assert "by chance" in got.notes[0]
    want = measured_best_of_k(np.delete(s, 7, 0), np.delete(r, 7, 0), 4)
    assert got.chosen.value[1] == pytest.approx(want.mean())
    assert curve(data(s, r), [1], measure="judge").message == got.notes[0]


def test_a_measure_of_the_best_only_is_refused():
    r = np.where(np.argsort(np.argsort(S)) < 16, np.nan, R)
    with pytest.raises(BonteaError, match=r"480 of 960 .* have no judge.*their reward is lower"):
        two_scores(data(r=r), measure="judge")
    with pytest.raises(BonteaError, match="no fair sample"):
        curve(data(r=r), measure="judge")


def test_a_selector_that_fails_on_bad_responses_is_said():
    """In deployment they take up a draw; the number is of what can be scored."""
    s = np.where(np.quantile(R, 0.2, axis=1, keepdims=True) > R, np.nan, S)
    got = curve(data(s=s), [1, 4], measure="judge", rng=0)
    assert "those without reward have a lower judge than the others of their" in got.message
    by_chance = np.where(np.random.default_rng(5).random(S.shape) < 0.2, np.nan, S)
    got = curve(data(s=by_chance), [1, 4], measure="judge", rng=0)
    assert "but those without" not in got.message


def test_how_far_from_chance():
    """The rank sum of all ways to lose 2 of 5 has mean 0 and variance 1 in these units."""
    values = np.array([3.0, 1.0, 1.0, 2.0, 5.0, 7.0, 7.0])
    owner = np.array([0, 0, 0, 0, 0, 1, 1])
    found = []
    for lost in combinations(range(5), 2):
        for other in (5, 6):
            missing = np.zeros(7, dtype=bool)
            missing[[*lost, other]] = True
            found.append(missing_by_chance(values, missing, owner))
    assert np.mean(found) == pytest.approx(0, abs=1e-12)
    assert np.var(found) == pytest.approx(1)
    assert missing_by_chance(values, values > 4, owner) > 0
    assert missing_by_chance(values, np.zeros(7, dtype=bool), owner) == 0
    assert missing_by_chance(values, np.ones(7, dtype=bool), owner) == 0


def test_a_constant_measure_says_so():
    got = two_scores(data(r=np.full(S.shape, 5.0)), measure="judge", rng=0)
    assert got.chosen.value.tolist() == [5.0] * len(got.chosen.ks)
    assert np.isnan(got.chosen.low).all()
    assert got.notes == [
        "judge is 5 for every rollout, so that it cannot tell which choice is better"
    ]
    assert (got.peak.verdict, got.peak.deploy) == ("undecided", None)


def test_a_judge_on_another_scale_changes_nothing_but_the_unit():
    one = two_scores(data(), measure="judge", rng=0)
    other = two_scores(data(r=1e6 + 1e4 * R), measure="judge", rng=0)
    assert (one.peak.k, one.peak.low, one.peak.high) == (
        other.peak.k,
        other.peak.low,
        other.peak.high,
    )
    np.testing.assert_allclose(other.captured, one.captured, rtol=1e-6)
    np.testing.assert_allclose(other.regret.high, 1e4 * one.regret.high, rtol=1e-6)


def test_a_measure_of_0_and_1_is_a_share_with_limits_in_between():
    right = (R > 0.2).astype(float)
    got = two_scores(data(r=right), measure="judge", rng=0)
    assert not got.chosen.pass_at_k
    assert got.oracle.pass_at_k
    assert np.nanmin(got.chosen.low) >= 0
    assert np.nanmax(got.regret.high) <= 1


def test_one_rollout_a_prompt():
    got = two_scores(data(S[:, :1], R[:, :1]), measure="judge", rng=0)
    assert got.chosen.ks.tolist() == [1]
    assert "nothing to choose from" in got.notes[0]
    assert "one k has no peak" in str(got)


@pytest.mark.parametrize("function", [curve, two_scores])
def test_beyond_the_sample_it_is_refused(function):
    with pytest.raises(BonteaError, match=r"k=33 exceeds the 32 rollouts .* nothing is predicted"):
        function(data(), [33], measure="judge")


def test_short_groups_are_named():
    found = as_rollouts(
        [[1.0, 2.0, 3.0, 4.0]] * 4 + [[1.0]],
        prompts=["a", "b", "c", "d", "short"],
        scores={"judge": [[1.0, 3.0, 2.0, 4.0]] * 4 + [[2.0]]},
    )
    assert "'short'" in two_scores(found, measure="judge", rng=0).notes[0]


def test_numbers_that_stand_for_no_score_name_it():
    r = R.copy()
    r[3, 2] = -9999
    with pytest.raises(BonteaError, match=r"judge: prompt 3, rollout 2: .* -9,999 lies far beyond"):
        two_scores(data(r=r), measure="judge")


def test_a_score_that_is_not_there():
    with pytest.raises(BonteaError, match="no score 'jugde', but reward, judge: give it with"):
        curve(data(), measure="jugde")
    none = replace(data(), scores={"judge": np.full(S.size, np.nan)})
    with pytest.raises(BonteaError, match="judge: no prompt has a single reward"):
        curve(none, measure="judge")
