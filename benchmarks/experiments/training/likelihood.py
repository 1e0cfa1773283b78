"""The log-likelihood of completions, which rewards are made of.

The prompt goes through the model once for all its completions: with a long system prompt and short
completions a third of the time of `bontea.training.distance`, for transformers with a plain cache.
"""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable, Sequence
from typing import Any

import torch

BATCH = 64


def log_ratio(
    sides: Sequence[tuple[Any, Callable[[Any], list[int]]]],
    prompts: Sequence[Any],
    tails: Sequence[Sequence[int]],
) -> torch.Tensor:
    """How much likelier each tail is on the first side than on the second: `(len(tails),)`, nats.

    A side is a model and a function from a prompt to the tokens that stand before the tail.
    """
    groups: dict[str, list[int]] = {}
    for i, prompt in enumerate(prompts):
        groups.setdefault(json.dumps(prompt), []).append(i)
    out = torch.zeros(len(tails), dtype=torch.double)
    for members in groups.values():
        own, prompt = [tails[i] for i in members], prompts[members[0]]
        logs = [log_likelihood(model, head(prompt), own) for model, head in sides]
        out[members] = logs[0] - logs[1]
    return out


def log_likelihood(model: Any, head: Sequence[int], tails: Sequence[Sequence[int]]) -> torch.Tensor:
    """`sum_t log p(tail_t | head, tail_<t)` of every tail after one head: `(len(tails),)`, nats.

    The head goes through the model once, for all of them. Double precision, on the CPU. An empty
    tail has 0; a head needs two tokens.
    """
    from transformers import DynamicCache

    if len(head) < 2:
        raise ValueError(f"the head has {len(head)} tokens; at least 2 are needed")
    if not tails:
        return torch.zeros(0, dtype=torch.double)
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    # Its name depends on the version of transformers.
    name = "cache" if "cache" in inspect.signature(inner.forward).parameters else "past_key_values"
    longest = max(1, *map(len, tails))
    ids = torch.zeros(len(tails), longest, dtype=torch.long)
    counted = torch.zeros(len(tails), longest, dtype=torch.double)
    for i, tail in enumerate(tails):
        ids[i, : len(tail)] = torch.tensor(tail, dtype=torch.long)
        counted[i, : len(tail)] = 1
    out = []
    start = torch.tensor([list(head)], device=model.device)
    of_head = DynamicCache(config=inner.config)
    with torch.inference_mode():
        model(start[:, :-1], **{name: of_head}, use_cache=True, logits_to_keep=1)
        for these, their in zip(ids.split(BATCH), counted.split(BATCH), strict=True):
            cache = copy.deepcopy(of_head)
            cache.batch_repeat_interleave(len(these))
            these = these.to(model.device)
            fed = torch.cat([start[:, -1:].expand(len(these), 1), these[:, :-1]], dim=1)
            # Padding is on the right of a causal model, so it needs no mask.
            logits = model(fed, **{name: cache}).logits.float()
            logs = logits.log_softmax(-1).gather(-1, these[..., None])[..., 0]
            out.append((logs.cpu().double() * their).sum(1))
    return torch.cat(out)
