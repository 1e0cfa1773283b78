"""The clock itself: what is timed is what the row says, and each number is what its name says."""

import time

import numpy as np
import pytest

import bontea
from bontea import ADVANTAGES
from bontea.bench import speed as module
from bontea.bench.speed import speed, tasks


def by_name(rows):
    return {(row["library"], row["M"], row["estimator"]): row for row in rows}


def test_every_estimator_in_every_library():
    pytest.importorskip("torch")
    lines = []
    rows = by_name(speed(ms=[16, 20], prompts=32, repeats=2, progress=lines.append))
    names = {(lib, m, name) for lib in ("numpy", "torch") for m in (16, 20) for name in ADVANTAGES}
    names |= {("numpy", m, "loop over prompts") for m in (16, 20)}
    names |= {("torch", m, "TRL inline") for m in (16, 20)}
    assert set(rows) == names
    assert lines[0] == "numpy cpu M=16 reinforce"
    assert len(lines) == len(rows)
    for row in rows.values():
        assert 0 < row["min_ms"] <= row["median_ms"]
        assert row["ratio"] == pytest.approx(row["min_ms"] / row["sort_ms"])
        assert (row["device"], row["prompts"]) == ("cpu", 32)
        assert (row["cold_ms"] is None) == (
            row["estimator"] not in ("linear_tea", "calibrated_tea")
        )
        assert (row["peak_copies"] is None) == (row["library"] == "torch")
    assert rows["numpy", 20, "max_at_k"]["settings"] == "k=5"
    assert rows["torch", 16, "prefix_tea"]["settings"] == "n=128, rng=0"
    assert rows["numpy", 16, "grpo"]["settings"] == ""


def test_known_times_and_memory():
    """A call that sleeps and one that makes three copies, against what the rows say."""
    calls = []

    def sleeper(rewards):
        def call():
            calls.append(rewards.shape)
            time.sleep(0.02)

        return call

    rows = speed(
        ms=[32],
        prompts=256,
        libraries=["numpy"],
        estimators=["linear_tea"],
        repeats=3,
        extra={
            "sleep": sleeper,
            "copies": lambda r: lambda: [r.copy() for _ in range(3)],
            "nothing": lambda r: None,
        },
    )
    rows = {row["estimator"]: row for row in rows}
    assert list(rows) == ["linear_tea", "loop over prompts", "sleep", "copies"]
    assert calls == [(256, 32)] * 6  # two to warm up, three timed, one for memory
    assert 20 <= rows["sleep"]["min_ms"] <= rows["sleep"]["median_ms"]
    assert rows["sleep"]["peak_copies"] < 0.1
    assert 3 <= rows["copies"]["peak_copies"] < 3.1
    assert rows["linear_tea"]["peak_copies"] < 12


def test_ratio_is_to_the_sort_in_between(monkeypatch):
    """A clock that the calls themselves move: the first sort is slow, and so is the last call."""
    now = [0.0]
    monkeypatch.setattr(module, "perf_counter", lambda: now[0])
    waits = []

    def moves(steps):
        steps = iter(steps)

        def call():
            now[0] += next(steps)

        return call

    monkeypatch.setattr(module, "BUDGET", 1000)
    got = module._time(moves([9, 9, 4, 2, 2]), moves([9, 3, 1, 1]), 3, lambda: waits.append(1))
    assert got == {
        "repeats": 3,
        "median_ms": 2000,
        "min_ms": 2000,
        "sort_ms": 1000,
        "ratio": 2,
        "median_ratio": 2,
    }
    assert len(waits) == 2 * (5 + 4)  # before and after each call

    monkeypatch.setattr(module, "BUDGET", 20)  # one warm-up of 50 seconds, one repeat of 3 + 40
    got = module._time(moves([50, 40]), moves([9, 3]), 3, lambda: None)
    assert (got["repeats"], got["min_ms"], got["ratio"]) == (1, 40_000, 40 / 3)


def test_rows_without_the_library_compute_what_they_say():
    rewards = np.random.default_rng(0).normal(size=(7, 16)).astype("float32")
    mean, std = rewards.mean(-1, keepdims=True), rewards.std(-1, keepdims=True)
    np.testing.assert_allclose(module._loop(rewards)(), (rewards - mean) / (std + 1e-4), rtol=1e-5)
    torch = pytest.importorskip("torch")
    assert module._loop(torch.tensor(rewards)) is None
    assert module._trl(rewards) is None
    flat = module._trl(torch.tensor(rewards))().numpy()
    np.testing.assert_allclose(flat.reshape(7, 16), bontea.grpo(rewards), rtol=1e-4, atol=1e-6)


def test_linear_tea_is_the_fastest_tail_estimator_and_no_sort_is_stable():
    """With a stable sort, or indices along an axis, linear_tea takes 20 sorts and more."""
    rows = speed(
        ms=[64],
        prompts=1024,
        libraries=["numpy"],
        estimators=["tea", "prefix_tea", "linear_tea"],
        repeats=15,
    )
    ratio = {row["estimator"]: row["ratio"] for row in rows}
    assert ratio["linear_tea"] < 12
    assert ratio["linear_tea"] < 1.3 * ratio["tea"]
    assert ratio["prefix_tea"] > 5 * ratio["linear_tea"]


def test_tasks():
    names = [(task.table, task.key) for full in (False, True) for task in tasks(full=full)]
    assert len(set(names)) == len(names)
    assert {table for table, _ in names} == {"speed"}
    assert any("M=256" in key for _, key in names)
    assert tasks(full=False, seed=3)[0].key != tasks(full=False)[0].key


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"libraries": ["pandas"]}, "'pandas' must be one of numpy, torch"),
        ({"estimators": ["linear"]}, "did you mean 'linear_tea'"),
        ({"repeats": 0}, "repeats=0"),
        ({"prompts": -1}, "prompts=-1"),
        ({"ms": [4], "libraries": ["numpy"], "estimators": ["tea"]}, "at least 9 rollouts"),
    ],
)
def test_bad_input(params, words):
    with pytest.raises(ValueError, match=words):
        speed(**{"ms": [16], "prompts": 8, "repeats": 1, **params})


def test_device_that_is_not_there():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match="cannot use device 'cuda' here"):
        speed(ms=[16], prompts=8, libraries=["torch"], device="cuda")


def test_on_a_gpu():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    rows = speed(ms=[16], prompts=64, libraries=["torch"], repeats=2, device="cuda")
    assert all(row["peak_copies"] > 0 and row["device"] == "cuda" for row in rows)
