"""Best-of-k curves over prompts, with intervals, and paired comparison of two of them.

Prompts are the independent unit: intervals resample prompts, never single rollouts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bontea._arrays import to_numpy
from bontea.curves.best_of_k import best_of_k


@dataclass(frozen=True)
class Curve:
    """Mean best-of-k over prompts. Arrays are `(K,)`; `per_prompt` is `(P, K)`."""

    ks: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    per_prompt: np.ndarray
    confidence_level: float

    def at(self, k: int) -> tuple[float, float, float]:
        """Value, lower and upper limit at one k of the grid."""
        (where,) = np.nonzero(self.ks == k)
        if len(where) == 0:
            raise ValueError(f"k={k} is not on the curve's grid {self.ks.tolist()}")
        i = where[0]
        return float(self.value[i]), float(self.low[i]), float(self.high[i])


@dataclass(frozen=True)
class Comparison:
    """Paired difference `a - b` of two models on the same prompts. Arrays are `(K,)`."""

    ks: np.ndarray
    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    confidence_level: float


def curve(
    rollouts: Any,
    ks: Sequence[int] | None = None,
    *,
    confidence_level: float = 0.95,
    resamples: int = 2000,
    batch: int | None = 200,
    rng: np.random.Generator | int | None = None,
) -> Curve:
    """The best-of-k curve of one model: mean over prompts, interval by resampling prompts.

    Parameters
    ----------
    rollouts
        `(P, M)` rewards, NaN for a missing rollout, or a list of P lists of any lengths. Prompts
        without a single reward are left out.
    ks
        Values of k; default: powers of 2 up to the smallest group, and that group's size.
    resamples, batch
        Bootstrap resamples of prompts (BCa, scipy.stats.bootstrap), and how many are held in
        memory at once; `batch` does not change the result.
    rng
        Seed or NumPy generator; the same seed gives the same interval.

    With fewer than 3 prompts, or when all prompts agree exactly, limits are NaN, or the value.
    Raises ValueError when a k exceeds the smallest group, or nothing is left.

    >>> c = curve(np.random.default_rng(0).normal(size=(50, 64)), [1, 8, 64], rng=0)
    >>> [round(v, 1) for v in c.at(64)]  # c_64 = 2.34
    [2.3, 2.2, 2.4]
    """
    values, grid = _per_prompt(rollouts, ks)
    low, high = _interval(values, confidence_level, resamples, batch, rng)
    return Curve(grid, values.mean(0), low, high, values, confidence_level)


def compare(
    a: Any,
    b: Any,
    ks: Sequence[int] | None = None,
    *,
    confidence_level: float = 0.95,
    resamples: int = 2000,
    batch: int | None = 200,
    rng: np.random.Generator | int | None = None,
) -> Comparison:
    """Best-of-k of model `a` minus that of `b` on the same prompts, in the same order.

    Arguments as in `curve`. Pairing removes the differences between prompts, which are usually
    larger than those between models. Raises ValueError when the numbers of prompts differ.

    >>> rewards = np.random.default_rng(0).normal(size=(50, 64))
    >>> compare(rewards + 1, rewards, [1, 64], rng=0).difference.round(6).tolist()
    [1.0, 1.0]
    """
    first, second = as_table(a), as_table(b)
    if len(first) != len(second):
        raise ValueError(
            f"the models were run on {len(first)} and {len(second)} prompts: a paired comparison "
            "needs the same prompts in the same order"
        )
    keep = ~(np.isnan(first).all(1) | np.isnan(second).all(1))
    if not keep.any():
        raise ValueError("no prompt has a reward from both models: there is nothing to compare")
    if ks is None:
        ks = default_ks(
            min(int((~np.isnan(table[keep])).sum(1).min()) for table in (first, second))
        )
    difference = _per_prompt(first[keep], ks)[0] - _per_prompt(second[keep], ks)[0]
    low, high = _interval(difference, confidence_level, resamples, batch, rng)
    return Comparison(np.asarray(ks), difference.mean(0), low, high, confidence_level)


def default_ks(m: int) -> list[int]:
    """Powers of 2 up to m, and m.

    >>> default_ks(24)
    [1, 2, 4, 8, 16, 24]
    """
    return sorted({*(2**i for i in range(m.bit_length())), m})


def as_table(rollouts: Any) -> np.ndarray:
    """Rewards as a `(P, M)` float64 array, ragged lists padded with NaN."""
    if isinstance(rollouts, (list, tuple)) and rollouts and np.ndim(rollouts[0]) == 1:
        rows = [np.asarray(row, dtype=float) for row in rollouts]
        table = np.full((len(rows), max(map(len, rows), default=0)), np.nan)
        for i, row in enumerate(rows):
            table[i, : len(row)] = row
        return table
    table = to_numpy(rollouts)
    if table.ndim != 2:
        raise ValueError(
            f"rollouts of shape {table.shape} must be (P, M): one row of rewards per prompt"
        )
    return table


def _per_prompt(rollouts: Any, ks: Sequence[int] | None) -> tuple[np.ndarray, np.ndarray]:
    table = as_table(rollouts)
    count = (~np.isnan(table)).sum(1)
    table, count = table[count > 0], count[count > 0]
    if len(table) == 0:
        raise ValueError("no prompt has a single reward: there is no curve to draw")
    grid = np.asarray(default_ks(int(count.min())) if ks is None else list(ks))
    if grid.size == 0:
        raise ValueError("ks is empty: give at least one k, such as [1, 8, 64]")
    if grid.max() > count.min():
        raise ValueError(
            f"k={grid.max()} exceeds the {count.min()} rewards of the smallest group: draw more "
            "rollouts, or use predict_best_of_n, which extrapolates"
        )
    return np.asarray(best_of_k(table, grid.tolist())), grid


def _interval(
    values: np.ndarray,
    confidence_level: float,
    resamples: int,
    batch: int | None,
    rng: np.random.Generator | int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """BCa limits of the mean over rows of `(P, K)`."""
    from scipy.stats import bootstrap

    low, high = (np.full(values.shape[1], np.nan) for _ in range(2))
    if len(values) < 3:
        return low, high
    same = np.ptp(values, axis=0) <= 1e-12 * np.abs(values).max(0)  # BCa divides by the spread
    low[same] = high[same] = values.mean(0)[same]
    if not same.all():
        limits = bootstrap(
            (values[:, ~same],),
            np.mean,
            axis=0,
            n_resamples=resamples,
            batch=batch,
            confidence_level=confidence_level,
            method="BCa",
            rng=np.random.default_rng(rng),
        ).confidence_interval
        low[~same], high[~same] = limits.low, limits.high
    return low, high
