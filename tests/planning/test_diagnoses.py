"""`diagnose`: a page that ends with what to do, from every kind of input, the same every time."""

import json
import warnings

import numpy as np
import pytest
from bontea.diagnosis.diagnose import TITLES

from bontea.diagnosis import diagnose
from bontea.rollouts.groups import Rollouts

NAN = np.nan


def rollouts(rng, prompts=40, m=16, lengths=True):
    rewards = rng.normal(size=(prompts, m))
    rewards[0, :4] = NAN
    long = 20 + 10 * rewards + rng.normal(size=rewards.shape)
    return Rollouts(
        rewards.ravel(),
        np.arange(0, prompts * m + 1, m),
        np.array([f"p{i}" for i in range(prompts)], object),
        lengths=np.nan_to_num(long, nan=20).ravel() if lengths else None,
    )


def test_the_page():
    d = diagnose(rollouts(np.random.default_rng(0)), n=128)
    page = str(d)
    assert page.startswith("40 prompts, 636 rewards, 16 of a prompt (median).")
    assert max(map(len, page.splitlines())) <= 100
    for name, title in TITLES.items():
        if getattr(d, name) is not None or name in d.skipped:
            assert f"\n{title} [" in page
    last = page.split("\n\n")[-1]
    assert last.startswith("RECOMMENDATION: adaptive_tea(n=128) with M = 16.")
    # Every number stands beside what is expected or harmless, and the link to length is seen.
    assert "harmless" in page
    assert "normal:" in page
    assert d.length is not None
    assert d.length.correlation.value > 0.9
    assert "To look at: Length" in page.replace("\n", " ") or "Length" in d.to_look_at


def test_ragged_lists_arrays_and_rollouts_agree():
    data = rollouts(np.random.default_rng(1), lengths=False)
    table = data.table()
    lists = [row[np.isfinite(row)].tolist() for row in table]
    pages = {str(diagnose(x, rng=3).recommendation) for x in (data, table, lists)}
    assert len(pages) == 1
    # Lists hold no missing rollouts.
    assert diagnose(table).signal.unscorable.value == pytest.approx(4 / 640)
    assert diagnose(lists).signal.unscorable.value == 0


def test_seed():
    x = np.random.default_rng(2).normal(size=(64, 32))
    one, two, other = (diagnose(x, rng=seed) for seed in (5, 5, 6))
    assert one.to_dict() == two.to_dict()
    assert one.to_dict() != other.to_dict()
    # Bands are simulated once, with a seed of their own.
    np.testing.assert_array_equal(one.qq.low, other.qq.low)
    assert one.pareto.shape.interval != other.pareto.shape.interval


KINDS = {
    "normal": lambda r: r.normal(size=(64, 16)),
    "tiny": lambda r: r.normal(size=(3, 4)),
    "one": lambda r: r.normal(size=(1, 1)),
    "few rewards": lambda r: r.normal(size=(100, 3)),
    "constant": lambda r: np.zeros((64, 16)),
    "0/1": lambda r: r.random((64, 16)) < 0.2,
    "grades": lambda r: r.integers(1, 6, size=(64, 16)),
    "atom": lambda r: np.maximum(r.normal(size=(64, 16)), 0),
    "mixed with nulls": lambda r: np.where(r.random((64, 16)) < 0.5, NAN, r.normal(size=(64, 16))),
    "far from 0": lambda r: 1e9 + r.normal(size=(64, 16)),
    "tiny units": lambda r: 1e-60 * r.normal(size=(64, 16)),
    "huge units": lambda r: 1e100 * r.normal(size=(64, 16)),
}


@pytest.mark.parametrize(
    ("kind", "n"),
    [(kind, 128) for kind in KINDS]
    + [(kind, n) for kind in ("normal", "one", "0/1", "constant") for n in (1, 8, 1e9)],
)
def test_every_kind_gives_a_page_and_json(kind, n):
    x = KINDS[kind](np.random.default_rng(4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        d = diagnose(x, n=n)
        page = str(d)
    assert page.split("\n\n")[-1].startswith("RECOMMENDATION: ")
    assert "nan" not in page.lower().replace("dominant", "")
    got = json.loads(json.dumps(d.to_dict(), allow_nan=False))
    assert got["recommendation"]["call"] == d.recommendation.call
    for name in TITLES:
        assert (got[name] is None) == (getattr(d, name) is None)


def test_m_is_chosen_and_said():
    x = np.random.default_rng(5).random((32, 64)) < 0.2
    assert diagnose(x[:, :12]).m == 12
    chosen, given = diagnose(x), diagnose(x, m=32)
    assert chosen.m == chosen.recommendation.m == 16
    assert "the smaller of 16 and the median group" in str(chosen).replace("\n", " ")
    assert given.m == given.recommendation.m == 32
    assert "the smaller of" not in str(given)


@pytest.mark.parametrize(
    ("rewards", "options", "words"),
    [
        (np.full((3, 4), NAN), {}, "none of the 12 rollouts of 3 prompts has a reward"),
        ([[1.0, np.inf]], {}, "prompt 0, rollout 1: the reward is inf"),
        (np.zeros(5), {}, "must be"),
        ([], {}, "no groups"),
        (np.ones((2, 2)), {"n": 0.5}, "n=0.5 is not a deployment budget"),
        (np.ones((2, 2)), {"n": np.inf}, "n=inf is not a deployment budget"),
        (np.ones((2, 2)), {"m": 0}, "m=0 must be a whole number of at least 1"),
        (np.ones((2, 2)), {"alpha": 0}, "alpha=0 is not a tail fraction"),
    ],
)
def test_bad_input(rewards, options, words):
    with pytest.raises(ValueError, match=words):
        diagnose(rewards, **options)
