"""Files of questions that experiments read."""

import pytest
from tests.scripts import ROOT, load_script


@pytest.fixture(scope="module")
def rollouts():
    pytest.importorskip("transformers")
    return load_script(ROOT / "benchmarks" / "experiments" / "extrapolation" / "rollouts.py")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is not there: give a JSONL file of questions"),
        ("", "has no questions"),
        ('{"prompt": "a"}\n{"question": "b"}\n', r"line 2 has 'question'; it needs a 'prompt'"),
    ],
)
def test_what_holds_no_questions_is_refused(rollouts, tmp_path, text, said):
    path = tmp_path / "questions.jsonl"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit, match=said):
        rollouts.read_questions(path, 10)


def test_prompts_and_first_turns_are_read(rollouts, tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text('{"prompt": "a"}\n{"turns": ["b", "c"]}\n')
    found = rollouts.read_questions(path, 10)
    assert [row["prompt"][0]["content"] for row in found.values()] == ["a", "b"]
