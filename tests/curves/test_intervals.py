"""Intervals of means over prompts against SciPy, against loops, and where there is none to give."""

import numpy as np
import pytest
from scipy import stats
from tests.statistics import assert_mean

from bontea.curves.intervals import METHODS, _resample, mean_interval

VALUES = np.random.default_rng(0).exponential(size=(20, 3)) * [1, 5, 0.1] + [0, 7, -2]
STRATA = np.repeat(["x", "y", "z"], [9, 4, 7])
SHUFFLED = np.random.default_rng(1).permutation(20)
BOOTSTRAPS = ("studentised", "bca", "percentile")


def limits(*args, **options):
    got = mean_interval(*args, rng=5, **options)
    return np.stack([got.low, got.high])


@pytest.mark.parametrize(("method", "theirs"), [("bca", "BCa"), ("percentile", "percentile")])
def test_against_scipy(method, theirs):
    """SciPy at the level whose normal quantile is the t quantile, its deviations scaled up.

    A limit of 40,000 resamples has a standard error of about sqrt(.025 / 40000) / .06 = .013
    standard errors of the mean; BCa and percentile limits differ by more than 10 times that here.
    """
    level = 2 * stats.norm.cdf(stats.t.ppf(0.975, 19)) - 1
    own = limits(VALUES, method=method, resamples=40_000, batch=5_000)
    scipy = stats.bootstrap(
        (VALUES,),
        np.mean,
        n_resamples=40_000,
        confidence_level=level,
        method=theirs,
        rng=np.random.default_rng(1),
        batch=5_000,
    ).confidence_interval
    mean, error = VALUES.mean(0), VALUES.std(0, ddof=1) / np.sqrt(20)
    expected = mean + (np.stack([scipy.low, scipy.high]) - mean) * np.sqrt(20 / 19)
    np.testing.assert_array_less(np.abs(own - expected) / error, 5 * np.sqrt(2) * 0.013)


def test_bca_and_percentile_differ_on_skewed_values():
    error = VALUES.std(0, ddof=1) / np.sqrt(20)
    gap = np.abs(limits(VALUES, method="bca") - limits(VALUES, method="percentile")) / error
    assert (gap[1] > 0.13).all()


def test_jackknife_is_the_t_interval():
    expected = stats.ttest_1samp(VALUES, 0).confidence_interval(0.9)
    got = limits(VALUES, method="jackknife", confidence_level=0.9)
    np.testing.assert_allclose(got, [expected.low, expected.high])


def test_jackknife_of_strata():
    """`se^2 = sum (n_h/P)^2 s_h^2/n_h` and Welch's degrees of freedom, in any order."""
    parts = [VALUES[h == STRATA] for h in "xyz"]
    share = [len(p) / 20 for p in parts]
    pieces = np.array([w**2 * p.var(0, ddof=1) / len(p) for w, p in zip(share, parts, strict=True)])
    freedom = pieces.sum(0) ** 2 / sum(
        v**2 / (len(p) + 1) for v, p in zip(pieces, parts, strict=True)
    )
    freedom -= 2
    error = np.sqrt(pieces.sum(0))
    got = mean_interval(VALUES[SHUFFLED], STRATA[SHUFFLED], method="jackknife")
    np.testing.assert_allclose(got.standard_error, error)
    half = stats.t.ppf(0.975, freedom) * error
    np.testing.assert_allclose(got.high, VALUES.mean(0) + half)
    np.testing.assert_allclose(got.low, VALUES.mean(0) - half)


@pytest.mark.parametrize("sizes", [[20], [9, 4, 7]], ids=["one stratum", "three strata"])
def test_studentised_against_a_loop(sizes):
    """Every resample written out, its mean and standard error by NumPy, stratum by stratum."""
    strata = np.repeat(np.arange(len(sizes)), sizes)
    counts = np.concatenate(list(_resample(np.array(sizes), 500, 100, np.random.default_rng(5))))

    def mean_and_error(values, groups):
        variance = sum(
            (n / 20) ** 2 * group.var(ddof=1) / n for n, group in zip(sizes, groups, strict=True)
        )
        return np.mean(values), np.sqrt(variance)

    got = limits(VALUES, strata, resamples=500)
    for column in range(3):
        v = VALUES[:, column]
        mean, error = mean_and_error(v, [v[strata == h] for h in range(len(sizes))])
        t = []
        for row in counts.astype(int):
            drawn = np.repeat(v, row)
            m, e = mean_and_error(drawn, [drawn[np.repeat(strata, row) == h] for h in set(strata)])
            t.append((m - mean) / e)
        upper, lower = np.quantile(t, [0.975, 0.025])
        np.testing.assert_allclose(got[:, column], [mean - upper * error, mean - lower * error])


