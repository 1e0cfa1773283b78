"""Rewards for the stub: the number at the end of a text, plus the one at the end of the prompt."""

from __future__ import annotations

import time
from typing import Any


def reward(prompts: list[Any], completions: list[Any], **columns: Any) -> list[float]:
    """Read off the texts, in a few microseconds each.

    >>> reward(["the level is 2"], ["completion text 0.5"])
    [2.5]
    """
    return [last(p) + last(c) for p, c in zip(prompts, completions, strict=True)]


def hanging(prompts: list[Any], completions: list[Any], **columns: Any) -> list[float]:
    """The same, but it does not come back for one completion in about a hundred."""
    if any(last(completion) > 2.33 for completion in completions):
        time.sleep(1e6)
    return reward(prompts, completions)


def last(text: Any) -> float:
    """The number at the end of a text, or of the last turn of a chat."""
    if isinstance(text, list):
        text = text[-1]["content"]
    return float(text.split()[-1])
