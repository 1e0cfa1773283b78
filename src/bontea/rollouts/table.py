"""The rollout file: JSON lines, one row a rollout, appended as they are drawn.

    {"prompt_id": 3, "rollout": 17, "reward": 0.82, "prompt": "...", "completion": "..."}

`reward` is null for a completion that could not be scored. A killed run leaves at most one broken
line at the end, which is dropped when the file is opened again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np


class RolloutFile:
    """An append-only rollout file and the index of what it holds."""

    def __init__(self, path: Path):
        self.path = path
        self.rewards: dict[tuple[int, int], float] = {}
        self.completions: dict[int, set[str]] = {}
        if path.exists():
            self._read()

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

    def table(self, prompts: int, rollouts: int) -> np.ndarray:
        """Rewards as `(P, M)`, NaN where missing or unscorable."""
        out = np.full((prompts, rollouts), np.nan)
        for (i, j), reward in self.rewards.items():
            if i < prompts and j < rollouts:
                out[i, j] = reward
        return out

    def distinct(self) -> float:
        """Share of different completions among the rollouts of a prompt, mean over prompts."""
        counts: dict[int, int] = {}
        for i, _ in self.rewards:
            counts[i] = counts.get(i, 0) + 1
        shares = [len(self.completions[i]) / n for i, n in counts.items()]
        return float(np.mean(shares)) if shares else 0.0

    def _index(self, row: dict[str, Any]) -> None:
        reward = row["reward"]
        self.rewards[row["prompt_id"], row["rollout"]] = np.nan if reward is None else reward
        self.completions.setdefault(row["prompt_id"], set()).add(str(row.get("completion")))

    def _read(self) -> None:
        with self.path.open("rb+") as file:
            good = 0
            for number, line in enumerate(file, start=1):
                try:
                    if not line.endswith(b"\n"):
                        raise ValueError("unfinished line")
                    self._index(json.loads(line))
                except (ValueError, KeyError, TypeError) as error:
                    if file.read(1):
                        raise ValueError(f"{self.path}, line {number}: {error}") from None
                    break  # the last line, cut off when the run was killed
                good += len(line)
            file.truncate(good)
