"""One strange reward that carries the curve, by name (`bontea.curves.influence`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bontea.curves.influence import Influence, find_influence
from bontea.diagnosis.finding import Finding, Mark

if TYPE_CHECKING:
    from bontea.diagnosis.evidence import Evidence


@dataclass(frozen=True)
class InfluenceFinding(Finding):
    """At most 3 rewards far beyond the others, and the curve without them."""

    key: ClassVar[str] = "influence"
    title: ClassVar[str] = "One strange reward"

    found: Influence

    @property
    def mark(self) -> Mark:
        return "look"

    @property
    def text(self) -> str:
        message = self.found.message
        return f"{message[0].upper()}{message[1:]}."


def look(evidence: Evidence) -> InfluenceFinding | None:
    """The finding for `diagnose`; None where no reward is like that, as in most data."""
    found = find_influence(evidence.rollouts)
    return None if found is None else InfluenceFinding(found)
