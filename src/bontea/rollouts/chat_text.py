"""Prompts and completions as a person reads them: in tables, reports and error messages.

A prompt or a completion is text, or a chat: turns with a role, whose content is text or a list of
parts (text, images, tool calls, thinking). Files hold a chat as JSON. `readable` writes its turns
one below the other; `quoted` gives the beginning in one line, for a message.

    text            as it is
    image           [image, 512 x 512], the size from its first bytes; [image at HOST/PATH] of a URL
    tool call       search(query="weather", days=3)
    thinking        [thinking: ...]
    anything else   its text, or its kind in brackets

The fields are those of OpenAI's two interfaces, Anthropic's, and of chat templates (TRL, datasets).
What was once the content of an image is never shown: it is long, and tells a reader nothing.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bontea.rollouts._images import decoded, image_size

LONGEST_ADDRESS = 60
# An image inside of text. A short one is rather an example in an answer about such addresses.
_MARKS = ("base64,", "iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")  # how PNG, JPEG, GIF, WebP begin
_INLINE = re.compile(
    r"data:[\w.+-]*/[\w.+-]*(?:;[\w=.+-]+)*;base64,[A-Za-z0-9+/=_-]{64,}"
    rf"|(?<![A-Za-z0-9+/])(?:{'|'.join(_MARKS[1:])})[A-Za-z0-9+/]{{64,}}={{0,2}}"
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{200,}={0,2}")
_PART_TYPES = {
    *("text", "input_text", "output_text", "refusal"),
    *("image", "input_image", "image_url", "audio", "input_audio", "audio_url"),
    *("video", "video_url", "file", "input_file", "document"),
    *("thinking", "redacted_thinking", "reasoning", "reasoning_text"),
    *("tool_use", "server_tool_use", "tool_result", "function_call", "function_call_output"),
}
_TURN_FIELDS = ("content", "tool_calls", "function_call", "reasoning_content", "refusal", "parts")
_IMAGE_FIELDS = ("image_url", "image", "source", "url", "data", "base64", "bytes", "path")


def readable(value: Any) -> str:
    """A prompt or a completion as text: a chat as its turns, anything else as it is.

    `value` is text, which may be a chat written as JSON, or a list of turns.

    >>> print(readable('[{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]'))
    user: Hello
    >>> call = {"function": {"name": "search", "arguments": '{"query": "weather", "days": 3}'}}
    >>> print(readable([{"role": "assistant", "content": None, "tool_calls": [call]}]))
    assistant: search(query="weather", days=3)
    """
    chat = _parsed(value)
    if chat is not None:
        names: dict[str, str] = {}
        try:
            return "\n\n".join(filter(None, (_turn(turn, names) for turn in chat)))
        except RecursionError:
            return "[a chat that is nested too deeply to be shown]"
    return _text(str(value)) if isinstance(value, str) else _value(value)


def last_content(value: Any) -> str:
    """What the last turn of a chat says, without its role; text that is no chat as it is.

    >>> last_content('[{"role": "assistant", "content": "(B)"}]'), last_content("(B)")
    ('(B)', '(B)')
    """
    chat = _parsed(value)
    if chat is None:
        return str(value)
    last = chat[-1]
    return (
        _content(last.get("content", last.get("parts")), {}) if "role" in last else readable(value)
    )


def quoted(value: Any, length: int = 60) -> str:
    """The beginning of a prompt or a completion in quotes, on one line, for a message.

    >>> quoted([{"role": "user", "content": "Name a prime."}], 20)
    "'user: Name a prim...'"
    """
    text = readable(value)
    cut = len(text) > length
    if cut or "\n" in text:
        some = text[: 8 * length].split()
        text = " ".join(some)
        cut = cut or len(text) > length
    return repr(text[: length - 3] + "..." if cut else text)


def _parsed(value: Any) -> list[Any] | None:
    """The turns or parts of a chat; None for what is none.

    An answer may be JSON itself: what does not have the fields of a turn stays as it is.
    """
    if isinstance(value, str):
        start = value.lstrip()[:1]
        if start not in ("[", "{") or not ('"role"' in value or '"type"' in value):
            return None
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if isinstance(value, Mapping):
        whole = value.get("messages")
        value = whole if isinstance(whole, list) else [value] if "role" in value else None
    if not isinstance(value, (list, tuple)) or not value:
        return None
    return list(value) if all(map(_is_turn, value)) else None


def _is_turn(item: Any) -> bool:
    """A turn, or a part that stands for one, as in the lists of OpenAI's second interface."""
    if not isinstance(item, Mapping):
        return False
    if isinstance(item.get("role"), str):
        return any(field in item for field in _TURN_FIELDS)
    kind = item.get("type")
    if not isinstance(kind, str) or kind not in _PART_TYPES:
        return False
    return not kind.endswith("text") or isinstance(item.get("text"), str)


