"""The door for reward arrays: what it takes, what it refuses, and with which words."""

import numpy as np
import pytest
from tests.libraries import back, is_a, make

import bontea
from bontea._arrays import as_rewards, check_alpha, check_k, check_n, per_group, to_numpy
from bontea._errors import BonteaError


def test_nested_lists_with_none():
    got = bontea.reinforce([[1, None, 3.0], [2, 2, 5]])
    np.testing.assert_allclose(got, [[-1, 0, 1], [-1, -1, 2]])


@pytest.mark.parametrize("rewards", [[[1.0, 2.0], [3.0]], [["a", "b"]], "rewards"])
def test_not_an_array(rewards):
    with pytest.raises((ValueError, TypeError), match=r"ragged|real numbers"):
        bontea.reinforce(rewards)


def test_ragged_names_the_remedy():
    with pytest.raises(ValueError, match=r"pad with NaN, or call advantages_for"):
        bontea.reinforce([[1.0, 2.0], [3.0]])


def test_complex_is_refused():
    with pytest.raises(TypeError, match="complex128"):
        bontea.reinforce(np.ones((2, 3), complex))


@pytest.mark.parametrize("rewards", [1.0, np.ones((3, 0)), np.float64(2)])
def test_no_rollouts(rewards):
    with pytest.raises(ValueError, match="the last axis is rollouts"):
        bontea.reinforce(rewards)


def test_torch_graph_is_left_behind():
    torch = pytest.importorskip("torch")
    rewards = torch.randn(3, 16, requires_grad=True)
    got = bontea.tea(rewards * 2, n=128)
    assert not got.requires_grad
    assert to_numpy(rewards).dtype == np.float64


def test_torch_default_dtype_of_integers():
    torch = pytest.importorskip("torch")
    torch.set_default_dtype(torch.float64)
    try:
        assert bontea.rloo(torch.tensor([[1, 2, 3]])).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("reinforce", {}),
        ("rloo", {}),
        ("grpo", {}),
        ("max_at_k", {"k": 3}),
        ("best_of_n_max_second", {}),
        ("tea", {"n": 128}),
        ("prefix_tea", {"n": 128, "rng": 0, "permutations": 2, "prefixes": 2}),
    ],
)
def test_jax(name, params):
    """Eager with missing rollouts, and the same complete groups under jit."""
    jax = pytest.importorskip("jax")
    function = bontea.ADVANTAGES[name]
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(3, 16))
    np.testing.assert_allclose(
        back(jax.jit(lambda r: function(r, **params))(make("jax", rewards))),
        function(rewards, **params),
        rtol=1e-9,
        atol=1e-9,
    )
    rewards = rewards.astype("float32")
    rewards[:, 4:6] = np.nan
    got = function(make("jax", rewards, "float32"), **params)
    assert is_a("jax", got)
    assert got.dtype == "float32"
    np.testing.assert_allclose(back(got), function(rewards, **params), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int32", "bool"])
def test_jax_dtypes(dtype):
    rewards = make("jax", [[0, 1, 1, 0], [1, 1, 1, 0]], dtype)
    got = bontea.reinforce(rewards)
    assert str(got.dtype) == (dtype if "float" in dtype else "float64")
    np.testing.assert_array_equal(back(got), [[-0.5, 0.5, 0.5, -0.5], [0.25, 0.25, 0.25, -0.75]])


def test_group_statistics_keep_their_rows():
    """A row per group, in the place of its group, and `missing` where the group is too small."""
    rewards = np.array([[1.0, 2, 3], [4, np.nan, np.nan], [np.nan, 5, 7], [np.nan] * 3])
    got = per_group(rewards, lambda r, xp: xp.sum(r, axis=-1), per_rollout=False, missing=-1.0)
    np.testing.assert_array_equal(got, [6, 4, 12, -1])


@pytest.mark.parametrize("n", [0, 0.5, -3, float("nan"), float("inf"), True, "128", None])
def test_bad_n(n):
    with pytest.raises(ValueError, match=r"n=.*deployment budget.*at least 1"):
        check_n(n)
    with pytest.raises(ValueError, match="deployment budget"):
        bontea.tea(np.zeros((2, 16)), n=n)


@pytest.mark.parametrize("alpha", [0, -0.1, 1.01, float("nan"), True, "0.25", None])
def test_bad_alpha(alpha):
    with pytest.raises(ValueError, match=r"alpha=.*tail fraction.*at most 1"):
        check_alpha(alpha)
    with pytest.raises(ValueError, match="tail fraction"):
        bontea.prefix_tea(np.zeros((2, 16)), n=8, alpha=alpha)


@pytest.mark.parametrize("k", [0, -1, 2.0, 1.5, True, None, "4"])
def test_bad_k(k):
    with pytest.raises(ValueError, match=r"k=.*whole number"):
        check_k(k)
    with pytest.raises(ValueError, match="whole number"):
        bontea.max_at_k(np.zeros((2, 16)), k=k)


@pytest.mark.parametrize("value", [1, 1.0, np.float32(128), np.int64(3)])
def test_numbers_of_any_kind(value):
    assert check_n(value) == value
    assert as_rewards([value]).shape == (1,)


@pytest.mark.parametrize("dtype", [float, np.float32, int])
def test_masked_rewards_are_missing(dtype):
    rewards = np.random.default_rng(0).integers(0, 9, size=(6, 16)).astype(dtype)
    mask = rewards == 4
    masked = np.ma.array(rewards, mask=mask)
    want = np.where(mask, np.nan, rewards.astype(float))
    np.testing.assert_array_equal(to_numpy(masked), want)
    np.testing.assert_array_equal(to_numpy(list(masked)), want)
    np.testing.assert_array_equal(bontea.as_rollouts(masked).rewards, want.ravel())
    np.testing.assert_array_equal(bontea.as_rollouts(list(masked)).rewards, want.ravel())
    np.testing.assert_allclose(bontea.rloo(masked), bontea.rloo(want), rtol=1e-5)
    assert not np.ma.isMaskedArray(bontea.rloo(masked))


@pytest.mark.parametrize(
    "rewards",
    [
        np.ones((2, 3)) + 1j,
        [[np.complex64(1 + 1j), 1]],
        [[1 + 1j, 1]],
        [[10**400, 1]],
    ],
)
def test_numbers_that_no_reward_can_be(rewards):
    for door in (bontea.as_rollouts, bontea.rloo):
        with pytest.raises((BonteaError, TypeError), match=r"real numbers|not a number|numeric"):
            door(rewards)
