"""Stop or draw, one prompt at a time; and the same decisions when many are walked at once."""

import numpy as np
import pytest

from bontea import BonteaError
from bontea.deploy import Rule, fit_prior
from bontea.deploy.walk import decisions, walk

RNG = np.random.default_rng(0)
PILOT = RNG.normal(size=(60, 1)) + RNG.normal(size=(60, 32))
PRIOR = fit_prior(PILOT)


def drawn_by(rule, rewards):
    """Responses that the rule draws of these, one decision at a time."""
    have = 0
    while (more := rule.decide(rewards[:have]).draw) and have < len(rewards):
        have = min(have + more, len(rewards))
    return have


@pytest.mark.parametrize(("min_n", "wave"), [(1, 1), (4, 1), (3, 4), (8, 8)])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_one_at_a_time_is_what_the_walk_does(min_n, wave, missing):
    rng = np.random.default_rng(1)
    rewards = rng.normal(size=(40, 60))
    rewards[rng.random(rewards.shape) < missing] = np.nan
    found = walk(PRIOR, rewards, min_n=min_n, wave=wave)
    for price in (0.2, 0.03):
        rule = Rule(PRIOR, price, min_n=min_n, max_n=60, wave=wave)
        n, best = found.outcome(price)
        assert n.tolist() == [drawn_by(rule, row) for row in rewards]
        assert best == pytest.approx([np.nanmax(r[:k]) for r, k in zip(rewards, n, strict=True)])


def test_reasons():
    rule = Rule(PRIOR, 0.05, min_n=3, max_n=6, wave=2)
    assert (rule.decide([]).draw, rule.decide([]).reason) == (3, "min_n")
    assert rule.decide([0.0, 0.1, 0.2]).reason == "worth it"
    assert rule.decide([0.0, 0.1, 5.0]).reason == "price"
    assert rule.decide([0.0] * 5).draw == 1  # not beyond max_n
    assert (rule.decide([0.0] * 6).draw, rule.decide([0.0] * 6).reason) == (0, "max_n")
    nothing = rule.decide([None, None, float("nan")])
    assert (nothing.draw, nothing.reason) == (2, "nothing scored")
    assert np.isnan(nothing.best)
    assert "stop after 3" in str(rule.decide([0.0, 0.1, 5.0]))


def test_price_0_draws_all_there_may_be_and_a_success_ends_it():
    rule = Rule(PRIOR, 0.0, max_n=12)
    assert drawn_by(rule, RNG.normal(size=40)) == 12
    solved = Rule(fit_prior([[0, 1, 0], [0, 0, 0], [1, 1, 0]]), 0.0, max_n=12)
    assert solved.decide([0.0, 0.0]).draw == 1
    assert solved.decide([0.0, 1.0]).reason == "solved"
    assert solved.decide([0.0] * 12).reason == "max_n"


def test_failures_end_a_prompt_when_success_has_become_unlikely():
    """Stops when (a) / (a + b + failures) <= price."""
    prior = fit_prior((RNG.random((80, 16)) < RNG.beta(0.5, 2, size=(80, 1))).astype(float))
    a, b = prior.success
    rule = Rule(prior, 0.02)
    n = drawn_by(rule, np.zeros(1000))
    assert a / (a + b + n) <= 0.02 < a / (a + b + n - 1)


def test_a_higher_price_never_draws_more():
    rewards = RNG.normal(size=(200, 100))
    found = walk(PRIOR, rewards)
    counts = [found.outcome(price)[0] for price in (0.001, 0.01, 0.1, 1.0)]
    for fewer, more in zip(counts[1:], counts[:-1], strict=True):
        assert np.all(fewer <= more)


def test_a_billion_responses_are_a_number_not_memory():
    rule = Rule(PRIOR, 1e-9, min_n=1, max_n=10**9, wave=10**9)
    assert rule.decide([0.0, 1.0]).draw == 10**9 - 2


def test_decisions_end_at_the_last_response():
    assert decisions(2, 9, 3).tolist() == [2, 5, 8, 9]
    assert decisions(5, 5, 1).tolist() == [5]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"price": -0.1}, "price=-0.1 must be a finite number of at least 0"),
        ({"price": float("nan")}, "price=nan"),
        ({"price": float("inf")}, "price=inf"),
        ({"price": "cheap"}, "price='cheap'"),
        ({"min_n": 0}, "min_n=0 must be a whole number from 1"),
        ({"max_n": 10**9 + 1}, "max_n=1000000001"),
        ({"wave": 1.5}, "wave=1.5"),
        ({"min_n": 9, "max_n": 4}, "min_n=9 exceeds max_n=4"),
    ],
)
def test_what_cannot_be_is_refused(changes, said):
    with pytest.raises(BonteaError, match=said):
        Rule(**({"prior": PRIOR, "price": 0.1} | changes))


@pytest.mark.parametrize(
    ("rewards", "said"),
    [([1.0, float("inf")], "reward 1 is infinite"), ([[1.0]], "list of numbers"), ("x", "numbers")],
)
def test_rewards_that_are_none(rewards, said):
    with pytest.raises(BonteaError, match=said):
        Rule(PRIOR, 0.1).decide(rewards)
