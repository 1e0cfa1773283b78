"""Flat batches against a loop over a dict of lists; scaling; names of estimators."""

import numpy as np
import pytest
from tests.libraries import LIBRARIES, back, is_a, make

import bontea
from bontea import ADVANTAGES, GroupTooSmallError, advantages_for, scale_advantages
from bontea.advantages import get_estimator

SIZES = [1, 2, 5, 16, 16, 9, 12, 1, 16, 20]
ESTIMATORS = [
    ("reinforce", {}),
    ("rloo", {}),
    ("grpo", {}),
    ("max_at_k", {"k": 4}),
    ("best_of_n_max_second", {}),
    ("tea", {"n": 128}),
]


def batch(ids):
    rng = np.random.default_rng(0)
    groups = np.repeat(ids, SIZES)
    rewards = rng.normal(size=len(groups))
    order = rng.permutation(len(groups))
    return rewards[order], groups[order]


def loop(rewards, groups, function):
    """Group by group, a dict of lists."""
    members = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    out = np.zeros(len(rewards))
    for rows in members.values():
        try:
            out[rows] = function(rewards[rows][None])[0]
        except GroupTooSmallError:
            out[rows] = 0
    return out


@pytest.mark.parametrize("library", LIBRARIES[:2])
@pytest.mark.parametrize(
    "ids",
    [np.arange(10) * 7 - 3, np.array([f"prompt {i}" for i in range(10)]), np.arange(10) % 10 / 4],
    ids=["integers", "strings", "floats"],
)
@pytest.mark.parametrize(("name", "params"), ESTIMATORS)
def test_shuffled_ragged_batch(name, params, ids, library):
    rewards, groups = batch(ids)
    got = advantages_for(make(library, rewards), groups, name, **params)
    assert is_a(library, got)
    expected = loop(rewards, groups, lambda r: ADVANTAGES[name](r, **params))
    np.testing.assert_allclose(back(got), expected, rtol=1e-10, atol=1e-10)


def padded(rewards, groups):
    """The groups as rows, in the order of their ids, NaN where they are shorter."""
    members = [rewards[groups == group] for group in np.unique(groups)]
    m = max(map(len, members))
    return np.stack([np.pad(r, (0, m - len(r)), constant_values=np.nan) for r in members])


@pytest.mark.parametrize("name", ["adaptive_tea", "pass_at_n"])
def test_estimators_of_the_whole_batch_decide_once(name):
    """Not once for every size: of which there are seven here, most with one group."""
    rewards, groups = batch(np.arange(10))
    if name == "pass_at_n":
        rewards = (rewards > 0.5).astype(float)
    got = advantages_for(rewards, groups, name, n=128)
    block = padded(rewards, groups)
    expected = ADVANTAGES[name](block, n=128)[~np.isnan(block)]
    np.testing.assert_allclose(got[np.argsort(groups, kind="stable")], expected, rtol=1e-12)
    by_size = loop(rewards, groups, lambda r: ADVANTAGES[name](r, n=128))
    assert abs(got - by_size).max() > 0.1 * abs(got).max()  # it does make a difference


def test_own_functions_see_complete_groups():
    rewards, groups = batch(np.arange(10))
    seen = []

    def estimate(r):
        assert np.isfinite(r).all()
        seen.append(r.shape)
        return r - r.mean(axis=-1, keepdims=True)

    got = advantages_for(rewards, groups, estimate)
    assert sorted(seen) == [(1, 2), (1, 5), (1, 9), (1, 12), (1, 20), (2, 1), (3, 16)]
    np.testing.assert_allclose(got, advantages_for(rewards, groups, "reinforce"))


def test_prefix_tea_on_a_ragged_batch():
    """Its random orders are drawn size by size; groups of one size are one call."""
    rewards, groups = batch(np.arange(10))
    got = advantages_for(rewards, groups, "prefix_tea", n=128, rng=0)
    for group, size in enumerate(SIZES):
        assert (got[groups == group] != 0).any() == (size >= 10)
        assert abs(got[groups == group].sum()) < 1e-9
    assert np.array_equal(got, advantages_for(rewards, groups, "prefix_tea", n=128, rng=0))


def test_torch_ids_and_lists():
    torch = pytest.importorskip("torch")
    rewards, groups = batch(np.arange(10))
    expected = advantages_for(rewards, groups, "rloo")
    got = advantages_for(torch.tensor(rewards), torch.tensor(groups), "rloo")
    np.testing.assert_allclose(back(got), expected)
    np.testing.assert_allclose(advantages_for(list(rewards), list(groups), "rloo"), expected)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int64", "bool"])
@pytest.mark.parametrize("library", LIBRARIES[:2])
def test_dtype(library, dtype):
    """Also where the small groups, filled with zeros, come beside the others."""
    _, groups = batch(np.arange(10))
    rewards = make(library, np.random.default_rng(0).integers(0, 2, len(groups)), dtype)
    got = advantages_for(rewards, groups, "tea", n=128)
    default = "float32" if library == "torch" else "float64"
    assert str(got.dtype).removeprefix("torch.") == (dtype if "float" in dtype else default)


