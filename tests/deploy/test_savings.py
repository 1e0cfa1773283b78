"""The quick simulation of a report: a bounded part of the rollouts, repeatable; what is missing."""

import numpy as np
import pytest

from bontea import BonteaError
from bontea.deploy import quick_savings, simulate
from bontea.deploy.savings import MOST_MODELS, MOST_REWARDS
from bontea.rollouts import as_rollouts


def draw(prompts, m, seed=0):
    rng = np.random.default_rng(seed)
    scale = np.exp(0.4 * rng.normal(size=(prompts, 1)))
    return as_rollouts(rng.normal(size=(prompts, 1)) + scale * rng.normal(size=(prompts, m)))


def one(rollouts, seed=0):
    return quick_savings({"a": rollouts}, seed=seed)["a"]


@pytest.mark.parametrize(
    ("prompts", "m", "used"),
    [
        (20, 32, (20, 32)),
        (24, 768, (24, 512)),
        (100, 64, (100, 64)),
        (1000, 64, (100, 64)),
        (100, 512, (100, 128)),
        (50, 300, (50, 256)),
        (3, 5000, (3, 512)),
    ],
)
def test_a_bounded_part_is_used(prompts, m, used, monkeypatch):
    given = []

    def record(rollouts, *, orders, **arguments):
        given.append(rollouts)
        assert 8 <= orders <= 40
        assert orders * len(rollouts.rewards) <= 8 * MOST_REWARDS
        raise BonteaError("enough")

    monkeypatch.setattr("bontea.deploy.savings.simulate", record)
    whole = draw(prompts, m)
    one(whole)
    (part,) = given
    assert (len(part), int(part.counts.min()), int(part.counts.max())) == (
        used[0],
        used[1],
        used[1],
    )
    assert len(part.rewards) <= MOST_REWARDS
    rows = [set(whole.group(p).tolist()) for p in range(prompts)]
    for p in range(len(part)):
        own = set(part.group(p).tolist())
        assert sum(own <= row for row in rows) == 1  # rewards of one prompt stay together


def solved(prompts, m):
    """0/1 rewards, which take little time."""
    rng = np.random.default_rng(0)
    return as_rollouts((rng.random((prompts, m)) < rng.beta(0.4, 2, size=(prompts, 1))) * 1.0)


def test_models_share_the_time_and_the_rest_are_named():
    found = quick_savings({str(i): solved(200, 200) for i in range(MOST_MODELS + 2)})
    sizes = [f.prompts[0] * f.rollouts[0] for f in found.values()]
    assert sum(sizes) <= MOST_REWARDS
    assert [f.simulation is None for f in found.values()] == [False] * MOST_MODELS + [True] * 2
    assert found[str(MOST_MODELS)].missing == "only the first 3 models of a report are simulated"


def test_the_same_seed_repeats_and_the_result_is_that_of_simulate():
    data = draw(12, 16)
    a, b, c = (one(data, seed) for seed in (0, 0, 1))
    assert a.to_dict() == b.to_dict() != c.to_dict()
    assert a.whole
    quick, slow = a.simulation, simulate(data, rng=0)
    for x, y in zip(quick.outcomes, slow.outcomes, strict=True):
        assert max(x.saving_low, y.saving_low) < min(x.saving_high, y.saving_high)
    assert quick.orders == slow.orders
    assert quick.verdict == slow.verdict


def test_unscored_rollouts_and_small_prompts():
    rows = [row.tolist() for row in draw(20, 32).table()]
    rows[0][3:9] = [None] * 6
    found = one(as_rollouts([*rows, [0.1, 0.2], [None] * 32]))
    assert found.prompts == (20, 20)
    assert found.rollouts == (32, 32)
    assert "2 of 22 prompts are left out" in found.simulation.warnings[0]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[0.1, 0.2]] * 5, "there are 2 rollouts of a prompt, and at least 16 are needed"),
        (
            [[0.1] * 12, [0.2] * 20, [0.3] * 20],
            "there are 12 rollouts of the prompt with the fewest, and at least 16 are needed",
        ),
        ([[0.1] * 64] * 2, "2 prompts can be used, and 3 are needed"),
        ([[None] * 64] * 20, "0 prompts can be used, and 3 are needed"),
    ],
)
def test_what_is_missing_is_said(rows, said):
    found = one(as_rollouts(rows))
    assert found.simulation is None
    assert found.missing.startswith(said)


def test_no_models_and_bad_seeds():
    assert quick_savings({}) == {}
    for seed in (-1, 0.5, True, None):
        with pytest.raises(BonteaError, match=f"seed={seed} must be a whole number"):
            quick_savings({}, seed=seed)
