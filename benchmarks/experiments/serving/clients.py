"""Drive an OpenAI-compatible server with the clients that people use.

    python clients.py http://127.0.0.1:8081/v1 [--model NAME]

One line a client and way of calling: ok, or what went wrong; a field `bontea` in an answer is
printed. What is checked is the shape: role, text, finish_reason, usage. Ends with status 1 if
anything failed. A client whose package is missing is skipped, and said to be.

The packages: openai, litellm, langchain-openai; curl is a program.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

MESSAGES = [{"role": "user", "content": "Name a colour, in one word."}]
PROMPT = "The sky is"
TOKENS = 16
BEST = {"best_of_n": {"n": 4}}
FINISH = {"stop", "length"}


class Wrong(Exception):
    """An answer that does not have the shape of OpenAI's."""


def check(condition: object, what: str, got: Any) -> None:
    if not condition:
        raise Wrong(f"{what}: {str(got)[:300]}")


def as_dict(answer: Any) -> dict[str, Any]:
    return dict(answer) if isinstance(answer, Mapping) else answer.model_dump()


def check_usage(usage: Any, data: Any) -> None:
    check(usage, "no usage", data)
    counts = [usage[key] for key in ("prompt_tokens", "completion_tokens", "total_tokens")]
    check(all(isinstance(count, int) and count > 0 for count in counts), "usage", usage)
    check(counts[0] + counts[1] == counts[2], "usage does not add up", usage)


def check_answer(answer: Any, n: int = 1) -> dict[str, Any]:
    """A whole answer of chat/completions or completions; gives it as a dict."""
    data = as_dict(answer)
    chat = data["object"] == "chat.completion"
    check(chat or data["object"] == "text_completion", "object", data)
    check(isinstance(data["id"], str) and data["id"], "no id", data)
    check(len(data["choices"]) == n, f"not {n} choices", data)
    for number, choice in enumerate(data["choices"]):
        check(choice["index"] == number, "index of a choice", data)
        check(choice["finish_reason"] in FINISH, "finish_reason", data)
        if chat:
            check(choice["message"]["role"] == "assistant", "role", data)
        text = choice["message"]["content"] if chat else choice["text"]
        check(isinstance(text, str) and text, "no text", data)
    check_usage(data.get("usage"), data)
    return data


def check_stream(chunks: Iterable[Any], chat: bool = True, usage: bool = True) -> dict[str, Any]:
    """The chunks of a stream; gives the last field `bontea` that one of them had."""
    role, text, finish, counts, ids = None, "", None, None, set()
    extra: dict[str, Any] = {}
    for chunk in chunks:
        data = as_dict(chunk)
        ids.add(data["id"])
        kind = "chat.completion.chunk" if chat else "text_completion"
        check(data["object"] == kind, "object", data)
        if data.get("bontea"):
            extra = data
        counts = data.get("usage") or counts
        for choice in data["choices"]:
            delta = choice["delta"] if chat else choice
            role = delta.get("role") or role
            text += (delta.get("content" if chat else "text")) or ""
            finish = choice["finish_reason"] or finish
    check(text, "no text in the stream", extra)
    check(role == "assistant" or not chat, "role", role)
    check(finish in FINISH, "finish_reason", finish)
    check(len(ids) == 1, "not one id", ids)
    if usage:
        check_usage(counts, "the stream")
    return extra


