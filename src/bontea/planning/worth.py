"""What N buys in deployment: best-of-N against N, and the gain of each doubling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bontea._arrays import check_n
from bontea._errors import BonteaError
from bontea._json import Result
from bontea._numbers import number
from bontea.curves import curve, extrapolate
from bontea.planning.pilot import LEAST_ROLLOUTS
from bontea.rollouts.groups import as_rollouts
from bontea.theory.exact import LARGEST_N, law_spread, value
from bontea.theory.laws import Law, get_law
from bontea.theory.success import SuccessRates

LEAST_GAIN = 0.1
"""In standard deviations of the rewards of a prompt, what a doubling has to bring by default."""
LEAST_GAIN_01 = 0.01
"""The same for 0/1 rewards, in pass@N."""


@dataclass(frozen=True)
class Deployment(Result):
    """Best-of-N for a row of budgets. Arrays are `(K,)`, in reward units."""

    ns: np.ndarray
    """Budgets, ascending; NaN values where nothing can be said."""
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    """Interval of the value; NaN where it is exact, or unknown."""
    gain: np.ndarray
    """`V_2N - V_N`."""
    spread: float
    """Standard deviation of the rewards of a prompt."""
    mean: float
    """`V_1`."""
    least_gain: float
    enough: float
    """The least N of those looked at from which on no doubling gains `least_gain`; NaN if none."""
    price: float | None
    source: tuple[str, ...]
    """Where each value comes from: `"exact"`, `"seen"` or `"extrapolated"`."""
    message: str = ""
    """Where values beyond the sample come from, and how far they can be trusted."""

    @property
    def in_sd(self) -> np.ndarray:
        """`(V_N - V_1) / spread`."""
        return (self.value - self.mean) / self.spread

    @property
    def cost(self) -> np.ndarray | None:
        """Cost of one prompt, `N price`."""
        return None if self.price is None else self.ns * self.price

    @property
    def advice(self) -> str:
        """The last word on N, a sentence or two."""
        least = number(self.least_gain, 3)
        known = np.flatnonzero(np.isfinite(self.gain))
        if len(known) == 0:
            return "What a doubling of N gains is not known."
        exact = self.source[-1] == "exact"
        looked = LARGEST_N if exact else float(2 * self.ns[known[-1]])
        if math.isnan(self.enough):
            return f"Every doubling gains {least} or more, up to N = {looked:,.0f} at least."
        text = f"From N = {self.enough:,.0f} on a doubling gains less than {least}"
        return f"{text}." if exact else f"{text}, up to N = {looked:,.0f} at least."


def deployment(
    law: Any, n: float, *, price: float | None = None, least_gain: float | None = None
) -> Deployment:
    """Exact best-of-N of a law for N/8, N/4, ... 8N, and where doublings stop paying.

    Parameters
    ----------
    law
        Anything that `get_law` takes, or `SuccessRates`.
    price
        Of one response, in any unit.
    least_gain
        What a doubling of N has to bring, in reward units; default a tenth of the standard
        deviation of the rewards of a prompt, or 0.01 in pass@N.

    >>> d = deployment("uniform", 16, price=0.5)
    >>> d.ns.tolist(), d.cost[:2].tolist(), d.enough  # V_N = N / (N + 1)
    ([2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0], [1.0, 2.0], 16.0)
    """
    n = check_n(n)
    if isinstance(law, SuccessRates):
        best_of, spread, default = law.value, law.spread, LEAST_GAIN_01
    else:
        law = get_law(law)

        def best_of(n: float, law: Law = law) -> float:
            return value(law, n)

        spread = law_spread(law)
        default = LEAST_GAIN * spread
    least = check_gain(default if least_gain is None else least_gain)
    ns = budgets(n)
    values = np.array([best_of(k) for k in ns])
    gain = np.array(
        [
            best_of(2 * k) - v if 2 * k <= LARGEST_N else math.nan
            for k, v in zip(ns, values, strict=True)
        ]
    )
    powers = 2.0 ** np.arange(1 + int(math.log2(LARGEST_N)))
    curve = np.array([best_of(k) for k in powers])
    return Deployment(
        ns=ns,
        value=values,
        low=np.full(len(ns), math.nan),
        high=np.full(len(ns), math.nan),
        gain=gain,
        spread=spread,
        mean=best_of(1),
        least_gain=least,
        enough=enough(powers[:-1], np.diff(curve), least),
        price=price,
        source=("exact",) * len(ns),
    )


def deployment_of(
    rollouts: Any,
    n: float,
    *,
    spread: float,
    binary: bool,
    price: float | None = None,
    least_gain: float | None = None,
    rng: np.random.Generator | int | None = None,
) -> Deployment:
    """Best-of-N of the prompts of a pilot, in reward units, for the same budgets.

    Seen up to the smallest group (`curve`), then extrapolated with its own doubts (`extrapolate`);
    both with the strata of the rollouts. Prompts with fewer than 4 rewards are left out unless
    rewards are 0/1. `spread` is the mean standard deviation of the rewards of a prompt.

    >>> rewards = np.random.default_rng(0).normal(size=(100, 16))
    >>> d = deployment_of(rewards, 16, spread=1.0, binary=False, rng=0)
    >>> d.source
    ('seen', 'seen', 'seen', 'seen', 'extrapolated', 'extrapolated', 'extrapolated')
    """
    n = check_n(n)
    data = as_rollouts(rollouts).scored()
    enough_rewards = data.counts >= (1 if binary else LEAST_ROLLOUTS)
    data = data.select(enough_rewards)
    smallest = int(data.counts.min())
    ns = budgets(n)
    seen = (ns <= smallest) & (ns == np.floor(ns))
    value, low, high = np.full((3, len(ns)), math.nan)
    if seen.any():
        inside = curve(data, ns[seen].astype(int).tolist(), rng=rng)
        value[seen], low[seen], high[seen] = inside.value, inside.low, inside.high
    gain = _doublings(ns, value)
    message = ""
    if not seen.all():
        # All budgets: a doubling out of the sample is a difference within one fit.
        fit = extrapolate(data, ns.tolist())
        value[~seen], low[~seen], high[~seen] = fit.value[~seen], fit.low[~seen], fit.high[~seen]
        gain = np.where(np.isnan(gain), _doublings(ns, fit.value), gain)
        message = f"Beyond {smallest} rollouts: " + (
            f"nothing is predicted, {fit.message}"
            if fit.refused
            else f"{fit.method}, {fit.verdict}: {fit.message}"
        )
    default = LEAST_GAIN_01 if binary else LEAST_GAIN * spread
    least = check_gain(default if least_gain is None else least_gain)
    known = np.isfinite(gain)
    starts = data.offsets[:-1]
    means = np.add.reduceat(data.rewards, starts) / data.counts
    return Deployment(
        ns=ns,
        value=value,
        low=low,
        high=high,
        gain=gain,
        spread=spread,
        mean=float(means.mean()),
        least_gain=least,
        enough=enough(ns[known], gain[known], least) if known.any() else math.nan,
        price=price,
        source=tuple("seen" if inside else "extrapolated" for inside in seen),
        message=message,
    )


def _doublings(ns: np.ndarray, value: np.ndarray) -> np.ndarray:
    """`V_2N - V_N`, NaN where 2N is not among the budgets."""
    by_n = dict(zip(ns.tolist(), value.tolist(), strict=True))
    return np.array([by_n.get(2 * n, math.nan) for n in ns.tolist()]) - value


def budgets(n: float) -> np.ndarray:
    """N/8, N/4, ... 8N, whole numbers but for N itself, from 1 to 1e9.

    >>> budgets(10).tolist()
    [1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0]
    """
    ns = {n if j == 0 else max(1.0, float(round(n * 2.0**j))) for j in range(-3, 4)}
    return np.array(sorted(k for k in ns if k <= LARGEST_N))


def enough(ns: Sequence[float] | np.ndarray, gain: np.ndarray, least: float) -> float:
    """The least of `ns` from which on every gain is below `least`; NaN when the last is not.

    >>> enough([1, 2, 4], np.array([0.5, 0.2, 0.1]), 0.3)
    2.0
    """
    pays = np.flatnonzero(~(np.asarray(gain) < least))
    first = 0 if len(pays) == 0 else int(pays[-1]) + 1
    return float(ns[first]) if first < len(ns) else math.nan


def check_gain(least_gain: float) -> float:
    """The least gain as a number of at least 0."""
    if isinstance(least_gain, bool) or not 0 <= least_gain < math.inf:
        raise BonteaError(
            f"least_gain={least_gain!r} must be a number of at least 0, in reward units: what a "
            "doubling of N has to bring"
        )
    return float(least_gain)
