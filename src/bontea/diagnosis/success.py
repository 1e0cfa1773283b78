"""0/1 rewards: how success rates are spread over prompts, and what pass@N they promise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bontea._numbers import number, percent
from bontea.diagnosis.finding import Finding, Mark
from bontea.diagnosis.reading import Reading
from bontea.tails.beta_binomial import expected_pass_at_n, fit_beta

if TYPE_CHECKING:
    from bontea.diagnosis.evidence import Evidence


@dataclass(frozen=True)
class SuccessFinding(Finding):
    """Success rates as Beta(a, b) over prompts. `worse` counts as failure, `better` as success."""

    key: ClassVar[str] = "success"
    title: ClassVar[str] = "Success rates"

    prior: tuple[float, float]
    rate: float
    """Share of successes among the rewards."""
    none: Reading
    """Share of the prompts without a success; the band is harmless."""
    every: Reading
    """Share of the prompts with nothing else."""
    pass_at_n: float
    """Expected pass@N of a prompt, under the prior."""
    n: float
    better: float

    @property
    def mark(self) -> Mark:
        return "ok" if self.none.inside and self.every.inside else "look"

    @property
    def text(self) -> str:
        a, b = self.prior
        return (
            f"{percent(self.rate)} of the rewards are {number(self.better)}; success rates of "
            f"prompts follow about Beta({number(a, 2)}, {number(b, 2)}), and "
            f"pass@{number(self.n)} is expected to be {self.pass_at_n:.2f}. No success in "
            f"{percent(self.none.value)} of the prompts, nothing else in "
            f"{percent(self.every.value)}: these give no gradient (each harmless up to "
            f"{percent(self.none.band[1])}). An estimate of pass@N beyond M leans on the beta "
            "law: there is no tail to look at."
        )


def find_success(rewards: np.ndarray, n: float) -> SuccessFinding:
    """Fit the rates of a `(P, M)` table of two values, of which the larger is success."""
    counts = np.isfinite(rewards).sum(axis=1)
    rewards, counts = rewards[counts > 0], counts[counts > 0]
    better = float(np.nanmax(rewards))
    successes = (rewards == better).sum(axis=1)
    prior = fit_beta(successes, counts)
    return SuccessFinding(
        prior=prior,
        rate=float(successes.sum() / counts.sum()),
        none=Reading(float((successes == 0).mean()), (0, 0.5)),
        every=Reading(float((successes == counts).mean()), (0, 0.5)),
        pass_at_n=expected_pass_at_n(n, *prior),
        n=n,
        better=better,
    )


def look(evidence: Evidence) -> SuccessFinding | None:
    """The finding for `diagnose`; only for rewards of two values."""
    return evidence.success
