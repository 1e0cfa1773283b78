"""What `simulate` returns: rules on rollouts that are drawn already, and fixed N on the same."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bontea._json import Result
from bontea._numbers import number, percent
from bontea.tails.fit import TailVerdict


@dataclass(frozen=True)
class Outcome(Result):
    """One rule on the rollouts: means over prompts and orders, intervals over prompts."""

    rule: str
    price: float
    """NaN for a fixed N, and for a budget, whose price moves."""
    reward: float
    reward_low: float
    reward_high: float
    responses: float
    responses_low: float
    responses_high: float
    early: float
    """Share of prompts stopped before the most responses there could be."""
    ran_out: float
    """Share of prompts that wanted more responses than there are rollouts."""
    fixed_n: float
    """The smallest fixed N with the same mean reward, whole or broken; NaN where none has it. The
    one asked for, where every price gives the rule less reward or clearly more."""
    saving: float
    """Responses saved against that fixed N, as a share of it."""
    saving_low: float
    saving_high: float
    asked_n: int | None = None
    """The fixed N whose mean reward was asked for; None at a price or a budget."""


@dataclass(frozen=True)
class FixedN(Result):
    """A fixed N on the same rollouts: its mean reward, with an interval over prompts."""

    n: int
    reward: float
    reward_low: float
    reward_high: float


@dataclass(frozen=True)
class Simulation(Result):
    """What rules would have cost and gained. `str()` is a table."""

    outcomes: list[Outcome]
    prompts: int
    orders: int
    verdict: TailVerdict
    """Of the priors, which share one trust: the median of those that the parts support."""
    message: str
    min_n: int
    max_n: int
    wave: int
    confidence_level: float
    warnings: list[str]
    fixed: list[FixedN]
    """N = 1, 2, 4, ... up to the rollouts of a prompt."""

    def __str__(self) -> str:
        lines = [
            f"{o.rule}: reward {_with(o.reward, o.reward_low, o.reward_high)}, "
            f"responses {_with(o.responses, o.responses_low, o.responses_high)}"
            + (
                f", {percent(o.saving)} [{percent(o.saving_low)}, {percent(o.saving_high)}] "
                f"fewer than fixed N = {number(o.fixed_n, 4)}"
                if math.isfinite(o.saving)
                else ""
            )
            for o in self.outcomes
        ]
        return "\n".join([*lines, f"{self.verdict}: {self.message}", *self.warnings])


def _with(value: float, low: float, high: float) -> str:
    return f"{number(value, 4)} [{number(low, 4)}, {number(high, 4)}]"
