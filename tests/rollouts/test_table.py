"""The rollout file: append-only, and whole again after a kill."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from bontea.rollouts.table import RolloutFile, locked, read_parquet, write_parquet, write_text


def row(i, j, reward=0.5, completion="c"):
    return {"prompt_id": i, "rollout": j, "reward": reward, "completion": completion}


def test_round_trip(tmp_path):
    file = RolloutFile(tmp_path / "deep" / "r.jsonl")
    file.append([row(0, 0, 1.5, "a"), row(0, 1, None, "a")])
    file.append([row(1, 0, -2.0, "b")])
    again = RolloutFile(file.path)
    expected = [[1.5, np.nan], [-2.0, np.nan]]
    np.testing.assert_array_equal(again.table(2, 2), expected)
    assert again.distinct() == pytest.approx((1 / 2 + 1) / 2)


def test_the_first_texts_come_in_the_order_of_rollouts(tmp_path):
    file = RolloutFile(tmp_path / "r.jsonl")
    file.append([row(0, j, completion=f"0-{j}") for j in (2, 0)])
    file.append([row(1, 0, completion="1-0"), row(0, 1, completion="0-1")])
    assert file.texts(2) == {0: ["0-0", "0-1"], 1: ["1-0"]}


def test_rows_are_not_written_twice(tmp_path):
    file = RolloutFile(tmp_path / "r.jsonl")
    file.append([row(0, 0, 1.0)])
    file.append([row(0, 0, 9.0), row(0, 1, 2.0)])
    assert len(file.path.read_text().splitlines()) == 2
    assert RolloutFile(file.path).rewards == {(0, 0): 1.0, (0, 1): 2.0}


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_cut_last_line_is_dropped(tmp_path, cut):
    file = RolloutFile(tmp_path / "r.jsonl")
    file.append([row(0, 0, 1.0), row(0, 1, 2.0)])
    data = file.path.read_bytes()
    file.path.write_bytes(data[:-cut])
    again = RolloutFile(file.path)
    assert (0, 0) in again.rewards
    assert ((0, 1) in again.rewards) == (cut == 1)  # only its line end is gone
    again.append([row(0, 1, 2.0)])
    assert file.path.read_bytes() == data


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(row(0, 0)) + "\n{oops\n" + json.dumps(row(0, 1)) + "\n")
    with pytest.raises(ValueError, match=r"r\.jsonl, line 2"):
        RolloutFile(path)


def test_a_row_of_others_is_not_thrown_away(tmp_path):
    """Only what a kill can leave is dropped: a line without an end."""
    path = tmp_path / "r.jsonl"
    text = json.dumps({"prompt": "a", "reward": 1}) + "\n"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"line 1: no field 'prompt_id'"):
        RolloutFile(path)
    assert path.read_text() == text


def test_one_process_at_a_time(tmp_path):
    path = tmp_path / "r.jsonl"
    take = (
        "import sys, pathlib; from bontea.rollouts.table import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('taken', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", take, str(path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "taken\n"
    with pytest.raises(OSError, match=rf"another process \({other.pid}\)"), locked(path):
        pass
    other.kill()  # leaves its lock file, but not the lock
    other.communicate()
    assert (tmp_path / "r.jsonl.lock").exists()
    with locked(path):
        assert (tmp_path / "r.jsonl.lock").read_text() == str(os.getpid())
        refused = subprocess.run(command, input="", capture_output=True, text=True)
        assert str(os.getpid()) in refused.stderr
    assert os.listdir(tmp_path) == []
    with locked(path):
        pass


def test_parquet_and_back(tmp_path):
    polars = pytest.importorskip("polars")
    source, target, back = (tmp_path / n for n in ("r.jsonl", "r.parquet", "back.jsonl"))
    chat = [{"role": "user", "content": "hi\u2028\n"}]
    rows = [
        {"prompt_id": i, "rollout": j, "reward": reward, "prompt": chat, "completion": "2026-01-01"}
        for i, j, reward in [(1, 1, 0.1 + 0.2), (1, 0, None), (0, 0, -1e-300), (0, 1, None)]
    ]
    RolloutFile(source).append([rows[1], rows[3]])  # no number among the first
    RolloutFile(source).append(rows)
    write_parquet(source, target)
    expected = sorted(rows, key=lambda row: (row["prompt_id"], row["rollout"]))
    assert polars.read_parquet(target).to_dicts() == expected
    read_parquet(target, back)
    assert [json.loads(line) for line in back.read_text().split("\n")[:-1]] == expected
    np.testing.assert_array_equal(RolloutFile(back).table(2, 2), RolloutFile(source).table(2, 2))


def test_a_small_file_is_written_whole(tmp_path):
    write_text(tmp_path / "a", "one")
    write_text(tmp_path / "a", "two\u00e9")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "two\u00e9"
    assert os.listdir(tmp_path) == ["a"]


def test_parquet_keeps_the_values_of_chats(tmp_path):
    """Numbers beside text, and keys that only some turns have, are what they were."""
    pytest.importorskip("polars")
    import polars

    plain = [[{"role": "user", "content": "hi"}], [{"role": "user", "content": "ho"}]]
    rich = [
        [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        [{"role": "assistant", "content": None, "tool_calls": [{"arguments": {"b": 1}}]}],
        [{"role": "assistant", "content": None, "tool_calls": [{"arguments": {"b": "x"}}]}],
    ]
    for prompts, read in ((plain, lambda value: value), (rich, json.loads)):
        path, target = tmp_path / "r.jsonl", tmp_path / "r.parquet"
        path.write_text(
            "".join(json.dumps({**row(i, 0), "prompt": p}) + "\n" for i, p in enumerate(prompts))
        )
        write_parquet(path, target)
        assert [read(value) for value in polars.read_parquet(target)["prompt"].to_list()] == prompts
        read_parquet(target, path)
        write_parquet(path, target)
        assert [read(value) for value in polars.read_parquet(target)["prompt"].to_list()] == prompts