def test_resamples_stay_inside_their_stratum():
    sizes = np.array([5, 2, 13])
    counts = np.concatenate(list(_resample(sizes, 4000, 900, np.random.default_rng(0))))
    assert counts.shape == (4000, 20)
    for size, part in zip(sizes, np.split(counts, [5, 7], axis=1), strict=True):
        assert (part.sum(1) == size).all()
    # Each prompt once on average: multinomial counts have a variance below 1.
    assert_mean(counts, 1.0, 0.1)


@pytest.mark.parametrize("method", METHODS)
def test_one_stratum_is_no_stratum(method):
    np.testing.assert_array_equal(
        limits(VALUES, ["only"] * 20, method=method), limits(VALUES, method=method)
    )


@pytest.mark.parametrize("method", METHODS)
def test_shift_and_scale(method):
    np.testing.assert_allclose(
        limits(3 * VALUES + 100, STRATA, method=method),
        3 * limits(VALUES, STRATA, method=method) + 100,
    )


@pytest.mark.parametrize("method", BOOTSTRAPS)
def test_mirror(method):
    """The interval of -v is the mirrored one, up to resampling noise."""
    there = limits(VALUES, method=method, resamples=20_000)
    back = limits(-VALUES, method=method, resamples=20_000)
    np.testing.assert_allclose(there, -back[::-1], atol=1e-9 * 7)


@pytest.mark.parametrize("method", BOOTSTRAPS)
@pytest.mark.parametrize("strata", [None, STRATA], ids=["unstratified", "stratified"])
class TestResampling:
    @pytest.mark.parametrize("batch", [1, 7, 64, 300, 1000, None])
    def test_batch_changes_nothing(self, method, strata, batch):
        options = {"method": method, "resamples": 300}
        np.testing.assert_allclose(
            limits(VALUES, strata, batch=batch, **options),
            limits(VALUES, strata, batch=200, **options),
            rtol=1e-12,
        )

    def test_seed(self, method, strata):
        first, again, other = (
            mean_interval(VALUES, strata, method=method, rng=seed)
            for seed in (5, np.random.default_rng(5), 6)
        )
        np.testing.assert_array_equal(first.low, again.low)
        assert (first.low != other.low).all()


@pytest.mark.parametrize("method", METHODS)
def test_strata_take_the_spread_between_them_out(method):
    """A true standard error, measured over 2,000 data sets with strata at -10, 0 and 10."""
    rng = np.random.default_rng(0)
    strata = np.repeat([0, 1, 2], [15, 5, 10])
    data = 10.0 * (strata[:, None] - 1) + rng.normal(size=(30, 2000))
    got = mean_interval(data, strata, method=method, resamples=400, rng=0)
    assert_mean(got.standard_error**2, 1 / 30, 0.004)
    width = (got.high - got.low).mean()
    assert width == pytest.approx(2 * stats.t.ppf(0.975, 26) / np.sqrt(30), rel=0.05)
    wide = mean_interval(data, method=method, resamples=400, rng=0)
    assert (wide.high - wide.low).mean() > 5 * width


