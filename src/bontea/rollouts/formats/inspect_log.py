"""Inspect: `.eval` (a zip archive) and `.json` logs.

`inspect_ai/log/_log.py` and `_recorders/eval.py` (0.3.285). A sample has `id`, `epoch`, `input`,
`output`, `error` and `scores {scorer: {value}}`; the epochs of a sample are its rollouts. A value
is a number, a letter (C, I, P and N are 1, 0, 0.5 and 0, as in Inspect's own `value_to_float`), or
a dict or a list of these, which is several scores: `scorer.key`. A sample that ended in an error is
unscorable, as it does not count in Inspect, unless the evaluation had `score_on_error`.

Both kinds of log are read by this one reader. A sample of an `.eval` may be split into parts; only
its own part is read, which has all of the above.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bontea.rollouts.formats._row import Placed, Record, Row, flat, turns_text

NAME = "an Inspect log"
REWARD = None
GROUPS = "the epochs of a sample are its rollouts"
VALUES = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


def detect(record: Record) -> bool:
    return {"eval", "samples"} <= record.keys() and "task" in (record["eval"] or {})


def rows(records: Iterable[Placed]) -> Iterator[Row]:
    for place, log in records:
        header = log["eval"]
        on_error = bool((header.get("config") or {}).get("score_on_error"))
        for sample in log["samples"] or []:
            where = f"{place}, sample {sample['id']!r} epoch {sample['epoch']}"
            output = sample.get("output") or {}
            choices = output.get("choices") or []
            completion = output.get("completion")
            if completion is None and choices:
                completion = turns_text(choices[0].get("message"))
            failed = sample.get("error") is not None and not on_error
            scores = _scores(sample.get("scores") or {})
            yield Row(
                where,
                sample,
                dict.fromkeys(scores) if failed else scores,
                prompt_id=sample["id"],
                prompt=sample.get("input"),
                completion=completion,
                rollout=sample["epoch"],
                model=header.get("model"),
                finish_reason=choices[0].get("stop_reason") if choices else None,
                columns={
                    "target": sample.get("target"),
                    "metadata": sample.get("metadata") or {},
                },
            )


def _scores(given: dict[str, Any]) -> dict[str, Any]:
    scores: dict[str, Any] = {}
    for scorer, score in given.items():
        value = score.get("value") if isinstance(score, dict) else score
        scores |= {name: _value(one) for name, one in flat(value, scorer)}
    return scores


def _value(value: Any) -> Any:
    """A value as a number; what is none stays as it is, and is refused if it is the reward."""
    if not isinstance(value, str):
        return value
    if value in VALUES:
        return VALUES[value]
    if value.lower() in WORDS:
        return WORDS[value.lower()]
    try:
        return float(value)
    except ValueError:
        return value
