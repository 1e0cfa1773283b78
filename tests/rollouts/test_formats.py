"""Files of other tools, in the fields that their sources write, against the numbers put in.

Files that the tool itself wrote are in the folder data, each with the script that made it; for TRL
and Inspect see test_formats_trl.py and test_formats_inspect.py.
"""

import gzip
import json
import math
import sqlite3
from pathlib import Path

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from bontea.cli import main  # noqa: E402
from bontea.rollouts import read_completions, read_models, read_rollouts  # noqa: E402
from bontea.rollouts.formats import FORMATS, Reading  # noqa: E402

NAN = math.nan
DATA = Path(__file__).parent / "data"


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def groups(rollouts, values=None):
    """By prompt, the rewards or other values in their order."""
    values = rollouts.rewards if values is None else values
    split = np.split(values, rollouts.offsets[1:-1])
    return {name: group.tolist() for name, group in zip(rollouts.prompts, split, strict=True)}


def check(path, wanted, **options):
    """Read, and compare with `wanted`, the rewards by prompt."""
    got = read_rollouts(path, **options)
    found = groups(got)
    assert list(found) == list(wanted)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], np.array(values, dtype=float))
    return got


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


# the others


def test_nemo_rl(tmp_path):
    """Every field is a list of one; in validation the roles say where the prompt ends."""

    def row(i, question, answer, reward):
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        return {"content": [turns], "rewards": [reward], "idx": i}

    rows = [row(0, "a", "1", 1.0), row(1, "b", "22", 0.0), row(2, "a", "333", 0.5)]
    path = lines(tmp_path / "val_data_step4.jsonl", rows)
    chat = '[{{"content": "{}", "role": "user"}}]'
    got = check(path, {chat.format("a"): [1, 0.5], chat.format("b"): [0]})
    assert read_completions(path, got.rows, got.reading) == ["1", "333", "22"]
    rows = [
        {"content": [[q, "answer"]], "rewards": [r], "filtered_rewards": [r + 1],
         "advantages": [[0.5, 0.5]], "token_ids": [[1, 2]], "idx": i}
        for i, (q, r) in enumerate([("a", 1), ("a", 0), ("b", 2), ("b", 3)])
    ]  # fmt: skip
    path = lines(tmp_path / "train_data_step4.jsonl", rows)
    with pytest.raises(ValueError, match=r"line 1: it does not say which prompt .*--group-size M"):
        read_rollouts(path)
    check(path, {"0": [1, 0], "1": [2, 3]}, reading=Reading(group_size=2))
    check(path, {"a": [1, 0], "b": [2, 3]}, prompt="content.0.0")
    with pytest.raises(ValueError, match="4 rows, which is not a multiple of --group-size 3"):
        read_rollouts(path, reading=Reading(group_size=3))
    with pytest.raises(ValueError, match=r"2 kinds \(train, val\)"):
        read_rollouts(tmp_path)


def test_skyrl(tmp_path):
    rows = [
        {"input_prompt": p, "output_response": "x", "score": s, "stop_reason": "length",
         "env_class": "gsm8k", "env_extras": {}, "data_source": "gsm8k"}
        for p, s in [("a", 1.0), ("a", [0.0, 0.25, 0.5]), ("b", 0.0)]
    ]  # fmt: skip
    check(lines(tmp_path / "gsm8k.jsonl", rows), {"a": [1, 0.75], "b": [0]})


def test_slime(tmp_path):
    torch = pytest.importorskip("torch")

    def sample(group, index, reward, **more):
        return {"group_index": group, "index": index, "rollout_id": None, "prompt": f"q{group}",
                "response": "yes", "reward": reward, "status": "completed",
                "tokens": torch.tensor([1, 2]), "metadata": {}, **more}  # fmt: skip

    samples = [
        sample(0, 0, 1.0), sample(0, 1, 0.5), sample(1, 2, 0.0, status="aborted"),
        sample(1, 3, 0.25, rollout_id=3), sample(1, 4, 0.25, rollout_id=3),
    ]  # fmt: skip
    path = tmp_path / "rollout_12.pt"
    torch.save({"rollout_id": 12, "samples": samples}, path)
    check(path, {"0": [1, 0.5], "1": [NAN, 0.25]})
    check(tmp_path, {"0": [1, 0.5], "1": [NAN, 0.25]})
    samples[-1]["reward"] = 0.5
    torch.save({"rollout_id": 12, "samples": samples}, path)
    with pytest.raises(ValueError, match="sample 5: the parts of rollout 3 have different rewards"):
        read_rollouts(path)
    for i, row in enumerate(samples):
        row["reward"] = {"acc": i, "form": 1.0}
    samples[-1]["reward"] = samples[-2]["reward"]
    torch.save({"samples": samples}, path)
    check(path, {"0": [0, 1], "1": [NAN, 3]}, reward="reward.acc")


