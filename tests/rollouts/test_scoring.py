"""What becomes of a completion whose reward raises, and of a reward that raises on everything.

No model is needed: completions are put in as drawn ones, and everything behind that is real.
"""

import json

import numpy as np
import pytest

from bontea import BonteaError
from bontea._errors import FailedError
from bontea.rollouts.calls import calls_of
from bontea.rollouts.drawn import Drawn, DrawnFile, drawn_path
from bontea.rollouts.judge import ENOUGH
from bontea.rollouts.scoring import SHOWN, Scorer
from bontea.rollouts.table import RolloutFile

PROMPTS, M = 3, 16
TEXTS = {(i, j): f"{i} {j}" for i in range(PROMPTS) for j in range(M)}


def scorer(path, reward, **options):
    rows = {i: {"prompt": f"p{i}", "answer": i} for i in range(PROMPTS)}
    return Scorer(reward, rows, RolloutFile(path), **{"batch_size": M, **options})


def draw(path, reward, batches=None, **options):
    """Score all of `TEXTS`, a prompt a batch, as generation does."""
    made = scorer(path, reward, **options)
    for i in range(PROMPTS) if batches is None else batches:
        made.score(made.keep(Drawn(i, j, TEXTS[i, j]) for j in range(M)))
    made.finish()
    return made


def rows_of(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {(row["prompt_id"], row["rollout"]): row for row in rows}


def worth(text):
    return float(text.replace(" ", "."))


BY_ZERO = ZeroDivisionError("by zero")


def raising(*bad, error=BY_ZERO, calls=None):
    """A reward that raises where one of these completions is in its batch."""

    def reward(prompts, completions, answer, **_):
        assert prompts == [f"p{i}" for i in answer]
        if calls is not None:
            calls.append(completions)
        if set(bad) & set(completions):
            raise error
        return [worth(c) for c in completions]

    return reward


class Escapes(BaseException):
    """As the time-outs of verifiers, which `except Exception` must not take."""


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("by zero"),
        TimeoutError("5 s"),
        MemoryError(),
        ImportError("no module"),
        FileNotFoundError("x.py"),
        SystemExit(0),
        Escapes("late"),
        RecursionError("deep"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_completion_that_raises_is_found_and_the_others_are_kept(tmp_path, error):
    said, calls = [], []
    path = tmp_path / "r.jsonl"
    made = draw(path, raising("1 5", error=error, calls=calls), on_trouble=said.append)
    rows = rows_of(path)
    assert sorted(rows) == sorted(TEXTS)
    for key, row in rows.items():
        if key == (1, 5):
            assert row["reward"] is None
            assert str(error) in row["error"]
        else:
            assert row["reward"] == worth(TEXTS[key])
            assert "error" not in row
    assert len(calls) <= 3 + 2 * 4 + 1  # three batches, two halves a level, and the proof
    (line,) = said
    assert line.startswith("prompt 1, rollout 5 is unscorable: ")
    assert made.file.failed == {(1, 5)}
    assert not made.drawn.path.exists()


def test_many_that_raise_are_found_one_by_one(tmp_path):
    bad = [TEXTS[0, j] for j in range(M)] + ["1 3", "2 15"]
    said = []
    draw(tmp_path / "r.jsonl", raising(*bad), on_trouble=said.append)
    rows = rows_of(tmp_path / "r.jsonl")
    # The whole of the first prompt: at that moment nothing is known of the reward.
    assert {TEXTS[key] for key, row in rows.items() if row["reward"] is None} == set(bad)
    assert sorted(rows) == sorted(TEXTS)
    assert len(said) == SHOWN + 1


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 10**400])
def test_an_infinite_reward_is_unscorable_with_its_reason(tmp_path, value):
    def reward(completions, **_):
        return [value if c == "1 5" else worth(c) for c in completions]

    draw(tmp_path / "r.jsonl", reward)
    rows = rows_of(tmp_path / "r.jsonl")
    lost = rows.pop((1, 5))
    assert lost["reward"] is None
    assert lost["error"].startswith("reward 'reward' returned ")
    assert lost["error"].endswith("inf")
    assert all(row["reward"] == worth(TEXTS[key]) for key, row in rows.items())


def raises(completions, **_):
    raise KeyError("answer")


def infinite(completions, **_):
    return [float("inf")] * len(completions)


def needs(completions, **_):
    import no_such_package  # noqa: F401


def reads(completions, **_):
    raise FileNotFoundError("answers.json is not there")


