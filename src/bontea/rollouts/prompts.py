"""Prompts from files and hub datasets, as rows with a `prompt` column.

Plain prompts are strings; chat prompts are lists of `{"role": ..., "content": ...}`. Every other
column travels along, so that a reward function gets, say, `answer=[...]` as TRL passes it.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeAlias

from bontea._errors import BonteaError
from bontea.rollouts.chats import quoted

Row: TypeAlias = dict[str, Any]

_FORMATS = {
    ".jsonl": "json",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}


def load_prompts(source: str, *, column: str = "prompt", split: str = "train") -> list[Row]:
    """Rows of a prompt file (JSONL, JSON, CSV, TSV, Parquet) or hub dataset, in their order.

    `column` holds the prompt and is renamed to `prompt`. A chat that ends with an assistant turn
    loses that turn. Raises FileNotFoundError, or ValueError naming what is missing.
    """
    from datasets import load_dataset
    from datasets.exceptions import DatasetGenerationError

    path = Path(source).expanduser()
    looks_local = path.suffix in _FORMATS or source.startswith((".", "/", "~"))
    if path.is_file():
        if path.suffix not in _FORMATS:
            raise BonteaError(
                f"prompts {source}: files must end in {', '.join(_FORMATS)}, not {path.suffix!r}"
            )
        if path.stat().st_size == 0 or not path.read_bytes()[:4096].strip():
            raise BonteaError(f"prompts {source} is an empty file: it needs one row per prompt")
        extra: dict[str, Any] = {"sep": "\t"} if path.suffix == ".tsv" else {}
        try:
            data = load_dataset(_FORMATS[path.suffix], data_files=str(path), split="train", **extra)
        except (DatasetGenerationError, ValueError, OSError) as error:
            cause = error.__cause__ or error
            raise BonteaError(f"prompts {source} cannot be read: {cause}") from None
    elif looks_local or path.exists():
        kind = "a folder, not a file" if path.is_dir() else "not there"
        raise FileNotFoundError(f"prompts {source} is {kind}: give a JSONL, CSV or Parquet file")
    else:
        try:
            data = load_dataset(source, split=split)
        except Exception as error:  # the hub client raises many unrelated types
            raise FileNotFoundError(
                f"prompts {source!r} is neither a file here nor a hub dataset that can be loaded "
                f"(split {split!r}): {error}"
            ) from None

    if column not in data.column_names:
        near = difflib.get_close_matches(column, data.column_names, n=1)
        raise BonteaError(
            f"prompts {source} has no column {column!r}; its columns are "
            f"{', '.join(data.column_names)}. Name the right one with --prompt-column"
            + (f" {near[0]}" if near else "")
        )
    rows = [dict(row) for row in data]
    for number, row in enumerate(rows, start=1):
        row["prompt"] = _check_prompt(row[column], f"prompts {source}, row {number}")
        if column != "prompt":
            del row[column]
    if not rows:
        raise BonteaError(f"prompts {source} holds no rows")
    return rows


def _check_prompt(prompt: Any, where: str) -> str | list[dict[str, str]]:
    if isinstance(prompt, str) and prompt.strip():
        return prompt
    if isinstance(prompt, list) and prompt and all(isinstance(turn, dict) for turn in prompt):
        turns = [{"role": turn.get("role"), "content": turn.get("content")} for turn in prompt]
        while turns and turns[-1]["role"] == "assistant":
            turns.pop()
        if turns and all(isinstance(turn["content"], str) for turn in turns):
            return turns
    raise BonteaError(
        f"{where}: {quoted(prompt)} is not a prompt: it must be text, or a list of "
        '{"role": ..., "content": ...} that ends with the user'
    )
