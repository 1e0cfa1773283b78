"""inference_aware: the derivation on tiny policies, its laws, and what it refuses."""

import itertools

import numpy as np
import pytest
from tests.libraries import LIBRARIES, back, is_a, make

from bontea import advantages_for, reinforce
from bontea.advantages._inference_aware import inference_aware

FORMS = [True, False]


def binary_groups(m=9):
    """Every number of successes, from none to all, shuffled."""
    rng = np.random.default_rng(0)
    rows = [rng.permuted(np.arange(m) < passes) for passes in range(m + 1)]
    return np.array(rows, dtype=float)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum()


def gradient_of_pass_at_n(logits, wins, n, step=1e-5):
    """Central differences of `1 - (chance of a failure)^N` in the logits."""

    def value(x):
        return 1 - softmax(x)[wins == 0].sum() ** n

    eye = np.eye(len(logits)) * step
    return np.array([(value(logits + e) - value(logits - e)) / (2 * step) for e in eye])


@pytest.mark.parametrize("center", FORMS)
@pytest.mark.parametrize("n", [1, 2, 7.5, 40])
@pytest.mark.parametrize("passes", [1, 3, 7])
def test_is_the_gradient_of_pass_at_n(passes, n, center):
    """A group that holds each of 8 equally likely responses once is the policy itself."""
    wins = np.array([1.0] * passes + [0.0] * (8 - passes))
    logits = np.zeros(8)
    score = np.eye(8) - softmax(logits)  # row y: gradient of log pi(y)
    got = (inference_aware(wins, n=n, center=center)[:, None] * score).mean(0)
    np.testing.assert_allclose(got, gradient_of_pass_at_n(logits, wins, n), atol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_weights_under_best_of_n_sampling(n):
    """The published weights under best-of-N sampling, by all N-tuples of a policy of 5 responses.

    Then those weights, times how much oftener best-of-N draws a response, are the raw form.
    """
    logits, wins = np.array([0.3, -1.0, 0.8, 0.0, -0.4]), np.array([0, 1, 0, 1, 0])
    policy = softmax(logits)
    score = np.eye(5) - policy
    p = policy[wins == 0].sum()
    best_of_n = np.zeros(5)
    for draw in itertools.product(range(5), repeat=n):
        chosen = max(draw, key=lambda y: wins[y])  # the first success, else the first
        best_of_n[chosen] += policy[list(draw)].prod()
    of_winner, of_loser = n * p ** (n - 1) / (1 - p**n), n * p / (1 - p)
    weight = np.where(wins == 1, of_winner, of_loser)
    got = (best_of_n * weight) @ score
    np.testing.assert_allclose(got, gradient_of_pass_at_n(logits, wins, n), atol=1e-9)
    raw = np.where(wins == 1, n * p ** (n - 1) / (1 - p), n * p**n / (1 - p))
    np.testing.assert_allclose(best_of_n / policy * weight, raw, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 3.5, 128])
def test_by_hand(n):
    for group in binary_groups()[1:-1]:
        p = 1 - group.mean()
        raw = np.where(group == 1, n * p ** (n - 1) / (1 - p), n * p**n / (1 - p))
        np.testing.assert_allclose(inference_aware(group, n=n, center=False), raw, rtol=1e-12)
        np.testing.assert_allclose(
            inference_aware(group, n=n), n * p ** (n - 1) * (group - group.mean()), rtol=1e-12
        )
        np.testing.assert_allclose(
            raw - raw.mean(), inference_aware(group, n=n), rtol=1e-9, atol=1e-12 * raw.max()
        )


def test_n_of_one_is_reinforce():
    np.testing.assert_allclose(
        inference_aware(binary_groups(), n=1), reinforce(binary_groups()), atol=1e-15
    )


@pytest.mark.parametrize("center", FORMS)
@pytest.mark.parametrize("n", [1, 16, 1e9])
def test_laws(n, center):
    def f(rewards):
        return inference_aware(rewards, n=n, center=center)

    rewards = binary_groups()
    got = f(rewards)
    assert np.isfinite(got).all()
    assert (got[[0, -1]] == 0).all()
    assert not np.signbit(got[[0, -1]]).any()  # 0, not -0
    for row, a in zip(rewards, got, strict=True):
        for value in (0, 1):
            assert len(set(a[row == value])) <= 1
        assert (a[row == 1][:1] >= a[row == 0][:1]).all()  # success is never discouraged
    if center:
        np.testing.assert_allclose(got.sum(-1), 0, atol=1e-12)
    order = np.random.default_rng(1).permutation(rewards.shape[-1])
    np.testing.assert_array_equal(f(rewards[:, order]), got[:, order])
    np.testing.assert_array_equal(f(rewards.reshape(2, 5, -1)).reshape(got.shape), got)
    np.testing.assert_array_equal(f(rewards[3]), got[3])  # other groups do not matter
    assert f(np.zeros((0, 9))).shape == (0, 9)
    assert (f(np.ones((3, 1))) == 0).all()  # groups of one


@pytest.mark.parametrize("center", FORMS)
def test_missing_rollouts(center):
    rewards = binary_groups()
    holed = np.insert(rewards, 4, np.nan, axis=-1)
    got = inference_aware(holed, n=16, center=center)
    assert (got[:, 4] == 0).all()
    expected = inference_aware(rewards, n=16, center=center)
    np.testing.assert_array_equal(np.delete(got, 4, axis=-1), expected)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("center", FORMS)
def test_libraries_and_dtypes(library, dtype, center):
    rewards = binary_groups()
    got = inference_aware(make(library, rewards, dtype), n=16, center=center)
    assert is_a(library, got)
    if dtype.startswith("float"):
        assert dtype in str(got.dtype)
    expected = inference_aware(rewards, n=16, center=center)
    np.testing.assert_allclose(back(got), expected, atol=5e-3 if dtype == "float16" else 1e-5)


def test_under_jit():
    jax = pytest.importorskip("jax")
    got = jax.jit(lambda r: inference_aware(r, n=16))(make("jax", binary_groups()))
    np.testing.assert_allclose(back(got), inference_aware(binary_groups(), n=16), atol=1e-12)


def test_flat_batch():
    flat = advantages_for([1, 0, 1, 0], [0, 0, 7, 0], inference_aware, n=3)
    np.testing.assert_allclose(flat, np.array([2, -1, 0, -1]) / 3 * 3 * (2 / 3) ** 2)


@pytest.mark.parametrize(
    ("rewards", "n", "words"),
    [
        ([[0.0, 0.5, 1.0]], 8, "inference_aware needs 0/1 rewards, got 0.5"),
        ([[0, 2, 1]], 8, "0/1 rewards, got 2"),
        ([[0.0, -np.inf]], 8, "group 0 holds an infinite reward"),
        ([[0, 1]], 0.5, "deployment budget"),
        ([[np.nan, np.nan]], 8, "every reward is NaN"),
    ],
)
def test_bad_input(rewards, n, words):
    with pytest.raises(ValueError, match=words):
        inference_aware(rewards, n=n)
