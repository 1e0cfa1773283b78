"""Settings of long jobs, as `bontea train` and `bontea sample` take them: fields that explain
themselves, so that a flag, a line of YAML and a Python argument have one name and one help text."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import field, fields
from numbers import Integral, Real
from typing import Any, TypeVar

from bontea._errors import BonteaError

DEMO = "demo"
"""The model, reward and prompts that come with the package (`bontea.demo`)."""
T = TypeVar("T")


def setting(default: Any, help: str, **more: Any) -> Any:
    """A dataclass field with its help text; `more` is kept in its metadata."""
    metadata = {"help": help, **more}
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


KINDS: dict[str, tuple[type, str]] = {
    "str": (str, "text"),
    "bool": (bool, "true or false"),
    "int": (Integral, "a whole number"),
    "float": (Real, "a number"),
    "list": (list, "a list"),
    "dict": (dict, "names with values"),
}


def given_or(value: T | None, default: T) -> T:
    """`value`, or `default` where it is None; a 0 is kept, for a check to refuse."""
    return default if value is None else value


def from_dict(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Settings from names and values, of YAML, JSON or a caller.

    Raises BonteaError for an unknown name, with its nearest neighbour, and for a value of another
    kind than the setting has.
    """
    known = {f.name: str(f.type) for f in fields(cls)}  # type: ignore[arg-type]
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            raise BonteaError(
                f"{where}: unknown setting {name!r}"
                + (f"; did you mean {near[0]!r}?" if near else "")
            )
        kinds = kinds_of(known[name])
        fits = any(
            isinstance(value, KINDS[kind][0]) and (kind == "bool" or not isinstance(value, bool))
            for kind in kinds
        )
        if not fits and not (value is None and "None" in known[name]):
            words = " or ".join(KINDS[kind][1] for kind in kinds)
            raise BonteaError(f"{where}: {name}={value!r} must be {words}")
    return cls(**values)


def kinds_of(annotation: str) -> list[str]:
    """The names in `KINDS` of a setting that is annotated so.

    >>> kinds_of("list[str] | str | None")
    ['list', 'str']
    """
    return [kind for part in annotation.split(" | ") if (kind := part.partition("[")[0]) in KINDS]


def flag(name: str) -> str:
    """A setting as it is written on the command line."""
    return "--" + name.replace("_", "-")


def require_own(
    model: str, reward: str | None, prompts: str | None, *, endpoint: bool = False
) -> None:
    """A model of the user's needs a reward and prompts of the user's."""
    if (model != DEMO or endpoint) and (reward is None or prompts is None):
        missing = "--reward" if reward is None else "--prompts"
        raise BonteaError(
            f"--model {model} needs {missing} as well: the embedded reward and prompts only make "
            "sense for the embedded policy"
        )
