"""Training where the best policy is known: how much of the best V_N each estimator reaches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from bontea.advantages import EstimatorSpec
from bontea.bench.lineup import lineup
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
            f"N={n} M={m} {name} seeds={seeds} seed={seed}",
            partial(_train, policy, name, spec, n, m, seeds, seed),
        )
        for table, policy in POLICIES.items()
        for n, m in settings
        for name, spec in lineup(m).items()
        if full or spec.name != "prefix_tea"
    ]


def _train(
    policy: Callable[..., Any],
    name: str,
    spec: EstimatorSpec,
    n: int,
    m: int,
    seeds: int,
    seed: int,
) -> list[dict]:
    got = policy(spec, n=n, m=m, seeds=seeds, rng=seed)
    return [
        {
            "N": n,
            "M": m,
            "estimator": name,
            "share": got.mean,
            "low": got.low,
            "high": got.high,
            "seeds": got.share,
        }
    ]
