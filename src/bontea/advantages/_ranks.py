"""From rewards to ranks and back, and the rule that equal rewards get equal advantages.

Estimators spend their time here, so the NumPy branches go around what is slow there: an `argsort`
takes 3 to 8 times as long as a `sort`, a stable sort 10 times, `take_along_axis` 4 times as long as
indexing the flat array, and a cumulative sum twice as long as a sort.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from array_api_compat import device, is_jax_array, is_numpy_array, is_torch_array

from bontea._arrays import BLOCK, WIDE, Array, constant, in_double, is_traced, product

NARROW = 128
"""Up to so many ranks NumPy sums over ranks by a matrix product."""

NEGLIGIBLE = 1e-17
"""Ranks with smaller weights, relative to the largest, are not looked at one by one."""

_SCAN = 16
"""Ranks whose running sums are one matrix product."""

_SMALLEST = 5e-324
"""The smallest float64; 0 in a thread that flushes such numbers (torch.set_flush_denormal)."""


def best_first(r: Array, xp: ModuleType, count: int | None = None) -> tuple[Array, Array]:
    """The `count` best of rewards `(P, m)` (default: all) in descending order, `(P, count)`.

    And where they came from, for `unsort`: columns, or under NumPy places in the flat array.
    """
    count = r.shape[-1] if count is None else min(count, r.shape[-1])
    if is_torch_array(r):
        values, order = r.sort(dim=-1, descending=True)
        return values[:, :count], order[:, :count]
    if not is_numpy_array(r):
        order = xp.argsort(r, axis=-1, descending=True, stable=False)[:, :count]
        return xp.take_along_axis(r, order, axis=-1), order

    return _best_first_numpy(r, count)


def _best_first_numpy(r: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    places = _places()[: r.size] if r.size <= BLOCK else np.arange(r.size)
    places = places.reshape(r.shape)
    if r.dtype == np.float32 and r.size <= 2**28 and _SMALLEST > 0:
        # A float32 leaves the last 29 bits of a float64 empty. A place in 28 of them rides along in
        # a plain sort, changes the order of equal rewards only, and is rounded away by `astype`.
        # (Beside a reward of 0 it is a subnormal number.)
        key = (-r).astype(np.float64)
        bits = key.view(np.int64)
        bits |= places
        key.sort(axis=-1)
        best = key[:, :count].astype(np.float32)
        return np.negative(best, out=best), bits[:, :count] & (2**28 - 1)
    order = np.argsort(-r, axis=-1)[:, :count] + places[:, :1]
    return r.ravel()[order], order


@lru_cache(maxsize=1)
def _places() -> np.ndarray:
    return np.arange(BLOCK)


def unsort(
    values: Array, order: Array, xp: ModuleType, m: int | None = None, rest: Any = 0.0
) -> Array:
    """Values of the best ranks, `(P, count)`, back where `best_first` found them, `(P, m)`.

    The m - count worse ones get `rest`, a number or `(P, 1)`; m is `count` by default.
    """
    groups, count = values.shape
    m = count if m is None else m
    if is_numpy_array(values):
        out = np.empty((groups, m), dtype=values.dtype)
        if count < m:
            out[...] = rest
        out.reshape(-1)[order] = values
        return out
    out = xp.zeros((groups, m), dtype=values.dtype, device=device(values)) + rest
    if is_torch_array(values):
        return out.scatter_(-1, order, values)
    if is_jax_array(values):
        return xp.put_along_axis(out, order, values, axis=-1, inplace=False)
    out[xp.arange(groups, device=device(values))[:, None], order] = values  # CuPy
    return out


@dataclass(frozen=True, eq=False)
class RankSums:
    """`own_j X_j + sum_{i<j} below_i X_i - sum_i mean_i X_i`, X the rewards minus the best one.

    j is the rank, 0 the best; the three weights are `(m,)`, in float64. Calling it on rewards
    `(P, m)` puts the values, plus `level` times the best reward, where the rewards are.
    """

    own: np.ndarray
    below: np.ndarray
    mean: np.ndarray

    @cached_property
    def count(self) -> int:
        """Ranks to look at: those after it weigh nothing, and all get the same."""
        largest = np.abs(np.stack([self.own, self.below, self.mean])).max(0)
        last = int(np.flatnonzero(largest > NEGLIGIBLE * largest.max())[-1])
        return min(len(largest), -(-(last + 1) // _SCAN) * _SCAN)

    @cached_property
    def matrix(self) -> np.ndarray:
        """The same as a matrix `(count, count + 1)`; the last column is that of worse ranks."""
        count = self.count
        out = np.triu(np.broadcast_to(self.below[:count, None], (count, count + 1)), 1)
        out[:, :count] += np.diag(self.own[:count])
        return out - self.mean[:count, None]

    def __call__(self, r: Array, xp: ModuleType, level: float = 0.0) -> Array:
        best, order = best_first(r, xp, self.count)
        x = best - best[:, :1]
        if _by_matrix(x) and self.count <= NARROW:
            out = product(x, self.matrix, xp)
            out, rest = out[:, :-1], out[:, -1:]
        else:
            if self.count > WIDE:
                x = in_double(best, xp)
                x = x - x[:, :1]
            own, below, mean = (
                constant(w[: self.count], x, xp) for w in (self.own, self.below, self.mean)
            )
            total = running_sum(x * below, xp) - xp.sum(x * mean, axis=-1, keepdims=True)
            out = xp.astype((own - below) * x + total, r.dtype, copy=False)
            rest = xp.astype(total[:, -1:], r.dtype, copy=False)
        if level:
            out, rest = out + level * best[:, :1], rest + level * best[:, :1]
        return unsort(out, order, xp, r.shape[-1], rest)


def running_sum(x: Array, xp: ModuleType) -> Array:
    """Cumulative sum along the last axis of `(P, m)`."""
    groups, m = x.shape
    if not _by_matrix(x) or m % _SCAN:
        return xp.cumulative_sum(x, axis=-1)
    # Sums within blocks of ranks, then those of the blocks before.
    inside = (x.reshape(-1, _SCAN) @ _triangle(_SCAN, 0, x.dtype)).reshape(groups, -1, _SCAN)
    inside += (inside[:, :, -1] @ _triangle(m // _SCAN, 1, x.dtype))[:, :, None]
    return inside.reshape(groups, m)


def _by_matrix(x: Array) -> bool:
    """Whether sums over ranks are matrix products: NumPy sums float32 slowly along short rows.

    In float64 there is little to gain, and the last digits of a group's advantages would depend on
    how many groups come with it.
    """
    return is_numpy_array(x) and x.dtype == np.float32


@lru_cache(maxsize=64)
def _triangle(size: int, diagonal: int, dtype: np.dtype) -> np.ndarray:
    return np.triu(np.ones((size, size), dtype), diagonal)


def any_ties(r: Array, xp: ModuleType) -> bool:
    """Whether neighbours in `(P, m)`, in rank order, are equal; True if it cannot be looked at."""
    return is_traced(r) or bool(xp.any(r[:, 1:] == r[:, :-1]))


def share_ties(values: Array, r: Array, xp: ModuleType) -> Array:
    """Give every run of equal rewards the mean of its values.

    `values` and `r` are `(P, m)` in rank order (`r` monotone). Runs without ties come back
    unchanged up to rounding.
    """
    if not any_ties(r, xp):
        return values
    if is_numpy_array(values):
        start, length = _runs(r)
        mean = np.add.reduceat(values.ravel(), start) / length.astype(values.dtype)
        return np.repeat(mean, length).reshape(values.shape)
    first, last = first_and_last_of_run(r, xp)
    total = xp.cumulative_sum(values, axis=-1, include_initial=True)
    run = xp.take_along_axis(total, last + 1, axis=-1) - xp.take_along_axis(total, first, axis=-1)
    return xp.where(first == last, values, run / xp.astype(last - first + 1, values.dtype))


def _runs(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where runs of equal rewards start in the flat array, and their lengths."""
    is_new = np.ones(r.shape, dtype=bool)
    np.not_equal(r[:, 1:], r[:, :-1], out=is_new[:, 1:])
    start = np.flatnonzero(is_new)
    return start, np.diff(start, append=r.size)


