"""What a person sees while a job runs, on stderr: bars on a terminal, lines in a log.

Also the first Ctrl-C: it asks the job to stop at the next safe point instead of breaking a step.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Stopped(Exception):
    """The job was asked to stop and has saved what it had."""


class JobProgress:
    """Phases of a job, one bar each, and the stop request."""

    def __init__(self, *, quiet: bool = False):
        from rich.console import Console

        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self.stop_requested = False
        self._bar: Any = None
        self._task: Any = None
        self._title, self._done, self._total = "", 0, 0
        self._started = self._last_line = 0.0

    @contextmanager
    def phase(self, title: str, total: int, done: int = 0) -> Iterator[None]:
        """Show one bar for `total` units of work, `done` of which an earlier run did.

        Raises Stopped if that was asked before.
        """
        from rich import progress as rich_progress

        self.check()
        self._title, self._done, self._total = title, done, total
        self._started = self._last_line = time.monotonic()
        if not self.console.is_terminal:
            yield
            self._line()
            return
        columns = (
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TimeElapsedColumn(),
            rich_progress.TextColumn("left"),
            rich_progress.TimeRemainingColumn(),
            rich_progress.TextColumn("{task.fields[note]}"),
        )
        with rich_progress.Progress(*columns, console=self.console) as self._bar:
            self._task = self._bar.add_task(title, total=total, completed=done, note="")
            try:
                yield
            finally:
                self._task = None

    def advance(self, count: int = 1, note: str = "", *, at: int | None = None) -> None:
        """Count work done (`at`: the count so far instead); raises Stopped between two pieces."""
        self._done = self._done + count if at is None else at
        if self._task is not None:
            self._bar.update(self._task, completed=self._done, note=note)
        elif time.monotonic() - self._last_line > 15 and self._done < self._total:
            self._line(note)
        if at is None:  # a trainer saves before it stops, and asks for itself
            self.check()

    def check(self) -> None:
        if self.stop_requested:
            raise Stopped

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    def _line(self, note: str = "") -> None:
        self._last_line = time.monotonic()
        seconds = self._last_line - self._started
        self.say(f"{self._title}: {self._done}/{self._total} in {seconds:.0f} s  {note}".rstrip())

    @contextmanager
    def catch_interrupt(self) -> Iterator[None]:
        """First Ctrl-C or SIGTERM: stop at the next safe point. Second: at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handler(number: int, _: FrameType | None) -> None:
            if self.stop_requested:
                raise KeyboardInterrupt
            self.stop_requested = True
            print(
                "\nstopping at the end of this step; once more to stop at once",
                file=sys.stderr,
            )

        before = {s: signal.signal(s, handler) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)
