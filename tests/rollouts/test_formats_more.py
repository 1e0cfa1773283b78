"""Files of more tools, in the fields that their sources write, against the numbers put in."""

import json
import re
import sqlite3

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from tests.rollouts.test_formats import (  # noqa: E402
    DATA,
    NAN,
    VERL,
    check,
    episode,
    evalplus,
    groups,
    lines,
    trace,
)

from bontea.cli import main  # noqa: E402
from bontea.rollouts import read_completions, read_rollouts  # noqa: E402
from bontea.rollouts.formats import FORMATS, Reading  # noqa: E402


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
    short = "samples: [x]\nis_corrects: [true]\n"
    (tmp_path / "13.yml").write_text(short)
    check(tmp_path, {"0": [1, 0, 1], "12": [0], "13": [1]})
    (tmp_path / "12.yml").write_text(short)
    with pytest.raises(ValueError, match="both are rollout 0 of prompt '12'"):
        read_rollouts(tmp_path)
    (tmp_path / "12.yml").write_text(short + "is_corrects: [false]\n")
    with pytest.raises(ValueError, match=r"12\.yml: the key 'is_corrects' is there twice"):
        read_rollouts(tmp_path)
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
    (tmp_path / "shard_0of3.jsonl").write_bytes((tmp_path / "shard_0of2.jsonl").read_bytes())
    with pytest.raises(ValueError, match="both are rollout 0 of prompt 'p1/s1'"):
        read_rollouts(tmp_path)  # of another run, with other shards


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


def test_two_files_of_lm_eval_in_one_are_refused(tmp_path):
    rows = [lm_eval(d, ["x"], exact_match=score) for score in (1.0, 0.0) for d in range(2)]
    path = lines(tmp_path / "samples_both.jsonl", rows)
    with pytest.raises(ValueError, match="line 3: document 0 is there before, with the same filt"):
        read_rollouts(path)


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


def batch_answer(key, *texts):
    choices = [{"index": i, "message": {"content": text}} for i, text in enumerate(texts)]
    body = {"model": "gpt-5", "choices": choices} if texts else {"error": {"code": "rate_limit"}}
    return {"custom_id": key, "response": {"status_code": 200 if texts else 429, "body": body}}


def test_a_failed_request_of_a_batch_is_unscorable(tmp_path):
    path = tmp_path / "output.jsonl"
    scores = lines(tmp_path / "scores.jsonl", [{"custom_id": k, "score": 2} for k in ("a", 7)])
    reading = Reading(scores=scores)
    lines(path, [batch_answer("x"), batch_answer("a", "1"), batch_answer("7", "2")])
    assert check(path, {"a": [2], "7": [2], "x": [NAN]}, reading=reading).model == "gpt-5"


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([{"score": [1, 2]}], "has 2 scores of 'a', which has 1 choice"),
        ([{"score": 1, "index": 0}, {"score": 2, "index": 0}], "line 2: choice 0 of 'a' has a sc"),
        ([{"score": 1, "index": -1}], "line 1: index '-1' must be the number of a choice, from 0"),
        ([{"score": 1, "index": 10**9}], "has 1 score of 'a', and this is choice 1"),
        ([{"score": 1, "custom_id": ["a"]}], "no score of 'a', and this is choice 1"),
    ],
)
def test_scores_that_do_not_fit_a_batch_are_refused(tmp_path, scores, said):
    path = lines(tmp_path / "output.jsonl", [batch_answer("a", "1")])
    file = lines(tmp_path / "scores.jsonl", [{"custom_id": "a"} | row for row in scores])
    with pytest.raises(ValueError, match=re.escape(said)):
        read_rollouts(path, reading=Reading(scores=file))


def test_no_origin_takes_a_row_of_another(tmp_path):
    """A record is recognised by one origin only, and our own rows by none."""
    records = [
        VERL[0], episode("a", trace({})), lm_eval(0, ["x"]), json.loads(evalplus(("a", "b", "c"))),
        {"task_id": 1, "result": "", "passed": True}, {"custom_id": 1, "response": {}},
        {"prompt": "a", "prompt_id": 1, "reward": 1, "completion": "x", "rollout": 0},
    ]  # fmt: skip
    counts = [sum(known.detect(record) for known in FORMATS) for record in records]
    assert counts == [1, 1, 1, 1, 1, 1, 0]
