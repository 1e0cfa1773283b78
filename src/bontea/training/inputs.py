"""What a training job works on: model, tokenizer, reward and prompts, loaded and checked."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from bontea._errors import BonteaError
from bontea.rollouts.model import load_tokenizer, start_model
from bontea.rollouts.prompts import Row, load_prompts
from bontea.rollouts.rewards import Reward, load_reward
from bontea.training.settings import Settings


@dataclass(frozen=True)
class Inputs:
    """Everything that the arms of a job have in common."""

    model: str
    """The start model: a hub name or a folder."""
    tokenizer: Any
    reward: Reward
    train_rows: list[Row]
    held_out: list[Row]


def load_inputs(settings: Settings) -> Inputs:
    """Load and check tokenizer, reward and prompts: cheap things first, all before training."""
    model = start_model(settings.model)
    train_rows, held_out = _load_rows(settings)
    tokenizer = load_tokenizer(
        model,
        chats=not isinstance(train_rows[0]["prompt"], str),
        trust_remote_code=settings.trust_remote_code,
    )
    reward = load_reward(str(settings.reward), trust_remote_code=settings.trust_remote_code)
    return Inputs(model, tokenizer, reward, train_rows, held_out)


def _load_rows(settings: Settings) -> tuple[list[Row], list[Row]]:
    options = {"column": settings.prompt_column, "split": settings.prompts_split}
    if settings.prompts is None:
        from bontea import demo

        rows = [{"prompt": prompt} for prompt in demo.training_prompts()]
        held_out = [{"prompt": prompt} for prompt in demo.held_out_prompts()]
    else:
        rows, held_out = load_prompts(settings.prompts, **options), []
    if settings.eval_prompts is not None:
        held_out = load_prompts(settings.eval_prompts, **options)
    elif not held_out:
        if len(rows) < 2:
            raise BonteaError(
                f"prompts {settings.prompts} hold {len(rows)} row: at least 2 are needed, one to "
                "train on and one to hold out (or give --eval-prompts)"
            )
        order = random.Random(settings.seed).sample(range(len(rows)), len(rows))
        cut = max(1, min(64, len(rows) // 5))
        held_out = [rows[i] for i in order[:cut]]
        rows = [rows[i] for i in sorted(order[cut:])]
    return rows, held_out
