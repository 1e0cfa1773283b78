"""A reward that is a likelihood ratio, as the implicit reward of DPO is.

`contrast`: `log p(y | x, cheerful) - log p(y | x, gloomy)`, in nats, of two language models
(`prepare.py`). A sum over tokens, unbounded, with an upper tail near the normal one.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

FOLDER = Path("runs/contrast")
MOODS = {"cheerful": 1.0, "gloomy": -1.0}
"""The centre of the clauses' grades, from -2 to 2."""


@functools.lru_cache(maxsize=1)
def _loaded() -> tuple[Any, list[Any]]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folders = [FOLDER / name for name in MOODS]
    missing = [str(folder) for folder in folders if not (folder / "config.json").is_file()]
    if missing:
        raise FileNotFoundError(
            f"{missing[0]} has no model: run prepare.py of this experiment from this folder first"
        )
    models = [AutoModelForCausalLM.from_pretrained(folder).eval() for folder in folders]
    return AutoTokenizer.from_pretrained(folders[0]), models


def contrast(prompts: Sequence[str], completions: Sequence[str], **_: Any) -> list[float]:
    """The log-ratio of every completion with its end, summed over tokens, in nats."""
    tokenizer, models = _loaded()
    heads = tokenizer(list(prompts))["input_ids"]
    tails = tokenizer(list(completions), add_special_tokens=False)["input_ids"]
    rows = [[*head, *tail, tokenizer.eos_token_id] for head, tail in zip(heads, tails, strict=True)]
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), tokenizer.pad_token_id)
    counted = torch.zeros(len(rows), width - 1, dtype=torch.double)
    for i, (head, row) in enumerate(zip(heads, rows, strict=True)):
        ids[i, : len(row)] = torch.tensor(row)
        counted[i, len(head) - 1 : len(row) - 1] = 1
    with torch.inference_mode():
        # Padding is on the right of causal models, so it needs no mask.
        logs = [
            model(ids).logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0].double()
            for model in models
        ]
    return ((logs[0] - logs[1]) * counted).sum(1).tolist()
