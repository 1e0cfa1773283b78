"""The rows of another tool's file as the batches that `bontea.rollouts.read` groups by prompt."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bontea._errors import BonteaError
from bontea._numbers import typed
from bontea.rollouts._batch import FIELDS, Batch
from bontea.rollouts._jsonl import _rollout, _text
from bontea.rollouts.formats import FORMATS, _folder, lm_eval, nemo_rl, openai_batch
from bontea.rollouts.formats._reading import Reading
from bontea.rollouts.formats._records import records
from bontea.rollouts.formats._row import (
    ODD,
    Format,
    Placed,
    Row,
    number,
    pick,
    recognises,
)
from bontea.rollouts.formats._score import Scorer, join_scores
from bontea.rollouts.formats.table import Table

if TYPE_CHECKING:
    import polars as pl

FIRST_RECORDS, FIRST_ROWS = 20, 200
"""How many are looked at to find out what a file is and which scores it has."""
CHUNK = 2000
"""Rows of a batch."""


class Reader:
    """A file, or a folder, of another tool, and how it is read.

    Raises BonteaError where nothing is known of the file, naming its fields and the options that
    would open it, and where the user must choose: a score, a step.
    """

    def __init__(self, path: Path, reading: Reading):
        self.path, self.reading = path, reading
        self.files, self.which = _folder.files(path, reading.step)
        self.format = self._recognise()
        self._ours = isinstance(self.format, Table)
        first = list(islice(self._all_rows(), FIRST_ROWS))
        self.names = list(dict.fromkeys(name for row in first for name in row.scores))
        self.weights = self._choose(first)
        self.scores: dict[str, array[float]] = {}
        """What is read so far of each score, one number a row."""

    @property
    def said(self) -> str:
        """What was read and how, in one line."""
        names = list(self.weights)
        how = " + ".join(
            name if len(names) == 1 and weight == 1 else f"{typed(weight)} x {name}"
            for name, weight in self.weights.items()
        )
        if self.reading.function is not None:
            how = f"what {self.reading.function} gives"
        others = [name for name in self.names if name not in self.weights]
        listed = ", ".join(others[:8]) + ", ..." * (len(others) > 8)
        groups = self.format.GROUPS
        if self.reading.group_size is not None:
            groups = f"{self.reading.group_size} rows after each other are one prompt"
        elif self.reading.prompt_id is not None or self.reading.prompt is not None:
            by = self.reading.prompt_id or self.reading.prompt
            groups = f"rows with the same {by} are one prompt"
        return (
            f"{self.path}: read as {self.format.NAME}"
            + (f" ({self.which})" if self.which else "")
            + f": reward = {how}"
            + (f"; {groups}" if groups else "")
            + (f"; other scores: {listed} (--reward-column)" if others else "")
        )

    def batches(self, fields: Sequence[str] = FIELDS) -> Iterator[Batch]:
        """The rows, and into `scores` what else they hold."""
        scored = "reward" in fields
        score = Scorer(self.reading.function) if scored and self.reading.function else None
        done = 0
        rows, told = self._rows(), _TextsOnce()
        while chunk := list(islice(rows, CHUNK)):
            rewards = None
            if scored:
                rewards = score(chunk) if score else [self._reward(row) for row in chunk]
                self._keep_scores(chunk, done)
                if score is not None:
                    kept = self.scores.setdefault("reward", array("d", [math.nan] * done))
                    kept[done:] = array("d", rewards)
            done += len(chunk)
            if not self._ours:
                told(chunk)
            yield _batch(chunk, rewards, fields)
        if scored:
            self._check_choice()

    def place(self, row: int) -> str:
        """Where a user finds a row."""
        return next(islice(self._rows(), row, None)).place.removeprefix(f"{self.path}, ")

    def completions(self, rows: Sequence[int]) -> dict[int, str | None]:
        """The completions of those rows that the file has."""
        wanted, last = set(rows), max(rows, default=-1)
        found: dict[int, str | None] = {}
        for i, row in enumerate(islice(self._rows(), last + 1)):
            if i in wanted:
                found[i] = None if row.completion is None else _text(row.completion)
        return found

    def _recognise(self) -> Format:
        fields: dict[str, None] = {}
        table = Table(self.reading)
        for place, record in islice(self._records(), FIRST_RECORDS):
            for known in FORMATS:
                if recognises(known, record):
                    return known
            if table.detect(record):
                return table
            fields |= dict.fromkeys(record)
            where = place
        if not fields:
            raise BonteaError(f"{self.path} holds no rollouts")
        listed = ", ".join([*fields][:20]) + ", ..." * (len(fields) > 20)
        missing = [name for name in self.reading.rewards if not _leads(record, name)]
        if missing:
            raise BonteaError(f"{where}: there is no {missing[0]!r} in it; its fields are {listed}")
        raise BonteaError(
            f"{self.path} is no file of rollouts, nor of a tool that is known here; its fields are "
            f"{listed}. Name those to read: --reward-column NAME and --id-column NAME (or "
            "--prompt-column NAME); --completion-column NAME is the response. A dotted path, such "
            "as metrics.reward, reaches inside"
        )

    def _records(self) -> Iterator[Placed]:
        return chain.from_iterable(records(file) for file in self.files)

    def _format_rows(self) -> Iterator[Row]:
        """What the reader of the format gives; a record that it cannot take is named."""
        at = [str(self.path)]

        def noted() -> Iterator[Placed]:
            for place, record in self._records():
                at[0] = place
                yield place, record

        try:
            yield from self.format.rows(noted())
        except BonteaError:
            raise
        except ODD as error:
            raise BonteaError(
                f"{at[0]} is not as in {self.format.NAME} ({type(error).__name__}: "
                f"{str(error)[:100]})"
            ) from error

    def _all_rows(self) -> Iterator[Row]:
        """All rollouts, by the options of the user; nothing is left out for its step."""
        reading = self.reading
        rows = self._format_rows()
        if reading.scores is not None:
            rows = join_scores(rows, Path(reading.scores))
        by_user = reading.prompt_id is not None or reading.prompt is not None
        for row in rows:
            if by_user:
                row.prompt_id = None if reading.prompt_id is None else _at(row, reading.prompt_id)
                row.prompt = None if reading.prompt is None else _at(row, reading.prompt)
                row.rollout = None
            if reading.completion is not None and not (self._ours and row.index is not None):
                row.completion = _at(row, reading.completion)
            yield row

    def _rows(self) -> Iterator[Row]:
        """The rollouts of one step."""
        # Of a folder, the step has chosen the file.
        step = None if self.path.is_dir() else self.reading.step
        only, count = step, 0
        size = self.reading.group_size
        for row in self._all_rows():
            row.step = _step(row)
            if row.step is None:
                if step is not None:
                    raise BonteaError(
                        f"{row.place}: --step {step} is asked for, but it has no step"
                    )
            else:
                only = row.step if only is None else only
                if row.step != only:
                    if step is not None:
                        continue
                    raise BonteaError(
                        f"{row.place} is of step {row.step}, and rows before it of step {only}: "
                        "each step is another policy, so choose one with --step N"
                    )
            if size is not None:  # counted in the rows of this step
                row.prompt_id, row.prompt, row.rollout = count // size, None, None
            if row.prompt_id != row.prompt_id:  # NaN, which pandas writes for nothing
                row.prompt_id = None
            if row.prompt != row.prompt:
                row.prompt = None
            if row.prompt_id is None and row.prompt is None:
                what = "it has no id and no text of a prompt: name one with --id-column or "
                what += "--prompt-column"
                if self.format is nemo_rl:
                    what = nemo_rl.NO_PROMPT
                raise BonteaError(f"{row.place}: {what}")
            try:
                row.rollout = _rollout(row.rollout)
            except BonteaError as error:
                raise BonteaError(f"{row.place}: {error}") from None
            count += 1
            yield row
        if count == 0 and step is not None:
            raise BonteaError(f"{self.path} holds no rollouts of step {step}")
        if size is not None and count % size:
            raise BonteaError(
                f"{self.path} has {count:,} rows, which is not a multiple of --group-size {size}: "
                "the last group would be incomplete"
            )

    def _choose(self, first: list[Row]) -> dict[str, float]:
        """The scores that make up the reward, with their weights."""
        reading = self.reading
        if reading.function is not None:
            return {}
        if reading.reward is not None:
            for name in reading.rewards:
                if name not in self.names and not any(_leads(row.record, name) for row in first):
                    raise BonteaError(f"{self.path} has no score {name!r}, but {self._listed()}")
            return reading.weights
        chosen = self.format.REWARD
        if chosen is not None and (chosen in self.names or not self.names):
            return {chosen: 1.0}
        if len(self.names) == 1:
            return {self.names[0]: 1.0}
        if not self.names:
            what = "no score was found in its first rows: score it with --reward MODULE:FUNCTION"
            if self.format is openai_batch:
                what = openai_batch.NO_SCORES
            elif self.format is lm_eval:
                what = lm_eval.REPEATS
            raise BonteaError(f"{self.path} is {self.format.NAME}: {what}")
        raise self._several()

    def _several(self) -> BonteaError:
        return BonteaError(
            f"{self.path} is {self.format.NAME} with {self._listed()}: say which is the reward, "
            f"--reward-column {self.names[0]}, or give weights for a sum, --reward-column "
            f"{self.names[0]}=1 --reward-column {self.names[1]}=0.5"
        )

    def _check_choice(self) -> None:
        """The only score of the first rows must be the only one of all."""
        chosen = self.reading.rewards or self.reading.function or self.format.REWARD
        found = {name: None for name in self.scores if name not in self.reading.also}
        if chosen or {*found} <= {*self.names}:
            return
        self.names = list(dict.fromkeys([*self.names, *found]))
        raise self._several()

    def _listed(self) -> str:
        names = self.names
        listed = ", ".join(names[:20]) + ", ..." * (len(names) > 20)
        return f"{len(names)} score{'s' * (len(names) != 1)}" + (f" ({listed})" if names else "")

    def _reward(self, row: Row) -> float:
        """The reward of a row: the weighted sum of its scores that are there."""
        values = []
        for name, weight in self.weights.items():
            if name in row.scores:
                value = row.scores[name]
            elif name in self.names and name not in row.record and not self._ours:
                value = None  # this rollout was not given that score
            else:
                value = _at(row, name)
            found = number(value, row.place, name)
            if found == found and weight != 0:
                values.append(weight * found)
        return math.fsum(values) if values else math.nan

    def _keep_scores(self, rows: Sequence[Row], done: int) -> None:
        """Take in what the rows hold beside the reward."""
        for i, row in enumerate(rows, done):
            for name, value in (row.scores | self._also(row)).items():
                kept = self.scores.get(name)
                if kept is None:
                    kept = self.scores[name] = array("d")
                if len(kept) < i:
                    kept.extend([math.nan] * (i - len(kept)))
                kept.append(_or_nan(value))

    def _also(self, row: Row) -> dict[str, float]:
        """The scores of a row that were asked for, which are numbers, null or not there."""
        found = {}
        for name in self.reading.also:
            if name in row.scores:
                found[name] = number(row.scores[name], row.place, name)
            elif _leads(row.record, name):
                found[name] = number(_at(row, name), row.place, name)
        return found

    def kept(self, rows: np.ndarray) -> Mapping[str, np.ndarray]:
        """The scores of those rows, by name."""
        out = {}
        for name, kept in self.scores.items():
            values = np.full(max(len(kept), int(rows.max(initial=-1)) + 1), np.nan)
            values[: len(kept)] = np.array(kept)
            out[name] = values[rows]
        return out


class _TextsOnce:
    """Keeps the text of a prompt in its first row: the tool's own id says what is one prompt."""

    def __init__(self) -> None:
        self.known: set[Any] = set()

    def __call__(self, rows: list[Row]) -> None:
        for row in rows:
            if not isinstance(row.prompt_id, (str, int)):
                continue
            if row.prompt_id in self.known:
                row.prompt = None
            elif row.prompt is not None:
                self.known.add(row.prompt_id)


