"""TRL: `completions/completions_00010.parquet`, which GRPO writes with `log_completions=True`.

`trl/trainer/grpo_trainer.py`, `GRPOTrainer.log` (1.16): the columns `step`, `prompt`, `completion`,
one of each reward function under its name (NaN where it gave None), what `log_extra` was given, and
`advantage`. The reward that TRL trains on is the sum of the functions times `reward_weights`, which
are not in the file: with one function it is the reward, with several the user says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bontea.rollouts.formats._row import Placed, Record, Row, numbers_of, turns_text

NAME = "a TRL completions file"
REWARD = None
GROUPS = "equal prompts are one prompt"


def detect(record: Record) -> bool:
    return {"step", "prompt", "completion", "advantage"} <= record.keys()


def rows(records: Iterable[Placed]) -> Iterator[Row]:
    for place, record in records:
        yield Row(
            place,
            record,
            numbers_of(record, "step", "advantage", "__index_level_0__"),
            prompt=record["prompt"],
            completion=turns_text(record["completion"]),
            step=record["step"],
            columns=record,
        )