@pytest.mark.parametrize(
    ("reward", "said"),
    [
        (raises, "reward 'raises' raised KeyError: 'answer'"),
        (infinite, "reward 'infinite' returned inf"),
        (needs, "No module named 'no_such_package'"),
        (reads, "answers.json is not there"),
    ],
)
@pytest.mark.parametrize("batches", [None, [0]])
def test_a_reward_that_fails_on_everything_writes_no_nulls(tmp_path, reward, said, batches):
    path = tmp_path / "r.jsonl"
    with pytest.raises(BonteaError, match="has not scored any completion") as caught:
        draw(path, reward, batches)
    assert said in str(caught.value)
    assert not rows_of(path)
    count = M if batches else 2 * M
    assert len(DrawnFile(RolloutFile(path)).waiting) == count  # the second prompt decides
    # The reward is mended, and the run goes on: nothing is drawn again.
    made = scorer(path, raising())
    made.score(made.left())
    assert len(rows_of(path)) == count
    assert not made.drawn.path.exists()


def test_a_reward_that_breaks_in_the_middle_writes_no_nulls(tmp_path):
    """A server that goes away: what failed since then waits for a reward that works."""
    calls = []

    def reward(completions, **_):
        calls.append(completions)
        if (len(calls) > 1 and "1 7" in completions) or len(calls) > 4:
            raise ConnectionError("gone")
        return [worth(c) for c in completions]

    path = tmp_path / "r.jsonl"
    with pytest.raises(FailedError, match=r"gone\n.* and then failed for one that it had scored"):
        draw(path, reward)
    rows = rows_of(path)
    assert all(row["reward"] is not None for row in rows.values())
    assert M <= len(rows) < 2 * M
    assert len(calls) < 3 * ENOUGH
    assert set(rows) | set(DrawnFile(RolloutFile(path)).waiting) == {
        key for key in TEXTS if key[0] < 2
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [([1.0], "returned 1 values for 16"), (["good"] * M, "returned 'good'"), (1.0, "a list")],
)
def test_a_bug_of_the_function_ends_the_run(tmp_path, values, said):
    with pytest.raises(BonteaError, match=said):
        draw(tmp_path / "r.jsonl", lambda completions, **_: values)
    assert len(DrawnFile(RolloutFile(tmp_path / "r.jsonl")).waiting) == M


def test_what_is_drawn_is_on_the_disk_before_it_is_scored(tmp_path):
    path, seen = tmp_path / "r.jsonl", []

    def reward(completions, **_):
        lines = drawn_path(path).read_text().splitlines()
        seen.append({json.loads(line)["text"] for line in lines} >= set(completions))
        return [1.0] * len(completions)

    draw(path, reward)
    assert seen == [True] * PROMPTS


def test_the_file_of_what_waits(tmp_path, monkeypatch):
    from bontea.rollouts import drawn

    monkeypatch.setattr(drawn, "SPARE", 5)
    path = tmp_path / "r.jsonl"
    file = DrawnFile(RolloutFile(path))
    ones = [Drawn(0, j, f"half \ud83d{j}".encode("utf-8", "replace").decode(), "length")
            for j in range(20)]  # fmt: skip
    assert file.add(ones) == ones
    assert file.add(ones) == []
    with file.path.open("a") as raw:
        raw.write('{"prompt_id": 0, "rollo')  # killed in the middle of a line
    again = DrawnFile(RolloutFile(path))
    assert list(again.waiting.values()) == ones
    again.settle(ones[:18])
    assert len(again.path.read_text().splitlines()) == 2  # written anew without the others
    assert list(DrawnFile(RolloutFile(path)).waiting.values()) == ones[18:]
    again.settle(ones[18:])
    assert not again.path.exists()
    again.path.write_text("[1]\n")
    with pytest.raises(BonteaError, match="line 1"):
        DrawnFile(RolloutFile(path))
    assert drawn_path(tmp_path / "r.parquet.jsonl") == tmp_path / "r.parquet.drawn.jsonl"


def test_rows_that_are_there_are_not_scored_twice(tmp_path):
    """A kill between the row and the end of its waiting."""
    path = tmp_path / "r.jsonl"
    draw(path, raising(), [0])
    file = DrawnFile(RolloutFile(path))
    assert file.add([Drawn(0, 0, "other")]) == []
    file.path.write_text(json.dumps(Drawn(0, 0, "other")._asdict()) + "\n")
    made = scorer(path, raising())
    assert made.left() == []
    assert not made.drawn.path.exists()


def test_chats_and_columns(tmp_path):
    chat = [{"role": "user", "content": "hi"}]
    seen = []

    def reward(prompts, completions, **columns):
        seen.append((prompts, completions, columns))
        return [np.float32(0.5)] * len(prompts)

    rows = {0: {"prompt": chat, "answer": "7", "stratum": 3}}
    made = Scorer(calls_of(reward), rows, RolloutFile(tmp_path / "r.jsonl"), batch_size=4, name="m")
    made.score(made.keep([Drawn(0, 0, "a", "stop")]))
    turn = [{"role": "assistant", "content": "a"}]
    assert seen == [([chat], [turn], {"answer": ["7"], "stratum": [3]})]
    assert rows_of(tmp_path / "r.jsonl")[0, 0] == {
        "prompt_id": 0, "rollout": 0, "reward": 0.5, "prompt": chat, "completion": "a",
        "finish_reason": "stop", "model": "m", "stratum": "3",
    }  # fmt: skip
