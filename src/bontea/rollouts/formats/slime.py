"""slime: the `.pt` files of `--save-debug-rollout-data`.

`save_debug_rollout_data` of `slime/observability/rollout_data_utils.py` and `Sample` of
`slime/utils/types.py` (August 2026): `{"rollout_id", "samples": [{"group_index", "index",
"rollout_id", "prompt", "response", "reward", "status", ...}]}`; a reward is a number or a dict,
which is several scores. Samples of one `rollout_id` are parts of one rollout, and carry its reward.
Samples that were aborted or failed are unscorable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bontea._errors import BonteaError
from bontea.rollouts.formats._row import Placed, Record, Row, flat, turns_text

NAME = "a slime rollout file"
REWARD = "reward"
GROUPS = "samples of one group_index are one prompt; aborted and failed ones are unscorable"
UNSCORABLE = ("aborted", "failed", "pending")
FINISH = {"truncated": "length", "completed": "stop"}


def detect(record: Record) -> bool:
    samples = record.get("samples")
    return (
        isinstance(samples, list)
        and bool(samples)
        and isinstance(samples[0], dict)
        and {"response", "reward"} <= samples[0].keys()
    )


def rows(records: Iterable[Placed]) -> Iterator[Row]:
    for place, record in records:
        known: dict[tuple[Any, Any], Any] = {}
        """The rewards of rollouts that may have several parts."""
        for i, sample in enumerate(record["samples"]):
            where = f"{place}, sample {i + 1}"
            group, part = sample.get("group_index"), sample.get("rollout_id")
            if part is not None:
                if (group, part) not in known:
                    known[group, part] = sample["reward"]
                elif known[group, part] == sample["reward"]:
                    continue
                else:
                    raise BonteaError(
                        f"{where}: the parts of rollout {part} have different rewards, and nothing "
                        "says which is that of the whole"
                    )
            scores = dict(flat(sample["reward"], "reward"))
            status = str(sample.get("status") or "")
            yield Row(
                where,
                sample,
                dict.fromkeys(scores) if status in UNSCORABLE else scores,
                prompt_id=group,
                prompt=sample.get("prompt"),
                completion=turns_text(sample["response"]),
                finish_reason=FINISH.get(status),
                columns={"label": sample.get("label"), "metadata": sample.get("metadata") or {}},
            )
