"""RewardBench: scores of a reward model for several answers.

`rewardbench/utils.py`, `save_to_hub` (January 2026). Best-of-n (`scripts/run_bon.py`): objects one
after another with `id` ([prompt, answer]), `scores` (one number), `model` (who wrote the answer).
Version 2 (`scripts/run_v2.py`): one object of columns, `id`, `scores` (a list for each prompt),
`num_correct` (the first so many answers are right), `subset`, `text`; there the second score,
`correct`, says which answers are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bontea.rollouts.formats._row import Placed, Record, Row, turns_text

NAME = "a RewardBench scores file"
REWARD = "scores"
GROUPS = "answers of one id are one prompt"


def detect(record: Record) -> bool:
    if not {"id", "scores"} <= record.keys():
        return False
    flat = isinstance(record["id"], list) and len(record["id"]) == 2 and "model" in record
    return flat or {"num_correct", "results"} <= record.keys()


def rows(records: Iterable[Placed]) -> Iterator[Row]:
    for place, record in records:
        if "num_correct" not in record:
            key, answer = record["id"]
            yield Row(
                place,
                record,
                {"scores": _one(record["scores"])},
                prompt_id=key,
                prompt=record.get("prompt"),
                rollout=answer,
                model=record.get("model"),
            )
            continue
        columns = {k: v for k, v in record.items() if isinstance(v, list)}
        prompts = [record]
        if isinstance(record["num_correct"], list):  # an object of columns
            count = len(record["num_correct"])
            prompts = [
                {k: v[i] for k, v in columns.items() if len(v) == count} for i in range(count)
            ]
        for p, prompt in enumerate(prompts):
            subset, texts = prompt.get("subset"), prompt.get("text")
            for i, score in enumerate(prompt["scores"]):
                yield Row(
                    f"{place}, prompt {p + 1}, answer {i + 1}",
                    prompt,
                    {"scores": _one(score), "correct": i < prompt["num_correct"]},
                    prompt_id=prompt["id"] if subset is None else f"{subset}/{prompt['id']}",
                    completion=turns_text(texts[i]) if isinstance(texts, list) else None,
                    rollout=i,
                    stratum=subset,
                    index=i,
                )


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value
