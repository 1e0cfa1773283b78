"""Training where the best policy is known: how much of the best V_N each estimator reaches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from bontea.bench.lineup import Entry, lineup
from bontea.bench.run import Task
from bontea.theory import risk_frontier, style_frontier

SETTINGS = ((128, 16), (512, 16), (512, 32))
POLICIES: dict[str, Callable[..., Any]] = {"frontier": risk_frontier, "styles": style_frontier}


def tasks(*, full: bool, seed: int = 0) -> list[Task]:
    """The tables `frontier` (one mean style) and `styles` (a softmax policy over 41 styles)."""
    seeds, settings = (10, (*SETTINGS, (128, 8))) if full else (5, SETTINGS)
    return [
        Task(
            table,
            f"N={n} M={m} {entry.label} seeds={seeds} seed={seed}",
            partial(_train, policy, entry, n, m, seeds, seed),
        )
        for table, policy in POLICIES.items()
        for n, m in settings
        for entry in lineup(m)
        if full or entry.estimator != "prefix_tea"
    ]


def _train(
    policy: Callable[..., Any], entry: Entry, n: int, m: int, seeds: int, seed: int
) -> list[dict]:
    got = policy(entry.estimator, n=n, m=m, seeds=seeds, rng=seed, **entry.params)
    return [
        {
            "N": n,
            "M": m,
            "estimator": entry.label,
            "share": got.mean,
            "low": got.low,
            "high": got.high,
            "seeds": got.share,
        }
    ]
