"""Completions that are not scored yet: on disk from the moment they are there.

A completion costs time or money, and a reward may take minutes, fail or hang. So everything that is
drawn goes into `FILE.drawn.jsonl` first, and from there into the rollout file. What a killed run
leaves in it is scored first by the next one, and is not drawn again.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from bontea._errors import BonteaError
from bontea.rollouts.answer import is_answer
from bontea.rollouts.table import RolloutFile, write_text

SPARE = 1000
"""The file may hold so many lines of completions that have their rows already, before it is
written anew without them."""


class Drawn(NamedTuple):
    """A completion that is not scored yet."""

    prompt_id: int
    rollout: int
    text: str
    finish_reason: str | None = None
    """Why it ends: "stop", "length" (it was cut off), ...; None where nobody says."""
    reasoning_only: bool = False
    """The model thought, and no text came after it."""

    @property
    def is_answer(self) -> bool:
        """Whether there is anything to score."""
        return is_answer(self.text, self.finish_reason, self.reasoning_only)


class DrawnFile:
    """The file beside a rollout file, and what of it is waiting. Two threads may use it at once."""

    def __init__(self, rollouts: RolloutFile):
        self.path = drawn_path(rollouts.path)
        self.rollouts = rollouts
        self.waiting: dict[tuple[int, int], Drawn] = {}
        self._lines = 0
        self._lock = threading.Lock()
        if self.path.exists():
            self._read()

    def has(self, prompt_id: int, rollout: int) -> bool:
        """Whether this rollout need not be drawn any more."""
        key = (prompt_id, rollout)
        return key in self.rollouts.rewards or key in self.waiting

    def add(self, drawn: Iterable[Drawn]) -> list[Drawn]:
        """See those that are new onto the disk, and return them."""
        with self._lock:
            new = [one for one in drawn if not self.has(*one[:2])]
            if new:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a", encoding="utf-8") as file:
                    file.write("".join(map(_line, new)))
                    file.flush()
                    os.fsync(file.fileno())
                self._lines += len(new)
                self.waiting |= {one[:2]: one for one in new}
            return new

    def settle(self, drawn: Iterable[Drawn]) -> None:
        """Forget those that have their rows; the last one takes the file with it."""
        with self._lock:
            for one in drawn:
                self.waiting.pop(one[:2], None)
            if not self.waiting:
                self.path.unlink(missing_ok=True)
                self._lines = 0
            elif self._lines > SPARE + 4 * len(self.waiting):
                write_text(self.path, "".join(map(_line, self.waiting.values())))
                self._lines = len(self.waiting)

    def _read(self) -> None:
        with self.path.open("rb+") as file:
            good = 0
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break  # the last line, cut off when the run was killed
                try:
                    values: dict[str, Any] = json.loads(line)
                    one = Drawn(**{name: values[name] for name in Drawn._fields if name in values})
                except (ValueError, TypeError) as error:
                    raise BonteaError(
                        f"{self.path}, line {number}: {error}; this is not a completion that was "
                        "written here: remove the line to go on"
                    ) from None
                if one[:2] not in self.rollouts.rewards:
                    self.waiting[one[:2]] = one
                good += len(line)
                self._lines = number
            file.truncate(good)
        self.settle([])


def drawn_path(rollouts: Path) -> Path:
    """Where the completions of a rollout file wait. Of one that becomes Parquet at the end (its
    rows are gathered in OUTPUT.parquet.jsonl) it is named after the output."""
    name = rollouts.name
    if name.endswith(".parquet.jsonl"):
        name = name.removesuffix(".jsonl")
    return rollouts.with_name(name + ".drawn.jsonl")


def _line(one: Drawn) -> str:
    return json.dumps(one._asdict(), ensure_ascii=False) + "\n"
