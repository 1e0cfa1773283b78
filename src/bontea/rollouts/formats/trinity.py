"""Trinity-RFT: the experiences in a SQLite file.

`ExperienceModel` of `trinity/buffer/schema/sql_schema.py` (2026): `id`, `prompt`, `response`,
`message_list`, `reward`, `model_version`, `experience_bytes`, `consumed`. Each `model_version` is
another policy, so it is what `--step` chooses. The file is opened for reading only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from bontea.rollouts.formats._row import Placed, Record, Row, turns_text

NAME = "a Trinity-RFT experience buffer"
REWARD = "reward"
GROUPS = "equal prompts are one prompt"
COLUMNS = ("id", "prompt", "response", "message_list", "reward", "model_version")
"""What is read of the table."""


def detect(record: Record) -> bool:
    return {"response", "message_list", "reward", "model_version"} <= record.keys()


def rows(records: Iterable[Placed]) -> Iterator[Row]:
    for place, record in records:
        prompt: Any = record["prompt"]
        response = record["response"]
        turns = record["message_list"]
        turns = json.loads(turns) if isinstance(turns, str) else turns
        if prompt is None and isinstance(turns, list):
            first = next((i for i, t in enumerate(turns) if t.get("role") == "assistant"), 0)
            prompt = turns[:first] or None
            response = turns_text(turns[first:]) if response is None else response
        yield Row(
            place,
            record,
            {"reward": record["reward"]},
            prompt=prompt,
            completion=response,
            step=record["model_version"],
        )
