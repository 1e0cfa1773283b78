"""Scores from elsewhere: a reward function on the responses of a file, or a file of scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bontea._errors import BonteaError
from bontea.rollouts.formats._records import records
from bontea.rollouts.formats._row import Row, number
from bontea.rollouts.rewards import load_reward, score

AT_ONCE = 64
"""Responses that a reward function is given in one call."""


class Scorer:
    """A reward function, called with the responses of a file."""

    def __init__(self, function: str):
        self.function = load_reward(function)
        self.name = function

    def __call__(self, rows: Sequence[Row]) -> list[float]:
        """The rewards of the rows, NaN for None. What has no response is not scored."""
        out = [float("nan")] * len(rows)
        there = [i for i, row in enumerate(rows) if row.completion is not None]
        for start in range(0, len(there), AT_ONCE):
            some = there[start : start + AT_ONCE]
            taken = [rows[i] for i in some]
            columns = {
                name: [row.columns.get(name) for row in taken]
                for name in dict.fromkeys(name for row in taken for name in row.columns)
                if name not in ("prompt", "completion", "prompts", "completions")
            }
            prompts = [row.prompt_id if row.prompt is None else row.prompt for row in taken]
            values = score(self.function, prompts, [row.completion for row in taken], columns)
            for i, value in zip(some, values.tolist(), strict=True):
                out[i] = value
        return out


def join_scores(rows: Iterator[Row], path: Path) -> Iterator[Row]:
    """The rows with the scores of a file: objects with `custom_id` and `score`, or `scores`."""
    found: dict[Any, list[Any]] = {}
    for place, record in records(path):
        key = record.get("custom_id")
        value = next((record[n] for n in ("score", "scores", "reward") if n in record), _NO)
        if key is None or value is _NO:
            raise BonteaError(f"{place}: a row of scores has custom_id and score")
        values = value if isinstance(value, list) else [value]
        index = record.get("index")
        known = found.setdefault(key, [])
        if known and index is None:
            raise BonteaError(
                f"{place}: {key!r} has scores before: give a list, or the index of each choice"
            )
        if index is not None:
            known.extend([None] * (int(index) + 1 - len(known)))
            known[int(index)] = number(value, place, "score")
        else:
            known.extend(number(one, place, "score") for one in values)
    for row in rows:
        if row.prompt_id not in found:
            raise BonteaError(f"{row.place}: {path} has no score of {row.prompt_id!r}")
        values, i = found[row.prompt_id], row.rollout or 0
        if i >= len(values):
            raise BonteaError(
                f"{row.place}: {path} has {len(values)} scores of {row.prompt_id!r}, and this is "
                f"choice {i + 1}"
            )
        row.scores["score"] = values[i]
        yield row


_NO = object()