class Harmful:
    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


def test_a_torch_file_runs_no_code(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"samples": [Harmful()]}, tmp_path / "rollout_1.pt")
    with pytest.raises(ValueError, match=r"only be loaded by running code .* save the samples as"):
        read_rollouts(tmp_path / "rollout_1.pt")


def test_tinker(tmp_path):
    rows = [
        {"schema_version": 1, "split": "train", "iteration": 3, "group_idx": g, "traj_idx": t,
         "tags": [], "total_reward": r, "final_reward": r / 2, "trajectory_metrics": {"len": 4},
         "steps": [], "final_ob_len": 9}
        for g, t, r in [(0, 1, 0.5), (0, 0, 1.0), (1, 0, 0.0)]
    ]  # fmt: skip
    path = lines(tmp_path / "iteration_000003" / "train_rollout_summaries.jsonl", rows)
    got = check(path, {"train/0": [1, 0.5], "train/1": [0]})
    assert sorted(got.scores) == ["final_reward", "total_reward", "trajectory_metrics.len"]
    lines(tmp_path / "iteration_000002" / path.name, rows[:1])
    check(tmp_path, {"train/0": [1, 0.5], "train/1": [0]})
    check(tmp_path, {"train/0": [0.5]}, reading=Reading(step=2))


def test_trinity(tmp_path):
    path = tmp_path / "buffer.db"
    with sqlite3.connect(path) as base:
        base.execute(
            "CREATE TABLE gsm8k (id INTEGER PRIMARY KEY, prompt TEXT, response TEXT, message_list "
            "JSON, reward FLOAT, model_version INTEGER, experience_bytes BLOB, consumed INTEGER)"
        )
        base.execute("CREATE TABLE tasks (id INTEGER PRIMARY KEY, raw_task JSON)")
        rows = [("p", "a", 1.0, 4), ("q", "bb", 0.0, 4), ("p", "ccc", None, 4)]
        base.executemany(
            "INSERT INTO gsm8k (prompt, response, reward, model_version) VALUES (?, ?, ?, ?)", rows
        )
    base.close()
    before = path.read_bytes()
    got = check(path, {"p": [1, NAN], "q": [0]})
    assert got.lengths.tolist() == [1, 3, 2]
    with sqlite3.connect(path) as base:
        base.execute("INSERT INTO gsm8k (prompt, reward, model_version) VALUES ('p', 9, 5)")
    base.close()
    with pytest.raises(ValueError, match=r"id 4 is of step 5, .*choose one with --step N"):
        read_rollouts(path)
    check(path, {"p": [1, NAN], "q": [0]}, reading=Reading(step=4))
    path.write_bytes(before)
    path.chmod(0o400)
    check(path, {"p": [1, NAN], "q": [0]})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["buffer.db"]


def test_reward_bench(tmp_path):
    """Best-of-n: indented objects one after another; version 2: one object of columns."""
    rows = [
        {"id": [i, j], "prompt": f"q{i}", "model": model, "scores": score, "config": "x"}
        for i, j, model, score in [(3, 0, "tulu", 0.5), (3, 1, "tulu", [1.5]), (4, 0, "tulu", -1.0)]
    ]
    path = tmp_path / "model.json"
    path.write_text("".join(json.dumps(r, indent=4, sort_keys=True) + "\n" for r in rows))
    assert check(path, {"3": [0.5, 1.5], "4": [-1]}).model == "tulu"
    columns = {
        "id": ["7", "tied:0"], "scores": [[0.5, 2.0, 1.0], [3.0, 4.0]], "num_correct": [1, 2],
        "results": [0.0, None], "subset": ["Math", "Ties"], "text": [["a", "b", "c"], ["d", "e"]],
        "model": "m", "model_type": "Seq. Classifier", "chat_template": "t",
    }  # fmt: skip
    path.write_text(json.dumps(columns, indent=4, sort_keys=True))
    got = check(path, {"Math/7": [0.5, 2, 1], "Ties/tied:0": [3, 4]})
    assert got.strata.tolist() == ["Math", "Ties"]
    assert groups(got, got.scores["correct"]) == {"Math/7": [1, 0, 0], "Ties/tied:0": [1, 1]}


