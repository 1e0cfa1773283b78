"""Files of other tools, in the fields that their sources write, against the numbers put in.

Files that the tool itself wrote are in the folder data, each with the script that made it; for TRL
and Inspect see test_formats_trl.py and test_formats_inspect.py.
"""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from tests.rollouts.read_back import check, groups  # noqa: E402

from bontea.cli import main  # noqa: E402
from bontea.rollouts import read_completions, read_models, read_rollouts  # noqa: E402
from bontea.rollouts.formats import Reading  # noqa: E402

NAN = math.nan
DATA = Path(__file__).parent / "data"


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# verl


VERL = [
    {
        "input": q,
        "output": f"{q} {i}",
        "gts": "4",
        "score": s,
        "step": 20,
        "acc": s > 0,
        "pred": "4",
    }
    for i, (q, s) in enumerate([("p", 1.0), ("q", 0.25), ("p", NAN), ("q", -1.0), ("p", 0.5)])
]


def test_verl_equal_inputs_are_one_prompt(tmp_path):
    path = lines(tmp_path / "20.jsonl", VERL)
    got = check(path, {"p": [1, NAN, 0.5], "q": [0.25, -1]})
    assert groups(got, got.scores["acc"]) == {"p": [1, 0, 1], "q": [1, 0]}
    assert groups(got, got.lengths) == {"p": [3, 3, 3], "q": [3, 3]}
    assert read_completions(path, got.rows, got.reading) == ["p 0", "p 2", "p 4", "q 1", "q 3"]
    assert got.reading.said == (
        f"{path}: read as a verl rollout dump: reward = score; equal inputs (or the sample part of "
        "uid) are one prompt; other scores: acc (--reward-column)"
    )
    check(path, {"p": [1, 0, 1], "q": [1, 0]}, reward="acc")
    check(path, {"4": [1, 0.25, NAN, -1, 0.5]}, prompt_id="gts")


def test_verl_rollouts_with_several_outputs_count_once(tmp_path):
    """uid is {sample}_{rollout}_{output}; the last output has the score of the whole rollout."""
    rows = [
        {"input": f"{s} turn {o}", "output": f"{s}{r}{o}", "score": score, "step": 3, "uid": uid}
        for uid, s, r, o, score in [
            ("a_b_0_0", "a_b", 0, 0, 1.0),
            ("a_b_1_0", "a_b", 1, 0, 9.0),
            ("a_b_1_1", "a_b", 1, 1, 9.0),
            ("a_b_1_2", "a_b", 1, 2, 3.0),
            ("a_b_10_0", "a_b", 10, 0, 4.0),
            ("c_0_0", "c", 0, 0, 5.0),
        ]
    ]
    path = lines(tmp_path / "3.jsonl", rows)
    got = check(path, {"a_b": [1, 3, 4], "c": [5]})
    assert read_completions(path, got.rows, got.reading) == ["a_b00", "a_b12", "a_b100", "c00"]
    assert got.texts.tolist() == ["a_b turn 0", "c turn 0"]
    lines(path, [*rows, rows[0]])
    with pytest.raises(ValueError, match=r"line 7: rollout 0 of 'a_b' is there twice"):
        read_rollouts(path)
    lines(path, [row | {"uid": "u" + row["uid"][0]} for row in rows])  # of the older trainers
    check(path, {"ua": [1, 9, 9, 3, 4], "uc": [5]})


def test_verl_folder_is_its_last_step(tmp_path, capsys):
    for step in (5, 10, 100):
        lines(tmp_path / f"{step}.jsonl", [{**row, "step": step, "score": step} for row in VERL])
    got = check(tmp_path, {"p": [100] * 3, "q": [100] * 2})
    assert "(step 100, the last of 3 (--step N for another))" in got.reading.said
    check(tmp_path, {"p": [10] * 3, "q": [10] * 2}, reading=Reading(step=10))
    assert main(["curve", str(tmp_path), "--ks", "1,2"]) == 0
    out = capsys.readouterr()
    assert "verl rollout dump (step 100" in out.err
    assert "read as" not in out.out
    mixed = [{**row, "step": step} for step in (1, 2) for row in VERL]
    lines(tmp_path / "mixed" / "rows.jsonl", mixed)
    with pytest.raises(ValueError, match=r"line 6 is of step 2, .*of step 1: each step is another"):
        read_rollouts(tmp_path / "mixed" / "rows.jsonl")


