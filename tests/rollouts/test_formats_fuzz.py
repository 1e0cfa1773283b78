"""Damaged and mutated files of other tools: a result, or one sentence; never a traceback."""

import json
import math
import sqlite3
import zipfile
from pathlib import Path

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from hypothesis import HealthCheck, given, seed, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from bontea._errors import BonteaError  # noqa: E402
from bontea.rollouts import read_rollouts  # noqa: E402
from bontea.rollouts.formats import FORMATS, Reading  # noqa: E402

DATA = Path(__file__).parent / "data"
ODD = [None, True, -1, 0.5, math.nan, math.inf, 10**400, "", "x", [], [1], {}, {"a": [None]}]
RECORDS = {
    "trl": {"step": 1, "prompt": "a", "completion": [{"role": "assistant", "content": "b"}],
            "right": 0.5, "advantage": 1.0},
    "verl": {"input": "a", "output": "b", "score": 1.0, "step": 2, "uid": "a_0_0", "acc": True},
    "episode": json.loads((DATA / "traces.jsonl").read_text().splitlines()[0]),
    "results": {"example_id": 0, "prompt": [{"role": "user", "content": "a"}], "completion": "b",
                "reward": 1.0, "metrics": {"acc": 1.0}, "error": None, "is_truncated": False},
    "evalplus": {"eval": {"H/0": [{"solution": "a", "base_status": "pass", "plus_status": None}]}},
    "human_eval": {"task_id": "H/0", "completion": "a", "result": "passed", "passed": True},
    "lm_eval": json.loads((DATA / "lm_eval_samples.jsonl").read_text().splitlines()[0]),
    "nemo_rl": {"content": [[{"role": "user", "content": "a"}]], "rewards": [1.0], "idx": 0},
    "skyrl": {"input_prompt": "a", "output_response": "b", "score": [0.5, 1], "env_extras": {}},
    "tinker": {"group_idx": 0, "traj_idx": 0, "total_reward": 1.0, "final_reward": 0.5,
               "trajectory_metrics": {"a": 1}, "iteration": 1, "split": "train"},
    "reward_bench": {"id": [1, 0], "prompt": "a", "model": "m", "scores": 0.5},
    "reward_bench_2": {"id": ["1"], "scores": [[0.5, 1]], "num_correct": [1], "results": [0],
                       "subset": ["s"], "text": [["a", "b"]]},
    "search": {"problem": "a", "completions": ["b"], "scores": [[0.5]], "unique_id": "u"},
    "monkeys": {"question": "a", "samples": ["b"], "is_corrects": [True]},
    "tail_rl": {"problem_id": "a", "src_id": "b", "n": 2, "n_pass": 1, "scores": [0.5, 1]},
    "openai": {"custom_id": "a", "response": {"body": {"model": "m", "choices": [
        {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}]}}},
    "inspect": {"eval": {"task": "t", "model": "m", "config": {}}, "samples": [
        {"id": 1, "epoch": 1, "input": "a", "output": {"completion": "b", "choices": []},
         "scores": {"s": {"value": "C"}}}]},
    "slime": {"samples": [{"group_index": 0, "rollout_id": 0, "prompt": "a", "response": "b",
                           "reward": {"a": 1.0}, "status": "completed"}]},
    "trinity": {"id": 1, "prompt": "a", "response": "b", "message_list": None, "reward": 1.0,
                "model_version": 0},
    "table": {"prompt_id": 1, "rewards": [0.5, None], "completions": ["a", "b"]},
    "ours": {"prompt_id": 1, "reward": 0.5, "completion": "a", "rollout": 0},
}  # fmt: skip
FILE = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


def places(value, path=()):
    """Every place inside a record."""
    yield path
    if isinstance(value, (dict, list)):
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield from places(value[key], (*path, key))


def changed(value, path, new):
    """A copy with another value at a place, or without it."""
    if not path:
        return new
    value = value.copy()
    if len(path) == 1 and new is ...:
        value.pop(path[0], None) if isinstance(value, dict) else value.pop(path[0])
    else:
        value[path[0]] = changed(value[path[0]], path[1:], new) if len(path) > 1 else new
    return value


def try_to_read(path):
    """Rollouts with finite rewards or NaN, or a BonteaError of one line."""
    said = []
    for reading in (Reading(), Reading(reward="reward"), Reading(group_size=1)):
        try:
            got = read_rollouts(path, reading=reading)
        except (BonteaError, OSError) as error:
            said.append(str(error))
            continue
        assert not np.isinf(got.rewards).any()
        assert len(got.rewards) == got.offsets[-1] == len(got.rows)
    assert all(words.strip() and "\n" not in words for words in said)


def check_records(path, name, data):
    record = RECORDS[name]
    rows = [record]
    for _ in range(data.draw(st.integers(1, 2))):
        where = data.draw(st.sampled_from([p for p in places(rows[-1]) if p] or [("new",)]))
        new = data.draw(st.sampled_from([*ODD, ...]))
        rows.append(changed(rows[-1], where, new))
    if data.draw(st.booleans()):
        rows = rows[1:]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    try_to_read(path)


def test_every_origin_is_here():
    found = {known.NAME for known in FORMATS for row in RECORDS.values() if known.detect(row)}
    assert found == {known.NAME for known in FORMATS}


@pytest.mark.parametrize("name", RECORDS)
@seed(0)
@settings(max_examples=15, **FILE)
@given(data=st.data())
def test_records_that_are_not_as_the_tool_writes_them(tmp_path, name, data):
    check_records(tmp_path / "a.jsonl", name, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDS)
@seed(1)
@settings(max_examples=100, **FILE)
@given(data=st.data())
def test_many_more_of_them(tmp_path, name, data):
    check_records(tmp_path / "a.jsonl", name, data)


def database(path):
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE e (id INTEGER PRIMARY KEY, prompt TEXT, response TEXT, "
                     "message_list JSON, reward FLOAT, model_version INTEGER)")  # fmt: skip
        base.execute("INSERT INTO e VALUES (1, 'a', 'b', NULL, 1.0, 0)")
    base.close()
    return path.read_bytes()


@seed(0)
@settings(max_examples=60, **FILE)
@given(
    kind=st.sampled_from(["eval", "json", "jsonl", "parquet", "db", "csv", "zip"]),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4),
    end=st.one_of(st.none(), st.floats(0, 1)),
)
def test_damaged_files(tmp_path, kind, cuts, end):
    path = tmp_path / f"a.{kind}"
    if kind in ("eval", "json"):
        data = (DATA / f"inspect_one.{kind}").read_bytes()
    elif kind == "db":
        path.unlink(missing_ok=True)
        data = database(path)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("header.json", json.dumps(RECORDS["inspect"]))
            sample = RECORDS["inspect"]["samples"][0]
            archive.writestr("samples/1_epoch_1.json", json.dumps(sample))
        data = path.read_bytes()
    elif kind == "parquet":
        pl.DataFrame([RECORDS["verl"]] * 3).write_parquet(path)
        data = path.read_bytes()
    else:
        rows = [RECORDS["verl"]] * 3
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        data = b"prompt,reward\na,1\nb,0.5\n" if kind == "csv" else data
    broken = bytearray(data)
    for where, byte in cuts:
        broken[min(int(where * len(broken)), len(broken) - 1)] = byte
    path.write_bytes(broken if end is None else broken[: int(end * len(broken))])
    try_to_read(path)
