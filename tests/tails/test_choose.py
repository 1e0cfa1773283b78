"""The largest tail fraction a batch supports: its statistics, its level, and what it refuses."""

import numpy as np
import pytest
from tests.libraries import make

from bontea import calibrate_tail, check_tail, choose_alpha
from bontea.tails import expected_scores, get_tail
from bontea.tails.choose import ALPHAS, Z_LIMIT, _statistics


def split(z, edge):
    """Normal above the edge, the rest far below; or, for None, everything under a ceiling."""
    return np.minimum(z, 0.5) if edge is None else np.where(z > edge, z, z - 6)


def slow(rewards, alphas=ALPHAS):
    """By the public checks: the best against the line, and the bend by its own mean and spread."""
    for alpha in alphas:
        check = check_tail(rewards, alpha=alpha)
        m, k = rewards.shape[-1], int(np.ceil(alpha * rewards.shape[-1]))
        bend = -np.sort(-rewards, -1)[:, :k] @ _quadratic(m, k)
        z = bend.mean() / (bend.std(ddof=1) / np.sqrt(len(bend)))
        if check.z >= Z_LIMIT and z >= Z_LIMIT:
            return alpha
    return None


def _quadratic(m, k):
    score = expected_scores(m)[::-1][:k]
    design = np.stack([np.ones(k), score, score**2])
    return np.linalg.pinv(design)[:, 2]  # the coefficient of the square in a quadratic fit


def test_against_the_checks_it_is_made_of():
    rng = np.random.default_rng(0)
    seen = set()
    for edge in (-9, -0.6, -0.3, 0.2, 0.4, None):
        for _ in range(10):
            rewards = split(rng.normal(size=(40, 16)), edge)
            got = choose_alpha(rewards)
            assert got == slow(rewards)
            seen.add(got)
    assert seen == {0.75, 0.5, 0.25, None}


def test_level():
    """Under the tail law a fraction passes about four times in five, at every batch size."""
    rng = np.random.default_rng(1)
    for prompts in (6, 64):
        passed = np.mean(
            [choose_alpha(rng.normal(size=(prompts, 16)), alphas=[0.5]) == 0.5 for _ in range(400)]
        )
        assert 0.70 < passed < 0.90


def test_power():
    """A mixture that fakes a wide normal law: half at 0, half far below and wide."""
    rng = np.random.default_rng(2)
    for prompts, least in ((6, 0.5), (64, 0.95)):  # few prompts see less
        wide = rng.random((200, prompts, 16)) < 0.5
        rewards = np.where(wide, rng.normal(-8, 4, wide.shape), rng.normal(0, 0.1, wide.shape))
        refused = np.mean([choose_alpha(batch, alphas=[0.75, 0.5]) is None for batch in rewards])
        assert refused >= least


def test_other_tails_and_other_sizes():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(600, 24))
    rewards = get_tail("exponential").value(x) * rng.uniform(0.5, 2, size=(600, 1))
    assert choose_alpha(rewards) == 0.75  # heavier than normal: the promise is kept
    assert choose_alpha(rewards, tail="exponential") in (0.75, 0.5)
    assert choose_alpha(rewards, tail="gp(0.25)") is None  # lighter than that
    assert abs(calibrate_tail(rewards, family="gp").parameter) < 0.2
    rewards[::2, 12:] = np.nan  # ragged
    rewards[::3, 2:] = np.nan  # too small for any tail: no part in it
    assert choose_alpha(rewards, tail="exponential") is not None
    assert choose_alpha(rewards[::3]) is None


@pytest.mark.parametrize(
    "rewards",
    [np.zeros((9, 16)), np.arange(16.0)[None], np.arange(16.0), np.ones((4, 2))],
)
def test_nothing_to_check_supports_nothing(rewards):
    if rewards.shape[-1] < 3:
        with pytest.raises(ValueError, match="at least"):
            check_tail(rewards)
    assert choose_alpha(rewards) is None


