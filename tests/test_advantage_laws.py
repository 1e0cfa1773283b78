"""Laws of the advantage estimators: one test per law, over every case that obeys it.

A new estimator needs its cases in CASES and their names in the laws that hold. The groups of every
law test include degenerate ones: constant, tied, nearly constant, with one outlier.
"""

from functools import partial

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from tests.libraries import back, is_a, make

import bontea
from bontea import ADVANTAGES, GroupTooSmallError

M = 16
LIBRARIES = ["numpy", "torch"]  # JAX compiles every operation: see test_arrays.py

# Case name -> (key in ADVANTAGES, parameters, smallest group). The fixed rng makes prefix_tea
# repeat its random orders; its laws hold for every draw.
CASES = {
    "reinforce": ("reinforce", {}, 1),
    "rloo": ("rloo", {}, 2),
    "grpo": ("grpo", {}, 2),
    "grpo eps=0": ("grpo", {"eps": 0}, 2),
    "max_at_k k=1": ("max_at_k", {"k": 1}, 2),
    "max_at_k k=4": ("max_at_k", {"k": 4}, 5),
    "max_at_k k=8": ("max_at_k", {"k": 8}, 9),
    "best_of_n_max_second": ("best_of_n_max_second", {}, 1),
    "pkpo k=4": ("pkpo", {"k": 4}, 4),
    "pkpo_loo k=4": ("pkpo_loo", {"k": 4}, 4),
    "pkpo_loo(k=M)": ("pkpo_loo", {"k": M}, M),
    "best_of_n_max_mean": ("best_of_n_max_mean", {}, 1),
    "tail_rl": ("tail_rl", {}, 1),
    "cat_bon": ("cat_bon", {"n": 128}, 2),
    "softmax_tilt": ("softmax_tilt", {"n": 128}, 1),
    "gaussian_plug_in": ("gaussian_plug_in", {"n": 128}, 1),
    "tea": ("tea", {"n": 128}, 9),
    "tea(alpha=0.5)": ("tea", {"n": 300.5, "alpha": 0.5}, 5),
    "tea raw": ("tea", {"n": 128, "center": False}, 9),
    "prefix_tea": ("prefix_tea", {"n": 128, "rng": 0}, 10),
    "prefix_tea raw": ("prefix_tea", {"n": 128, "rng": 1, "center": False}, 10),
    "calibrated_tea": ("calibrated_tea", {"n": 128}, 9),
    "calibrated_tea raw": ("calibrated_tea", {"n": 1e4, "alpha": 0.5, "center": False}, 5),
    "linear_tea": ("linear_tea", {"n": 128}, 9),
    "linear_tea gp": ("linear_tea", {"n": 128, "alpha": 0.5, "tail": "gp(-0.2)"}, 5),
    "linear_tea all raw": (
        "linear_tea",
        {"n": 128, "alpha": 0.5, "rows": "all", "center": False},
        5,
    ),
    "adaptive_tea": ("adaptive_tea", {"n": 128}, 2),
    "prefix_tea cross": (
        "prefix_tea",
        {"n": 128, "rng": 2, "alpha": 1.0, "cross_fit": True},
        16,
    ),
}
# Defined on some rewards only: their laws are in tests/advantages/test_limited_domain.py.
LIMITED = {"max_rl", "pass_at_k", "pass_at_n", "inference_aware"}
ALL = set(CASES)
UNITLESS = {"grpo", "grpo eps=0", "cat_bon", "softmax_tilt"}
TAIL = {name for name in CASES if "tea" in name}

