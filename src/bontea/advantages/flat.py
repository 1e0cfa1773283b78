"""Estimators on the flat batches of RL frameworks: shuffled rows, ragged groups, padding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from array_api_compat import array_namespace, device

from bontea._arrays import (
    Array,
    as_rewards,
    per_group,
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
    flat ones with `groups`), `by="none"` returns them as they are. `eps` is added to the divisor,
    so a batch of zeros stays zero.

    Estimators differ in length by a factor of ten and more at the same direction: without a common
    scale a comparison at one learning rate compares step sizes.

    >>> scale_advantages(np.array([[3.0, -4.0], [0.0, 0.0]]), eps=0).round(3).tolist()
    [[1.2, -1.6], [0.0, 0.0]]
    """
    advantages = as_rewards(advantages)
    if by == "none":
        return advantages
    if by not in ("batch", "group"):
        raise BonteaError(f"by={by!r} must be 'none', 'group' or 'batch'")
    if by == "group" and groups is not None:
        return _in_groups(
            advantages,
            groups,
            lambda block: per_group(block, lambda r, xp: scale_advantages(r, by="group", eps=eps)),
        )
    xp = array_namespace(advantages)
    values = to_compute(advantages, xp)
    axis = -1 if by == "group" else None
    values = values / (xp.sqrt(xp.mean(values**2, axis=axis, keepdims=True)) + eps)
    return to_input_dtype(values, advantages, xp)
