"""The one door for reward arrays: every estimator and statistic enters through `per_group`.

Axis letters, used in the whole library: `P` prompts (any number of leading axes), `M` rollouts of
a prompt (**always the last axis**), `K` a grid of k. `N` (`n` in code) is the deployment budget and
never an axis.

The door accepts NumPy, PyTorch, JAX and CuPy arrays (through the array API) and nested lists, and
applies one set of rules for every function of the library:

===========================  ===================================================================
input                        what happens
===========================  ===================================================================
NaN reward, masked reward    a missing rollout: the group is treated as one smaller, the result
                             at that place is 0 (advantages)
+-inf                        ValueError naming the group
integer, bool                computed and returned in the default float type of the library
float16, bfloat16            computed in float32, returned as they came
float32, float64             computed and returned as they came
a group too small            zeros; GroupTooSmallError when *every* group is too small
===========================  ===================================================================

Below the door a function sees only complete groups: a 2-D float array `(P, m)` without NaN.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from array_api_compat import (
    array_namespace,
    device,
    is_array_api_obj,
    is_jax_array,
    is_numpy_array,
    is_torch_array,
)

from bontea._errors import BonteaError, GroupTooSmallError, WrongTypeError
from bontea._numbers import number
from bontea._types import Array

Kernel: TypeAlias = Callable[[Array, ModuleType], Array]
"""`kernel(rewards (P, m), xp) -> (P, m)` or `(P, *rest)`: the mathematics of one function."""


BLOCK = 2**15
"""Rewards in a block (`per_group(in_blocks=True)`): a few of these arrays fit the L2 cache."""

WIDE = 4096
"""Of more rollouts than this, float32 is summed in float64: errors grow with the number of terms,
and at 100,000 rollouts a running sum in float32 keeps two digits."""


def as_rewards(rewards: Any) -> Array:
    """`rewards` as a real array of at least one axis, detached from any graph.

    Nested lists become NumPy arrays (`None` becomes NaN). Raises TypeError for what is not a real
    array and ValueError for ragged lists or an empty last axis.
    """
    rewards = _unmasked(rewards)
    if not is_array_api_obj(rewards):
        try:
            array = np.asarray(rewards)
            if array.dtype == object:
                array = array.astype(float)
        except (ValueError, TypeError, OverflowError, RuntimeError) as error:
            raise BonteaError(
                "rewards must be an array of shape (*P, M): prompts, then rollouts of a prompt. "
                f"This {type(rewards).__name__} is ragged or not numeric ({error}). For groups of "
                "different sizes pad with NaN, or call advantages_for(rewards, groups, estimator)."
            ) from None
        rewards = array
    if is_torch_array(rewards):
        rewards = rewards.detach()
    xp = array_namespace(rewards)
    if not xp.isdtype(rewards.dtype, ("bool", "integral", "real floating")):
        raise WrongTypeError(f"rewards must be real numbers, got dtype {rewards.dtype}")
    if rewards.ndim == 0 or rewards.shape[-1] == 0:
        raise BonteaError(
            f"rewards of shape {tuple(rewards.shape)} hold no rollouts: the last axis is rollouts "
            "and needs at least one"
        )
    return rewards


def _unmasked(rewards: Any) -> Any:
    """NumPy's masked arrays with NaN where they are masked, also as rows of a list."""
    if isinstance(rewards, np.ma.MaskedArray):
        values, where = np.ma.getdata(rewards), np.ma.getmaskarray(rewards)
        kept = values if values.dtype.kind in "fc" else values.astype(float)
        return np.where(where, kept.dtype.type(np.nan), kept)
    if isinstance(rewards, (list, tuple)) and any(
        isinstance(row, np.ma.MaskedArray) for row in rewards
    ):
        return [_unmasked(row) for row in rewards]
    return rewards


def per_group(
    rewards: Any,
    kernel: Kernel,
    *,
    per_rollout: bool = True,
    missing: float = 0.0,
    in_blocks: bool = False,
) -> Array:
    """Apply `kernel` to every group of `rewards` `(*P, M)`, by the rules in the module docstring.

    The kernel is called once for each group size that occurs (once in all when nothing is
    missing).

    Parameters
    ----------
    per_rollout
        The kernel returns one value per rollout, `(P, m)`; otherwise one row per group,
        `(P, *rest)`.
    missing
        What a missing rollout (per-rollout kernels) or a group that is too small gets.
    in_blocks
        The kernel treats every group by itself, so a large batch may be handed to it in blocks of
        `BLOCK` rewards, whose intermediate results stay in the cache.
    """
    rewards = as_rewards(rewards)
    xp = array_namespace(rewards)
    values = to_compute(rewards, xp)
    leading, m = rewards.shape[:-1], rewards.shape[-1]
    flat = xp.reshape(values, (math.prod(leading), m))

    if in_blocks:
        kernel = _by_blocks(kernel)
    # Under jax.jit values cannot be looked at: the caller vouches for them.
    if is_traced(flat) or bool(xp.all(xp.isfinite(flat))):
        out = kernel(flat, xp)
    else:
        infinite = xp.any(xp.isinf(flat), axis=-1)
        if bool(xp.any(infinite)):
            row = int(xp.argmax(xp.astype(infinite, xp.int8)))
            raise BonteaError(
                f"group {_name_group(row, leading)} holds an infinite reward; clip it, or pass NaN "
                "for a rollout that could not be scored"
            )
        out = _by_group_size(flat, xp.isnan(flat), kernel, per_rollout, missing, xp)

    out = xp.reshape(out, (*leading, *out.shape[1:]))
    return to_input_dtype(out, rewards, xp)


