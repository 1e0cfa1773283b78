"""No result depends on the unit of the rewards: from 1e-30 to 1e30, in float32 and float64.

A law over every function that takes rewards. What is in reward units is multiplied with them, what
has none stays as it is; the units are powers of two, so that the rewards themselves are exact.
"""

import warnings
from functools import partial

import numpy as np
import pytest
from tests.libraries import back, make
from tests.test_advantage_laws import CASES, UNITLESS

import bontea
from bontea import ADVANTAGES, scale_advantages, tails
from bontea.curves import best_of_k, compare, curve, evaluate, extrapolate
from bontea.curves.influence import find_influence
from bontea.curves.intervals import METHODS
from bontea.integrations._settings import Settings
from bontea.integrations._step import AdvantageStep
from bontea.planning import diagnose, plan
from bontea.rollouts.groups import as_rollouts

UNITS = [2.0**-100, 2.0**-27, 2.0**100]  # 8e-31, 7e-9, 1e30
DTYPES = [np.float32, np.float64]
NORMAL = np.random.default_rng(0).normal(size=(24, 16))
OTHER = np.random.default_rng(1).normal(0.3, 1, size=(24, 16))
# Constant and tied groups, and rewards that are not centred.
MIXED = np.concatenate([NORMAL, NORMAL[:2].round(), np.full((1, 16), 0.1), NORMAL[:1] + 50])


@pytest.fixture(autouse=True)
def every_warning_is_an_error():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


def of_curve(c):
    return [(c.value, 1), (c.low, 1), (c.high, 1), (c.standard_error, 1), (c.per_prompt, 1)]


def of_comparison(c):
    in_units = [c.difference, c.low, c.high, c.standard_error]
    return [(a, 1) for a in in_units] + [(c.superiority, 0), (c.superiority_low, 0)]


def of_extrapolation(e):
    in_units = [e.value, e.low, e.high, e.per_prompt, e.per_prompt_low, e.per_prompt_high]
    return [(a, 1) for a in in_units] + [(np.array(e.refused, float), 0)]


def of_pooled(p):
    in_units = [p.location, p.scale, p.own_location, p.own_scale, p.scale_spread]
    return [(a, 1) for a in in_units] + [(p.line_noise, 2), (p.scale_noise, 2), (p.turn, 0)]


# Name -> rewards of two models to (result, power of the unit).
FUNCTIONS = {
    "best_of_k": lambda a, b: [(best_of_k(a, [1, 2, 8, 16]), 1)],
    **{
        f"curve {m}": lambda a, b, m=m: of_curve(
            curve(a, [1, 4, 16], method=m, resamples=200, rng=0)
        )
        for m in METHODS
    },
    **{
        f"compare {m}": lambda a, b, m=m: of_comparison(
            compare(a, b, [1, 16], method=m, resamples=200, rng=0)
        )
        for m in METHODS
    },
    "extrapolate": lambda a, b: of_extrapolation(extrapolate(a, [17, 128, 200])),
    "extrapolate gp": lambda a, b: of_extrapolation(extrapolate(a, 64, tail="gp")),
    "predict_best_of_n": lambda a, b: [(bontea.predict_best_of_n(a, 128), 1)],
    "fit_tail": lambda a, b: (lambda f: [(f.location, 1), (f.scale, 1), (f.check.z, 0)])(
        tails.fit_tail(a, alpha=0.5)
    ),
    "check_tail": lambda a, b: (lambda c: [(c.predicted, 1), (c.seen, 1), (c.z, 0)])(
        tails.check_tail(a)
    ),
    "calibrate_tail": lambda a, b: (lambda t: [(t.parameter, 0), (t.standard_error, 0)])(
        tails.calibrate_tail(a)
    ),
    "choose_alpha": lambda a, b: [(tails.choose_alpha(a) or 0.0, 0)],
    "fit_pooled": lambda a, b: of_pooled(tails.fit_pooled(a)),
    "fit_pareto": lambda a, b: list(zip(tails.fit_pareto(np.abs(a)), (0, 1), strict=True)),
    "reward_kind": lambda a, b: (lambda k: [(k.lowest, 1), (k.highest, 1), (k.above, 0)])(
        tails.reward_kind(a)
    ),
    "scale_advantages batch": lambda a, b: [(scale_advantages(a), 0)],
    "scale_advantages group": lambda a, b: [(scale_advantages(a, by="group"), 0)],
    "scale_advantages flat": lambda a, b: [
        (scale_advantages(a.ravel(), np.repeat(np.arange(len(a)), 16), by="group"), 0)
    ],
    "advantage step": lambda a, b: [
        (
            AdvantageStep(Settings(estimator=name, n=128, scale=scale), 16)(
                a.ravel(), np.repeat(np.arange(len(a)), 16)
            ),
            int(scale == "none" and name != "cat_bon"),
        )
        for name in ("rloo", "adaptive_tea", "cat_bon", "max_at_k(k=8)")
        for scale in ("batch", "group", "none")
    ],
}


