"""Where a curve peaks, and how sure that is."""

import numpy as np
import pytest

from bontea.curves.peak import find_peak

KS = [1, 2, 4, 8, 16]
RNG = np.random.default_rng(0)


def curves(shape, prompts=40, noise=0.3, seed=0):
    """Curves of prompts: a level, the shape, and differences that grow with k."""
    rng = np.random.default_rng(seed)
    slope = noise * rng.normal(size=(prompts, 1)) * np.arange(len(KS))
    return rng.normal(size=(prompts, 1)) + np.asarray(shape, dtype=float) + slope


@pytest.mark.parametrize(
    ("shape", "verdict", "k", "deploy"),
    [
        ([0, 1, 2, 1, 0], "peaks", 4, 4),
        ([0, 1, 2, 3, 4], "rises", 16, 16),
        ([4, 3, 2, 1, 0], "falls", 1, 1),
        ([0, 0, 0, 0, 0], "undecided", None, None),
    ],
)
def test_verdicts(shape, verdict, k, deploy):
    got = find_peak(curves(shape), KS, rng=0, name="judge")
    assert (got.verdict, got.deploy) == (verdict, deploy)
    if k is not None:
        assert got.low <= k <= got.high
        assert got.k == k
        assert f"deploy N = {k}" in got.message
    else:
        assert "beyond chance" in got.message
    assert (got.p_fall < 0.05) == (verdict in ("peaks", "falls"))
    assert (got.p_rise < 0.05) == (verdict in ("peaks", "rises"))


def test_a_flat_top_is_all_in_the_interval():
    got = find_peak(curves([0, 2, 2, 2, 0], noise=0.2), KS, rng=0)
    assert got.low <= 2
    assert got.high >= 8
    assert not got.not_ruled_out[0]
    assert not got.not_ruled_out[-1]


def test_two_curves_one_against_the_other_is_a_one_sided_test():
    """With two k the lead is one difference, and p is near that of Student's t."""
    from scipy.stats import ttest_rel

    values = curves([0, 0.12, 0, 0, 0])[:, :2]
    got = find_peak(values, [1, 2], rng=0, resamples=20_000)
    want = ttest_rel(values[:, 1], values[:, 0], alternative="greater").pvalue
    assert 0.002 < want < 0.05
    assert got.p_rise == pytest.approx(want, rel=0.3)


def test_it_holds_the_true_peak_as_often_as_it_says():
    """200 samples: 95 % less 4 standard errors of 1.5 %, a false-fail rate below 1e-4; and not
    by being endless."""
    held = wide = 0
    for seed in range(200):
        values = curves([0, 1, 1.1, 1, 0], prompts=15, noise=0.6, seed=seed)
        got = find_peak(values, KS, resamples=400, rng=seed)
        held += got.low <= 4 <= got.high
        wide += got.low == 1 and got.high == 16
    assert held >= 178
    assert wide < 150


def test_strata_take_out_what_they_explain():
    kind = np.repeat([0, 1], 20)
    values = curves([0, 0.5, 0.6, 0.5, 0.3], noise=0.02) + np.outer(kind - 0.5, np.arange(5) * 2)
    assert find_peak(values, KS, rng=0).high == 16
    assert find_peak(values, KS, kind, rng=0).verdict == "peaks"


def test_the_same_seed_repeats_and_batches_change_nothing():
    values = curves([0, 0.1, 0.2, 0.1, 0])
    first = find_peak(values, KS, rng=1)
    assert find_peak(values, KS, rng=1, batch=7).p_fall == pytest.approx(first.p_fall)
    assert find_peak(values, KS, rng=2).p_fall != first.p_fall


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (curves([0, 1, 2, 1, 0], prompts=4), "4 prompts cannot tell"),
        (np.full((9, 5), 3.0), "does not depend on k"),
        (np.arange(9.0)[:, None] * np.ones(5), "does not depend on k"),
    ],
)
def test_nothing_can_be_told(values, says):
    got = find_peak(values, KS, rng=0)
    assert says in got.message
    assert (got.verdict, got.low, got.high) == ("undecided", 1, 16)
    assert np.isnan(got.p_fall)


def test_prompts_that_agree_on_a_difference_say_nothing_of_its_spread():
    values = RNG.normal(size=(10, 1)) + np.array([0.0, 1.0, 0.5, 0.2, 0.1])
    got = find_peak(values, KS, rng=0)
    assert got.verdict == "undecided"
    assert got.k == 2
