"""Chats as prompts: what one is, and what a chat template or a server makes of it.

A server gets a chat as it is. In this process a chat template writes it as text, and a template
knows some fields and leaves out others without a word; what it would leave out of the prompt is
refused here. A chat that ends with a turn of the assistant is continued: completions begin where
that turn ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bontea._errors import BonteaError
from bontea.rollouts.chat_text import quoted

PREFILL = ("continue_final_message", "add_generation_prompt")
"""What vLLM and SGLang are told with a chat that is to be continued."""
_MARK = "bontea 7c1e"


def check_prompt(prompt: Any, where: str) -> str | list[dict[str, Any]]:
    """The prompt as it is; BonteaError, which begins with `where`, if it is none."""
    if isinstance(prompt, str):
        if not prompt.strip():
            raise BonteaError(f"{where}: the prompt is an empty text")
        return prompt
    if not isinstance(prompt, list):
        raise BonteaError(
            f"{where}: {quoted(prompt)} is not a prompt: it must be text, or a list of "
            '{"role": ..., "content": ...}'
        )
    if not prompt:
        raise BonteaError(f"{where}: the prompt is an empty list: a chat has at least one turn")
    for number, turn in enumerate(prompt, start=1):
        problem = _wrong_with(turn)
        if problem:
            raise BonteaError(f"{where}: {quoted(prompt)} is not a prompt: turn {number} {problem}")
    if not any(turn.get("content") for turn in prompt):
        raise BonteaError(f"{where}: the prompt is a chat without any content")
    if is_prefill(prompt) and not _text(prompt[-1].get("content") or "").strip():
        raise BonteaError(
            f"{where}: the chat ends with a turn of the assistant in which there is no text to "
            "continue: take that turn out, or add the turn that follows it"
        )
    return prompt


def _wrong_with(turn: Any) -> str:
    """Why this is no turn of a chat; "" if it is one."""
    if not isinstance(turn, dict):
        return 'is not {"role": ..., "content": ...}'
    role, content = turn.get("role"), turn.get("content")
    if not isinstance(role, str) or not role:
        return f"has the role {role!r}, which is no text"
    listed = turn.get("tool_calls")
    if listed is not None and not (
        isinstance(listed, list) and all(isinstance(call, dict) for call in listed)
    ):
        return f"has tool_calls ({str(listed)[:60]!r}) that are no list of objects"
    if content is None:
        calls = turn.get("tool_calls") or turn.get("function_call")
        return "" if role == "assistant" and calls else "has no content"
    if isinstance(content, str):
        return ""
    if not isinstance(content, list) or not content:
        return f"has a content ({str(content)[:60]!r}) that is neither text nor a list of parts"
    for part in content:
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            return f'has a part {str(part)[:60]!r} that is not {{"type": ..., ...}}'
        if part["type"] == "text" and not isinstance(part.get("text"), str):
            return 'has a part of type "text" without a text'
    return ""


def check_tools(tools: Any, where: str) -> list[dict[str, Any]]:
    """The tools of a chat, as a list; they may be written as JSON text, as TRL takes them."""
    found = tools
    if isinstance(tools, str):
        try:
            found = json.loads(tools)
        except (ValueError, RecursionError):
            found = None
    if not isinstance(found, list) or not all(isinstance(tool, dict) for tool in found):
        raise BonteaError(
            f"{where}: the column tools holds {str(tools)[:60]!r}: with chats it is a list of the "
            "tools that the model may call; rename the column if it is something else"
        )
    return found


def is_prefill(prompt: Any) -> bool:
    """Whether a prompt is a chat whose last turn is the assistant's, which is to be continued."""
    return not isinstance(prompt, str) and prompt[-1]["role"] == "assistant"


