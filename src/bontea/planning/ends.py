"""The share of the best V_N that a policy ends at, by estimator, N and M.

A policy that may mix 41 styles, some of them traps, is trained to the end with the estimator
(`style_frontier`), and its exact V_N is divided by that of the best policy. It is a property of the
estimator and not of anyone's rewards: what its direction leads to when training goes on for long.

For the line-up the shares are in `ends.json`, five seeds of 400 steps each on most of a grid of N
and M, made by benchmarks/figures/ends.py; between the points of the grid they are interpolated in
log N and log M. Anything else is trained here, with two seeds of 300 steps (one or two seconds, up
to 3 points from the other).
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np

from bontea._errors import BonteaError
from bontea._json import strict_loads
from bontea.advantages.spec import EstimatorSpec
from bontea.theory import style_frontier

LARGEST_N = 10_000
"""Beyond it the best style is bolder than any on the grid of styles."""


def end_share(spec: EstimatorSpec, *, n: float, m: int) -> float:
    """The share for a bound spec; NaN where no policy is worth more than nothing, or n is too big.

    >>> 0.9 < end_share(EstimatorSpec.of("adaptive_tea").bind(n=128, m=16), n=128, m=16) <= 1
    True
    """
    if n > LARGEST_N:
        return math.nan
    found = _interpolated(_family(spec, n, m), n, m)
    return _trained(spec, n, m) if found is None else found


def _family(spec: EstimatorSpec, n: float, m: int) -> str:
    """The name of a row of the table: k = M - 1 is one estimator there."""
    k = {**spec.context, **spec.params}.get("k")
    if spec.name != "max_at_k" or k is None:
        return spec.label
    if k == EstimatorSpec.of("max_at_k").bind(n=n, m=m).context["k"]:
        return "max_at_k"
    return "max_at_k(k=M-1)" if k == m - 1 else spec.label


@lru_cache(maxsize=1)
def table() -> dict[str, dict[tuple[int, int], float]]:
    """Share by estimator, then by (N, M)."""
    path = Path(__file__).with_name("ends.json")
    found = strict_loads(path.read_text(encoding="utf-8"), path)
    return {
        name: {
            (row["n"], row["m"]): float(np.mean(row["shares"]))
            for row in rows
            if row["shares"] is not None  # where it cannot run
        }
        for name, rows in found["estimators"].items()
    }


def _interpolated(name: str, n: float, m: int) -> float | None:
    """Bilinear in log N and log M; None outside the grid."""
    known = table().get(name, {})
    ns, ms = sorted({key[0] for key in known}), sorted({key[1] for key in known})
    if not known or not (ns[0] <= n <= ns[-1] and ms[0] <= m <= ms[-1]):
        return None
    (n0, n1, t), (m0, m1, u) = _between(ns, n), _between(ms, m)
    corners = [known.get(key) for key in ((n0, m0), (n1, m0), (n0, m1), (n1, m1))]
    if any(corner is None for corner in corners):
        return None
    a, b, c, d = (float(corner) for corner in corners if corner is not None)
    return (1 - u) * ((1 - t) * a + t * b) + u * ((1 - t) * c + t * d)


def _between(grid: list[int], x: float) -> tuple[int, int, float]:
    """Neighbours of x on the grid, and how far it is from the first to the second in log x."""
    upper = next(value for value in grid if value >= x)
    lower = max(value for value in grid if value <= x)
    if lower == upper:
        return lower, upper, 0.0
    return lower, upper, math.log(x / lower) / math.log(upper / lower)


@lru_cache(maxsize=256)
def _trained(spec: EstimatorSpec, n: float, m: int) -> float:
    try:
        return style_frontier(spec, n=n, m=m, seeds=2, steps=300, rng=0).mean
    except BonteaError:
        return math.nan
