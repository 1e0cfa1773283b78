"""Benchmark tasks: done once, kept when killed, and true to what they measure."""

import json
import math

import numpy as np
import pytest

from bontea.bench import frontier, gradients
from bontea.bench.lineup import lineup
from bontea.bench.run import Task, run
from bontea.theory import effective_n, risk_frontier


def counting(calls, name):
    def measure():
        calls.append(name)
        return [{"name": name, "value": np.float64(1.5), "many": np.arange(2), "no": math.nan}]

    return Task("table", name, measure)


def test_tasks_are_done_once(tmp_path):
    calls, cache = [], tmp_path / "deep" / "measured.jsonl"
    tasks = [counting(calls, name) for name in "abc"]

    def stop(task):
        if task.key == "b":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tasks, cache=cache, on_done=stop)
    assert calls == ["a", "b"]
    tables = run(tasks, cache=cache)
    assert calls == ["a", "b", "c"]
    assert [row["name"] for row in tables["table"]] == ["a", "b", "c"]
    assert tables["table"][0] == {"name": "a", "value": 1.5, "many": [0, 1], "no": None}
    assert tables == run(tasks)  # from the file and from the measurement: the same rows


def test_a_line_cut_off_by_a_kill_is_measured_again(tmp_path):
    calls, cache = [], tmp_path / "measured.jsonl"
    tasks = [counting(calls, name) for name in "ab"]
    run(tasks, cache=cache)
    whole = cache.read_text()
    for cut in (1, 20, len(whole.splitlines()[1]) - 1):
        calls.clear()
        cache.write_text(whole[: len(whole.splitlines()[0]) + 1 + cut])
        run(tasks, cache=cache)
        assert calls == ["b"]
        assert cache.read_text() == whole


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    cache = tmp_path / "measured.jsonl"
    cache.write_text('{"task": "x"}\n{}\n')
    with pytest.raises(ValueError, match=r"measured\.jsonl, line 1, is not a finished task"):
        run([], cache=cache)


@pytest.mark.parametrize("module", [gradients, frontier])
@pytest.mark.parametrize("full", [False, True])
def test_keys_tell_tasks_apart(module, full):
    tasks = module.tasks(full=full)
    assert len({(task.table, task.key) for task in tasks}) == len(tasks)
    other = {task.key for task in module.tasks(full=full, seed=1)}
    assert not other & {task.key for task in tasks}


def test_rows_are_what_the_theory_says():
    [task] = [t for t in gradients.tasks(full=False) if t.key.startswith("N=128 M=16 tail_rl")]
    [row] = task.measure()
    direct = effective_n("tail_rl", n=128, m=16, groups=80_000, rng=0)
    assert row["effective N"] == direct.value
    assert row["SNR"] == direct.snr
    [task] = [t for t in frontier.tasks(full=False) if t.key.startswith("N=128 M=16 tail_rl")][:1]
    [row] = task.measure()
    assert row["share"] == risk_frontier("tail_rl", n=128, m=16, seeds=5, rng=0).mean
    assert json.dumps(run([task])["frontier"])


def test_the_lineup_runs_and_misses_nothing_that_ships():
    other_rewards = {"max_rl", "pass_at_k", "pass_at_n", "inference_aware"}
    shown = {spec.name for spec in lineup(16).values()}
    assert shown >= {"grpo", "max_at_k", "tea", "prefix_tea", "linear_tea", "adaptive_tea"}
    assert not shown & other_rewards
    rewards = np.random.default_rng(0).normal(size=(64, 16))
    for name, spec in lineup(16).items():
        assert np.isfinite(spec.bind(n=128, m=16)(rewards)).all(), name
    assert {"max_at_k(k=6)", "max_at_k(k=M-1)"} <= set(lineup(16)), "the rivals that matter"
