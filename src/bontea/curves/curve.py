"""Best-of-k curves over prompts, with intervals.

Prompts are the independent unit: intervals resample prompts, never single rollouts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bontea._arrays import to_numpy
from bontea.curves.best_of_k import best_of_k_by_prompt
from bontea.curves.intervals import CURVE_METHOD, mean_interval


@dataclass(frozen=True)
class Curve:
    """Mean best-of-k over prompts. Arrays are `(K,)`; `per_prompt` is `(P, K)`.

    `str()` is a table, and ends with what the interval is of, or why there is none.
    """

    ks: np.ndarray
    value: np.ndarray
    low: np.ndarray
    """NaN where the prompts cannot give an interval; `note` says why."""
    high: np.ndarray
    per_prompt: np.ndarray
    confidence_level: float
    standard_error: np.ndarray
    method: str
    """How the interval was made."""
    pass_at_k: bool
    """All rewards are 0 or 1."""
    note: str
    """Why a limit is missing, or what was done about the strata; empty when there is nothing."""

    def at(self, k: int) -> tuple[float, float, float]:
        """Value, lower and upper limit at one k of the grid."""
        (where,) = np.nonzero(self.ks == k)
        if len(where) == 0:
            raise ValueError(f"k={k} is not on the curve's grid {self.ks.tolist()}")
        i = where[0]
        return float(self.value[i]), float(self.low[i]), float(self.high[i])

    def __str__(self) -> str:
        name = "pass@" if self.pass_at_k else "best of "
        rows = [
            f"{name}{k}: {with_limits(*self.at(k))}" for k in self.ks if is_landmark(k, self.ks)
        ]
        prompts = len(self.per_prompt)
        return (
            f"mean over {prompts} prompt{'s' * (prompts > 1)}, {100 * self.confidence_level:g} % "
            f"interval ({self.method})\n  "
            + "\n  ".join(rows)
            + "\n"
            + (
                self.note
                or "the interval is for prompts like these; four times as many halve it, and more "
                "rollouts hardly do"
            )
        )


def curve(
    rollouts: Any,
    ks: Sequence[int] | None = None,
    *,
    strata: Sequence[Any] | np.ndarray | None = None,
    method: str = CURVE_METHOD,
    confidence_level: float = 0.95,
    resamples: int = 2000,
    batch: int | None = 200,
    rng: np.random.Generator | int | None = None,
) -> Curve:
    """The best-of-k curve of one model: mean over prompts, interval from the spread over prompts.

    Parameters
    ----------
    rollouts
        `Rollouts`, `(P, M)` rewards with NaN for a missing rollout, or a list of P lists of any
        lengths. Prompts without a single reward are left out.
    ks
        Values of k; default: about four to a doubling, up to the smallest group.
    strata
        `(P,)` labels: prompts are resampled inside their stratum; default: those of `rollouts`.
    method
        `"studentised"`, `"bca"`, `"percentile"` (resampling) or `"jackknife"` (none, fast): see
        `bontea.curves.intervals`.
    resamples, batch
        Resamples of prompts, and how many are held in memory at once; `batch` does not change the
        result.
    rng
        Seed or NumPy generator; the same seed gives the same interval.

    Limits are NaN where all prompts agree and with fewer than 5 prompts (2 for the jackknife); 0/1
    rewards (pass@k) have limits in [0, 1].
    Raises ValueError when a k exceeds the smallest group, or nothing is left.

    >>> c = curve(np.random.default_rng(0).normal(size=(50, 64)), [1, 8, 64], rng=0)
    >>> [round(v, 1) for v in c.at(64)]  # c_64 = 2.34
    [2.3, 2.2, 2.4]
    """
    groups = read_groups(rollouts, strata)
    groups = groups.take(np.flatnonzero(groups.counts))
    if len(groups.counts) == 0:
        raise ValueError("no prompt has a single reward: there is no curve to draw")
    grid = check_grid(ks, int(groups.counts.min()))
    values = best_of_k_by_prompt(groups.rewards, groups.counts, grid)
    pass_at_k = groups.zero_one()
    interval = mean_interval(
        values,
        groups.strata,
        method=method,
        confidence_level=confidence_level,
        resamples=resamples,
        batch=batch,
        rng=rng,
        bounds=(0, 1) if pass_at_k else (-np.inf, np.inf),
        columns=[f"k = {k}" for k in grid],
    )
    return Curve(
        ks=np.asarray(grid),
        value=values.mean(0),
        low=interval.low,
        high=interval.high,
        per_prompt=values,
        confidence_level=confidence_level,
        standard_error=interval.standard_error,
        method=method,
        pass_at_k=pass_at_k,
        note=interval.note,
    )


def default_ks(m: int) -> list[int]:
    """Powers of 2 up to m, and m.

    >>> default_ks(24)
    [1, 2, 4, 8, 16, 24]
    """
    return sorted({*(2**i for i in range(m.bit_length())), m})


def dense_ks(m: int) -> list[int]:
    """Four values of k to a doubling up to m, and m: enough for a smooth line.

    >>> dense_ks(24)
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 16, 19, 23, 24]
    """
    return sorted({k for i in range(4 * m.bit_length()) if (k := round(2 ** (i / 4))) <= m} | {m})


def is_landmark(k: int, ks: Sequence[int] | np.ndarray) -> bool:
    """Whether k is for a table: a power of 2, the last of `ks`, or any where `ks` are few."""
    k = int(k)
    return len(ks) <= 8 or k & (k - 1) == 0 or k == ks[-1]


def with_limits(value: float, low: float, high: float, sign: str = "") -> str:
    """`0.41 [0.22, 0.60]`, with the digits that the interval has; `sign="+"` shows one."""
    width = high - low if np.isfinite(high - low) and high > low else max(abs(value), 1e-300)
    digits = int(np.clip(1 - np.floor(np.log10(width) + 1e-9), 0, 6)) if width else 2
    if not np.isfinite(low) and not np.isfinite(high):
        return f"{value:{sign}.{digits}f}"
    ends = ["?" if np.isnan(end) else f"{end:.{digits}f}" for end in (low, high)]
    return f"{value:{sign}.{digits}f} [{ends[0]}, {ends[1]}]"


@dataclass(frozen=True)
class Groups:
    """Rewards of P prompts, one prompt after the other, without missing ones."""

    rewards: np.ndarray
    """(R,) finite."""
    counts: np.ndarray
    """(P,), 0 for a prompt without a reward."""
    prompts: np.ndarray | None
    """(P,) names."""
    strata: np.ndarray | None
    """(P,) labels."""

    def take(self, which: np.ndarray) -> Groups:
        """Some of the prompts, in that order."""
        if np.array_equal(which, np.arange(len(self.counts))):
            return self
        starts = np.cumsum(self.counts) - self.counts
        counts = self.counts[which]
        inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return replace(
            self,
            rewards=self.rewards[np.repeat(starts[which], counts) + inside],
            counts=counts,
            prompts=None if self.prompts is None else self.prompts[which],
            strata=None if self.strata is None else self.strata[which],
        )

    def zero_one(self) -> bool:
        return bool(((self.rewards == 0) | (self.rewards == 1)).all())


def read_groups(rollouts: Any, strata: Any = None) -> Groups:
    """`Groups` from `Rollouts`, a `(P, M)` array, or ragged lists."""
    prompts = None
    if hasattr(rollouts, "offsets"):
        rewards = np.asarray(rollouts.rewards, dtype=float)
        sizes = np.diff(rollouts.offsets)
        prompts = np.asarray(rollouts.prompts)
        strata = rollouts.strata if strata is None else strata
    elif _is_ragged(rollouts):
        rows = [np.asarray(row, dtype=float) for row in rollouts]
        rewards, sizes = np.concatenate(rows), np.array([len(row) for row in rows])
    else:
        table = as_table(rollouts)
        rewards, sizes = table.ravel(), np.full(len(table), table.shape[1])
    labels = None if strata is None else np.asarray(strata)
    if labels is not None and labels.shape != sizes.shape:
        raise ValueError(
            f"strata of shape {labels.shape} must be ({len(sizes)},): one label for each prompt"
        )
    missing = np.isnan(rewards)
    if missing.any() or np.isinf(rewards).any():
        owner = np.repeat(np.arange(len(sizes)), sizes)
        infinite = np.flatnonzero(np.isinf(rewards))
        if len(infinite):
            p = owner[infinite[0]]
            raise ValueError(
                f"prompt {p if prompts is None else repr(str(prompts[p]))} holds an infinite "
                "reward; clip it, or pass NaN for a rollout that could not be scored"
            )
        rewards, sizes = rewards[~missing], np.bincount(owner[~missing], minlength=len(sizes))
    return Groups(rewards, sizes, prompts, labels)


def check_grid(ks: Sequence[int] | None, smallest: int) -> list[int]:
    """The values of k, none beyond the smallest group."""
    grid = dense_ks(smallest) if ks is None else list(np.asarray(ks, dtype=object))
    if not grid:
        raise ValueError("ks is empty: give at least one k, such as [1, 8, 64]")
    if max(grid) > smallest:
        raise ValueError(
            f"k={max(grid)} exceeds the {smallest} rewards of the smallest group: draw more "
            "rollouts, or use bontea.curves.extrapolate"
        )
    return grid


def as_table(rollouts: Any) -> np.ndarray:
    """Rewards as a `(P, M)` float64 array, ragged lists padded with NaN."""
    if _is_ragged(rollouts):
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


def _is_ragged(rollouts: Any) -> bool:
    return isinstance(rollouts, (list, tuple)) and bool(rollouts) and np.ndim(rollouts[0]) == 1
