"""verl: `rollout_data_dir/{step}.jsonl` and `validation_data_dir/{step}.jsonl`.

`_write_generations` of `verl/trainer/ppo/ray_trainer.py` and `v1/trainer_base.py` (August 2026):
`input`, `output`, `gts`, `score`, `step` and, as the reward function gave them, more fields. The
newer trainers add `uid`, `{sample}_{rollout}_{output}`: an agent may give several outputs in one
rollout, of which the last carries the score of the whole. Older ones have no id, and equal inputs
are one prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bontea._errors import BonteaError
from bontea.rollouts.formats._row import Placed, Record, Row, numbers_of

NAME = "a verl rollout dump"
REWARD = "score"
GROUPS = "equal inputs (or the sample part of uid) are one prompt"


def detect(record: Record) -> bool:
    return {"input", "output", "score", "step"} <= record.keys()


def rows(records: Iterable[Placed]) -> Iterator[Row]:
    waiting: tuple[tuple[str, int], int, Row] | None = None
    """The rollout that is being read, its last output so far and its row."""
    done: set[tuple[str, int]] = set()
    for place, record in records:
        row = Row(
            place,
            record,
            numbers_of(record, "step", "gts"),
            prompt=record.get("input"),
            completion=record.get("output"),
            step=record.get("step"),
            columns=record,
        )
        uid = record.get("uid")
        parts = uid.rsplit("_", 2) if isinstance(uid, str) else []
        if not (len(parts) == 3 and parts[1].isdecimal() and parts[2].isdecimal()):
            row.prompt_id = uid
            yield row
            continue
        sample, rollout, output = parts[0], int(parts[1]), int(parts[2])
        row.prompt_id, row.rollout = sample, rollout
        key = (sample, rollout)
        if waiting is not None and waiting[0] == key:
            if output > waiting[1]:
                row.prompt = waiting[2].prompt  # a later output may begin with the earlier ones
                waiting = (key, output, row)
            continue
        if waiting is not None:
            yield waiting[2]
        if key in done:
            raise BonteaError(
                f"{place}: rollout {rollout} of {sample!r} is there twice, in two places: sort the "
                "rows by uid, as verl writes them"
            )
        done.add(key)
        waiting = (key, output, row)
    if waiting is not None:
        yield waiting[2]
