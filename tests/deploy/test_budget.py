"""Budgets: the price that meets them, and batches shared out by what the next responses add."""

from dataclasses import replace

import numpy as np
import pytest

from bontea import BonteaError
from bontea.deploy import (
    Stream,
    allocate,
    expected_gain,
    first_price,
    fit_prior,
    learn_prior,
    seen,
)
from bontea.deploy.walk import walk


def prompts(rng, count, spread=0.5):
    """Mean and scale of prompts."""
    return rng.normal(size=count), np.exp(spread * rng.normal(size=count))


def run(stream, rng, count):
    """A stream of normal prompts: responses drawn and best reward of each, and their scales."""
    drawn, best = [], []
    means, scales = prompts(rng, count)
    for mean, scale in zip(means, scales, strict=True):
        rewards = []
        while more := stream.decide(rewards).draw:
            rewards.extend(mean + scale * rng.normal(size=more))
        stream.finish(rewards)
        drawn.append(len(rewards))
        best.append(max(rewards))
    return np.array(drawn), np.array(best), scales


@pytest.mark.parametrize("known", [True, False])
def test_a_stream_meets_its_budget(known):
    rng = np.random.default_rng(0)
    prior = None
    if known:
        mean, scale = prompts(rng, 200)
        prior = fit_prior(mean[:, None] + scale[:, None] * rng.normal(size=(200, 32)))
    stream = Stream(24, prior, min_n=4, wave=4)
    drawn, _, _ = run(stream, rng, 240)
    assert drawn.mean() == pytest.approx(24, rel=0.1)
    assert drawn[120:].mean() == pytest.approx(24, rel=0.25)
    assert drawn.max() <= 8 * 24


def test_a_stream_takes_fixed_n_until_it_has_learnt():
    stream = Stream(12)
    assert stream.decide([]).draw == 12
    assert stream.decide([0.1] * 12).draw == 0
    rng = np.random.default_rng(1)
    for _ in range(8):
        stream.finish(rng.normal(size=12))
    assert stream.prior is not None
    assert stream.price > 0
    assert stream.decide([]).draw == 4  # min_n


def test_a_stream_without_any_reward_goes_on():
    stream = Stream(4)
    for _ in range(20):
        stream.finish([None] * 4)
    assert stream.prior is None
    assert stream.decide([]).draw == 4


@pytest.mark.parametrize("n", [4, 64, 1000])
def test_the_first_price_draws_about_n(n):
    """With the law known; a rule that learns it draws somewhat more or less."""
    rng = np.random.default_rng(2)
    prior = fit_prior(rng.normal(size=(400, 64)))  # prompts that hardly differ
    rewards = rng.normal(size=(150, 8 * n))
    drawn, _ = walk(prior, rewards).outcome(first_price(prior, n))
    assert 0.5 * n < drawn.mean() < 2 * n


def test_the_first_price_of_a_billion():
    prior = fit_prior(np.random.default_rng(3).normal(size=(50, 16)))
    low, high = first_price(prior, 10**9), first_price(prior, 10**6)
    assert 0 < low < high < 1e-4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"n": 2}, "n=2 responses a prompt must lie between min_n=4 and max_n=16"),
        ({"n": float("nan")}, "n=nan"),
        ({"n": 16, "min_n": 0}, "min_n=0"),
    ],
)
def test_streams_that_cannot_be(arguments, said):
    with pytest.raises(BonteaError, match=said):
        Stream(**arguments)


def test_the_next_responses_go_where_they_add_most():
    """Against the greedy choice with the gain of every count computed anew."""
    rng = np.random.default_rng(4)
    prior = fit_prior(rng.normal(size=(60, 1)) + rng.normal(size=(60, 32)))
    rewards = [rng.normal(scale=s, size=6) for s in (0.5, 1.0, 2.0)]
    total = 12
    best, most = None, -np.inf
    for a in range(total + 1):
        for b in range(total + 1 - a):
            share = (a, b, total - a - b)
            worth = sum(
                float(expected_gain(prior, seen(r), w)) if w else 0.0
                for r, w in zip(rewards, share, strict=True)
            )
            if worth > most:
                best, most = share, worth
    assert allocate(prior, rewards, total).tolist() == list(best)


