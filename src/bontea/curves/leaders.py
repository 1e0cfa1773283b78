"""Which of the rules that return one response is worth most at each k, and whether that is clear.

To draw one response and return it is one of them: a vote, or the choice of a poor reward model, may
be worth less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bontea._json import Result
from bontea.curves.intervals import PAIRED_METHOD, mean_interval
from bontea.curves.mean_curve import with_limits

if TYPE_CHECKING:
    import numpy as np

    from bontea._types import Float


ONE = "one response"
"""The rule that draws one, and chooses nothing."""


@dataclass(frozen=True)
class Leader(Result):
    """The rule with the largest value at one k. Intervals are of paired differences of prompts."""

    k: int
    rule: str
    second: str
    difference: float
    """Its value minus that of the second."""
    low: float
    high: float
    gain: float
    """Its value minus that of one response."""
    gain_low: float
    gain_high: float


def find_leaders(
    ks: Sequence[int],
    values: Mapping[str, Float[np.ndarray, "P K"]],
    single: Float[np.ndarray, " P"],
    strata: Any,
    confidence_level: float,
) -> list[Leader]:
    """A leader for every k from 2 on, where there is a rule; `single` is the mean measure of each
    prompt, the value of one response."""
    out: list[Leader] = []

    def paired(difference: np.ndarray) -> tuple[float, float, float]:
        found = mean_interval(
            difference[:, None], strata, method=PAIRED_METHOD, confidence_level=confidence_level
        )
        return float(difference.mean()), float(found.low[0]), float(found.high[0])

    for at, k in enumerate(ks):
        if not values or k == 1:
            continue
        column = {rule: table[:, at] for rule, table in values.items()} | {ONE: single}
        # What differs by rounding alone is equal, and the rule that was named first comes first.
        means = {rule: round(float(found.mean()), 12) for rule, found in column.items()}
        first, second = sorted(column, key=lambda rule: -means[rule])[:2]
        ahead, gain = paired(column[first] - column[second]), paired(column[first] - single)
        out.append(Leader(int(k), first, second, *ahead, *gain))
    return out


def leader_lines(leaders: Sequence[Leader]) -> list[str]:
    """Where each rule is the best way to return one response, a sentence for each range of k."""
    lines, start = [], 0
    for i, leader in enumerate(leaders):
        if i + 1 < len(leaders) and leaders[i + 1].rule == leader.rule:
            continue
        lines.append(_line(leaders[start : i + 1]))
        start = i + 1
    return lines


def _line(some: Sequence[Leader]) -> str:
    """What there is to say about neighbouring k with one leader."""
    rule, last = some[-1].rule, some[-1]
    where = f"k = {some[0].k}" + (f" to {last.k}" if len(some) > 1 else "")
    widest = max(some, key=lambda one: one.difference)
    ahead = with_limits(widest.difference, widest.low, widest.high, "+")
    against = f"{ahead} against {widest.second} at k = {widest.k}"
    if rule == ONE:
        return f"{where}: no rule is worth more than one response ({against})"
    over = with_limits(last.gain, last.gain_low, last.gain_high, "+")
    if all(abs(one.difference) <= 1e-12 for one in some):
        more = "" if last.second == ONE else f"; at k = {last.k} worth {over} more than {ONE}"
        return f"{where}: {rule} and {last.second} are worth the same{more}"
    if {one.second for one in some} == {ONE}:
        known = "" if widest.low > 0 else "not clearly "
        return f"{where}: {rule} is {known}worth more than one response ({against})"
    worth = f"; at k = {last.k} it is worth {over} more than one response"
    if last.gain_low <= 0:
        worth = f", and at k = {last.k} it is not clearly better than one response ({over})"
    clear = [one.k for one in some if one.low > 0]
    if not clear:
        return f"{where}: {rule} has the largest value, but not clearly ({against}){worth}"
    if len(clear) < len(some):
        against = f"clearly at k = {', '.join(map(str, clear))}; {against}"
    return f"{where}: {rule} is the best rule ({against}){worth}"
