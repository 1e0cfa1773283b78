"""Rewards of the training experiments, as TRL calls them.

- `distilled`: a transformer of 0.1 million parameters on the policy's own words, taught by the
  embedded reward (`make_reward.py`). For 96 texts it takes 30 ms of a core where that takes 1.07 s,
  so that hundreds of arms fit on a CPU, and it is a proxy: the embedded reward, its teacher, is the
  judge that no arm is trained on.
- `verifier`: 0 or 1, no neural network: a review passes when it praises twice with different words,
  complains of nothing and ends like a sentence.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bontea import demo
from bontea.demo import lexicon
from bontea.demo.reward import subject_of

WEIGHTS = Path(__file__).parent / "distilled.safetensors"
WIDTH, LAYERS, LONGEST = 64, 2, 48


class Distilled(nn.Module):
    """Tokens of subject and completion in, one score out."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, WIDTH, padding_idx=0)
        self.places = nn.Embedding(LONGEST, WIDTH)
        layer = nn.TransformerEncoderLayer(
            WIDTH, 4, 2 * WIDTH, dropout=0.0, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.Linear(2 * WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, 1))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """`ids` is `(B, T)`, the subject first, 0 is padding; scores `(B,)`."""
        there = ids != 0
        places = torch.arange(ids.shape[1])
        hidden = self.words(ids) + self.places(places)
        # The mask as numbers: the path for masks of booleans is another one in inference, with
        # other last digits.
        mask = torch.zeros(ids.shape).masked_fill(~there, -1e9)
        hidden = self.encoder(hidden, src_key_padding_mask=mask)
        weight = there.unsqueeze(-1).float()
        mean = (hidden * weight).sum(1) / weight.sum(1)
        return self.head(torch.cat([mean, hidden[:, 0]], dim=-1))[:, 0]


def encode(tokenizer: Any, subjects: Sequence[str], texts: Sequence[str]) -> torch.Tensor:
    """`(B, T)` token ids, every row its subject and then its text."""
    rows = tokenizer(
        [f"{subject} : {text}" for subject, text in zip(subjects, texts, strict=True)],
        padding=True,
        padding_side="right",
        truncation=True,
        max_length=LONGEST,
        return_tensors="pt",
    )
    return rows["input_ids"]


@functools.lru_cache(maxsize=1)
def _loaded() -> tuple[Any, Distilled]:
    from safetensors.torch import load_file
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(demo.policy_folder())
    model = Distilled(len(tokenizer))
    model.load_state_dict({key: value.float() for key, value in load_file(WEIGHTS).items()})
    return tokenizer, model.eval()


def distilled(prompts: Sequence[str], completions: Sequence[str], **_: Any) -> list[float]:
    """The distilled reward, standardised at the start policy like its teacher."""
    tokenizer, model = _loaded()
    with torch.inference_mode():
        ids = encode(tokenizer, [subject_of(prompt) for prompt in prompts], completions)
        return model(ids).double().tolist()


def _words(*levels: int) -> set[str]:
    """The graded words of the grammar, from 0 (very bad) to 4 (very good)."""
    lists = [lexicon.ADJECTIVES, lexicon.FEELINGS]
    lists += [category.adjectives for category in lexicon.CATEGORIES.values()]
    return {word for graded in lists for level in levels for word in graded[level]}


PRAISE, BLAME = _words(3, 4), _words(0, 1)


def verifier(prompts: Sequence[str], completions: Sequence[str], **_: Any) -> list[float]:
    """1 for a review that passes, else 0."""
    return [float(passes(text)) for text in completions]


def passes(text: str) -> bool:
    """At least two different words of praise, no word of blame, a full stop at the end.

    One in fifty rollouts of the start policy passes, from .8 to 4 % by prompt.

    >>> passes("the soup was delicious and the filling heavenly.")
    True
    >>> passes("the soup was delicious and delicious.")
    False
    """
    words = set(re.findall(r"[a-z]+", text))
    return len(words & PRAISE) >= 2 and not words & BLAME and text.endswith(".")
