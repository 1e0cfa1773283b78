"""A reward that is a likelihood ratio, as the implicit reward of DPO is.

`contrast`: `log p(y | x, cheerful) - log p(y | x, gloomy)`, in nats, of two language models
(`prepare.py`). A sum over tokens, unbounded, with an upper tail near the normal one.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from likelihood import log_ratio

from bontea.rollouts.chats import token_ids

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
    tails = tokenizer(list(completions), add_special_tokens=False)["input_ids"]
    tails = [[*tail, tokenizer.eos_token_id] for tail in tails]
    sides = [(model, lambda prompt: token_ids(tokenizer, prompt)) for model in models]
    return log_ratio(sides, prompts, tails).tolist()
