"""JSON, both ways: what this library returns, as JSON; and JSON text read by one strict rule.

`Result` and `plain` are the one way from dataclasses and arrays to what JSON knows. `strict_loads`
is the one way back: what two readers could take for different values is refused.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar

import numpy as np
from array_api_compat import is_array_api_obj

from bontea._errors import BonteaError, not_utf8


class Result:
    """What a function of this library returns: a frozen dataclass with `to_dict`.

    In every result `verdict` is a category, one of a few fixed words; `message` is the sentence
    that explains it and says what to do; and `..._standard_error` is a standard error.
    """

    DERIVED: ClassVar[tuple[str, ...]] = ("verdict", "message")
    """Properties that `to_dict` holds beside the fields, where the class has them."""

    def to_dict(self) -> dict[str, Any]:
        """Everything, as what JSON knows; NaN and infinities become None."""
        return with_derived(self, self.DERIVED)


def with_derived(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a dataclass or a named tuple, and the properties `names`, as JSON knows them.

    >>> from collections import namedtuple
    >>> with_derived(namedtuple("Point", "x y")(1.0, math.nan), ())
    {'x': 1.0, 'y': None}
    """
    out = plain(value._asdict() if hasattr(value, "_asdict") else value)
    return out | {
        name: plain(getattr(value, name))
        for name in names
        if isinstance(getattr(type(value), name, None), property)
    }


def plain(value: Any) -> Any:
    """Dataclasses, arrays and tuples as what JSON knows; NaN and infinities become None.

    >>> plain({"band": (0, math.inf), "values": np.array([0.5, math.nan])})
    {'band': [0, None], 'values': [0.5, None]}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value) if f.repr}
    if isinstance(value, dict):
        return {"none" if k is None else str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if is_array_api_obj(value) and not isinstance(value, np.generic):
        return plain(np.asarray(value.cpu() if hasattr(value, "cpu") else value).tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def strict_loads(text: str | bytes, where: object, fields: Collection[str] | None = None) -> Any:
    """The value of a JSON text; `where` is its place, such as "FILE, line 3", for messages.

    A key that an object has twice is refused: readers of JSON take the first, the last or both, so
    that the same file would give other numbers elsewhere. With `fields`, this is asked of these
    keys of the object and of what they hold, and not of keys that nobody reads. `NaN` and
    `Infinity`, which Python and pandas write, are floats. Raises BonteaError for what is not JSON,
    with the place.

    >>> strict_loads('{"reward": 1, "reward": 2}', "a, line 3")
    Traceback (most recent call last):
    bontea._errors.BonteaError: a, line 3: the key 'reward' is there twice in one object: remove one
    """
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            raise BonteaError(not_utf8(where, error)) from None
    try:
        value = json.loads(text, object_pairs_hook=_object)
        twice = _twice(value, fields)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise BonteaError(
            f"{where}: not JSON ({error.msg} at {at}character {error.colno})"
        ) from None
    except RecursionError:
        raise BonteaError(f"{where}: nested too deeply") from None
    except ValueError as error:  # an integer of more than 4,300 digits
        raise BonteaError(f"{where}: {error}") from None
    if twice is not None:
        raise BonteaError(
            f"{where}: the key {twice[:60]!r} is there twice in one object: remove one"
        )
    return value


_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def is_cut_off(line: bytes) -> bool:
    """Whether the last line of a JSONL file was left unfinished when its writer was killed.

    That is a text or a bracket that is not closed, or zeros where a crashed system had not written
    yet. A whole line that says something wrong is no such line, though its line end may be missing.

    >>> is_cut_off(b'{"a": [1, 2'), is_cut_off(b'{"a": "}'), is_cut_off(b'{"a": 1, "a": 2}')
    (True, True, False)
    """
    bare = _TEXT.sub(b"", line)
    opened = sum(map(bare.count, (b"{", b"["))) - sum(map(bare.count, (b"}", b"]")))
    return opened > 0 or b'"' in bare or not line.strip(b"\0 \t\r\n")


class _Doubled(dict[str, Any]):
    """An object with keys that are there twice."""

    keys_twice: tuple[str, ...]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) == len(pairs):
        return out
    doubled = _Doubled(out)
    counts = Counter(key for key, _ in pairs)
    doubled.keys_twice = tuple(key for key, count in counts.items() if count > 1)
    return doubled


def _twice(value: Any, fields: Collection[str] | None = None) -> str | None:
    """The first key, of these fields or in what they hold, that an object has twice."""
    if isinstance(value, dict):
        for key in value.keys_twice if isinstance(value, _Doubled) else ():
            if fields is None or key in fields:
                return key
        items = [item for key, item in value.items() if fields is None or key in fields]
    elif isinstance(value, list):
        items = value
    else:
        return None
    for item in items:
        found = _twice(item) if isinstance(item, (dict, list)) else None
        if found is not None:
            return found
    return None
