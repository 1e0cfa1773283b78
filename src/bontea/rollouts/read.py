"""Rollout files, JSONL or Parquet, as groups of rewards.

One row is one rollout. Rows of a prompt need not be next to each other, and groups may be of any
size. What stays in memory is a few numbers a rollout and each prompt once; completions are read for
their length, and again, by `read_completions`, for the few that are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bontea._errors import BonteaError
from bontea._ids import id_text
from bontea.rollouts._batch import SCORE, check_path
from bontea.rollouts._ends import end_named
from bontea.rollouts._source import Source, open_source
from bontea.rollouts.chat_text import quoted
from bontea.rollouts.formats import Reading
from bontea.rollouts.groups import Rollouts, as_objects

if TYPE_CHECKING:
    from bontea.rollouts._batch import Batch

UNNUMBERED = np.iinfo(np.int64).max
"""Where a row has no `rollout`: behind those that have one, in the order of the file."""


def read_rollouts(
    path: str | Path,
    *,
    model: str | None = None,
    reward: str | Mapping[str, float] | None = None,
    prompt_id: str | None = None,
    prompt: str | None = None,
    completion: str | None = None,
    also: Sequence[str] = (),
    reading: Reading | None = None,
) -> Rollouts:
    """The rewards in a file of rollouts, grouped by prompt.

    Parameters
    ----------
    path
        JSONL or Parquet. A row has `reward` (a number, true or false; null or NaN: unscorable) and
        `prompt_id` (a number or text) or `prompt` (text or a chat), and may have `completion`,
        `rollout`, `stratum`, `model`, `finish_reason` and `by_rule`; other fields are ignored.
        docs/rollout-files.md has the whole format. Or a file or folder that a tool for evaluation
        or training wrote (docs/other-files.md), or a table with other names, which the next
        arguments give.
    model
        The rows of this model only; needed when the file has several.
    reward, prompt_id, prompt, completion
        The fields with these, where the file does not say it itself. A dotted path reaches into
        nested objects: `"metrics.accuracy"`. Several scores with weights, `{"right": 1, "form":
        0.2}`, are summed.
    also
        Further scores to read, by the names of their fields, such as `["judge"]`: numbers, true or
        false; null, NaN or no such field where a rollout has none. They are in `Rollouts.scores`.
    reading
        The same and more choices as one `Reading`, instead of these arguments.

    Prompts come in the order of their first row, the rollouts of a prompt in the order of
    `rollout`, or else of the file. A last line that a killed run left unfinished is left out.
    `Rollouts.scores` has the scores of `also` by name, and every score of a tool's file;
    `Rollouts.reading` how that was read.

    Raises FileNotFoundError, IsADirectoryError, or ValueError naming the rows and what to change: a
    row that is not one, an infinite reward, a score that no row has, the same rollout twice, a
    prompt with two texts or strata, several models, scores or steps to choose from, no rows at all.
    """
    path = check_path(path)
    if reading is None:
        if isinstance(also, str):
            raise BonteaError(f"also={also!r} must be a list of names, such as [{also!r}]")
        reading = Reading(reward, prompt_id, prompt, completion, also=tuple(also))
    elif (reward, prompt_id, prompt, completion) != (None,) * 4 or also:
        raise BonteaError(
            "reading= is given, so that the names of fields belong into it: "
            "Reading(reward=..., prompt_id=...)"
        )
    source = open_source(path, reading)
    known = _Known(path, source)
    start = 0
    for batch in source.batches():
        known.add(batch, start, model)
        start += batch.frame.height
    found = known.rollouts(model)
    if not source.scores and found.rows is not None:
        found = replace(found, scores=source.kept(found.rows))
    for name in reading.also:
        values = (found.scores or {}).get(name)
        if name != "reward" and (values is None or np.isnan(values).all()):
            raise BonteaError(
                f"{path} has no score {name!r}: no row has a number there; name one of "
                + (", ".join(map(repr, source.there[:20])) or "its fields")
                + ", ..." * (len(source.there) > 20)
            )
    return replace(found, reading=source.reading)


def read_models(path: str | Path, reading: Reading | None = None) -> list[str]:
    """The models in a file of rollouts, in the order of their first rows; none if it names none.

    Rows without a model, in a file where others have one, count as a model named "".
    """
    return _models(open_source(check_path(path), reading))


def _models(source: Source) -> list[str]:
    found: dict[str, None] = {}
    for batch in source.batches(("model",)):
        found |= dict.fromkeys(batch.frame["model"].fill_null("").unique(maintain_order=True))
    return [] if set(found) <= {""} else list(found)


def read_completions(
    path: str | Path, rows: Iterable[int], reading: Reading | None = None
) -> list[str | None]:
    """The completions in some rows of a file (`Rollouts.rows`), None where a row has none.

    `reading` is `Rollouts.reading`, for files that are not our own.

    >>> read_completions(rollouts.source, rollouts.rows[:3], rollouts.reading)  # doctest: +SKIP
    """
    path, wanted = check_path(path), [int(row) for row in rows]
    for row in wanted:
        if row < 0:
            raise BonteaError(f"row {row} must be at least 0: rows are counted from the first")
    found = open_source(path, reading).completions(wanted)
    for row in wanted:
        if row not in found:
            raise BonteaError(
                f"{path} has no row {row} (counted from 0): has it changed since it was read?"
            )
    return [found[row] for row in wanted]


class _Known:
    """What has been read of a file so far: each prompt once, and a few numbers of each rollout."""

    def __init__(self, path: Path, source: Source):
        self.path, self.source = path, source
        self.models: set[str] = set()
        self.prompts: dict[str, int] = {}
        """The number of each prompt, in the order of first rows."""
        self.texts: dict[int, tuple[str, int]] = {}
        """By number: the text of the prompt, and the first row that has it."""
        self.strata: dict[int, tuple[str, int]] = {}
        self.by_rule = 0
        self.finish_reasons = False
        """Whether any row has one."""
        self.seen: dict[tuple[str | None, ...], int] = {}
        """By what a prompt looks like in a batch: its number."""
        names = ["prompt", "rollout", "rewards", "lengths", "rows", "cut_off"]
        names += [SCORE + name for name in source.scores]
        self.columns: dict[str, list[np.ndarray]] = {name: [] for name in names}

    def add(self, batch: Batch, start: int, model: str | None) -> None:
        """Take in a batch whose first row is row `start` of the file."""
        import polars as pl

        frame = batch.frame.with_columns(pl.col("model").fill_null("")).with_row_index("row")
        self.models.update(frame["model"].unique())
        if model is not None:
            frame = frame.filter(pl.col("model") == model)
        elif len(self.models) > 1:
            raise BonteaError(
                f"{self.path} holds rollouts of {self._models()}: read one of them with model=, "
                "on the command line with --model"
            )
        # Drawn because the rewards before them were poor: with them a prompt's best would look
        # better, and its mean worse, than it is.
        fair = pl.col("by_rule").fill_null("").str.to_lowercase() != "true"
        every, frame = len(frame), frame.filter(fair)
        self.by_rule += every - len(frame)
        prompts = (
            frame.with_row_index("at")
            .group_by("prompt_id", "prompt", "stratum", maintain_order=True)
            .agg("at", pl.len().alias("count"), pl.col("row").first())
        )
        numbers = [
            self._number((prompt_id, prompt, stratum), batch, row, start)
            for prompt_id, prompt, stratum, row in prompts.drop("at", "count").iter_rows()
        ]
        prompt = np.empty(len(frame), dtype=np.int32)
        prompt[prompts["at"].explode().to_numpy()] = np.repeat(
            np.array(numbers, dtype=np.int32), prompts["count"].to_numpy()
        )
        nothing = float("nan")
        reason = frame["finish_reason"]
        self.finish_reasons |= reason.null_count() < len(reason)
        cut_off = [word for word in reason.unique() if word and end_named(word) == "length"]
        for name, values in (
            ("prompt", prompt),
            ("rollout", frame["rollout"].fill_null(UNNUMBERED).to_numpy()),
            ("rewards", frame["reward"].fill_null(nothing).to_numpy()),
            ("lengths", frame["completion"].fill_null(nothing).to_numpy()),
            ("rows", frame["row"].to_numpy().astype(np.int64) + start),
            (
                "cut_off",
                reason.is_in(cut_off).fill_null(False).to_numpy(),
            ),
            *(
                (SCORE + name, frame[SCORE + name].fill_null(nothing).to_numpy())
                for name in self.source.scores
            ),
        ):
            self.columns[name].append(values)

    def _number(self, looks: tuple[str | None, ...], batch: Batch, row: int, start: int) -> int:
        """The number of the prompt in a row of a batch; a new one if need be."""
        if looks in self.seen:
            return self.seen[looks]
        prompt_id, prompt, stratum = looks
        text = None if prompt is None else id_text(batch.original(row, "prompt"))
        label = None if stratum is None else id_text(batch.original(row, "stratum"))
        name = text if prompt_id is None else id_text(batch.original(row, "prompt_id"))
        assert name is not None  # rows without both are refused where they are read
        number = self.prompts.setdefault(name, len(self.prompts))
        for known, value, problem in (
            (self.texts, text, "has two texts; give each a prompt_id of its own"),
            (self.strata, label, "has two strata; it can be in one only"),
        ):
            if not value:
                continue
            first, its_row = known.setdefault(number, (value, start + row))
            if first != value:
                raise BonteaError(
                    f"{self.path}, {self._places(its_row, start + row)} ({quoted(first)}, "
                    f"{quoted(value)}): prompt {quoted(name)} {problem}"
                )
        self.seen[looks] = number
        return number

    def rollouts(self, model: str | None) -> Rollouts:
        """All of it, by prompt."""
        if not self.prompts:
            if self.models:
                raise BonteaError(
                    f"{self.path} holds no rollouts of model {model!r}, but of {self._models()}"
                )
            if self.by_rule:
                raise BonteaError(
                    f"{self.path} holds only rollouts that a stopping rule asked for (by_rule), "
                    "which are no fair sample: the first ones of each request are missing"
                )
            raise BonteaError(f"{self.path} holds no rollouts")
        columns = {name: np.concatenate(self.columns.pop(name)) for name in [*self.columns]}
        prompt, rollout = columns.pop("prompt"), columns.pop("rollout")
        same = prompt[1:] == prompt[:-1]
        if not ((prompt[1:] > prompt[:-1]) | (same & (rollout[1:] >= rollout[:-1]))).all():
            order = np.lexsort((rollout, prompt))  # stable: equal ones in the order of the file
            prompt, rollout = prompt[order], rollout[order]
            columns = {name: columns.pop(name)[order] for name in [*columns]}
            same = prompt[1:] == prompt[:-1]
        twice = np.flatnonzero(same & (rollout[1:] == rollout[:-1]) & (rollout[1:] != UNNUMBERED))
        names = as_objects(self.prompts)
        if len(twice):
            i = twice[0]
            raise BonteaError(
                f"{self.path}, {self._places(*columns['rows'][i : i + 2].tolist())}: both are "
                f"rollout {rollout[i]} of prompt {quoted(names[prompt[i]])}; remove one, or the "
                "field rollout from all rows"
            )
        (found,) = self.models if model is None else {model}
        lengths = columns["lengths"]
        return Rollouts(
            rewards=columns["rewards"],
            offsets=np.concatenate([[0], np.cumsum(np.bincount(prompt))]),
            prompts=names,
            texts=self._of_prompts(self.texts),
            strata=self._of_prompts(self.strata),
            lengths=None if np.isnan(lengths).all() else lengths,
            rows=columns["rows"],
            cut_off=columns["cut_off"] if self.finish_reasons else None,
            model=found or None,
            source=str(self.path),
            scores={name: columns[SCORE + name] for name in self.source.scores} or None,
            by_rule=self.by_rule,
        )

    def _of_prompts(self, known: dict[int, tuple[str, int]]) -> np.ndarray | None:
        if not known:
            return None
        return as_objects(known.get(number, ("", 0))[0] for number in range(len(self.prompts)))

    def _places(self, a: int, b: int) -> str:
        """Two rows as a user finds them: "lines 3 and 17"."""
        return self.source.places(a, b)

    def _models(self) -> str:
        """The models of the file, in a sentence."""
        names = _models(self.source)
        if not names:
            return "a model without a name (leave model out)"
        listed = ", ".join(map(repr, names[:5])) + ", ..." * (len(names) > 5)
        return f"{len(names)} model{'s' * (len(names) > 1)} ({listed})"
