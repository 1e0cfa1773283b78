"""Numbers that stand for "no reward": found by how far they lie from everything else, and refused.

Tools that have no null write a number in its place: the lowest float, -1e20, -9999. Taken as a
reward, one such number is every mean, every interval and every unit of what is computed from it.
None of our rules may depend on the unit of the rewards, so a number is not refused for its size,
but for its distance to the other rewards of the same data:

- a number that is known for this use (the ends of a float or integer type; 9999, 99999, ... ;
  powers of ten from 1e6 on), of either sign, that is at least 1,000 times as large as every
  reward that is none of these;
- any number that is at least 1e9 times as large as every other reward.

An ordinary outlier, such as 30 or 1,000 among normal rewards, is a reward, and
`bontea.curves.influence` names it. Where all other rewards are 0, a number has nothing to be
compared with, and only the ends of a type are refused.

Rewards beyond 1e150 cannot be squared in float64, and rewards of less than 1e-150 vanish when they
are: both are refused, with the remedy.
"""

from __future__ import annotations

import numpy as np

from bontea._numbers import number

KNOWN_TIMES, ANY_TIMES = 1e3, 1e9
LARGEST, SMALLEST = 1e150, 1e-150

_TYPE_ENDS = (
    *(float(np.finfo(name).max) for name in ("float16", "float32", "float64")),
    3.3895313892515355e38,  # bfloat16
    *(2.0**bits for bits in (31, 63)),
    *(2.0**bits - 1 for bits in (31, 63)),
)


def is_type_end(size: float) -> bool:
    """Whether a positive number is the largest of a float or integer type.

    >>> is_type_end(3.4028234663852886e38), is_type_end(3e38)
    (True, False)
    """
    # A decimal of six digits, as programs print the largest float32, is meant too.
    return any(abs(size - end) <= 1e-6 * end for end in _TYPE_ENDS if end > 1e5) or size == 65504.0


def is_known(size: float) -> bool:
    """Whether a positive number is known to stand for "no reward".

    >>> [is_known(x) for x in (9999.0, 1e20, 2147483648.0, 30.0, 1000.0, 12345678.0)]
    [True, True, True, False, False, False]
    """
    if is_type_end(size):
        return True
    if size < 9999 or size > 1e300:
        return False
    power = np.isclose(size, 10.0 ** np.round(np.log10(size)), rtol=5e-7, atol=0)
    nines = size < 1e15 and size == 10.0 ** round(np.log10(size)) - 1
    return bool((power and size >= 1e6) or nines)


def find_sentinels(rewards: np.ndarray) -> np.ndarray:
    """Which of the rewards `(R,)` (NaN: none) stand for no reward, `(R,)` bool.

    >>> find_sentinels(np.array([0.5, -1e20, 1.0, -1e20])).tolist()
    [False, True, False, True]
    >>> find_sentinels(np.array([0.5, 1000.0, 1.0])).any()  # an outlier
    np.False_
    """
    sizes = np.abs(rewards)
    rest = sizes[np.isfinite(sizes)]
    found: list[float] = []
    near = 0.0
    while len(rest):
        top, rest = float(rest.max()), rest[rest < rest.max()]
        near = top
        below = float(rest.max()) if len(rest) else 0.0
        # Only what may be a sentinel itself stands between a sentinel and the rewards.
        if not (is_known(top) or (below > 0 and top >= ANY_TIMES * below)):
            break
        found.append(top)
        near = below
    while found and not _far(found[-1], near):
        near = found.pop()
    return np.isin(sizes, found) if found else np.zeros(len(sizes), dtype=bool)


def _far(size: float, others: float) -> bool:
    if others == 0:
        return is_type_end(size)
    return size >= (KNOWN_TIMES if is_known(size) else ANY_TIMES) * others


def out_of_range(rewards: np.ndarray) -> str:
    """What to do about rewards `(R,)` whose squares a float64 does not hold; empty if it does."""
    largest = float(np.nanmax(np.abs(rewards), initial=0.0))
    if largest > LARGEST:
        return (
            f"a reward of {number(largest, 3)} in size is beyond {number(LARGEST)}, and cannot be "
            "squared: divide all rewards by one number, or give None for a rollout that "
            "could not be scored"
        )
    if 0 < largest < SMALLEST:
        return (
            f"the largest reward is {number(largest, 3)} in size, below {number(SMALLEST)}, and "
            "vanishes when it is squared: multiply all rewards by one number"
        )
    return ""
