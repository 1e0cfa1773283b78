"""The rival rules of the benchmark against Monte Carlo and brute force."""

import sys

import numpy as np
import pytest
from scipy import integrate, stats
from tests.scripts import ROOT, load_script

FOLDER = ROOT / "benchmarks" / "experiments" / "stopping"
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def rivals():
    return load_script(FOLDER / "rivals.py")


def test_the_ucb_index_is_the_integral(rivals):
    """E[(U(V) - U(best))+] for a shifted exponential V, U(v) = v / (v + w)."""
    rewards = RNG.normal(size=(3, 30))
    index = rivals.ucb_pandora(rewards, first=2)
    for i in range(3):
        for n in (2, 9, 30):
            v = np.exp(rewards[i, :n] - rewards[i].max())
            loc = np.median(v)
            excess = (v[v >= loc] - loc).mean()
            radius = np.sqrt(np.log(n) * np.log(20) / n)
            high, low = excess * (1 + radius), max(excess * (1 - radius), 1e-12)
            w, best = loc - low * np.log(0.01), v.max()
            law = stats.expon(loc, high)
            expected, _ = integrate.quad(
                lambda x, w=w, best=best, law=law: (x / (x + w) - best / (best + w)) * law.pdf(x),
                best,
                best + 60 * high,
            )
            assert index[i, n - 1] == pytest.approx(expected, rel=1e-5)
    assert np.isinf(index[:, 0]).all()


def test_the_raw_index_is_the_expected_excess_of_the_upper_half(rivals):
    rewards = RNG.normal(size=(2, 15))
    index = rivals.ucb_pandora_raw(rewards, first=1)
    loc = np.median(rewards[0])
    s = (rewards[0][rewards[0] >= loc] - loc).mean() * (1 + np.sqrt(np.log(15) * np.log(20) / 15))
    assert index[0, -1] == pytest.approx(s * np.exp(-(rewards[0].max() - loc) / s) / 2)


def test_the_known_law_is_that_of_the_sample(rivals):
    every = RNG.normal(size=(4, 50))
    rewards = every[:, :20]
    index = rivals.known_sample(rewards, every)
    for i in range(4):
        for n in (1, 20):
            expected = np.maximum(every[i] - rewards[i, :n].max(), 0).mean()
            assert index[i, n - 1] == pytest.approx(expected)


def test_no_prior_is_students_t(rivals):
    rewards = RNG.normal(size=(1, 12))
    r = rewards[0]
    law = stats.t(11, r.mean(), r.std(ddof=1) * np.sqrt(13 / 12))
    expected, _ = integrate.quad(law.sf, r.max(), np.inf)
    assert rivals.no_prior(rewards)[0, -1] == pytest.approx(expected, rel=1e-5)


def test_the_known_law_saves_what_theory_says(monkeypatch):
    """METHOD of Weitzman: one normal law, 36 % fewer at the reward of fixed N."""
    monkeypatch.syspath_prepend(str(FOLDER))
    run = load_script(FOLDER / "run.py")
    rng = np.random.default_rng(1)
    rewards = rng.normal(size=(20_000, 120))
    best = np.maximum.accumulate(rewards, axis=1)
    walks = [run.index_walk(run.rivals.normal_excess(best), rewards)]

    def fixed(n):
        from bontea import expected_max

        return np.full(20_000, expected_max(n))

    row = run.row_of(walks, np.arange(20_000), fixed, 16, rng)
    assert row["saving"] == pytest.approx(0.360, abs=0.02)
    assert row["low"] < row["saving"] < row["high"]
    sys.modules.pop("rivals", None)
