"""Results as JSON: the one way from dataclasses and arrays to what JSON knows."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar

import numpy as np
from array_api_compat import is_array_api_obj


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
