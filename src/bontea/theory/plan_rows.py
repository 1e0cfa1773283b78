"""One row of a plan: an estimator at one number of rollouts M, measured on a reward law."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bontea._arrays import Array
from bontea.advantages.spec import EstimatorSpec, get_estimator
from bontea.theory.laws import Law
from bontea.theory.measure import effective_n
from bontea.theory.pilot import Pilot
from bontea.theory.success import SuccessRates, success_alignment

LEAST_STEPS = 8
"""Steps that have to be drawn for a row, for a standard error."""

Estimator = str | Callable[..., Array] | tuple[str | Callable[..., Array], dict[str, Any]]

LINEUP: tuple[Estimator, ...] = (
    "grpo",
    "max_at_k",
    ("tea", {"alpha": 0.25}),
    ("prefix_tea", {"alpha": 0.25}),
    ("linear_tea", {"alpha": 0.25}),
    ("linear_tea", {"alpha": 0.5}),
    "adaptive_tea",
)
"""For real rewards; `max_at_k` gets the largest k that M allows, at most N."""
LINEUP_TIES: tuple[Estimator, ...] = ("grpo", "max_at_k")
"""For a pilot with ties or atoms: what needs no tail."""
LINEUP_01: tuple[Estimator, ...] = ("grpo", "max_at_k", "pass_at_n", "inference_aware")
"""For 0/1 rewards; `pass_at_n` gets the prior of the success rates."""


LOOK_AT_BATCH = {"adaptive_tea", "pass_at_n"}
"""Estimators whose advantages depend on the other prompts of the call."""


@dataclass(frozen=True)
class Row:
    """One estimator at one M. Numbers are NaN where there is none, with the reason."""

    estimator: str
    m: int
    groups: int = 0
    """Drawn for the figures; 0 where they are exact."""
    effective_n: float = math.nan
    effective_n_se: float = math.nan
    cosine: float = math.nan
    cosine_se: float = math.nan
    snr: float = math.nan
    """Of a rollout, along the true direction."""
    snr_se: float = math.nan
    times: float = math.nan
    """Rollouts for the same progress, relative to the best row."""
    times_se: float = math.nan
    rollouts: float = math.nan
    """The same in a step, where the best row takes `batch_size`."""
    prompts: float = math.nan
    """`rollouts / m`."""
    cost: float | None = None
    """`rollouts` times the price."""
    ranked: bool = False
    """Whether it may be chosen: it runs, and its direction is right."""
    reason: str = ""
    """Why there are no figures, and what would do."""
    simulation_se: float = math.nan
    """Of the SNR, given the law."""
    resampled: tuple[float, ...] = ()
    """The SNR on each of the pilot's resamples."""

    def needs(self, best: Row) -> tuple[float, float]:
        """How many times the rollouts of `best` it takes, and the standard error of that."""
        if self is best:
            return 1.0, 0.0
        if not self.snr > 0:
            return math.inf, math.nan
        times = (best.snr / self.snr) ** 2
        error = 2 * times * math.hypot(best.simulation_se / best.snr, self.simulation_se / self.snr)
        if self.resampled and best.resampled:
            with np.errstate(all="ignore"):
                other = (np.array(best.resampled) / np.array(self.resampled)) ** 2
            error = math.hypot(error, float(np.std(other, ddof=1)))
        return times, error


def lineup(law: Any, built: Law | SuccessRates) -> tuple[Estimator, ...]:
    """What is compared when nothing is named: by the kind of rewards."""
    if isinstance(law, Pilot) and law.kind.name in ("mixed", "discrete"):
        return LINEUP_TIES
    return LINEUP_01 if has_two_values(built) or isinstance(built, SuccessRates) else LINEUP


def has_two_values(law: Law | SuccessRates) -> bool:
    """Whether it is a law of two rewards, the same for every prompt."""
    return isinstance(law, Law) and law.slope is None and len(law.jumps) == 1


@dataclass(frozen=True)
class Setting:
    """An estimator with its parameters at one M."""

    estimator: str | Callable[..., Array]
    params: dict[str, Any]
    label: str
    m: int
    looks_at_batch: bool


def complete(estimator: Estimator, m: int, n: float, law: Law | SuccessRates) -> Setting:
    """Fill in `k` and `prior`; ValueError for an unknown estimator or parameter."""
    name, given = estimator if isinstance(estimator, tuple) else (estimator, {})
    function, params = get_estimator(name), dict(given)
    try:
        names = set(inspect.signature(function).parameters)
    except ValueError:
        names = set()
    if "k" in names:
        params.setdefault("k", max(1, int(min(n, m - 1))))
    if "prior" in names and isinstance(law, SuccessRates):
        params.setdefault("prior", (float(f"{law.a:.3g}"), float(f"{law.b:.3g}")))
    label = EstimatorSpec.of(name, **params).bind(n=n, m=m).label
    own = not isinstance(name, str) or ":" in name  # the user's: who knows what it looks at
    return Setting(name, params, label, m, own or name in LOOK_AT_BATCH)


def measure(
    setting: Setting,
    law: Law | SuccessRates,
    n: float,
    groups: int,
    batch_size: int,
    seed: int,
) -> Row:
    """The figures of one row on one law, or why there are none."""
    name, m, params = setting.estimator, setting.m, setting.params
    row = Row(setting.label, m)
    batch = batch_size // m if setting.looks_at_batch else None
    try:
        if isinstance(law, SuccessRates):
            sums = success_alignment(name, n=n, m=m, rates=law, rng=seed, **params)
            if math.isnan(sums.snr):
                return replace(row, reason="every advantage is 0: it does nothing here")
            return replace(
                row, cosine=sums.cosine, cosine_se=0.0, snr=sums.snr, snr_se=0.0, simulation_se=0.0
            )
        count = max(groups, LEAST_STEPS * (batch or 1))
        got = effective_n(name, n=n, m=m, law=law, groups=count, batch=batch, rng=seed, **params)
    except ValueError as error:
        return replace(row, reason=str(error))
    if math.isnan(got.snr):
        return replace(row, reason=got.message)
    return replace(
        row,
        groups=got.groups,
        effective_n=got.value,
        effective_n_se=got.standard_error,
        cosine=got.cosine,
        cosine_se=got.cosine_standard_error,
        snr=got.snr,
        snr_se=got.snr_standard_error,
        simulation_se=got.snr_standard_error,
    )


def with_resamples(row: Row, others: list[Row]) -> Row:
    """Standard errors that hold what the pilot does not know."""

    def spread(name: str, own: float) -> float:
        values = [getattr(other, name) for other in others]
        if not np.isfinite(values).all():
            return math.inf
        return math.hypot(own, float(np.std(values, ddof=1)))

    return replace(
        row,
        effective_n_se=(
            row.effective_n_se
            if math.isnan(row.effective_n)
            else spread("effective_n", row.effective_n_se)
        ),
        cosine_se=spread("cosine", row.cosine_se),
        snr_se=spread("snr", row.snr_se),
        resampled=tuple(other.snr for other in others),
    )