def _step(row: Row) -> int | None:
    """The training step of a row; a table without types has it as text, pandas as a float."""
    step: Any = row.step
    if step is None or step != step or step == "":
        return None
    try:
        found = int(step)
        if isinstance(step, bool) or (not isinstance(step, str) and found != step):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise BonteaError(f"{row.place}: the step {str(step)[:60]!r} is not an integer") from None
    return found


def _leads(record: Any, name: str) -> bool:
    try:
        pick(record, name)
    except KeyError:
        return False
    return True


def _at(row: Row, name: str) -> Any:
    """What a name leads to in a row; of a list with one item a rollout, that of this rollout."""
    try:
        value = pick(row.record, name)
    except KeyError:
        listed = ", ".join([*row.record][:20])
        raise BonteaError(
            f"{row.place}: there is no {name!r} in it; its fields are {listed}"
        ) from None
    if row.index is not None and isinstance(value, list) and row.index < len(value):
        return value[row.index]
    return value


def _or_nan(value: Any) -> float:
    try:
        return number(value, "", "")
    except BonteaError:
        return math.nan


def _batch(rows: list[Row], rewards: Sequence[float] | None, fields: Sequence[str]) -> Batch:
    import polars as pl

    originals = {name: [getattr(row, name, None) for row in rows] for name in fields}
    columns: dict[str, pl.Series] = {}
    for name, values in originals.items():
        kind: Any = pl.String
        if name == "reward":
            values, kind = [None if r != r else r for r in rewards or []], pl.Float64
        elif name == "rollout":
            kind = pl.Int64
        elif name == "completion":
            values, kind = [None if v is None else float(len(_text(v))) for v in values], pl.Float64
        else:
            # Half a surrogate pair is no text to Polars.
            values = [
                None if v is None else _text(v).encode("utf-8", "replace").decode() for v in values
            ]
        columns[name] = pl.Series(name, values, kind)
    return Batch(pl.DataFrame(columns), lambda row, field: originals[field][row])
