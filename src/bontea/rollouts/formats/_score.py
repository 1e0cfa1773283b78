"""Scores from elsewhere: a reward function on the responses of a file, or a file of scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bontea._errors import BonteaError
from bontea._ids import id_text
from bontea.rollouts.formats._records import records
from bontea.rollouts.formats._row import Row, Text, number
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
    """The rows with the scores of a file: objects with `custom_id` and `score`, or `scores`.

    What has no response needs no score. BonteaError where a response has none, or two.
    """
    found: dict[str, dict[int, float]] = {}
    for place, record in records(path):
        key = id_text(record.get("custom_id"))
        value = next((record[n] for n in ("score", "scores", "reward") if n in record), _NO)
        if key is None or value is _NO:
            raise BonteaError(f"{place}: a row of scores has custom_id and score")
        known = found.setdefault(key, {})
        if record.get("index") is None:
            if known:
                raise BonteaError(
                    f"{place}: {key!r} has scores before: give a list, or the index of each choice"
                )
            values = value if isinstance(value, list) else [value]
            known |= {i: number(one, place, "score") for i, one in enumerate(values)}
            continue
        index = _index(record["index"], place)
        if index in known:
            raise BonteaError(f"{place}: choice {index} of {key!r} has a score before: remove one")
        known[index] = number(value, place, "score")
    choices: dict[str, int] = {}
    for row in rows:
        key, i = id_text(row.prompt_id) or "", row.rollout or 0
        choices[key] = max(choices.get(key, 0), i + 1)
        score = found.get(key, {}).get(i, _NO)
        if score is _NO and row.completion is not None:
            count = len(found.get(key, {}))
            has = "no score" if not count else f"{count} score{'s' * (count > 1)}"
            raise BonteaError(
                f"{row.place}: {path} has {has} of {key!r}, and this is choice {i + 1}"
            )
        row.scores["score"] = None if score is _NO else score
        yield row
    for key, count in choices.items():
        if len(found.get(key, {})) > count:
            raise BonteaError(
                f"{path} has {len(found[key])} scores of {key!r}, which has {count} "
                f"choice{'s' * (count > 1)}: nothing says which score is of which"
            )


def _index(value: Any, place: str) -> int:
    """The number of a choice, from 0; text in a table without types."""
    text = value.strip() if isinstance(value, Text) else ""
    found = int(text) if text.isdecimal() else value
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise BonteaError(
            f"{place}: index {str(value)[:60]!r} must be the number of a choice, from 0"
        )
    return found


_NO: Any = object()