def openai_checks(url: str, model: str, key: str) -> dict[str, Callable[[], Any]]:
    import openai

    client = openai.OpenAI(base_url=url, api_key=key)
    common = {"model": model, "max_tokens": TOKENS}
    chat = {**common, "messages": MESSAGES}
    streaming = {"stream": True, "stream_options": {"include_usage": True}}

    def sync(**more: Any) -> Any:
        return client.chat.completions.create(**{**chat, **more})

    def text(**more: Any) -> Any:
        return client.completions.create(**{**common, "prompt": PROMPT, **more})

    async def both() -> tuple[Any, list[Any]]:
        """An answer and a stream at once, from the asynchronous client."""
        async with openai.AsyncOpenAI(base_url=url, api_key=key) as own:

            async def chunks() -> list[Any]:
                stream = await own.chat.completions.create(**chat, **streaming)
                return [chunk async for chunk in stream]

            return await asyncio.gather(own.chat.completions.create(**chat), chunks())

    def asynchronous() -> dict[str, Any]:
        answer, chunks = asyncio.run(both())
        return check_answer(answer) | check_stream(chunks)

    def refused() -> None:
        try:
            sync(max_tokens="many")
        except openai.APIStatusError as error:
            check(400 <= error.status_code < 500, "status of a bad request", error)
            check(isinstance(error.body, Mapping) and error.body.get("message"), "body", error.body)
            return
        raise Wrong("max_tokens that is a word is taken")

    def tools() -> dict[str, Any]:
        parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
        tool = {"name": "weather", "description": "Weather of a city", "parameters": parameters}
        data = as_dict(sync(tools=[{"type": "function", "function": tool}]))
        (choice,) = data["choices"]
        message = choice["message"]
        check(message["content"] or message["tool_calls"], "neither text nor calls", data)
        return data

    def schema() -> dict[str, Any]:
        colour = {"type": "string", "enum": ["red", "blue"]}
        form = {
            "type": "object",
            "properties": {"colour": colour},
            "required": ["colour"],
            "additionalProperties": False,
        }
        kind = {"type": "json_schema", "json_schema": {"name": "colour", "schema": form}}
        data = check_answer(sync(response_format=kind, max_tokens=64))
        content = json.loads(data["choices"][0]["message"]["content"])
        check(content["colour"] in colour["enum"], "not of the schema", content)
        return data

    def logprobs() -> dict[str, Any]:
        data = check_answer(sync(logprobs=True, top_logprobs=2))
        found = data["choices"][0]["logprobs"]["content"]
        check(found and len(found[0]["top_logprobs"]) == 2, "logprobs", data)
        return data

    return {
        "openai: models": lambda: check(client.models.list().data, "no models", ""),
        "openai: chat": lambda: check_answer(sync()),
        "openai: chat, n=2": lambda: check_answer(sync(n=2), n=2),
        "openai: chat, best_of_n": lambda: check_answer(sync(extra_body=BEST)),
        "openai: chat, seed and stop": lambda: check_answer(sync(seed=1, stop=["\n\n"])),
        "openai: chat, logprobs": logprobs,
        "openai: chat, tools": tools,
        "openai: chat, json_schema": schema,
        "openai: chat, stream": lambda: check_stream(sync(**streaming)),
        "openai: chat, stream, best_of_n": lambda: check_stream(sync(**streaming, extra_body=BEST)),
        "openai: completions": lambda: check_answer(text()),
        "openai: completions, n=2": lambda: check_answer(text(n=2), n=2),
        "openai: completions, stream": lambda: check_stream(text(**streaming), chat=False),
        "openai: asynchronous, chat and stream": asynchronous,
        "openai: a bad request": refused,
    }


def litellm_checks(url: str, model: str, key: str) -> dict[str, Callable[[], Any]]:
    # Else it asks the network for a price list when it is imported.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    litellm.suppress_debug_info = True

    def ask(**more: Any) -> Any:
        return litellm.completion(
            model=f"openai/{model}",
            messages=MESSAGES,
            max_tokens=TOKENS,
            api_base=url,
            api_key=key,
            **more,
        )

    def stream(**more: Any) -> dict[str, Any]:
        return check_stream(ask(stream=True, stream_options={"include_usage": True}, **more))

    return {
        "litellm: completion": lambda: check_answer(ask()),
        "litellm: completion, best_of_n": lambda: check_answer(ask(extra_body=BEST)),
        "litellm: completion, stream": stream,
        "litellm: completion, stream, best_of_n": lambda: stream(extra_body=BEST),
    }


def langchain_checks(url: str, model: str, key: str) -> dict[str, Callable[[], Any]]:
    from langchain_openai import ChatOpenAI

    def make(**more: Any) -> Any:
        return ChatOpenAI(model=model, base_url=url, api_key=key, max_tokens=TOKENS, **more)

    def check_message(message: Any) -> None:
        check(message.type.startswith(("ai", "AI")), "type", message)
        check(isinstance(message.content, str) and message.content, "no text", message)
        check(message.response_metadata.get("finish_reason") in FINISH, "finish_reason", message)
        check((message.usage_metadata or {}).get("total_tokens"), "no usage", message)

    def stream(**more: Any) -> None:
        whole = None
        for chunk in make(stream_usage=True, **more).stream(MESSAGES):
            whole = chunk if whole is None else whole + chunk
        check_message(whole)

    return {
        "langchain: invoke": lambda: check_message(make().invoke(MESSAGES)),
        "langchain: invoke, best_of_n": lambda: check_message(
            make(extra_body=BEST).invoke(MESSAGES)
        ),
        "langchain: stream": stream,
        "langchain: stream, best_of_n": lambda: stream(extra_body=BEST),
    }


