"""From rewards to ranks and back, and the rule that equal rewards get equal advantages."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from array_api_compat import device, is_jax_array, is_numpy_array, is_torch_array

from bontea._arrays import Array


def best_first(r: Array, xp: ModuleType) -> tuple[Array, Array]:
    """Rewards `(P, m)` in descending order, and the positions they came from."""
    order = xp.argsort(r, axis=-1, descending=True, stable=False)
    return xp.take_along_axis(r, order, axis=-1), order


def unsort(values: Array, order: Array, xp: ModuleType) -> Array:
    """Values in rank order `(P, m)` back to the positions `order` says: out[order] = values."""
    if is_torch_array(values):
        return xp.empty_like(values).scatter_(-1, order, values)
    if is_jax_array(values):
        return xp.put_along_axis(xp.empty_like(values), order, values, axis=-1, inplace=False)
    if is_numpy_array(values):
        out = xp.empty_like(values)
        xp.put_along_axis(out, order, values, axis=-1)
        return out
    return xp.take_along_axis(values, xp.argsort(order, axis=-1), axis=-1)


def share_ties(values: Array, r: Array, xp: ModuleType) -> Array:
    """Give every run of equal rewards the mean of its values.

    `values` and `r` are `(P, m)` in rank order (`r` monotone). Runs without ties come back
    unchanged up to rounding.
    """
    first, last = first_and_last_of_run(r, xp)
    total = xp.cumulative_sum(values, axis=-1, include_initial=True)
    run = xp.take_along_axis(total, last + 1, axis=-1) - xp.take_along_axis(total, first, axis=-1)
    return xp.where(first == last, values, run / xp.astype(last - first + 1, values.dtype))


def first_and_last_of_run(r: Array, xp: ModuleType) -> tuple[Array, Array]:
    """First and last rank of the run of equal rewards each rank is in; `r` `(P, m)` is monotone."""
    m = r.shape[-1]
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


def sum_at(values: Array, index: np.ndarray, m: int, xp: ModuleType) -> Array:
    """`out[g, index[g, l]] += values[g, l]`: `(P, L)` and `(P, L)` to `(P, m)`."""
    groups = index.shape[0]
    if is_numpy_array(values):
        flat = (index + np.arange(groups)[:, None] * m).ravel()
        out = np.bincount(flat, weights=values.ravel(), minlength=groups * m)
        return out.reshape(groups, m).astype(values.dtype)
    where = xp.asarray(index, device=device(values))
    out = xp.zeros((groups, m), dtype=values.dtype, device=device(values))
    if is_torch_array(values):
        return out.scatter_add_(1, where, values)
    rows = xp.arange(groups, device=device(values))[:, None]
    if is_jax_array(values):
        return out.at[rows, where].add(values)
    xp.add.at(out, (rows, where), values)  # CuPy
    return out
