"""compare_rules: the rules side by side, what is left out, and what cannot be."""

import json
from pathlib import Path

import numpy as np
import pytest

from bontea import BonteaError, GroupTooSmallError, as_rollouts, best_of_k
from bontea.curves import compare_rules
from bontea.curves.leaders import ONE, Leader, leader_lines
from bontea.curves.ranked import best_by, every_succeeds
from bontea.curves.voting import majority

SCORIO = json.loads((Path(__file__).parent / "data" / "scorio.json").read_text())
KS = range(1, 7)
RNG = np.random.default_rng(0)
P, M = 12, 8
ANSWERS = RNG.integers(0, 3, (P, M)).astype(str).tolist()
RIGHT = (np.array(ANSWERS) == "0").astype(float)
SCORES = np.round(RIGHT * 0.2 + 0.8 * RNG.random((P, M)), 2)


def rules(scores=SCORES, ks=(1, 4, 8), **given):
    return compare_rules(scores, ks, **{"answers": ANSWERS, "measure": RIGHT, "rng": 0} | given)


def value(found, rule):
    return found.curves[rule].value


def test_scorio():
    """Made by tests/curves/data/scorio_values.py with scorio 0.2.3."""
    assert SCORIO["scorio"] == "0.2.3"
    truth = np.array(SCORIO["truth"])[:, None]
    right = (np.array(SCORIO["answers"], dtype=object) == truth).astype(float)
    own = {"measure": right, "answers": SCORIO["answers"], "subsets": 1000, "rng": 0}
    found = compare_rules(SCORIO["scores"], KS, rules=["majority", "weighted", "pass^k"], **own)
    np.testing.assert_allclose(value(found, "majority"), SCORIO["majority"], rtol=1e-9)
    np.testing.assert_allclose(value(found, "weighted"), SCORIO["weighted"], rtol=1e-9)
    np.testing.assert_allclose(value(found, "pass^k"), SCORIO["pass_hat_k"], rtol=1e-9)
    oracle = compare_rules(right, KS, rules=["best"], rng=0)
    np.testing.assert_allclose(value(oracle, "best"), SCORIO["pass_at_k"], rtol=1e-9)
    graded = compare_rules(SCORIO["rewards"], KS, rules=["best"], rng=0)
    np.testing.assert_allclose(value(graded, "best"), SCORIO["max_at_k"], rtol=1e-9)
    answered = (np.array(SCORIO["letters"]) == truth).astype(float)
    chosen = compare_rules(SCORIO["scores"], KS, rules=["best"], measure=answered, rng=0)
    np.testing.assert_allclose(value(chosen, "best"), SCORIO["best"], rtol=1e-9)
    # Its maj@k is a strict majority of right ones: with two answers and odd k the same.
    two = compare_rules(right, KS, rules=["majority"], answers=right.tolist(), rng=0)
    np.testing.assert_allclose(value(two, "majority")[::2], SCORIO["maj_at_k"][::2], rtol=1e-9)


def test_the_rules_are_those_of_each_prompt():
    found = rules(rules=["best", "majority", "pass^k", "threshold", "top2"], threshold=1)
    one = [
        {
            "best": best_by(SCORES[p], RIGHT[p], [1, 4, 8]),
            "majority": majority(
                np.unique(ANSWERS[p], return_inverse=True)[1],
                RIGHT[p],
                [1, 4, 8],
                work=np.inf,
                subsets=2,
                rng=RNG,
            ).value,
            "pass^k": every_succeeds(RIGHT[p] == 1, [1, 4, 8]),
            "threshold": best_by(SCORES[p], RIGHT[p], [1, 4, 8]),  # right or wrong: the same
        }
        for p in range(P)
    ]
    for rule in one[0]:
        np.testing.assert_allclose(
            found.curves[rule].per_prompt, [own[rule] for own in one], rtol=1e-12
        )
        np.testing.assert_allclose(value(found, rule), np.mean([o[rule] for o in one], axis=0))
        assert not found.monte_carlo_standard_error[rule].any()
    assert np.isnan(value(found, "top2")[0])
    assert np.isfinite(value(found, "top2")[1:]).all()


def test_at_one_response_all_rules_are_the_mean():
    found = rules(ks=[1], rules=["best", "majority", "weighted", "pass^k", "top1"])
    for curve in found.curves.values():
        assert curve.value[0] == pytest.approx(RIGHT.mean(), rel=1e-12)
        assert curve.low[0] < curve.value[0] < curve.high[0]


def test_the_default_rules():
    assert [*rules().curves] == ["best", "majority", "weighted", "pass^k"]
    assert [*rules(threshold=0.5).curves] == ["best", "majority", "weighted", "threshold", "pass^k"]
    assert [*rules(answers=None).curves] == ["best", "pass^k"]
    assert [*rules(measure=None).curves] == ["best", "majority"]  # of scores without a threshold
    negative = rules(SCORES - 1)
    assert [*negative.curves] == ["best", "majority", "pass^k"]
    assert "weighted is left out: weights of a vote must be at least 0" in negative.notes[0]
    assert [*rules(SCORES - 1, weights="sigmoid").curves][2] == "weighted"


