"""Results: frozen dataclasses that JSON can hold, whose names mean the same everywhere."""

import json
import re
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
from tests import walk

import bontea
from bontea import curves, deploy, tails, theory
from bontea._json import Result
from bontea.curves.influence import find_influence
from bontea.curves.intervals import mean_interval
from bontea.planning import pilot_law
from bontea.tails.pooled import SharedShape
from bontea.theory.measure import simulate
from bontea.theory.success import SuccessRates, success_alignment

ROOMS = re.compile(r"bontea\.(tails|curves|deploy|theory|diagnosis|planning)\.[a-z]")
NOT_RESULTS = {"Law", "StandardLaw", "Walk", "Shape", "SuccessRates", "Entry", "Source", "Evidence"}
NOT_RESULTS |= {"Pairs"}
"""What goes into functions, and holds functions of its own."""
INNER = {"Summary", "Reference", "Upper"}
"""Parts of `bontea.diagnosis.upper`."""

RNG = np.random.default_rng(0)
REWARDS = RNG.normal(size=(40, 1)) + RNG.normal(size=(40, 16))
BINARY = (REWARDS > 1.5).astype(float)
ONE = REWARDS[:1]


def made():
    """Results of every kind, those of bad data among them: NaN, infinities, nothing predicted."""
    few = {"groups": 640, "rng": 0}
    yield curves.curve(REWARDS, rng=0)
    yield curves.curve(ONE, rng=0)
    yield curves.compare(REWARDS, REWARDS + 1, rng=0)
    yield curves.compare(ONE, ONE, rng=0)
    strange = np.concatenate(
        [REWARDS[:, :15], np.where(np.arange(40) == 3, 60, REWARDS[:, 15])[:, None]], 1
    )
    yield find_influence(bontea.as_rollouts(strange))
    yield bontea.diagnose(strange, n=1, rng=0)
    scored = bontea.as_rollouts(REWARDS, scores={"judge": np.round(REWARDS + BINARY)})
    chosen = curves.two_scores(scored, [1, 4], measure="judge", rng=0)
    yield from (chosen, chosen.peak)
    yield curves.evaluate_scores({"a": scored}, [1, 4], measure="judge", rng=0)
    yield from bontea.diagnose(scored, n=4, measure="judge", groups=640, rng=0).findings.values()
    ruled = curves.compare_rules(REWARDS, [1, 4], measure=BINARY, rng=0)
    yield from (ruled, *ruled.leaders)
    yield curves.extrapolate(REWARDS, [128, 256])
    yield curves.extrapolate(BINARY, [128])
    yield curves.extrapolate(np.round(REWARDS), [128])
    yield curves.extrapolate(ONE, [128])
    yield mean_interval(REWARDS, rng=0)
    yield tails.fit_tail(REWARDS)
    yield tails.fit_tail(ONE)
    yield tails.check_tail(np.zeros((3, 16)))
    yield tails.calibrate_tail(REWARDS)
    yield tails.reward_kind(BINARY)
    yield tails.fit_pooled(REWARDS)
    yield tails.fit_pareto(np.abs(REWARDS))
    yield tails.fit_pareto(np.abs(REWARDS) ** -3)
    yield theory.gradient("normal", 128)
    yield bontea.effective_n("tea", n=128, m=16, **few)
    yield bontea.effective_n("rloo", n=8, m=4, law="bernoulli", **few)
    yield simulate(bontea.EstimatorSpec.of("rloo"), theory.get_law("normal"), 4, **few)
    yield theory.bias_slope("tea", [16, 32], 128, **few)
    yield theory.risk_frontier("tea", n=128, m=16, seeds=1, steps=2, rng=0)
    yield theory.style_frontier("tea", n=128, m=16, seeds=2, steps=2, rng=0)
    yield success_alignment("rloo", n=8, m=4, rates=SuccessRates(1, 2), rng=0)
    yield success_alignment(np.zeros_like, n=8, m=4, rates=SuccessRates(1, 2), rng=0)
    lengths = RNG.integers(10, 90, size=REWARDS.size).astype(float)
    yield bontea.diagnose(replace(bontea.as_rollouts(REWARDS), lengths=lengths), n=64, **few)
    for rewards in (REWARDS, BINARY):
        yield bontea.diagnose(rewards, n=128, **few)
        yield bontea.plan(rewards, n=128, m=[16], **few)
        yield pilot_law(rewards, rng=0)
    yield deploy.simulate(REWARDS, price=0.1, orders=2, rng=0)
    yield deploy.simulate(BINARY, price=0.1, orders=2, rng=0)
    few_rollouts = bontea.as_rollouts(REWARDS[:, :4])
    yield from deploy.quick_savings({"a": bontea.as_rollouts(REWARDS), "b": few_rollouts}).values()
    rule = deploy.Rule(deploy.fit_prior(REWARDS), 0.1)
    yield from (rule, rule.prior, rule.decide([]), rule.decide([0.1, None]))
    yield curves.evaluate({"a": REWARDS, "b": REWARDS + 1}, up_to=128, rng=0)