LAWS = {
    "SHIFT_INVARIANT": ALL - {"pkpo k=4"},
    "SCALE_EQUIVARIANT": ALL - UNITLESS,
    "SCALE_INVARIANT": UNITLESS - {"grpo"},
    "PERMUTATION_EQUIVARIANT": ALL,
    "ZERO_SUM": ALL
    - {"best_of_n_max_second", "best_of_n_max_mean", "tea raw", "prefix_tea raw"}
    - {"pkpo k=4", "pkpo_loo k=4", "pkpo_loo(k=M)", "cat_bon", "linear_tea all raw"}
    - {"calibrated_tea raw"},
    "ZERO_ON_CONSTANT": ALL - {"pkpo k=4"},
    "ZERO_ON_EQUAL_TAIL": TAIL - {"prefix_tea cross"},
    "TIES_SHARE": ALL,
    "GROUPS_INDEPENDENT": ALL - {"adaptive_tea"},  # the batch decides on its tail fraction
    "NAN_IS_MISSING": ALL,
    "DTYPE_KEPT": ALL,
    "INF_RAISES": ALL,
    "LEADING_AXES": ALL,
    "BOUNDED": ALL,
    "SMALLEST_GROUP": ALL,
    "ROWS_IN_ROWS_OUT": ALL - {"adaptive_tea"},
}


def obey(law):
    return pytest.mark.parametrize("case", sorted(LAWS[law]))


def estimator(case):
    key, params, _ = CASES[case]
    return partial(ADVANTAGES[key], **params)


def scale_of(case, rewards):
    """How large the advantages of `rewards` can be, for tolerances: the tail forms amplify."""
    if case == "cat_bon":
        return 5.0 * M  # clipped z-scores times weights of mean 1
    if case in UNITLESS:
        return 30.0
    unit = np.abs(rewards).max() if case == "pkpo k=4" else np.ptp(rewards, axis=-1).max()
    return unit * (300.0 if case in TAIL else 30.0)


def assert_same(case, got, expected, rewards, rtol=1e-11):
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=rtol * scale_of(case, rewards))


# Rewards are multiples of 1/64, so that shifts and scalings in the tests are exact: a law is not
# blamed for a tie that rounding made or broke.
_free = st.integers(-6400, 6400).map(lambda i: i / 64)
_tied = st.sampled_from([-1.0, 0.0, 0.5, 1.0])
groups = st.one_of(
    arrays(float, (3, M), elements=_free),
    arrays(float, (3, M), elements=_tied),
    arrays(float, (3, M), elements=st.one_of(_free, _tied)),
)
law = settings(max_examples=25, deadline=None, derandomize=True, database=None)


def degenerate(dtype=float):
    """Groups that break careless estimators, `(9, M)`, of unit scale."""
    rng = np.random.default_rng(0)
    eps = np.finfo(dtype).eps
    normal = rng.normal(size=M).astype(dtype)
    tail_tied = np.where(np.arange(M) < 10, rng.normal(size=M) - 5, 1.0)
    half_tied = np.where(np.arange(M) % 2 == 0, rng.normal(size=M), 0.25)
    outlier, bad_outlier = normal.copy(), normal.copy()
    outlier[3], bad_outlier[3] = 1e6, -1e6
    one_good = np.zeros(M)
    one_good[5] = 1
    return np.stack(
        [
            np.full(M, 0.1),
            1 + eps * (np.arange(M) % 3),
            1 + eps * (np.arange(M) == 7),
            1 - eps * np.arange(M),
            tail_tied,
            half_tied,
            outlier,
            bad_outlier,
            one_good,
        ]
    ).astype(dtype)


def test_every_estimator_is_in_the_table():
    assert {key for key, _, _ in CASES.values()} == set(ADVANTAGES) - LIMITED
    for law_name, cases in LAWS.items():
        assert cases, law_name
        assert cases <= ALL, law_name
    for key in set(ADVANTAGES) - LIMITED:
        cases = {case for case in CASES if CASES[case][0] == key}
        assert all(any(case in obeying for obeying in LAWS.values()) for case in cases)


def test_every_law_is_tested():
    tests = {name for name in globals() if name.startswith("test_")}
    assert {f"test_{name.lower()}" for name in LAWS} <= tests


