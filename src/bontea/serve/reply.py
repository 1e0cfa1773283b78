"""The answer in OpenAI's form: the best response as it came, and what it took, in `bontea`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bontea.serve.errors import ApiError, to_json, without_addresses
from bontea.serve.number import STOPPED, Numbers
from bontea.serve.options import Options
from bontea.serve.search import Drawn, Found


def pick(found: Found, options: Options, *, failure: str) -> list[Drawn]:
    """The responses to return, the best first.

    Raises ApiError where no response has a reward because the reward failed, unless `failure` is
    "first".
    """
    ranked = found.ranked
    if ranked[0].reward is None:
        broken = next((one for one in ranked if one.error or not one.scored), None)
        if broken is not None and failure == "error":
            late = broken.error is None
            raise ApiError(
                504 if late else 502,
                "no response was scored before the deadline"
                if late
                else f"the reward failed for all {len(ranked)} responses: "
                + without_addresses(str(broken.error)),
                code="reward_failed",
            )
    return ranked if options.all else ranked[: options.choices]


def reply(
    found: Found, chosen: list[Drawn], options: Options, numbers: Numbers, request_id: str
) -> dict[str, Any]:
    """The body of the answer: that of the best response, with the choices that were chosen."""
    best = chosen[0]
    answer = dict(best.response.answer)
    kind = "chatcmpl" if options.chat else "cmpl"
    answer["id"] = f"{kind}-{request_id}"
    answer["choices"] = [
        {**one.response.choice, "index": index} for index, one in enumerate(chosen)
    ]
    usage = sum_usage([one.response.answer.get("usage") for one in found.drawn])
    if usage is not None:
        answer["usage"] = usage
    answer["bontea"] = details(found, chosen, options, numbers)
    return answer


def details(
    found: Found, chosen: list[Drawn], options: Options, numbers: Numbers
) -> dict[str, Any]:
    """The field `bontea`: what was drawn and why no more."""
    prior = numbers.prior
    message = STOPPED.get(found.why, found.why)
    if chosen[0].reward is None:
        message += "; no response has a reward, so this is the first one"
    out = {
        "reward": chosen[0].reward,
        "rewards": [one.reward for one in chosen] if len(chosen) > 1 else None,
        "drawn": len(found.drawn),
        "unscored": sum(one.reward is None for one in found.drawn),
        "failed": found.failed,
        "cancelled": found.cancelled,
        "stopped": found.why,
        "message": message,
        "price": found.price,
        "predicted_best": {
            "n": numbers.most(options),
            "reward": numbers.expected_best(found.rewards, options),
        },
        "verdict": prior.verdict if prior is not None else "unknown",
        "audit": found.audit,
    }
    if out["rewards"] is None:
        del out["rewards"]
    return out


def sum_usage(usages: list[Any]) -> dict[str, Any] | None:
    """The tokens of all responses together; None where no server says any.

    >>> sum_usage([{"total_tokens": 3, "details": {"cached": 1}}, {"total_tokens": 4}])
    {'total_tokens': 7, 'details': {'cached': 1}}
    """
    found = [usage for usage in usages if isinstance(usage, dict)]
    out: dict[str, Any] = {}
    for usage in found:
        for name, value in usage.items():
            if isinstance(value, dict):
                out[name] = sum_usage([out.get(name), value])
            elif _counts(value):
                before = out.get(name)
                out[name] = value + (before if _counts(before) else 0)
            else:
                out.setdefault(name, value)
    return out if found else None


def _counts(value: Any) -> bool:
    """Whether it is a number of tokens, and no nonsense."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e15


def chunks(answer: dict[str, Any], options: Options) -> Iterator[bytes]:
    """The answer as server-sent events, in the form of a stream."""
    head: dict[str, Any] = {
        name: answer[name]
        for name in ("id", "created", "model", "system_fingerprint", "service_tier")
        if name in answer
    }
    head["object"] = "chat.completion.chunk" if options.chat else "text_completion"
    for choice in answer["choices"]:
        own = {"index": choice["index"]}
        if choice.get("logprobs") is not None:
            own["logprobs"] = choice["logprobs"]
        if options.chat:
            content = {"delta": _delta(choice.get("message") or {})}
        else:
            content = {"text": choice.get("text", "")}
        yield _event({**head, "choices": [{**own, **content, "finish_reason": None}]})
    ends = []
    for choice in answer["choices"]:
        empty: dict[str, Any] = {"delta": {}} if options.chat else {"text": ""}
        ends.append(
            {"index": choice["index"], **empty, "finish_reason": choice.get("finish_reason")}
        )
    yield _event({**head, "choices": ends, "bontea": answer["bontea"]})
    if options.usage_chunk and "usage" in answer:
        yield _event({**head, "choices": [], "usage": answer["usage"]})
    yield b"data: [DONE]\n\n"


def _delta(message: dict[str, Any]) -> dict[str, Any]:
    """A message as one piece of a stream, where tool calls are numbered."""
    out = {name: value for name, value in message.items() if value is not None}
    if isinstance(out.get("tool_calls"), list):
        out["tool_calls"] = [
            {"index": index, **call} if isinstance(call, dict) else call
            for index, call in enumerate(out["tool_calls"])
        ]
    return out


def error_event(error: ApiError) -> bytes:
    """An error in the middle of a stream."""
    return _event(error.body)


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + to_json(value) + b"\n\n"
