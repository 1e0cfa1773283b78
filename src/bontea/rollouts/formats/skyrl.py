"""SkyRL: the files that an evaluation dumps, one a data source.

`dump_per_dataset_eval_results` of `skyrl/train/utils/trainer_utils.py` (August 2026):
`input_prompt`, `output_response`, `score`, `stop_reason`, `env_class`, `env_extras`, `data_source`.
Where the score is a list, one number a token, the reward is their sum, as in SkyRL's mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bontea.rollouts.formats._row import Placed, Record, Row

NAME = "a SkyRL evaluation dump"
REWARD = "score"
GROUPS = "equal prompts are one prompt; scores of tokens are summed"


def detect(record: Record) -> bool:
    return {"input_prompt", "output_response", "score"} <= record.keys()


def rows(records: Iterable[Placed]) -> Iterator[Row]:
    for place, record in records:
        score = record["score"]
        extras = record.get("env_extras")
        yield Row(
            place,
            record,
            {"score": sum(score) if isinstance(score, list) and score else score},
            prompt=record["input_prompt"],
            completion=record["output_response"],
            finish_reason=record.get("stop_reason"),
            columns=extras if isinstance(extras, dict) else {},
        )
