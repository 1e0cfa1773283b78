"""L-TEA: the optimum its weights claim to be, and unbiasedness by an independent simulation."""

import numpy as np
import pytest
from scipy import stats
from tests.statistics import assert_mean, gradient

from bontea import GroupTooSmallError, expected_max, linear_tea
from bontea.advantages._linear_tea import linear_weights
from bontea.tails.order_statistics import product_moments


def constraints(m, k, rows, tail):
    """G, b1, b2 of the definition."""
    count = k if rows == "tail" else m
    second, location, scale = product_moments(m, count, k, tail)
    return second[:k], location, scale


@pytest.mark.parametrize(
    ("rows", "tail"),
    [("tail", "normal"), ("all", "normal"), ("tail", "gp(-0.2)"), ("all", "lognormal(0.2)")],
)
@pytest.mark.parametrize(("m", "k", "n"), [(9, 3, 64), (16, 4, 128), (16, 8, 512), (40, 10, 1e4)])
def test_weights_are_the_constrained_optimum(m, k, n, rows, tail):
    w = linear_weights(m, k, n, rows, False, tail)
    g, b1, b2 = constraints(m, k, rows, tail)
    assert w.shape == b1.shape
    np.testing.assert_allclose(w.sum(1), 0, atol=1e-8 * np.abs(w).max())
    assert (w * b1).sum() == pytest.approx(m, rel=1e-9)
    assert (w * b2).sum() == pytest.approx(m * expected_max(n, tail), rel=1e-9)
    # Any feasible step away costs variance: the objective's gradient lies in the span of the
    # constraints, so it is orthogonal to every direction that keeps them.
    rng = np.random.default_rng(0)
    basis = np.stack([b1.ravel(), b2.ravel()])
    projector = np.eye(k) - 1 / k
    span = np.linalg.qr((basis.reshape(2, -1, k) @ projector).reshape(2, -1).T)[0]
    for _ in range(20):
        d = (rng.normal(size=w.shape) @ projector).ravel()
        d = (d - span @ (span.T @ d)).reshape(w.shape)
        slope = np.einsum("ij,jl,il->", w, g, d)
        assert abs(slope) < 1e-7 * np.linalg.norm(w @ g) * np.linalg.norm(d)


def slow(r, w, center):
    """One group without ties, ranks by hand."""
    order = np.argsort(-r)
    a = np.zeros(len(r))
    for rank in range(len(w)):
        a[order[rank]] = sum(w[rank, j] * r[order[j]] for j in range(w.shape[1]))
    return a - a.mean() if center else a


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("rows", ["tail", "all"])
def test_literal_transcription(rows, center):
    r = np.random.default_rng(0).normal(size=(5, 17)) + 3
    got = linear_tea(r, n=128, alpha=0.3, rows=rows, center=center)
    w = linear_weights(17, 6, 128.0, rows, center)
    np.testing.assert_allclose(got, [slow(row, w, center) for row in r], atol=1e-10)


def test_ties_share_the_mean_of_their_ranks():
    r = np.array([3.0, 1.0, 3.0, 0.0, 2.0, 1.0, -1.0, 5.0, 0.5])
    jitter = np.random.default_rng(0).permuted(np.tile(np.arange(9) * 1e-9, (2000, 1)), axis=1)
    mean = linear_tea(r + jitter, n=128, alpha=0.6).mean(0)
    np.testing.assert_allclose(linear_tea(r, n=128, alpha=0.6), mean, atol=0.5)
    got = linear_tea(r, n=128, alpha=0.6)
    assert got[0] == got[2]
    assert got[1] == got[5]


def body(kind, z):
    """Rewards with a normal upper half and another lower one, and the scores of that law."""
    if kind == "normal":
        return z
    low = z < 0
    rng = np.random.default_rng(5)
    if kind == "exponential":
        return np.where(low, -rng.exponential(size=z.shape), z)
    return np.where(low, -1.0, z)  # half the mass in one atom


