"""tinker-cookbook: `iteration_000010/train_rollout_summaries.jsonl`.

`serialize_rollout_summaries` of `tinker_cookbook/rl/rollout_logging.py` (August 2026): `split`,
`iteration`, `group_idx`, `traj_idx`, `total_reward` (of the steps and the end), `final_reward`,
`trajectory_metrics`, `steps`. There are no texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bontea.rollouts.formats._row import Placed, Record, Row, is_number

NAME = "a tinker-cookbook rollout summary"
REWARD = "total_reward"
GROUPS = "trajectories of one group_idx are one prompt"


def detect(record: Record) -> bool:
    return {"group_idx", "traj_idx", "total_reward"} <= record.keys()


def rows(records: Iterable[Placed]) -> Iterator[Row]:
    for place, record in records:
        metrics = record.get("trajectory_metrics") or {}
        scores = {name: record.get(name) for name in ("total_reward", "final_reward")}
        scores |= {f"trajectory_metrics.{k}": v for k, v in metrics.items() if is_number(v)}
        split = record.get("split")
        group = record["group_idx"]
        yield Row(
            place,
            record,
            scores,
            prompt_id=group if split is None else f"{split}/{group}",
            rollout=record["traj_idx"],
            step=record.get("iteration"),
            columns={"tags": record.get("tags")},
        )