def test_nan_makes_a_group_smaller():
    rewards, groups = batch(np.arange(10))
    rewards[::7] = np.nan
    got = advantages_for(rewards, groups, "tea", n=128)
    there = ~np.isnan(rewards)
    assert (got[~there] == 0).all()
    expected = loop(rewards[there], groups[there], lambda r: bontea.tea(r, n=128))
    np.testing.assert_allclose(got[there], expected, atol=1e-10)


def test_all_nan_group_is_zero():
    got = advantages_for([np.nan, np.nan, 1.0, 3.0], [0, 0, 1, 1], "rloo")
    assert got.tolist() == [0, 0, -2, 2]


def test_infinite_reward_is_still_an_error():
    with pytest.raises(ValueError, match="infinite reward"):
        advantages_for([np.inf, 1.0, 1.0], [0, 0, 1], "rloo")


def test_on_small():
    with pytest.raises(GroupTooSmallError, match="at least 2"):
        advantages_for([1.0, 2.0, 3.0], [0, 0, 1], "rloo", on_small="raise")
    assert advantages_for([1.0, 2.0, 3.0], [0, 0, 1], "rloo").tolist() == [-1, 1, 0]
    assert advantages_for([1.0, 2.0], [0, 1], "rloo").tolist() == [0, 0]
    with pytest.raises(ValueError, match="on_small='drop'"):
        advantages_for([1.0], [0], "rloo", on_small="drop")


@pytest.mark.parametrize("groups", [[0, 1], [[0, 1, 2]], 3])
def test_lengths_differ(groups):
    with pytest.raises(ValueError, match="flat and of one length"):
        advantages_for([1.0, 2.0, 3.0], groups, "rloo")


def test_callable_and_module_path():
    assert advantages_for([1.0, 3.0], [4, 4], lambda r: r * 2).tolist() == [2, 6]
    assert get_estimator("bontea:rloo") is bontea.rloo
    assert get_estimator(bontea.tea) is bontea.tea


@pytest.mark.parametrize(
    ("name", "near"),
    [("tee", "tea"), ("prefix-tea", "prefix_tea"), ("max@k", "max_at_k"), ("GRPO", None)],
)
def test_near_miss(name, near):
    with pytest.raises(ValueError, match="unknown estimator") as error:
        get_estimator(name)
    message = str(error.value)
    assert repr(name) in message
    assert all(key in message for key in ADVANTAGES)
    if near:
        assert f"did you mean {near!r}?" in message


def test_far_miss_does_not_guess():
    with pytest.raises(ValueError, match=r"unknown estimator 'xyzzy'\. Known:"):
        get_estimator("xyzzy")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("no_such_module:f", "there is no module 'no_such_module'"),
        ("bontea.advantages:no_such_function", "bontea.advantages has no 'no_such_function'"),
    ],
)
def test_module_that_does_not_load(path, why):
    with pytest.raises(ValueError, match=f"estimator '{path}': .*{why}"):
        get_estimator(path)


ADVANTAGE = np.array([[3.0, -4.0, 0, 0], [0, 0, 0, 0], [10, 10, -10, -10]])


def test_scale_by_batch():
    got = scale_advantages(ADVANTAGE, by="batch", eps=0)
    np.testing.assert_allclose(got, ADVANTAGE / np.sqrt(425 / 12))
    assert np.array_equal(scale_advantages(ADVANTAGE, eps=0), got)


def test_scale_by_group():
    got = scale_advantages(ADVANTAGE, by="group")
    expected = ADVANTAGE / np.sqrt([[25 / 4], [1], [100]])
    np.testing.assert_allclose(got, expected)
    order = np.random.default_rng(0).permutation(12)
    groups = np.repeat(["b", "a", "c"], 4)
    flat = scale_advantages(ADVANTAGE.ravel()[order], groups[order], by="group")
    np.testing.assert_allclose(flat, expected.ravel()[order])


def test_scale_none_and_zeros():
    assert np.array_equal(scale_advantages(ADVANTAGE, by="none"), ADVANTAGE)
    assert np.array_equal(scale_advantages(np.zeros((2, 4))), np.zeros((2, 4)))
    with pytest.raises(ValueError, match="by='prompt'"):
        scale_advantages(ADVANTAGE, by="prompt")


def test_scale_keeps_torch():
    torch = pytest.importorskip("torch")
    for by in ("batch", "group", "none"):
        got = scale_advantages(torch.tensor(ADVANTAGE, dtype=torch.float32), by=by)
        assert got.dtype == torch.float32
        np.testing.assert_allclose(got.numpy(), scale_advantages(ADVANTAGE, by=by), rtol=1e-5)


@pytest.mark.parametrize("library", LIBRARIES[:2])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int64"])
def test_scale_computes_in_32_bits(library, dtype):
    """300 squared does not fit float16; integers have no mean."""
    if library == "numpy" and dtype == "bfloat16":
        return
    for by in ("batch", "group"):
        got = scale_advantages(make(library, [[300, -300], [300, -300]], dtype), by=by)
        np.testing.assert_allclose(back(got), [[1, -1], [1, -1]], rtol=1e-2)
        assert dtype == "int64" or str(got.dtype).removeprefix("torch.") == dtype
