"""What a stopping rule saved where it was served, and whether quality fell, from the log.

A share of requests is audited: they are drawn on to the reference N after the rule has stopped. So
on the same requests, with the same responses, there are both

    fixed N:   N responses,         the best of the first N
    the rule:  where it stopped,    the best of those

and their differences, request by request. Which requests are audited is drawn by chance, so they
stand for all. Of the other requests there is what the rule gave, and nothing to compare it with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bontea._errors import BonteaError
from bontea._json import Result
from bontea._numbers import fixed, interval, number, percent
from bontea.curves.intervals import mean_interval
from bontea.deploy.rule import MOST
from bontea.rollouts.rows import check_path, read_rows

LEAST = 20
"""Audited requests from which on limits can be trusted."""


@dataclass(frozen=True)
class Audit(Result):
    """The comparison on the audited requests. `str()` is a table for a person.

    Limits are those of means over requests; NaN where there are too few.
    """

    requests: int
    """All in the log."""
    audited: int
    """Those that are compared."""
    left_out: int
    """Audited, but one side is not known."""
    measure: str | None
    """The score by which answers are compared; None: the reward by which they were chosen."""
    reference_n: int
    rule_responses: float
    """Mean number of responses at which the rule stopped."""
    saved: float
    """Share of the reference N that the rule does not draw."""
    saved_low: float
    saved_high: float
    fixed_reward: float
    """Mean of the best reward of the first N, or of the measure of the response that has it."""
    rule_reward: float
    difference: float
    """Of the rewards, rule minus fixed N."""
    difference_low: float
    difference_high: float
    other_responses: float
    """Mean of the requests that are not audited; NaN where there are none."""
    other_reward: float
    confidence_level: float
    stopped: dict[str, int] = field(repr=False)
    """Of all requests: how often they ended for which reason."""

    DERIVED = ("message",)

    @property
    def message(self) -> str:
        """What the numbers say."""
        if not np.isfinite(self.difference_low) and self.audited >= 5:
            return (
                f"all {self.audited} audited requests have the same difference of reward, "
                f"{number(self.difference, 3)}, which leaves nothing to take an interval from"
            )
        if not np.isfinite(self.difference_low):
            return f"{self.audited} audited requests are too few for intervals: 5 are needed"
        level = percent(self.confidence_level)
        few = "" if self.audited >= LEAST else f"; {self.audited} audited requests are few"
        if self.difference_low > 0:
            quality = "the rule gives better answers than the fixed N"
        elif self.difference_high < 0:
            quality = "quality fell: the rule gives worse answers than the fixed N"
        else:
            fall = number(-self.difference_low, 2)
            quality = f"no loss of quality is seen, and one of more than {fall} is unlikely"
        saving = percent(abs(self.saved))
        cost = f"{saving} {'fewer' if self.saved >= 0 else 'more'} responses"
        return f"{cost}; {quality} ({level} intervals{few})"

    def __str__(self) -> str:
        n = self.reference_n
        rows = [
            ("", "responses", self.measure or "best reward"),
            (f"fixed N of {n}", fixed(n, 1), fixed(self.fixed_reward, 3)),
            ("the rule", fixed(self.rule_responses, 1), fixed(self.rule_reward, 3)),
        ]
        lines = [f"{name:<18}{a:>12}{b:>16}" for name, a, b in rows]
        fewer = interval(-n * self.saved_high, -n * self.saved_low, 1)
        limits = interval(self.difference_low, self.difference_high, 3)
        others = self.requests - self.audited - self.left_out
        return "\n".join(
            [
                f"{self.requests:,} requests, {self.audited:,} of them audited: continued to {n} "
                "responses after the rule had stopped, for comparison"
                + (f" ({self.left_out:,} more have no score on one side)" if self.left_out else ""),
                *lines,
                f"difference: {fixed(-n * self.saved, 1, '+')} {fewer} responses, "
                f"{fixed(self.difference, 3, '+')} {limits} of {self.measure or 'reward'}",
                self.message,
                f"the {others:,} other requests: {fixed(self.other_responses, 1)} responses, "
                f"{self.measure or 'best reward'} {fixed(self.other_reward, 3)}"
                if others
                else "all requests are audited: --audit SHARE of bontea serve says how many",
            ]
        )


def audit(
    logs: str | Path | Sequence[str | Path],
    *,
    measure: str | None = None,
    confidence_level: float = 0.95,
    rng: np.random.Generator | int | None = None,
) -> Audit:
    """Compare rule and fixed N on the audited requests in logs of `bontea serve`.

    Several logs are the pieces of one (`LOG.0001.jsonl`, ...). With `measure` the name of another
    score in the rows (`bontea sample --rescore` writes one), the answers are still those with the
    best reward, and what is compared is their other score. Requests for which one side is not known
    (nothing scored, no other score) are left out, and counted.

    Raises BonteaError where no request is audited, or where the reference N changed;
    FileNotFoundError, ValueError for files that cannot be read.
    """
    paths = [Path(p) for p in ([logs] if isinstance(logs, (str, Path)) else logs)]
    found = _requests(paths, measure)
    audited = [r for r in found.values() if r.reference_n and len(r.rewards) >= r.reference_n]
    names = ", ".join(map(str, paths))
    if not audited:
        raise BonteaError(
            f"{names}: none of {len(found):,} requests is audited, so that there is nothing to "
            "compare the rule with: audits begin after the first requests, from which the rule "
            "learns, and there are none with --n; wait, or raise --audit of bontea serve"
        )
    references = {r.reference_n for r in audited}
    if len(references) > 1:
        listed = ", ".join(map(str, sorted(references)))
        raise BonteaError(
            f"{names}: the reference N is not the same in all requests ({listed}): give the logs "
            "of one setting"
        )
    (n,) = references
    rows = [r.compared() for r in audited]
    table = np.array([row for row in rows if not np.isnan(row).any()], dtype=float)
    if not len(table):
        what = "reward" if measure is None else f"score {measure!r} of its best response"
        raise BonteaError(f"{names}: no audited request has a {what}")
    drawn, rule_best, fixed_best = table.T
    columns = np.stack([1 - drawn / n, rule_best - fixed_best], axis=1)
    # Most differences are 0 and a few are large, of which a bootstrap makes limits without end:
    # beyond what was seen they go only as far as Student's t does.
    limits = mean_interval(
        columns, confidence_level=confidence_level, rng=rng, seen=(columns.min(0), columns.max(0))
    )
    ids = {id(r) for r in audited}
    others = [r for r in found.values() if id(r) not in ids]
    bests = [b for r in others if not np.isnan(b := r.best(len(r.rewards)))]
    stopped: dict[str, int] = {}
    for r in found.values():
        stopped[r.why] = stopped.get(r.why, 0) + 1
    nothing = float("nan")
    return Audit(
        requests=len(found),
        audited=len(table),
        left_out=len(rows) - len(table),
        measure=measure,
        reference_n=n,
        rule_responses=float(drawn.mean()),
        saved=float(columns[:, 0].mean()),
        saved_low=float(limits.low[0]),
        saved_high=float(limits.high[0]),
        fixed_reward=float(fixed_best.mean()),
        rule_reward=float(rule_best.mean()),
        difference=float(columns[:, 1].mean()),
        difference_low=float(limits.low[1]),
        difference_high=float(limits.high[1]),
        other_responses=float(np.mean([len(r.rewards) for r in others])) if others else nothing,
        other_reward=float(np.mean(bests)) if bests else nothing,
        confidence_level=confidence_level,
        stopped=stopped,
    )


@dataclass
class _Request:
    rows: list[tuple[int, float, float, str | None]] = field(default_factory=list)
    """Number of the response, reward, measure, and why no more were drawn after it."""
    rewards: list[float] = field(default_factory=list)
    measures: list[float] = field(default_factory=list)
    reference_n: int = 0
    rule_n: int | None = None
    why: str = "unknown"

    def compared(self) -> tuple[float, float, float]:
        """Where the rule stopped, the best up to there, and the best of the first N."""
        drawn = len(self.rewards) if self.rule_n is None else self.rule_n
        return drawn, self.best(drawn), self.best(self.reference_n)

    def best(self, n: int) -> float:
        """The measure of the response with the best reward among the first n, the first of equal
        ones; NaN where there is none."""
        scored = [j for j, reward in enumerate(self.rewards[:n]) if reward == reward]
        if not scored:
            return float("nan")
        return self.measures[max(scored, key=lambda j: self.rewards[j])]


def _requests(paths: Sequence[Path], measure: str | None) -> dict[str, _Request]:
    """The requests of logs, by id; rows of a request come in the order in which they were begun."""
    found: dict[str, _Request] = {}
    measured = 0
    for path in paths:
        for line in read_rows(check_path(path)):
            row: dict[str, Any] = line.row
            where = f"{path}, line {line.number}"
            name = row.get("prompt_id")
            if not isinstance(name, str) or "reward" not in row:
                raise BonteaError(f"{where}: this is no row of a log of bontea serve")
            value = _number(row["reward"], "reward", where)
            other = value
            if measure is not None:
                measured += measure in row
                other = _number(row.get(measure), measure, where)
            reference, number = row.get("audit"), row.get("rollout")
            if reference is not None and not _is_count(reference):
                raise BonteaError(
                    f"{where}: audit {str(reference)[:60]!r} is no number of responses"
                )
            request = found.setdefault(name, _Request())
            place = number if isinstance(number, int) else len(request.rows)
            why = None if row.get("stopped") is None else str(row["stopped"])
            request.rows.append((place, value, other, why))
            request.reference_n = reference or request.reference_n
    if measure is not None and not measured and found:
        raise BonteaError(
            f"{', '.join(map(str, paths))}: no row has a score {measure!r}; it is written by "
            f"bontea sample --rescore --reward-name {measure}"
        )
    for request in found.values():
        request.rows.sort(key=lambda one: one[0])  # a log may have been shuffled since
        for count, (_, value, other, why) in enumerate(request.rows, start=1):
            request.rewards.append(value)
            request.measures.append(other)
            if why is not None and request.rule_n is None:
                request.rule_n, request.why = count, why
    return found


def _number(value: Any, name: str, where: str) -> float:
    if value is None:
        return float("nan")
    if not isinstance(value, (int, float)) or not abs(value) < 1e300:
        raise BonteaError(f"{where}: {name} {str(value)[:60]!r} is no number")
    return float(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST
