"""Rewards for tests of the gateway, which load them by name."""

import os
import re
import time


def of_text(prompts, completions, **columns):
    """The first number in a response; None where there is none; an error for `fail`."""
    out = []
    for completion in completions:
        text = completion if isinstance(completion, str) else completion[0]["content"]
        if "fail" in text:
            raise ValueError("this response cannot be judged")
        found = re.search(r"-?\d+(\.\d+)?", text)
        out.append(float(found[0]) if found else None)
    return out


def length(prompts, completions, **columns):
    """How long a response is."""
    return [float(len(c if isinstance(c, str) else c[0]["content"])) for c in completions]


async def length_async(prompts, completions, **columns):
    return length(prompts, completions)


def right(prompts, completions, answer, **columns):
    """1 where the response holds the answer."""
    texts = [c if isinstance(c, str) else c[0]["content"] for c in completions]
    return [float(str(a) in text) for a, text in zip(answer, texts, strict=True)]


def wrong_count(prompts, completions, **columns):
    return [1.0] * 999


def broken(prompts, completions, **columns):
    raise RuntimeError("the judge is broken")


def words(prompts, completions, **columns):
    return ["good"] * len(completions)


def infinite(prompts, completions, **columns):
    return [float("inf")] * len(completions)


def crash(prompts, completions, **columns):
    os._exit(3)


def hang(prompts, completions, **columns):
    time.sleep(1000)


def chats_only(prompts, completions, **columns):
    """Checks that it gets chats, as they were sent."""
    assert all(isinstance(p, list) and p[-1]["role"] == "user" for p in prompts)
    assert all(c[0]["role"] == "assistant" for c in completions)
    return [float("tool_calls" in c[0]) for c in completions]


def texts_only(prompts, completions, **columns):
    assert all(isinstance(text, str) for text in [*prompts, *completions])
    return length(prompts, completions)
