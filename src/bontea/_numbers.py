"""How a number is written for a person: one way in every message, table and page.

A zero before the point (0.5), commas between thousands (12,345), a space before the percent sign
(25 %), one plus-minus sign (1.5 ± 0.2), no minus before nothing (0, not -0), and no `1e+02`: powers
of ten appear only far from everyday numbers, as 2e20 and 1.5e-7.
"""

from __future__ import annotations

import math

LARGE, SMALL = 1e15, 1e-4
"""From here on, and below here, a power of ten is easier to read."""


def number(x: float, digits: int = 6) -> str:
    """With so many significant digits, and at least the whole part.

    >>> [number(x, 4) for x in (0.5, 99.996, 1e6, 12345.6, -0.0, 1e300, 1.5e-7)]
    ['0.5', '100', '1,000,000', '12,346', '0', '1e300', '1.5e-7']
    """
    x = float(x)
    if not math.isfinite(x):
        return str(x)
    if x == 0:
        return "0"
    size = abs(float(f"{x:.{digits - 1}e}"))  # rounded: 99.996 is a hundred
    if SMALL <= size < LARGE:
        text = f"{x:,.{max(0, digits - 1 - math.floor(math.log10(size) + 1e-12))}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, exponent = f"{x:.{digits - 1}e}".split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"


def typed(x: float, digits: int = 6) -> str:
    """As one would type it: without commas, for `n=...` and `--deploy-n ...`.

    >>> typed(1e6), typed(0.25)
    ('1000000', '0.25')
    """
    return number(x, digits).replace(",", "")


def fixed(x: float, digits: int, sign: str = "") -> str:
    """With so many digits after the point; `sign="+"` shows one; a power of ten where it is huge.

    >>> fixed(1234.5, 2), fixed(-0.001, 2), fixed(0.5, 1, "+"), fixed(1e300, 2)
    ('1,234.50', '0.00', '+0.5', '1e300')
    """
    x = float(x)
    if abs(x) >= LARGE and math.isfinite(x):
        return (sign if x > 0 else "") + number(x, 4)
    return f"{round(x, digits) + 0.0 if math.isfinite(x) else x:{sign},.{digits}f}"


def percent(share: float, digits: int = 3) -> str:
    """A share in percent; it says 0 % and 100 % only where that is so.

    >>> percent(0.125), percent(0), percent(1), percent(0.99996), percent(1e-9)
    ('12.5 %', '0 %', '100 %', '99.996 %', 'less than 0.001 %')
    """
    return _percent(share, number(100 * share, digits))


def percent_of(share: float) -> str:
    """In whole percents, with more digits near 0 % and 100 %.

    >>> percent_of(0.958), percent_of(0.9997), percent_of(0.0042)
    ('96 %', '99.97 %', '0.4 %')
    """
    return _percent(share, fixed(100 * share, 0))


def _percent(share: float, text: str) -> str:
    left = min(share, 1 - share)  # to 0 or 1, whichever is nearer
    if 0 < left < 1e-5:
        return "less than 0.001 %" if share < 0.5 else "more than 99.999 %"
    if left > 0 and text in ("0", "100"):
        text = fixed(100 * share, -math.floor(math.log10(100 * left) + 1e-9))
    return f"{text} %"


def interval(low: float, high: float, digits: int = 2) -> str:
    """`"[0.10, 0.20]"`, with a question mark for an end that is not known, or that is endless.

    >>> interval(0.1, math.inf), interval(math.nan, math.nan)
    ('[0.10, ?]', '[?, ?]')
    """
    low_text, high_text = (fixed(x, digits) if math.isfinite(x) else "?" for x in (low, high))
    return f"[{low_text}, {high_text}]"


def plus_minus(value: float, error: float, digits: int = 2) -> str:
    """A number with its standard error.

    >>> plus_minus(0.756, 0.006, 3)
    '0.756 ± 0.006'
    """
    return f"{fixed(value, digits)} ± {fixed(error, digits)}"
