"""The log of responses: a rollout file that `curve`, `diagnose`, `plan` and `train` read.

Rows are written by a thread, whatever waits in one piece, and an answer is sent after its rows are
with the operating system: a process that is killed has lost nothing that it answered with. Once a
second they are seen onto the disk. When the file has its size it is renamed, LOG.0001.jsonl and so
on, and a new one is begun; a rename keeps every row.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import re
import threading
import time
from contextlib import ExitStack, suppress
from io import FileIO
from pathlib import Path
from typing import Any

from bontea._errors import BonteaError
from bontea.rollouts.table import is_at, locked

SYNC = 1.0
"""Seconds between two syncs to the disk."""
MOST_WAITING = 64 * 2**20
"""Bytes that are kept while the disk takes none."""
_END = None
"""In the queue of pairs (rows, who waits for them): nothing comes any more."""
FIRST = b'{"prompt_id": '
"""How every row begins."""


class Log:
    """An open log; a context that holds the file, for this process alone."""

    def __init__(self, path: Path, largest: float):
        """`largest`: bytes after which a new file is begun."""
        self.path, self.largest = path, largest
        self.rows = 0
        self.lost = 0
        """Rows that could not be written, and were given up."""
        self.error: str | None = None
        """Why rows could not be written the last time, such as a full disk."""
        self._waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._stack = ExitStack()
        self._file: FileIO
        self._synced = time.monotonic()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Log:
        if self.path.is_dir():
            raise IsADirectoryError(f"--log {self.path} is a folder: name a file in it")
        if self.path.exists() and not self.path.is_file():
            raise BonteaError(f"--log {self.path} is a pipe or a device: name a file")
        try:
            self._stack.enter_context(locked(self.path, "--log"))
            _drop_cut_off_line(self.path)
            self._file = self._open()
        except OSError as error:
            self._stack.close()
            if error.errno is None:  # it says what to do
                raise
            raise OSError(
                f"--log {self.path} cannot be opened ({error.strerror}): choose another name"
            ) from None
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._waiting.put(_END)
        self._thread.join()
        with suppress(OSError):
            self._file.close()
        self._stack.close()

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Write rows, soon."""
        data = b"".join(
            json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n" for row in rows
        )
        self._waiting.put((data, None))

    async def written(self) -> None:
        """Wait until what was added so far is with the operating system."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._waiting.put((b"", (loop, done)))
        await done

    def _work(self) -> None:
        left, ended = b"", False
        while not (ended and (not left or self.error)):
            taken = self._take()
            batch = [one for one in taken if one is not _END]
            left += b"".join(data for data, _ in batch)
            ended = ended or len(batch) < len(taken)
            try:
                left = self._put(left)
                self._sync(now=ended)
                self.error = None
            except Exception as error:  # what could not be written is tried again
                why = getattr(error, "strerror", None) or error
                self.error = f"the log {self.path} cannot be written: {why}"
                if len(left) > MOST_WAITING:
                    self.lost += left.count(b"\n")
                    left = b""
            for _, waiter in batch:
                if waiter is not None:
                    loop, done = waiter
                    with suppress(RuntimeError):
                        loop.call_soon_threadsafe(_settle, done)
        self.lost += left.count(b"\n")

    def _take(self) -> list[Any]:
        try:
            batch = [self._waiting.get(timeout=SYNC)]
        except queue.Empty:
            return []
        while not self._waiting.empty():
            batch.append(self._waiting.get())
        return batch

    def _put(self, data: bytes) -> bytes:
        """Write whole; what could not be written is taken back, so that no line is cut."""
        good = self._file.tell()
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError:
            self._file.truncate(good)
            self._file.seek(good)
            raise
        self.rows += data.count(b"\n")
        return b""

    def _sync(self, *, now: bool) -> None:
        if now or time.monotonic() - self._synced > SYNC:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()
            if not is_at(self._file, self.path):
                self._begin_anew()  # somebody has moved it, or removed it
            elif self._file.tell() >= self.largest:
                os.replace(self.path, next_name(self.path))
                self._begin_anew()

    def _begin_anew(self) -> None:
        """Go on in a new file; the old one stays open until there is one."""
        old, self._file = self._file, self._open()
        old.close()

    def _open(self) -> FileIO:
        return FileIO(self.path, "a")


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def next_name(path: Path) -> Path:
    """The next free name for a full file: LOG.0001.jsonl, LOG.0002.jsonl, ..."""
    pattern = re.compile(re.escape(path.stem) + r"\.(\d+)" + re.escape(path.suffix))
    found = [pattern.fullmatch(other.name) for other in path.parent.iterdir()]
    last = max((int(match[1]) for match in found if match), default=0)
    return path.with_name(f"{path.stem}.{last + 1:04d}{path.suffix}")


def _drop_cut_off_line(path: Path) -> None:
    """A process that was killed may have left half a line at the end.

    Raises BonteaError for a file that is no rollout file, which is not to be touched.
    """
    path.touch()
    with path.open("rb+") as file:
        end = size = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(end - 2**16, 0)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        file.seek(0)
        if size and not file.read(2**16).startswith(FIRST):
            raise BonteaError(
                f"--log {path} is not a log of bontea serve, and nothing was written to it: choose "
                "another name"
            )
        file.truncate(end)