@obey("SHIFT_INVARIANT")
@law
@given(rewards=groups, shift=st.sampled_from([-1024.0, 0.5, 7.0, 2.0**20]))
def test_shift_invariant(case, rewards, shift):
    f = estimator(case)
    assert_same(case, f(rewards + shift), f(rewards), rewards)


@obey("SCALE_EQUIVARIANT")
@law
@given(rewards=groups, scale=st.sampled_from([2.0**-30, 0.25, 3.0, 2.0**40]))
def test_scale_equivariant(case, rewards, scale):
    f = estimator(case)
    assert_same(case, f(rewards * scale), f(rewards) * scale, rewards * scale)


@obey("SCALE_INVARIANT")
@law
@given(rewards=groups, scale=st.sampled_from([2.0**-30, 0.25, 3.0, 2.0**40]))
def test_scale_invariant(case, rewards, scale):
    f = estimator(case)
    assert_same(case, f(rewards * scale), f(rewards), rewards)


@obey("PERMUTATION_EQUIVARIANT")
@law
@given(rewards=groups, seed=st.integers(0, 100))
def test_permutation_equivariant(case, rewards, seed):
    f = estimator(case)
    order = np.random.default_rng(seed).permutation(M)
    assert_same(case, f(rewards[:, order]), f(rewards)[:, order], rewards)


@obey("ZERO_SUM")
@law
@given(rewards=groups)
def test_zero_sum(case, rewards):
    total = estimator(case)(rewards).sum(-1)
    assert_same(case, total, np.zeros(3), rewards)


@obey("ZERO_ON_CONSTANT")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [0.0, 0.1, -3.3, 1e-30, 1e30, -7e9])
def test_zero_on_constant(case, value, dtype):
    rewards = np.full((2, M), value, dtype=dtype)
    assert np.array_equal(estimator(case)(rewards), np.zeros((2, M)))


@obey("ZERO_ON_EQUAL_TAIL")
def test_zero_on_equal_tail(case):
    rewards = np.random.default_rng(0).normal(size=(4, M)) - 9
    rewards[:, 4:] = 1.0  # 12 of 16: in the tail of every prefix
    assert np.array_equal(estimator(case)(rewards), np.zeros((4, M)))


@obey("TIES_SHARE")
@law
@given(rewards=groups)
def test_ties_share(case, rewards):
    advantages = estimator(case)(rewards)
    for reward, advantage in zip(rewards, advantages, strict=True):
        for value in np.unique(reward):
            tied = advantage[reward == value]
            assert_same(case, tied, np.full_like(tied, tied[0]), reward)


@obey("GROUPS_INDEPENDENT")
@law
@given(rewards=groups, other=groups)
def test_groups_independent(case, rewards, other):
    """What the other groups hold does not matter (prefix_tea: for the same random orders)."""
    f = estimator(case)
    changed = other * 1024
    changed[1] = rewards[1]
    assert_same(case, f(changed)[1], f(rewards)[1], rewards[1])


def test_groups_alone_or_together():
    rewards = np.concatenate([degenerate(), np.random.default_rng(0).normal(size=(3, M))])
    for case in ALL:
        if CASES[case][0] not in {"prefix_tea", "adaptive_tea"}:  # draw, decide per call
            f = estimator(case)
            alone = np.concatenate([f(row[None]) for row in rewards])
            np.testing.assert_allclose(f(rewards), alone, rtol=1e-12, atol=0, err_msg=case)


