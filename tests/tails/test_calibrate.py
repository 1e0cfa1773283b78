"""The tail shape from a pilot: unbiased over pilots, with honest errors, whatever the prompts."""

import numpy as np
import pytest
from tests.statistics import assert_mean

from bontea import calibrate_tail
from bontea.tails import get_tail
from bontea.tails.calibrate import contrasts
from bontea.tails.order_statistics import expected_scores


def pilot(rng, tail, prompts, m):
    """Prompts of different location and scale, the tail above the median, an atom below."""
    x = rng.standard_normal((prompts, m))
    z = np.where(x > 0, get_tail(tail).value(np.maximum(x, 0)), -1.0)
    return rng.normal(size=(prompts, 1)) + rng.uniform(0.5, 3, (prompts, 1)) * z


@pytest.mark.parametrize("tail", ["lognormal(-0.2)", "lognormal(0.1)", "gp(-0.2)"])
def test_estimate_and_its_error(tail):
    """60 pilots: the mean is the truth, and the stated errors are the spread that is seen."""
    family, truth = tail.partition("(")[0], float(tail.partition("(")[2][:-1])
    rng = np.random.default_rng(0)
    shapes = [calibrate_tail(pilot(rng, tail, 400, 32), family=family) for _ in range(60)]
    estimates = np.array([shape.parameter for shape in shapes])
    assert_mean(estimates, truth, 0.06)
    stated = np.mean([shape.standard_error for shape in shapes])
    assert 0.75 < stated / estimates.std(ddof=1) < 1.33


def test_contrasts():
    for m, k in ((9, 3), (16, 4), (64, 32)):
        spread, bend = contrasts(m, k)
        score = expected_scores(m)[::-1][:k]
        np.testing.assert_allclose([spread.sum(), bend.sum(), bend @ score], 0, atol=1e-12)
        assert bend[0] > 0  # a heavy tail lifts the best above the line
        assert bend[-1] > 0


def test_ragged_and_shifted():
    """Every prompt has its own size; location and scale of a prompt change nothing but weights."""
    rng = np.random.default_rng(1)
    rewards = pilot(rng, "lognormal(-0.3)", 3000, 32)
    rewards[::2, 20:] = np.nan
    rewards[::5, 5:] = np.nan  # too small: left out
    shape = calibrate_tail(rewards)
    assert shape.prompts == 2400
    assert abs(shape.parameter + 0.3) < 4 * shape.standard_error < 0.2
    moved = calibrate_tail(rewards * 2.0**40 + 2.0**40)
    assert moved.parameter == pytest.approx(shape.parameter, abs=1e-3)


def test_it_speaks():
    rng = np.random.default_rng(1)
    normal = calibrate_tail(rng.normal(size=(200, 16)))
    assert "use tail='normal'" in str(normal)
    bent = calibrate_tail(pilot(rng, "lognormal(-0.3)", 2000, 32))
    assert str(bent).endswith(f"use tail='{bent.tail}'")
    assert get_tail(bent.tail).name == bent.tail
    capped = calibrate_tail(np.minimum(rng.normal(size=(400, 16)), 0.8), alpha=0.5)
    assert capped.limited
    assert str(capped).endswith("use max_at_k")


@pytest.mark.parametrize(
    ("rewards", "words"),
    [
        (np.zeros((9, 16)), "at least 2 prompts whose tail rewards differ, got 0"),
        (np.arange(16.0)[None], "at least 2 prompts whose tail rewards differ, got 1"),
        (np.arange(12.0).reshape(4, 3), "use at least 9 rollouts"),
        (np.full((3, 16), np.inf), "infinite reward"),
    ],
)
def test_bad_pilots(rewards, words):
    with pytest.raises(ValueError, match=words):
        calibrate_tail(rewards)


def test_bad_family():
    with pytest.raises(ValueError, match="family='normal' must be one of 'gp', 'lognormal'"):
        calibrate_tail(np.zeros((2, 16)), family="normal")
