"""The tail line: unbiased where it says so, fair as a check, and clear when it cannot help."""

import numpy as np
import pytest
from scipy import stats
from tests.libraries import back, is_a, make
from tests.statistics import assert_mean

from bontea import (
    GroupTooSmallError,
    best_of_k,
    check_tail,
    expected_max,
    fit_tail,
    predict_best_of_n,
)
from bontea.tails import expected_scores, get_tail
from bontea.tails.fit import line_weights


def exponential_body(z):
    """Normal above its median, exponential below: the tail model holds, normality does not."""
    return np.where(z > 0, z, stats.expon.isf(np.clip(stats.norm.sf(-z) * 2, 1e-300, 1)) * -3)


def slow_prediction(rewards, n, k):
    """`polyfit` of the k best rewards on the normal scores, at c_N."""
    scores = expected_scores(len(rewards))[-k:]
    slope, intercept = np.polyfit(scores, np.sort(rewards)[-k:], 1)
    return intercept + slope * expected_max(n)


@pytest.mark.parametrize(
    ("m", "alpha", "k"), [(16, 0.25, 4), (9, 0.25, 3), (20, 0.5, 10), (5, 1, 5)]
)
def test_is_the_least_squares_line(m, alpha, k):
    rewards = np.random.default_rng(0).normal(size=(6, m)) * 3 + 10
    expected = [slow_prediction(row, 128, k) for row in rewards]
    np.testing.assert_allclose(predict_best_of_n(rewards, 128, alpha=alpha), expected, rtol=1e-10)


@pytest.mark.parametrize("body", ["normal", "exponential below"])
def test_prediction_is_unbiased(body):
    """V_128 of normal tails from 16 rollouts. False-fail rate 5.7e-7 a case."""
    z = np.random.default_rng(0).standard_normal((400_000, 16))
    rewards = z if body == "normal" else exponential_body(z)
    # The body matters only when the best of 128 is below the median: 2^-128.
    assert_mean(predict_best_of_n(rewards, 128), expected_max(128), 0.01)


def test_prediction_needs_a_normal_tail():
    """The test above can fail: an exponential tail is off by far more than its error."""
    rewards = np.random.default_rng(0).exponential(size=(20_000, 16))
    truth = (1 / np.arange(1, 129)).sum()
    assert abs(predict_best_of_n(rewards, 128).mean() - truth) > 0.5


def test_prediction_at_n_1_and_real_n():
    rewards = np.random.default_rng(0).normal(size=(3, 16))
    low, high = (predict_best_of_n(rewards, n) for n in (1, 2.5))
    assert (low < high).all()


def test_shift_scale_constant_and_shapes():
    rewards = np.random.default_rng(0).normal(size=(2, 3, 16))
    got = predict_best_of_n(rewards, 512)
    assert got.shape == (2, 3)
    np.testing.assert_allclose(predict_best_of_n(rewards * 4 + 7, 512), got * 4 + 7)
    assert np.array_equal(predict_best_of_n(np.full((2, 16), 0.1), 512), [0.1, 0.1])
    assert predict_best_of_n(rewards[0, 0], 512).shape == ()


def test_nan_and_small_groups():
    rewards = np.random.default_rng(0).normal(size=(3, 20))
    rewards[0, ::5] = np.nan
    rewards[1, 4:] = np.nan
    got = predict_best_of_n(rewards, 128)
    assert got[0] == pytest.approx(
        predict_best_of_n(rewards[0][~np.isnan(rewards[0])][None], 128)[0]
    )
    assert np.isnan(got[1])
    assert np.isfinite(got[2])
    with pytest.raises(GroupTooSmallError, match="at least 9 rollouts"):
        predict_best_of_n(rewards[1:2], 128)


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_other_libraries(library):
    rewards = np.random.default_rng(0).normal(size=(3, 16))
    got = predict_best_of_n(make(library, rewards, "float32"), 128)
    assert is_a(library, got)
    np.testing.assert_allclose(back(got), predict_best_of_n(rewards, 128), rtol=1e-5)


def test_unknown_tail():
    with pytest.raises(ValueError, match=r"tail='pareto' is not known"):
        predict_best_of_n(np.zeros((2, 16)), 128, tail="pareto")


def test_line_weights():
    """They reproduce a line exactly, at any point."""
    z = expected_scores(16)[::-1]
    for top in (range(4), range(1, 4), range(16)):
        weights = line_weights(16, top, 2.5)
        assert weights @ (3 - 2 * z[list(top)]) == pytest.approx(3 - 2 * 2.5)