def _turn(turn: Mapping[str, Any], names: dict[str, str]) -> str:
    """`role: ...`; `names` collects the tools that calls were for, by the id of the call."""
    if not isinstance(turn.get("role"), str):
        return _part(turn, names)
    who = turn["role"]
    body = [
        f"[thinking: {_text(thought)}]"
        for field in ("reasoning_content", "reasoning")
        if isinstance(thought := turn.get(field), str) and thought
    ][:1]
    content = turn.get("content", turn.get("parts"))
    body.append((_result if who in ("tool", "function") else _content)(content, names))
    if isinstance(refusal := turn.get("refusal"), str) and refusal:
        body.append(f"[refusal: {_text(refusal)}]")
    calls = turn.get("tool_calls")
    body += [_call(call, names) for call in (calls if isinstance(calls, list) else [calls]) if call]
    if turn.get("function_call"):
        body.append(_call(turn["function_call"], names))
    name = turn.get("name") or names.get(str(turn.get("tool_call_id")))
    label = f"{who} ({name})" if name else who
    text = "\n".join(filter(None, body)) or "[no content]"
    # Each line has a direction of its own, that of its first letter: a role must not decide it.
    return f"{label}:{chr(10) if chr(10) in text or _right_to_left(text) else ' '}{text}"


def _content(content: Any, names: dict[str, str]) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return _text(content)
    if isinstance(content, Mapping):
        return _part(content, names) if "type" in content else _arguments(content)
    if isinstance(content, (list, tuple)):
        return "\n".join(filter(None, (_part(part, names) for part in content)))
    return _value(content)


def _result(content: Any, names: dict[str, str]) -> str:
    """What a tool gave back, which may hold data that no model and no person wrote."""
    return _BASE64.sub(_length_of_data, _content(content, names))


def _part(part: Any, names: dict[str, str]) -> str:
    """One part of the content of a turn, as text."""
    if not isinstance(part, Mapping):
        return _content(part, names)
    kind = str(part.get("type") or "")
    if kind in ("tool_use", "server_tool_use", "function_call"):
        return _call(part, names)
    if kind in ("tool_result", "function_call_output"):
        id_ = str(part.get("tool_use_id") or part.get("call_id"))
        what = f"result of {names[id_]}" if id_ in names else "result"
        found = part.get("content") if kind == "tool_result" else part.get("output")
        return f"[{what}: {_result(found, names)}]"
    if kind in ("thinking", "reasoning", "reasoning_text"):
        fields = ("thinking", "reasoning", "text", "content", "summary")
        thought = next((part[field] for field in fields if part.get(field)), None)
        return f"[thinking: {_content(thought, names)}]" if thought else "[thinking, not shown]"
    if kind == "redacted_thinking":
        return "[thinking, not shown]"
    if kind == "refusal":
        return f"[refusal: {_content(part.get('refusal'), names)}]"
    if isinstance(part.get("text"), str):
        return _text(part["text"])
    if "image" in kind or (not kind and any(part.get(field) for field in ("image_url", "image"))):
        return _image(part)
    for media in ("audio", "video", "file", "document"):
        if media in kind:
            name = part.get("filename") or part.get("title")
            return f"[{media} {quoted(name)}]" if isinstance(name, str) else f"[{media}]"
    if part.get("content") is not None:
        return _content(part["content"], names)
    return f"[{kind}]" if kind else _arguments(part)


