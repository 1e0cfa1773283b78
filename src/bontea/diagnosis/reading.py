"""A number and what to compare it with, and how findings are written."""

from __future__ import annotations

import math
from dataclasses import dataclass

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


def percent(share: float) -> str:
    """`"12.5 %"`.

    >>> percent(0.125), percent(0), percent(1)
    ('12.5 %', '0 %', '100 %')
    """
    return f"{100 * share:.3g} %"


def percent_of(share: float) -> str:
    """`"96 %"`, in whole percents.

    >>> percent_of(0.958)
    '96 %'
    """
    return f"{100 * share:.0f} %"


def whole(n: float) -> str:
    """`"1,000,000"`, or `"1e+12"` where that is shorter.

    >>> whole(2000.0), whole(1e300)
    ('2,000', '1e+300')
    """
    return f"{n:,.0f}" if n < 1e12 else f"{n:g}"


def limits(pair: tuple[float, float], digits: int = 2) -> str:
    """`"[0.10, 0.20]"`, with a question mark for an end that is not known, or that is endless.

    >>> limits((0.1, math.inf)), limits(NAN_PAIR)
    ('[0.10, ?]', '[?, ?]')
    """
    low, high = (f"{end:.{digits}f}" if math.isfinite(end) else "?" for end in pair)
    return f"[{low}, {high}]"