def test_a_last_line_that_was_cut_off(tmp_path):
    path = lines(tmp_path / "1.jsonl", VERL)
    path.write_text(path.read_text()[:-20])
    check(path, {"p": [1, NAN], "q": [0.25, -1]})
    path.write_text("{" + path.read_text())
    with pytest.raises(ValueError, match=r"1\.jsonl, line 1: not JSON"):
        read_rollouts(path, reward="score")


# verifiers and prime-rl


def trace(rewards, ok=True, text="4", name="agent", **more):
    turns = [("user", "2+2?", False), ("assistant", text, True)]
    return {
        "agent": {"name": name, "config": {}},
        "task": {"type": "T", "data": {}},
        "nodes": [{"message": {"role": r, "content": c}, "sampled": s} for r, c, s in turns],
        "calls": [{"node": 1, "finish_reason": "stop"}],
        "rewards": rewards,
        "metrics": {"turns": 2.0, "lost": None},
        "ok": ok,
        **more,
    }


RIGHT = {"score": 1, "weight": 1}


def episode(key, *traces, ok=True):
    return {
        "id": "x", "env": {"id": "gsm8k"}, "task": {"type": "T", "data": {"i": 1}, "key": key},
        "group": {"id": "g" + key}, "ok": ok, "errors": [], "traces": list(traces),
    }  # fmt: skip


def test_verifiers_episodes(tmp_path):
    """The reward is the sum of score x weight, as `Trace.reward` of verifiers 1."""
    rows = [
        episode("a", trace({"right": RIGHT, "form": {"score": 0.5, "weight": 0.2}})),
        episode("b", trace({"right": {"score": 0, "weight": 1}, "form": None})),
        episode("a", trace({"right": None, "form": None})),
        episode("a", trace({"right": {"score": 1, "weight": 1}}, ok=False)),
        episode("b", ok=False),
    ]  # fmt: skip
    path = lines(tmp_path / "rollouts" / "step_7" / "train" / "all" / "traces.jsonl", rows)
    wanted = {"gsm8k/a": [1.1, NAN, NAN], "gsm8k/b": [0, NAN]}
    got = check(path, wanted)
    assert read_completions(path, got.rows, got.reading) == ["4", "4", "4", "4", None]
    assert got.texts.tolist()[0] == '[{"content": "2+2?", "role": "user"}]'
    np.testing.assert_array_equal(got.scores["rewards.form"], [0.5, NAN, NAN, NAN, NAN])
    check(path, {"gsm8k/a": [0.5, NAN, NAN], "gsm8k/b": [NAN, NAN]}, reward="rewards.form")
    lines(path.parents[1] / "effective" / "traces.jsonl", rows[:1])
    lines(path.parents[3] / "step_6" / "train" / "all" / "traces.jsonl", rows[:1])
    assert "step 7, the last of 2" in check(tmp_path, wanted).reading.said
    lines(path.parents[3] / "step_6" / "eval" / "all" / "traces.jsonl", rows[:1])
    with pytest.raises(
        ValueError, match=r"2 kinds \(eval, train\): name one file, such as .*step_6"
    ):
        read_rollouts(tmp_path)


