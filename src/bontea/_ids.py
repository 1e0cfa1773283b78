"""One rule for names: when two ids are the same prompt, or the same group.

Files, frameworks and libraries write the id 3 in several ways: JSON has 3, a column with a missing
value makes it 3.0, a CSV file "3". All of these are one id, whatever reads them:

- text is taken as it is ("3.0" and "03" are texts of their own, and are not the number 3);
- a number is its shortest decimal: 3, 3.0 and 3e0 are "3", 0.5 is "0.5", -0.0 is "0";
- true and false are "true" and "false", as JSON has them, and no numbers;
- a list or an object, such as a chat, is its JSON with sorted keys and without nulls;
- None, NaN and what pandas has for nothing are no id.

Whole numbers never pass through a float: 2**53 and 2**53 + 1 are two ids.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np

from bontea._errors import BonteaError


def id_text(value: Any) -> str | None:
    """An id as text; None where there is none. BonteaError for an infinite number.

    >>> [id_text(value) for value in (3, 3.0, "3", "3.0", np.int8(3), True, None, math.nan)]
    ['3', '3', '3', '3.0', '3', 'true', None, None]
    >>> id_text([{"role": "user", "name": None, "content": "hi"}])
    '[{"content": "hi", "role": "user"}]'
    """
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be printed
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # of NumPy, torch, JAX
        value = value.item()
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (float, Decimal)):
        return _decimal(value)
    if isinstance(value, (list, tuple, dict)):
        return (
            json.dumps(_plain(value), ensure_ascii=False, sort_keys=True)
            .encode("utf-8", "replace")
            .decode()
        )
    return str(value)


def id_texts(values: Iterable[Any], what: str) -> list[str]:
    """Ids as text; BonteaError naming the first that is missing, `what` being what they are of.

    >>> id_texts([3.0, "a"], "the prompt of row")
    ['3', 'a']
    """
    out = []
    for row, value in enumerate(values):
        text = id_text(value)
        if text is None:
            raise BonteaError(_missing(what, row, value))
        out.append(text)
    return out


def group_ids(groups: Any, needed: np.ndarray | None = None) -> np.ndarray:
    """The group ids of a flat batch as a NumPy array in which equal ids are equal.

    `groups` is an array of any library or any sequence. Whole numbers stay numbers; all else
    becomes text by the rule above. `needed` says which rows must have one (default: all).
    BonteaError names the first row that has none.

    >>> group_ids([3, 3.0, "3", "a"]).tolist()
    ['3', '3', '3', 'a']
    """
    if hasattr(groups, "dtype"):
        array = np.asarray(groups.cpu() if hasattr(groups, "cpu") else groups)
        if array.dtype.kind in "iub" or array.ndim != 1:
            return array
        values = array.tolist()
    elif not np.iterable(groups):
        return np.asarray(groups)
    else:
        values = list(groups)
        if {*map(type, values)} <= {int}:
            array = np.asarray(values if values else [], dtype=None if values else np.int64)
            if array.dtype.kind in "iu":
                return array
    out = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        text = id_text(value)
        if text is None and (needed is None or needed[row]):
            raise BonteaError(_missing("the group of row", row, value))
        out[row] = text or ""
    return out


def _missing(what: str, row: int, value: Any) -> str:
    return (
        f"{what} {row} (counted from 0) is {value}: give each an id, a number or text, or leave "
        "the row out"
    )


def _decimal(value: float | Decimal) -> str | None:
    if value != value:
        return None
    if math.isinf(value):
        raise BonteaError(f"an id is {value}: give a finite number or text")
    if value == 0:
        return "0"
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return np.format_float_positional(value, trim="-")


def _plain(value: Any) -> Any:
    """Parquet gives every turn of a chat the fields of all turns; 1.0 is 1 inside a list, too."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, (str, int, float)) or value is None else str(value)