def test_sigmoid_weights_are_sigmoids():
    logits = 4 * RNG.normal(size=(P, M))
    own = rules(logits, rules=["weighted"], weights="sigmoid")
    np.testing.assert_allclose(
        value(own, "weighted"),
        value(rules(1 / (1 + np.exp(-logits)), rules=["weighted"]), "weighted"),
    )
    huge = rules(np.where(logits > 0, 1e4, -1e4), rules=["weighted"], weights="sigmoid")
    assert np.isfinite(value(huge, "weighted")).all()


def test_threshold_and_success():
    """Of the graded score itself: pass@k and pass^k of "at least 0.5"."""
    found = compare_rules(SCORES, [1, 4], threshold=0.5, rules=["threshold", "pass^k"])
    above = (SCORES >= 0.5).astype(float)
    np.testing.assert_allclose(value(found, "threshold"), best_of_k(above, [1, 4]).mean(0))
    fails = best_of_k(1 - above, [1, 4]).mean(0)  # at least one below
    np.testing.assert_allclose(value(found, "pass^k"), 1 - fails)
    nothing = compare_rules(SCORES, [1, 4], threshold=7, rules=["threshold", "pass^k"])
    assert value(nothing, "threshold").tolist() == value(nothing, "pass^k").tolist() == [0, 0]
    assert any("no response reaches the threshold 7; the largest" in note for note in nothing.notes)


def test_what_has_no_score_or_no_measure_is_left_out_everywhere():
    scores, measure = SCORES.copy(), RIGHT.copy()
    scores[0, 0] = measure[1, 2] = np.nan
    found = rules(scores, ks=[1, 7], measure=measure)
    assert found.left_out == 2
    assert "2 of 96 rollouts have no score or no measure and do not count" in found.notes[0]
    kept = [
        [
            [x for j, x in enumerate(row) if (p, j) not in ((0, 0), (1, 2))]
            for p, row in enumerate(t)
        ]
        for t in (SCORES, RIGHT, ANSWERS)
    ]
    same = compare_rules(kept[0], [1, 7], measure=kept[1], answers=kept[2], rng=0)
    assert same.left_out == 0
    for rule, curve in found.curves.items():
        np.testing.assert_array_equal(curve.value, same.curves[rule].value)


def test_answers_in_any_form():
    flat = [answer for row in ANSWERS for answer in row]
    for answers in (flat, np.array(ANSWERS), np.array(flat, dtype=object), np.array(ANSWERS, int)):
        np.testing.assert_array_equal(
            value(rules(answers=answers), "majority"), value(rules(), "majority")
        )
    mixed = [[4, 4.0, "4", None, float("nan"), ""]]
    found = compare_rules([[1, 1, 1, 0, 0, 0]], [6], answers=mixed, rng=0)
    assert value(found, "majority") == pytest.approx([1])
    assert found.answered == 0.5
    assert any("3 of 6 responses (50 %) have no answer" in note for note in found.notes)


def test_drawn_votes_say_so_and_follow_the_seed():
    one, same, other = (rules(ks=[4], subsets=20, rng=seed) for seed in (0, 0, 1))
    error = one.monte_carlo_standard_error["weighted"][0]
    assert 0 < error < 0.1
    assert value(one, "weighted") == value(same, "weighted")
    assert value(one, "weighted") != value(other, "weighted")
    assert any("weighted is not exact at every k: 20 random subsets" in note for note in one.notes)
    exact = rules(ks=[4], subsets=100)  # C(8, 4) = 70: all of them
    assert exact.monte_carlo_standard_error["weighted"][0] == 0
    assert abs(value(one, "weighted") - value(exact, "weighted"))[0] < 5 * error


def test_leaders():
    """A score that knows the right answer: best ahead of votes, and of one response."""
    scores = RIGHT + 0.01 * RNG.random((P, M))
    found = rules(scores, rules=["best", "majority"])
    assert [leader.k for leader in found.leaders] == [4, 8]
    last = found.leaders[-1]
    assert (last.rule, last.low > 0, last.gain_low > 0) == ("best", True, True)
    gain = found.curves["best"].per_prompt[:, -1] - RIGHT.mean(1)
    assert last.gain == pytest.approx(gain.mean())
    assert last.gain_low < last.gain < last.gain_high
    against = rules(-scores, rules=["best"])  # it prefers wrong ones
    assert {leader.rule for leader in against.leaders} == {ONE}
    assert "no rule is worth more than one response" in str(against)