@pytest.mark.parametrize("rows", ["tail", "all"])
@pytest.mark.parametrize(("m", "n"), [(9, 64), (16, 128)])
def test_unbiased_centred_on_normal_rewards(m, n, rows):
    """To within 5 standard errors, which are at most 1.5 % of the gradient."""
    rng = np.random.default_rng(0)
    s = []
    for _ in range(50):
        z = rng.standard_normal((8000, m))
        s.append(gradient(linear_tea(z, n=n, alpha=0.3, rows=rows), z))
    s = np.concatenate(s)
    assert_mean(s[:, 0], 1.0, 0.05)
    assert_mean(s[:, 1], expected_max(n), 0.03 * expected_max(n))


@pytest.mark.parametrize("kind", ["normal", "exponential", "atom"])
@pytest.mark.parametrize(("m", "n"), [(16, 128), (32, 512)])
def test_unbiased_whatever_the_body_does(m, n, kind):
    """Raw form, gradient (1, c_N) to within 5 standard errors, which are at most 1.5 % of it.

    The scores are those of the normal tail: moving or stretching the tail moves only the upper
    part, and the rows of the lower part are zero. False-fail rate 5.7e-7 for each component.
    """
    rng = np.random.default_rng(0)
    parts = []
    for _ in range(40):
        z = rng.standard_normal((4000, m))
        a = linear_tea(body(kind, z), n=n, center=False)
        parts.append(gradient(a, z))
    s = np.concatenate(parts)
    assert_mean(s[:, 0], 1.0, 0.05)
    assert_mean(s[:, 1], expected_max(n), 0.05 * expected_max(n))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: linear_tea(r, n=128, rows="some"), "rows='some'"),
        (lambda r: linear_tea(r, n=128, tail="cauchy"), "tail='cauchy'"),
        (lambda r: linear_tea(r, n=128, tail="gp"), "gp needs one number from -0.49 to 0.25"),
        (lambda r: linear_tea(r, n=128, tail="gp(.1)", rows="all"), "use rows='tail'"),
        (lambda r: linear_tea(r, n=0.5), "n=0.5"),
    ],
)
def test_bad_parameters(call, words):
    with pytest.raises(ValueError, match=words):
        call(np.zeros((2, 16)))


def other_tails(kind, x):
    """Rewards whose upper half has another tail, and the scores of a shift and a stretch of it."""
    t = stats.norm.sf(x)
    if kind == "exponential":
        z = -np.log(t)
        return z, np.ones_like(z), z - 1
    if kind == "gp(-0.2)":
        z = (t**0.2 - 1) / -0.2
        psi = 0.8 / (1 - 0.2 * z)
        return z, psi, z * psi - 1
    z = np.expm1(-0.3 * x) / -0.3
    psi = (np.log1p(-0.3 * z) / -0.3 - 0.3) / (1 - 0.3 * z)
    return z, psi, z * psi - 1


@pytest.mark.parametrize("kind", ["exponential", "gp(-0.2)", "lognormal(-0.3)"])
def test_unbiased_under_other_tails(kind):
    """Raw form, the lower quarter in an atom: gradient (1, c_N) to 5 standard errors."""
    rng = np.random.default_rng(0)
    parts = []
    for _ in range(40):
        x = rng.standard_normal((4000, 16))
        z, location, scale = other_tails(kind, x)
        a = linear_tea(np.where(x > -0.7, z, -5.0), n=128, tail=kind, center=False)
        parts.append(np.stack([(a * location).mean(-1), (a * scale).mean(-1)], axis=-1))
    s = np.concatenate(parts)
    assert_mean(s[:, 0], 1.0, 0.08)
    c = expected_max(128, kind)
    assert_mean(s[:, 1], c, 0.08 * c)


def test_the_tail_matters():
    """A wrong tail aims elsewhere: the weights differ by more than any rounding."""
    normal, other = (linear_weights(16, 4, 128.0, tail=t) for t in ("normal", "gp(-0.2)"))
    assert np.abs(normal - other).max() > 0.1 * np.abs(normal).max()


def test_too_small():
    with pytest.raises(GroupTooSmallError, match="at least 9 rollouts"):
        linear_tea(np.zeros((2, 8)), n=128)
