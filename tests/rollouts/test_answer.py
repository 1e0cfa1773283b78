"""What a server's answer says: every shape seen in the field, and whether it can be scored."""

import json

import pytest
from tests.rollouts.openai_server import choice

from bontea.rollouts.answer import Completion, completion_of, is_answer, read_json
from bontea.rollouts.service import BadAnswer

THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (choice("a"), ("a", "stop", False)),
        ({"choices": [{"message": {"content": "a"}}]}, ("a", None, False)),
        ({"choices": [{"text": "a", "finish_reason": None}]}, ("a", None, False)),
        ({"choices": [{"text": None}]}, ("", None, False)),
        ({"choices": [{"text": "", "finish_reason": "length"}]}, ("", "length", False)),
        ({"choices": [{"index": 3, "text": "a"}], "error": None}, ("a", None, False)),
        (
            {**choice("a"), "status": "completed", "base_resp": {"status_code": 0}},
            ("a", "stop", False),
        ),
        ({"choices": [{"text": "half \ud83d of a pair"}]}, ("half ? of a pair", None, False)),
        (choice("a", "length"), ("a", "length", False)),
        (choice(" \n", "stop"), (" \n", "stop", False)),
        (choice(None, "stop"), ("", "stop", False)),
        # Thinking, wherever it is put.
        (choice(None, "length", reasoning_content="hm"), ("", "length", True)),
        (choice("", "length", reasoning="hm"), ("", "length", True)),
        (choice("\n\n", "length", reasoning_content="hm"), ("\n\n", "length", True)),
        (choice(None, "stop", reasoning_content="hm"), ("", "stop", True)),
        (choice(None, "length", reasoning_details=[{"text": "hm"}]), ("", "length", True)),
        (choice([THINKING], "length"), ("", "length", True)),
        (choice("a", "stop", reasoning_content="hm"), ("a", "stop", False)),
        (choice(None, "length", reasoning_content=""), ("", "length", False)),
        # Refusals, filters, tools.
        (choice(None, "stop", refusal="no"), ("", "content_filter", False)),
        (choice([{"type": "refusal", "refusal": "no"}]), ("", "content_filter", False)),
        (choice("half", "content_filter"), ("half", "content_filter", False)),
        (choice("", "SAFETY"), ("", "content_filter", False)),
        (choice(None, "content_filter", reasoning="hm"), ("", "content_filter", False)),
        (choice(None, "tool_calls", tool_calls=[{"id": "1"}]), ("", "tool_calls", False)),
        (choice("", "stop", tool_calls=[{"id": "1"}]), ("", "tool_calls", False)),
        (choice("see", "tool_calls", tool_calls=[{}]), ("see", "tool_calls", False)),
        (choice("a", "stop", tool_calls=[], function_call=None), ("a", "stop", False)),
        # Parts.
        (choice([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), ("ab", "stop", 0)),
        (choice([THINKING, {"type": "output_text", "text": "a"}]), ("a", "stop", False)),
        (choice(["a", {"text": {"value": "b"}}]), ("ab", "stop", False)),
        (choice({"type": "text", "text": "a"}), ("a", "stop", False)),
        (choice([]), ("", "stop", False)),
        (choice([{"type": "text", "text": "a"}, {"type": "reference"}]), ("a", "stop", False)),
        # What others call it.
        (choice("a", "eos_token"), ("a", "stop", False)),
        (choice("a", "MAX_TOKENS"), ("a", "length", False)),
        (choice("a", "FinishReason.MAX_TOKENS"), ("a", "length", False)),
        (choice("a", {"type": "length", "length": 5}), ("a", "length", False)),
        (choice("a", "end-turn"), ("a", "stop", False)),
        (choice("a", "repetition"), ("a", "repetition", False)),
        (choice("a", ""), ("a", None, False)),
    ],
)
def test_completions(answer, expected):
    assert completion_of(answer) == Completion(*expected)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "no list of choices"),
        ("x", "no list of choices"),
        ([], "no list of choices"),
        (3, "no list of choices"),
        ({}, "no list of choices"),
        ({"choices": 3}, "no list of choices"),
        ({"choices": []}, "no choice"),
        ({"choices": ["x"]}, "without message or text"),
        ({"choices": [{"delta": {"content": "a"}}]}, "without message or text"),
        ({"choices": [{"message": None}]}, "a message that is null"),
        ({"choices": [{"message": {}}]}, "a message that is none"),
        ({"choices": [{"message": "a"}]}, "a message that is none"),
        ({"choices": [{"text": "a"}, {"text": "b"}]}, "2 choices where one was asked for"),
        # Half a text is no completion.
        (choice("half", "error"), "finish_reason 'error'"),
        (choice("half", "ERROR"), "finish_reason 'ERROR'"),
        (choice("half", "abort"), "finish_reason 'abort'"),
        (choice("half", "cancelled"), "not finished"),
        (choice("half", "server_error"), "not finished"),
        (choice("half", "insufficient_system_resource"), "not finished"),
        (choice("half", {"type": "abort", "message": "x"}), "not finished"),
        (choice("half", 7), "finish_reason that is no text"),
        ({"choices": [{"text": "half", "finish_reason": "error"}]}, "not finished"),
        ({"error": {"message": "overloaded", "code": 503}}, "status 200: 'overloaded'"),
        ({**choice("half"), "error": "overloaded"}, "status 200: 'overloaded'"),
        ({"object": "error", "message": "overloaded"}, "status 200: 'overloaded'"),
        ({**choice("half"), "status": "error"}, "status 200"),
        ({**choice("half"), "base_resp": {"status_code": 1002, "status_msg": "limit"}}, "1002"),
        ({"choices": [{**choice("half")["choices"][0], "error": {"code": 502}}]}, "status 200"),
        (choice("half", "stop", error={"message": "overloaded"}), "status 200: 'overloaded'"),
        # Content that is no text.
        (choice(3), "content that is no text"),
        (choice([3]), "content that is no text"),
        (choice([None]), "content that is no text"),
        (choice([{"type": "image_url", "image_url": {"url": "x"}}]), "content that is no text"),
        (choice([{"type": "text", "text": None}]), "content that is no text"),
        (choice([{"type": ["text"], "text": "a"}]), "content that is no text"),
    ],
)
def test_no_answers(answer, words):
    with pytest.raises(BadAnswer) as error:
        completion_of(answer)
    assert words in str(error.value)


def test_what_can_be_scored():
    for reason in ("stop", None):
        assert is_answer("", reason)
        assert not is_answer("", reason, True)
    for reason in ("length", "content_filter", "tool_calls", "of its own"):
        assert is_answer("a", reason)
        assert not is_answer(" \n", reason)
    assert not is_answer("", None, reasoning_only=True)
    assert is_answer("", None, reasoning_only=None)  # as Parquet gives it back


def test_json_is_read_whatever_it_is_called():
    text = '{"a": "é 한"}'
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        assert read_json(text.encode(encoding)) == {"a": "é 한"}
    assert read_json(b"<html>busy</html>") == "<html>busy</html>"
    for half in (b"", b'{"choices": [', b"[1, "):
        with pytest.raises(json.JSONDecodeError):
            read_json(half)
    with pytest.raises(BadAnswer, match="a stream of events"):
        read_json(b'data: {"choices": [{"delta": {"content": "a"}}]}\n\ndata: [DONE]\n\n')
    for bad in (b"[" * 100_000, b'{"a": "\xff"}', b'{"a": %s}' % (b"9" * 5000)):
        with pytest.raises(BadAnswer, match="no JSON"):
            read_json(bad)