def assert_scales(function, unit, dtype):
    a, b = NORMAL.astype(dtype), OTHER.astype(dtype)
    expected = function(a, b)
    got = function(a * dtype(unit), b * dtype(unit))
    for (x, power), (y, same) in zip(expected, got, strict=True):
        assert power == same
        x, y = np.asarray(x, float), np.asarray(y, float) / unit**power
        size = np.nanmax(np.abs(x), initial=1e-300)
        np.testing.assert_allclose(
            y, x, rtol=1e-4, atol=size * (1e-5 if dtype == np.float32 else 1e-9)
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name, unit, dtype):
    assert_scales(FUNCTIONS[name], unit, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("case", sorted(set(CASES) - {"grpo"}))  # its eps is in reward units
def test_estimators(case, library, dtype):
    key, params, _ = CASES[case]
    estimator = partial(ADVANTAGES[key], **params)
    expected = np.asarray(back(estimator(make(library, MIXED, dtype))), float)
    for unit in UNITS:
        got = np.asarray(back(estimator(make(library, MIXED * unit, dtype))), float)
        got = got / (1.0 if case in UNITLESS else unit)
        atol = np.abs(expected).max() * (1e-5 if dtype == "float32" else 1e-11)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_max_rl(dtype):
    rewards = np.abs(NORMAL).astype(dtype)
    for unit in UNITS:
        np.testing.assert_allclose(
            bontea.max_rl(rewards * np.dtype(dtype).type(unit)), bontea.max_rl(rewards), rtol=1e-5
        )


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_diagnose_and_plan(unit):
    """The marks, the advice and every figure of the table; only numbers in reward units differ."""
    rewards = np.random.default_rng(0).normal(size=(20, 32))
    one, other = (diagnose(r, n=64, groups=500, rng=0) for r in (rewards, rewards * unit))
    assert {k: f.mark for k, f in one.findings.items()} == {
        k: f.mark for k, f in other.findings.items()
    }
    assert one.admission == other.admission
    assert one.recommendation == other.recommendation
    names = ["max_at_k", "adaptive_tea"]
    one, other = (
        plan(r, n=64, m=16, estimators=names, groups=500, rng=0) for r in (rewards, rewards * unit)
    )
    for x, y in zip(one.rows, other.rows, strict=True):
        assert (y.snr, y.effective_n) == pytest.approx((x.snr, x.effective_n))
    assert one.recommendation.recommended == other.recommendation.recommended


@pytest.mark.parametrize("unit", UNITS)
def test_strange_reward_and_pages(unit):
    rewards = NORMAL.copy()
    rewards[3, 5] = 40
    found = [find_influence(as_rollouts(rewards * u)) for u in (1.0, unit)]
    assert found[0].deviations == pytest.approx(found[1].deviations)
    assert found[1].without == pytest.approx(found[0].without * unit)
    done = evaluate({"a": NORMAL * unit, "b": OTHER * unit}, [1, 16, 64], up_to=64, rng=0)
    for result in (*done.curves.values(), *done.extrapolations.values()):
        assert "nan" not in str(result)
        assert "inf]" not in str(result)


def test_tables_keep_their_digits():
    """1e-30 was printed as 0.000000, 1e30 with thirty digits."""
    small, large = (
        str(curve(NORMAL * unit, [4, 16], rng=0)).split("\n")[1:3] for unit in UNITS[::2]
    )
    for one, other in zip(small, large, strict=True):
        assert "e-31" in one or "e-30" in one
        assert "e30" in other
        assert len(one) < 60
        assert len(other) < 60


@pytest.mark.parametrize("by", ["batch", "group"])
@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1e-38, 1e-30, 1e-8, 1.0, 1e30, 1e37])
def test_unit_size(by, library, dtype, size):
    """The case that was reported: rewards of 1e-8 had a root-mean-square of 0.01."""
    got = back(scale_advantages(make(library, NORMAL * size, dtype), by=by)).astype(float)
    axis = None if by == "batch" else -1
    np.testing.assert_allclose(np.sqrt((got**2).mean(axis)), 1, rtol=1e-5 if size > 1e-38 else 0.05)


def test_far_apart_groups_all_get_unit_size():
    """One huge group does not silence the others where the scale is that of a group."""
    advantages = NORMAL.copy()
    advantages[0] *= 1e25
    got = scale_advantages(advantages, by="group")
    np.testing.assert_allclose(np.sqrt((got**2).mean(-1)), 1)


def test_rounding_noise_beside_signal_stays_zero():
    advantages = np.stack([*NORMAL[:5], 1e-17 * NORMAL[6]])
    got = scale_advantages(advantages, by="group")
    assert np.abs(got[-1]).max() < 1e-9
    np.testing.assert_allclose(np.sqrt((got[:5] ** 2).mean(-1)), 1)


@pytest.mark.parametrize("scale", ["batch", "group", "none"])
@pytest.mark.parametrize("estimator", ["rloo", "cat_bon", "grpo", "careless"])
def test_rewards_that_differ_by_rounding_teach_nothing(scale, estimator):
    """0.1 + 0.2 and 0.3 are one reward; so are the means of a careless estimator."""
    rewards = np.tile([0.1 + 0.2, 0.3], (3, 5))
    chosen = careless if estimator == "careless" else estimator
    step = AdvantageStep(Settings(estimator=chosen, n=8, scale=scale), 10)
    got = step(rewards.ravel(), np.repeat(np.arange(3), 10))
    assert not got.any()
    assert step.metrics["zeroed_constant"] == 30


def careless(rewards):
    return rewards - rewards.mean(-1, keepdims=True)


def test_infinite_advantages_are_refused():
    with pytest.raises(ValueError, match="infinite"):
        scale_advantages([[1.0, np.inf]])


@pytest.mark.parametrize("k", [1, 2, 16])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_offset_in_float32(library, dtype, k):
    """1,000,000 + noise, as far as float32 holds it: steps of 1/16."""
    noise = (NORMAL * 16).round() / 16
    got = back(best_of_k(make(library, 1e6 + noise, dtype), k)).astype(float) - 1e6
    np.testing.assert_allclose(got, best_of_k(noise, k), atol=0.04 if dtype == "float32" else 1e-9)
    rloo = back(bontea.rloo(make(library, 1e6 + noise, dtype)))
    np.testing.assert_allclose(rloo, bontea.rloo(noise), atol=1e-5)
