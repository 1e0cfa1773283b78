"""Before a run: which estimator, how many rollouts M of a prompt, and what N is worth.

Each estimator is measured at each M on one reward law (`effective_n`; for 0/1 rewards the exact
sums of `bontea.theory.success`). With R rollouts in a step and advantages brought to one size, the
gradient's part along the truth grows over its noise as `SNR sqrt(R)`, so that

    rollouts for the same progress = (SNR of the best row / SNR)^2 times those of the best row.

What that counts as noise: the advantages times everything in the responses that has nothing to do
with their reward, which is nearly all of a large model's parameters and independent between
rollouts. What it leaves out: that prompts differ in their gradients. With R rollouts in a step that
part of the noise goes as the inverse of the number of prompts, R / M: it favours small M, and
rewards alone do not say by how much. So the smallest M is chosen that needs at most a tenth more
rollouts than the best. And where N is below M, `max_at_k(k=N)` is exact whatever the rewards are,
and is chosen if it needs at most a quarter more than an estimator with a tail model.

SNR is the projection on the true direction, but a wrong direction is followed to another end.
Estimators whose cosine to the truth is below 0.98 are shown and not chosen: a policy trained with
cosine .983 reaches 87 % of the best V_N in `risk_frontier`, with .969 80 %. Of 0/1 rewards every
estimator raises every success rate, and the ranking is by SNR alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bontea._arrays import check_k, check_n
from bontea._errors import BonteaError
from bontea.theory.deployment import Deployment, check_gain, deployment
from bontea.theory.exact import LARGEST_N
from bontea.theory.laws import Law, get_law
from bontea.theory.pilot import Pilot
from bontea.theory.plan_rows import (
    Estimator,
    Row,
    complete,
    has_two_values,
    lineup,
    measure,
    with_resamples,
)
from bontea.theory.recommend import recommend
from bontea.theory.success import SuccessRates

COSINE_LIMIT = 0.98
"""Least cosine to the truth of an estimator that is chosen."""
SLACK = 1.1
"""Rollouts, relative to the best row, that a smaller M may cost."""
EXACT_SLACK = 1.25
"""Rollouts, relative to the best row at its M, that `max_at_k` with k = N may cost."""


@dataclass(frozen=True)
class Plan:
    """Every estimator at every M, what to choose, and what N is worth. `str()` ends with it."""

    n: float
    law: str
    batch_size: int
    """Rollouts in a training step of the row that needs fewest."""
    price: float | None
    rows: tuple[Row, ...]
    """In the order of M, then of the line-up."""
    fewest: Row | None
    """The ranked row that needs fewest rollouts."""
    best: Row | None
    """What is recommended: the smallest M within a tenth of it; None when nothing can run."""
    cosine_limit: float
    """Least cosine of a ranked row; 0 for 0/1 rewards."""
    deployment: Deployment
    recommendation: str
    notes: tuple[str, ...] = ()

    @property
    def trade(self) -> tuple[Row, ...]:
        """The best ranked row of each M: `batch_size` rollouts as few or many prompts."""
        found = []
        for m in dict.fromkeys(row.m for row in self.rows):
            ranked = [row for row in self.rows if row.m == m and row.ranked]
            found += [min(ranked, key=lambda row: row.times)] if ranked else []
        return tuple(found)

    def __str__(self) -> str:
        lines = [f"N = {self.n:g}, {self.law} rewards, a step of {self.batch_size:,} rollouts"]
        for row in self.rows:
            if row.reason:
                lines.append(f"  M = {row.m:<4} {row.estimator:24} {row.reason}")
            else:
                lines.append(
                    f"  M = {row.m:<4} {row.estimator:24} effective N {row.effective_n:<6.3g} "
                    f"cosine {row.cosine:.3f}  SNR {row.snr:.3f}  rollouts {row.times:.2f} +- "
                    f"{row.times_se:.2f}" + ("" if row.ranked else "  (not ranked)")
                )
        return "\n".join([*lines, *self.notes, self.deployment.advice, self.recommendation])


def plan(
    *,
    n: float,
    m: Sequence[int] = (8, 16, 32, 64),
    law: Any = "normal",
    estimators: Sequence[Estimator] | None = None,
    batch_size: int = 1024,
    price: float | None = None,
    least_gain: float | None = None,
    groups: int = 20_000,
    rng: np.random.Generator | int | None = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """Compare estimators and numbers of rollouts M for deployment with best-of-`n`.

    Parameters
    ----------
    n
        Deployment budget, from 1 to 1e9.
    m
        Numbers of rollouts per prompt to compare, each at least 2.
    law
        Anything that `get_law` takes, `SuccessRates` (0/1 rewards of prompts that differ), or a
        `Pilot` from `pilot_law`, whose own error is then part of every `+-`.
    estimators
        Names, callables, or pairs `(estimator, params)`; default `LINEUP`, `LINEUP_TIES` or
        `LINEUP_01`. A `k` that is not given is `min(n, M - 1)`; the `prior` of `pass_at_n` that of
        the pilot.
    batch_size
        Rollouts in a training step, all prompts together: of `batch_size / M` prompts at a time
        decide the estimators that look at the batch.
    price
        Of one rollout, in any unit.
    least_gain
        As in `deployment`.
    groups
        Groups drawn for each row, at least 8 steps of them.
    rng
        Seed or NumPy generator: every row is `effective_n(..., rng=seed)` with the same seed.
    progress
        Called with the rows done so far and the rows in all.

    An estimator that cannot run at an M gets a row that says why. Raises ValueError for an unknown
    estimator or law, budgets or sizes out of range, or a law without any spread.

    >>> result = plan(n=128, m=[8, 16], estimators=["max_at_k", "adaptive_tea"], groups=2000)
    >>> result.best.estimator, result.best.m
    ('adaptive_tea', 16)
    """
    n, sizes = check_n(n), _check_sizes(m)
    if n > LARGEST_N:
        raise BonteaError(f"n={n:g} is above {LARGEST_N:g}, the largest that is computed exactly")
    batch_size, groups = check_k(batch_size, "batch_size"), check_k(groups, "groups")
    if batch_size < sizes[-1]:
        raise BonteaError(
            f"batch_size={batch_size} rollouts in a step do not hold one group of m={sizes[-1]}: "
            "use a larger step or a smaller m"
        )
    check_price(price)
    if least_gain is not None:
        check_gain(least_gain)
    notes: tuple[str, ...] = ()
    laws: list[Law | SuccessRates]
    if isinstance(law, Pilot):
        notes = (*law.require(n), *law.notes)
        laws = [law.law, *law.resamples]
    else:
        laws = [law if isinstance(law, SuccessRates) else get_law(law)]
    exact = isinstance(laws[0], SuccessRates)
    if has_two_values(laws[0]):
        notes = (
            "with one success rate for all prompts every estimator has the same direction, so that "
            "the least noise wins; a pilot of 0/1 rewards shows how prompts differ",
        )
    if isinstance(laws[0], Law) and laws[0].slope is None and len(laws[0].jumps) == 0:
        raise BonteaError(
            f"the rewards of law {laws[0].name!r} never differ: there is nothing to plan"
        )
    settings = [
        complete(estimator, size, n, laws[0])
        for size in sizes
        for estimator in (estimators if estimators is not None else lineup(law, laws[0]))
    ]
    if not settings:
        raise BonteaError("estimators is empty: name at least one, such as adaptive_tea")
    seed = (
        rng
        if isinstance(rng, (int, np.integer))
        else int(np.random.default_rng(rng).integers(2**32))
    )

    rows = []
    for done, setting in enumerate(settings):
        row = measure(setting, laws[0], n, groups, batch_size, seed)
        if len(laws) > 1 and not row.reason:
            others = [
                measure(setting, other, n, groups // len(laws), batch_size, seed)
                for other in laws[1:]
            ]
            row = with_resamples(row, others)
        rows.append(row)
        if progress is not None:
            progress(done + 1, len(settings))
    value = deployment(laws[0], n, price=price, least_gain=least_gain)
    if isinstance(law, Pilot) and not exact:
        value = replace(value, note="in standard deviations of a prompt's rewards, from its mean")
    limit = 0.0 if exact else COSINE_LIMIT
    reached = max((row.cosine for row in rows if row.snr > 0), default=math.nan)
    if not exact and reached < limit:
        limit = reached - 0.01  # nothing points right: what points least wrong
    return _ranked(rows, n, laws[0].name, limit, batch_size, price, value, notes)


def check_price(price: float | None) -> None:
    """ValueError unless the price is None or a number of at least 0."""
    if price is not None and (isinstance(price, bool) or not 0 <= price < math.inf):
        raise BonteaError(
            f"price={price!r} must be a number of at least 0: what one rollout costs, in any unit"
        )


def _check_sizes(m: Sequence[int]) -> list[int]:
    sizes = sorted({check_k(size, "m") for size in m})
    if not sizes or sizes[0] < 2:
        raise BonteaError(
            f"m={list(m)} must be numbers of rollouts per prompt, each at least 2: one rollout has "
            "nothing to be compared with"
        )
    return sizes


def _snr(row: Row) -> float:
    return row.snr


def _against(row: Row, best: Row, batch_size: int, price: float | None, ranked: bool) -> Row:
    """The row with its rollouts and cost for the progress of `batch_size` rollouts of `best`."""
    times, error = row.needs(best)
    rollouts = times * batch_size
    return replace(
        row,
        times=times,
        times_se=error,
        rollouts=rollouts,
        prompts=rollouts / row.m,
        cost=None if price is None else rollouts * price,
        ranked=ranked,
    )


def _ranked(
    rows: list[Row],
    n: float,
    law: str,
    limit: float,
    batch_size: int,
    price: float | None,
    value: Deployment,
    notes: tuple[str, ...],
) -> Plan:
    """Rollouts and cost of every row, and the plan."""
    right = [row.snr > 0 and row.cosine >= limit for row in rows]
    fewest = max((r for r, ok in zip(rows, right, strict=True) if ok), key=_snr, default=None)
    if fewest is not None:
        rows = [
            _against(row, fewest, batch_size, price, ok) if not row.reason else row
            for row, ok in zip(rows, right, strict=True)
        ]
    ranked = [row for row in rows if row.ranked]
    fewest = min(ranked, key=lambda row: row.times, default=None)
    near = [row for row in ranked if row.times <= SLACK]
    best = min(near, key=lambda row: (row.m, row.times), default=None)
    for row in ranked:
        if best is not None and row.estimator == f"max_at_k(k={n:g})" and row.m == best.m:
            best = row if row.times <= EXACT_SLACK * best.times else best
    return Plan(
        n=n,
        law=law,
        batch_size=batch_size,
        price=price,
        rows=tuple(rows),
        fewest=fewest,
        best=best,
        cosine_limit=limit,
        deployment=value,
        recommendation=recommend(rows, best, fewest, n=n, limit=limit, usual=COSINE_LIMIT),
        notes=notes,
    )
