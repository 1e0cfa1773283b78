"""Paired comparison: the difference, the chance to win by brute force, flips, and what it says."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from tests.statistics import assert_mean

from bontea import compare, curve
from bontea.curves.comparison import Comparison, superiority
from bontea.curves.intervals import METHODS
from bontea.curves.mean_curve import dense_ks
from bontea.rollouts import as_rollouts
from bontea.rollouts.groups import Rollouts

REWARDS = np.random.default_rng(0).normal(size=(30, 16)) + np.random.default_rng(1).normal(
    size=(30, 1)
)
ARRAYS = [
    "ks",
    "difference",
    "low",
    "high",
    "standard_error",
    "superiority",
    "superiority_low",
    "superiority_high",
]


def same(a, b):
    return all(
        np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True) for name in ARRAYS
    )


def rollouts(table, names, strata=None):
    return Rollouts(
        rewards=np.concatenate([np.asarray(row, dtype=float) for row in table]),
        offsets=np.cumsum([0, *map(len, table)]),
        prompts=np.array(names, dtype=object),
        strata=strata,
    )


def test_difference_is_paired():
    """Prompts differ by far more than the models: only a paired interval sees the difference."""
    rng = np.random.default_rng(0)
    prompts = rng.normal(size=(40, 1)) * 20
    a, b = (prompts + rng.normal(size=(40, 32)) + shift for shift in (0.5, 0.0))
    got = compare(a, b, [1, 32], rng=0)
    np.testing.assert_allclose(
        got.difference, curve(a, [1, 32]).value - curve(b, [1, 32]).value, atol=1e-9
    )
    assert (got.low > 0).all()
    assert (got.high < 1).all()
    assert got.decided.all()
    assert curve(a, [1], rng=0).low[0] < curve(b, [1], rng=0).value[0]


def test_default_interval_is_students():
    a, b = REWARDS, REWARDS[::-1] - 0.3
    got = compare(a, b, [1, 16])
    each = curve(a, [1, 16]).per_prompt - curve(b, [1, 16]).per_prompt
    expected = stats.ttest_1samp(each, 0).confidence_interval()
    np.testing.assert_allclose([got.low, got.high], [expected.low, expected.high])
    np.testing.assert_allclose(got.standard_error, each.std(0, ddof=1) / np.sqrt(30))
    assert got.method == "jackknife"


@pytest.mark.parametrize("method", ["studentised", "bca", "percentile"])
def test_resampling(method):
    def draw(**options):
        return compare(REWARDS, REWARDS[::-1], [1, 16], method=method, **options)

    assert same(draw(rng=3), draw(rng=3))
    assert not same(draw(rng=3), draw(rng=4))
    whole, parts = draw(rng=3, resamples=300, batch=None), draw(rng=3, resamples=300, batch=7)
    np.testing.assert_allclose(whole.low, parts.low, rtol=1e-12)
    narrow, wide = draw(rng=3, confidence_level=0.5), draw(rng=3, confidence_level=0.99)
    assert (wide.low < narrow.low).all()
    assert (narrow.high < wide.high).all()


@pytest.mark.parametrize("method", METHODS)
def test_swapped(method):
    there = compare(REWARDS, REWARDS[::-1] - 0.1, [1, 4, 16], method=method, rng=0)
    back = compare(REWARDS[::-1] - 0.1, REWARDS, [1, 4, 16], method=method, rng=0)
    np.testing.assert_allclose(there.difference, -back.difference)
    np.testing.assert_allclose(there.superiority, 1 - back.superiority)
    np.testing.assert_allclose(there.low, -back.high)


# --- the chance to win -------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True], ids=["continuous", "ties"])
def test_superiority_against_all_pairs_of_subsets(ties):
    """Groups of 4 to 6, all k-subsets of a against all of b."""
    rng = np.random.default_rng(0)
    sizes = [(4, 4), (6, 4), (5, 6)]
    a, b = ([rng.normal(size=pair[side]) for pair in sizes] for side in (0, 1))
    if ties:
        a, b = ([np.round(group) for group in side] for side in (a, b))
    got = superiority(as_rollouts(a).scored(), as_rollouts(b).scored(), [1, 2, 3, 4])
    for p in range(len(sizes)):
        for i, k in enumerate([1, 2, 3, 4]):
            wins = [
                1.0 if max(x) > max(y) else 0.5 if max(x) == max(y) else 0.0
                for x in combinations(a[p], k)
                for y in combinations(b[p], k)
            ]
            assert got[p, i] == pytest.approx(np.mean(wins), abs=1e-13)


def test_superiority_is_unbiased():
    """Normal rewards: P(best of k from a beats that from b) by quadrature, from groups of 8."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20_000, 8)), 0.4 + 0.7 * rng.normal(size=(20_000, 8))
    got = superiority(as_rollouts(a).scored(), as_rollouts(b).scored(), [1, 3, 8])
    x = np.linspace(-9, 9, 20_001)
    for i, k in enumerate([1, 3, 8]):
        density = k * stats.norm.pdf(x) * stats.norm.cdf(x) ** (k - 1)
        expected = np.trapezoid(density * stats.norm.cdf((x - 0.4) / 0.7) ** k, x)
        assert_mean(got[:, i], expected, 0.02)