@pytest.mark.parametrize("body", ["normal", "exponential below"])
def test_check_is_fair_under_a_normal_tail(body):
    """Over repeats at M = 16, z has mean 0 and standard deviation 1.

    z is a t statistic of 200 groups with skewed terms: its mean is within 0.1 of 0 and its variance
    within 0.12 of 1. False-fail rate 1.1e-6 a case, on top of those margins.
    """
    rng = np.random.default_rng(0)
    z = []
    for _ in range(3000):
        rewards = rng.standard_normal((200, 16))
        if body != "normal":
            rewards = exponential_body(rewards)
        z.append(check_tail(rewards).z)
    z = np.array(z)
    assert abs(z.mean()) < 0.1 + 5 * z.std() / np.sqrt(len(z))
    assert abs(z.var() - 1) < 0.12 + 5 * np.sqrt(2 / len(z))
    assert 0.02 < np.mean(np.abs(z) > 2) < 0.08


def test_check_mean_difference_is_zero():
    """seen - predicted has mean 0 at every M: the exact statement. False-fail rate 5.7e-7."""
    for m in (9, 16, 64):
        rewards = np.random.default_rng(m).standard_normal((60_000, m))
        checks = [check_tail(part) for part in np.array_split(rewards, 300)]
        assert_mean([c.seen - c.predicted for c in checks], 0.0, 0.05)
        assert_mean([c.seen for c in checks], expected_max(m), 0.05)


@pytest.mark.parametrize(
    ("law", "sign"),
    [
        (lambda z: np.minimum(z, 0.8), -1),  # a ceiling
        (lambda z: stats.norm.cdf(z), -1),  # bounded
        (lambda z: np.where(z > 0, np.expm1(z), z), 1),  # log-normal tail
    ],
    ids=["clipped", "uniform", "log-normal"],
)
def test_check_sees_other_tails(law, sign):
    check = check_tail(law(np.random.default_rng(0).standard_normal((800, 16))))
    assert check.verdict == "fails"
    assert np.sign(check.z) == sign
    assert "use max_at_k" in str(check)


def test_check_leaves_out_what_it_cannot_use():
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(50, 16))
    expected = check_tail(rewards)
    more = np.concatenate([rewards, np.full((3, 16), 0.5), np.full((2, 16), np.nan)])
    more[-1, :4] = 1.0, 2.0, 3.0, 4.0  # too small
    assert check_tail(more) == expected
    assert expected.groups == 50


def test_check_without_an_answer():
    for rewards in (np.ones((5, 16)), np.random.default_rng(0).normal(size=(1, 16))):
        check = check_tail(rewards)
        assert check.verdict == "unknown"
        assert "use more prompts" in str(check)
    with pytest.raises(GroupTooSmallError):
        check_tail(np.zeros((5, 8)))


def test_verdict_bands():
    from bontea.tails import TailCheck

    for z, verdict in [(1.9, "holds"), (-2.1, "doubtful"), (3.9, "doubtful"), (-4.1, "fails")]:
        assert TailCheck(0.0, 0.0, z, 9).verdict == verdict
    assert TailCheck(0.0, 0.0, float("nan"), 9).verdict == "unknown"


def test_prediction_agrees_with_the_sample():
    """Inside the sample, both estimate the same number."""
    rewards = np.random.default_rng(0).normal(size=(4000, 64))
    gap = predict_best_of_n(rewards, 64) - best_of_k(rewards, 64)
    assert_mean(gap, 0.0, 0.05)


@pytest.mark.parametrize("tail", ["exponential", "gp(-0.2)", "lognormal(0.2)"])
def test_other_tails_are_unbiased_too(tail):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100000, 16))
    z = np.where(x > -0.7, get_tail(tail).value(np.maximum(x, -0.7)), -3.0)  # 3/4 of the mass
    assert_mean(predict_best_of_n(5 + 2 * z, 128, tail=tail), 5 + 2 * expected_max(128, tail), 0.1)
    assert check_tail(z, tail=tail).verdict == "holds"
    assert check_tail(z, tail="normal").verdict == "fails"


def test_fit_tail_is_the_line_behind_the_prediction():
    rewards = np.random.default_rng(0).normal(size=(3, 5, 16)) * 3 + 10
    for tail in ("normal", "gp(-0.1)"):
        fit = fit_tail(rewards, alpha=0.5, tail=tail)
        assert fit.location.shape == fit.scale.shape == (3, 5)
        for n in (1, 128, 1e6):
            expected = predict_best_of_n(rewards, n, alpha=0.5, tail=tail)
            np.testing.assert_allclose(fit.predict(n), expected, rtol=1e-10)
        assert fit.check == check_tail(rewards, alpha=0.5, tail=tail)


def test_fit_tail_speaks():
    rng = np.random.default_rng(0)
    good = str(fit_tail(rng.normal(size=(400, 16))))
    assert "400 of 400 prompts" in good
    assert good.endswith("consistent with the best rewards seen")
    bad = fit_tail(np.minimum(rng.normal(size=(400, 16)), 0.8))
    assert str(bad).endswith("do not extrapolate; use max_at_k")
    ragged = rng.normal(size=(4, 16))
    ragged[0, 3:] = np.nan
    assert "3 of 4 prompts" in str(fit_tail(ragged))
    with pytest.raises(GroupTooSmallError, match="at least 9 rollouts"):
        fit_tail(rng.normal(size=(4, 8)))
