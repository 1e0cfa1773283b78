"""One row of a plan: an estimator at one number of rollouts M, measured and ranked.

*Early progress*: with R rollouts in a step and advantages brought to one size, the gradient's part
along the truth grows over its noise as `SNR sqrt(R)`, so that

    rollouts for the same progress = (SNR of the fastest row / SNR)^2 times those of the fastest.

SNR is the directional signal-to-noise of a rollout (`effective_n`; for 0/1 rewards the exact sums
of `success_alignment`). What that counts as noise: the advantages times everything in the responses
that has nothing to do with their reward, which is nearly all of a large model's parameters and
independent between rollouts. What it leaves out: that prompts differ in their gradients.

*Where training ends*: the share of the best V_N that a policy ends at (`ends`). A wrong direction
is followed to another end, however fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bontea._errors import BonteaError
from bontea._json import Result
from bontea.advantages.spec import EstimatorSpec
from bontea.diagnosis.admission import Admission
from bontea.planning.ends import end_share
from bontea.planning.lineup import Entry
from bontea.theory import Law, SuccessRates, effective_n, success_alignment

LEAST_STEPS = 8
"""Steps that have to be drawn for a row, for a standard error."""


@dataclass(frozen=True)
class Row(Result):
    """One estimator at one M. Numbers are NaN where there is none, with the reason."""

    estimator: str
    """Its canonical label."""
    m: int
    spec: EstimatorSpec = field(repr=False, compare=False)
    """Bound to N and M."""
    admitted: bool = True
    """Whether these rewards admit it."""
    candidate: bool = False
    """Whether it may be recommended; the others are there to compare with."""
    reason: str = ""
    """Why it is not admitted or has no figures, and what would do."""
    groups: int = 0
    """Drawn for the figures; 0 where they are exact."""
    effective_n: float = math.nan
    effective_n_standard_error: float = math.nan
    cosine: float = math.nan
    cosine_standard_error: float = math.nan
    snr: float = math.nan
    """Of a rollout, along the true direction."""
    snr_standard_error: float = math.nan
    end_share: float = math.nan
    """Share of the best V_N that a policy trained with it ends at; NaN for 0/1 rewards."""
    times: float = math.nan
    """Rollouts for the same progress, relative to the fastest ranked row."""
    times_standard_error: float = math.nan
    rollouts: float = math.nan
    """The same in a step, where the fastest row takes `batch_size`."""
    prompts: float = math.nan
    """`rollouts / m`."""
    cost: float | None = None
    """`rollouts` times the price."""
    exact: bool = False
    """Its expected gradient is that of best-of-N, whatever the rewards are."""
    simulation_error: float = field(default=math.nan, repr=False)
    """Of the SNR, given the law."""
    resampled: tuple[float, ...] = field(default=(), repr=False)
    """The SNR on each of the pilot's resamples."""

    @property
    def ranked(self) -> bool:
        """Whether it is admitted, and moves the policy towards best-of-N."""
        return self.admitted and self.snr > 0

    def needs(self, other: Row) -> tuple[float, float]:
        """How many times the rollouts of `other` it takes, and the standard error of that."""
        if self is other:
            return 1.0, 0.0
        if not self.snr > 0:
            return math.inf, math.nan
        times = (other.snr / self.snr) ** 2
        error = (
            2
            * times
            * math.hypot(other.simulation_error / other.snr, self.simulation_error / self.snr)
        )
        if self.resampled and other.resampled:
            with np.errstate(all="ignore"):
                ratios = (np.array(other.resampled) / np.array(self.resampled)) ** 2
            error = math.hypot(error, float(np.std(ratios, ddof=1)))
        return times, error


