"""A number and what to compare it with, and how findings are written."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bontea._numbers import fixed, interval

NAN_PAIR = (math.nan, math.nan)


@dataclass(frozen=True)
class Reading:
    """A measured number with its 95 % interval, and the band it is compared with."""

    value: float
    band: tuple[float, float]
    """What is expected or harmless; the finding says which."""
    interval: tuple[float, float] = NAN_PAIR
    """Of the value; NaN where none is computed."""

    @property
    def inside(self) -> bool:
        """Whether the value lies in the band; False for NaN."""
        return self.band[0] <= self.value <= self.band[1]


def whole(n: float) -> str:
    """`"1,000,000"`, or `"1e300"` where that is shorter.

    >>> whole(2000.0), whole(1e300)
    ('2,000', '1e300')
    """
    return fixed(n, 0)


def limits(pair: tuple[float, float], digits: int = 2) -> str:
    """`"[0.10, 0.20]"`."""
    return interval(*pair, digits)