@obey("NAN_IS_MISSING")
@pytest.mark.parametrize("library", LIBRARIES)
def test_nan_is_missing(case, library):
    """The result of the shorter group, in its order, and 0 at the missing places."""
    f = estimator(case)
    rng = np.random.default_rng(0)
    shorter = np.concatenate(
        [rng.normal(size=(3, M)), rng.integers(0, 3, size=(2, M)), degenerate()]
    )
    rewards = np.full((len(shorter), M + 5), np.nan)
    present = np.sort(rng.permuted(np.tile(np.arange(M + 5), (len(shorter), 1)), axis=1)[:, :M])
    np.put_along_axis(rewards, present, shorter, axis=1)
    got = back(f(make(library, rewards)))
    expected = np.zeros_like(rewards)
    np.put_along_axis(expected, present, f(shorter), axis=1)
    for row in range(len(shorter)):
        assert_same(case, got[row], expected[row], shorter[row])
    assert (got[np.isnan(rewards)] == 0).all()


@obey("ROWS_IN_ROWS_OUT")
@pytest.mark.parametrize("library", LIBRARIES)
def test_rows_in_rows_out(case, library):
    """Groups of many sizes in one array: every group comes back in its own row."""
    f = estimator(case)
    rng = np.random.default_rng(1)
    rewards = rng.normal(size=(12, M + 4)) * 2.0 ** np.arange(12)[:, None]
    least = CASES[case][2]
    for row, size in enumerate([20, 16, 3, 17, 0, 20, 12, 19, 1, 16, 5, 18]):
        rewards[row, rng.permutation(20)[size:]] = np.nan
    got = back(f(make(library, rewards)))
    assert np.isfinite(got).all()
    for row, reward in enumerate(rewards):
        there = ~np.isnan(reward)
        assert (got[row, ~there] == 0).all()
        if there.sum() < least:
            assert (got[row] == 0).all()
        elif CASES[case][0] == "prefix_tea":  # draws its orders per call: only its scale is known
            assert 0.1 * 2.0**row < np.abs(got[row]).max() < 300 * 2.0**row
        else:
            assert_same(case, got[row, there], f(reward[there][None])[0], reward[there])


@obey("DTYPE_KEPT")
@pytest.mark.parametrize(
    ("library", "dtype"),
    [
        *(
            (library, dtype)
            for library in LIBRARIES
            for dtype in ("float16", "float32", "float64", "int32", "int64", "uint8", "bool")
        ),
        ("torch", "bfloat16"),
    ],
)
def test_dtype_kept(case, library, dtype):
    """Floats come back as they came, computed in 32 bits at least; others in the default float."""
    f = estimator(case)
    values = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 9, size=(4, M))
    rewards = make(library, values, dtype)
    got = f(rewards)
    assert is_a(library, got)
    default = "float32" if library == "torch" else "float64"
    name = str(got.dtype).removeprefix("torch.")
    assert name == (dtype if "float" in dtype else default)
    # Half a unit in the last place of the type it comes back in, plus float32 arithmetic.
    unit = {"float16": 2.0**-11, "bfloat16": 2.0**-8}.get(name, 0) + (
        2e-5 if name != "float64" else 0
    )
    expected = f(values.astype(float))
    tolerance = unit * np.abs(expected).max() + 1e-12
    np.testing.assert_allclose(back(got), expected, rtol=0, atol=tolerance)


@obey("INF_RAISES")
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_inf_raises(case, library, value):
    rewards = np.random.default_rng(0).normal(size=(2, 3, M))
    rewards[0, 0, 0] = np.nan
    rewards[1, 2, 7] = value
    with pytest.raises(ValueError, match=r"group \(1, 2\) holds an infinite reward"):
        estimator(case)(make(library, rewards))
    with pytest.raises(ValueError, match=r"group 2 holds an infinite reward"):
        estimator(case)(make(library, rewards[1]))


@obey("LEADING_AXES")
def test_leading_axes(case):
    f = estimator(case)
    rewards = np.random.default_rng(0).normal(size=(2, 3, M))
    flat = f(rewards.reshape(6, M))
    assert np.array_equal(f(rewards), flat.reshape(2, 3, M))
    assert np.array_equal(f(rewards[0, 0]), f(rewards[0, :1])[0])
    assert f(np.zeros((0, M))).shape == (0, M)