def test_superiority_of_large_groups():
    """Of whole groups the best is the best, and the mean over pairs is Mann and Whitney's."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3000)), rng.normal(size=(2, 3000))
    got = superiority(as_rollouts(a).scored(), as_rollouts(b).scored(), [1, 300, 3000])
    u = [stats.mannwhitneyu(x, y).statistic / 3000**2 for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(got[:, 0], u, rtol=1e-12)
    np.testing.assert_array_equal(got[:, 2], a.max(1) > b.max(1))
    assert (got >= 0).all()
    assert (got <= 1).all()


@pytest.mark.parametrize("method", METHODS)
def test_limits_of_the_chance_lie_between_0_and_1(method):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(12, 8)) + 0.6, rng.normal(size=(12, 8))
    got = compare(a, b, [1, 2, 8], method=method, rng=0)
    assert (got.superiority_low < got.superiority).all()
    assert (got.superiority < got.superiority_high).all()
    assert (got.superiority_high <= 1).all()


# --- which prompts -----------------------------------------------------------------------------


def test_sizes_and_missing_prompts():
    a, b = REWARDS.copy(), REWARDS[::-1, :10] - 1
    assert compare(a, b).ks.tolist() == dense_ks(10)
    a[3], b[7] = np.nan, np.nan
    keep = np.setdiff1d(np.arange(30), [3, 7])
    got = compare(a, b)
    assert same(got, compare(a[keep], b[keep]))
    assert (got.prompts, got.left_out) == (28, 2)
    with pytest.raises(ValueError, match="30 and 29 prompts"):
        compare(a, b[:29])
    with pytest.raises(ValueError, match="k=16 exceeds the 10 rewards"):
        compare(a, b, [16])


def test_prompts_are_matched_by_name():
    names = [f"p{i}" for i in range(30)]
    order = np.random.default_rng(2).permutation(30)
    a = rollouts(REWARDS, names)
    b = rollouts((REWARDS[::-1] - 0.2)[order], np.array(names)[order])
    got = compare(a, b)
    assert same(got, compare(REWARDS, REWARDS[::-1] - 0.2))
    assert (got.prompts, got.left_out) == (30, 0)
    some = rollouts((REWARDS[::-1] - 0.2)[5:], [*names[5:29], "another"])
    got = compare(a, some)
    assert same(got, compare(REWARDS[5:29], REWARDS[::-1][5:29] - 0.2))
    assert (got.prompts, got.left_out) == (24, 7)
    assert "24 prompts, 7 left out" in str(got)


def test_names_and_positions_do_not_mix():
    named = rollouts(REWARDS, [f"p{i}" for i in range(30)])
    assert same(compare(named, REWARDS - 1), compare(REWARDS, REWARDS - 1))


def test_a_small_group_that_is_left_out_does_not_shorten_the_grid():
    a = rollouts([*REWARDS, [1.0]], [f"p{i}" for i in range(31)])
    b = rollouts(REWARDS - 1, [f"p{i}" for i in range(30)])
    assert compare(a, b).ks[-1] == 16


def test_strata():
    strata = np.array(["easy", "hard"] * 15, dtype=object)
    b = REWARDS[::-1] + np.where(strata == "easy", 3, -3)[:, None]
    names = [f"p{i}" for i in range(30)]
    plain = compare(REWARDS, b, [1])
    got = compare(REWARDS, b, [1], strata=strata)
    assert got.standard_error < 0.5 * plain.standard_error
    assert got.difference == plain.difference
    for other in (
        compare(rollouts(REWARDS, names, strata), rollouts(b, names), [1]),
        compare(rollouts(REWARDS, names), rollouts(b, names, strata), [1]),
    ):
        assert same(other, got)
    # Strata go with their prompts.
    order = np.random.default_rng(0).permutation(30)
    mixed = rollouts(REWARDS[order], np.array(names)[order], strata[order])
    np.testing.assert_allclose(compare(mixed, rollouts(b, names), [1]).low, got.low)


def test_nothing_in_common():
    a, b = np.full((3, 4), np.nan), np.full((3, 4), 1.0)
    for ks in (None, [1]):
        with pytest.raises(ValueError, match="no prompt has a reward from both models"):
            compare(a, b, ks)
    first = rollouts(REWARDS, [f"p{i}" for i in range(30)])
    second = rollouts(REWARDS, ["x" * 100, *(f"q{i}" for i in range(29))])
    with pytest.raises(ValueError, match=r"no prompt in common \(such as 'p0' and 'x{57}\.\.\.'\)"):
        compare(first, second)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", METHODS)
def test_with_itself(method):
    got = compare(REWARDS, REWARDS, [1, 16], method=method, rng=0)
    assert (got.difference == 0).all()
    assert (got.superiority == 0.5).all()
    nothing = [got.low, got.high, got.standard_error, got.superiority_low, got.superiority_high]
    assert np.isnan(nothing).all()
    assert not got.decided.any()
    assert got.flips == []
    assert str(got).endswith(
        "no k tells a and b apart; at k = 16 the two are equal, without an interval"
    )


def test_pass_at_k_has_limits_between_minus_1_and_1():
    a, b = (REWARDS > -1).astype(float), (REWARDS > 1.5).astype(float)
    got = compare(a[:6], b[:6], [1, 2, 4, 8])
    assert got.pass_at_k
    assert np.nanmax(got.high) <= 1
    assert "pass@k, 6 prompts" in str(got)
    assert not compare(a, 2 * b, [1]).pass_at_k


# --- what it says ------------------------------------------------------------------------------


def comparison(difference, half, ks=None):
    difference = np.array(difference, dtype=float)
    nothing = np.full(len(difference), 0.5)
    half = np.broadcast_to(half, difference.shape)
    return Comparison(
        ks=np.array(ks or [2**i for i in range(len(difference))]),
        difference=difference,
        low=difference - half,
        high=difference + half,
        confidence_level=0.95,
        standard_error=half / 2,
        superiority=nothing,
        superiority_low=nothing,
        superiority_high=nothing,
        prompts=20,
        left_out=0,
        names=("new", "old"),
        method="jackknife",
        pass_at_k=False,
        interval_message="",
    )


@pytest.mark.parametrize(
    ("difference", "flips"),
    [
        ([1, 2, 3], []),
        ([-1, 2, 3], [(1, 2)]),
        ([-1, 0, 3], [(1, 4)]),
        ([0, -1, 3, -2], [(2, 4), (4, 8)]),
        ([0, 0, 0], []),
        ([1, 0, 2], []),
    ],
)
def test_flips(difference, flips):
    assert comparison(difference, 0.1).flips == flips


@pytest.mark.parametrize(
    ("difference", "half", "verdict", "message"),
    [
        (
            [1, 2, 3],
            0.5,
            "first",
            "new is better at every k from 1 to 4; at k = 4 new leads by 3.0 [2.5, 3.5]",
        ),
        (
            [0.1, 2, -2, -2],
            0.5,
            "depends on k",
            "neither at k = 1, new is better at k = 2, old from k = 4 on (choose by the k you "
            "deploy); at k = 8 old leads by 2.0 [1.5, 2.5]",
        ),
        ([-3], 0.5, "second", "old is better at k = 1; at k = 1 old leads by 3.0 [2.5, 3.5]"),
        (
            [-1, -0.4, 0.2, 1, 2],
            0.5,
            "depends on k",
            "old is better at k = 1, neither at k = 2 to 4, new from k = 8 on (choose by the k you "
            "deploy); at k = 16 new leads by 2.0 [1.5, 2.5]",
        ),
        (
            [1, 0.8, 0.2],
            0.4,
            "first",
            "new is better at k = 1 to 2, neither at k = 4; at k = 4 new leads by 0.20 "
            "[-0.20, 0.60], which may be chance: if the difference is real, about 80 prompts would "
            "show it",
        ),
        (
            [0.1, -0.1, 0],
            0.4,
            "undecided",
            "no k tells new and old apart; at k = 4 the two are equal (0.00 [-0.40, 0.40])",
        ),
        (
            [0.1, -1e-9],
            0.4,
            "undecided",
            "no k tells new and old apart; at k = 2 old leads by 0.00 [-0.40, 0.40], which may be "
            "chance: if the difference is real, more than a million prompts would show it",
        ),
        (
            [1, 2],
            np.nan,
            "undecided",
            "no k tells new and old apart; at k = 2 new leads by 2.0, without an interval",
        ),
    ],
)
def test_verdict_and_message(difference, half, verdict, message):
    got = comparison(difference, half)
    assert got.verdict == verdict
    assert got.message == message
    assert str(got).endswith(message)
    assert got.to_dict().items() >= {"verdict": verdict, "message": message}.items()
    assert got.at(1) == (got.difference[0], got.low[0], got.high[0]) or np.isnan(half)


def test_table():
    rng = np.random.default_rng(0)
    level = rng.normal(size=(50, 1))
    a, b = level + rng.normal(size=(50, 64)), level + 0.3 + 0.6 * rng.normal(size=(50, 64))
    got = compare(a, b, names=("wide", "sure"))
    head, columns, *rows = str(got).splitlines()
    assert head == "wide minus sure, best of k, 50 prompts, 95 % interval (jackknife)"
    assert columns.split() == ["k", "difference", "wide", "beats", "sure"]
    assert [row.split()[0] for row in rows[:-1]] == ["1", "2", "4", "8", "16", "32", "64"]
    assert len(got.flips) == 1
    assert rows[-1].startswith("sure is better at k = 1")
    with pytest.raises(ValueError, match=r"k=9 is not on the grid \[1, 2, 3"):
        got.at(9)


def test_the_number_of_prompts_it_asks_for_is_enough():
    """A difference that 20 prompts cannot show, and as many prompts as it says do."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2000, 8)) + 0.15, rng.normal(size=(2000, 8))
    few = compare(a[:20], b[:20], [1])
    assert not few.decided[0]
    needed = int(few.message.split("about ")[1].split(" prompts")[0].replace(",", ""))
    half = (few.high - few.low)[0] / 2
    assert needed == pytest.approx(20 * (half / abs(few.difference[0])) ** 2, rel=0.05)