def measure_row(
    entry: Entry,
    laws: Sequence[Law | SuccessRates],
    admission: Admission,
    *,
    n: float,
    groups: int,
    batch_size: int,
    seed: int,
    hides_ties: bool = False,
) -> Row:
    """The figures of one entry on the first law; the others say how sure they are.

    On a law that hides ties an estimator that is not admitted gets no figures, which would flatter
    it.
    """
    spec, m = entry.spec, admission.m
    refusal = admission.refusal(spec)
    row = Row(
        spec.label,
        m,
        spec,
        admitted=not refusal,
        candidate=entry.candidate,
        exact=entry.exact,
        reason=f"not admitted: {refusal}" if refusal else "",
    )
    if refusal and hides_ties:
        return row
    step = max(1, batch_size // m) if spec.looks_at_batch else None
    row = _on_law(row, entry, laws[0], n, groups, step, seed)
    if not math.isnan(row.snr) and len(laws) > 1:
        # Of these no standard errors are wanted: few large batches will do.
        few = groups // len(laws)
        at_once = step or max(1, few // LEAST_STEPS)
        others = [_on_law(row, entry, law, n, few, at_once, seed) for law in laws[1:]]
        row = _with_resamples(row, others)
    if not math.isnan(row.snr) and admission.verdict != "binary":
        row = replace(row, end_share=end_share(spec, n=n, m=m))
    return row


def _on_law(
    row: Row,
    entry: Entry,
    law: Law | SuccessRates,
    n: float,
    groups: int,
    batch: int | None,
    seed: int,
) -> Row:
    spec, m = entry.spec, row.m

    def without(why: str) -> Row:
        return replace(row, reason=row.reason or why)

    try:
        if isinstance(law, SuccessRates):
            sums = success_alignment(spec, n=n, m=m, rates=law, rng=seed)
            if math.isnan(sums.snr):
                return without("every advantage is 0: it does nothing here")
            return replace(
                row,
                cosine=sums.cosine,
                cosine_standard_error=0.0,
                snr=sums.snr,
                snr_standard_error=0.0,
                simulation_error=0.0,
            )
        count = max(groups, LEAST_STEPS * (batch or 1))
        got = effective_n(spec, n=n, m=m, law=law, groups=count, batch=batch, rng=seed)
    except BonteaError as error:
        return without(str(error))
    if math.isnan(got.snr):
        return without(got.message)
    return replace(
        row,
        groups=got.groups,
        effective_n=got.value,
        effective_n_standard_error=got.standard_error,
        cosine=got.cosine,
        cosine_standard_error=got.cosine_standard_error,
        snr=got.snr,
        snr_standard_error=got.snr_standard_error,
        simulation_error=got.snr_standard_error,
    )


def _with_resamples(row: Row, others: list[Row]) -> Row:
    """Standard errors that hold what the pilot does not know."""

    def spread(name: str, own: float) -> float:
        values = [getattr(other, name) for other in others]
        if not np.isfinite(values).all():
            return math.inf
        return math.hypot(own, float(np.std(values, ddof=1)))

    return replace(
        row,
        effective_n_standard_error=(
            row.effective_n_standard_error
            if math.isnan(row.effective_n)
            else spread("effective_n", row.effective_n_standard_error)
        ),
        cosine_standard_error=spread("cosine", row.cosine_standard_error),
        snr_standard_error=spread("snr", row.snr_standard_error),
        resampled=tuple(other.snr for other in others),
    )


def with_rollouts(rows: Sequence[Row], batch_size: int, price: float | None) -> list[Row]:
    """The rows with their rollouts and cost for the progress of the fastest ranked one."""
    fastest = fastest_of(rows)
    if fastest is None:
        return list(rows)
    out = []
    for row in rows:
        if math.isnan(row.snr):
            out.append(row)
            continue
        times, error = row.needs(fastest)
        rollouts = times * batch_size
        out.append(
            replace(
                row,
                times=times,
                times_standard_error=error,
                rollouts=rollouts,
                prompts=rollouts / row.m,
                cost=None if price is None else rollouts * price,
            )
        )
    return out


def fastest_of(rows: Sequence[Row]) -> Row | None:
    """The ranked row with the largest signal-to-noise."""
    return max((row for row in rows if row.ranked), key=lambda row: row.snr, default=None)


Progress = Callable[[int, int], None]
"""Called with the rows done so far and the rows in all."""