def test_allocation_in_waves_beats_the_same_for_all():
    rng = np.random.default_rng(5)
    mean, scale = prompts(rng, 300)
    draw = mean[:, None] + scale[:, None] * rng.normal(size=(300, 400))
    prior = fit_prior(draw[:100, :32])
    rows = list(range(100, 300))
    have = dict.fromkeys(rows, 8)
    for _ in range(4):
        more = allocate(prior, [draw[p, : have[p]] for p in rows], 200 * 6, wave=6, max_n=400)
        assert more.sum() == 1200
        for p, w in zip(rows, more.tolist(), strict=True):
            have[p] += w
    ours = np.mean([draw[p, : have[p]].max() for p in rows])
    same = draw[rows, :32].max(1).mean()
    more = draw[rows, :35].max(1).mean()
    assert sum(have.values()) == 200 * 32
    assert ours > more > same


def ceilings(rng, count, m):
    """Every prompt ends at a point of its own, which mean and variance miss."""
    scale = np.exp(0.25 * rng.normal(size=(count, 1)))
    return rng.normal(size=(count, 1)) + scale * rng.random((count, m))


def test_without_trust_all_prompts_get_the_same():
    rng = np.random.default_rng(8)
    prior = learn_prior(ceilings(rng, 150, 64), rng=0)
    assert prior.trust == 0
    rewards = ceilings(rng, 30, 12)
    rows = [row[: 4 + i % 9] for i, row in enumerate(rewards)]
    counts = allocate(prior, rows, sum(16 - len(row) for row in rows))
    assert (counts + [len(row) for row in rows]).tolist() == [16] * 30


def test_half_a_trust_gives_shares_between():
    rng = np.random.default_rng(9)
    prior = fit_prior(np.exp(rng.normal(size=(60, 1))) * rng.normal(size=(60, 32)))
    rewards = [s * np.linspace(-1, 1, 8) for s in (0.4, 1.0, 2.0)]
    none, half, whole = (
        allocate(replace(prior, trust=t), rewards, 30).tolist() for t in (0.0, 0.5, 1.0)
    )
    assert none == [10, 10, 10]
    assert whole[2] > half[2] > 10  # its own rewards differ widely


def test_a_prompt_at_the_ceiling_gets_nothing_whatever_the_trust():
    prior = fit_prior(np.random.default_rng(10).integers(0, 4, size=(40, 16)))
    assert prior.ceiling == 3
    for trust in (0.0, 0.5, 1.0):
        given = allocate(replace(prior, trust=trust), [[3.0, 0.0], [1.0, 0.0]], 6)
        assert given.tolist() == [0, 6]


def test_allocation_at_the_edges():
    prior = fit_prior(np.random.default_rng(6).normal(size=(20, 16)))
    assert allocate(prior, [[0.1, 0.2], []], 1).tolist() == [0, 1]  # no answer yet: first
    assert allocate(prior, [[0.1] * 4, [None] * 4], 8, max_n=6).tolist() == [2, 2]
    assert allocate(prior, [[0.1]], 0).tolist() == [0]
    solved = fit_prior([[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    assert allocate(solved, [[1.0, 0.0], [0.0, 0.0]], 4).tolist() == [0, 4]
    with pytest.raises(BonteaError, match="responses=-1"):
        allocate(prior, [[0.1]], -1)


def test_prompts_with_longer_tails_get_more():
    rng = np.random.default_rng(7)
    mean, scale = prompts(rng, 500)
    rewards = mean[:, None] + scale[:, None] * rng.normal(size=(500, 200))
    drawn, _ = walk(fit_prior(rewards[:200, :32]), rewards[200:], min_n=4).outcome(0.03)
    wide = scale[200:] > np.median(scale[200:])
    assert drawn[wide].mean() > 1.15 * drawn[~wide].mean()
