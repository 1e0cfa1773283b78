"""What a request asks for: the OpenAI fields that are ours to read, and `best_of_n`.

    {"model": ..., "messages": [...], "n": 1, "stream": false,
     "best_of_n": {"n": 64, "price": 0.02, "deadline": 10, "return": "best"}}

Clients that cannot add a field to the body write a header: `x-best-of-n: n=64, price=0.02`. What
stands in the body wins. Everything else of the body goes to the server behind as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bontea.rollouts.body import shaped
from bontea.rollouts.chats import only_for_prefills
from bontea.serve.errors import ApiError
from bontea.serve.settings import ServeSettings

FIELD, HEADER = "best_of_n", "x-best-of-n"
OURS = (FIELD, "n", "stream", "stream_options", "seed", "best_of")
"""Fields that are not passed on as they are."""
LIMITS = ("max_tokens", "max_completion_tokens")


@dataclass(frozen=True)
class Options:
    """One request."""

    chat: bool
    """Whether it is for chat/completions."""
    model: str
    prompt: Any
    """The messages, or the text of the prompt."""
    upstream: dict[str, Any]
    """The body for the server behind, for every response the same."""
    encoded: bytes
    """It as JSON."""
    seed: int | None
    choices: int = 1
    """OpenAI's `n`: how many of the best are returned."""
    stream: bool = False
    usage_chunk: bool = False
    n: int | None = None
    """The most responses; None: the setting's."""
    min_n: int | None = None
    price: float | None = None
    deadline: float | None = None
    all: bool = False
    """Return every response, the best first."""
    columns: dict[str, Any] = field(default_factory=dict)
    """Given to the reward function, such as the right answer."""

    @property
    def path(self) -> str:
        """Where the server behind has this interface."""
        return "/chat/completions" if self.chat else "/completions"

    @property
    def one_is_all(self) -> bool:
        """Whether all responses are the same, so that a second one is a waste."""
        return self.upstream.get("temperature") == 0


def read_options(
    body: Any, headers: Mapping[str, str], settings: ServeSettings, *, chat: bool
) -> Options:
    """The request in a body; ApiError (400, 404) saying what is wrong with it."""
    if not isinstance(body, dict):
        raise ApiError(400, 'the body must be a JSON object, such as {"model": ..., ...}')
    prompt = _prompt(body, chat)
    model = body.get("model")
    if model is not None and not isinstance(model, str):
        raise ApiError(400, f"model must be text, not {_shown(model)}", param="model")
    if settings.model is not None:
        if model not in (None, "", settings.model):
            raise ApiError(
                404,
                f"the model {model!r} is not served here: ask for {settings.model!r}",
                param="model",
                code="model_not_found",
            )
        model = settings.model
    stream = _flag(body, "stream")
    seed = _whole(body, "seed", None, -(2**63), 2**63 - 1)
    choices = _whole(body, "n", 1, 1, settings.largest_n) or 1
    best_of = _whole(body, "best_of", None, 1, settings.largest_n)
    stream_options = body.get("stream_options") or {}
    usage = isinstance(stream_options, dict) and bool(stream_options.get("include_usage"))
    own = _own(body, headers, settings)
    if best_of is not None:
        own.setdefault("n", best_of)
    n, min_n = own.get("n"), own.get("min_n")
    if n is not None and choices > n:
        raise ApiError(
            400,
            f"n, the number of answers to return, is {choices}, and cannot exceed {FIELD}.n, the "
            f"number of responses to draw at most, which is {n}",
            param="n",
        )
    if min_n is not None and n is not None and min_n > n:
        raise ApiError(400, f"{FIELD}.min_n {min_n} exceeds {FIELD}.n {n}", param=f"{FIELD}.min_n")
    rest = {name: value for name, value in body.items() if name not in OURS}
    if model:  # without one, the server behind has a default, or says that it wants one
        rest["model"] = model
    _limit_tokens(rest, settings)
    upstream = only_for_prefills(shaped(rest, settings.extra_body))
    try:
        encoded = json.dumps(upstream, allow_nan=False).encode()
    except ValueError:
        raise ApiError(400, "NaN and Infinity are no JSON: leave such fields out") from None
    return Options(
        chat=chat,
        model=model or "",
        prompt=prompt,
        upstream=upstream,
        encoded=encoded,
        seed=seed,
        choices=choices,
        stream=stream,
        usage_chunk=usage,
        n=n,
        min_n=min_n,
        price=own.get("price"),
        deadline=own.get("deadline", settings.deadline),
        all=own.get("return") == "all",
        columns=own.get("columns", {}),
    )