def curl_checks(url: str, model: str, key: str) -> dict[str, Callable[[], Any]]:
    def curl(path: str, body: dict[str, Any], *flags: str) -> str:
        command = ["curl", "-sS", "--max-time", "120", *flags, f"{url}{path}"]
        headers = ["Content-Type: application/json", f"Authorization: Bearer {key}"]
        for header in headers:
            command += ["-H", header]
        done = subprocess.run(
            [*command, "-d", json.dumps({"model": model, "max_tokens": TOKENS, **body})],
            capture_output=True,
            text=True,
            check=False,
        )
        check(done.returncode == 0, f"curl ended with {done.returncode}", done.stderr)
        return done.stdout

    def stream(**more: Any) -> dict[str, Any]:
        asked = {"stream": True, "stream_options": {"include_usage": True}, **more}
        text = curl("/chat/completions", {"messages": MESSAGES, **asked}, "-N")
        # A line is data, a comment (": ..."), or the empty line that ends an event.
        lines = [line for line in text.splitlines() if line]
        others = [line for line in lines if not line.startswith(("data: ", ":"))]
        check(not others, "neither data nor comment", others)
        events = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        check(events and events[-1] == "[DONE]", "the stream does not end with [DONE]", text[-200:])
        comments = sum(line.startswith(":") for line in lines)
        extra = check_stream(json.loads(event) for event in events[:-1])
        return extra | ({"comments": comments} if comments else {})

    def plain(path: str, **body: Any) -> dict[str, Any]:
        return check_answer(json.loads(curl(path, body)))

    return {
        "curl: chat": lambda: plain("/chat/completions", messages=MESSAGES),
        "curl: chat, best_of_n": lambda: plain("/chat/completions", messages=MESSAGES, **BEST),
        "curl: completions": lambda: plain("/completions", prompt=PROMPT),
        "curl -N: stream": stream,
        "curl -N: stream, best_of_n": lambda: stream(**BEST),
    }


CLIENTS = {
    "openai": ("openai", openai_checks),
    "litellm": ("litellm", litellm_checks),
    "langchain": ("langchain_openai", langchain_checks),
    "curl": (None, curl_checks),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="base URL, such as http://127.0.0.1:8081/v1")
    parser.add_argument("--model", help="by default the first that /models names")
    parser.add_argument("--key", default="not-needed", help="API key, if the server wants one")
    parser.add_argument("--only", choices=CLIENTS, nargs="+", default=list(CLIENTS))
    args = parser.parse_args()
    url, model = args.url.rstrip("/"), args.model or first_model(args.url.rstrip("/"), args.key)
    failed = done = 0
    for name in args.only:
        package, checks = CLIENTS[name]
        there = importlib.util.find_spec(package) if package else shutil.which(name)
        if not there:
            print(f"{name}: skipped, {package or name} is not installed")
            continue
        for what, call in checks(url, model, args.key).items():
            done += 1
            try:
                answer = call()
            except Exception as error:
                failed += 1
                print(f"{what}: FAILED, {type(error).__name__}: {error}", flush=True)
                continue
            print(f"{what}: ok{said(answer)}", flush=True)
    print(f"{done} calls, {failed} failed")
    return int(failed > 0 or not done)


def said(answer: Any) -> str:
    if not isinstance(answer, dict):
        return ""
    parts = [f"{key}: {json.dumps(answer[key])}" for key in ("bontea", "comments") if key in answer]
    return ", ".join(["", *parts])


def first_model(url: str, key: str) -> str:
    import urllib.error
    import urllib.request

    request = urllib.request.Request(f"{url}/models", headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["data"][0]["id"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        why = f"{url}/models names no model ({error}): check the URL, or give --model"
        raise SystemExit(why) from None


if __name__ == "__main__":
    sys.exit(main())
