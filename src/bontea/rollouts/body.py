"""What a request to an endpoint holds beside the prompt: fields added, replaced or left out.

Servers differ in what they take: one refuses `seed`, another wants `max_completion_tokens` in place
of `max_tokens`. `--extra-body` shapes the request: its fields are put over those that are sent
anyway, and null leaves a field out.
"""

from __future__ import annotations

import json
import re
from typing import Any

from bontea._errors import BonteaError
from bontea._json import strict_loads

FLAG = "--extra-body"
_BELONGS_TO = {
    "messages": "the prompts come from --prompts",
    "prompt": "the prompts come from --prompts",
    "model": "the model is what --model names",
}
_ONE = ("n", "best_of")
_OFF = {
    "stream": "one whole answer is read, not a stream",
    "echo": "the prompt would be scored with its completion",
    "use_beam_search": "beams are not random rollouts",
}
_SECRET = re.compile(
    r"api[-_ ]?key|authorization|password|secret|bearer|(access|auth)[-_ ]?token", re.IGNORECASE
)


def read_extra_body(text: str) -> dict[str, Any]:
    """The JSON object that `--extra-body` is given; BonteaError saying what is wrong with it."""
    example = """such as '{"seed": null}'"""
    try:
        found = strict_loads(text, f"{FLAG} {text[:60]!r}")
    except BonteaError as error:
        raise BonteaError(f"{error}; write JSON, {example}") from None
    if not isinstance(found, dict):
        raise BonteaError(
            f"{FLAG} {text!r} is not a JSON object: write names and values, {example}"
        )
    return found


def check_extra_body(extra: dict[str, Any]) -> None:
    """Raise BonteaError for a field that is set elsewhere, or that would spoil the rollouts."""
    try:
        json.dumps(extra, allow_nan=False, ensure_ascii=False).encode()  # as it is sent
    except (TypeError, ValueError, RecursionError) as error:
        raise BonteaError(f"{FLAG} cannot be sent as JSON: {error}") from None
    for name, value in extra.items():
        if name in _BELONGS_TO:
            raise BonteaError(f"{FLAG} must not set {name}: {_BELONGS_TO[name]}")
        if name in _ONE and value is not None and (value is True or value != 1):
            raise BonteaError(
                f"{FLAG} must not set {name} to {value!r}: one request is one rollout, and "
                "--rollouts says how many there are"
            )
        if name == "extra_body":
            raise BonteaError(
                f"{FLAG} must not hold an extra_body, which servers do not know: put its fields "
                f"into {FLAG} itself"
            )
        if name == "temperature" and value is not None:
            raise BonteaError(
                f"{FLAG} must not set temperature to {value!r}: use --temperature, which is "
                "written down with the rollouts, or null to send none"
            )
        if name in _OFF and value not in (None, False):
            raise BonteaError(f"{FLAG} must not set {name} to {value!r}: {_OFF[name]}")
        if name == "seed" and value is not None:
            raise BonteaError(
                f"{FLAG} must not set seed to {value!r}, the same for every rollout: use --seed, "
                "or null to send none"
            )
    secret = next((name for name in _names(extra) if _SECRET.search(name)), None)
    if secret is not None:
        raise BonteaError(
            f"{FLAG} has a field {secret!r}, which would end up in files: keep keys in the "
            "environment variable that --api-key-env names"
        )


def shaped(body: dict[str, Any], extra: dict[str, Any] | None) -> dict[str, Any]:
    """A request with `extra` put over it; null leaves a field out.

    >>> shaped({"max_tokens": 5, "seed": 1}, {"seed": None, "min_p": 0})
    {'max_tokens': 5, 'min_p': 0}
    """
    extra = extra or {}
    if extra.get("max_completion_tokens") is not None:
        extra = {"max_tokens": None, **extra}  # the same limit by its newer name
    return {name: value for name, value in {**body, **extra}.items() if value is not None}


def limit_of(max_new_tokens: int, extra: dict[str, Any] | None) -> str:
    """Where the limit of a completion's length is set, and what it is."""
    for name in ("max_completion_tokens", "max_tokens"):
        if (extra or {}).get(name) is not None:
            return f"{name} in {FLAG}, now {(extra or {})[name]}"
    return f"--max-new-tokens, now {max_new_tokens:,}"


def remedy(said: str, body: dict[str, Any], extra: dict[str, Any] | None) -> str:
    """What to do about a request that was refused, after what the server said; "" for nothing.

    Only parameters that are sent and that the server names are looked at.
    """
    named = [name for name in body if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", said)]
    own = [name for name in named if name in (extra or {})]
    if own:
        return f"; {' and '.join(own)} stands in {FLAG}: take it out, or change it there"
    named = [name for name in named if name in ("seed", "max_tokens", "temperature", "top_p")]
    if not named:
        return ""
    if re.search(r"too large|too long|exceed|context length|at most|maximum", said):
        return "; lower --max-new-tokens, or leave this prompt out" if "max_tokens" in named else ""
    fields: dict[str, Any] = dict.fromkeys(named)
    if "max_tokens" in named and "max_completion_tokens" in said:
        fields["max_completion_tokens"] = body["max_tokens"]
    return f"; if it does not take {' and '.join(named)}: {FLAG} '{json.dumps(fields)}'"


def _names(value: Any) -> list[str]:
    """The names of all fields, also of nested ones."""
    if isinstance(value, dict):
        return [n for name, inner in value.items() for n in (str(name), *_names(inner))]
    if isinstance(value, list):
        return [name for inner in value for name in _names(inner)]
    return []