@pytest.mark.parametrize("method", METHODS)
def test_pairs_keep_their_spread(method):
    """Two prompts a stratum: half the spread would be lost by plain resampling."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=(40, 500))
    got = mean_interval(data, np.arange(40) // 2, method=method, resamples=400, rng=0)
    ideal = 2 * stats.t.ppf(0.975, 20) / np.sqrt(40)
    assert (got.high - got.low).mean() == pytest.approx(ideal, rel=0.1)


def test_strata_of_one_prompt_are_treated_as_one():
    labels = np.array(["a"] * 10 + ["b"] * 6 + ["p", "q", "r", "s"])
    merged = np.array(["a"] * 10 + ["b"] * 6 + ["rest"] * 4)
    got = mean_interval(VALUES, labels, rng=0)
    np.testing.assert_array_equal(got.low, mean_interval(VALUES, merged, rng=0).low)
    assert got.message == "4 strata of a single prompt are treated as one"


def test_a_lone_prompt_joins_the_smallest_stratum():
    labels = np.array(["a"] * 10 + ["b"] * 9 + ["z"])
    got = mean_interval(VALUES, labels, method="jackknife")
    merged = mean_interval(VALUES, ["a"] * 10 + ["b"] * 10, method="jackknife")
    np.testing.assert_array_equal(got.low, merged.low)
    assert got.message == "stratum 'z' has a single prompt and joins 'b'"


def test_each_prompt_its_own_stratum():
    np.testing.assert_array_equal(limits(VALUES, np.arange(20)), limits(VALUES))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", METHODS)
class TestNothingToTakeAnIntervalFrom:
    def test_prompts_that_agree(self, method):
        values = VALUES.copy()
        values[:, 1] = 0.1
        got = mean_interval(values, method=method, rng=0, columns=["one", "two", "three"])
        nothing = [got.low[1], got.high[1], got.standard_error[1]]
        assert np.isnan(nothing).all()
        assert np.isfinite([got.low[[0, 2]], got.high[[0, 2]]]).all()
        assert "all prompts have the same value at two, which" in got.message

    def test_rounding_is_no_spread(self, method):
        values = np.full((9, 1), 0.1 + 0.2)
        values[::2] = 0.3
        assert np.isnan(mean_interval(values, method=method).low).all()

    def test_strata_that_agree_inside(self, method):
        values = np.repeat([[1.0], [2.0]], 5, axis=0)
        got = mean_interval(values, [0] * 5 + [1] * 5, method=method)
        assert np.isnan(got.low).all()
        assert "all prompts of a stratum have the same value" in got.message

    def test_one_prompt(self, method):
        got = mean_interval(VALUES[:1], method=method)
        assert np.isnan([got.low, got.high, got.standard_error]).all()
        assert got.message == "one prompt has no interval: use more prompts"

    @pytest.mark.parametrize("prompts", [2, 4])
    def test_few_prompts(self, method, prompts):
        got = mean_interval(VALUES[:prompts], method=method)
        np.testing.assert_allclose(
            got.standard_error, VALUES[:prompts].std(0, ddof=1) / np.sqrt(prompts)
        )
        assert np.isfinite(got.low).all() == (method == "jackknife")
        assert (f"{prompts} prompts are too few to resample" in got.message) == (
            method in BOOTSTRAPS
        )

    def test_five_prompts(self, method):
        assert np.isfinite(limits(VALUES[:5], method=method)).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("ones", [1, 3, 47, 49])
def test_most_prompts_agree(ones):
    """A share of resamples without spread: BCa instead, and inside the bounds."""
    values = (np.arange(50) < ones).astype(float)[:, None]
    got = limits(values, bounds=(0, 1))
    np.testing.assert_array_equal(got, limits(values, method="bca", bounds=(0, 1)))
    assert 0 <= got[0] < ones / 50 < got[1] <= 1
    exact = stats.binomtest(ones, 50).proportion_ci(method="wilson")
    np.testing.assert_allclose(got[:, 0], [exact.low, exact.high], atol=0.05)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_outlier_at_a_high_level(sign):
    """The acceleration of BCa exceeds its range: the limits stay in order, around the mean."""
    values = sign * np.array([0.0, 0.01, 0.02, 0.03, 0.04, 9.0])[:, None]
    low, high = limits(values, method="bca", confidence_level=0.9995, resamples=4000)
    assert low < values.mean() < high
    assert (high if sign > 0 else -low) > 6  # near the outlier: what a resample of it alone gives


def test_bounds():
    values = np.random.default_rng(0).beta(0.3, 0.05, size=(12, 2))
    free, cut = limits(values), limits(values, bounds=(0, [1, 0.9]))
    assert (free[1] > [1, 0.9]).all()
    np.testing.assert_array_equal(cut, np.clip(free, 0, [1, 0.9]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "BCa"}, "method='BCa' is not known: use one of studentised, bca"),
        ({"confidence_level": 95}, "confidence_level=95 must be between 0 and 1"),
        ({"confidence_level": 1.0}, r"confidence_level=1.0 must be between 0 and 1"),
        ({"resamples": 30}, "resamples=30 cannot show a 0.95 interval: use at least 40"),
        ({"confidence_level": 0.999}, "use at least 2000"),
        ({"batch": 0}, "batch=0 must be at least 1"),
        ({"strata": [1, 2]}, r"strata of shape \(2,\) must be \(20,\)"),
    ],
)
def test_bad_arguments(options, message):
    options = {"resamples": 1000, **options}
    with pytest.raises(ValueError, match=message):
        mean_interval(VALUES, **options)


@pytest.mark.parametrize("method", METHODS)
def test_tiny_values_have_the_interval_of_large_ones(method):
    """A chance of 1e-90 that all of many succeed: its fourth power is no float."""
    values = np.random.default_rng(0).random((20, 1))
    one = mean_interval(values, method=method, rng=0)
    tiny = mean_interval(values * 2.0**-300, method=method, rng=0)
    for name in ("low", "high", "standard_error"):
        np.testing.assert_array_equal(getattr(tiny, name), getattr(one, name) * 2.0**-300)
