"""OpenAI: the output file of a batch.

`custom_id`, `response.body.choices[]` (each with `message` and `finish_reason`), `error`: see the
guide "Batch API". It has responses and no scores, which must come from somewhere: from
`--reward MODULE:FUNCTION`, or from a file of scores with the same `custom_id`, `--scores FILE`.
A request that failed is a rollout without a response, which is unscorable. It does not say its
model, which is that of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bontea.rollouts.formats._row import Placed, Record, Row, turns_text

NAME = "an OpenAI batch output"
REWARD = None
GROUPS = "the choices of one custom_id are one prompt"
NO_SCORES = (
    "it has responses and no scores: score them with --reward MODULE:FUNCTION, or give the scores "
    "in a file of JSON lines, --scores FILE, each with custom_id and score (a list where a request "
    "has several choices)"
)


def detect(record: Record) -> bool:
    return {"custom_id", "response"} <= record.keys()


def rows(records: Iterable[Placed]) -> Iterator[Row]:
    failed, models = [], set()
    for row in _rows(records):
        if row.completion is None and row.model is None:
            failed.append(row)
            continue
        models.add(row.model)
        yield row
    for row in failed:  # once it is known which model they were for
        row.model = next(iter(models)) if len(models) == 1 else None
        yield row


def _rows(records: Iterable[Placed]) -> Iterator[Row]:
    for place, record in records:
        body = (record.get("response") or {}).get("body") or {}
        choices = body.get("choices") or []
        for i, choice in enumerate(choices or [{}]):
            yield Row(
                place if len(choices) < 2 else f"{place}, choice {i + 1}",
                record,
                {},
                prompt_id=record["custom_id"],
                completion=turns_text(choice.get("message", choice.get("text"))),
                rollout=choice.get("index", i),
                model=body.get("model"),
                finish_reason=choice.get("finish_reason"),
                columns={"custom_id": record["custom_id"]},
            )
