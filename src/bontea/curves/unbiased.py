"""Unbiased best-of-k from M >= k samples (on 0/1 rewards: pass@k)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from array_api_compat import array_namespace, device

from bontea._arrays import (
    BLOCK,
    Array,
    as_rewards,
    check_k,
    constant,
    in_double,
    per_group,
    product,
)
from bontea._errors import GroupTooSmallError

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float, Int


MOST_WEIGHTS = 2**20
"""In one table: of very many k, some are done at a time."""


def best_of_k(
    rewards: Float[ArrayLike, "*P M"], k: int | Sequence[int]
) -> Float[Array, "*P"] | Float[Array, "*P K"]:
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
    grid = tuple(check_k(value) for value in ks)
    rewards = as_rewards(rewards)

    def some_k(some: tuple[int, ...]) -> Array:
        def kernel(r: Array, xp: ModuleType) -> Array:
            return _means_of_best(r, some, min(grid), xp)

        return per_group(rewards, kernel, per_rollout=False, missing=float("nan"), in_blocks=True)

    parts = [some_k(some) for some in some_at_a_time(grid, rewards.shape[-1])]
    out = parts[0] if len(parts) == 1 else array_namespace(rewards).concat(parts, axis=-1)
    return out[..., 0] if np.ndim(k) == 0 else out


def best_of_k_by_prompt(
    rewards: Float[np.ndarray, " R"], counts: Int[np.ndarray, " P"], ks: Sequence[int]
) -> Float[np.ndarray, "P K"]:
    """The same, `(P, K)`, of groups of any sizes that lie one after the other in `rewards` `(R,)`.

    `counts` `(P,)` are their sizes, all at least 1. Needs no table as wide as the largest group.
    """
    grid = tuple(check_k(k) for k in ks)
    starts = np.cumsum(counts) - counts
    out = np.empty((len(counts), len(grid)))
    for size in np.unique(counts).tolist():
        prompts = np.flatnonzero(counts == size)
        rows = max(1, BLOCK // size)
        done = 0
        for some in some_at_a_time(grid, size):
            for first in range(0, len(prompts), rows):
                which = prompts[first : first + rows]
                block = rewards[starts[which][:, None] + np.arange(size)]
                out[which, done : done + len(some)] = _means_of_best(block, some, min(grid), np)
            done += len(some)
    return out


def some_at_a_time(ks: tuple[int, ...], m: int) -> list[tuple[int, ...]]:
    """The k in portions whose table of weights, for groups of m, is not too large."""
    some = max(1, MOST_WEIGHTS // m)
    return [ks[first : first + some] for first in range(0, len(ks), some)]


def _means_of_best(r: Array, ks: tuple[int, ...], least: int, xp: ModuleType) -> Array:
    """Best-of-k of complete groups `(P, m)`, `(P, K)`; `least` is the smallest k asked for."""
    m = r.shape[-1]
    if least > m:
        raise GroupTooSmallError(
            f"best-of-{least} needs at least {least} rewards per prompt, got {m}: "
            "draw more, or use predict_best_of_n, which extrapolates"
        )
    best_first = in_double(xp.flip(xp.sort(r, axis=-1, stable=False), axis=-1), xp)
    return xp.astype(mean_of_winner(best_first, ks, xp), r.dtype, copy=False)


def mean_of_winner(values: Array, ks: tuple[int, ...], xp: ModuleType) -> Array:
    """`sum_j w_j(k) x_j` of values `(P, m)` in the order of rank, that of the best first: `(P, K)`.

    w_j(k) is the chance that the best of k out of m has rank j; NaN for k > m. With the rewards
    themselves this is best-of-k; the values may be any others of the same responses.
    """
    m = values.shape[-1]
    middle, gaps = _gap_weights(m, ks)
    values = values[:, : gaps.shape[0] + 1]
    steps = values[:, :-1] - values[:, 1:]
    level = xp.take(values, xp.asarray(middle, device=device(values)), axis=-1)
    out = level + product(steps, gaps, xp)
    if max(ks) > m:
        out = out + constant(np.where(np.array(ks) > m, np.nan, 0.0), out, xp)
    return out


@lru_cache(maxsize=32)
def _gap_weights(m: int, ks: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Best-of-k as a middle rank `(K,)` and weights on the gaps between neighbours `(R - 1, K)`.

    W_j is the chance that the best of k is among the j best, c the first rank with W_c >= 1/2:

        sum_j w_j R_(j) = R_(c) + sum_{j < c} W_j g_j - sum_{j >= c} (1 - W_j) g_j,
        g_j = R_(j) - R_(j+1),   best first.

    All terms on one side of the middle have one sign, so that nothing cancels: a sum of what the
    rewards lack to the best one loses, in float32, the share of successes that is 1 in 100,000.
    Constant groups are exact, and an offset, or an outlier that is never the best, costs no digits.
    """
    weights = best_of_k_weights(m, ks)
    among, after = np.cumsum(weights, axis=0), np.cumsum(weights[::-1], axis=0)[::-1]
    middle = np.argmax(among >= 0.5, axis=0)  # 0 for NaN
    ranks = np.arange(len(weights) - 1)[:, None]
    gaps = np.where(ranks < middle, among[:-1], -after[1:])
    gaps.setflags(write=False)
    return middle, gaps


@lru_cache(maxsize=32)
def best_of_k_weights(m: int, ks: tuple[int, ...]) -> np.ndarray:
    """`C(m-j, k-1) / C(m, k)` for ranks j = 1 (best) to m, `(m, K)`, by ratios.

    The chance that the best of k out of m has rank j. Ranks at the end that no k reaches (all
    weights below 1e-30) are left out; the first weight is NaN where k > m.
    """
    j, k = np.arange(1, m)[:, None], np.array(ks)
    ratios = np.maximum(m - j - (k - 1), 0) / (m - j)
    out = k / m * np.cumprod(np.concatenate([np.ones((1, len(k))), ratios]), axis=0)
    out = out[: int(np.flatnonzero((out > 1e-30).any(1))[-1]) + 1]
    out[0, k > m] = np.nan
    out.setflags(write=False)
    return out