def request_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a request to `chat/completions` holds of a prompt: it, unchanged, and its tools."""
    prompt = row["prompt"]
    if isinstance(prompt, str):
        return {"messages": [{"role": "user", "content": prompt}]}
    tools = row.get("tools")
    return {"messages": prompt, **({"tools": tools} if tools else {})}


def only_for_prefills(body: dict[str, Any]) -> dict[str, Any]:
    """A request; if its chat is not to be continued, without the fields that ask for that.

    They are given for all requests at once, and would have a server continue a turn of the user.
    """
    if "messages" not in body or is_prefill(body["messages"]):
        return body
    return {name: value for name, value in body.items() if name not in PREFILL}


def check_for_server(rows: Mapping[int, Mapping[str, Any]], extra_body: Any) -> None:
    """Raise BonteaError for a prompt that JSON cannot carry, or that a server may not continue.

    A chat to be continued is sent where the user says how the server does that. Servers differ:
    vLLM and SGLang must be asked, others do it by themselves, or want a field in the turn
    (`prefix`), and many begin a new turn, which is another prompt.
    """
    for number, row in rows.items():
        prompt = row["prompt"]
        try:
            json.dumps(request_fields(row), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise BonteaError(
                f"{_place(number)} cannot be sent as JSON ({error}): write an image as a URL, "
                "https:// or data:"
            ) from None
        told = PREFILL[0] in (extra_body or {})
        if is_prefill(prompt) and not (told or prompt[-1].get("prefix")):
            raise BonteaError(
                f"{_place(number)} ends with a turn of the assistant, which the server would have "
                "to continue. vLLM and SGLang do with --extra-body "
                """'{"continue_final_message": true, "add_generation_prompt": false}'; for a """
                """server that does it by itself, say --extra-body '{"continue_final_message": """
                """null}'; to have the chat answered instead, take the turn out of the file"""
            )


def template_text(
    tokenizer: Any, prompt: list[dict[str, Any]], tools: Any = None, *, answer: bool = True
) -> str:
    """A chat as the text that a tokenizer's chat template makes of it.

    With `answer` the text ends where the completion begins: after the head of a new turn of the
    assistant, or, if the last turn is the assistant's, in the middle of that. Raises BonteaError
    for what the template cannot take, or would leave out.
    """
    chat = for_template(tokenizer, prompt)
    going_on = answer and is_prefill(chat)
    options = {"tools": tools or None, "tokenize": False}
    if answer:
        options |= {"add_generation_prompt": not going_on, "continue_final_message": going_on}
    text = _written(tokenizer, chat, prompt, options)
    if going_on:
        # What is to be continued is continued as it is, also where a template trims it.
        start, text = chat[-1]["content"], text.rstrip()
        trimmed = start.rstrip() if text.endswith(start.rstrip()) else start.strip()
        if not text.endswith(trimmed):
            raise BonteaError("the chat template changes the last turn, which is to be continued")
        text = text.removesuffix(trimmed) + start
    _check_nothing_is_left_out(text, chat, tools)
    return text


