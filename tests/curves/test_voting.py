"""Votes against brute force over all subsets, and drawn ones against exact ones."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

from bontea.curves.ranked import best_by
from bontea.curves.voting import _work, majority, weighted

NONE = -1


def brute_force(answers, weights, measure, k):
    """The mean over all k-subsets, each decided by counting with dictionaries."""
    values = []
    for subset in combinations(range(len(answers)), k):
        votes, members = {}, {}
        for i in subset:
            if answers[i] != NONE:
                votes[answers[i]] = votes.get(answers[i], 0) + weights[i]
                members.setdefault(answers[i], []).append(measure[i])
        if not votes:
            values.append(np.mean([measure[i] for i in subset]))
            continue
        most = max(votes.values())
        winners = [answer for answer in votes if votes[answer] >= most - 1e-9]
        values.append(np.mean([np.mean(members[answer]) for answer in winners]))
    return np.mean(values)


def groups():
    """Rollouts of a prompt: any number of answers, ties, none at all; any measure."""
    rng = np.random.default_rng(0)
    for m in [1, 2, 3, 5, 8, 9]:
        for kinds in (1, 2, 3, m):
            for missing in (0, 0.3, 1):
                answers = np.where(rng.random(m) < missing, NONE, rng.integers(0, kinds, m))
                yield answers, rng.integers(0, 4, m) / 2, rng.normal(size=m)


def exact(answers, measure, ks):
    rng = np.random.default_rng(0)
    return majority(answers, measure, ks, work=np.inf, subsets=2, rng=rng)


def test_majority_is_exact():
    for answers, _, measure in groups():
        ks = range(1, len(answers) + 1)
        found = exact(answers, measure, ks)
        expected = [brute_force(answers, np.ones(len(answers)), measure, k) for k in ks]
        np.testing.assert_allclose(found.value, expected, rtol=1e-11, atol=1e-12)
        assert not found.variance.any()


def test_weighted_over_all_subsets():
    for answers, weights, measure in groups():
        ks = range(1, len(answers) + 1)
        found = weighted(
            answers, weights, measure, ks, subsets=comb(9, 4), rng=np.random.default_rng(0)
        )
        expected = [brute_force(answers, weights, measure, k) for k in ks]
        np.testing.assert_allclose(found.value, expected, rtol=1e-11, atol=1e-12)
        assert not found.variance.any()


def test_equal_answers_share():
    """Two against two: half the time for each."""
    answers, measure = np.array([0, 0, 1, 1]), np.array([1.0, 1, 0, 0])
    assert exact(answers, measure, [4]).value == pytest.approx([0.5])
    # Of three, one answer always has two: 2 of 4 subsets are right.
    assert exact(answers, measure, [3]).value == pytest.approx([0.5])


def test_no_answer_takes_up_a_draw():
    """One right answer, three without: the answer wins wherever it is drawn."""
    answers, measure = np.array([0, NONE, NONE, NONE]), np.array([1.0, 0, 0, 0])
    expected = [1 - comb(3, k) / comb(4, k) for k in (1, 2, 3, 4)]
    assert exact(answers, measure, [1, 2, 3, 4]).value == pytest.approx(expected)


def test_without_any_answer_one_response_is_returned():
    measure = np.array([3.0, 1, 2])
    found = exact(np.full(3, NONE), measure, [1, 2, 3])
    assert found.value == pytest.approx([2.0, 2, 2])


def test_all_answers_different_is_a_random_choice():
    measure = np.arange(40.0)
    assert exact(np.arange(40), measure, [1, 7, 40]).value == pytest.approx([19.5] * 3)


def test_all_answers_different_and_weighted_is_the_best():
    scores, measure = np.random.default_rng(1).random((2, 12))
    found = weighted(
        np.arange(12), scores, measure, [1, 3, 12], subsets=300, rng=np.random.default_rng(0)
    )
    np.testing.assert_allclose(found.value, best_by(scores, measure, [1, 3, 12]))


def test_equal_weights_are_a_majority():
    answers = np.array([0, 0, 0, 1, 1, 2, NONE, 2])
    measure = np.random.default_rng(2).random(8)
    ks = range(1, 9)
    found = weighted(
        answers, np.full(8, 0.1), measure, ks, subsets=100, rng=np.random.default_rng(0)
    )
    np.testing.assert_allclose(found.value, exact(answers, measure, ks).value, rtol=1e-11)


def test_large_groups_keep_their_digits():
    """Two answers of 600 and 300: right where at least half of an odd k is, by hypergeometric sums
    of whole numbers."""
    answers = np.repeat([0, 1], [600, 300])
    found = exact(answers, 1.0 * (answers == 1), [3, 301])
    for k, value in zip([3, 301], found.value, strict=True):
        ways = sum(comb(300, j) * comb(600, k - j) for j in range(k // 2 + 1, k + 1))
        assert value == pytest.approx(ways / comb(900, k), rel=1e-9)


@pytest.mark.parametrize("kind", ["majority", "weighted"])
def test_drawn_agrees_with_exact_within_its_error(kind):
    """40 runs of 400 subsets: the mean error and its declared size; |z| < 5."""
    rng = np.random.default_rng(3)
    answers, measure = rng.integers(-1, 4, 20), rng.random(20)
    weights = np.ones(20) if kind == "majority" else rng.random(20)
    ks = [1, 4, 6, 20]
    runs = []
    for seed in range(40):
        own = np.random.default_rng(seed)
        if kind == "majority":
            runs.append(majority(answers, measure, ks, work=0, subsets=400, rng=own))
        else:
            runs.append(weighted(answers, weights, measure, ks, subsets=400, rng=own))
    values = np.array([run.value for run in runs])
    truth = exact(answers, measure, ks).value
    if kind == "weighted":
        all_of_them = weighted(
            answers, weights, measure, ks, subsets=comb(20, 6), rng=np.random.default_rng(0)
        )
        truth = all_of_them.value
    variance = np.mean([run.variance for run in runs], axis=0)
    np.testing.assert_allclose(values[:, [0, 3]], np.tile(truth[[0, 3]], (40, 1)), rtol=1e-12)
    assert not variance[[0, 3]].any()
    z = (values.mean(0) - truth)[1:3] / np.sqrt(variance[1:3] / 40)
    assert np.abs(z).max() < 5
    assert np.sqrt(variance[1:3] / 40).max() < 0.003  # small enough to see a bias that matters
    # What a run says of its own error is the spread of the runs.
    ratio = values[:, 1:3].var(0, ddof=1) / variance[1:3]
    assert ratio.min() > 0.4
    assert ratio.max() < 2


def test_work_is_what_decides():
    answers, measure = np.arange(30) % 7, np.random.default_rng(0).random(30)
    enough = _work(np.bincount(answers), 15)
    rng = np.random.default_rng(0)
    assert not majority(answers, measure, [15], work=enough, subsets=50, rng=rng).variance.any()
    assert majority(answers, measure, [15], work=enough - 1, subsets=50, rng=rng).variance.all()
