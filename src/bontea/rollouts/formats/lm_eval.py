"""lm-evaluation-harness: `samples_{task}_{date}.jsonl`, which `--log_samples` writes.

`lm_eval/evaluator.py` and `loggers/evaluation_tracker.py` (0.4.13): `doc_id`, `doc`, `target`,
`arguments {gen_args_0: {arg_0: prompt, ...}}`, `resps[request][repeat]`, `filtered_resps`,
`filter`, `metrics` (names) and a field for each. A metric is one number a document, whatever the
number of repeats: with one response it is the score of that response, with several it is that of
the filtered answer, and no repeat has a score of its own. A task with several filters writes each
document once for every filter; the responses are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bontea._errors import BonteaError
from bontea.rollouts.formats._row import Placed, Record, Row, is_number

NAME = "an lm-evaluation-harness samples file"
REWARD = None
GROUPS = "the repeats of a document are its rollouts"
REPEATS = (
    "it has several responses to a document and one score for all of them, so that no response has "
    "a score of its own: score the responses again with --reward MODULE:FUNCTION, a function "
    "reward(prompts, completions, target, doc, **columns) that returns one number a completion"
)


def detect(record: Record) -> bool:
    return {"doc_id", "resps", "filtered_resps"} <= record.keys()


def rows(records: Iterable[Placed]) -> Iterator[Row]:
    found: dict[Any, list[Row]] = {}
    """By document: a task with several filters writes all documents once for each."""
    seen: set[tuple[Any, str]] = set()
    for place, record in records:
        names = record.get("metrics") or []
        label = "" if record.get("filter") in (None, "none") else f"{record['filter']}."
        scores = {f"{label}{n}": record.get(n) for n in names if is_number(record.get(n))}
        once = record["doc_id"], label
        if once in seen:
            raise BonteaError(
                f"{place}: document {record['doc_id']} is there before, with the same filter: the "
                "file holds several tasks or runs, and nothing says which row is of which; read "
                "the files that they came from one by one"
            )
        seen.add(once)
        known = found.get(record["doc_id"])
        if known is None:
            known = found[record["doc_id"]] = list(_rows(place, record))
        if len(known) == 1:
            known[0].scores |= scores
    for document in found.values():
        yield from document


def _rows(place: str, record: Record) -> Iterator[Row]:
    responses = _responses(record, place)
    prompt = ((record.get("arguments") or {}).get("gen_args_0") or {}).get("arg_0")
    for i, text in enumerate(responses):
        yield Row(
            place if len(responses) == 1 else f"{place}, repeat {i + 1}",
            record,
            {},
            prompt_id=record["doc_id"],
            prompt=prompt,
            completion=text,
            rollout=i,
            columns={"target": record.get("target"), "doc": record.get("doc")},
        )


def _responses(record: Record, place: str) -> list[str | None]:
    requests = record["resps"]
    if not isinstance(requests, list) or not requests:
        raise BonteaError(f"{place}: resps holds no responses")
    repeats = requests[0]
    if len(requests) > 1 or not all(isinstance(text, str) for text in repeats):
        return [None]  # likelihoods of the answers to choose from: one measurement of the document
    return list(repeats)
