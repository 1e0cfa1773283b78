"""Tables: one row a rollout or a prompt, in CSV, TSV, JSON or Parquet; and files nobody knows."""

import json
import math
import os

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from tests.rollouts.read_back import check  # noqa: E402

from bontea._errors import BonteaError  # noqa: E402
from bontea.cli import main  # noqa: E402
from bontea.rollouts import read_completions, read_rollouts  # noqa: E402
from bontea.rollouts.formats import Reading  # noqa: E402
from bontea.rollouts.formats._row import pick  # noqa: E402

NAN = math.nan
ROWS = [
    {"prompt_id": "007", "prompt": "a", "reward": 0.5, "completion": "x", "judge": 3},
    {"prompt_id": "7", "prompt": "b", "reward": None, "completion": "yy", "judge": 4},
    {"prompt_id": "007", "prompt": "a", "reward": 1, "completion": "zzz", "judge": 5},
]
WANTED = {"007": [0.5, 1], "7": [NAN]}


def csv_text(rows, separator=","):
    lines = [separator.join(rows[0])]
    lines += [separator.join("" if v is None else str(v) for v in row.values()) for row in rows]
    return "\n".join(lines) + "\n"


CONTAINERS = {
    "a.csv": lambda rows: csv_text(rows).encode(),
    "b.csv": lambda rows: csv_text(rows, ";").encode("utf-16"),
    "c.tsv": lambda rows: csv_text(rows, "\t").replace("\n", "\r\n").encode(),
    "d.txt": lambda rows: csv_text(rows).encode(),
    "e.json": lambda rows: json.dumps(rows).encode(),
    "f.json": lambda rows: json.dumps(rows, indent=2).encode(),
    "g.json": lambda rows: "".join(json.dumps(row) + "\n" for row in rows).encode(),
    "h": lambda rows: "\n\n".join(json.dumps(row, indent=1) for row in rows).encode(),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_fields_of_a_rollout_file_in_any_container(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(CONTAINERS[name](ROWS))
    got = check(path, WANTED)
    assert got.texts.tolist() == ["a", "b"]
    assert read_completions(path, got.rows, got.reading) == ["x", "zzz", "yy"]
    check(path, {"007": [3, 5], "7": [4]}, reward="judge")
    check(path, {"3": [0.5], "4": [NAN], "5": [1]}, prompt_id="judge")


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_our_own_files_keep_their_reward(tmp_path, kind):
    """Whatever other numbers they have; these are read if asked for."""
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        pl.DataFrame(ROWS).write_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    got = check(path, WANTED)
    assert got.reading is None
    assert got.scores is None
    got = check(path, {"007": [3, 5], "7": [4]}, reward="judge")
    np.testing.assert_array_equal(got.scores["reward"], [0.5, 1, NAN])
    assert read_completions(path, got.rows, got.reading) == ["x", "zzz", "yy"]


REWARDS = ["0.5", "True", "false", "", "NA", " nan ", "null", "1e-3", "-2", "None"]


def test_rewards_in_text(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt,reward\n" + "".join(f"a,{value}\n" for value in REWARDS))
    check(path, {"a": [0.5, 1, 0, NAN, NAN, NAN, NAN, 0.001, -2, NAN]})
    for bad in ("high", "1_000", "0x1", "1 2", '"1,5"', "inf", "1e999"):
        path.write_text(f"prompt,reward\na,1\na,{bad}\n")
        with pytest.raises(ValueError, match=r"line 3: reward .*(not a number|infinite)"):
            read_rollouts(path)


@pytest.mark.parametrize("bad", ["1", [1], {"a": 1}, "C"])
@pytest.mark.parametrize("at", [1, 300])
def test_a_reward_that_is_no_number_is_refused_anywhere(tmp_path, at, bad):
    """Also behind the rows that are looked at first, and not taken for a missing one."""
    rows = [{"prompt": "a", "reward": 1} for _ in range(400)]
    rows[at]["reward"] = bad
    path = tmp_path / "a.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(ValueError, match=f"item {at + 1}: reward .* is not a number"):
        read_rollouts(path)
    del rows[at]["reward"]
    path.write_text(json.dumps(rows))
    with pytest.raises(ValueError, match=f"item {at + 1}: there is no 'reward' in it"):
        read_rollouts(path)


def test_a_list_of_rewards(tmp_path):
    rows = [
        {"prompt": "a", "rewards": [1.0, None, 0.5], "completions": ["x", "yy", "zzz"]},
        {"prompt": "b", "rewards": [0.25], "completions": ["w"]},
    ]
    wanted = {"a": [1, NAN, 0.5], "b": [0.25]}
    for name, write in (
        ("a.jsonl", lambda path: path.write_text("".join(json.dumps(r) + "\n" for r in rows))),
        ("a.json", lambda path: path.write_text(json.dumps(rows))),
        ("a.parquet", lambda path: pl.DataFrame(rows).write_parquet(path)),
    ):
        write(tmp_path / name)
        got = check(tmp_path / name, wanted)
        texts = read_completions(tmp_path / name, got.rows, got.reading)
        assert texts == ["x", "yy", "zzz", "w"]
        assert "a table of one row a prompt: reward = rewards" in got.reading.said
    renamed = [{"q": r["prompt"], "grades": {"all": r["rewards"]}} for r in rows]
    (tmp_path / "b.json").write_text(json.dumps(renamed))
    check(tmp_path / "b.json", wanted, reward="grades.all", prompt="q")
    check(tmp_path / "b.json", {"0": [1, NAN, 0.5], "1": [0.25]}, reward="grades.all")
    (tmp_path / "c.csv").write_text('id,scores\n5,"[1, null, 0.5]"\n6,[0.25]\n')
    check(tmp_path / "c.csv", {"0": [1, NAN, 0.5], "1": [0.25]}, reward="scores")
    check(tmp_path / "c.csv", {"5": [1, NAN, 0.5], "6": [0.25]}, prompt_id="id")


def test_rows_with_the_same_prompt_are_one_prompt(tmp_path):
    """Also where each has a column for each of its rollouts."""
    path = tmp_path / "a.csv"
    path.write_text("prompt,score_0,score_1\na,0.5,1\nb,1,\na,0,0.25\n")
    got = check(path, {"a": [0.5, 1, 0, 0.25], "b": [1, NAN]})
    assert got.reading.said.endswith("reward = score; rows with the same prompt are one prompt")
    path.write_text("q,score_0,score_1\na,0.5,1\nb,1,\na,0,0.25\n")
    got = check(path, {"0": [0.5, 1], "1": [1, NAN], "2": [0, 0.25]})
    assert got.reading.said.endswith("reward = score; a row is a prompt")
    check(path, {"a": [0.5, 1, 0, 0.25], "b": [1, NAN]}, prompt_id="q")


def test_a_prompt_that_is_nan_is_none(tmp_path):
    """As pandas writes it for an empty cell; also in the file of a tool."""
    path = tmp_path / "a.jsonl"
    for row in ({"prompt": math.nan, "score": 1.0, "judge": 2}, {"input_prompt": math.nan,
                "output_response": "a", "score": 1.0, "stop_reason": "stop"}):  # fmt: skip
        path.write_text(json.dumps(row) + "\n")
        with pytest.raises(ValueError, match="line 1: it has no id and no text of a prompt"):
            read_rollouts(path, reward="score")


def test_a_native_name_with_a_list(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt_id": 1, "reward": [1, 0]}\n{"prompt_id": 2, "reward": [0.5]}\n')
    check(path, {"1": [1, 0], "2": [0.5]})


def test_numbered_columns(tmp_path):
    """reward_0 to reward_15, in the order of their numbers."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 16)).round(3)
    order = rng.permutation(16)
    header = ",".join(["prompt", *(f"reward_{i}" for i in order), "completion_0"])
    lines = [f"p{p}," + ",".join(str(values[p, i]) for i in order) + ",x" for p in range(3)]
    (tmp_path / "a.csv").write_text("\n".join([header, *lines]) + "\n")
    got = check(tmp_path / "a.csv", {f"p{p}": values[p] for p in range(3)})
    assert np.asarray(got).shape == (3, 16)
    frame = pl.read_csv(tmp_path / "a.csv").rename({f"reward_{i}": f"r{i}" for i in range(16)})
    frame.drop("prompt").write_parquet(tmp_path / "b.parquet")
    check(tmp_path / "b.parquet", {str(p): values[p] for p in range(3)}, reward="r")


def test_a_file_that_nobody_knows(tmp_path, capsys):
    rows = [{"question": "q", "metrics": {"judge.a": [{"v": 0.5}, 2]}, "answer": "x"}] * 2
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["curve", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "its fields are question, metrics, answer" in said
    for option in ("--reward-column NAME", "--id-column NAME", "--completion-column NAME"):
        assert option in said
    options = ["--reward-column", "metrics.judge.a.0.v", "--prompt-column", "question"]
    options += ["--completion-column", "answer", "--ks", "1,2", "--json"]
    assert main(["curve", str(path), *options]) == 0
    out = capsys.readouterr()
    assert json.loads(out.out)["curves"][0]["value"] == [0.5, 0.5]
    assert "rows with the same question are one prompt" in out.err
    got = read_rollouts(path, reward="metrics.judge.a.1", prompt="question", completion="answer")
    assert got.lengths.tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"line 2: there is no 'metrics\.x' in it"):
        read_rollouts(path, reward="metrics.x", prompt="question")


def test_weights_on_the_command_line(tmp_path, capsys):
    path = tmp_path / "a.csv"
    path.write_text("prompt_id,right,form\n1,1,0.5\n1,0,\n1,,\n")
    options = [
        "--reward-column",
        "right",
        "--reward-column",
        "form=0.5",
        "--id-column",
        "prompt_id",
    ]
    assert main(["curve", str(path), *options, "--ks", "1", "--json"]) == 0
    out = capsys.readouterr()
    assert json.loads(out.out)["curves"][0]["value"] == [1.25 / 2]
    assert "reward = 1 x right + 0.5 x form" in out.err
    got = read_rollouts(path, reward={"right": 1, "form": 0.5}, prompt_id="prompt_id")
    np.testing.assert_array_equal(got.rewards, [1.25, 0, NAN])
    for bad in ("form=x", "=1", "form=inf"):
        assert main(["curve", str(path), "--reward-column", bad]) == 2
        assert "write NAME, or NAME=WEIGHT" in capsys.readouterr().err


def test_other_commands_read_them_too(tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows = [{"task_id": p, "passed": bool(rng.random() < 0.3), "result": "", "completion": "x"}
            for p in range(8) for _ in range(16)]  # fmt: skip
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["diagnose", str(path), "--deploy-n", "32", "--json"]) == 0
    assert "read as a HumanEval results file" in capsys.readouterr().err
    page = tmp_path / "page.html"
    assert main(["curve", str(path), "--html", str(page), "--ks", "1,16"]) == 0


def test_select_keeps_the_scores(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(CONTAINERS["a.csv"](ROWS))
    got = read_rollouts(path)
    assert got.select([1]).scores["judge"].tolist() == [4]
    assert got.first(1).scores["judge"].tolist() == [3, 4]
    assert got.scored().scores["judge"].tolist() == [3, 5]


def test_paths_into_records():
    record = {"a.b": {"c": [1, {"d": None}]}, "a": {"b": 2}, "n": None}
    assert pick(record, "a.b.c.0") == 1
    assert pick(record, "a.b") == {"c": [1, {"d": None}]}
    assert pick(record, "a.b.c.1.d.e") is None
    assert pick(record, "n.x") is None
    for wrong in ("b", "a.b.c.2", "a.b.c.x", "a.b.c.0.x", "a.x"):
        with pytest.raises(KeyError):
            pick(record, wrong)


def test_a_second_score_behind_the_first_rows_is_seen(tmp_path):
    """A reward function may give None for a long time."""
    row = {"step": 1, "prompt": "a", "completion": "b", "right": 1.0, "form": None, "advantage": 0}
    path = tmp_path / "a.jsonl"
    rows = [row] * 3000
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_rollouts(path).rewards.tolist() == [1] * 3000
    rows[-1] = row | {"form": 0.5}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ValueError, match=r"2 scores \(right, form\): say which is the reward"):
        read_rollouts(path)
    form = read_rollouts(path, reward="form")
    np.testing.assert_array_equal(form.rewards, [NAN] * 2999 + [0.5])


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match="is a pipe or a device"):
        read_rollouts(tmp_path / "a.jsonl")


def test_three_rewards_are_refused():
    with pytest.raises(ValueError, match="are three rewards: give one"):
        Reading(reward="a", function="b:c")


def test_a_reading_is_given_once(tmp_path):
    with pytest.raises(ValueError, match="names of fields belong into it"):
        read_rollouts(tmp_path, reward="a", reading=Reading())
    with pytest.raises(ValueError, match="names no score"):
        Reading(reward={})


def test_a_rollout_has_one_column(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt,reward_0,reward_00,reward_1\na,1,0,5\n")
    with pytest.raises(ValueError, match="two columns are reward 0: rename 'reward_00'"):
        read_rollouts(path)


def test_a_comma_in_a_number_is_told(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt;reward\na;1,5\na;0,5\n")
    with pytest.raises(BonteaError, match="'1,5' is not a number: write a point"):
        read_rollouts(path)
