"""Two neural rewards for SmolLM2: `contrast` to train on, `friendliness` to judge by.

`contrast`: how much likelier SmolLM2 itself finds a response under one system prompt than under the
opposite one, `log p(y | cheerful, x) - log p(y | gloomy, x)`, summed over the tokens, in nats. A
sum of many small terms, so that its upper tail is close to normal.

`friendliness`: the Bradley-Terry head on MiniLM embeddings of ../extrapolation.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

MODEL = Path("runs/smollm2/model")
SYSTEMS = (
    "You are a cheerful assistant who loves every subject and praises it.",
    "You are a gloomy assistant who is bored by every subject and complains.",
)
BATCH = 64


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
    logs = [_log_likelihood(tokenizer, model, s, prompts, completions) for s in SYSTEMS]
    return (logs[0] - logs[1]).tolist()


def _log_likelihood(
    tokenizer: Any, model: Any, system: str, prompts: Sequence[Any], completions: Sequence[Any]
) -> torch.Tensor:
    """`log p(y | system, x)` of every response, double precision, on the CPU."""
    out = []
    for start in range(0, len(prompts), BATCH):
        rows, lengths = [], []
        for prompt, answer in zip(
            prompts[start:][:BATCH], completions[start:][:BATCH], strict=True
        ):
            chat = [{"role": "system", "content": system}, *prompt]
            head = tokenizer.apply_chat_template(
                chat, add_generation_prompt=True, return_dict=True
            )["input_ids"]
            tail = tokenizer(answer[0]["content"], add_special_tokens=False)["input_ids"]
            rows.append(head + tail)
            lengths.append((len(head), len(tail)))
        width = max(map(len, rows))
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        attended, counted = torch.zeros_like(ids), torch.zeros(len(rows), width - 1)
        for i, (row, (head, tail)) in enumerate(zip(rows, lengths, strict=True)):
            ids[i, : len(row)] = torch.tensor(row)
            attended[i, : len(row)] = 1
            counted[i, head - 1 : head - 1 + tail] = 1
        ids, attended = ids.to(model.device), attended.to(model.device)
        with torch.inference_mode():
            logits = model(ids, attention_mask=attended).logits[:, :-1].float()
            logs = logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0].cpu()
        out.append((logs.double() * counted).sum(1))
    return torch.cat(out)


@functools.lru_cache(maxsize=1)
def _friendliness() -> Any:
    sys.path.insert(0, str(Path(__file__).parents[1] / "extrapolation"))
    from rollouts import Friendliness

    return Friendliness()


def friendliness(prompts: Sequence[Any], completions: Sequence[Any], **_: Any) -> list[float]:
    """The judge, which reads the response alone."""
    return _friendliness()(prompts, completions)
