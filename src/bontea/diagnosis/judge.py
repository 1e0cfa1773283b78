"""The findings that the recommendation rests on, and the recommendation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bontea.diagnosis.degenerate import SignalFinding, find_signal
from bontea.diagnosis.kind import CeilingFinding, KindFinding, find_ceiling, find_kind
from bontea.diagnosis.recommend import Recommendation, recommend
from bontea.diagnosis.success import SuccessFinding, find_success
from bontea.diagnosis.tail import TailFinding, find_tail
from bontea.diagnosis.upper import Upper, upper_halves
from bontea.rollouts.groups import Rollouts

DEFAULT_M = 16


@dataclass(frozen=True)
class Judgement:
    """What `recommend` looks at. Findings that make no sense for the kind of reward are None."""

    m: int
    rollouts: float
    """Median number of rewards of a prompt."""
    kind: KindFinding
    signal: SignalFinding
    ceiling: CeilingFinding | None
    tail: TailFinding | None
    success: SuccessFinding | None
    upper: Upper | None
    recommendation: Recommendation


def judge(
    rollouts: Rollouts, *, n: float, m: int | None, alpha: float, rng: np.random.Generator
) -> Judgement:
    """Find what the recommendation needs; the default of m is as in `diagnose`."""
    scored = rollouts.scored()
    rewards, counts = scored.table(), scored.counts
    median = float(np.median(counts))
    m = max(1, min(DEFAULT_M, int(median))) if m is None else m
    kind = find_kind(rewards, m, alpha, rng)
    binary = kind.kind.name == "binary"
    ceiling = tail = success = upper = None
    if binary:
        success = find_success(rewards, n)
    elif kind.kind.name != "constant":
        ceiling = find_ceiling(rewards, kind.kind)
        upper = upper_halves(rewards, rng)
        tail = find_tail(rewards, m, alpha, rng)
    signal = find_signal(rollouts, alpha, tails=not binary)
    advice = recommend(
        n=n,
        m=m,
        alpha=alpha,
        kind=kind,
        signal=signal,
        ceiling=ceiling,
        tail=tail,
        success=success,
        fitted=0 if upper is None else upper.prompts,
        rollouts=median,
        rewards=int(counts.sum()),
    )
    return Judgement(m, median, kind, signal, ceiling, tail, success, upper, advice)
