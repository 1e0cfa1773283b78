"""Before a run: which estimator, how many rollouts M of a prompt, and what N is worth: `plan`.

What these rewards admit is decided by the diagnosis (`bontea.diagnosis.admission`). Everything in
the line-up is measured at each M on the law of these rewards and ranked by two columns, early
progress per rollout and where training ends (`rows`); one rule names one estimator and one M
(`choose`). `diagnose` shows the outcome of the same rule at its one M.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bontea._arrays import check_k, check_n
from bontea._errors import BonteaError
from bontea._json import Result, plain
from bontea._numbers import number, percent_of, typed
from bontea.curves.influence import find_influence
from bontea.diagnosis import Admission, admit, gather
from bontea.planning.choose import choose_estimator, choose_m
from bontea.planning.lineup import lineup
from bontea.planning.pilot import Pilot, pilot_law
from bontea.planning.recommendation import Recommendation, larger_m, recommend
from bontea.planning.rows import Row, measure_row, with_rollouts
from bontea.planning.worth import Deployment, check_gain, deployment, deployment_of
from bontea.rollouts.groups import Rollouts, as_rollouts
from bontea.theory import LARGEST_N, Law, SuccessRates, get_law

SIZES = (8, 16, 32, 64)
DRAWN = (64, 64)
"""Prompts and rollouts drawn of a named law, to see what it admits."""


@dataclass(frozen=True)
class Plan(Result):
    """Every estimator at every M, what to choose, and what N is worth. `str()` ends with it."""

    n: float
    law: str
    batch_size: int
    """Rollouts in a training step of the fastest row."""
    price: float | None
    rows: tuple[Row, ...]
    """In the order of M, then of the line-up."""
    best: Row | None
    """The row of what is recommended; None when nothing is, or there are no figures."""
    trade: tuple[Row, ...]
    """The choice of each M: `batch_size` rollouts as few or many prompts."""
    deployment: Deployment
    recommendation: Recommendation
    notes: tuple[str, ...] = ()
    pilot: Pilot | None = None
    """Where the law comes from, if from rewards."""

    def to_dict(self) -> dict[str, Any]:
        """Everything the tables show, `recommended`, `reason` and `m` first."""
        worth = self.deployment
        columns = {
            "n": worth.ns,
            "value": worth.value,
            "low": worth.low,
            "high": worth.high,
            "in_sd": worth.in_sd,
            "gain": worth.gain,
            "cost": [None] * len(worth.ns) if worth.cost is None else worth.cost,
            "source": worth.source,
        }
        return plain(
            {
                **self.recommendation.to_dict(),
                "n": self.n,
                "law": self.law,
                "pilot": None if self.pilot is None else self.pilot.to_dict(),
                "batch_size": self.batch_size,
                "price": self.price,
                "rows": [row.to_dict() | {"ranked": row.ranked} for row in self.rows],
                "deployment": [
                    dict(zip(columns, values, strict=True))
                    for values in zip(*columns.values(), strict=True)
                ],
                "least_gain": worth.least_gain,
                "enough_n": worth.enough,
                "notes": [*self.notes, *([worth.message] if worth.message else [])],
                "recommendation": str(self.recommendation),
            }
        )

    def __str__(self) -> str:
        lines = [
            f"N = {number(self.n)}, {self.law} rewards, a step of {self.batch_size:,} rollouts"
        ]
        for row in self.rows:
            figures = ""
            if not math.isnan(row.snr):
                figures = f"SNR {row.snr:.3f}  "
                if not math.isnan(row.times):
                    figures += f"rollouts {row.times:.2f} ± {row.times_standard_error:.2f}  "
                if not math.isnan(row.end_share):
                    figures += f"ends at {percent_of(row.end_share)}  "
            lines.append(f"  M = {row.m:<4} {row.estimator:24} {figures}{row.reason}".rstrip())
        return "\n".join([*lines, *self.notes, self.deployment.advice, str(self.recommendation)])


@dataclass(frozen=True)
class Source:
    """What a plan is for: rewards, or a law. The first law is the law, the others are resamples."""

    name: str
    laws: tuple[Law | SuccessRates, ...]
    rollouts: Rollouts
    """The rewards; of a law, rewards drawn from it."""
    pilot: Pilot | None
    notes: tuple[str, ...] = ()

    def admission(self, n: float, m: int | None, seed: int) -> Admission:
        """What it admits for groups of m. A law knows its success rates; rewards tell theirs."""
        admission = admit(gather(self.rollouts, n=n, m=m, rng=seed))
        law = self.laws[0]
        if self.pilot is None and isinstance(law, SuccessRates) and admission.prior is not None:
            return replace(admission, prior=(law.a, law.b))
        return admission

    def rows(
        self,
        admission: Admission,
        *,
        n: float,
        estimators: Sequence[Any] | None = None,
        groups: int = 20_000,
        batch_size: int = 1024,
        seed: int = 0,
        each: Callable[[int], None] | None = None,
    ) -> list[Row]:
        """The line-up measured at the M of `admission`."""
        entries = lineup(n, admission.m, admission, estimators)
        out = []
        for entry in entries:
            out.append(
                measure_row(
                    entry,
                    self.laws,
                    admission,
                    n=n,
                    groups=groups,
                    batch_size=batch_size,
                    seed=seed,
                    hides_ties=self.pilot is not None and self.pilot.hides_ties,
                )
            )
            if each is not None:
                each(len(entries))
        return out


def source_of(rollouts: Any, law: Any, n: float, seed: int) -> Source:
    """Rewards or a law as what a plan is for. Raises BonteaError for both, or neither usable."""
    if rollouts is not None and law is not None:
        raise BonteaError("rollouts and law are two reward laws: give one of them")
    if rollouts is None and _is_data(law):
        rollouts, law = law, None
    if rollouts is not None:
        data = as_rollouts(rollouts)
        pilot = pilot_law(data, rng=seed)
        carries = find_influence(data)
        strange = () if carries is None else (str(carries),)
        notes = (*strange, *pilot.require(n), *pilot.notes)
        return Source(pilot.law.name, (pilot.law, *pilot.resamples), data, pilot, notes)
    built = law if isinstance(law, SuccessRates) else get_law("normal" if law is None else law)
    if isinstance(built, Law) and built.slope is None and len(built.jumps) == 0:
        raise BonteaError(
            f"the rewards of law {built.name!r} never differ: there is nothing to plan"
        )
    notes = ()
    if isinstance(built, Law) and built.slope is None and len(built.jumps) == 1:
        notes = (
            "with one success rate for all prompts every estimator has the same direction, so that "
            "the least noise wins; a pilot of 0/1 rewards shows how prompts differ",
        )
    return Source(built.name, (built,), as_rollouts(_drawn(built)), None, notes)


def _is_data(law: Any) -> bool:
    """Whether it is rewards of many prompts, where a law was expected."""
    if isinstance(law, Rollouts):
        return True
    if isinstance(law, (list, tuple)):
        return len(law) > 0 and np.ndim(law[0]) == 1
    return hasattr(law, "ndim") and law.ndim == 2


def _drawn(law: Law | SuccessRates) -> np.ndarray:
    """Rewards of a law, the same every time."""
    rng = np.random.default_rng(0)
    if isinstance(law, SuccessRates):
        rates = rng.beta(law.a, law.b, size=(DRAWN[0], 1))
        return (rng.random(DRAWN) < rates).astype(float)
    return law.reward(law.latent.draw(rng, DRAWN))


def plan(
    rollouts: Any = None,
    *,
    n: float,
    m: int | Sequence[int] = SIZES,
    law: Any = None,
    estimators: Sequence[Any] | None = None,
    batch_size: int = 1024,
    price: float | None = None,
    least_gain: float | None = None,
    groups: int = 20_000,
    rng: np.random.Generator | int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """Compare estimators and numbers of rollouts M for deployment with best-of-`n`.

    Parameters
    ----------
    rollouts
        Rewards of the start policy: `Rollouts`, a `(P, M)` array (NaN: missing) or ragged lists.
        Names and strata are kept, and the error of this sample is part of every `±`.
    n
        Deployment budget, from 1 to 1e9.
    m
        Numbers of rollouts per prompt to compare, each at least 2.
    law
        In the place of rollouts: anything that `get_law` takes, or `SuccessRates` (0/1 rewards of
        prompts that differ); default `"normal"`. What it admits is seen on 64 x 64 rewards of it.
    estimators
        Anything that `EstimatorSpec.of` takes; default is the line-up for the kind of rewards
        (`bontea.planning.lineup`). A `k` that is not given is `default_k`; the `prior` of
        `pass_at_n` that of the rewards.
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
        Seed or NumPy generator. Every row is `effective_n(..., rng=seed)` with one seed.
    progress
        Called with the rows done so far and the rows in all.

    An estimator that is not admitted or cannot run at an M gets a row that says why. Raises
    BonteaError for an unknown estimator or law, budgets or sizes out of range, rewards without any
    spread, or `n` beyond the number of rewards.

    >>> result = plan(n=128, m=16, estimators=["max_at_k", "adaptive_tea"], groups=2000, rng=0)
    >>> result.recommendation.recommended, result.recommendation.m
    ('adaptive_tea', 16)
    """
    n, sizes = check_n(n), _check_sizes(m)
    if n > LARGEST_N:
        raise BonteaError(
            f"n={typed(n)} is above {number(LARGEST_N)}, the largest that is computed exactly"
        )
    batch_size, groups = check_k(batch_size, "batch_size"), check_k(groups, "groups")
    if batch_size < sizes[-1]:
        raise BonteaError(
            f"batch_size={batch_size} rollouts in a step do not hold one group of m={sizes[-1]}: "
            "use a larger step or a smaller m"
        )
    check_price(price)
    if least_gain is not None:
        check_gain(least_gain)
    if estimators is not None and not len(estimators):
        raise BonteaError("estimators is empty: name at least one, such as adaptive_tea")
    seed = seed_of(rng)
    source = source_of(rollouts, law, n, seed)
    admissions = {size: source.admission(n, size, seed) for size in sizes}
    entries = [entry for a in admissions.values() for entry in lineup(n, a.m, a, estimators)]
    done = 0

    def each(_: int) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, len(entries))

    rows: list[Row] = []
    for admission in admissions.values():
        rows += source.rows(
            admission,
            n=n,
            estimators=estimators,
            groups=groups,
            batch_size=batch_size,
            seed=seed,
            each=each,
        )
    rows = with_rollouts(rows, batch_size, price)
    choices = [
        choice
        for size in sizes
        if (choice := choose_estimator([row for row in rows if row.m == admissions[size].m]))
    ]
    best = choose_m(choices)
    admission = admissions[sizes[0]] if best is None else admissions[best.m]
    advice = recommend(
        admission,
        rows,
        n=n,
        named=estimators is not None,
        more=[] if best is None else larger_m(rows, choices, best),
    )
    return Plan(
        n=n,
        law=source.name,
        batch_size=batch_size,
        price=price,
        rows=tuple(rows),
        best=best,
        trade=tuple(choices),
        deployment=_worth(source, n, price, least_gain, seed),
        recommendation=advice,
        notes=source.notes,
        pilot=source.pilot,
    )


def _worth(
    source: Source, n: float, price: float | None, least_gain: float | None, seed: int
) -> Deployment:
    if source.pilot is None:
        return deployment(source.laws[0], n, price=price, least_gain=least_gain)
    return deployment_of(
        source.rollouts,
        n,
        spread=source.pilot.spread,
        binary=source.pilot.kind.name == "binary",
        price=price,
        least_gain=least_gain,
        rng=seed,
    )


def seed_of(rng: np.random.Generator | int | None) -> int:
    """One seed for all rows: a number as it is, otherwise drawn."""
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool):
        return int(rng)
    return int(np.random.default_rng(rng).integers(2**32))


def check_price(price: float | None) -> None:
    """BonteaError unless the price is None or a number of at least 0."""
    if price is not None and (isinstance(price, bool) or not 0 <= price < float("inf")):
        raise BonteaError(
            f"price={price!r} must be a number of at least 0: what one rollout costs, in any unit"
        )


def _check_sizes(m: int | Sequence[int]) -> list[int]:
    given = [m] if isinstance(m, (int, np.integer)) else list(m)
    sizes = sorted({check_k(size, "m") for size in given})
    if not sizes or sizes[0] < 2:
        raise BonteaError(
            f"m={given} must be numbers of rollouts per prompt, each at least 2: one rollout has "
            "nothing to be compared with"
        )
    return sizes