@obey("BOUNDED")
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_bounded(case, library, dtype, scale):
    """No degenerate group gives NaN, infinity, or more than the largest factor times its range."""
    rewards = (degenerate(dtype) * np.asarray(scale, dtype)).astype(dtype)
    got = back(estimator(case)(make(library, rewards, dtype)))
    assert np.isfinite(got).all()
    limit = np.array([scale_of(case, row.astype(float)) for row in rewards])
    assert (np.abs(got).max(-1) <= limit).all()


@pytest.mark.parametrize("case", sorted(ALL - {"grpo"}))  # its eps has a unit
@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e20, 1e30])
def test_scale_in_float32(case, scale):
    """Squares of such rewards do not fit float32; advantages must not notice."""
    f = estimator(case)
    rewards = np.concatenate([degenerate("float32"), np.random.default_rng(0).normal(size=(3, M))])
    rewards = (rewards * scale).astype("float32")
    expected = f(rewards.astype(float))
    for row in range(len(rewards)):
        limit = scale_of(case, rewards[row].astype(float))
        np.testing.assert_allclose(f(rewards)[row], expected[row], rtol=1e-4, atol=2e-6 * limit)


@obey("SMALLEST_GROUP")
def test_smallest_group(case):
    """One less raises and says why; among larger groups, the small ones get zeros."""
    f, (key, _, least) = estimator(case), CASES[case]
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(4, M + 8))
    small, enough = rewards.copy(), rewards.copy()
    small[:, least - 1 :] = np.nan
    enough[:, least:] = np.nan
    if least > 1:
        with pytest.raises(GroupTooSmallError) as error:
            f(rewards[:, : least - 1])
        message = str(error.value)
        assert str(least - 1) in message, "the message does not name the size it got"
        assert "at least" in message or "more rollouts" in message, "the message has no remedy"
    with pytest.raises(GroupTooSmallError):
        f(small)
    assert np.isfinite(f(enough)).all()
    if least > 1:
        assert (f(enough) != 0).any()

    mixed = np.where(np.arange(4)[:, None] % 2 == 0, small, rewards)
    got = f(mixed)
    assert (got[::2] == 0).all()
    assert (got[1::2] != 0).any(axis=-1).all()
    if key != "prefix_tea":
        assert_same(case, got[1::2], f(rewards[1::2]), rewards)


def test_all_missing_raises():
    for case in ALL:
        with pytest.raises(GroupTooSmallError, match="every reward is NaN"):
            estimator(case)(np.full((2, M), np.nan))


@pytest.mark.parametrize("case", sorted(ALL))
def test_input_is_left_alone(case):
    for rewards in (np.random.default_rng(0).normal(size=(3, M)), np.ones((3, M))):
        before = rewards.copy()
        estimator(case)(rewards)
        assert np.array_equal(rewards, before)
    rewards = np.random.default_rng(0).normal(size=(3, M))
    rewards[1, 3:5] = np.nan
    before = rewards.copy()
    estimator(case)(rewards)
    assert np.array_equal(rewards, before, equal_nan=True)


def test_flat_groups_obey_the_same_rules():
    """advantages_for: a constant group, a group of one and NaN in one batch."""
    rng = np.random.default_rng(0)
    for case in ALL:
        key, params, _ = CASES[case]
        ids = np.repeat([5, 2, 9], [M, M + 1, 1])
        rewards = np.concatenate([np.full(M, 0.3), rng.normal(size=M + 1), [4.0]])
        rewards[M] = np.nan
        got = bontea.advantages_for(rewards, ids, key, **params)
        if case in LAWS["ZERO_ON_CONSTANT"]:
            assert (got[:M] == 0).all()
        assert got[M] == got[-1] == 0
        assert_same(
            case, got[M + 1 : -1], estimator(case)(rewards[M + 1 : -1]), rewards[M + 1 : -1]
        )