def _call(call: Any, names: dict[str, str]) -> str:
    """`name(argument=value, ...)` of a tool call in any of its spellings."""
    if not isinstance(call, Mapping):
        return _value(call)
    function = call.get("function")
    inner = function if isinstance(function, Mapping) else call
    name = inner.get("name")
    if not isinstance(name, str) or not name:
        name = "[unnamed tool]"
    for field in ("id", "call_id"):
        if isinstance(call.get(field), str):
            names[call[field]] = name
    fields = ("arguments", "input", "parameters")
    given: Any = next((inner[field] for field in fields if inner.get(field)), {})
    if isinstance(given, str):
        try:
            loaded = json.loads(given)
        except (ValueError, RecursionError):
            return f"{name}({_text(given)})"  # cut off, or never JSON: as the model wrote it
        return f"{name}({_arguments(loaded)})"
    if isinstance(given, Mapping):
        # Columns of a table have the arguments of all calls, with nothing where a call has none.
        given = {key: value for key, value in given.items() if value is not None}
    return f"{name}({_arguments(given)})"


def _arguments(given: Any) -> str:
    if isinstance(given, Mapping):
        return ", ".join(f"{key}={_value(value)}" for key, value in given.items())
    return _value(given)


def _value(value: Any) -> str:
    """A value inside a call, as JSON writes it; content of images and the like by its length."""
    try:
        return json.dumps(_without_data(value), ensure_ascii=False, default=_strange)
    except (ValueError, RecursionError, TypeError):
        return "[nested too deeply]"


def _without_data(value: Any) -> Any:
    if isinstance(value, str):
        return _BASE64.sub(_length_of_data, _text(value))
    if isinstance(value, Mapping):
        return {str(key): _without_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_data(item) for item in value]
    return value


def _strange(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return f"[{len(value):,} bytes of data]"
    return f"[{type(value).__name__}]"


def _length_of_data(found: re.Match[str]) -> str:
    """A long run of letters and digits is data where it mixes them as base64 does."""
    run = found.group()
    mixed = all(re.search(kind, run) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return f"[{len(run):,} characters of data]" if mixed else run


def _text(text: str) -> str:
    """Text with `[image, ...]` in the place of what an image inside of it consists of."""
    return _INLINE.sub(_inline, text) if any(mark in text for mark in _MARKS) else text


def _inline(found: re.Match[str]) -> str:
    shown = _source(found.group())
    return shown if found.group().startswith("data:") or shown != "[image]" else found.group()


def _image(part: Mapping[str, Any]) -> str:
    value: Any = part
    while isinstance(value, Mapping):
        value = next((value[field] for field in _IMAGE_FIELDS if value.get(field)), None)
    return _source(value)


def _source(value: Any) -> str:
    """An image by its size, or by where it is."""
    if isinstance(value, str) and re.match(r"[a-z][a-z0-9+.-]*://", value, re.I):
        return f"[image at {_address(value)}]"
    data = decoded(value)
    size = image_size(data) if data else None
    if size is not None:
        return f"[image, {size[0]} x {size[1]}]"
    if isinstance(value, str) and re.fullmatch(r"[^\n]{1,200}\.\w{1,5}", value):
        return f"[image at {_shortened(value)}]"
    return "[image]"


def _address(url: str) -> str:
    """A URL without what signs it: user, query, fragment."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that is none"
    return f"{parts.scheme}://{_shortened(host + port + parts.path)}"


def _shortened(text: str) -> str:
    half = LONGEST_ADDRESS // 2
    return text if len(text) <= LONGEST_ADDRESS else f"{text[:half]}...{text[-half + 3 :]}"


def _right_to_left(text: str) -> bool:
    """Whether the first letter of a text is one of a script that is written from the right."""
    for character in text[:200]:
        kind = unicodedata.bidirectional(character)
        if kind in ("L", "R", "AL"):
            return kind != "L"
    return False