def first_and_last_of_run(r: Array, xp: ModuleType) -> tuple[Array, Array]:
    """First and last rank of the run of equal rewards each rank is in; `r` `(P, m)` is monotone."""
    m = r.shape[-1]
    if is_numpy_array(r):
        start, length = _runs(r)
        first = np.repeat(start % m, length).reshape(r.shape)
        return first, first + np.repeat(length - 1, length).reshape(r.shape)
    is_new = xp.concat([xp.ones_like(r[:, :1], dtype=xp.bool), r[:, 1:] != r[:, :-1]], axis=-1)
    is_last = xp.concat([is_new[:, 1:], xp.ones_like(is_new[:, :1])], axis=-1)
    at = xp.broadcast_to(xp.arange(m, device=device(r)), r.shape)
    # Running maximum from the left, minimum from the right, by doubling: the array API has neither.
    first = xp.where(is_new, at, xp.zeros_like(at))
    last = xp.where(is_last, at, xp.full_like(at, m - 1))
    step = 1
    while step < m:
        first = xp.concat([first[:, :step], xp.maximum(first[:, step:], first[:, :-step])], axis=-1)
        last = xp.concat([xp.minimum(last[:, :-step], last[:, step:]), last[:, -step:]], axis=-1)
        step *= 2
    return first, last


def add_windows(a: Array, starts: np.ndarray, values: Array, xp: ModuleType) -> Array:
    """`a[starts[j] + i] += values[i, j]` for rows of `(L, P)`; `values` is `(size, windows, P)`."""
    size = values.shape[0]
    if is_numpy_array(a):
        for j, start in enumerate(starts):
            a[start : start + size] += values[:, j]
        return a
    index = xp.asarray((np.arange(size)[:, None] + starts).ravel(), device=device(a))
    values = xp.reshape(values, (size * len(starts), a.shape[1]))
    if is_torch_array(a):
        return a.index_add_(0, index, values)
    if is_jax_array(a):
        return a.at[index].add(values)
    xp.add.at(a, index, values)  # CuPy
    return a