@pytest.mark.parametrize(("edge", "chosen"), [(-9, 0.75), (0.25, 0.25), (1.5, None)])
def test_a_tail_that_ends_in_an_atom_is_refused(edge, chosen):
    """Normal above the edge, all the rest in one atom: the others are far above any line."""
    rng = np.random.default_rng(0)
    near, far = [], []
    for _ in range(20):
        z = rng.normal(size=(100, 64))
        near.append(choose_alpha(np.where(z > edge, z, edge)))
        far.append(choose_alpha(np.where(z > edge, z, min(edge, 0) - 3.0)))
    assert min(near.count(chosen), far.count(chosen)) >= 13
    if edge > 0:
        assert not {0.75, 0.5} & {*near, *far}


def test_binary_rewards_have_no_tail():
    rng = np.random.default_rng(0)
    for p in (0.01, 0.1, 0.5, 0.9):
        assert choose_alpha((rng.random((400, 16)) < p) * 1.0) is None


def test_torch():
    rewards = np.random.default_rng(0).normal(size=(64, 16))
    assert choose_alpha(make("torch", rewards, "float32")) == choose_alpha(rewards)


def test_statistics_see_no_location_and_no_scale():
    table = _statistics(16, ALPHAS, "normal").reshape(16, 3, 3)
    np.testing.assert_allclose(table.sum(0), 0, atol=1e-12)
    on_line = expected_scores(16)[::-1] @ table.reshape(16, -1)
    np.testing.assert_allclose(on_line.reshape(3, 3)[:, 1:], 0, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: choose_alpha(r, alphas=[0.5, 1.5]), "alpha=1.5 is not a tail fraction"),
        (lambda r: choose_alpha(r, alphas=0.5), "alphas=0.5 must be tail fractions to try"),
        (lambda r: choose_alpha(r, tail="cauchy"), "tail='cauchy' is not known"),
        (lambda r: choose_alpha(r + np.inf), "infinite reward"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call(np.zeros((2, 16)))


# A history


def test_a_history_counts_like_the_batch():
    """Of any group size, in any split; unscorable groups say nothing."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 16))
    for rewards in (z, np.minimum(z, 0.5), np.where(z > -0.5, z, z - 6)):
        whole = choose_alpha(rewards, history=np.zeros((0, 1)))
        for cut in (4, 100, 196):
            assert choose_alpha(rewards[:cut], history=rewards[cut:]) == whole
    nothing = np.full((5, 16), np.nan)
    assert choose_alpha(z, history=nothing) == choose_alpha(z, history=z[:0]) == 0.75
    wider = np.pad(z, ((0, 0), (0, 4)), constant_values=np.nan)
    assert choose_alpha(z[:4], history=wider) == choose_alpha(z[:4], history=z)
    assert choose_alpha(z[:4], history=rng.normal(size=(60, 9))) is not None


def test_large_fractions_wait_for_64_groups():
    z = np.random.default_rng(0).normal(size=(64, 16))
    assert choose_alpha(z[:60], history=z[60:63]) == 0.25
    assert choose_alpha(z[:60], history=z[60:]) == 0.75
    assert choose_alpha(z[:60], alphas=(0.5,), history=z[:0]) == 0.5  # the smallest of one
    assert choose_alpha(z[:1], history=z[:0]) is None


def test_with_a_history_the_limit_is_two_standard_errors():
    """The limits refuse the same mean shortfall, over 64 groups and over 256."""
    rng = np.random.default_rng(1)
    without = with_history = 0
    for _ in range(200):
        z = rng.normal(size=(64, 16))
        without += choose_alpha(z, alphas=(0.25,)) is None
        with_history += choose_alpha(z, alphas=(0.25,), history=z[:0]) is None
    assert 20 <= without <= 60  # one in five, give or take 5 standard errors
    assert with_history <= 20
