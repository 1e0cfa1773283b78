"""NeMo RL: `train_data_stepN.jsonl` and `val_data_stepN.jsonl`.

`log_batched_dict_as_jsonl` of `nemo_rl/utils/logger.py` writes slices of one sample, so that every
field is a list of one; `algorithms/grpo.py` (August 2026) gives it `content` and `rewards`, in
training also `filtered_rewards`, `advantages`, `token_ids` and others. In validation the content
is the conversation, and equal beginnings are one prompt; in training it is the bare texts of its
turns, and nothing says which of them is the prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bontea.rollouts.formats._row import Placed, Record, Row, turns_text

NAME = "a NeMo RL data file"
REWARD = "rewards"
GROUPS = "rows whose conversations begin alike are one prompt"
NO_PROMPT = (
    "it does not say which prompt a row belongs to: give --group-size M if the M rollouts of a "
    "prompt follow each other, or the turn that is the prompt, such as --prompt-column content.0.0"
)


def detect(record: Record) -> bool:
    return {"content", "rewards", "idx"} <= record.keys()


def rows(records: Iterable[Placed]) -> Iterator[Row]:
    for place, record in records:
        turns = _one(record["content"])
        prompt, answer = None, turns
        if isinstance(turns, list) and all(isinstance(t, dict) and "role" in t for t in turns):
            first = next((i for i, t in enumerate(turns) if t["role"] == "assistant"), len(turns))
            prompt, answer = turns[:first], turns[first:]
        elif isinstance(turns, list):
            answer = turns[-1:]
        yield Row(
            place,
            record,
            {k: _one(record[k]) for k in ("rewards", "filtered_rewards") if k in record},
            prompt=prompt or None,
            completion=turns_text(answer),
            columns={"idx": record["idx"]},
        )


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value
