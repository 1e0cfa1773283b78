"""Rewards for the rows of a file that has been written: what changes, and what must not."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("polars")
pytest.importorskip("datasets")

import polars as pl

from bontea import BonteaError
from bontea._errors import FailedError
from bontea._progress import JobProgress, Stopped
from bontea.cli import main
from bontea.rollouts import SampleSettings, read_rollouts, rescore

MINE = """
import os, time
def length(completions, **_):
    return [float(len(c)) for c in completions]
def judge(prompts, completions, answer):
    return [10.0 * a for a in answer]
def fussy(completions, **_):
    return [len(c) if c != "aaa" else 1 / 0 for c in completions]
def broken(completions, **_):
    return [1 / 0 for c in completions]
def turns(completions, **_):
    return [len(c[-1]["content"]) for c in completions]
def slow(completions, **_):
    time.sleep(0.05)
    with open("calls.txt", "a") as file:
        file.write("x" * len(completions))
    return [float(len(c)) for c in completions]
"""
ROWS = [
    {"prompt": f"p{i}", "reward": None if j == 1 else 0.5, "completion": "a" * (i + j), "answer": i}
    for i in range(3)
    for j in range(4)
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return tmp_path


def write(path, rows=ROWS):
    if path.endswith(".parquet"):
        pl.DataFrame(rows).write_parquet(path)
    else:
        with open(path, "w") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))


def read(path):
    if path.endswith(".parquet"):
        return pl.read_parquet(path).to_dicts()
    with open(path) as file:
        return [json.loads(line) for line in file]


files = pytest.mark.parametrize("path", ["r.jsonl", "r.parquet"])


@files
def test_null_rewards_are_filled_and_the_others_stay(path, folder):
    write(path)
    result = rescore(path, "mine:length", column="reward")
    expected = [
        row | {"reward": len(row["completion"]) if row["reward"] is None else 0.5} for row in ROWS
    ]
    assert read(path) == expected
    assert (result.scored, result.unscorable, result.rollouts) == (3, 0, 12)
    assert result.mean_reward == pytest.approx(sum(row["reward"] for row in expected) / 12)
    assert sorted(os.listdir()) == ["mine.py", path, f"{path}.scores.json"]
    assert rescore(path, "mine:length", column="reward").scored == 0
    assert read_rollouts(path).rewards.tolist() == [row["reward"] for row in expected]


@files
def test_another_reward_gets_a_column_of_its_own(path):
    write(path)
    result = rescore(path, "mine:judge")
    assert (result.column, result.scored) == ("judge", 12)
    assert read(path) == [row | {"judge": 10.0 * row["answer"]} for row in ROWS]
    rescore(path, "mine:length", column="words")
    assert read(path)[5] == ROWS[5] | {"judge": 10.0, "words": 2.0}
    with pytest.raises(BonteaError, match="'words' holds scores of mine:length, not of mine:judge"):
        rescore(path, "mine:judge", column="words")
    assert rescore(path, "mine:judge").scored == 0  # it has found its column again


@files
def test_an_error_is_in_its_row_and_goes_when_it_is_mended(path, folder):
    write(path)
    result = rescore(path, "mine:fussy")
    assert (result.scored, result.unscorable, result.failed) == (9, 3, 3)
    for row in read(path):
        bad = row["completion"] == "aaa"
        assert row["fussy"] == (None if bad else len(row["completion"]))
        assert ("division" in (row.get("fussy_error") or "")) == bad
    (folder / "mine.py").write_text(MINE.replace("1 / 0 for", "3 for").replace("1 / 0", "3"))
    sys.modules.pop("mine")
    result = rescore(path, "mine:fussy")
    assert (result.scored, result.unscorable, result.failed) == (3, 0, 0)
    assert all(row["fussy"] == len(row["completion"]) for row in read(path))
    assert not any(row.get("fussy_error") for row in read(path))


def test_an_empty_answer_that_the_model_ended_is_scored_in_any_spelling():
    ends = ["stop", "STOP", "end_turn", "length", "MAX_TOKENS"]
    write("r.jsonl", [{"prompt": "q", "completion": "", "finish_reason": end} for end in ends])
    rescore("r.jsonl", "mine:length")
    assert [row["reward"] for row in read("r.jsonl")] == [0, 0, 0, None, None]


def test_a_reward_that_fails_on_everything_changes_nothing():
    write("r.jsonl")
    before = Path("r.jsonl").read_text()
    with pytest.raises(FailedError, match=r"broken.*(?s:.)*nothing was scored yet; r.jsonl is"):
        rescore("r.jsonl", "mine:broken")
    assert Path("r.jsonl").read_text() == before
    assert rescore("r.jsonl", "mine:length").scored == 12  # nothing is in the way


def test_columns_of_the_prompts_by_id_or_text(folder):
    prompts = [{"prompt": f"p{i}", "answer": i} for i in range(3)]
    write("p.jsonl", prompts)
    bare = [{"prompt": row["prompt"], "completion": row["completion"]} for row in ROWS]
    write("r.jsonl", bare)
    with pytest.raises(BonteaError, match="missing 1 required positional argument: 'answer'"):
        rescore("r.jsonl", "mine:judge")
    settings = SampleSettings(prompts="p.jsonl", reward_concurrency=2)
    assert rescore("r.jsonl", "mine:judge", settings=settings).column == "reward"
    assert [row["reward"] for row in read("r.jsonl")] == [10.0 * row["answer"] for row in ROWS]
    write("i.jsonl", [{"prompt_id": 2, "completion": "a"}, {"prompt_id": "0", "completion": "b"}])
    rescore("i.jsonl", "mine:judge", settings=settings)
    assert [row["reward"] for row in read("i.jsonl")] == [20.0, 0.0]
    write("x.jsonl", [{"prompt_id": 2, "prompt": "another", "completion": "a"}])
    with pytest.raises(BonteaError, match="prompt 2 is 'another' in the rollouts and 'p2' in"):
        rescore("x.jsonl", "mine:judge", settings=settings)


@files
def test_chats(path):
    chat = [{"role": "user", "content": "hi"}]
    answer = [{"role": "assistant", "content": "hello"}]
    write(path, [{"prompt": chat, "completion": answer}] * 2)
    rescore(path, "mine:turns")
    assert read(path) == [{"prompt": chat, "completion": answer, "reward": 5.0}] * 2
    write("t.jsonl", [{"prompt": chat, "completion": "hello"}])
    rescore("t.jsonl", "mine:turns")
    assert read("t.jsonl")[0]["reward"] == 5.0


@files
def test_a_curve_of_a_column_that_not_every_row_could_be_given(path, capsys):
    """A row without an answer is not scored; it has the column all the same, as null."""
    texts = ["", "a", "aa", "aaa"]
    rows = [
        {"prompt": f"p{i % 3}", "completion": texts[i // 3], "reward": None if i < 3 else 1.0}
        | {"finish_reason": "stop" if i >= 3 else "length", "reasoning_only": i < 3}
        for i in range(12)
    ]
    write(path, rows)
    result = rescore(path, "mine:length")
    assert (result.scored, result.unscorable) == (9, 3)
    assert [row["length"] for row in read(path)] == [None] * 3 + [1.0] * 3 + [2.0] * 3 + [3.0] * 3
    assert rescore(path, "mine:length").scored == 0
    assert read_rollouts(path, reward="length").group(0).tolist()[1:] == [1, 2, 3]
    capsys.readouterr()
    assert main(["curve", path, "--reward-column", "length", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["curves"][0]["value"][-1] == 3.0
    assert main(["curve", path, "--reward-column", "length"]) == 0
    out, err = capsys.readouterr()
    assert "other scores: reward (--reward-column)" in err  # and not reasoning_only, a boolean
    out = " ".join(out.split())
    assert "3 of 12 rollouts have no reward and do not count; the curve ends at k = 3" in out


def test_lines_that_do_not_change_stay_as_they_are():
    lines = ['{"prompt": "p", "completion": "a", "reward":1e0, "more": [1.50]}\n', "\n"]
    new = '{"prompt": "q", "completion": "bb", "reward": null}\n'
    with open("r.jsonl", "w") as file:
        file.write("".join([*lines, new, '{"prompt": "q", "comp']))
    rescore("r.jsonl", "mine:length", column="reward")
    assert Path("r.jsonl").read_text() == lines[0] + new.replace("null", "2.0")


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        (ROWS, ["--reward", "mine:length", "--rollouts", "3"], "leave out --rollouts"),
        (ROWS, [], "name one with --reward"),
        (ROWS, ["--reward", "mine:length", "--reward-name", "prompt"], "choose another one"),
        (ROWS, ["--reward", "mine:none"], "has no 'none'"),
        ([{"prompt": "p", "reward": 1}], ["--reward", "mine:length"], "no completion to score"),
        ([{"prompt_id": 3, "completion": "c"}], ["--reward", "mine:length"], "has no prompt"),
        ([{"prompt": "p", "completion": "c", "length": "x"}],
         ["--reward", "mine:length", "--reward-name", "length"], "'x', no number"),
        ([{"prompt": "p", "completion": "c", "length": 3, "reward": 1}],
         ["--reward", "mine:length"], "has a column 'length' already"),
        (ROWS, ["--reward", "mine:length", "--output", "none.jsonl"], "none.jsonl is not there"),
    ],
)  # fmt: skip
def test_what_it_refuses(rows, arguments, message, capsys):
    write("r.jsonl", rows)
    before = Path("r.jsonl").read_text()
    assert main(["sample", "--rescore", "--output", "r.jsonl", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert Path("r.jsonl").read_text() == before
    assert not Path("r.jsonl.rescored.jsonl").exists()
    assert main(["sample", "--reward-name", "x"]) == 2


def test_a_stop_keeps_the_scores():
    write("r.jsonl", ROWS * 100)
    progress = JobProgress(quiet=True)
    advance = progress.advance

    def ask_to_stop(*args, **options):
        progress.stop_requested = True
        advance(*args, **options)

    progress.advance = ask_to_stop
    before = Path("r.jsonl").read_text()
    with pytest.raises(Stopped, match=r"64 scores are safe in r\.jsonl\.rescored\.jsonl"):
        rescore("r.jsonl", "mine:slow", progress=progress)
    assert Path("r.jsonl").read_text() == before
    with pytest.raises(BonteaError, match="holds scores of 'mine:slow' for the column 'slow'"):
        rescore("r.jsonl", "mine:length")
    assert rescore("r.jsonl", "mine:slow").scored == 1200
    assert len(Path("calls.txt").read_text()) == 1200  # none was scored twice


def test_killed_it_goes_on(folder):
    """With -9, in the middle; and after the file was replaced, before the scores were removed."""
    write("r.jsonl", ROWS * 50)
    command = ["sample", "--rescore", "--output", "r.jsonl", "--reward", "mine:slow"]
    command += ["--batch-size", "20"]
    process = subprocess.Popen([sys.executable, "-m", "bontea", *command], stderr=subprocess.PIPE)
    work, deadline = folder / "r.jsonl.rescored.jsonl", time.monotonic() + 60
    while not (work.exists() and len(work.read_text().splitlines()) > 100):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate()
    kept = len(work.read_text().splitlines()) - 1
    assert 100 <= kept < 600
    assert main(command) == 0
    assert len(Path("calls.txt").read_text()) <= 600 + 20  # but for a batch that was being written
    rows = read("r.jsonl")
    assert [row["slow"] for row in rows] == [float(len(row["completion"])) for row in ROWS * 50]
    from bontea.rollouts.rescore_job import _digest

    head = {"column": "slow", "reward": "mine:slow", "file": "old"}
    done = {"became": _digest(folder / "r.jsonl")}
    work.write_text(json.dumps(head) + "\n" + json.dumps(done) + "\n")
    assert rescore("r.jsonl", "mine:slow").scored == 0
    assert not work.exists()
