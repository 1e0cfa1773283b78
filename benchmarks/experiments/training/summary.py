"""What the results of training say: paired differences between arms, over seeds.

One trained policy is one draw, so prompts are averaged first and the interval is over seeds:
mean +- t(.975, S - 1) s / sqrt(S).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bontea._numbers import fixed

Row = dict[str, Any]
FREE_OF_N = (
    "grpo", "reinforce", "rloo", "max_rl", "max_at_k", "start", "tail_rl", "pkpo", "best_of_n_max"
)  # fmt: skip
"""Estimators, by the beginning of their names, whose advantages do not depend on N."""


@dataclass(frozen=True)
class Difference:
    """Of two arms, seed by seed."""

    by_seed: dict[int, float]
    mean: float
    half_width: float
    """Of the 95 % interval; NaN for a single seed."""

    @property
    def verdict(self) -> str:
        """`gain`, `loss`, `none seen`, or `one seed`."""
        if np.isnan(self.half_width):
            return "one seed"
        if self.mean - self.half_width > 0:
            return "gain"
        return "loss" if self.mean + self.half_width < 0 else "none seen"

    def __str__(self) -> str:
        half = "" if np.isnan(self.half_width) else f" ± {self.half_width:.2f}"
        return f"{fixed(self.mean, 2, '+')}{half}"


def load(path: Path) -> list[Row]:
    """The rows of a results file; nothing where there is none."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def best_of(k: float) -> Callable[[Row], float]:
    """Mean over prompts of best-of-k, at the largest measured k that is not above it.

    >>> best_of(4)({"ks": [1, 2, 4], "best_of_k": [[0.0, 0.5, 1.0], [0.0, 0.5, 2.0]]})
    1.5
    """

    def value(row: Row) -> float:
        at = max(i for i, own in enumerate(row["ks"]) if own <= k)
        return float(np.mean([prompt[at] for prompt in row["best_of_k"]]))

    return value


def judged(what: str) -> Callable[[Row], float]:
    """Mean over prompts of a score by the judge: `mean`, `best_of_128`, `best_of_512`."""
    return lambda row: float(np.mean(row["judge"][what]))


def select(
    rows: list[Row], estimator: str, m: int, n: float = 128, scale: str = "batch"
) -> dict[int, Row]:
    """The runs of an arm, by seed; N is looked at where the estimator does.

    ValueError if rows of several learning rates are mixed.
    """
    free = estimator.startswith(FREE_OF_N)
    own = [
        row
        for row in rows
        if row["estimator"] == estimator
        and (estimator == "start" or row["rollouts"] == m)
        and (free or row["deploy_n"] == n)
        and row.get("scale", "batch") == scale
    ]
    by_seed = {row["seed"]: row for row in own}
    if len(by_seed) < len(own):
        raise ValueError(f"several runs of {estimator} with one seed: give rows of one rate")
    return by_seed


def over_seeds(values: dict[int, float]) -> Difference:
    """Mean and interval of one number a seed.

    >>> print(over_seeds({0: 1.0, 1: 2.0, 2: 3.0}))
    +2.00 ± 2.48
    """
    from scipy import stats

    x = np.array(list(values.values()))
    if not len(x):
        return Difference({}, float("nan"), float("nan"))
    half = (
        float(stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
        if len(x) > 1
        else float("nan")
    )
    return Difference(values, float(x.mean()), half)


def pooled(parts: list[Difference]) -> Difference:
    """Differences of several cells as one: at each seed that all have, their mean.

    >>> a = Difference({0: 1.0, 1: 2.0}, 1.5, 6.35)
    >>> print(pooled([a, a]))
    +1.50 ± 6.35
    """
    seeds = set.intersection(*(set(part.by_seed) for part in parts)) if parts else set()
    return over_seeds(
        {s: float(np.mean([part.by_seed[s] for part in parts])) for s in sorted(seeds)}
    )


def difference(
    first: dict[int, Row], second: dict[int, Row], value: Callable[[Row], float]
) -> Difference:
    """First minus second, at the seeds that both have."""
    return over_seeds(
        {seed: value(first[seed]) - value(second[seed]) for seed in first if seed in second}
    )
