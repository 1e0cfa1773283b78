"""Extrapolation: nominal coverage where the model is right, a refusal where nothing is known."""

import numpy as np
import pytest
from tests.statistics import assert_mean

from bontea.curves.extrapolation import extrapolate
from bontea.tails import expected_max, expected_pass_at_n, get_tail


def test_coverage_of_the_mean_and_of_prompts():
    """Prompts of a population with known mean V_N: 95 % intervals hold it, means and prompts."""
    rng, n, held, prompts = np.random.default_rng(1), 256, [], []
    spread = 0.25
    for _ in range(100):
        location, scale = rng.normal(size=60), np.exp(spread * rng.normal(size=60))
        rewards = location[:, None] + scale[:, None] * rng.normal(size=(60, 16))
        out = extrapolate(rewards, n)
        target = np.exp(spread**2 / 2) * expected_max(n)
        held.append(out.low[0] <= target <= out.high[0])
        truth = location + scale * expected_max(n)
        inside = (out.per_prompt_low[:, 0] <= truth) & (truth <= out.per_prompt_high[:, 0])
        prompts.append(inside.mean())
    assert 0.95 - np.mean(held) < 5 * np.sqrt(0.95 * 0.05 / len(held))
    # More than 95 %: prompts may differ in their bend, and here they do not.
    assert 0.95 < np.mean(prompts) < 0.99


@pytest.mark.parametrize("tail", ["lognormal(-0.25)", "lognormal(0.25)"])
def test_a_bent_tail_is_followed(tail):
    rng, n = np.random.default_rng(1), 512
    error, plain = [], []
    for _ in range(30):
        rewards = get_tail(tail).value(rng.standard_normal((200, 32)))
        error.append(extrapolate(rewards, n).value[0] - expected_max(n, tail))
        normal = extrapolate(rewards, n, tail="normal", alpha=0.25)
        plain.append(normal.value[0] - expected_max(n, tail) if not normal.refused else np.nan)
    assert abs(np.mean(error)) < 0.15 * expected_max(n, tail)
    assert not abs(np.nanmean(plain)) < 2 * abs(np.mean(error))


def test_zero_one_rewards():
    """The mean pass@N of the population is held by the interval; each prompt by its own."""
    rng, n, held, prompts, error = np.random.default_rng(2), 256, [], [], []
    for _ in range(100):
        p = rng.beta(0.3, 2, size=100)
        rewards = (rng.random((100, 16)) < p[:, None]).astype(float)
        out = extrapolate(rewards, n)
        target = expected_pass_at_n(n, 0.3, 2)
        error.append(out.value[0] - target)
        held.append(out.low[0] <= target <= out.high[0])
        truth = -np.expm1(n * np.log1p(-p))
        inside = (out.per_prompt_low[:, 0] <= truth) & (truth <= out.per_prompt_high[:, 0])
        prompts.append(inside.mean())
    assert_mean(np.array(error), 0.0, 0.06)
    assert np.mean(held) > 0.88
    assert np.mean(prompts) > 0.9
    assert "beta-binomial" in out.method


RNG = np.random.default_rng(4)
REFUSED = {
    "an atom at the top": (np.minimum(RNG.normal(size=(50, 16)), 0.5), "atom"),
    "few values": (RNG.integers(1, 11, size=(50, 16)), "discrete"),
    "all equal": (np.ones((5, 8)), "constant"),
    "a ceiling": (RNG.uniform(size=(200, 64)), "no tail fits"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    rewards, word = REFUSED[name]
    out = extrapolate(rewards, [128])
    assert out.refused
    assert word in out.message
    assert np.isnan(out.value).all()
    assert np.isnan(out.per_prompt).all()
    assert str(out).startswith("nothing is predicted")


def test_beyond_all_rewards():
    rewards = RNG.normal(size=(10, 16))
    assert extrapolate(rewards, 10**9).message.startswith(
        "N = 1,000,000,000 is more than 100 times the 160"
    )
    doubtful = extrapolate(rewards, 1000)
    assert doubtful.verdict == "doubtful"
    assert "1,000 exceeds the 160 rewards" in str(doubtful)


def test_one_prompt():
    out = extrapolate(RNG.normal(size=(1, 32)), 64)
    assert out.verdict == "unknown"
    assert np.isfinite(out.value).all()
    assert np.isnan(out.low).all()
    assert np.isfinite(out.per_prompt_low).all()


def test_a_prompt_with_a_spread_among_constant_ones():
    """One prompt says nothing about a shape, and the constant ones predict their value."""
    rewards = np.stack([np.full(16, 1.0), RNG.normal(size=16), np.full(16, 2.0)])
    out = extrapolate(rewards, [64], tail="lognormal")
    assert out.verdict == "unknown"
    np.testing.assert_allclose(out.per_prompt[[0, 2], 0], [1.0, 2.0])
    assert np.isfinite(out.low).all()


def test_ragged_lists_and_missing():
    rewards = [RNG.normal(size=m).tolist() for m in (16, 12, 20, 16)] + [[float("nan")] * 4]
    out = extrapolate(rewards, [64])
    assert out.per_prompt.shape == (4, 1)
    assert np.isfinite(out.value).all()


def test_at():
    out = extrapolate(RNG.normal(size=(20, 16)), [64, 128])
    assert out.at(128)[0] == out.value[1]
    with pytest.raises(ValueError, match="not among"):
        out.at(100)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ns": 0.5}, "n=0.5"),
        ({"ns": []}, "empty"),
        ({"ns": 128, "confidence_level": 1.5}, "between 0 and 1"),
        ({"ns": 128, "tail": "cauchy"}, "not known"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        extrapolate(RNG.normal(size=(10, 16)), **options)
    with pytest.raises(ValueError, match="infinite"):
        extrapolate([[1.0, np.inf, 2.0]], 8)
    with pytest.raises(ValueError, match="single reward"):
        extrapolate([[np.nan, np.nan]], 8)
