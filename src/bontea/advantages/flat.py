"""Estimators on the flat batches of RL frameworks: shuffled rows, ragged groups, padding."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from array_api_compat import array_namespace, device, is_numpy_array

from bontea._arrays import (
    Array,
    as_rewards,
    group_rms,
    is_traced,
    to_compute,
    to_input_dtype,
)
from bontea._errors import BonteaError, GroupTooSmallError
from bontea._ids import group_ids
from bontea.advantages.spec import EstimatorSpec

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float, Shaped

Scale: TypeAlias = Literal["batch", "group", "none"]
"""What the root-mean-square that advantages are divided by is taken over."""


def advantages_for(
    rewards: Float[ArrayLike, " B"],
    groups: Shaped[ArrayLike, " B"],
    estimator: str | Callable[..., Array] | EstimatorSpec,
    *,
    on_small: Literal["zero", "raise"] = "zero",
    **params: Any,
) -> Float[Array, " B"]:
    """Advantages of a flat batch: `(B,)` rewards and `(B,)` group ids to `(B,)` advantages.

    Rollouts with equal ids are one group (one prompt). Rows come in any order, groups in any size;
    ids are numbers or text (3, 3.0 and "3" are one group), and no row may be without one: None and
    NaN are a BonteaError that names the row. The estimator sees each group whole, and
    the estimators of this library see all groups at once, padded with NaN to the largest: those
    that look at the whole batch (`adaptive_tea`, `pass_at_n`) decide once for it, not once for each
    group size. A function of yours sees complete groups only, one call for each size.

    Parameters
    ----------
    estimator
        Key in `ADVANTAGES`, text such as `"max_at_k(k=8)"`, `"module:function"`, a callable
        `(rewards (P, m), **params)`, or an `EstimatorSpec`.
    on_small
        `"zero"`: a group too small for the estimator gets zeros, so that padding rows and failed
        rollouts cannot stop a training run. `"raise"`: GroupTooSmallError.
    params
        For the estimator, such as `n=128`.

    NaN is a missing rollout: it gets 0 and its group is one smaller.

    >>> advantages_for([1.0, 5.0, 2.0, 7.0, 9.0], ["a", "b", "a", "b", "c"], "rloo").tolist()
    [-1.0, -2.0, 1.0, 2.0, 0.0]
    """
    if on_small not in ("zero", "raise"):
        raise BonteaError(f"on_small={on_small!r} must be 'zero' or 'raise'")
    return _in_groups(rewards, groups, EstimatorSpec.of(estimator, **params), on_small)


def _in_groups(
    rewards: Any, groups: Any, apply: Callable[[Array], Array], on_small: str = "zero"
) -> Array:
    """`apply` takes the groups as a block, padded with NaN, and returns what each row gets."""
    rewards = as_rewards(rewards)
    ids = group_ids(groups)
    if rewards.ndim != 1 or ids.shape != rewards.shape:
        raise BonteaError(
            f"rewards {tuple(rewards.shape)} and groups {ids.shape} must both be flat and of one "
            "length: a reward and a group id per rollout"
        )
    xp, where = array_namespace(rewards), device(rewards)
    values = to_compute(rewards, xp)
    rows, place = rows_of_groups(ids)
    block = xp.take(values, xp.asarray(rows.clip(min=0).ravel(), device=where), axis=0)
    block = xp.reshape(block, rows.shape)
    if (rows < 0).any():
        nan = xp.asarray(math.nan, dtype=values.dtype, device=where)
        block = xp.where(xp.asarray(rows >= 0, device=where), block, nan)

    try:
        if on_small == "raise":  # the smallest groups by themselves
            sizes = (rows >= 0).sum(axis=1)
            smallest = xp.asarray(np.flatnonzero(sizes == sizes.min()), device=where)
            apply(xp.take(block, smallest, axis=0)[:, : int(sizes.min())])
        out = apply(block)
    except GroupTooSmallError:
        if on_small == "raise":
            raise
        out = xp.zeros_like(block)
    out = xp.take(xp.reshape(out, (-1,)), xp.asarray(place, device=where), axis=0)
    return to_input_dtype(out, rewards, xp)


def rows_of_groups(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which rows make up each group, and where each row is: `(P, M)` and `(B,)`.

    The first is padded with -1; the second counts through the first, row by row. The ids are sorted
    once.

    >>> rows_of_groups(np.array(["b", "a", "b"]))
    (array([[ 1, -1],
           [ 0,  2]]), array([2, 0, 3]))
    """
    _, which, counts = np.unique(ids, return_inverse=True, return_counts=True)
    by_group = np.argsort(which, kind="stable")  # rows of one group side by side, in their order
    start = np.cumsum(counts) - counts
    rank = np.empty(len(ids), dtype=np.intp)  # of a row within its group
    rank[by_group] = np.arange(len(ids)) - np.repeat(start, counts)
    rows = np.full((len(counts), counts.max(initial=0)), -1, dtype=np.intp)
    rows[which, rank] = np.arange(len(ids))
    return rows, which * rows.shape[1] + rank