def test_episodes_that_verifiers_wrote():
    """data/make_verifiers_file.py; the rewards are what `Trace.reward` gives, but for a failure."""
    got = read_rollouts(DATA / "traces.jsonl")
    found = groups(got)
    np.testing.assert_allclose(found["arithmetic/2 + 2"], [1.2, 1.1])
    np.testing.assert_allclose(found["arithmetic/3 * 3"], [0.2, NAN])
    assert read_completions(DATA / "traces.jsonl", got.rows, got.reading) == ["4", "four", "8", "9"]
    assert groups(got, got.scores["metrics.characters"])["arithmetic/2 + 2"] == [1, 4]


def test_verifiers_agents_are_chosen_as_models_are(tmp_path):
    one = {"right": {"score": 1, "weight": 1}}
    two = {"right": {"score": 0, "weight": 1}}
    rows = [episode("a", trace(one, name="solver"), trace(two, name="judge")) for _ in range(2)]
    path = lines(tmp_path / "traces.jsonl", rows)
    assert read_models(path) == ["solver", "judge"]
    with pytest.raises(ValueError, match=r"2 models \('solver', 'judge'\)"):
        read_rollouts(path)
    check(tmp_path, {"gsm8k/a": [1, 1]}, model="solver")


def test_verifiers_results(tmp_path):
    chat = [{"role": "user", "content": "2+2?"}]
    rows = [
        {"example_id": i, "prompt": chat, "completion": [{"role": "assistant", "content": "é"}],
         "reward": reward, "metrics": {"acc": acc, "note": None}, "acc": acc, "error": error,
         "is_truncated": False, "answer": "4"}
        for i, reward, acc, error in [
            (0, 1.0, 1.0, None), (1, 0.5, 0.0, None), (0, 0.0, 0.0, {"error": "TimeoutError"}),
        ]
    ]  # fmt: skip
    path = lines(tmp_path / "results.jsonl", rows)
    got = check(path, {"0": [1, NAN], "1": [0.5]})
    assert groups(got, got.lengths) == {"0": [1, 1], "1": [1]}
    check(tmp_path, {"0": [1, NAN], "1": [0]}, reward="acc")
    check(path, {"0": [1, 0], "1": [0]}, reward="metrics.acc", prompt_id="example_id")


# HumanEval and EvalPlus


def test_human_eval(tmp_path):
    rows = [
        {"task_id": task, "completion": "return 1", "result": result, "passed": result == "passed"}
        for task, result in [("HumanEval/0", "passed"), ("HumanEval/1", "timed out"),
                             ("HumanEval/0", "failed: x"), ("HumanEval/1", "passed")]
    ]  # fmt: skip
    path = lines(tmp_path / "samples.jsonl_results.jsonl", rows)
    check(path, {"HumanEval/0": [1, 0], "HumanEval/1": [0, 1]})
    packed = tmp_path / "samples.jsonl_results.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    check(packed, {"HumanEval/0": [1, 0], "HumanEval/1": [0, 1]})


def evalplus(*statuses, indent=None, **more):
    tasks = {}
    for task, base, plus in statuses:
        row = {"task_id": task, "solution": "x = 1", "base_status": base, "plus_status": plus,
               "base_fail_tests": [], "plus_fail_tests": []}  # fmt: skip
        tasks.setdefault(task, []).append(row)
    return json.dumps({"date": "2026-01-01 10:00", "hash": "e5", "eval": tasks}, indent=indent)


def test_evalplus(tmp_path, capsys):
    """plus is passed by a solution that passes both, as in EvalPlus's own pass@k."""
    path = tmp_path / "samples_eval_results.json"
    statuses = [("H/0", "pass", "pass"), ("H/0", "pass", "fail"), ("H/0", "fail", "pass"),
                ("H/1", "timeout", "timeout")]  # fmt: skip
    for indent in (None, 2):
        path.write_text(evalplus(*statuses, indent=indent))
        got = check(path, {"H/0": [1, 1, 0], "H/1": [0]}, reward="base_status")
        assert groups(got, got.scores["plus_status"]) == {"H/0": [1, 0, 0], "H/1": [0]}
        check(path, {"H/0": [1, 0, 0], "H/1": [0]}, reward="plus_status")
    assert main(["curve", str(path)]) == 2
    assert "2 scores (base_status, plus_status)" in capsys.readouterr().err
    path.write_text(evalplus(*[(task, base, None) for task, base, _ in statuses]))  # --base-only
    check(path, {"H/0": [1, 1, 0], "H/1": [0]})


