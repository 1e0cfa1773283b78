"""Chosen by one score, measured by another: the closed form against all subsets."""

from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bontea._errors import BonteaError, GroupTooSmallError
from bontea.curves import best_of_k, measured_best_of_k
from bontea.curves.chosen import measured_by_prompt, winner_weights


def brute_force(select, measure, k):
    """The mean over all k-subsets, in fractions; the winner is any of the highest."""
    total = Fraction(0)
    for subset in combinations(range(len(select)), k):
        best = max(select[i] for i in subset)
        winners = [i for i in subset if select[i] == best]
        total += sum(Fraction(measure[i]) for i in winners) / len(winners)
    return total / comb(len(select), k)


def test_every_subset():
    rng = np.random.default_rng(0)
    select, measure = rng.normal(size=8), rng.normal(size=8)
    got = measured_best_of_k(select, measure, range(1, 9))
    want = [float(brute_force(select.tolist(), measure.tolist(), k)) for k in range(1, 9)]
    np.testing.assert_allclose(got, want, rtol=1e-13)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5)), min_size=1, max_size=7),
    st.randoms(use_true_random=False),
)
def test_every_subset_with_ties(pairs, random):
    select, measure = map(list, zip(*pairs, strict=True))
    ks = range(1, len(select) + 1)
    want = [float(brute_force(select, measure, k)) for k in ks]
    got = measured_best_of_k([select], [measure], ks)[0]
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
    random.shuffle(pairs)  # the order of the file says nothing
    select, measure = zip(*pairs, strict=True)
    np.testing.assert_allclose(
        measured_best_of_k(select, measure, ks), want, rtol=1e-12, atol=1e-12
    )
    for k, weights in zip(ks, winner_weights(np.array(select, float), tuple(ks)).T, strict=True):
        assert weights.sum() == pytest.approx(1)
        assert weights @ np.array(measure, float) == pytest.approx(want[k - 1])


def test_measured_by_itself_it_is_best_of_k_digit_for_digit():
    rewards = np.random.default_rng(1).normal(size=(5, 40)).round(1)
    ks = [1, 2, 7, 40]
    np.testing.assert_array_equal(measured_best_of_k(rewards, rewards, ks), best_of_k(rewards, ks))


def test_only_the_order_of_the_selecting_score_counts():
    rng = np.random.default_rng(2)
    select, measure = rng.normal(size=(2, 4, 30))
    ks = [1, 3, 30]
    want = measured_best_of_k(select, measure, ks)
    np.testing.assert_array_equal(measured_best_of_k(np.exp(3 * select), measure, ks), want)
    shifted = measured_best_of_k(select, 1e9 + 1000 * measure, ks)
    np.testing.assert_allclose(shifted, 1e9 + 1000 * want, atol=1e-5)


def test_monte_carlo():
    """5 standard errors: a false-fail rate of 6e-7 for each of 3."""
    rng = np.random.default_rng(3)
    select = rng.integers(0, 20, size=300).astype(float)
    measure = select - 0.1 * select**2 + rng.normal(size=300)
    for k in (2, 16, 100):
        drawn = rng.permuted(np.tile(np.arange(300), (4000, 1)), axis=1)[:, :k]
        won = select[drawn] == select[drawn].max(1, keepdims=True)
        first = np.argmax(won, axis=1)  # in random order: any of the highest
        values = measure[drawn[np.arange(4000), first]]
        error = values.std() / np.sqrt(4000)
        assert error < 0.15
        assert abs(values.mean() - measured_best_of_k(select, measure, k)) < 5 * error


def test_what_is_missing_by_chance_leaves_no_bias():
    """The mean over all ways to lose 2 of 7 responses, from either score, is the whole value."""
    rng = np.random.default_rng(4)
    select, measure = rng.normal(size=7).round(1), rng.normal(size=7)
    for k in (1, 3, 5):
        found = []
        for a, b in combinations(range(7), 2):
            s, r = select.copy(), measure.copy()
            s[a], r[b] = np.nan, np.nan
            found.append(measured_best_of_k(s, r, k))
        assert np.mean(found) == pytest.approx(measured_best_of_k(select, measure, k), rel=1e-12)


def test_groups_of_any_size_and_missing_scores():
    select = [[1.0, 2.0, 3.0], [1.0, None, 3.0], [None, None, 1.0]]
    measure = [[5.0, 6.0, 7.0], [5.0, 6.0, None], [None, 1.0, 1.0]]
    got = measured_best_of_k(select, measure, [1, 2])
    np.testing.assert_allclose(got, [[6, (7 + 7 + 6) / 3], [5, np.nan], [1, np.nan]])
    flat = measured_by_prompt(
        np.array([1.0, 2.0, 3.0, 9.0]), np.array([5.0, 6.0, 7.0, 4.0]), np.array([3, 1]), [1, 3]
    )
    np.testing.assert_allclose(flat, [[6, 7], [4, np.nan]])


def test_stable_for_very_many_responses():
    """s are the ranks, r = 2 s: the mean rank of the best of k of m is (m + 1) k / (k + 1)."""
    m = 100_000
    select = np.random.default_rng(5).permutation(m).astype(float) + 1
    ks = [1, 2, 1000, 99_999, m]
    want = [2 * (m + 1) * k / (k + 1) for k in ks]
    np.testing.assert_allclose(measured_best_of_k(select, 2 * select, ks), want, rtol=1e-12)
    assert measured_best_of_k(select, np.full(m, 0.1), ks).tolist() == [0.1] * 5
    assert measured_best_of_k(np.zeros(m), np.arange(m) % 7 == 0, 5) == pytest.approx(
        np.mean(np.arange(m) % 7 == 0), rel=1e-12
    )  # nothing is told apart


def test_any_array_library():
    torch = pytest.importorskip("torch")
    select = torch.tensor([[1.0, 2.0]])
    assert measured_best_of_k(select, torch.tensor([[0, 1]]), 2).tolist() == [1.0]


@pytest.mark.parametrize(
    ("select", "measure", "k", "says"),
    [
        ([[1.0, 2.0]], [[1.0]], 1, "of one shape"),
        ([[1.0, np.inf]], [[1.0, 2.0]], 1, "select holds an infinite score"),
        ([[1.0, 2.0]], [[1.0, -np.inf]], 1, "measure holds an infinite score"),
        ([[1.0, 2.0]], [[1.0, 2.0]], 0, "k=0 must be"),
    ],
)
def test_bad_input(select, measure, k, says):
    with pytest.raises(BonteaError, match=says):
        measured_best_of_k(select, measure, k)


def test_beyond_the_sample():
    with pytest.raises(GroupTooSmallError, match="k=3 exceeds the 1 responses of a prompt"):
        measured_best_of_k([[1.0, 2.0]], [[1.0, None]], 3)
