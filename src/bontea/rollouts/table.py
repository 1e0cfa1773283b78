"""The rollout file: JSON lines, one row a rollout, appended as they are drawn.

    {"prompt_id": 3, "rollout": 17, "reward": 0.82, "prompt": "...", "completion": "..."}

`reward` is null for a completion that could not be scored; `error` says why, where the reward
raised an error. A killed run leaves at most one broken
line at the end, which is dropped when the file is opened again. One process writes it at a time
(`locked`); `write_parquet` turns a finished one into Parquet.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from bontea._errors import BonteaError


class RolloutFile:
    """An append-only rollout file and the index of what it holds."""

    def __init__(self, path: Path):
        self.path = path
        self.rewards: dict[tuple[int, int], float] = {}
        self.completions: dict[int, set[int]] = {}
        """The hashes of the completions of each prompt: texts would fill the memory."""
        self.failed: set[tuple[int, int]] = set()
        """Those whose reward raised an error."""
        if path.exists():
            self._read()

    def __len__(self) -> int:
        return len(self.rewards)

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write rows that are not there yet, and see them onto the disk."""
        new = [row for row in rows if (row["prompt_id"], row["rollout"]) not in self.rewards]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in new)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        for row in new:
            self._index(row)

    def table(self, p: int, m: int) -> np.ndarray:
        """The rewards of `p` prompts as `(P, M)`, NaN where missing or unscorable."""
        out = np.full((p, m), np.nan)
        for (i, j), reward in self.rewards.items():
            if i < p and j < m:
                out[i, j] = reward
        return out

    def distinct(self) -> float:
        """Share of different completions among the rollouts of a prompt, mean over prompts."""
        counts: dict[int, int] = {}
        for i, _ in self.rewards:
            counts[i] = counts.get(i, 0) + 1
        shares = [len(self.completions[i]) / n for i, n in counts.items()]
        return float(np.mean(shares)) if shares else 0.0

    def texts(self, m: int) -> dict[int, list[str]]:
        """Completions by prompt, those of the first `m` rollouts in their order."""
        found: dict[int, dict[int, str]] = {}
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                if row["rollout"] < m:
                    found.setdefault(row["prompt_id"], {})[row["rollout"]] = row["completion"]
        return {i: [own[j] for j in sorted(own)] for i, own in found.items()}

    def _index(self, row: dict[str, Any]) -> None:
        reward = row["reward"]
        key = row["prompt_id"], row["rollout"]
        self.rewards[key] = np.nan if reward is None else reward
        if reward is None and row.get("error") is not None:
            self.failed.add(key)
        self.completions.setdefault(row["prompt_id"], set()).add(hash(str(row.get("completion"))))

    def _read(self) -> None:
        with self.path.open("rb+") as file:
            good = 0
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break  # the last line, cut off when the run was killed
                try:
                    self._index(json.loads(line))
                except (ValueError, KeyError, TypeError) as error:
                    problem = f"no field {error}" if isinstance(error, KeyError) else str(error)
                    raise BonteaError(
                        f"{self.path}, line {number}: {problem}; this is not a row that was "
                        "written here: remove the line to go on"
                    ) from None
                good += len(line)
            file.truncate(good)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep every other process from writing `path` meanwhile, by a lock on `path.lock`.

    The system gives the lock back when a process dies, however it dies. Raises OSError naming the
    process that has it.
    """
    lock = path.with_name(path.name + ".lock")
    while True:
        try:
            file = lock.open("a+")
            if path.exists():
                path.open("ab").close()
        except OSError as error:
            raise OSError(
                f"{path} cannot be written ({error.strerror}): choose another --output"
            ) from None
        if not _take(file):
            file.seek(0)
            process = file.read().strip() or "unknown"
            file.close()
            raise OSError(
                f"{path} is being written by another process ({process}): wait until it ends, or "
                "choose another --output"
            )
        if _is_at(file, lock):
            break
        file.close()  # its last holder removed it after we opened it
    try:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
    finally:
        with suppress(OSError):  # Windows keeps an open file; the next process takes it over
            lock.unlink()
        file.close()


def _take(file: IO[str]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(1 << 30)  # a locked byte cannot be read, and the process id is to be read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        pass  # a file system without locks: better unguarded than not at all
    return True


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def write_text(path: Path, text: str) -> None:
    """Write a small file whole: a killed process leaves the old one or the new one."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    _replace(temporary, path)


def write_parquet(source: Path, target: Path) -> None:
    """The rows of a rollout file as Parquet, by prompt and rollout; whole or not at all."""
    import polars as pl

    temporary = target.with_name(target.name + ".tmp")
    # The first rows may all be unscorable: types are found in all of them.
    rows = pl.scan_ndjson(source, infer_schema_length=None, schema_overrides={"reward": pl.Float64})
    rows.sort("prompt_id", "rollout").sink_parquet(temporary)
    _replace(temporary, target)


def read_parquet(source: Path, target: Path) -> None:
    """The way back: the rows of a Parquet file as a rollout file that can be appended to."""
    import polars as pl

    temporary = target.with_name(target.name + ".tmp")
    pl.scan_parquet(source).sink_ndjson(temporary)
    _replace(temporary, target)


def _replace(temporary: Path, path: Path) -> None:
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
