"""Large Language Monkeys: a folder of YAML files, one a problem.

The README and `llmonk/evaluate/` of ScalingIntelligence/large_language_monkeys: `prompt`,
`question`, `samples`, `gt_answer`, and, after the evaluation, `is_corrects`, one boolean a sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePath

from bontea._errors import BonteaError
from bontea.rollouts.formats._row import Placed, Record, Row, equal_lengths

NAME = "Large Language Monkeys results"
REWARD = "is_corrects"
GROUPS = "a file is a prompt"


def detect(record: Record) -> bool:
    return "samples" in record and bool({"is_corrects", "is_correct", "question"} & record.keys())


def rows(records: Iterable[Placed]) -> Iterator[Row]:
    for place, record in records:
        correct = record.get("is_corrects", record.get("is_correct"))
        if correct is None:
            raise BonteaError(
                f"{place} has samples and no is_corrects: run the evaluation of large_language_"
                "monkeys (llmonk/evaluate) first"
            )
        equal_lengths(place, samples=record["samples"], is_corrects=correct)
        for i, (text, right) in enumerate(zip(record["samples"], correct, strict=True)):
            yield Row(
                f"{place}, sample {i + 1}",
                record,
                {"is_corrects": right},
                prompt_id=PurePath(place).stem,
                prompt=record.get("question", record.get("prompt")),
                completion=text,
                rollout=i,
                index=i,
                columns={"gt_answer": record.get("gt_answer")},
            )
