"""pass_at_n: unbiased over the prior by enumeration, its laws, and what it refuses."""

import itertools
import math

import numpy as np
import pytest
from scipy.special import betaln, roots_jacobi
from tests.libraries import LIBRARIES, back, is_a, make
from tests.statistics import assert_mean

from bontea import GroupTooSmallError, advantages_for, rloo
from bontea.advantages._pass_at_n import batch_prior, pass_at_n
from bontea.tails.beta_binomial import fit_beta

PRIOR = (0.3, 2.0)


def estimator(rewards):
    return pass_at_n(rewards, n=128, prior=PRIOR)


def binary_groups(m=9):
    """Every number of successes, from none to all, shuffled."""
    rng = np.random.default_rng(0)
    rows = [rng.permuted(np.arange(m) < passes) for passes in range(m + 1)]
    return np.array(rows, dtype=float)


def slow(group, n, a, b):
    """The formula, a rollout at a time."""
    group, out = list(group), []
    for i, reward in enumerate(group):
        others = group[:i] + group[i + 1 :]
        s, f = sum(others), len(others) - sum(others)
        weight = n * math.exp(betaln(a + s, b + f + n - 1) - betaln(a + s, b + f))
        out.append(weight * (reward - s / len(others)))
    return out


@pytest.mark.parametrize("prior", [(0.3, 2.0), (1, 1), (5, 0.01)])
@pytest.mark.parametrize("n", [1, 7.5, 128, 4096])
def test_by_hand(n, prior):
    for m in (2, 3, 16):
        rewards = binary_groups(m)
        expected = [slow(group, n, *prior) for group in rewards]
        np.testing.assert_allclose(pass_at_n(rewards, n=n, prior=prior), expected, rtol=1e-8)


def expected_gradient(n, m, prior, p, slope):
    """`E[(1/M) sum_i A_i S_i]` at each p, over all 2^m groups; S = (R - p)/(p (1-p)) slope."""
    groups = np.array(list(itertools.product([0.0, 1.0], repeat=m)))
    advantages = pass_at_n(groups, n=n, prior=prior)
    at = p[:, None, None]
    score = (groups - at) / (at * (1 - at)) * slope[:, None, None]
    chance = np.where(groups == 1, at, 1 - at).prod(-1)
    return (chance * (advantages * score).mean(-1)).sum(-1)


def beta_nodes(a, b):
    """Quadrature over Beta(a, b), exact for polynomials in p up to degree 399."""
    x, weight = roots_jacobi(200, b - 1, a - 1)
    return (1 + x) / 2, weight / weight.sum()


@pytest.mark.parametrize("prior", [(0.3, 2.0), (1.0, 1.0), (3.0, 0.5)])
@pytest.mark.parametrize(("m", "n"), [(2, 128), (5, 3), (6, 16), (6, 128)])
def test_is_right_on_average_over_the_prior(m, n, prior):
    """When dp/dtheta is the same for all p: exact, M < N or not."""
    p, weight = beta_nodes(*prior)
    got = weight @ expected_gradient(n, m, prior, p, np.ones_like(p))
    assert got == pytest.approx(weight @ (n * (1 - p) ** (n - 1)), rel=1e-9)


def test_of_one_prompt_it_is_biased():
    """The test above can fail: for a single p there is no unbiased estimator."""
    p = np.array([0.01, 0.2])
    got = expected_gradient(128, 6, PRIOR, p, np.ones_like(p))
    truth = 128 * (1 - p) ** 127
    assert (np.abs(got / truth - 1) > 0.2).all()


@pytest.mark.parametrize("prior", [(0.3, 2.0), (1.0, 1.0)])
def test_size_biased_prior_for_a_shared_logit(prior):
    """When dp/dtheta = p (1-p), (a+1, b+1) is exact and (a, b) too long."""
    a, b = prior
    p, weight = beta_nodes(a, b)
    slope = p * (1 - p)
    truth = weight @ (128 * (1 - p) ** 127 * slope)
    biased = weight @ expected_gradient(128, 6, (a + 1, b + 1), p, slope)
    plain = weight @ expected_gradient(128, 6, (a, b), p, slope)
    assert biased == pytest.approx(truth, rel=1e-9)
    assert plain > 2 * truth