def test_by_the_measure_itself_the_best_is_no_rival():
    found = rules(RIGHT, measure=None)
    assert {leader.rule for leader in found.leaders} | {
        leader.second for leader in found.leaders
    } == {
        "majority",
        ONE,
    }
    assert any("chosen by the score that measures it" in note for note in found.notes)


def leader(k, rule, difference, low, second="best", gain_low=0.1):
    return Leader(k, rule, second, difference, low, 0.3, 0.2, gain_low, 0.3)


@pytest.mark.parametrize(
    ("leaders", "said"),
    [
        ([leader(2, "weighted", 0.1, 0.05)], "k = 2: weighted is the best rule (+0.10 "),
        ([leader(2, "weighted", 0.1, -0.05)], "weighted has the largest value, but not clearly"),
        (
            [leader(2, "weighted", 0.05, -0.1), leader(4, "weighted", 0.1, 0.05)],
            "k = 2 to 4: weighted is the best rule (clearly at k = 4; +0.10",
        ),
        ([leader(2, "majority", 0.1, 0.05, ONE)], "majority is worth more than one response"),
        ([leader(2, "majority", 0.1, -0.05, ONE)], "majority is not clearly worth more than one"),
        ([leader(2, "majority", 0.0, np.nan)], "majority and best are worth the same; at k = 2"),
        ([leader(2, "best", 0.1, 0.05, "weighted", -1)], "not clearly better than one response"),
    ],
)
def test_leaders_in_words(leaders, said):
    (line,) = leader_lines(leaders)
    assert said in line


def test_degenerate_groups_are_said():
    one = compare_rules([[1], [0], [1]], answers=[["a"], ["b"], ["c"]], rng=0)
    assert one.ks.tolist() == [1]
    assert any("one rollout a prompt" in note for note in one.notes)
    different = compare_rules([[1, 0]] * 5, answers=[["a", "b"]] * 5, rng=0)
    assert value(different, "majority").tolist() == [0.5, 0.5]
    assert any("in 5 of 5 prompts no answer was given twice" in note for note in different.notes)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ks": [9]}, "k = 9 exceeds the 8 rollouts of prompt '0': draw more"),
        ({"ks": [0]}, "k"),
        ({"ks": []}, "ks is empty"),
        ({"rules": []}, "rules is empty"),
        ({"rules": ["vote"]}, "rule 'vote' is not known: use some of best, topJ"),
        ({"rules": ["topJ"]}, "rule 'topJ' is not known"),
        ({"rules": ["top0"]}, "rule 'top0' is not known"),
        ({"rules": ["majority"], "answers": None}, "majority: it compares answers, and there are"),
        ({"rules": ["weighted"], "answers": [[None] * M] * P}, "none of the 96 responses has an"),
        ({"rules": ["weighted"], "scores": SCORES - 1}, "weighted: weights .*go down to -0.9"),
        ({"rules": ["threshold"]}, "threshold: give the measure"),
        ({"rules": ["pass^k"], "measure": SCORES}, "pass\\^k: measures are not all 0 or 1"),
        ({"threshold": np.nan}, "threshold=nan must be a finite number"),
        ({"weights": "rank"}, "weights='rank' is not known"),
        ({"subsets": 1}, "subsets=1 must be at least 2"),
        ({"answers": ANSWERS[:-1]}, "answers for 11 prompts do not belong to 96 rollouts"),
        ({"answers": [row[:-1] for row in ANSWERS]}, "answers for 12 prompts do not belong"),
        ({"measure": RIGHT[:, :-1]}, "a measure of 84 rollouts of 12 prompts does not belong"),
        ({"measure": np.full((P, M), np.nan)}, "no prompt has a single reward"),
        ({"measure": np.where(RIGHT == 1, 1, -1e20)}, "stands for"),
        ({"scores": np.full((P, M), np.nan)}, "no prompt has a single reward"),
    ],
)
def test_what_cannot_be_used(given, message):
    with pytest.raises(BonteaError, match=message):
        rules(**given)


def test_too_few_rollouts_is_a_group_too_small():
    with pytest.raises(GroupTooSmallError):
        rules(ks=[9])


def test_strata_and_names_come_from_the_rollouts():
    scores = as_rollouts(SCORES, strata=["easy", "hard"] * (P // 2))
    found = compare_rules(scores, [4], measure=RIGHT, rules=["best"], method="jackknife")
    plain = compare_rules(SCORES, [4], measure=RIGHT, rules=["best"], method="jackknife")
    assert found.curves["best"].value == plain.curves["best"].value
    assert found.curves["best"].standard_error != plain.curves["best"].standard_error


def test_result_is_json():
    text = json.dumps(rules(rules=["best", "top4", "majority"]).to_dict(), allow_nan=False)
    assert json.loads(text)["curves"]["top4"]["value"][0] is None
    assert "k = 8: " in str(rules())
