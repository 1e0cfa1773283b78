"""reward_kind: every kind is named from samples large and small, and told what to use."""

import dataclasses

import numpy as np
import pytest
from tests.libraries import make

from bontea import GroupTooSmallError
from bontea.tails.kind import reward_kind


def simulate(law, shape, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=shape)
    return {
        "normal": z,
        "heavy": np.exp(2 * z),
        "prompts differ": z + 10 * rng.normal(size=(*shape[:-1], 1)),
        "two decimals": z.round(2),
        "floor of 1 %": np.maximum(z, -2.3),
        "pass": (rng.random(shape) < 0.2).astype(float),
        "sign": np.where(z > 0, 2.0, -1.0),
        "zero or speed": np.exp(z) * (rng.random(shape) < 0.4),
        "rarely speed": np.exp(z) * (rng.random(shape) < 0.1),
        "ceiling": np.minimum(z, 0.5),
        "clipped": np.clip(z, -1, 1),
        "grades": rng.integers(1, 11, size=shape),
        "tests passed": rng.binomial(7, rng.beta(0.5, 0.5, size=(*shape[:-1], 1)), shape) / 7,
        "zero or grade": rng.integers(1, 9, size=shape) * (rng.random(shape) < 0.4),
        "nothing": np.zeros(shape),
        "all the same": np.full(shape, -3.7),
    }[law]


KINDS = {
    "normal": "continuous",
    "heavy": "continuous",
    "prompts differ": "continuous",
    "two decimals": "continuous",
    "floor of 1 %": "continuous",
    "pass": "binary",
    "sign": "binary",
    "zero or speed": "mixed",
    "rarely speed": "mixed",
    "ceiling": "mixed",
    "clipped": "mixed",
    "grades": "discrete",
    "tests passed": "discrete",
    "zero or grade": "discrete",
    "nothing": "constant",
    "all the same": "constant",
}


@pytest.mark.parametrize("shape", [(64, 16), (8, 8), (4, 5, 16), (256,), (400, 1), (2000, 16)])
@pytest.mark.parametrize("law", KINDS)
def test_names(law, shape):
    assert reward_kind(simulate(law, shape)).name == KINDS[law]


@pytest.mark.parametrize("law", sorted(set(KINDS) - {"tests passed"}))  # one prompt may pass all
def test_one_group_of_64_is_enough(law):
    got = [reward_kind(simulate(law, (64,), seed)).name for seed in range(20)]
    # With 6 speeds expected, 4 % of such groups hold less than the 3 it takes.
    assert got.count(KINDS[law]) >= (17 if law == "rarely speed" else 20)


@pytest.mark.parametrize("law", KINDS)
def test_ragged_and_shuffled(law):
    rng = np.random.default_rng(1)
    rewards = simulate(law, (64, 16)).astype(float)
    rewards[rng.random(rewards.shape) < 0.4] = np.nan
    rewards[5] = np.nan
    kind = reward_kind(rewards)
    assert kind.name == KINDS[law]
    assert kind.rewards == (~np.isnan(rewards)).sum()
    assert kind.prompts == 63
    assert kind == reward_kind(rng.permuted(rewards, axis=1))
    assert kind == reward_kind(rng.permutation(rewards))


@pytest.mark.parametrize("law", KINDS)
def test_shift_and_scale_do_not_matter(law):
    """Except that only 0 and 1 are binary with a value which is not an atom."""
    kind, other = reward_kind(simulate(law, (64, 16))), reward_kind(simulate(law, (64, 16)) * 4 - 8)
    assert other.name == kind.name
    for field in ("atom_share", "above", "distinct", "clean_tails"):
        assert getattr(other, field) == getattr(kind, field)
    assert other.atom_value == kind.atom_value * 4 - 8


def test_fields():
    rewards = [[0, 0, 0.5, 2], [0, 0, 0, 1], [0, 0.25, 0, 4]]
    kind = reward_kind(rewards, alpha=0.5)
    assert kind.name == "mixed"
    assert (kind.atom_share, kind.atom_value, kind.above) == (7 / 12, 0, 5 / 12)
    assert (kind.distinct, kind.lowest, kind.highest) == (6, 0, 4)
    assert (kind.prompts, kind.m, kind.rewards) == (3, 4, 12)
    assert kind.clean_tails == 2 / 3  # the second tail is (1, 0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind.name = "binary"


@pytest.mark.parametrize("law", KINDS)
@pytest.mark.parametrize("alpha", [0.1, 0.25, 1])
def test_clean_tails_by_brute_force(law, alpha):
    rewards = simulate(law, (40, 16)).astype(float)
    rewards[::3, 11:] = np.nan
    flat = rewards[~np.isnan(rewards)].tolist()
    atoms = {v for v in flat if flat.count(v) >= max(3, 0.05 * len(flat))}
    clean = []
    for row in rewards:
        there = sorted(row[~np.isnan(row)])
        tail = there[-int(np.ceil(alpha * len(there) - 1e-9)) :]
        clean.append(len(set(tail)) == len(tail) and not set(tail) & atoms)
    kind = reward_kind(rewards, alpha=alpha)
    assert kind.clean_tails == np.mean(clean)
    above = [v > max(atoms) for v in flat] if atoms else [v > kind.atom_value for v in flat]
    assert kind.above == pytest.approx(np.mean(above))