def test_search_and_learn(tmp_path):
    """Steps have scores; of a completion it is the last, the least or the product."""
    rows = [
        {"problem": "2+2", "answer": "4", "unique_id": "t/1.json",
         "completions": ["a", "b", "c"],
         "scores": [[0.5, 0.25], [0.5, 0.75, 1.0], []], "pred": "a"},
        {"problem": "3+3", "answer": "6", "unique_id": "t/2.json", "completions": ["d"],
         "scores": [[0.125]], "pred": "d", "completion_tokens": [1]},
    ]  # fmt: skip
    path = lines(tmp_path / "bon_completions.jsonl", rows)
    with pytest.raises(ValueError, match=r"3 scores \(scores.last, scores.min, scores.prod\)"):
        read_rollouts(path)
    for how, values in (("last", [0.25, 1]), ("min", [0.25, 0.5]), ("prod", [0.125, 0.375])):
        got = check(path, {"t/1.json": [*values, NAN], "t/2.json": [0.125]}, reward=f"scores.{how}")
    assert read_completions(path, got.rows, got.reading) == ["a", "b", "c", "d"]
    rows[0]["completions"].pop()
    with pytest.raises(ValueError, match="line 1: 2 completions, 3 scores: each response must"):
        read_rollouts(lines(path, rows), reward="scores.min")


def test_large_language_monkeys(tmp_path):
    yaml = pytest.importorskip("yaml")
    for i, right in ((0, [True, False, True]), (12, [False])):
        problem = {
            "prompt": "few shots",
            "question": f"q{i}",
            "gt_answer": "4",
            "samples": ["é\n" * (j + 1) for j in range(len(right))],
            "is_corrects": right,
        }
        (tmp_path / f"{i}.yaml").write_text(yaml.dump(problem, allow_unicode=True))
    got = check(tmp_path, {"0": [1, 0, 1], "12": [0]})
    assert got.texts.tolist() == ["q0", "q12"]
    assert got.lengths.tolist() == [2, 4, 6, 2]
    check(tmp_path / "0.yaml", {"0": [1, 0, 1]})
    (tmp_path / "12.yaml").write_text("samples: !!python/object/apply:os.system ['false']\n")
    with pytest.raises(ValueError, match=r"12\.yaml is not YAML"):
        read_rollouts(tmp_path)


def test_tail_rl_shards(tmp_path):
    for shard, rows in enumerate([[("p1", "s1", [0.0, 1.5])], [("p1", "s2", [2.0, 0.5])]]):
        lines(
            tmp_path / f"shard_{shard}of2.jsonl",
            [{"global_idx": 0, "problem_id": p, "src_id": s, "n_usable": 9, "n": len(v),
              "n_pass": 1, "scores": v, "best_at_k": {"1": 1}} for p, s, v in rows],
        )  # fmt: skip
    lines(tmp_path / "shard_0of2.gens.jsonl", [{"problem_id": "p1", "gens": []}])
    check(tmp_path, {"p1/s1": [0, 1.5], "p1/s2": [2, 0.5]})
    check(tmp_path / "shard_1of2.jsonl", {"p1/s2": [2, 0.5]})


def lm_eval(doc, responses, filter="none", **metrics):
    return {
        "doc_id": doc, "doc": {"q": f"q{doc}"}, "target": str(doc),
        "arguments": {"gen_args_0": {"arg_0": f"prompt {doc}", "arg_1": {"until": []}}},
        "resps": [responses], "filtered_resps": [responses[0]], "filter": filter,
        "metrics": [*metrics], "doc_hash": "a", "prompt_hash": "b", "target_hash": "c", **metrics,
    }  # fmt: skip


def test_lm_eval_with_one_response(tmp_path):
    rows = [lm_eval(d, ["x"], f, exact_match=float(d + k)) for k, f in ((0, "strict"), (1, "loose"))
            for d in (0, 1)]  # fmt: skip
    path = lines(tmp_path / "samples_gsm8k_2026.jsonl", rows)
    got = check(path, {"0": [1], "1": [2]}, reward="loose.exact_match")
    assert got.scores["strict.exact_match"].tolist() == [0, 1]
    check(lines(path, rows[:2]), {"0": [0], "1": [1]})


