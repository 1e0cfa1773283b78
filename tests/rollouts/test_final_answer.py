"""Answers that are equal become one text, others do not, and what is no answer is None."""

import json
import time

import pytest

from bontea import BonteaError, read_rollouts
from bontea.rollouts.answers import read_answers, read_right
from bontea.rollouts.final_answer import answer_function, final_answer, written

pytest.importorskip("polars")
EQUAL = {
    "1000": [
        "1,000",
        "1000",
        "1e3",
        "1000.0",
        "\\boxed{1{,}000}",
        "$1,000",
        "The answer is 1,000.",
    ],
    "1/2": [
        "0.5",
        ".5",
        "1/2",
        "\\boxed{\\frac{1}{2}}",
        "\\boxed{\\dfrac12}",
        "Answer: 2/4",
        "0.50",
    ],
    "-1/2": ["-0.5", "\\boxed{-\\frac{1}{2}}", "The answer is - 1/2.", "−1/2"],
    "5/2": ["2 1/2", "\\boxed{2\\tfrac{1}{2}}", "2.5"],
    "42": [
        "#### 42",
        "so\n42",
        "The answer is 42.",
        "**Answer:** 42",
        "Answer:\n42",
        "\\boxed{42}",
    ],
    "5": [
        "\\boxed{x = 5}",
        "\\boxed{5\\text{ cm}}",
        "The answer is 5, since 2+3=5.",
        "5%",
        "5 apples",
    ],
    "300000000": ["\\boxed{3 \\times 10^{8}}", "3 x 10^8", "3e8"],
    "B": ["(B)", "B", "B.", "(b)", "B) Paris", "\\boxed{\\text{(B)}}", "The answer is (B) Paris."],
    "paris": ["\\boxed{Paris}", "The answer is **Paris**.", 'Answer: "paris"'],
    "x+1": ["\\boxed{x+1}", "\\boxed{ x + 1 }", "\\boxed{\\boxed{x+1}}"],
    "4": ["<think>the answer is 3</think>4", "\\boxed{3} no, \\boxed{4}", "answer is 3. Answer: 4"],
}
PAIRS = [(text, form) for form, texts in EQUAL.items() for text in texts]
NO_ANSWER = ["", "  ", "I do not know.", "\\boxed{}", "\\boxed{4", "<think>the answer is 3", "x=5"]
NO_ANSWER += ["A man is here", "3 bananas were eaten by him", "2/0", "1,00"]
DIFFERENT = [
    ("\\boxed{31/2}", "\\boxed{3 1/2}"),
    ("\\boxed{12}", "\\boxed{1 2}"),
    ("\\boxed{2x}", "\\boxed{2}"),
    ("The answer is 3.", "The answer is 3 million."),
    ("The answer is 3.", "The answer is 3 or 4."),
    ("\\boxed{2\\pi}", "\\boxed{2}"),
    ("\\boxed{12:30}", "\\boxed{12}"),
]


@pytest.mark.parametrize(("text", "form"), PAIRS)
def test_equal_answers_are_one(text, form):
    assert final_answer(text) == form


@pytest.mark.parametrize("text", NO_ANSWER)
def test_no_answer(text):
    assert final_answer(text) is None


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_different_answers_stay_apart(a, b):
    assert None not in (final_answer(a), final_answer(b))
    assert final_answer(a) != final_answer(b)


def test_a_form_is_its_own_form():
    for form in EQUAL:
        assert written(form) == form


@pytest.mark.parametrize("piece", ["\\boxed{", "answer is ", "1 ", "{", "\\frac", "(A) ", " ", "9"])
def test_a_model_that_repeats_itself_costs_no_time(piece):
    """Regular expressions that go back would take minutes."""
    start = time.perf_counter()
    final_answer(piece * 20_000)
    final_answer("\\boxed{" + piece * 20_000 + "}")
    final_answer("1e999999999")
    assert time.perf_counter() - start < 5


def test_a_function_of_the_user():
    assert answer_function(None) is final_answer
    assert answer_function(lambda text: 4.0)("anything") == "4"
    for nothing in (None, float("nan"), ""):
        assert answer_function(lambda text, nothing=nothing: nothing)("anything") is None
    assert answer_function("builtins:len")("four") == "4"
    with pytest.raises(BonteaError, match=r"math:sqrt raised TypeError.* for 'x'"):
        answer_function("math:sqrt")("x")
    with pytest.raises(BonteaError, match="no module 'nowhere'"):
        answer_function("nowhere:f")


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def chat(text):
    return [{"role": "assistant", "content": text}]


ROWS = [
    {"prompt_id": 1, "reward": 0, "completion": "The answer is 4.", "right": "\\boxed{4}"},
    {"prompt_id": 2, "reward": 0, "completion": chat("(B)"), "right": "B"},
    {"prompt_id": 1, "reward": 0, "completion": "no idea", "right": "4.0"},
    {"prompt_id": 3, "reward": 0, "completion": "\\boxed{Paris}", "right": "Paris"},
]


def test_read_from_a_file(tmp_path):
    rollouts = read_rollouts(write(tmp_path / "a.jsonl", ROWS))
    answers = read_answers(rollouts)
    assert answers.tolist() == ["4", None, "B", "paris"]
    assert read_right(rollouts, answers, "right").tolist() == [1, 0, 1, 1]
    assert read_answers(rollouts, len).tolist() == ["16", "7", "3", "13"]


def test_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("bontea.rollouts.answers.AT_A_TIME", 3)
    rollouts = read_rollouts(write(tmp_path / "a.jsonl", ROWS))
    assert read_answers(rollouts).tolist() == ["4", None, "B", "paris"]


def test_one_row_a_prompt(tmp_path):
    """The right answer stands once for all responses of the row."""
    row = {"prompt": "2+2", "rewards": [1, 0], "completions": ["(A) 4", "\\boxed{4}"], "right": "A"}
    rollouts = read_rollouts(write(tmp_path / "a.jsonl", [row]))
    answers = read_answers(rollouts)
    assert answers.tolist() == ["A", "4"]
    assert read_right(rollouts, answers, "right").tolist() == [1, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"right": None}, "row 4: there is no right answer in 'right'"),
        ({"right": "  "}, "row 4: the right answer '  ' in 'right' cannot be normalised"),
        (
            {"prompt_id": 2, "right": "C"},
            "prompt '2' has two right answers in 'right', 'B' and 'C'",
        ),
    ],
)
def test_right_answers_that_cannot_be_used(tmp_path, change, message):
    rows = [*ROWS[:3], ROWS[3] | change]
    rollouts = read_rollouts(write(tmp_path / "a.jsonl", rows))
    with pytest.raises(BonteaError, match=message):
        read_right(rollouts, read_answers(rollouts), "right")


def test_no_responses(tmp_path):
    rollouts = read_rollouts(write(tmp_path / "a.jsonl", [{"prompt_id": 1, "reward": 0}]))
    with pytest.raises(BonteaError, match=r"no responses in it .*--completion-column"):
        read_answers(rollouts)
    from bontea import as_rollouts

    with pytest.raises(BonteaError, match="not read from a file"):
        read_answers(as_rollouts([[1, 0]]))
