"""What a server's answer says: the completion, why it ends, and whether it is an answer at all.

Status 200 promises little. A request that failed half-way comes back with half a text and
`finish_reason` "error"; a model that spent all its tokens on thinking comes back with no text. The
first is an attempt that failed, to be made again. The second is a rollout, but its empty text is
no answer that a reward function could judge: it is written without a reward.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from bontea._errors import BonteaError
from bontea._json import strict_loads
from bontea.rollouts._ends import end_named
from bontea.rollouts.service import BadAnswer

_FAILED = re.compile(
    "error|abort|cancel|fail|timeout|time_limit|interrupt|preempt|overload|unavailable"
    "|insufficient_system_resource"
)
"""In a `finish_reason`: the completion was not finished, and not by the model."""
_TEXT = {"text", "output_text", None}
_THINKING = {"thinking", "redacted_thinking", "reasoning", "reasoning_text", "reasoning_content"}
_TOOLS = {"tool_call", "tool_calls", "tool_use", "function_call"}
_OTHER = {"refusal", "reference", "citation", "annotation"}
"""Kinds of parts that content may be a list of."""
_LONGEST_SAID = 2000
"""Of what is quoted; the key is taken out of it before it is cut to what is shown."""


class Completion(NamedTuple):
    """What one answer holds."""

    text: str
    finish_reason: str | None = None
    """"stop", "length" (cut off), "content_filter", "tool_calls", or a word of the server's own;
    None where it says nothing."""
    reasoning_only: bool = False
    """The model thought, and no text came after it."""


def is_answer(text: str, finish_reason: str | None, reasoning_only: bool | None = False) -> bool:
    """Whether a completion can be scored; an empty one only if the model itself ended it.

    >>> is_answer("", "stop"), is_answer("", None), is_answer("7 is", "length")
    (True, True, True)
    >>> is_answer("", "length"), is_answer("", "stop", reasoning_only=True)
    (False, False)
    """
    return bool(text.strip()) or (not reasoning_only and finish_reason in (None, "stop"))


def read_json(data: bytes) -> Any:
    """The JSON in the body of an answer, whatever its content type says; other text as text.

    Raises json.JSONDecodeError for JSON that is cut off, and BadAnswer for a stream, or for JSON
    that can be read in two ways.
    """
    try:
        try:
            return strict_loads(data.decode(json.detect_encoding(data)), "the answer")
        except BonteaError:
            json.loads(data)  # an error of its own for one that is cut off
            raise
    except json.JSONDecodeError:
        text = data.decode("utf-8", "replace").strip()
        if text.startswith(("data:", "event:", ": ")):
            raise BadAnswer(
                "a stream of events, which was not asked for; to turn it off: "
                """--extra-body '{"stream": false}'"""
            ) from None
        if text.startswith(("{", "[")) or not text:
            raise
        return text
    except (ValueError, RecursionError) as error:  # no text, or a number of too many digits
        raise BadAnswer(f"no JSON: {error}") from None


def completion_of(answer: Any) -> Completion:
    """The completion in an answer of either interface, read from JSON.

    Raises BadAnswer when it is none: no choice or several, content that is no text, or an error in
    it, whatever the status was.
    """
    choices = answer.get("choices") if isinstance(answer, dict) else None
    check_error(answer)
    if not isinstance(choices, list):
        raise BadAnswer(f"no list of choices: {_said(answer)}")
    if not choices:
        raise BadAnswer("no choice in the list of choices")
    if len(choices) > 1:
        raise BadAnswer(
            f"{len(choices)} choices where one was asked for; to ask for one: "
            """--extra-body '{"n": 1}'"""
        )
    choice = choices[0]
    if not isinstance(choice, dict) or not ("message" in choice or "text" in choice):
        raise BadAnswer(f"a choice without message or text: {_said(choice)}")
    check_error(choice)
    message = choice.get("message")
    if message is None:
        if "text" not in choice:
            raise BadAnswer(f"a message that is null: {_said(choice)}")
        message = {"content": choice["text"], "reasoning": choice.get("reasoning")}
    if not isinstance(message, dict) or not message:
        raise BadAnswer(f"a message that is none: {_said(choice)}")
    check_error(message)
    reason = _finish_reason(choice.get("finish_reason"))
    parts = _parts_of(message.get("content"))
    thinking = parts.thinking or any(
        message.get(name)
        for name in ("reasoning_content", "reasoning", "reasoning_details", "thinking")
    )
    # Half a surrogate pair, which JSON can carry, cannot be written as UTF-8.
    text = parts.text.encode("utf-8", "replace").decode("utf-8")
    if text.strip():
        return Completion(text, reason)
    if reason != "length":
        if parts.refused or message.get("refusal"):
            reason = "content_filter"
        elif parts.tools or message.get("tool_calls") or message.get("function_call"):
            reason = "tool_calls"
    return Completion(text, reason, bool(thinking) and reason in (None, "stop", "length"))


class _Parts(NamedTuple):
    """Content, taken apart."""

    text: str
    thinking: bool = False
    refused: bool = False
    tools: bool = False


def _parts_of(content: Any) -> _Parts:
    if content is None or isinstance(content, str):
        return _Parts(content or "")
    texts, kinds = [], set()
    for part in content if isinstance(content, list) else [content]:
        kind = part.get("type") if isinstance(part, dict) else None
        kind = kind if kind is None or isinstance(kind, str) else "?"
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, dict):
            text = text.get("value")
        if kind in _TEXT and isinstance(text, str):
            texts.append(text)
        elif kind in _THINKING | _TOOLS | _OTHER:
            kinds.add(kind)
        else:
            raise BadAnswer(f"content that is no text: {_said(part)}")
    return _Parts("".join(texts), bool(kinds & _THINKING), "refusal" in kinds, bool(kinds & _TOOLS))


def _finish_reason(said: Any) -> str | None:
    """One name for one way to end; BadAnswer where the completion was not finished."""
    if isinstance(said, dict):  # {"type": "length", "length": 512}
        said = said.get("type")
    if said is None or said == "":
        return None
    if not isinstance(said, str):
        raise BadAnswer(f"a finish_reason that is no text: {_said(said)}")
    word = end_named(said)
    if _FAILED.search(word):
        raise BadAnswer(f"finish_reason {said[:100]!r}: it was not finished")
    return word[:100].encode("utf-8", "replace").decode("utf-8") or None


def check_error(where: Any) -> None:
    """Raise BadAnswer for an error that stands in an answer, or in a part of it."""
    if not isinstance(where, dict):
        return
    if where.get("error") or where.get("object") == "error":
        error = where.get("error") or where
        said = error.get("message") if isinstance(error, dict) else None
        raise BadAnswer(f"an error with status 200: {_said(said or error)}")
    inner = where.get("base_resp")  # MiniMax puts its status there
    code = inner.get("status_code") if isinstance(inner, dict) else None
    if code or str(where.get("status")).lower() in ("error", "failed"):
        raise BadAnswer(f"an error with status 200: {_said(inner if code else where)}")


def _said(value: Any) -> str:
    return repr(value if isinstance(value, str) else str(value))[:_LONGEST_SAID]