def for_template(tokenizer: Any, prompt: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A chat in the form that chat templates take, which is not quite that of servers.

    Arguments of tool calls are objects, not JSON text; text in parts is one text, but for a
    template that takes parts; no content beside tool calls is an empty text. Raises BonteaError
    for images and other parts that are no text.
    """
    parts = any(isinstance(turn.get("content"), list) for turn in prompt)
    keep_parts = parts and _takes_parts(tokenizer)
    chat = []
    for number, turn in enumerate(prompt, start=1):
        content = turn.get("content")
        for part in content if isinstance(content, list) else ():
            if part["type"] != "text":
                raise BonteaError(
                    f"this prompt has {_what(part['type'])} (turn {number}), and here a model gets "
                    "only text"
                )
        if isinstance(content, list) and not keep_parts:
            content = _text(content)
        turn = {**turn, "content": "" if content is None else content}
        if turn.get("tool_calls"):
            turn["tool_calls"] = [_with_objects(call) for call in turn["tool_calls"]]
        chat.append(turn)
    if is_prefill(chat):
        chat[-1]["content"] = _text(chat[-1]["content"])
    return chat


def check_in_process(tokenizer: Any, rows: Mapping[int, Mapping[str, Any]]) -> None:
    """Raise BonteaError naming the first prompt that the tokenizer's chat template cannot take."""
    for number, row in rows.items():
        if not isinstance(row["prompt"], str):
            try:
                template_text(tokenizer, row["prompt"], row.get("tools"))
            except BonteaError as error:
                raise BonteaError(
                    f"{_place(number)}: {error}; sample it through --endpoint from a server that "
                    "takes it, use another model, or change the prompt"
                ) from None


def continued(prompts: Iterable[Any]) -> str:
    """A sentence that says how many chats are continued; "" for none."""
    prompts = list(prompts)
    count = sum(map(is_prefill, prompts))
    if not count:
        return ""
    return (
        f"{count:,} of {len(prompts):,} prompts end with a turn of the assistant, which is "
        "continued; to have them answered instead, take that turn out of the file"
    )


def token_ids(tokenizer: Any, prompt: Any, tools: Any = None) -> list[int]:
    """The tokens that stand before a completion: of a text, or of a chat with its template."""
    if isinstance(prompt, str):
        return list(tokenizer(prompt)["input_ids"])
    # The template has written the special tokens.
    text = template_text(tokenizer, prompt, tools)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def joined(prompt: list[dict[str, Any]], completion: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A whole chat; a last turn of the assistant and its continuation are one turn."""
    if not (is_prefill(prompt) and completion and completion[0]["role"] == "assistant"):
        return [*prompt, *completion]
    last, first = prompt[-1], completion[0]
    text = _text(last.get("content") or "") + _text(first.get("content") or "")
    return [*prompt[:-1], {**last, **first, "content": text}, *completion[1:]]


def without_none(value: Any) -> Any:
    """A value without fields that are None, which Arrow fills in where other rows have the field.

    >>> without_none([{"role": "user", "content": "hi", "name": None}])
    [{'role': 'user', 'content': 'hi'}]
    """
    if isinstance(value, list):
        return [without_none(item) for item in value]
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    return value


def _place(number: int) -> str:
    return f"prompt {number} (the first is 0)"


def _render(tokenizer: Any, chat: list[dict[str, Any]], options: Any) -> str:
    import jinja2

    try:
        return str(tokenizer.apply_chat_template(chat, **options))
    except (ValueError, TypeError, jinja2.TemplateError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BonteaError(
            f"the chat template of the model does not take this chat ({said})"
        ) from None


def _written(
    tokenizer: Any, chat: list[dict[str, Any]], prompt: list[dict[str, Any]], options: Any
) -> str:
    """What the template makes of a chat; a few take the arguments of tool calls as text."""
    try:
        return _render(tokenizer, chat, options)
    except BonteaError:
        as_text = [
            {**turn, "tool_calls": own["tool_calls"]} if own.get("tool_calls") else turn
            for turn, own in zip(chat, prompt, strict=True)
        ]
        text = None if as_text == chat else _try(tokenizer, as_text, options)
        if text is None:
            raise
        return text


def _check_nothing_is_left_out(text: str, chat: list[dict[str, Any]], tools: Any) -> None:
    missing = next((name for name in map(_name, tools or []) if name not in text), None)
    if missing is not None:
        raise BonteaError(f"the chat template of the model leaves out the tools ({missing})")
    for number, turn in enumerate(chat):
        calls = map(_name, turn.get("tool_calls") or [])
        missing = next((name for name in calls if name not in text), None)
        if missing is not None:
            raise BonteaError(
                f"the chat template of the model leaves out the tool calls of turn {number + 1} "
                f"({missing})"
            )
        # A template may cut the thinking out of earlier answers, and write results as JSON.
        content = turn["content"] if turn["role"] not in ("assistant", "tool") else ""
        if _text(content).strip() and not _shows(text, content):
            raise BonteaError(
                f"the chat template of the model leaves out turn {number + 1} (role "
                f"{turn['role']!r})"
            )


def _name(tool: dict[str, Any]) -> str:
    """The name of a tool or a tool call; "" for none."""
    function = tool.get("function")
    return str((function if isinstance(function, dict) else tool).get("name") or "")


def _takes_parts(tokenizer: Any) -> bool:
    """Whether the template makes of text in parts what it makes of the text."""
    text, parts = (
        _try(tokenizer, [{"role": "user", "content": content}], {"tokenize": False})
        for content in (_MARK, [{"type": "text", "text": _MARK}])
    )
    return text is not None and text == parts


def _try(tokenizer: Any, chat: list[dict[str, Any]], options: Any) -> str | None:
    try:
        return _render(tokenizer, chat, options)
    except BonteaError:
        return None


def _text(content: Any) -> str:
    """The text of a content; vLLM puts parts on lines of their own, too."""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part.get("type") == "text")


def _shows(text: str, content: Any) -> bool:
    parts = [content] if isinstance(content, str) else [part["text"] for part in content]
    return all(part.strip() in text for part in parts)


def _with_objects(call: Any) -> Any:
    """A tool call with its arguments as an object, which templates write as JSON themselves."""
    function = call.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("arguments"), str):
        return call
    try:
        arguments = json.loads(function["arguments"])
    except (ValueError, RecursionError):
        return call
    return {**call, "function": {**function, "arguments": arguments}}


def _what(kind: str) -> str:
    for name in ("image", "audio", "video", "file"):
        if name in kind:
            return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
    return f"a part of type {kind!r}"
