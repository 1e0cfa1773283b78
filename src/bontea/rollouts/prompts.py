"""Prompts from files and hub datasets, as rows with a `prompt` column.

Plain prompts are strings; chat prompts are lists of `{"role": ..., "content": ...}`, with whatever
other fields their turns have. Every other column travels along as the file has it, so that a reward
function gets, say, `answer=[...]` as TRL passes it.
"""

from __future__ import annotations

import difflib
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from bontea._errors import BonteaError
from bontea.rollouts._prompt_files import Placed, kind_by_name, read_rows
from bontea.rollouts.chats import check_prompt, check_tools, without_none

Row: TypeAlias = dict[str, Any]


def load_prompts(source: str, *, column: str = "prompt", split: str = "train") -> list[Row]:
    """Rows of a prompt file (JSONL, JSON, CSV, TSV, Parquet) or hub dataset, in their order.

    `column` holds the prompt and is renamed to `prompt`; another column of that name is left out.
    Every row has every column, with None where the file has nothing. Values are what the file has:
    text in CSV stays text, numbers, dates and nulls in JSON stay what they are, and in Parquet have
    its types. Chats keep all fields of their turns, also a last turn of the assistant, which is
    then continued; with chats, a column `tools` holds the tools the model may call. Text files may
    be compressed, and in any Unicode encoding.

    Raises FileNotFoundError, or BonteaError naming the line or row and what is wrong with it.
    """
    path = _local(source)
    if path is not None:
        placed = read_rows(path, column)
        arrow = kind_by_name(path) == "parquet"
    else:
        placed, arrow = _from_hub(source, split), True
    if not placed:
        raise BonteaError(f"prompts {source} holds no rows")
    names = list({name: None for _, row in placed for name in row})
    if column not in names:
        near = difflib.get_close_matches(column, names, n=1)
        raise BonteaError(
            f"prompts {source} has no column {column!r}; its columns are {', '.join(names)}. "
            "Name the right one with --prompt-column" + (f" {near[0]}" if near else "")
        )
    rows = []
    for place, values in placed:
        where = f"prompts {source}, {place}"
        row = {name: values.get(name) for name in names}
        prompt = row.pop(column)
        # Arrow gives every turn the fields of all turns, with nulls.
        row["prompt"] = check_prompt(without_none(prompt) if arrow else prompt, where)
        if row.get("tools") is not None and not isinstance(row["prompt"], str):
            tools = check_tools(row["tools"], where)
            row["tools"] = without_none(tools) if arrow else tools
        rows.append(row)
    return rows


def _local(source: str) -> Path | None:
    """The file that a source names; None for what can only be a hub dataset."""
    path = Path(source)
    if not path.exists() and source.startswith("~"):
        with suppress(RuntimeError):  # there is no such user
            path = path.expanduser()
    if path.is_file():
        return path
    if path.exists() or kind_by_name(path) or source.startswith((".", "/", "~")):
        kind = "a folder, not a file" if path.is_dir() else "not there"
        raise FileNotFoundError(f"prompts {source} is {kind}: give a JSONL, CSV or Parquet file")
    return None


def _from_hub(source: str, split: str) -> list[Placed]:
    from datasets import load_dataset

    try:
        data = load_dataset(source, split=split)
    except Exception as error:  # the hub client raises many unrelated types
        raise FileNotFoundError(
            f"prompts {source!r} is neither a file here nor a hub dataset that can be loaded "
            f"(split {split!r}): {error}"
        ) from None
    return [(f"row {number}", dict(row)) for number, row in enumerate(data, start=1)]
