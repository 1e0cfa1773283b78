"""JSON read strictly: what could be read in two ways is refused."""

from __future__ import annotations

import json
from typing import Any

from bontea._errors import BonteaError
from bontea.rollouts._open import not_utf8


def strict_loads(text: str | bytes, where: object) -> Any:
    """The value of a JSON text; `where` is its place, such as "FILE, line 3", for messages.

    A key that an object has twice is refused: readers of JSON take the first, the last or both, so
    that the same file would give other numbers elsewhere. `NaN` and `Infinity`, which Python and
    pandas write, are floats. Raises BonteaError for what is not JSON, with the place.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            raise BonteaError(not_utf8(where, error)) from None
    try:
        return json.loads(text, object_pairs_hook=_object)
    except _Twice as error:
        raise BonteaError(
            f"{where}: the key {str(error)[:60]!r} is there twice in one object: remove one of them"
        ) from None
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, character {error.colno}"
        raise BonteaError(
            f"{where}: not JSON ({error.msg} at {at if error.lineno > 1 else at.split(', ')[1]})"
        ) from None
    except RecursionError:
        raise BonteaError(f"{where}: nested too deeply") from None
    except ValueError as error:  # an integer of more than 4,300 digits
        raise BonteaError(f"{where}: {error}") from None


class _Twice(Exception):
    """A key is in one object twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Twice(key)
            seen.add(key)
    return out
