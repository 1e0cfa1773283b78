"""The estimators that the tables compare, with the parameters each gets at M and N."""

from __future__ import annotations

from typing import Any, NamedTuple

LEAST = {"tea": 9, "prefix_tea": 10, "calibrated_tea": 9, "linear_tea": 9}
"""Rollouts that a tail of a quarter takes: 3 in it, of the first prefix for `prefix_tea`."""


class Entry(NamedTuple):
    """One row of a table."""

    label: str
    estimator: str
    params: dict[str, Any]


def lineup(m: int) -> list[Entry]:
    """Every estimator for real rewards, with k that fits M rollouts, if its tail does.

    `pkpo` and `pkpo_loo` look at all M, `max_at_k` at most at M - 1. `max_rl`, `pass_at_k`,
    `pass_at_n` and `inference_aware` need other rewards and are left out; `rloo` has the direction
    and the signal-to-noise of `reinforce`.

    >>> [entry.label for entry in lineup(16)][-3:]
    ['linear_tea', 'linear_tea alpha=.5', 'adaptive_tea']
    """
    rows: list[tuple[str, str, dict[str, Any]]] = [
        ("reinforce", "reinforce", {}),
        ("grpo", "grpo", {}),
        ("tail_rl", "tail_rl", {}),
        ("softmax_tilt", "softmax_tilt", {}),
        ("cat_bon", "cat_bon", {}),
        ("best_of_n_max_mean", "best_of_n_max_mean", {}),
        ("best_of_n_max_second", "best_of_n_max_second", {}),
        ("pkpo k=M", "pkpo", {"k": m}),
        ("pkpo_loo k=M", "pkpo_loo", {"k": m}),
        ("max_at_k k=M-1", "max_at_k", {"k": m - 1}),
        ("gaussian_plug_in", "gaussian_plug_in", {}),
        ("tea", "tea", {}),
        ("tea alpha=.5", "tea", {"alpha": 0.5}),
        ("prefix_tea", "prefix_tea", {}),
        ("calibrated_tea", "calibrated_tea", {}),
        ("linear_tea", "linear_tea", {}),
        ("linear_tea alpha=.5", "linear_tea", {"alpha": 0.5}),
        ("adaptive_tea", "adaptive_tea", {}),
    ]
    return [Entry(*row) for row in rows if m >= LEAST.get(row[0], 1)]
