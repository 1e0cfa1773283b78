"""The rollout file: JSON lines, one row a rollout, appended as they are drawn.

    {"prompt_id": 3, "rollout": 17, "reward": 0.82, "prompt": "...", "completion": "..."}

`reward` is null for a completion that could not be scored; `error` says why, where the reward
raised an error. A killed run leaves at most one broken
line at the end, which is dropped when the file is opened again. One process writes it at a time
(`locked`); `write_parquet` turns a finished one into Parquet.
"""

from __future__ import annotations

import glob
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from bontea._errors import BonteaError
from bontea._ids import id_text
from bontea._json import is_cut_off, strict_loads
from bontea.rollouts._batch import FIELDS
from bontea.rollouts._jsonl import read_row


class RolloutFile:
    """An append-only rollout file and the index of what it holds."""

    def __init__(self, path: Path):
        self.path = path
        self.rewards: dict[tuple[int, int], float] = {}
        self.completions: dict[int, set[int]] = {}
        """The hashes of the completions of each prompt: texts would fill the memory."""
        self.failed: set[tuple[int, int]] = set()
        """Those whose reward raised an error."""
        self.ends: Counter[str | None] = Counter()
        """How many completions end for each reason; None where their rows say nothing."""
        self.empty: Counter[str | None] = Counter()
        """The same, of those without text; "reasoning" where thinking is all there was."""
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
        reason = row.get("finish_reason")
        self.ends[reason] += 1
        if not str(row.get("completion") or "").strip():
            thought = row.get("reasoning_only") and reason != "length"
            self.empty["reasoning" if thought else reason] += 1

    def _read(self) -> None:
        with self.path.open("rb+") as file:
            good = 0
            for number, line in enumerate(file, start=1):
                ended = line.endswith(b"\n")
                if not ended and is_cut_off(line):
                    break  # the last line, cut off when the run was killed
                if line.strip():
                    self._index(_row(line, f"{self.path}, line {number}"))
                good += len(line)
                if not ended:  # an editor has taken the last line end away
                    file.write(b"\n")
                    return
            file.truncate(good)


def _row(line: bytes, where: str) -> dict[str, Any]:
    """A row as it was written here; what `read_rollouts` refuses is refused here, too."""
    row = read_row(strict_loads(line, where, FIELDS), where)
    for name in ("prompt_id", "rollout"):
        value = id_text(row.get(name))
        if value is None or not value.removeprefix("-").isdecimal():
            problem = f"no field {name!r}" if value is None else f"{name} {value!r} is no number"
            raise BonteaError(
                f"{where}: {problem}; this is not a row that was written here: remove the line to "
                "go on"
            )
        row[name] = int(value)
    return row


@contextmanager
def locked(path: Path, option: str = "--output") -> Iterator[None]:
    """Keep every other process from writing `path` meanwhile, by a lock on `path.lock`.

    The system gives the lock back when a process dies, however it dies. Raises OSError naming the
    process that has it. `option` is the one that names the file.
    """
    lock = path.with_name(path.name + ".lock")
    while True:
        try:
            file = lock.open("a+")
            if path.exists():
                path.open("ab").close()
        except OSError as error:
            raise OSError(
                f"{path} cannot be written ({error.strerror}): choose another {option}"
            ) from None
        if not _take(file):
            file.seek(0)
            process = file.read().strip() or "unknown"
            file.close()
            raise OSError(
                f"{path} is being written by another process ({process}): wait until it ends, or "
                f"choose another {option}"
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
    """The rows of a rollout file as Parquet, by prompt and rollout; whole or not at all.

    Chats whose turns have more than a role and a text are written as JSON text: a column of one
    type would change their values, and fill each turn with the fields of the others. Polars takes
    some names for patterns or URLs: it gets absolute paths, with signs that mean themselves.
    """
    import polars as pl

    temporary = target.with_name(target.name + ".tmp")
    # The first rows may all be unscorable: types are found in all of them.
    types: dict[str, Any] = {"reward": pl.Float64}
    if not _has_plain_prompts(source):
        types["prompt"] = pl.String
    path = glob.escape(str(source.absolute()))
    rows = pl.scan_ndjson(path, infer_schema_length=None, schema_overrides=types)
    rows.sort("prompt_id", "rollout").sink_parquet(temporary.absolute())
    _replace(temporary, target)


def _has_plain_prompts(source: Path) -> bool:
    """Whether every prompt is a text, or a chat whose turns have a role and a text."""
    seen: set[Any] = set()
    with source.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            prompt = row.get("prompt")
            if row["prompt_id"] in seen or not isinstance(prompt, list):
                continue
            seen.add(row["prompt_id"])
            for turn in prompt:
                if turn.keys() != {"role", "content"} or not isinstance(turn["content"], str):
                    return False
    return True


def read_parquet(source: Path, target: Path) -> None:
    """The way back: the rows of a Parquet file as a rollout file that can be appended to."""
    import polars as pl

    temporary = target.with_name(target.name + ".tmp")
    pl.scan_parquet(source.absolute(), glob=False).sink_ndjson(temporary.absolute())
    _replace(temporary, target)


def _replace(temporary: Path, path: Path) -> None:
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