def last_text(prompt: Any) -> str:
    """The text of a prompt: of a chat, that of the last turn of the user."""
    if isinstance(prompt, str):
        return prompt
    turn = next((t for t in reversed(prompt) if t.get("role") == "user"), prompt[-1])
    content = turn.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (p.get("text") for p in parts if isinstance(p, dict) and p.get("type") == "text")
    return "\n".join(text for text in texts if isinstance(text, str))


def _prompt(body: dict[str, Any], chat: bool) -> Any:
    name = "messages" if chat else "prompt"
    prompt = body.get(name)
    if chat:
        turns = isinstance(prompt, list) and prompt and all(isinstance(t, dict) for t in prompt)
        if not turns or not all(isinstance(t.get("role"), str) for t in prompt or ()):
            raise ApiError(
                400,
                'messages must be a list of turns, such as [{"role": "user", "content": "..."}], '
                f"not {_shown(prompt)}",
                param=name,
            )
        return prompt
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str):
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise ApiError(
            400,
            "prompt must be one text (no list, no token numbers), because the reward reads it: "
            f"send a request for each prompt. This is {_shown(prompt)}",
            param=name,
        )
    return prompt


def _own(
    body: dict[str, Any], headers: Mapping[str, str], settings: ServeSettings
) -> dict[str, Any]:
    """The fields of `best_of_n`, of the header and of the body, checked."""
    found = body.get(FIELD)
    if found is not None and not isinstance(found, dict):
        raise ApiError(
            400, f'{FIELD} must be an object, such as {{"n": 64}}, not {_shown(found)}', param=FIELD
        )
    given = _header(headers.get(HEADER, "")) | (found or {})
    given = {name: value for name, value in given.items() if value is not None}
    known = ("n", "min_n", "price", "deadline", "return", "columns")
    for name in given:
        if name not in known:
            raise ApiError(
                400,
                f"{FIELD} has no field {str(name)[:60]!r}; it has {', '.join(known)}",
                param=f"{FIELD}.{str(name)[:60]}",
            )
    out = dict(given)
    for name in ("n", "min_n"):
        if name in given:
            out[name] = _whole(given, name, None, 1, settings.largest_n, f"{FIELD}.")
    for name, above in (("price", False), ("deadline", True)):
        if name in given:
            out[name] = _amount(given[name], f"{FIELD}.{name}", above)
    if given.get("return", "best") not in ("best", "all"):
        raise ApiError(
            400,
            f"{FIELD}.return must be best or all, not {_shown(given['return'])}",
            param=f"{FIELD}.return",
        )
    columns = given.get("columns", {})
    if not isinstance(columns, dict) or {"prompts", "completions"} & columns.keys():
        raise ApiError(
            400,
            f"{FIELD}.columns must be an object of names and values for the reward function, "
            "other than prompts and completions",
            param=f"{FIELD}.columns",
        )
    return out


def _header(text: str) -> dict[str, Any]:
    """`n=64, price=0.02` as names and values."""
    out: dict[str, Any] = {}
    for part in text.replace(";", ",").split(","):
        if not part.strip():
            continue
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ApiError(400, f"the header {HEADER} must look like this: n=64, price=0.02")
        try:
            out[name] = json.loads(value)
        except (ValueError, RecursionError):
            out[name] = value
    return out


def _limit_tokens(rest: dict[str, Any], settings: ServeSettings) -> None:
    most = settings.largest_max_tokens
    asked = {name: rest[name] for name in LIMITS if rest.get(name) is not None}
    for name, value in asked.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < 1 or (most is not None and value > most):
            limit = f"from 1 to {most:,}" if most is not None else "of at least 1"
            raise ApiError(
                400, f"{name} must be a whole number {limit}, not {_shown(value)}", param=name
            )
    if most is not None and not asked:
        rest["max_tokens"] = most


def _whole(
    body: Mapping[str, Any], name: str, default: int | None, low: int, high: int, where: str = ""
) -> int | None:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ApiError(
            400,
            f"{where}{name} must be a whole number from {low:,} to {high:,}, not {_shown(value)}",
            param=where + name,
        )
    return value


def _amount(value: Any, name: str, above: bool) -> float:
    ok = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not ok or not (value > 0 if above else value >= 0) or not value < 1e300:
        least = "above 0" if above else "of at least 0"
        raise ApiError(400, f"{name} must be a number {least}, not {_shown(value)}", param=name)
    return float(value)


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name)
    if value not in (None, True, False):
        raise ApiError(400, f"{name} must be true or false, not {_shown(value)}", param=name)
    return bool(value)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:80] + "..."