@pytest.mark.parametrize(
    ("rewards", "name"),
    [
        ([0.5], "constant"),
        ([0, 1], "binary"),
        ([True, False], "binary"),
        ([0.3, 0.7], "continuous"),
        ([0, 0, 1, 1, 1, 0.5], "discrete"),  # a stray value beside 0 and 1
        ([2, 2, 2, 5, 5, 5], "binary"),
        ([2, 2, 2, 5], "discrete"),  # too few to call 5 an atom
        ([0, 0, 0, 0.2, 0.5, 0.9], "mixed"),
        ([0, 0, 0, 0.2, 0.5], "discrete"),  # too few outside the atom to be a continuous part
        ([0, 0, 0, 0.2, 0.2, 0.5, 0.9], "discrete"),
        ([1, 2, 2, 3], "discrete"),
        ([*range(19), 1.0], "continuous"),  # one equal pair of 190
        ([*range(13), 1.0], "discrete"),  # one of 91
        ([0] * 5 + list(range(1, 96)), "mixed"),  # an atom of exactly 5 %
        ([0] * 4 + list(range(1, 97)), "continuous"),
        ([None, 1.0, float("nan"), 1.0], "constant"),
    ],
)
def test_thresholds_and_small_samples(rewards, name):
    assert reward_kind(rewards).name == name
    assert reward_kind([rewards]).name == name


@pytest.mark.parametrize("library", ["torch", "jax"])
@pytest.mark.parametrize(
    ("law", "dtype"),
    [
        ("normal", "bfloat16"),
        ("normal", "float16"),
        ("zero or speed", "float32"),
        ("pass", "bool"),
        ("grades", "int32"),
        ("nothing", "uint8"),
    ],
)
def test_libraries_and_dtypes(library, law, dtype):
    assert reward_kind(make(library, simulate(law, (64, 16)), dtype)).name == KINDS[law]


def test_coarse_dtype_far_from_zero_is_discrete():
    """bfloat16 near 100 has steps of 1/2."""
    rewards = simulate("normal", (64, 16)) + 100
    assert reward_kind(rewards).name == "continuous"
    assert reward_kind(make("torch", rewards, "bfloat16")).name == "discrete"


@pytest.mark.parametrize(
    ("law", "words"),
    [
        ("pass", "; use pass_at_n for N beyond M, max_at_k or pass_at_k for k below M"),
        ("sign", "; map -1 to 0 and 2 to 1, then use pass_at_n for N beyond M, max_at_k or "),
        ("nothing", "; every estimator gives zeros until rewards differ"),
        ("normal", "; use linear_tea or tea, and check_tail"),
        ("grades", "; tail estimators assume a tail without ties: use max_at_k"),
        ("zero or speed", "with alpha well below 0.38, the share of rewards above it, or use "),
        ("rarely speed", "of 16 rollouts 1.6 are there on average: use max_at_k, or more rollouts"),
        ("ceiling", "; the best reward, 0.5, is an atom, so no tail is left above it: use max_at_"),
        ("clipped", "; the best reward, 1, is an atom"),
    ],
)
def test_says_what_to_use(law, words):
    text = str(reward_kind(simulate(law, (400, 16))))
    assert text.startswith(KINDS[law] + ": 6,400 rewards have ")
    assert words in text
    assert text.endswith(reward_kind(simulate(law, (400, 16))).message)


def test_advice_follows_the_tails():
    """A low atom does not matter to the tail; repeated responses do."""
    floor = np.maximum(simulate("normal", (64, 16)), -1.0)
    assert reward_kind(floor).name == "mixed"
    assert "use linear_tea or tea" in str(reward_kind(floor))
    rng = np.random.default_rng(0)
    repeats = np.take_along_axis(rng.normal(size=(64, 3)), rng.integers(0, 3, (64, 16)), axis=1)
    assert reward_kind(repeats).name == "continuous"
    assert "the policy repeats itself" in str(reward_kind(repeats))


def test_percentages_in_the_text():
    text = str(reward_kind([[0, 0, 0.5, 2], [0, 0, 0, 1], [0, 0.25, 0, 4]], alpha=0.5))
    assert "12 rewards have 6 values, the most frequent (0) 58.3 % of the time" in text
    assert "66.7 % of 3 tails (alpha = 0.5) are free of ties and atoms" in text


def test_bad_input():
    with pytest.raises(ValueError, match="group 1 holds an infinite reward"):
        reward_kind([[1.0, 2.0], [3.0, np.inf]])
    with pytest.raises(ValueError, match="tail fraction"):
        reward_kind([[1.0, 2.0]], alpha=0)
    with pytest.raises(GroupTooSmallError, match="every reward is NaN"):
        reward_kind([[np.nan, np.nan]])
    with pytest.raises(GroupTooSmallError, match="hold no prompt"):
        reward_kind(np.zeros((0, 16)))
