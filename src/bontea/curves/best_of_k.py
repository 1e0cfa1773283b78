"""Unbiased best-of-k from M >= k samples (on 0/1 rewards: pass@k)."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from bontea._arrays import Array, GroupTooSmallError, best_from_top, check_k, constant, per_group


def best_of_k(rewards: Any, k: int | Sequence[int]) -> Array:
    """Unbiased expected best reward of k rollouts, per prompt: `(*P, M) -> (*P,)`.

        sum_i [C(i-1, k-1) / C(M, k)] R_(i),   R_(1) <= ... <= R_(M)

    the mean of the maximum over all k-subsets of the M rollouts. With a sequence of K values of k
    the result is `(*P, K)`, from one sort.

    In the units of the rewards. NaN is a missing rollout; a group with fewer than k rewards gets
    NaN. On 0/1 rewards it is the unbiased pass@k of Chen et al. 2021 (arXiv 2107.03374).

    Raises
    ------
    GroupTooSmallError
        No group has k rewards. Beyond the sample use `predict_best_of_n`.
    ValueError
        k is not a whole number of at least 1; infinite rewards.

    >>> best_of_k([[0.0, 1.0, 3.0]], 2).round(4).tolist()  # (1 + 3 + 3) / 3
    [2.3333]
    """
    ks = np.atleast_1d(np.asarray(k, dtype=object))
    grid = [check_k(value) for value in ks]

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        if min(grid) > m:
            raise GroupTooSmallError(
                f"best-of-{min(grid)} needs at least {min(grid)} rewards per prompt, got {m}: "
                "draw more, or use predict_best_of_n, which extrapolates"
            )
        weights = np.stack([_weights(m, value) for value in grid], axis=-1)
        # Relative to the best reward: exact on constant groups, and no digits lost to an offset.
        top = xp.max(r, axis=-1, keepdims=True)
        best_first = best_from_top(r, xp)
        return top + best_first @ constant(weights, r, xp)

    out = per_group(rewards, kernel, per_rollout=False, missing=float("nan"))
    return out[..., 0] if np.ndim(k) == 0 else out


def _weights(m: int, k: int) -> np.ndarray:
    """`C(m-j, k-1) / C(m, k)` for ranks j = 1 (best) to m, by ratios; NaN where k > m."""
    if k > m:
        return np.full(m, np.nan)
    j = np.arange(1, m)
    return k / m * np.cumprod(np.concatenate([[1.0], np.maximum(m - j - (k - 1), 0) / (m - j)]))