def test_is_right_on_average_by_simulation():
    """M = 8, N = 40, p ~ Beta(2, 3). False-fail rate 5.7e-7."""
    rng = np.random.default_rng(0)
    p = rng.beta(2, 3, size=(400_000, 1))
    rewards = (rng.random((len(p), 8)) < p).astype(float)
    score = (rewards - p) / (p * (1 - p))
    gradients = (pass_at_n(rewards, n=40, prior=(2, 3)) * score).mean(-1)
    truth = 40 * math.exp(betaln(2, 3 + 39) - betaln(2, 3))
    assert_mean(gradients, truth, 0.1 * truth)


def test_batch_prior_is_the_fit_of_all_groups():
    rng = np.random.default_rng(0)
    rewards = (rng.random((3, 40, 12)) < rng.beta(*PRIOR, size=(3, 40, 1))).astype(float)
    rewards[rng.random(rewards.shape) < 0.3] = np.nan
    rewards[0, 0] = np.nan
    rewards[0, 1, 1:] = np.nan  # of one rollout: counts for the prior, gets zeros
    there = ~np.isnan(rewards)
    prior = fit_beta(np.nansum(rewards, -1), there.sum(-1))
    assert batch_prior(rewards) == prior
    got = pass_at_n(rewards, n=128)
    np.testing.assert_array_equal(got, pass_at_n(rewards, n=128, prior=prior))
    for row in [(0, 2), (2, 39)]:
        expected = slow(rewards[row][there[row]], 128, *prior)
        np.testing.assert_allclose(got[row][there[row]], expected, rtol=1e-8)
    assert (got[~there] == 0).all()
    assert (got[0, 1] == 0).all()


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "int32", "bool"])
def test_batch_prior_counts_exactly_in_every_dtype(library, dtype):
    if library == "numpy" and dtype == "bfloat16":
        pytest.skip("NumPy has no bfloat16")
    rewards = np.random.default_rng(0).random((20, 600)) < np.linspace(0, 1, 20)[:, None]
    assert batch_prior(make(library, rewards, dtype)) == batch_prior(rewards)


def test_what_gets_weight():
    """A rare success outweighs a common one, the more so the larger n is."""
    rewards = np.array([[1.0] + [0.0] * 15, [1.0] * 4 + [0.0] * 12])
    small, large = (pass_at_n(rewards, n=n, prior=PRIOR)[:, 0] for n in (4, 128))
    assert 1 < small[0] / small[1] < large[0] / large[1]


def test_n_of_one_is_rloo():
    rewards = binary_groups()
    np.testing.assert_allclose(pass_at_n(rewards, n=1), rloo(rewards), atol=1e-14)


def test_laws():
    rewards = binary_groups()
    got = estimator(rewards)
    assert np.isfinite(got).all()
    assert (got[[0, -1]] == 0).all()
    assert not np.signbit(got[[0, -1]]).any()  # 0, not -0
    assert (got[1:-1] != 0).all()
    for row, a in zip(rewards, got, strict=True):
        for value in (0, 1):
            assert len(set(a[row == value])) <= 1
        assert (a * (row - row.mean()) >= 0).all()  # success is never discouraged
    order = np.random.default_rng(1).permutation(rewards.shape[-1])
    np.testing.assert_array_equal(estimator(rewards[:, order]), got[:, order])
    np.testing.assert_array_equal(estimator(rewards.reshape(2, 5, -1)).reshape(got.shape), got)
    np.testing.assert_array_equal(estimator(rewards[3]), got[3])
    assert estimator(np.zeros((0, 9))).shape == (0, 9)
    assert pass_at_n(np.zeros((0, 9)), n=128).shape == (0, 9)
    whole = pass_at_n(rewards, n=128)  # with the prior of the batch, the same but for other groups
    np.testing.assert_array_equal(pass_at_n(rewards[:, order], n=128), whole[:, order])
    np.testing.assert_array_equal(pass_at_n(rewards[::-1], n=128), whole[::-1])


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("n", [1, 128, 1e9])
def test_a_batch_without_contrast_gets_zeros(n, value):
    assert np.array_equal(pass_at_n(np.full((6, 16), value), n=n), np.zeros((6, 16)))