def _by_blocks(kernel: Kernel) -> Kernel:
    """The same kernel, on a block of rows at a time for NumPy arrays of more than one block."""

    def blocked(flat: Array, xp: ModuleType) -> Array:
        rows = max(1, BLOCK // flat.shape[-1])
        if not is_numpy_array(flat) or len(flat) <= rows:
            return kernel(flat, xp)
        first = kernel(flat[:rows], xp)
        out = np.empty((len(flat), *first.shape[1:]), dtype=first.dtype)
        out[:rows] = first
        for start in range(rows, len(flat), rows):
            out[start : start + rows] = kernel(flat[start : start + rows], xp)
        return out

    return blocked


def _by_group_size(
    flat: Array,
    is_missing: Array,
    kernel: Kernel,
    per_rollout: bool,
    missing: float,
    xp: ModuleType,
) -> Array:
    """Run the kernel on each set of rows with equally many rewards, without writing in place."""
    sizes = np.asarray(_to_numpy(xp.sum(xp.astype(~is_missing, xp.int64), axis=-1)))
    # Valid rewards first, in their own order: the kernel then sees complete groups.
    order = xp.argsort(xp.astype(is_missing, xp.int8), axis=-1, stable=True)
    packed = xp.take_along_axis(flat, order, axis=-1)
    back = xp.argsort(order, axis=-1, stable=True)
    m = flat.shape[-1]

    rows_done: list[np.ndarray] = []
    parts: list[Array | None] = []
    too_small: GroupTooSmallError | None = None
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        index = xp.asarray(rows, device=device(flat))
        part = None
        if size > 0:
            try:
                part = kernel(xp.take(packed, index, axis=0)[:, : int(size)], xp)
            except GroupTooSmallError as error:
                too_small = error
        if part is not None and per_rollout:
            fill = xp.full(
                (len(rows), m - int(size)), missing, dtype=part.dtype, device=device(flat)
            )
            part = xp.concat([part, fill], axis=-1)
            part = xp.take_along_axis(part, xp.take(back, index, axis=0), axis=-1)
        rows_done.append(rows)
        parts.append(part)

    done = [part for part in parts if part is not None]
    if not done:
        if too_small is not None:
            raise too_small
        raise GroupTooSmallError("no group holds a single reward: every reward is NaN")
    rest = done[0].shape[1:]
    filled = [
        xp.full((len(rows), *rest), missing, dtype=flat.dtype, device=device(flat))
        if part is None
        else part
        for rows, part in zip(rows_done, parts, strict=True)
    ]
    inverse = np.argsort(np.concatenate(rows_done), kind="stable")
    return xp.take(xp.concat(filled, axis=0), xp.asarray(inverse, device=device(flat)), axis=0)


def from_top(rewards: Array, xp: ModuleType) -> Array:
    """Rewards `(P, m)` minus the best of their group: what shift-invariant estimators work on.

    Subtracting a member of the group is exact where the digits that matter are, and a constant
    group becomes exactly 0; subtracting the mean does neither.
    """
    return rewards - xp.max(rewards, axis=-1, keepdims=True)


def best_from_top(rewards: Array, xp: ModuleType) -> Array:
    """`from_top`, the best reward of each group first."""
    # An array API sort is stable by default, which takes NumPy ten times as long.
    return xp.flip(xp.sort(from_top(rewards, xp), axis=-1, stable=False), axis=-1)


def from_first(rewards: Array) -> Array:
    """Rewards `(P, m)` minus the first of their group: cheaper than `from_top`, and as exact.

    For what is centred anyway.
    """
    return rewards - rewards[:, :1]


def group_mean(a: Array, xp: ModuleType) -> Array:
    """Mean over the last axis, kept as an axis of length 1."""
    if is_numpy_array(a):
        if a.shape[-1] > WIDE:
            return np.mean(a, axis=-1, keepdims=True, dtype=np.float64).astype(a.dtype)
        # np.mean takes 2 to 6 times as long on short rows.
        return np.einsum("...i->...", a)[..., None] / a.dtype.type(a.shape[-1])
    return xp.mean(a, axis=-1, keepdims=True)


def group_rms(a: Array, xp: ModuleType) -> Array:
    """Root of the mean square over the last axis, kept as an axis of length 1."""
    if is_numpy_array(a):
        if a.shape[-1] > WIDE:
            return np.sqrt(group_mean(a * a, xp))
        return np.sqrt(np.einsum("...i,...i->...", a, a)[..., None] / a.dtype.type(a.shape[-1]))
    return xp.sqrt(xp.mean(a * a, axis=-1, keepdims=True))


def constant(values: np.ndarray, like: Array, xp: ModuleType) -> Array:
    """A table computed in float64 by NumPy, as an array like `like`."""
    # A copy: cached tables are read-only, which PyTorch warns about.
    return xp.asarray(np.array(values), dtype=like.dtype, device=device(like))


def in_double(x: Array, xp: ModuleType) -> Array:
    """`x` in float64, for sums of many terms; as it is where there is none.

    Apple's GPUs have none, and JAX has it only where it was switched on, for all arrays then.
    """
    if is_jax_array(x) or (is_torch_array(x) and x.device.type == "mps"):
        return x
    return xp.astype(x, xp.float64, copy=False)


def product(x: Array, table: np.ndarray, xp: ModuleType) -> Array:
    """`x @ table` for a table computed by NumPy, in all the digits of `x`.

    PyTorch drops digits of float32 in a product under autocast, and on a GPU where TensorFloat is
    allowed; float64 it leaves alone (Apple's GPUs have none).
    """
    if is_torch_array(x):
        double = in_double(x, xp)
        return xp.astype(double @ constant(table, double, xp), x.dtype, copy=False)
    return x @ constant(table, x, xp)


def to_compute(x: Array, xp: ModuleType) -> Array:
    """`x` in the float type that the library computes in: 32 bits at least."""
    return xp.astype(x, _compute_dtype(x.dtype, xp, device(x)), copy=False)


def to_input_dtype(out: Array, x: Array, xp: ModuleType) -> Array:
    """A result in the float type of its input `x`; as it is when `x` is integer or bool."""
    return xp.astype(out, x.dtype, copy=False) if xp.isdtype(x.dtype, "real floating") else out


def to_numpy(x: Any) -> np.ndarray:
    """`x` as a NumPy array on the host: float64 from float, for statistics and reports."""
    x = as_rewards(x)
    xp = array_namespace(x)
    if xp.isdtype(x.dtype, "real floating"):
        x = to_compute(x, xp)
    return np.asarray(_to_numpy(x), dtype=float)


def _to_numpy(x: Array) -> np.ndarray:
    if hasattr(x, "cpu"):  # PyTorch
        return x.cpu().numpy()
    if hasattr(x, "get"):  # CuPy
        return x.get()
    return np.asarray(x)


def _compute_dtype(dtype: Any, xp: ModuleType, dev: Any) -> Any:
    if not xp.isdtype(dtype, "real floating"):
        return xp.asarray([0.5], device=dev).dtype  # the library's default float
    return dtype if xp.finfo(dtype).bits >= 32 else xp.float32


def is_traced(x: Array) -> bool:
    """Whether `x` is a tracer of `jax.jit`, whose values cannot be looked at."""
    return "jax" in sys.modules and isinstance(x, sys.modules["jax"].core.Tracer)


def _name_group(row: int, leading: tuple[int, ...]) -> str:
    if not leading:
        return "0"
    index = np.unravel_index(row, leading)
    return str(int(index[0])) if len(leading) == 1 else str(tuple(int(i) for i in index))


def check_n(n: float, name: str = "n") -> float:
    """The deployment budget as a number >= 1."""
    if isinstance(n, bool) or not isinstance(n, (int, float, np.number)) or not 1 <= n < math.inf:
        raise BonteaError(
            f"{name}={n!r} is not a deployment budget: {name} is how many responses are sampled "
            "per prompt when the model is used, a number of at least 1 (for example 128)"
        )
    return float(n)


def check_alpha(alpha: float, name: str = "alpha") -> float:
    """The tail fraction as a number in (0, 1]."""
    ok = isinstance(alpha, (int, float, np.number)) and not isinstance(alpha, bool)
    if not ok or not 0 < alpha <= 1:
        raise BonteaError(
            f"{name}={alpha!r} is not a tail fraction: it is the share of a prompt's best rollouts "
            "that the tail is fitted on, above 0 and at most 1 (0.25 is a good start)"
        )
    return float(alpha)


def require_binary(r: Array, name: str, xp: ModuleType) -> None:
    """ValueError naming the first reward that is neither 0 nor 1."""
    if is_traced(r):
        return
    odd = (r != 0) & (r != 1)
    if bool(xp.any(odd)):
        flat = xp.reshape(r, (-1,))
        value = float(flat[int(xp.argmax(xp.astype(xp.reshape(odd, (-1,)), xp.int8)))])
        raise BonteaError(
            f"{name} needs 0/1 rewards, got {number(value)}: use max_at_k for other rewards, or a "
            "threshold on this one"
        )


def check_k(k: int, name: str = "k") -> int:
    """A subset size as an int >= 1."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise BonteaError(f"{name}={k!r} must be a whole number of at least 1")
    return int(k)
