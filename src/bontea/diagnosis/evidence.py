"""What the rewards show: everything that several findings and the admission rest on, found once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from bontea._arrays import check_alpha, check_k, check_n
from bontea.diagnosis.ceiling import CeilingFinding, find_ceiling
from bontea.diagnosis.degenerate import SignalFinding, find_signal
from bontea.diagnosis.kind import KindFinding, find_kind
from bontea.diagnosis.success import SuccessFinding, find_success
from bontea.diagnosis.tail import ALL_EQUAL, TailFinding, find_tail
from bontea.diagnosis.upper import Reference, Summary, Upper, reference, summarise, upper_halves
from bontea.rollouts.groups import Rollouts, as_rollouts

DEFAULT_M = 16


@dataclass(frozen=True, eq=False)
class Evidence:
    """Rewards, the run they are looked at for, and findings that others need.

    Findings that make no sense for the kind of reward are None.
    """

    rollouts: Rollouts
    scored: Rollouts
    n: float
    m: int
    """Rollouts of a prompt in training."""
    m_given: bool
    """Whether M was given, or is the smaller of 16 and the median group."""
    alpha: float
    rng: np.random.Generator = field(repr=False)
    rewards: np.ndarray
    """(P, M) of the scored rollouts."""
    median: float
    """Median number of rewards of a prompt."""
    kind: KindFinding
    signal: SignalFinding
    ceiling: CeilingFinding | None
    tail: TailFinding | None
    success: SuccessFinding | None
    upper: Upper | None
    measure: str | None = None
    """Name of another score that the chosen responses are judged by."""

    @property
    def fitted(self) -> int:
        """Prompts with a spread in their upper half."""
        return 0 if self.upper is None else self.upper.prompts

    @property
    def no_upper(self) -> str | None:
        """Why the upper half says nothing (`""` where that needs no words); None if it does."""
        if self.kind.kind.name == "constant":
            return ALL_EQUAL
        if self.upper is None:
            return ""
        if self.fitted >= 2:
            return None
        there = "is 1" if self.fitted else "are 0"
        return f"2 prompts with 5 rewards and a spread among the best are needed, and there {there}"

    @cached_property
    def upper_half(self) -> tuple[Upper, Summary, Reference]:
        """The upper half, what it gives, and what normal rewards give in the same groups."""
        assert self.upper is not None
        return self.upper, summarise(self.upper), reference(self.upper.sizes)


def gather(
    rollouts: Any,
    *,
    n: float,
    m: int | None = None,
    alpha: float = 0.25,
    measure: str | None = None,
    rng: np.random.Generator | int | None = None,
) -> Evidence:
    """Look at rewards `(P, M)`, ragged lists or `Rollouts`, for a run with these settings.

    The default of `m` is the smaller of 16 and the median group. `measure` is the name of another
    score (`Rollouts.scores`). `rng` deals rewards into groups of m, and picks prompts where there
    are very many. Raises BonteaError for n < 1, alpha outside (0, 1], m < 1, infinite rewards, no
    reward at all, or a measure that is not there.
    """
    n, alpha = check_n(n), check_alpha(alpha)
    given = None if m is None else check_k(m, "m")
    data = as_rollouts(rollouts)
    data.score(measure)
    generator = np.random.default_rng(rng)
    scored = data.scored()
    rewards = scored.table()
    median = float(np.median(scored.counts))
    size = max(1, min(DEFAULT_M, int(median))) if given is None else given
    kind = find_kind(rewards, size, alpha, generator)
    binary = kind.kind.name == "binary"
    ceiling = tail = success = upper = None
    if binary:
        success = find_success(rewards, n)
    elif kind.kind.name != "constant":
        ceiling = find_ceiling(rewards, kind.kind)
        upper = upper_halves(rewards, generator)
        tail = find_tail(rewards, size, alpha, generator)
    return Evidence(
        rollouts=data,
        scored=scored,
        n=n,
        m=size,
        m_given=given is not None,
        alpha=alpha,
        rng=generator,
        rewards=rewards,
        median=median,
        kind=kind,
        signal=find_signal(data, alpha, tails=not binary),
        ceiling=ceiling,
        tail=tail,
        success=success,
        upper=upper,
        measure=measure,
    )
