"""Sampling: reproducible, resumable, and independent of which prompts are drawn together."""

import json

import numpy as np
import pytest

pytest.importorskip("transformers")

from bontea import demo
from bontea.rollouts.drawn import Drawn
from bontea.rollouts.generate import chunks, sample_rollouts
from bontea.rollouts.scoring import Scorer
from bontea.rollouts.table import RolloutFile


class Killed(Exception):
    pass


def length(prompts, completions, **_):
    return [None if len(c) % 7 == 0 else float(len(c)) for c in completions]


@pytest.fixture(scope="module")
def policy():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = demo.policy_folder()
    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def draw(policy, path, rows=None, **options):
    rows = {i: {"prompt": p} for i, p in enumerate(demo.held_out_prompts()[:3])} | (rows or {})
    options = {"m": 10, "max_new_tokens": 8, "batch_size": 4, **options}
    return sample_rollouts(*policy, rows, length, path, **options)


def test_killed_at_any_chunk_it_ends_the_same(policy, tmp_path):
    whole = draw(policy, tmp_path / "whole.jsonl")
    assert len(whole.rewards) == 30
    for stop_after in range(1, 9):
        left = [stop_after]

        def kill(_, left=left):
            left[0] -= 1
            if left[0] == 0:
                raise Killed

        path = tmp_path / f"{stop_after}.jsonl"
        with pytest.raises(Killed):
            draw(policy, path, on_chunk=kill)
        path.write_bytes(path.read_bytes()[: -stop_after * 5])  # and the last write was cut
        draw(policy, path)
        # A chunk that was cut is drawn again from its seed; only its missing rows are written.
        assert sorted(path.read_text().splitlines()) == sorted(whole.path.read_text().splitlines())


def test_seeds(policy, tmp_path):
    first = draw(policy, tmp_path / "a.jsonl")
    again = draw(policy, tmp_path / "b.jsonl")
    other = draw(policy, tmp_path / "c.jsonl", seed=1)
    assert first.completions == again.completions
    assert first.completions != other.completions


def test_a_prompt_alone_gets_the_same_rollouts(policy, tmp_path):
    together = draw(policy, tmp_path / "a.jsonl").table(3, 10)
    alone = sample_rollouts(
        *policy,
        {1: {"prompt": demo.held_out_prompts()[1]}},
        length,
        tmp_path / "b.jsonl",
        m=10,
        max_new_tokens=8,
        batch_size=4,
    ).table(3, 10)
    np.testing.assert_array_equal(alone[1], together[1])
    assert np.isnan(alone[0]).all()


def test_more_rollouts_continue_the_file(policy, tmp_path):
    small = draw(policy, tmp_path / "a.jsonl", m=4).table(3, 4)
    more = draw(policy, tmp_path / "a.jsonl", m=8).table(3, 8)
    np.testing.assert_array_equal(more[:, :4], small)
    assert np.isnan(more).sum() < 24


def test_a_file_that_grows_is_the_same_however_it_was_killed(policy, tmp_path):
    """From 6 to 9, with chunks of 4: 0-3, 4-5, then 6-8; no seed serves two chunks."""
    assert list(chunks(9, 4, [6])) == [range(0, 4), range(4, 6), range(6, 9)]
    assert list(chunks(9, 4)) == [range(0, 4), range(4, 8), range(8, 9)]
    assert list(chunks(3, 4, [])) == [range(0, 3)]
    draw(policy, tmp_path / "a.jsonl", m=6)
    first = (tmp_path / "a.jsonl").read_text()
    draw(policy, tmp_path / "a.jsonl", m=9, earlier=[6])
    whole = (tmp_path / "a.jsonl").read_text()
    assert whole.startswith(first)
    (tmp_path / "b.jsonl").write_text("".join(first.splitlines(True)[:5]))  # cut in 4-5
    draw(policy, tmp_path / "b.jsonl", m=9, earlier=[6])
    assert sorted(whole.splitlines()) == sorted((tmp_path / "b.jsonl").read_text().splitlines())
    rows = [json.loads(line) for line in whole.splitlines()]
    for i in range(3):
        assert len({row["completion"] for row in rows if row["prompt_id"] == i}) == 9


def test_rows_say_model_and_stratum_where_there_are_any(policy, tmp_path):
    prompts = demo.held_out_prompts()
    rows = {
        0: {"prompt": prompts[0], "stratum": 3},
        1: {"prompt": prompts[1], "stratum": None},
        2: {"prompt": prompts[2]},
    }
    file = RolloutFile(tmp_path / "a.jsonl")
    assert draw(policy, file, rows, m=1, name="demo") is file
    written = [json.loads(line) for line in file.path.read_text().splitlines()]
    assert [(row["model"], row.get("stratum")) for row in written] == [
        ("demo", "3"), ("demo", None), ("demo", None),
    ]  # fmt: skip
    draw(policy, tmp_path / "b.jsonl", m=1)
    assert all("model" not in json.loads(x) for x in (tmp_path / "b.jsonl").open())


def test_why_a_completion_ends(policy, tmp_path):
    """The embedded policy has an end-of-sequence token; without it every completion is cut off."""
    model, tokenizer = policy
    draw(policy, tmp_path / "a.jsonl", max_new_tokens=24)
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").open()]
    longest = max(len(tokenizer(row["completion"])["input_ids"]) for row in rows)
    for row in rows:
        tokens = len(tokenizer(row["completion"])["input_ids"])
        assert row["finish_reason"] in ("stop", "length")
        if row["finish_reason"] == "stop":
            assert tokens < longest
    assert {row["finish_reason"] for row in rows} == {"stop", "length"}
    kept = model.generation_config.eos_token_id
    model.generation_config.eos_token_id = None
    try:
        draw(policy, tmp_path / "b.jsonl", m=2)
    finally:
        model.generation_config.eos_token_id = kept
    rows = [json.loads(line) for line in (tmp_path / "b.jsonl").open()]
    assert {row["finish_reason"] for row in rows} == {"length"}


def test_what_is_no_answer_is_not_scored(tmp_path):
    seen = []

    def reward(prompts, completions, answer):
        seen.append((completions, answer))
        return [1.0] * len(completions)

    rows = {0: {"prompt": "a", "answer": 7}, 1: {"prompt": "b", "answer": 8}}
    drawn = [
        Drawn(0, 0, "", "length"),
        Drawn(1, 0, "text", "length"),
        Drawn(0, 1, "", "stop"),
        Drawn(1, 1, "", "stop", reasoning_only=True),
    ]
    path = tmp_path / "a.jsonl"
    scorer = Scorer(reward, rows, RolloutFile(path), batch_size=8)
    scorer.score(scorer.keep(drawn))
    out = [json.loads(line) for line in path.open()]
    out.sort(key=lambda row: drawn.index((row["prompt_id"], row["rollout"], *_end(row))))
    assert [row["reward"] for row in out] == [None, 1.0, 1.0, None]
    assert seen == [(["text", ""], [8, 7])]
    assert [row.get("reasoning_only") for row in out] == [None, None, None, True]
    scorer.score(scorer.keep([Drawn(0, 2, "", "length")]))
    assert json.loads(path.read_text().splitlines()[-1])["reward"] is None
    assert len(seen) == 1  # nothing to score, nothing called


def _end(row):
    return row["completion"], row["finish_reason"], row.get("reasoning_only", False)
