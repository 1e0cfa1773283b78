"""One request: what is drawn, when it ends, what is written down."""

import asyncio
import time

import numpy as np
import pytest
from tests.serve.running import Known

from bontea.deploy import Rule, learn_prior
from bontea.deploy.walk import walk
from bontea.rollouts.judge import Scored
from bontea.serve.errors import ApiError
from bontea.serve.number import Numbers
from bontea.serve.options import read_options
from bontea.serve.reply import details, pick
from bontea.serve.search import Search
from bontea.serve.settings import ServeSettings

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


class Reads:
    """The reward of a response is the number that is its text; "fail" is a reward that failed."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds

    async def score(self, prompt, completion, columns):
        await asyncio.sleep(self.seconds)
        text = completion[0]["content"]
        if "fail" in text:
            return Scored(None, None, "the reward failed")
        return Scored(None, None if text == "null" else float(text))


@pytest.fixture(scope="module")
def prior():
    rng = np.random.default_rng(0)
    scale = np.exp(0.25 * rng.normal(size=(100, 1)))
    return learn_prior(rng.normal(size=(100, 1)) + scale * rng.normal(size=(100, 32)), rng=0)


def search(rewards, settings, *, prior=None, seconds=None, scores=None, audit=False, **own):
    """What came of a request, the upstream, the rows, and the numbers."""
    behind = {"endpoint": "http://127.0.0.1:9/v1", "reward": "none", **settings}
    settings = ServeSettings(**behind).resolved()
    numbers = Numbers(settings, prior)
    upstream, rows = Known(list(rewards), seconds), []
    options = read_options({**CHAT, **own}, {}, settings, chat=True)

    async def run():
        one = Search(
            options,
            request_id="r",
            numbers=numbers,
            upstream=upstream,
            scores=scores or Reads(),
            slots=asyncio.Semaphore(100),
            started=time.monotonic(),
            audit=audit,
            write=rows.extend,
        )
        try:
            return await one.run()
        except ApiError as error:
            return error

    return asyncio.run(run()), upstream, rows, numbers


def test_a_fixed_number():
    found, upstream, rows, _ = search([1, 5, 3, 2], {"n": 4})
    assert found.rewards == [1, 5, 3, 2]
    assert found.why == "fixed_n"
    assert found.ranked[0].number == 1
    assert upstream.begun == [0, 1, 2, 3]
    assert [row["rollout"] for row in rows] == [0, 1, 2, 3]
    assert not any("by_rule" in row for row in rows)


def test_the_first_of_equal_ones_wins():
    found, *_ = search([1, 2, 2, None], {"n": 4})
    assert [d.number for d in found.ranked] == [1, 2, 0, 3]


@pytest.mark.parametrize("wave", [1, 3, 8])
@pytest.mark.parametrize("seed", range(4))
def test_decisions_are_those_of_the_rule_and_of_the_simulation(prior, wave, seed):
    rewards = np.random.default_rng(seed).normal(size=64).round(3)
    settings = {"price": 0.03, "max_n": 40, "min_n": 4, "wave": wave}
    found, _, rows, _ = search(rewards, settings, prior=prior)
    rule, so_far = Rule(prior, 0.03, 4, 40, wave), 0
    while more := rule.decide(rewards[:so_far]).draw:
        so_far += more
    assert len(found.drawn) == so_far
    walked = walk(prior, rewards[None, :40], min_n=4, max_n=40, wave=wave)
    assert walked.outcome(0.03)[0].tolist() == [so_far]
    assert found.why == rule.decide(rewards[:so_far]).reason
    # What the first rewards made the rule ask for is marked, and only that.
    assert [row.get("by_rule", False) for row in rows] == [False] * 4 + [True] * (so_far - 4)
    assert [row["stopped"] for row in rows if "stopped" in row] == [found.why]


def test_a_request_may_change_the_numbers(prior):
    rewards = np.random.default_rng(1).normal(size=64)
    base = {"price": 0.03, "max_n": 40, "wave": 1}
    assert len(search(rewards, base, prior=prior, best_of_n={"n": 5})[0].drawn) <= 5
    cheap = search(rewards, base, prior=prior, best_of_n={"price": 0, "n": 30})[0]
    assert (len(cheap.drawn), cheap.why, cheap.price) == (30, "max_n", 0.0)
    assert len(search(rewards, base, prior=prior, best_of_n={"min_n": 20})[0].drawn) >= 20
    assert len(search(rewards, base, prior=prior, n=12)[0].drawn) >= 12
    assert len(search(rewards, {"n": 4}, best_of_n={"n": 7})[0].drawn) == 7


def test_without_a_prior_the_first_requests_get_a_fixed_number():
    found, *_, numbers = search(range(64), {"budget": 8})
    assert (found.why, len(found.drawn)) == ("learning", 16)  # the rule is tried on 16 or more
    assert len(search(range(64), {"budget": 20})[0].drawn) == 20
    assert len(search(range(64), {"budget": 8, "max_n": 10})[0].drawn) == 10
    for seed in range(8):
        options = read_options(CHAT, {}, numbers.settings, chat=True)
        said = numbers.finish(np.random.default_rng(seed).normal(size=16).tolist(), options)
    assert said.startswith("the rule has learnt from 8 requests")
    assert numbers.prior is not None
    assert numbers.prior.verdict != "unknown"
    assert numbers.price > 0


def test_temperature_0_draws_one(prior):
    found, *_ = search([1, 1], {"budget": 8}, prior=prior, temperature=0)
    assert (len(found.drawn), found.why) == (1, "temperature")


def test_an_audited_request_knows_both(prior):
    rewards = [5.0, 0, 0, 0, *np.random.default_rng(1).normal(size=60)]
    settings = {"price": 0.05, "max_n": 40, "reference_n": 12, "wave": 1}
    found, _, rows, _ = search(rewards, settings, prior=prior, audit=True)
    assert found.rule_n == 4
    assert len(found.drawn) == 12
    assert next(i for i, row in enumerate(rows) if "stopped" in row) == 3
    assert all(row["audit"] == 12 for row in rows)
    assert not any("by_rule" in row for row in rows)  # they are drawn whatever the rewards are


def test_the_best_reward_there_can_be_ends_it():
    settings = {"n": 8, "ceiling": 1.0, "min_n": 2}
    late = dict.fromkeys((3, 4, 5, 6, 7), 30.0)
    found, upstream, rows, _ = search([0, 0, 1, 1, 1, 1, 1, 1], settings, seconds=late)
    assert found.why == "solved"
    assert found.rewards == [0, 0, 1]
    assert sorted(upstream.cancelled) == [3, 4, 5, 6, 7]
    assert found.cancelled == 5
    assert [row.get("by_rule", False) for row in rows] == [False, False, True]


def test_the_first_ones_are_waited_for_before_it_ends():
    settings = {"n": 8, "ceiling": 1.0, "min_n": 2}
    late = {0: 0.2, **dict.fromkeys((3, 4, 5, 6, 7), 30.0)}
    found, _, rows, _ = search([0, 0, 1, 1, 1, 1, 1, 1], settings, seconds=late)
    assert found.rewards == [0, 0, 1]
    assert len([row for row in rows if "by_rule" not in row]) == 2


def test_a_deadline_gives_the_best_so_far():
    late = dict.fromkeys((2, 3), 30.0)
    found, upstream, *_ = search([1, 2, 3, 4], {"n": 4}, seconds=late, best_of_n={"deadline": 0.2})
    assert found.why == "deadline"
    assert found.rewards == [1, 2]
    assert sorted(upstream.cancelled) == [2, 3]


def test_a_deadline_before_any_response():
    error, upstream, *_ = search(
        [1, 2], {"n": 2}, seconds={0: 30, 1: 30}, best_of_n={"deadline": 0.1}
    )
    assert isinstance(error, ApiError)
    assert error.status == 504
    assert sorted(upstream.cancelled) == [0, 1]


def test_a_deadline_before_any_reward():
    found, *_ = search([1, 2], {"n": 2}, scores=Reads(seconds=30), best_of_n={"deadline": 0.2})
    assert found.rewards == [None, None]
    with pytest.raises(ApiError, match="scored before the deadline"):
        pick(found, read_options(CHAT, {}, ServeSettings(), chat=True), failure="error")


def test_a_request_that_is_refused_is_not_made_again():
    error, upstream, *_ = search([ApiError(400, "too long")] * 9, {"n": 4})
    assert isinstance(error, ApiError)
    assert (error.status, str(error)) == (400, "too long")
    assert len(upstream.begun) == 4


def test_some_that_fail_are_not_missed():
    down = ApiError(502, "down")
    found, *_ = search([1, down, 3, down, 5, down, 7], {"n": 4})
    assert found.rewards == [1, 3, 5, 7]  # others are drawn in their place
    assert found.failed == 3


def test_a_server_that_is_gone():
    error, upstream, *_ = search([ApiError(502, "down")] * 40, {"n": 4})
    assert isinstance(error, ApiError)
    assert error.status == 502
    assert len(upstream.begun) == 4
    found, upstream, *_ = search([1, 2, *[ApiError(502, "down")] * 40], {"budget": 2, "min_n": 1})
    assert found.rewards == [1, 2]


def test_a_reward_that_fails_on_everything_is_not_fed_any_more(prior):
    settings = {"price": 0.0, "max_n": 64, "wave": 4}
    found, upstream, *_ = search(["fail"] * 64, settings, prior=prior)
    assert found.why == "reward"
    assert len(upstream.begun) == 4
    options = read_options(CHAT, {}, ServeSettings(), chat=True)
    with pytest.raises(ApiError, match="failed for all 4 responses") as caught:
        pick(found, options, failure="error")
    assert caught.value.status == 502
    chosen = pick(found, options, failure="first")
    assert [one.number for one in chosen] == [0]


def test_what_cannot_be_scored_is_not_drawn_for_ever(prior):
    settings = {"price": 0.01, "max_n": 64, "wave": 4, "reference_n": 12}
    found, upstream, *_ = search([None] * 64, settings, prior=prior)
    assert (found.why, len(upstream.begun)) == ("unscored", 12)


def test_some_rewards_that_fail(prior):
    found, _, rows, _ = search(["fail", 2, None, 1], {"n": 4})
    assert found.rewards == [None, 2, None, 1]
    assert found.ranked[0].number == 1
    assert rows[0]["error"] == "the reward failed"
    assert "error" not in rows[2]


def test_what_is_said_of_it(prior):
    found, *_, numbers = search([1.0, 2.0, 0.0, 0.5] * 16, {"price": 0.03}, prior=prior)
    options = read_options(CHAT, {}, numbers.settings, chat=True)
    own = details(found, pick(found, options, failure="error"), options, numbers)
    assert own["reward"] == 2.0
    assert own["drawn"] == len(found.drawn)
    assert own["stopped"] == found.why
    assert own["predicted_best"]["n"] == 64
    assert own["predicted_best"]["reward"] >= 2.0
    assert own["verdict"] == prior.verdict