def test_lm_eval_repeats_have_no_scores_of_their_own(tmp_path, monkeypatch, capsys):
    rows = [lm_eval(d, [f"{d}", "7", f"{d}"], f, exact_match=1.0) for f in ("strict", "loose")
            for d in (0, 1)]  # fmt: skip
    path = lines(tmp_path / "samples_gsm8k_2026.jsonl", rows)
    assert main(["curve", str(path)]) == 2
    said = capsys.readouterr().err
    assert "no response has a score of its own" in said
    assert "--reward MODULE:FUNCTION" in said
    (tmp_path / "checker.py").write_text(
        "def reward(prompts, completions, target, doc, **_):\n"
        "    assert all(p == f'prompt {t}' for p, t in zip(prompts, target))\n"
        "    return [float(c == t) for c, t in zip(completions, target)]\n"
    )
    monkeypatch.chdir(tmp_path)
    got = check(path, {"0": [1, 0, 1], "1": [1, 0, 1]}, reading=Reading(function="checker:reward"))
    assert "reward = what checker:reward gives" in got.reading.said
    assert main(["curve", str(path), "--reward", "checker:reward", "--ks", "1,3", "--json"]) == 0
    (curve,) = json.loads(capsys.readouterr().out)["curves"]
    np.testing.assert_allclose(curve["value"], [2 / 3, 1])


def test_a_file_that_lm_eval_wrote(tmp_path, monkeypatch):
    """data/make_lm_eval_file.sh; its dummy model says "lol"."""
    path = DATA / "lm_eval_samples.jsonl"
    with pytest.raises(ValueError, match="no response has a score of its own"):
        read_rollouts(path)
    (tmp_path / "joker.py").write_text(
        "def reward(prompts, completions, target, doc, **_):\n"
        "    assert prompts == [f'What is {d[\"q\"]}?' for d in doc]\n"
        "    return [len(c) + int(t) for c, t in zip(completions, target)]\n"
    )
    monkeypatch.chdir(tmp_path)
    check(path, {"0": [7] * 3, "1": [12] * 3}, reading=Reading(function="joker:reward"))


def test_openai_batch(tmp_path, monkeypatch, capsys):
    def answer(key, *texts):
        choices = [
            {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            for i, text in enumerate(texts)
        ]
        body = {"id": "c", "model": "gpt-5", "choices": choices}
        return {"id": "b", "custom_id": key, "error": None,
                "response": {"status_code": 200, "body": body}}  # fmt: skip

    path = lines(tmp_path / "output.jsonl", [answer("b", "1", "22"), answer("a", "333")])
    assert main(["curve", str(path)]) == 2
    said = capsys.readouterr().err
    assert "responses and no scores" in said
    assert "--scores FILE" in said
    scores = lines(
        tmp_path / "scores.jsonl",
        [{"custom_id": "a", "score": True}, {"custom_id": "b", "index": 1, "score": 2},
         {"custom_id": "b", "index": 0, "score": None}],
    )  # fmt: skip
    got = check(path, {"b": [NAN, 2], "a": [1]}, reading=Reading(scores=scores))
    assert read_completions(path, got.rows, got.reading) == ["1", "22", "333"]
    assert got.model == "gpt-5"
    lines(scores, [{"custom_id": "b", "score": [0.5, 0.25]}])
    with pytest.raises(ValueError, match=r"line 2: .*scores\.jsonl has no score of 'a'"):
        read_rollouts(path, reading=Reading(scores=scores))
    (tmp_path / "meter.py").write_text(
        "def reward(prompts, completions, custom_id, **_):\n    return [*map(len, completions)]\n"
    )
    monkeypatch.chdir(tmp_path)
    check(path, {"b": [1, 2], "a": [3]}, reading=Reading(function="meter:reward"))


def test_no_origin_takes_a_row_of_another(tmp_path):
    """A record is recognised by one origin only, and our own rows by none."""
    records = [
        VERL[0], episode("a", trace({})), lm_eval(0, ["x"]), json.loads(evalplus(("a", "b", "c"))),
        {"task_id": 1, "result": "", "passed": True}, {"custom_id": 1, "response": {}},
        {"prompt": "a", "prompt_id": 1, "reward": 1, "completion": "x", "rollout": 0},
    ]  # fmt: skip
    counts = [sum(known.detect(record) for known in FORMATS) for record in records]
    assert counts == [1, 1, 1, 1, 1, 1, 0]
