"""What a training job works on: model, tokenizer, reward and prompts, loaded and checked."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from bontea._errors import BonteaError
from bontea.rollouts.chats import for_template, is_prefill, template_text
from bontea.rollouts.model import load_tokenizer, start_model
from bontea.rollouts.prompts import Row, load_prompts
from bontea.rollouts.rewards import Reward, check_rows, load_reward
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
    chats = [not isinstance(row["prompt"], str) for row in (*train_rows, *held_out)]
    tokenizer = load_tokenizer(
        model, chats=any(chats), trust_remote_code=settings.trust_remote_code
    )
    if any(chats) != all(chats):
        raise BonteaError(
            "some prompts are texts and others are chats, and TRL takes one kind: make all of them "
            "chats"
        )
    train_rows, held_out = (_for_trl(tokenizer, rows) for rows in (train_rows, held_out))
    reward = load_reward(str(settings.reward), trust_remote_code=settings.trust_remote_code)
    check_rows(reward, (*train_rows, *held_out))
    return Inputs(model, tokenizer, reward, train_rows, held_out)


def _for_trl(tokenizer: Any, rows: list[Row]) -> list[Row]:
    """Rows with chats as a template takes them; BonteaError for what TRL would train wrongly on.

    TRL starts a new turn of the assistant after every chat, and does not look at tools.
    """
    for name in ("image", "images"):  # of TRL's: other columns are the reward's
        if any(row.get(name) is not None for row in rows):
            raise BonteaError(
                f"the prompts have a column {name!r}, whose images TRL would put into them, and "
                "only models of text are trained here: remove or rename the column"
            )
    out = []
    for row in rows:
        prompt = row["prompt"]
        if not isinstance(prompt, str):
            try:
                if is_prefill(prompt):
                    raise BonteaError(
                        "it ends with a turn of the assistant: take that out to have it answered"
                    )
                if row.get("tools"):
                    raise BonteaError(
                        "it has tools, which GRPO in TRL does not show the model: remove the column"
                    )
                template_text(tokenizer, prompt)
                row = {**row, "prompt": for_template(tokenizer, prompt)}
            except BonteaError as error:
                raise BonteaError(
                    f"the chat {str(prompt)[:60]!r} cannot be trained on: {error}"
                ) from None
        out.append(row)
    return out


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
