"""How far training went: the KL divergence from the start model, estimated on rollouts.

    KL = mean over rollouts y ~ pi of  log pi(y | x) - log pi_start(y | x)      nats per response

Arms at one learning rate need not go equally far, and more reward farther away is no merit of an
estimator: compare arms at equal KL.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from bontea.rollouts.chats import token_ids

ROLLOUTS = 32
"""Of every prompt: with a few dozen prompts the standard error is a few percent."""
BATCH = 64
LOGITS = 2**27
"""Numbers in the logits of a forward pass, at most: half a gigabyte in float32."""


def log_likelihoods(
    model: Any,
    tokenizer: Any,
    prompt: Any,
    completions: Sequence[str],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
) -> np.ndarray:
    """`sum_t log pi(y_t | x, y_<t)` of completions of one prompt: `(len(completions),)`, nats.

    `pi` is what is sampled from: the softmax of the logits over `temperature`. The text is made
    tokens again, and the end counts as one, but for a completion of `max_new_tokens`, which was cut
    off. `prompt` is a text, or a chat for the tokenizer's template.
    """
    import torch

    head = token_ids(tokenizer, prompt)
    tails = tokenizer(list(completions), add_special_tokens=False)["input_ids"]
    tails = [t if len(t) >= max_new_tokens else [*t, tokenizer.eos_token_id] for t in tails]
    longest = max(map(len, tails))
    ids = torch.zeros(len(tails), len(head) + longest, dtype=torch.long)
    counted = torch.zeros(len(tails), longest, dtype=torch.double)
    ids[:, : len(head)] = torch.tensor(head)
    for i, tail in enumerate(tails):
        ids[i, len(head) : len(head) + len(tail)] = torch.tensor(tail)
        counted[i, : len(tail)] = 1
    options: dict[str, Any] = {"use_cache": False}
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        options["logits_to_keep"] = longest + 1
    batch = max(1, min(BATCH, LOGITS // (longest * len(tokenizer))))
    out = []
    with torch.inference_mode():
        for part, their in zip(ids.split(batch), counted.split(batch), strict=True):
            own = part.to(model.device)
            # Padding is on the right of a causal model, so it needs no mask.
            logits = model(own, **options).logits[:, -longest - 1 : -1].float() / temperature
            chosen = logits.gather(-1, own[:, -longest:, None])[..., 0]
            out.append(((chosen - logits.logsumexp(-1)).cpu().double() * their).sum(1))
    return torch.cat(out).numpy()
