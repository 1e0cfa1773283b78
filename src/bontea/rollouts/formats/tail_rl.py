"""TailRL: the evaluation shards `shard_3of176.jsonl`.

`experiments/code_optimization/code_opt/eval/besteval_shard.py` of Zanette-Labs/TailRL (2026):
`global_idx`, `problem_id`, `src_id`, `n`, `n_pass`, `scores` (one a completion), `best_at_k`. A
prompt is a program to make faster, `src_id`, for a problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bontea._errors import BonteaError
from bontea.rollouts.formats._row import Placed, Record, Row

NAME = "TailRL evaluation shards"
REWARD = "scores"
GROUPS = "a row is a prompt"


def detect(record: Record) -> bool:
    return {"problem_id", "src_id", "n_pass", "scores"} <= record.keys()


def rows(records: Iterable[Placed]) -> Iterator[Row]:
    for place, record in records:
        scores = record["scores"]
        if record.get("n", len(scores)) != len(scores):
            raise BonteaError(f"{place}: n is {record['n']}, but there are {len(scores)} scores")
        for i, score in enumerate(scores):
            yield Row(
                f"{place}, score {i + 1}",
                record,
                {"scores": score},
                prompt_id=f"{record['problem_id']}/{record['src_id']}",
                rollout=i,
                index=i,
            )