def scale_advantages(
    advantages: Float[ArrayLike, "*P M"],
    groups: Shaped[ArrayLike, " B"] | None = None,
    *,
    by: Scale = "batch",
    eps: float = 1e-6,
) -> Float[Array, "*P M"]:
    """Advantages divided by their root-mean-square, so that the learning rate means one thing.

    `by="batch"` divides by the root-mean-square of the whole array (prompts keep their relative
    weight), `by="group"` by that of each group (every prompt weighs the same; `(*P, M)` arrays, or
    flat ones with `groups`), `by="none"` returns them as they are.

    The result does not depend on the unit of the advantages: 1e-30 and 1e30 times as large, it is
    the same, in float32 too. A batch, or a group, of zeros stays zero; NaN is a missing rollout and
    gets 0; infinite advantages raise ValueError.

    Parameters
    ----------
    eps
        Only for `by="group"`: the divisor of a group is at least `eps` times the median
        root-mean-square of the groups that are not all zero. A group whose advantages are nothing
        but rounding errors beside those of the others then stays about zero.

    Estimators differ in length by a factor of ten and more at the same direction: without a common
    scale a comparison at one learning rate compares step sizes.

    >>> scale_advantages(np.array([[3.0, -4.0], [0.0, 0.0]])).round(3).tolist()
    [[1.2, -1.6], [0.0, 0.0]]
    >>> scale_advantages(np.array([3e-30, -4e-30, 0, 0], dtype=np.float32)).round(3).tolist()
    [1.2000000476837158, -1.600000023841858, 0.0, 0.0]
    """
    advantages = as_rewards(advantages)
    if by == "none":
        return advantages
    if by not in ("batch", "group"):
        raise BonteaError(f"by={by!r} must be 'none', 'group' or 'batch'")
    if not eps >= 0:
        raise BonteaError(f"eps={eps!r} must be at least 0")
    xp = array_namespace(advantages)
    if by == "group" and groups is not None:
        return _in_groups(advantages, groups, lambda block: _unit_rows(block, eps, xp))
    values = to_compute(advantages, xp)
    rows = xp.reshape(values, (-1, values.shape[-1]) if by == "group" else (1, -1))
    scaled = xp.reshape(_unit_rows(rows, eps if by == "group" else 0.0, xp), values.shape)
    return to_input_dtype(scaled, advantages, xp)


def _unit_rows(a: Array, eps: float, xp: ModuleType) -> Array:
    """Rows of `(P, m)` divided by their root-mean-square over what is not NaN, which gets 0."""
    if 0 in a.shape:
        return a
    if is_numpy_array(a):
        rms = group_rms(a, xp)
        least, most = rms.min(), rms.max()
        if least > 1e-12 and most < 1e12 and least > eps * most:  # the common case, in less time
            return a / rms
    # In units of the largest of a row, squares neither overflow nor vanish.
    largest = _largest(a, xp)
    count: Any = a.shape[-1]
    if is_traced(a) or not bool(xp.all(xp.isfinite(largest))):
        there = ~xp.isnan(a)
        a = xp.where(there, a, xp.zeros_like(a[:1, :1]))
        largest = _largest(a, xp)
        if not is_traced(a) and bool(xp.any(xp.isinf(largest))):
            raise BonteaError(
                "an advantage is infinite, and no scale makes it finite: clip the reward it comes "
                "from, or give NaN for a rollout that could not be scored"
            )
        count = xp.sum(xp.astype(there, a.dtype), axis=-1, keepdims=True)
        count = xp.maximum(count, xp.ones_like(count))
    unit = xp.where(largest > 0, largest, xp.ones_like(largest))
    u = a / unit
    rms = group_rms(u, xp) * (a.shape[-1] / count) ** 0.5
    if eps:
        ordered = xp.sort(xp.reshape(largest * rms, (-1,)))
        zeros = xp.sum(xp.astype(ordered == 0, xp.int64))
        middle = (zeros + (ordered.shape[0] - 1)) // 2  # of those above 0
        median = xp.take(ordered, xp.reshape(middle, (1,)), axis=0)
        # Far smaller groups are 0 beside the others: this keeps the ratio from overflowing.
        rms = xp.maximum(rms, eps * (median / xp.maximum(unit, 1e-20 * median)))
    return u / xp.where(rms > 0, rms, xp.ones_like(rms))


def _largest(a: Array, xp: ModuleType) -> Array:
    """The largest absolute value of each row of `(P, m)`, `(P, 1)`; NaN if one is NaN."""
    return xp.maximum(xp.max(a, axis=-1, keepdims=True), -xp.min(a, axis=-1, keepdims=True))