def inside(value):
    """A result, and the results in its fields."""
    if hasattr(value, "to_dict"):
        yield value
    if is_dataclass(value) and not isinstance(value, type):
        value = [getattr(value, field.name) for field in fields(value)]
    elif isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from inside(part)


@pytest.fixture(scope="module")
def results():
    return [part for result in made() for part in inside(result)]


def expected():
    """Public frozen dataclasses that a function of a room returns."""
    return {
        name: cls
        for name, cls in walk.returned().items()
        if ROOMS.match(cls.__module__) and name not in NOT_RESULTS | INNER
    }


def test_json_holds_every_result(results):
    for result in results:
        text = json.dumps(result.to_dict(), allow_nan=False)
        assert json.loads(text) == result.to_dict(), type(result).__name__


def test_every_result_is_made_here(results):
    seen = {type(result).__name__ for result in results}
    assert set(expected()) <= seen, "add one to made()"


@pytest.mark.parametrize("name", expected())
def test_every_result_has_to_dict(name):
    cls = expected()[name]
    assert issubclass(cls, Result), cls
    hints = {field.name: str(field.type) for field in fields(cls)}
    for key, value in vars(cls).items():
        if isinstance(value, property):
            hints[key] = str(value.fget.__annotations__["return"])
    if "verdict" in hints and "message" in hints:
        assert re.search("Verdict|Literal", hints["verdict"]), "a category has a fixed set of words"
        assert hints["message"] == "str"


def test_verdict_is_a_word_and_message_a_sentence(results):
    with_verdict = [r for r in results if hasattr(r, "verdict") and hasattr(r, "message")]
    assert len(with_verdict) > 8
    for result in with_verdict:
        assert len(result.verdict.split()) <= 3
        assert len(result.message.split()) > 3
        out = result.to_dict()
        assert (out["verdict"], out["message"]) == (result.verdict, result.message)


def test_what_a_result_computes_is_in_its_dict():
    refused = curves.extrapolate(np.round(REWARDS), [128]).to_dict()
    assert (refused["refused"], refused["verdict"], refused["value"]) == (True, "fails", [None])
    pair = curves.compare(REWARDS, REWARDS + 1 + 0.1 * BINARY, [1, 2]).to_dict()
    assert (pair["verdict"], pair["decided"], pair["flips"]) == ("second", [True, True], [])
    frontier = theory.risk_frontier("tea", n=128, m=16, seeds=1, steps=2, rng=0)
    assert frontier.to_dict()["mean"] == frontier.mean
    assert theory.gradient("normal", 128).to_dict()["shape"] is None
    assert tails.fit_pareto(np.abs(REWARDS) ** -3).to_dict()["end_point"] is None
    assert issubclass(SharedShape, Result)
