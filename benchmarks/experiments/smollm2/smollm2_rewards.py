"""Two neural rewards for SmolLM2: `contrast` to train on, `friendliness` to judge by.

`contrast`: how much likelier SmolLM2 itself finds a response under one system prompt than under the
opposite one, `log p(y | cheerful, x) - log p(y | gloomy, x)`, summed over the tokens, in nats. A
sum of many small terms, so that its upper tail is close to normal.

`friendliness`: the Bradley-Terry head on MiniLM embeddings of ../extrapolation.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from likelihood import log_ratio

from bontea.rollouts.chats import token_ids

MODEL = Path("runs/smollm2/model")
SYSTEMS = (
    "You are a cheerful assistant who loves every subject and praises it.",
    "You are a gloomy assistant who is bored by every subject and complains.",
)


@functools.lru_cache(maxsize=1)
def _loaded() -> tuple[Any, Any]:
    from accelerate import PartialState
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = PartialState().device
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=dtype).to(device).eval()
    return AutoTokenizer.from_pretrained(MODEL), model


def contrast(prompts: Sequence[Any], completions: Sequence[Any], **_: Any) -> list[float]:
    """The log-ratio of every response, in nats."""
    tokenizer, model = _loaded()
    texts = [answer[0]["content"] for answer in completions]
    tails = tokenizer(texts, add_special_tokens=False)["input_ids"]

    def under(system: str) -> Callable[[Any], list[int]]:
        chat = [{"role": "system", "content": system}]
        return lambda prompt: token_ids(tokenizer, [*chat, *prompt])

    sides = [(model, under(system)) for system in SYSTEMS]
    return log_ratio(sides, prompts, tails).tolist()


@functools.lru_cache(maxsize=1)
def _friendliness() -> Any:
    sys.path.insert(0, str(Path(__file__).parents[1] / "extrapolation"))
    from rollouts import Friendliness

    return Friendliness()


def friendliness(prompts: Sequence[Any], completions: Sequence[Any], **_: Any) -> list[float]:
    """The judge, which reads the response alone."""
    return _friendliness()(prompts, completions)
