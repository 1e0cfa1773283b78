"""What a finding is: the one form of everything that `diagnose` says about rewards.

A new diagnosis is one file here, with a class made from `Finding` and a function `look` from
`Evidence` to it, and one line in `FINDERS` (bontea/diagnosis/__init__.py). The page of
`bontea diagnose`, the HTML report and the JSON show whatever is in that list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from bontea._json import Result

Mark: TypeAlias = Literal["ok", "look", "stop"]
"""Nothing to do; read it before you train; do not train on these rewards."""


@dataclass(frozen=True)
class Table:
    """Numbers that belong to a finding: a title, the columns, and rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Finding(Result):
    """One thing seen in the rewards. Subclasses are frozen dataclasses with the numbers."""

    key: ClassVar[str]
    """Its name in Python and in JSON."""
    title: ClassVar[str]
    """What a person reads above it."""

    @property
    def mark(self) -> Mark:
        """Whether there is something to look at."""
        raise NotImplementedError

    @property
    def text(self) -> str:
        """What was seen, each number beside what is expected or harmless, and what to do."""
        raise NotImplementedError

    @property
    def table(self) -> Table | None:
        """More numbers, where a sentence cannot hold them."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """The mark and the text, then every number, as what JSON knows."""
        return {"mark": self.mark, "text": self.text, **super().to_dict()}

    def __str__(self) -> str:
        return self.text
