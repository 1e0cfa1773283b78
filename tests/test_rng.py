"""`rng` as in SciPy: the same seed repeats, another differs, and without one nothing is fixed."""

import inspect
from collections import Counter

import numpy as np
import pytest
from tests import walk

import bontea
from bontea import theory
from bontea.curves.pairs import pair_scores
from bontea.theory.success import SuccessRates

R = np.random.default_rng(0).normal(size=(40, 1)) + np.random.default_rng(1).normal(size=(40, 16))
SCORED = bontea.as_rollouts(R, scores={"judge": R**2})
NEARLY = np.random.default_rng(2).normal(size=(40, 16))
CALLS = {
    "prefix_tea": lambda f, rng: f(R, n=128, rng=rng),
    "curve": lambda f, rng: f(R, [1, 8], rng=rng).low,
    "compare": lambda f, rng: f(R, R**2, [1, 8], method="bca", rng=rng).low,
    "mean_interval": lambda f, rng: f(R, rng=rng).low,
    "effective_n": lambda f, rng: f("tea", n=128, m=16, groups=640, rng=rng).gradient,
    "deploy.simulate": lambda f, rng: f(R, price=0.1, orders=2, rng=rng).outcomes[0].reward,
    "theory.simulate": lambda f, rng: (
        f(bontea.EstimatorSpec.of("rloo"), theory.get_law("normal"), 4, groups=640, rng=rng).blocks
    ),
    "bias_slope": lambda f, rng: f("tea", [16, 32], 128, groups=640, rng=rng).bias,
    "risk_frontier": lambda f, rng: f("tea", n=128, m=16, seeds=1, steps=2, rng=rng).tau,
    "style_frontier": lambda f, rng: f("tea", n=128, m=16, seeds=1, steps=2, rng=rng).entropy,
    "success_alignment": lambda f, rng: (
        f(
            lambda r, rng: r * rng.random(r.shape), n=8, m=4, rates=SuccessRates(1, 2), rng=rng
        ).cosine
    ),
    "diagnose": lambda f, rng: str(f(R[:8, :12], n=64, groups=640, rng=rng).to_dict()),
    "plan": lambda f, rng: str(f(n=128, m=[16], groups=640, rng=rng)),
    "curve_of": lambda f, rng: f(pair_scores(SCORED, None, "judge"), [1, 8], rng=rng).low,
    "two_scores": lambda f, rng: f(SCORED, [1, 8], measure="judge", rng=rng).chosen.low,
    "compare_selectors": lambda f, rng: (
        f(SCORED, [1, 8], selectors=(None, "judge"), measure="judge", method="bca", rng=rng).low
    ),
    "evaluate_scores": lambda f, rng: str(
        f({"a": SCORED, "b": SCORED}, [1, 8], measure="judge", rng=rng).to_dict()
    ),
    "find_peak": lambda f, rng: (f(NEARLY, range(1, 17), rng=rng).p_rise,),
    "mean_difference": lambda f, rng: (
        f(
            R[:, :2],
            [1, 2],
            None,
            names=("a", "b"),
            measure="m",
            span=(-5, 5),
            method="bca",
            rng=rng,
        ).low
    ),
    "compare_rules": lambda f, rng: f(R, [1, 8], threshold=1.0, rng=rng).curves["best"].low,
    "evaluate": lambda f, rng: f({"a": R}, [1, 8], rng=rng).curves["a"].low,
    "pilot_law": lambda f, rng: [law.reward(R) for law in f(R, resamples=2, rng=rng).resamples],
}
SEEDS_ONLY = {"diagnose", "plan", "evaluate_scores", "two_scores"}
"""Slow: without a seed they are not run here. Or a seed begins anew for each of several curves."""
LEFT_OUT = {
    "speed": "what it returns are times",
    "learn_prior": "chance chooses one of five values of trust: tests/deploy/test_prior.py",
    "audit": "it reads logs: tests/serve/test_audited.py",
    "upper_halves": "an inner part of the diagnosis",
    "gather": "an inner part of the diagnosis",
    "deployment_of": "an inner part of the plan",
}
FOUND = [
    function
    for _, function in walk.functions()
    if "rng" in (given := inspect.signature(function).parameters)
    and given["rng"].default is not inspect.Parameter.empty
]
NAMED = Counter(function.__name__ for function in FOUND)
RANDOM = {
    f"{f.__module__.split('.')[1]}.{f.__name__}" if NAMED[f.__name__] > 1 else f.__name__: f
    for f in FOUND
}
"""By name, with the room where two rooms have a function of that name."""


def test_every_random_function_is_here():
    assert set(RANDOM) <= set(CALLS) | set(LEFT_OUT)


@pytest.mark.parametrize("name", sorted(set(RANDOM) - set(LEFT_OUT)))
def test_the_same_seed_repeats_and_another_differs(name):
    def run(rng):
        return CALLS[name](RANDOM[name], rng)

    first = run(3)
    np.testing.assert_array_equal(run(3), first)
    assert not np.array_equal(run(4), first)
    if name not in SEEDS_ONLY:
        np.testing.assert_array_equal(run(np.random.default_rng(3)), first)
        assert not np.array_equal(run(None), run(None))
