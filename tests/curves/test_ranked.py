"""Rules by rank, and the chance that all succeed, against brute force over all subsets."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

from bontea import best_of_k
from bontea.curves.ranked import best_by, every_succeeds, top_by

RNG = np.random.default_rng(0)
GROUPS = {
    "different": (RNG.normal(size=8), RNG.normal(size=8)),
    "ties": (np.array([1.0, 2, 2, 0, 0, 2, 1, 0]), RNG.normal(size=8)),
    "constant": (np.ones(8), RNG.normal(size=8)),
    "opposite": (np.arange(8.0), -np.arange(8.0)),
    "zero-one": (np.array([0.0, 1, 1, 0, 0, 0, 1, 0]), np.array([1.0, 0, 1, 0, 0, 1, 1, 0])),
    "one": (np.array([2.0]), np.array([3.0])),
}


@pytest.fixture(params=GROUPS)
def group(request):
    return GROUPS[request.param]


def mean_of_top(scores, measure, subset, j):
    """Mean measure of the j best of a subset, mean over all orders of equal scores."""
    bar = sorted((scores[i] for i in subset), reverse=True)[j - 1]
    above = [measure[i] for i in subset if scores[i] > bar]
    level = [measure[i] for i in subset if scores[i] == bar]
    return (sum(above) + (j - len(above)) * np.mean(level)) / j


@pytest.mark.parametrize("j", [1, 2, 3, 8])
def test_brute_force(group, j):
    scores, measure = group
    m = len(scores)
    ks = range(1, m + 1)
    expected = [
        np.mean([mean_of_top(scores, measure, s, j) for s in combinations(range(m), k)])
        if k >= j
        else np.nan
        for k in ks
    ]
    np.testing.assert_allclose(top_by(scores, measure, ks, j), expected, rtol=1e-11, atol=1e-13)
    if j == 1:
        np.testing.assert_allclose(best_by(scores, measure, ks), expected, rtol=1e-11, atol=1e-13)


def test_measured_by_itself_it_is_best_of_k(group):
    scores, _ = group
    ks = list(range(1, len(scores) + 1))
    np.testing.assert_allclose(best_by(scores, scores, ks), best_of_k(scores[None], ks)[0])


def test_all_of_k_is_the_mean(group):
    scores, measure = group
    m = len(scores)
    np.testing.assert_allclose(top_by(scores, measure, [m], m), [measure.mean()])


def test_every_succeeds():
    for m, c in [(1, 0), (1, 1), (10, 0), (10, 3), (10, 10), (5000, 4990)]:
        success = np.arange(m) < c
        ks = sorted({1, m, (m + 1) // 2})
        expected = [comb(c, k) / comb(m, k) for k in ks]
        np.testing.assert_allclose(every_succeeds(success, ks), expected, rtol=1e-9)


def test_large_groups():
    """The ranks themselves as measure: E[rank of the i-th best of k] = i (M + 1)/(k + 1)."""
    m, k, j = 4096, 1000, 20
    ranks = np.arange(1.0, m + 1)
    expected = np.mean([i * (m + 1) / (k + 1) for i in range(1, j + 1)])
    assert top_by(-ranks, ranks, [k], j)[0] == pytest.approx(expected, rel=1e-9)
