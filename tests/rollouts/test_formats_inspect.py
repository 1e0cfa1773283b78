"""Logs that Inspect wrote (data/make_inspect_logs.py), read without it."""

import json
import math
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from tests.rollouts.read_back import groups  # noqa: E402

from bontea.cli import main  # noqa: E402
from bontea.rollouts import read_completions, read_rollouts  # noqa: E402
from bontea.rollouts.formats import inspect_log  # noqa: E402

DATA = Path(__file__).parent / "data"
NAN = math.nan
ANSWERS = {"sum": ["4", "5", "four", "I do not know"], "7": ["9", "9", "8", "raise"]}
GRADED = {"sum": [1, 0.5, 0, 0], "7": [1, 1, 0.5, NAN]}
"""C, P, I and N; and C, C, P and an error."""


def same(found, wanted):
    assert sorted(found) == sorted(wanted)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("kind", ["eval", "json"])
def test_one_scorer_is_the_reward(kind, capsys):
    path = DATA / f"inspect_one.{kind}"
    got = read_rollouts(path)
    same(groups(got, got.rewards), GRADED)
    assert got.model == "mockllm/model"
    assert sorted(got.texts) == ["What is 2 + 2?", "What is 3 * 3?"]
    texts = read_completions(path, got.rows, got.reading)
    assert groups(got, np.array(texts, dtype=object)) == ANSWERS
    assert main(["curve", str(path), "--ks", "1,3", "--json"]) == 0
    out = capsys.readouterr()
    assert "read as an Inspect log: reward = graded; the epochs of a sample" in out.err
    (curve,) = json.loads(out.out)["curves"]
    np.testing.assert_allclose(
        curve["value"], [(1.5 / 4 + 2.5 / 3) / 2, (3 / 4 + 0.25 * 0.5 + 1) / 2]
    )


@pytest.mark.parametrize("name", ["several.eval", "several.json", "chunked.eval"])
def test_several_scorers(name, capsys):
    path = DATA / f"inspect_{name}"
    assert main(["curve", str(path)]) == 2
    named = "5 scores (match, graded, brevity, parts.digits, parts.right)"
    assert named in capsys.readouterr().err
    got = read_rollouts(path, reward="match")
    same(groups(got, got.rewards), {"sum": [1, 0, 0, 0], "7": [1, 1, 0, NAN]})
    same(groups(got, got.scores["graded"]), GRADED)
    brevity = {"sum": [1, 1, 1 / 4, 1 / 13], "7": [1, 1, 1, NAN]}
    same(groups(got, got.scores["brevity"]), brevity)
    texts = read_completions(path, got.rows, got.reading)
    assert groups(got, np.array(texts, dtype=object)) == ANSWERS
    got = read_rollouts(path, reward="parts.digits")
    same(groups(got, got.rewards), {"sum": [1, 1, 0, 0], "7": [1, 1, 1, NAN]})
    got = read_rollouts(path, reward="brevity", prompt_id="target")
    assert got.prompts.tolist() == ["9", "4"]


def test_a_dotted_path_is_refused_where_it_is_no_number():
    with pytest.raises(
        ValueError, match=r"sample 7 epoch 1: scores.match.value 'C' is not a number"
    ):
        read_rollouts(DATA / "inspect_several.eval", reward="scores.match.value")


def test_values_are_those_of_inspect():
    """`inspect_ai.scorer.value_to_float` on all of these, but for the last, where it gives 0."""
    values = ["C", "I", "P", "N", "yes", "No", "TRUE", "false", "0.25", "1e3", 3, True, None]
    scores = inspect_log._scores({str(i): {"value": value} for i, value in enumerate(values)})
    assert [*scores.values()] == [1, 0, 0.5, 0, 1, 0, 1, 0, 0.25, 1000, 3, True, None]
    assert inspect_log._scores({"a": {"value": "B"}}) == {"a": "B"}


def test_a_value_that_is_no_number_is_refused(tmp_path):
    log = json.loads((DATA / "inspect_one.json").read_text())
    log["samples"][3]["scores"]["graded"]["value"] = "B"
    (tmp_path / "log.json").write_text(json.dumps(log))
    with pytest.raises(ValueError, match=r"sample 'sum' epoch 2: graded 'B' is not a number"):
        read_rollouts(tmp_path / "log.json")
    log["samples"][3]["scores"]["graded"]["value"] = "N"
    log["eval"]["config"]["score_on_error"] = True
    log["samples"][6]["scores"] = {"graded": {"value": 0.75}}
    (tmp_path / "log.json").write_text(json.dumps(log))
    same(groups(got := read_rollouts(tmp_path / "log.json"), got.rewards),
         {"sum": [1, 0, 0, 0], "7": [1, 1, 0.5, 0.75]})  # fmt: skip


def test_logs_that_are_not_whole(tmp_path):
    path = tmp_path / "a.eval"
    data = (DATA / "inspect_one.eval").read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="not a whole zip archive"):
        read_rollouts(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "b")
    with pytest.raises(ValueError, match=r"zip archive .* Inspect logs are read"):
        read_rollouts(path)
    running = {"version": 2, "eval": {"task": "t", "model": "m", "config": {}}, "plan": {}}
    with zipfile.ZipFile(path, "w") as archive:  # of a run that has not ended
        archive.writestr("_journal/start.json", json.dumps(running))
        sample = {"id": 1, "epoch": 2, "input": "q", "scores": {"s": {"value": "P"}}}
        archive.writestr("samples/1_epoch_2.json", json.dumps(sample))
    assert read_rollouts(path).rewards.tolist() == [0.5]


def test_a_folder_of_logs(tmp_path):
    shutil.copy(DATA / "inspect_one.eval", tmp_path / "a.eval")
    assert len(read_rollouts(tmp_path)) == 2
    shutil.copy(DATA / "inspect_one.eval", tmp_path / "b.eval")
    with pytest.raises(ValueError, match=r"2 logs \(a\.eval, b\.eval\): name one of them"):
        read_rollouts(tmp_path)
