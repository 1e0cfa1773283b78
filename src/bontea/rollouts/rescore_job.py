"""The work of `rescore`: which rows of a file lack a reward, what they get, and the new file."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from bontea._errors import BonteaError
from bontea._ids import id_text
from bontea._progress import JobProgress
from bontea._settings import flag
from bontea.rollouts._ends import end_named
from bontea.rollouts.answer import is_answer
from bontea.rollouts.calls import Inbox
from bontea.rollouts.judge import Judge, Scored, Task
from bontea.rollouts.prompts import Row, load_prompts
from bontea.rollouts.rows import Line, append_lines, read_lines, read_rows, write_rows
from bontea.rollouts.sampling import load_calls
from bontea.rollouts.scoring import Troubles, as_completion
from bontea.rollouts.settings import Record, SampleSettings, settings_path
from bontea.rollouts.table import write_text

OWN = (
    "prompt_id",
    "rollout",
    "reward",
    "prompt",
    "completion",
    "model",
    "finish_reason",
    "reasoning_only",
    "error",
)
"""Fields of a row that are no columns of its prompt."""
AHEAD = 4
"""So many batches are read before they are scored."""


class RescoreJob:
    """One call of `rescore`."""

    def __init__(
        self,
        path: Path,
        reward: str | None,
        column: str | None,
        settings: SampleSettings,
        progress: JobProgress,
    ):
        self.path, self.progress, self.begun = path, progress, False
        rows = path.with_name(path.name + ".jsonl")
        if path.suffix == ".parquet" and rows.exists():
            raise BonteaError(
                f"{path} is being added to ({rows} holds its rows until it is whole): end that "
                f"first, with bontea sample --resume --output {shlex.quote(str(path))}"
            )
        beside = settings_path(path)
        own = Record.load(beside).settings if beside.exists() else None
        if own is not None and settings.prompts is None:
            names = ("prompts", "prompt_column", "prompts_split")
            settings = replace(settings, **{name: getattr(own, name) for name in names})
        if reward is None:
            reward = own.reward if own else None
        if reward is None:
            raise BonteaError(
                f"{path} does not say which reward it was scored with ({beside} is not there): "
                "name one with --reward"
            )
        if own is not None and reward == own.reward and settings.reward_model is None:
            tokenizer = settings.reward_tokenizer or own.reward_tokenizer
            settings = replace(settings, reward_model=own.reward_model, reward_tokenizer=tokenizer)
        self.settings = replace(settings, reward=reward)
        self.own = _named(own) if own else None
        self.reward = str(_named(self.settings))
        self.scores = _Scores(path)
        self.column = column or self._column()
        _check_name(self.column)
        self.error_field = "error" if self.column == "reward" else f"{self.column}_error"
        self.scores.check(self.column, self.reward, self.own)

    def _column(self) -> str:
        """The column of a reward that was given none."""
        if self.own == self.reward:
            return "reward"
        known = [name for name, spec in self.scores.columns.items() if spec == self.reward]
        if known:
            return known[0]
        names = {name for line in read_rows(self.path) for name in line.row}
        if "reward" not in names:
            return "reward"
        function = re.fullmatch(r"[\w.]+:([\w.]+)", self.reward)
        name = self.settings.reward_model or self.reward
        last = function.group(1) if function else name.rstrip("/").rpartition("/")[2]
        column = re.sub(r"\W+", "_", last).strip("_")
        if column in names:
            raise BonteaError(
                f"{self.path} has a column {column!r} already, and it is not known to hold scores "
                f"of {self.reward}: name the column for them with --reward-name"
            )
        return column

    def run(self) -> dict[str, Any]:
        """Score, and replace the file; what `RescoreResult` holds."""
        calls = load_calls(self.settings)
        prompts = _Prompts(self.settings, self.path, self.progress.say)
        wanted = self._wanted()
        work = _Work(self.path, {"column": self.column, "reward": self.reward})
        troubles = Troubles(lambda text: self.progress.say(f"reward: {text}"))
        judge = Judge(calls.name)

        def done(scored: list[Scored]) -> None:
            work.add(scored)
            troubles.say((self._place(one.key), one.error) for one in scored)
            self.progress.advance(at=len(work.values))

        title = f"scores, {self.column}"
        with self.progress.phase(title, wanted, len(work.values)), closing(calls):
            self.begun = True
            size = self.settings.batch_size or 64
            batch: list[Task] = []
            for line in read_rows(self.path):
                if self._lacks(line.row) and line.number not in work.values:
                    batch.append(self._task(line, prompts))
                if len(batch) == AHEAD * size:
                    self._score(calls, judge, batch, size, done)
                    batch = []
            if batch:
                self._score(calls, judge, batch, size, done)
            judge.finish()
        self.progress.check()
        return self._write(work)

    def _score(self, calls: Any, judge: Judge, batch: list[Task], size: int, done: Any) -> None:
        inbox = Inbox(size)
        inbox.put(batch)
        inbox.close()

        def and_stop(scored: list[Scored]) -> None:
            done(scored)
            if self.progress.stop_requested:
                inbox.stop()

        calls.run(inbox, judge.verdicts, and_stop)
        self.progress.check()

    def _lacks(self, row: Row) -> bool:
        """Whether a row is to get a reward: it has none, and it is an answer that can be scored."""
        text, reason = row.get("completion"), row.get("finish_reason")
        reason = end_named(reason) if isinstance(reason, str) else reason
        return row.get(self.column) is None and (
            not isinstance(text, str) or is_answer(text, reason, row.get("reasoning_only"))
        )

    def _wanted(self) -> int:
        """How many rows lack a reward; BonteaError for one that cannot be scored or is no row."""
        count = 0
        for line in read_rows(self.path):
            value = line.row.get(self.column)
            if self._lacks(line.row):
                count += 1
            elif isinstance(value, str | list | dict):
                raise BonteaError(
                    f"{self._place(line.number)}: {self.column} is {str(value)[:60]!r}, no number: "
                    "choose another name with --reward-name"
                )
        return count

    def _task(self, line: Line, prompts: _Prompts) -> Task:
        row = line.row
        completion = row.get("completion")
        if completion is None:
            raise BonteaError(f"{self._place(line.number)} has no completion to score")
        known = prompts.of(row)
        prompt = row.get("prompt") if row.get("prompt") is not None else known.get("prompt")
        if prompt is None:
            raise BonteaError(
                f"{self._place(line.number)} has no prompt, and none is found by its prompt_id: "
                "name the file it is in with --prompts"
            )
        mine = {*OWN, self.column, self.error_field, *self.scores.columns}
        columns = {name: value for name, value in row.items() if name not in mine}
        columns |= {
            name: value
            for name, value in known.items()
            if name != "prompt" and columns.get(name) is None
        }
        if isinstance(completion, str):
            completion = as_completion(prompt, completion)
        prompt_id = id_text(row["prompt_id"] if row.get("prompt_id") is not None else prompt)
        return Task(line.number, prompt_id, prompt, completion, columns)

    def _write(self, work: _Work) -> dict[str, Any]:
        """Replace the file, unless there is nothing new."""
        if work.values:
            write_rows(self.path, self.column, self.error_field, work.values, work.seal)
        if self.own is None or self.column != "reward":
            self.scores.save(self.column, self.reward)
        work.path.unlink(missing_ok=True)
        count, total, unscorable, failed = 0, 0.0, 0, 0
        for line in read_rows(self.path):
            count += 1
            value = line.row.get(self.column)
            if value is None or value != value:
                unscorable += 1
                failed += line.row.get(self.error_field) is not None
            else:
                total += float(value)
        return {
            "output": str(self.path),
            "column": self.column,
            "reward": self.reward,
            "rollouts": count,
            "scored": sum(value is not None for value, _ in work.values.values()),
            "unscorable": unscorable,
            "failed": failed,
            "mean_reward": total / (count - unscorable) if count > unscorable else None,
        }

    def _place(self, number: int) -> str:
        return f"{self.path}, {'row' if self.path.suffix == '.parquet' else 'line'} {number}"

    def safe(self) -> str:
        work = _Work.path_of(self.path)
        kept = sum("row" in line for line in read_lines(work)) if work.exists() else 0
        if not kept:
            work.unlink(missing_ok=True)
            return f"nothing was scored yet; {self.path} is as it was: give the command again"
        again = ["bontea", "sample", "--rescore", "--output", str(self.path)]
        again += ["--reward", str(self.settings.reward), "--reward-name", self.column]
        for name in ("reward_model", "reward_tokenizer"):
            value = getattr(self.settings, name)
            again += [flag(name), value] if value else []
        return f"{kept:,} scores are safe in {work}; go on with:\n  {shlex.join(again)}"


class _Prompts:
    """Columns of the prompts, for rows that do not have them."""

    def __init__(self, settings: SampleSettings, path: Path, say: Any):
        self.by_id: dict[str | None, Row] = {}
        self.by_text: dict[str | None, Row] = {}
        if settings.prompts is None:
            return
        try:
            rows = load_prompts(
                settings.prompts, column=settings.prompt_column, split=settings.prompts_split
            )
        except FileNotFoundError as error:
            raise BonteaError(
                f"{error}; the columns that the reward gets come from there: name the file with "
                "--prompts"
            ) from None
        for number, row in enumerate(rows):
            key = row.pop("prompt_id", None)
            self.by_id[id_text(number if key is None else key)] = row
            self.by_text[id_text(row["prompt"])] = row

    def of(self, row: Row) -> Row:
        """The prompt of a row with its columns; nothing where it is not known.

        Raises BonteaError when the id and the text name different prompts.
        """
        text = None if row.get("prompt") is None else id_text(row["prompt"])
        if row.get("prompt_id") is not None and self.by_id:
            found = self.by_id.get(id_text(row["prompt_id"]))
            if found is not None and text in (None, id_text(found["prompt"])):
                return found
            if found is not None and text not in self.by_text:
                raise BonteaError(
                    f"prompt {row['prompt_id']!r} is {str(row['prompt'])[:60]!r} in the rollouts "
                    f"and {str(found['prompt'])[:60]!r} in the prompts: give the prompts that the "
                    "rollouts were drawn from"
                )
        return self.by_text.get(text, {}) if text is not None else {}


class _Work:
    """Scores that are not in the file yet: what they are for, and one line each."""

    def __init__(self, path: Path, what: dict[str, Any]):
        self.path = self.path_of(path)
        self.values: dict[int, tuple[float | None, str | None]] = {}
        head = what | {"file": _digest(path)}
        lines = list(read_lines(self.path)) if self.path.exists() else []
        if len(lines) == 1 or (lines and lines[-1].get("became") == head["file"]):
            lines = []  # nothing is lost; or the file was replaced, and then the run was killed
        if not lines:
            write_text(self.path, json.dumps(head) + "\n")
        elif lines[0] != head:
            raise BonteaError(
                f"{self.path} holds scores of {lines[0].get('reward')!r} for the column "
                f"{lines[0].get('column')!r}, or {path} has changed since: go on with that one, or "
                f"remove {self.path}"
            )
        for line in lines[1:]:
            if "row" in line:
                self.values[line["row"]] = line["reward"], line["error"]

    def seal(self, new: Path) -> None:
        """Say what the file becomes, before it does: its scores are no longer needed then."""
        append_lines(self.path, [{"became": _digest(new)}])

    @staticmethod
    def path_of(path: Path) -> Path:
        return path.with_name(path.name + ".rescored.jsonl")

    def add(self, scored: list[Scored]) -> None:
        append_lines(
            self.path,
            [{"row": one.key, "reward": one.reward, "error": one.error} for one in scored],
        )
        self.values |= {one.key: (one.reward, one.error) for one in scored}


class _Scores:
    """`FILE.scores.json`: by which reward each column was scored that is not the first."""

    def __init__(self, path: Path):
        self.path = path.with_name(path.name + ".scores.json")
        self.columns: dict[str, str] = {}
        if self.path.exists():
            try:
                self.columns = dict(json.loads(self.path.read_text(encoding="utf-8")))
            except ValueError as error:
                raise BonteaError(f"{self.path} cannot be read ({error}): remove it") from None

    def check(self, column: str, reward: str, own: str | None) -> None:
        """Refuse to mix the scores of two rewards in one column."""
        before = self.columns.get(column, own if column == "reward" else None)
        if before is not None and before != reward:
            raise BonteaError(
                f"the column {column!r} holds scores of {before}, not of {reward}: choose another "
                "name with --reward-name"
            )

    def save(self, column: str, reward: str) -> None:
        if self.columns.get(column) != reward:
            self.columns[column] = reward
            write_text(self.path, json.dumps(self.columns, indent=2) + "\n")


def _named(settings: SampleSettings) -> str | None:
    """What tells one reward from another: at a URL it may be one of several models."""
    model = settings.reward_model
    return f"{settings.reward} (model {model})" if model else settings.reward


def _check_name(column: str) -> None:
    taken = {*OWN, "stratum"} - {"reward"}
    if not column or column in taken or column.endswith("_error"):
        raise BonteaError(
            f"--reward-name {column!r} is the name of something else in a row: choose another one"
        )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()