# groups by position, steps


def test_groups_by_position_are_counted_inside_of_a_step(tmp_path):
    rows = [{"input": "q", "output": "", "step": s, "score": i}
            for s, size in ((1, 6), (2, 8)) for i in range(size)]  # fmt: skip
    path = lines(tmp_path / "all.jsonl", rows)
    wanted = {"0": [0, 1, 2, 3], "1": [4, 5, 6, 7]}
    check(path, wanted, reading=Reading(step=2, group_size=4))
    with pytest.raises(ValueError, match="6 rows, which is not a multiple of --group-size 4"):
        read_rollouts(path, reading=Reading(step=1, group_size=4))


def test_a_step_is_one_however_it_is_written(tmp_path):
    rows = [{**VERL[0], "step": step, "score": i} for i, step in enumerate((1, 1.0, "1"))]
    path = lines(tmp_path / "all.jsonl", rows)
    check(path, {"p": [0, 1, 2]})
    check(path, {"p": [0, 1, 2]}, reading=Reading(step=1))
    with pytest.raises(ValueError, match="no rollouts of step 2"):
        read_rollouts(path, reading=Reading(step=2))
    lines(path, [{**VERL[0], "step": "last"}])
    with pytest.raises(ValueError, match="line 1: the step 'last' is not an integer"):
        read_rollouts(path)


# folders with files of several tools


def test_a_folder_of_two_tools_or_two_files_of_a_step_is_asked_about(tmp_path):
    lines(tmp_path / "3.jsonl", VERL)
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    (tmp_path / "model_0.pt").write_bytes(b"weights")
    assert "(step 3)" in check(tmp_path, {"p": [1, NAN, 0.5], "q": [0.25, -1]}).reading.said
    lines(tmp_path / "results.jsonl", [{"example_id": 1}])
    with pytest.raises(ValueError, match=r"several tools: name one file, such as .*3\.jsonl"):
        read_rollouts(tmp_path)
    (tmp_path / "results.jsonl").unlink()
    lines(tmp_path / "03.jsonl", VERL)
    with pytest.raises(ValueError, match=r"3\.jsonl are both of step 3: name one of them"):
        read_rollouts(tmp_path)


def test_settings_beside_the_completions_of_trl_are_not_read(tmp_path):
    (tmp_path / "completions").mkdir()
    (tmp_path / "accelerate.yaml").write_text("a: 1\n")
    frame = pl.DataFrame({"step": 5, "prompt": ["q"], "completion": "c", "f": 2.0, "advantage": 0})
    frame.write_parquet(tmp_path / "completions" / "completions_00005.parquet")
    check(tmp_path, {"q": [2]})


def test_an_unknown_status_is_no_failure(tmp_path):
    path = tmp_path / "eval_results.json"
    path.write_text(json.dumps({"eval": {"a": [{"base_status": "PASS"}]}}))
    with pytest.raises(ValueError, match="solution 1: base_status 'PASS' is none of pass, fail"):
        read_rollouts(path)


def test_results_of_two_environments_are_not_one(tmp_path):
    row = {
        "example_id": 0,
        "completion": "c",
        "prompt": "p",
        "answer": "7",
        "error": "",
        "reward": 1,
    }
    path = lines(tmp_path / "results.jsonl", [row, {**row, "reward": 2}])
    check(path, {"0": [1, 2]})  # an empty error is none
    for other in ({"task": "gsm8k"}, {"answer": "8"}):
        lines(path, [row, {**row, **other}])
        with pytest.raises(ValueError, match="line 2: example 0 has another task or answer than"):
            read_rollouts(path)
