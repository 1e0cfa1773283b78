"""TEA against a literal transcription, its documented bounds, and its words."""

import math
import warnings

import numpy as np
import pytest
from scipy.stats import norm

from bontea import GroupTooSmallError, expected_max, tail_coefficient, tea


def slow_tea(rewards, n, alpha, center=True):
    """One group, by the formulas and nothing else."""
    m = len(rewards)
    k = math.ceil(alpha * m - 1e-9)
    tail = sorted(rewards, reverse=True)[:k]
    r, mu = tail[-1], sum(tail) / k
    sd = math.sqrt(sum((x - mu) ** 2 for x in tail) / k)
    if tail[0] == tail[-1]:
        return np.zeros(m)
    if k == m:
        lam, s = 0.0, 1.0
    else:
        z = norm.isf(k / m)
        lam = norm.pdf(z) / (k / m)
        s = math.sqrt(1 + z * lam - lam**2)
    ct = (expected_max(n) - lam) / s
    out = []
    for x in rewards:
        value = (x - r) + ct / (2 * sd) * ((x - mu) ** 2 - (r - mu) ** 2)
        out.append(m / k * value if x >= r else 0.0)
    out = np.array(out)
    return out - out.mean() if center else out


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize(
    ("m", "alpha", "n"),
    [
        (9, 0.25, 128),
        (16, 0.25, 128),
        (17, 0.25, 512),
        (16, 0.5, 64),
        (10, 0.3, 2.5e6),
        (5, 1, 128),
        (64, 0.1, 33.3),
    ],
)
def test_transcription(m, alpha, n, center):
    rng = np.random.default_rng(m)
    rewards = np.concatenate(
        [rng.normal(size=(4, m)), rng.integers(0, 4, size=(4, m)), rng.exponential(size=(4, m))]
    )
    expected = [slow_tea(row.tolist(), n, alpha, center) for row in rewards]
    got = tea(rewards, n=n, alpha=alpha, center=center)
    np.testing.assert_allclose(got, expected, atol=1e-11 * np.abs(expected).max())


def test_defaults_are_a_quarter_centred():
    rewards = np.random.default_rng(0).normal(size=(2, 16))
    assert np.array_equal(tea(rewards, n=99), tea(rewards, n=99, alpha=0.25, center=True))


def test_boundary_rollout_gets_0():
    rewards = np.random.default_rng(0).normal(size=(5, 16))
    raw = tea(rewards, n=128, center=False)
    order = np.argsort(-rewards)
    assert (np.take_along_axis(raw, order[:, 3:], axis=1) == 0).all()
    assert (np.take_along_axis(raw, order[:, :3], axis=1) != 0).all()


def test_n_matters():
    rewards = np.random.default_rng(0).normal(size=(1, 16))
    best = [tea(rewards, n=n).max() for n in (16, 64, 128, 512)]
    assert np.all(np.diff(best) > 0.1)


def test_documented_bound():
    """|A| <= (M/k) (R_max - r) (1 + ct sqrt(k)), however the tail is spread."""
    rng = np.random.default_rng(0)
    spread = 10.0 ** rng.uniform(-9, 6, size=(500, 16))
    for dtype in ("float32", "float64"):
        rewards = (rng.normal(size=(500, 16)) * spread).astype(dtype)
        raw = tea(rewards, n=1e6, center=False)
        ordered = np.sort(rewards.astype(float), axis=-1)
        limit = 4 * (ordered[:, -1] - ordered[:, -4]) * (1 + tail_coefficient(1e6, 0.25) * 2)
        assert (np.abs(raw).max(-1) <= limit * 1.001).all()


def test_nearly_tied_tail_is_floored():
    """Tail differences below 1e-6 of the group's range are not blown up to full weight."""
    rewards = np.linspace(-1, 0, 16)[None].copy()
    rewards[0, -4:] = np.array([0, 1, 2, 3]) * 1e-12
    raw = tea(rewards, n=128, center=False)
    assert (raw >= 0).all()
    # With sd at its floor, far above the gaps, the quadratic part vanishes.
    np.testing.assert_allclose(raw[0, -4:], 4e-12 * np.arange(4), rtol=1e-4)
    at_floor = rewards.copy()
    at_floor[0, -4:] *= 1e9  # sd is then far above the floor
    shares = tea(at_floor, n=128, center=False)[0, -4:] / at_floor[0, -1]
    assert shares[1] < 0 < shares[3]


def test_k_below_3_is_refused_with_a_remedy():
    with pytest.raises(GroupTooSmallError) as error:
        tea(np.zeros((2, 8)), n=128)
    message = str(error.value)
    assert "8 rollouts" in message
    assert "leave 2" in message
    assert "at least 9 rollouts" in message
    assert "0.25" in message


@pytest.mark.parametrize(("m", "alpha"), [(8, 0.25), (16, 0.1), (5, 0.3), (33, 0.05), (3, 0.5)])
def test_the_remedy_works(m, alpha):
    """The sizes the message names are enough, and one less is not."""
    import re

    with pytest.raises(GroupTooSmallError) as error:
        tea(np.zeros((2, m)), n=1000, alpha=alpha)
    enough = int(re.search(r"at least (\d+) rollouts", str(error.value))[1])
    rng = np.random.default_rng(0)
    assert tea(rng.normal(size=(2, enough)), n=1000, alpha=alpha).any()
    with pytest.raises(GroupTooSmallError):
        tea(np.zeros((2, enough - 1)), n=1000, alpha=alpha)
    fraction = float(re.search(r"fraction of at least ([\d.]+)", str(error.value))[1])
    assert tea(rng.normal(size=(2, m)), n=1000, alpha=fraction).any()


def test_small_n_warns():
    rewards = np.random.default_rng(0).normal(size=(2, 16))
    with pytest.warns(UserWarning, match=r"n=2 is too small for a tail of 4 in 16"):
        tea(rewards, n=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tea(rewards, n=16)


def test_exact_tail_statistics():
    """On rewards 0, 1, 2 with alpha = 1: mean 1, sd sqrt(2/3), r = 0, ct_N = c_N."""
    c, sd = expected_max(50), math.sqrt(2 / 3)
    got = tea([[0.0, 1.0, 2.0]], n=50, alpha=1, center=False)[0]
    np.testing.assert_allclose(got, [0, 1 - c / (2 * sd), 2], atol=1e-12)
