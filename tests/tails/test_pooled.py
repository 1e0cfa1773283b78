"""Pooled tails: unbiased where the tail is right, better than alone, honest about their errors."""

import numpy as np
import pytest
from tests.statistics import assert_mean

from bontea import GroupTooSmallError, expected_max, fit_tail
from bontea.tails import get_tail
from bontea.tails.order_statistics import best_scores, expected_scores
from bontea.tails.pooled import best_normals, fit_pooled, line_covariance


def prompts(rng, count, m, tail="normal", spread=0.25):
    """Rewards, locations and scales of prompts that share a tail."""
    location, scale = rng.normal(size=count), np.exp(spread * rng.normal(size=count))
    z = get_tail(tail).value(rng.standard_normal((count, m)))
    return location[:, None] + scale[:, None] * z, location, scale


@pytest.mark.parametrize("tail", ["normal", "lognormal(-0.2)", "lognormal(0.2)"])
@pytest.mark.parametrize("m", [16, 64])
def test_mean_and_stated_errors(tail, m):
    """400 prompts, 20 times: the mean is near the truth, and errors have the stated size."""
    rng, n = np.random.default_rng(m), 256
    errors, stated = [], []
    for _ in range(20):
        rewards, location, scale = prompts(rng, 400, m, tail)
        fit = fit_pooled(rewards, tail=tail)  # the tail known
        errors.append(fit.predict(n) - location - scale * expected_max(n, tail))
        stated.append(fit.variance(n))
    errors, stated = np.concatenate(errors), np.concatenate(stated)
    assert_mean(errors, 0.0, 0.06)
    assert 0.93 < np.sqrt((errors**2 / stated).mean()) < 1.08


@pytest.mark.parametrize("tail", ["normal", "lognormal(-0.2)", "lognormal(0.3)"])
def test_shared_shape_is_found(tail):
    rng = np.random.default_rng(1)
    truth = 0.0 if tail == "normal" else float(tail.partition("(")[2][:-1])
    rewards, _, _ = prompts(rng, 2000, 32, tail)
    shape = fit_pooled(rewards).shape
    assert shape.kept > 0.9
    assert abs(shape.value - truth) < 5 * shape.standard_error < 0.25


def test_pooling_beats_each_prompt_alone():
    rng = np.random.default_rng(2)
    rewards, location, scale = prompts(rng, 500, 16)
    truth = location + scale * expected_max(128)
    alone = fit_tail(rewards, alpha=0.5).predict(128) - truth
    pooled = fit_pooled(rewards, alpha=0.5, tail="normal").predict(128) - truth
    assert (pooled**2).mean() < 0.6 * (alone**2).mean()
    # The mean over prompts is that of the lines.
    assert abs((pooled - alone).mean()) < 0.02


def test_scales_that_differ_are_left_apart():
    """With large groups and very different scales there is little to gain, and nothing is lost."""
    rng = np.random.default_rng(3)
    rewards, _, _ = prompts(rng, 100, 512, spread=1.0)
    fit, alone = fit_pooled(rewards, alpha=0.25, tail="normal"), fit_tail(rewards, alpha=0.25)
    np.testing.assert_allclose(fit.scale, alone.scale, atol=0.03 * alone.scale.mean(), rtol=0.02)


def test_one_prompt_is_its_own_line():
    rewards = np.random.default_rng(4).normal(size=(1, 32))
    fit = fit_pooled(rewards, alpha=0.5)
    assert fit.tail == "normal"
    assert fit.shape.kept == 0
    np.testing.assert_allclose(fit.predict(100), fit_tail(rewards, alpha=0.5).predict(100))
    assert np.isfinite(fit.variance(100)).all()


def test_ragged_constant_and_small_groups():
    rng = np.random.default_rng(5)
    table = rng.normal(size=(6, 20))
    table[0, 12:] = np.nan  # smaller
    table[1] = 3.0  # constant
    table[2, 1:] = np.nan  # too small
    fit = fit_pooled(table, alpha=0.5)
    value = fit.predict(64)
    assert value[1] == pytest.approx(3.0, abs=1e-12)
    assert fit.variance(64)[1] == 0
    assert np.isnan(value[2])
    assert np.isfinite(np.delete(value, 2)).all()


def test_shift_and_scale():
    rng = np.random.default_rng(6)
    rewards, _, _ = prompts(rng, 50, 16)
    base, moved = fit_pooled(rewards), fit_pooled(7 + 3 * rewards)
    np.testing.assert_allclose(moved.predict(99), 7 + 3 * base.predict(99), rtol=1e-9)
    np.testing.assert_allclose(moved.variance(99), 9 * base.variance(99), rtol=1e-9)


def test_too_small():
    with pytest.raises(GroupTooSmallError, match="at least"):
        fit_pooled(np.zeros((3, 4)), alpha=0.25)


@pytest.mark.parametrize(("m", "alpha"), [(16, 0.5), (64, 0.25)])
def test_line_covariance_is_that_of_whole_groups(m, alpha):
    z = np.random.default_rng(7).standard_normal((100_000, m))
    fit = fit_tail(z, alpha=alpha)
    seen = np.cov(np.stack([fit.location, fit.scale]))
    np.testing.assert_allclose(line_covariance(m, alpha), seen, rtol=0.06)


def test_best_normals_have_the_expected_scores():
    best = best_normals(np.random.default_rng(8), 100_000, 40, 5)
    error = best.std(0) / np.sqrt(len(best))
    assert (abs(best.mean(0) - expected_scores(40)[::-1][:5]) < 5 * error).all()
    assert error.max() < 0.002


def test_best_scores_of_a_large_group():
    m = 600  # not taken from the table of all ranks
    np.testing.assert_allclose(best_scores(m, 7), expected_scores(m)[::-1][:7], rtol=1e-9)
