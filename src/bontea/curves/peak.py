"""Where a curve peaks, which k cannot be ruled out as the peak, and whether it falls after it.

The highest point of a curve that was measured on P prompts is at some k; on other prompts it would
be at another. What is given is a set of k that holds the true peak with the confidence asked for:
all k that no other k beats by more than chance explains. Of each k the question is the largest lead
of another one, in standard errors of the paired difference,

    T_k = max_j (mean_j - mean_k) / se_jk,

and chance is what the same is in resamples of the prompts, with the curve's own height taken out,
so that k is ruled out if T_k is beyond the quantile of

    T*_k = max_j ((mean*_j - mean_j) - (mean*_k - mean_k)) / se_jk.

The maximum over j pays for having looked at all of them. Deviations are scaled up and quantiles
taken at levels for Student's t, as in `bontea.curves.intervals`. How often it holds is measured in
benchmarks/experiments/two_scores.

The largest k ruled out means that the curve falls after its peak; the smallest ruled out, that it
rises to it. p-values are of these two statements, each by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from bontea._json import Result
from bontea._numbers import number, percent
from bontea.curves.intervals import LEAST_PROMPTS, centred_in_strata, resampled_means

if TYPE_CHECKING:
    from bontea._types import Bool, Float, Int

PeakVerdict: TypeAlias = Literal["peaks", "rises", "falls", "undecided"]


@dataclass(frozen=True)
class Peak(Result):
    """Where a curve is highest. `str()` says which N to deploy."""

    name: str
    """What the curve is of."""
    k: int
    """Where the mean is highest; the smallest such k."""
    value: float
    """The mean there. It is the highest of several, and so a little too high on average."""
    ks: Int[np.ndarray, " K"]
    not_ruled_out: Bool[np.ndarray, " K"]
    """The k that may be the peak: together they hold it with the confidence asked for."""
    p_rise: float
    """p-value of "nothing is higher than at the smallest k"; NaN where prompts cannot tell."""
    p_fall: float
    """p-value of "nothing is higher than at the largest k"; NaN where prompts cannot tell."""
    first_value: float
    last_value: float
    """The mean at the smallest and at the largest k."""
    confidence_level: float
    note: str
    """Why nothing can be told; empty where it can."""

    DERIVED = ("verdict", "message", "low", "high", "deploy")

    @property
    def low(self) -> int:
        """The smallest k that may be the peak."""
        return int(self.ks[self.not_ruled_out].min())

    @property
    def high(self) -> int:
        """The largest k that may be the peak."""
        return int(self.ks[self.not_ruled_out].max())

    @property
    def verdict(self) -> PeakVerdict:
        """`"peaks"` inside the grid, `"rises"` to its end, `"falls"` from its beginning, or none of
        them is beyond chance."""
        first, last = bool(self.not_ruled_out[0]), bool(self.not_ruled_out[-1])
        if self.note or len(self.ks) < 2 or (first and last):
            return "undecided"
        return "falls" if first else "rises" if last else "peaks"

    @property
    def deploy(self) -> int | None:
        """The N to deploy: the peak; None where no k is better than another beyond chance."""
        return None if self.verdict == "undecided" else self.k

    @property
    def message(self) -> str:
        """What to deploy and why."""
        level = percent(self.confidence_level)
        last, first = int(self.ks[-1]), int(self.ks[0])
        if self.note:
            return self.note
        if len(self.ks) < 2:
            return f"one k has no peak: {self.name} is {number(self.value, 3)} at k = {self.k}"
        where = f"k = {self.k} ({level} interval of the peak: {self.low} to {self.high})"
        top = f"{self.name} is highest at {where}, {number(self.value, 3)}"
        falls = (
            f"{number(self.last_value, 3)} at k = {last} is lower, and that is no chance (p "
            f"{_p(self.p_fall)})"
        )
        if self.verdict == "peaks":
            return f"{top}; {falls}: deploy N = {self.k}, and not the largest N that you can pay"
        if self.verdict == "falls":
            return (
                f"{top}; {falls}, and that choosing makes {self.name} higher than at k = {first} "
                f"is not shown: deploy N = {self.k}, or choose by another score"
            )
        if self.verdict == "rises":
            more = (
                f"it rises to k = {last}, the largest here, so that a larger N may be better still"
                if self.k == last
                else f"that it falls until k = {last} is not shown (p {_p(self.p_fall)})"
            )
            return f"{top}; {more}: deploy N = {self.k}"
        return (
            f"{self.name} is {number(self.first_value, 3)} at k = {first} and "
            f"{number(self.last_value, 3)} at k = {last}, highest at {where}: no k is better than "
            "these two beyond chance, so that choosing is not shown to help or to harm; use more "
            "prompts"
        )

    def __str__(self) -> str:
        return self.message


def find_peak(
    values: Float[np.ndarray, "P K"],
    ks: Sequence[int],
    strata: Sequence[Any] | np.ndarray | None = None,
    *,
    name: str = "the measure",
    confidence_level: float = 0.95,
    resamples: int = 2000,
    batch: int | None = 200,
    rng: np.random.Generator | int | None = None,
) -> Peak:
    """The peak of the mean over P prompts of curves `(P, K)`, as in the module docstring.

    Where prompts cannot tell (fewer than 5, or all agree) every k may be the peak.
    """
    from scipy.stats import norm, t

    mean = values.mean(0)
    at = int(np.argmax(mean >= mean.max() - 1e-12 * np.abs(mean).max()))
    width, prompts = len(mean), len(values)
    may, p = np.ones(width, dtype=bool), np.full(width, np.nan)
    note = ""
    if prompts < LEAST_PROMPTS:
        note = (
            f"{name} is highest at k = {ks[at]}, but {prompts} prompt{'s' * (prompts > 1)} cannot "
            f"tell whether another k is better: at least {LEAST_PROMPTS} are needed"
        )
    elif np.ptp(values, axis=1).max() <= 1e-12 * np.abs(values).max() and width > 1:
        note = f"{name} does not depend on k: which response is chosen makes no difference to it"
    elif width > 1:
        centred, sizes = centred_in_strata(values, strata)
        scaled = centred * np.repeat(np.sqrt(sizes / (sizes - 1)), sizes)[:, None]
        tiny = 1e-9 * np.abs(scaled).max() / np.sqrt(prompts)
        drawn = resampled_means(centred, sizes, resamples, batch, rng)
        freedom = prompts - len(sizes)
        for k in range(width):
            se = np.sqrt(((scaled - scaled[:, [k]]) ** 2).sum(0)) / prompts
            real = se > tiny  # a difference that all prompts agree on says nothing of its spread
            if not real.any():
                continue
            lead = float(((mean - mean[k])[real] / se[real]).max())
            chance = ((drawn - drawn[:, [k]])[:, real] / se[real]).max(1)
            share = (1 + np.count_nonzero(chance >= lead)) / (1 + len(chance))
            # Student's t has longer tails than the resamples of few prompts.
            p[k] = t.sf(norm.isf(share), freedom)
            may[k] = k == at or p[k] > 1 - confidence_level
    return Peak(
        name=name,
        k=int(ks[at]),
        value=float(mean[at]),
        ks=np.asarray(ks),
        not_ruled_out=may,
        p_rise=float(p[0]),
        p_fall=float(p[-1]),
        first_value=float(mean[0]),
        last_value=float(mean[-1]),
        confidence_level=confidence_level,
        note=note,
    )


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {number(p, 2)}"