@pytest.mark.parametrize("library", LIBRARIES)
def test_missing_rollouts(library):
    rewards = binary_groups()
    holed = np.insert(rewards, 4, np.nan, axis=-1)
    for f in (estimator, lambda r: pass_at_n(r, n=128)):
        got = back(f(make(library, holed)))
        assert (got[:, 4] == 0).all()
        np.testing.assert_allclose(np.delete(got, 4, axis=-1), f(rewards), rtol=1e-12)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("prior", ["batch", PRIOR])
def test_libraries_and_dtypes(library, dtype, prior):
    rewards = binary_groups()
    got = pass_at_n(make(library, rewards, dtype), n=128, prior=prior)
    assert is_a(library, got)
    if dtype.startswith("float"):
        assert dtype in str(got.dtype)
    expected = pass_at_n(rewards, n=128, prior=prior)
    np.testing.assert_allclose(
        back(got), expected, rtol=1e-3 if dtype == "float16" else 1e-6, atol=1e-7
    )


def test_under_jit():
    jax = pytest.importorskip("jax")
    rewards = make("jax", binary_groups())
    np.testing.assert_allclose(back(jax.jit(estimator)(rewards)), estimator(binary_groups()))
    with pytest.raises(ValueError, match=r"jax\.jit.*pass prior=\(a, b\)"):
        jax.jit(lambda r: pass_at_n(r, n=128))(rewards)


@pytest.mark.parametrize("n", [1e6, 1e9])
@pytest.mark.parametrize("prior", [(1e-6, 1e-6), (1e4, 1e-3), (1e-3, 1e4)])
def test_bounded(n, prior):
    got = pass_at_n(binary_groups(16).astype("float32"), n=n, prior=prior)
    assert np.isfinite(got).all()
    assert (np.abs(got) <= n).all()


def test_smallest_group_and_flat_batches():
    with pytest.raises(GroupTooSmallError, match="at least 2 rollouts per prompt, got 1"):
        estimator([[1.0], [0.0]])
    with pytest.raises(GroupTooSmallError, match="every reward is NaN"):
        pass_at_n(np.full((2, 3), np.nan), n=128)
    flat = advantages_for([1, 0, 1, 0, 1], [0, 0, 7, 0, 0], pass_at_n, n=8, prior=PRIOR)
    np.testing.assert_allclose(flat[[0, 1, 3, 4]], slow([1, 0, 0, 1], 8, *PRIOR), rtol=1e-6)
    assert flat[2] == 0


def test_input_is_left_alone():
    rewards = binary_groups()
    rewards[3, 2] = np.nan
    before = rewards.copy()
    pass_at_n(rewards, n=128)
    assert np.array_equal(rewards, before, equal_nan=True)


@pytest.mark.parametrize("prior", ["batch", PRIOR])
@pytest.mark.parametrize(
    ("rewards", "words"),
    [
        ([[0.0, 0.5, 1.0]], "pass_at_n needs 0/1 rewards, got 0.5"),
        ([[0, 2, 1]], "0/1 rewards, got 2"),
        ([[0.0, 1.0], [1.0, math.inf]], "group 1 holds an infinite reward"),
    ],
)
def test_bad_rewards(rewards, words, prior):
    with pytest.raises(ValueError, match=words):
        pass_at_n(rewards, n=128, prior=prior)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"n": 0}, "deployment budget"),
        ({"n": 8, "prior": "group"}, r"prior='group' must be 'batch' or two numbers"),
        ({"n": 8, "prior": None}, "prior=None must be 'batch' or two numbers"),
        ({"n": 8, "prior": 1.0}, "two numbers"),
        ({"n": 8, "prior": (1, 2, 3)}, "two numbers"),
        ({"n": 8, "prior": (0, 1)}, "a=0 is not.*positive finite"),
        ({"n": 8, "prior": (1, math.nan)}, "b=nan is not"),
        ({"n": 8, "prior": (1, math.inf)}, "b=inf is not"),
        ({"n": 8, "prior": ("1", 1)}, "a='1' is not"),
    ],
)
def test_bad_parameters(params, words):
    with pytest.raises(ValueError, match=words):
        pass_at_n([[0, 1, 1]], **params)
