"""Rewards from a file of rollouts: what calibration and diagnosis start from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def read_rewards(path: str | Path) -> np.ndarray:
    """The rewards in a JSONL file of rollouts, `(P, M)`; prompts with fewer than M end in NaN.

    One object a line, with `reward` (a number, or null: unscorable, NaN) and `prompt_id` or
    `prompt`; other fields are ignored. Prompts come in the order of their first row. The file is
    only read; a last line that a killed run cut off is left out.

    Raises FileNotFoundError, IsADirectoryError, or ValueError naming the line: not JSON, no prompt,
    a reward that is not a number, or no rows at all.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a JSONL file of rollouts")
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there")
    groups: dict[object, list[float]] = {}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            key = row["prompt_id"] if "prompt_id" in row else json.dumps(row["prompt"])
            reward = float("nan") if row["reward"] is None else row["reward"]
            if isinstance(reward, (str, bool)) or not isinstance(reward, (int, float)):
                raise ValueError(f"reward {reward!r} is not a number")
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines) and not line.endswith("\n"):
                break  # cut off when the run that wrote it was killed
            problem = f"no field {error}" if isinstance(error, KeyError) else str(error)
            raise ValueError(
                f"{path}, line {number}: {problem}; a row is a JSON object with reward and "
                "prompt_id or prompt"
            ) from None
        groups.setdefault(key, []).append(float(reward))
    if not groups:
        raise ValueError(f"{path} holds no rollouts")
    most = max(map(len, groups.values()))
    return np.array([group + [np.nan] * (most - len(group)) for group in groups.values()])
