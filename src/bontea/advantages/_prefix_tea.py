"""Prefix-TEA: TEA with its 1/M bias cancelled by combining prefixes of the group.

The bias of TEA on n rollouts is a series in 1/n. A weighted sum over prefix sizes n_1 < ... < n_J
with `sum_j w_j = 1` and `sum_j w_j n_j^-l = 0` removes its first terms (moment cancellation,
Richardson extrapolation in the sample size). Averaging over random orders of the group makes every
rollout count. It costs variance, about twice TEA's. Linear in the score functions, so the result is
still one number per rollout. Degenerate groups as in TEA: equal tail rewards give zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from array_api_compat import device

from bontea._arrays import (
    Array,
    check_alpha,
    check_k,
    check_n,
    per_group,
)
from bontea._errors import BonteaError, GroupTooSmallError
from bontea._numbers import number
from bontea.advantages._ranks import add_windows, best_first, share_ties, unsort
from bontea.advantages._reinforce import centred
from bontea.advantages._tea import SD_FLOOR, coefficient
from bontea.tails.fit import require_tail
from bontea.tails.normal import tail_size

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


CHUNK = 2**18
"""Orders times rollouts worked on at once: bounds memory, and keeps it in the cache."""

CROSS_FIT_SD_FLOOR = 0.05
"""Cross-fitted, a prefix's tail standard deviation is never taken below this share of the one of
the whole group's tail: it divides rewards it was not computed from."""


def prefix_weights(sizes: Sequence[int], order: int = 2) -> np.ndarray:
    """Weights `w` of least norm with `sum_j w_j = 1` and `sum_j w_j n_j^-l = 0`, l = 1..order-1.

    Raises ValueError when the sizes are not increasing or fewer than `order`.

    >>> prefix_weights([16, 32]).round(12).tolist()
    [-1.0, 2.0]
    """
    order = check_k(order, "order")
    n = np.asarray(sizes, dtype=float)
    if n.ndim != 1 or len(n) < order or n[0] < 1 or np.any(np.diff(n) <= 0):
        raise BonteaError(
            f"prefix sizes {list(sizes)} must be increasing, positive, and at least order={order} "
            "of them"
        )
    moments = (n[-1] / n) ** np.arange(order)[:, None]
    return np.linalg.lstsq(moments, np.eye(order)[0], rcond=None)[0]


def prefix_sizes(
    m: int, alpha: float, prefixes: int | Sequence[int] = 4, *, cross_fit: bool = False
) -> tuple[int, ...]:
    """The prefix sizes used for a group of m.

    With `n_1` the larger of m/2 (m/4 cross-fitted) and the smallest size whose tail has 3 rewards,
    the sizes go from `n_1` half-way to the last in equal steps, and then to m (3m/4 cross-fitted).

    >>> prefix_sizes(32, 0.25), prefix_sizes(16, 0.25), prefix_sizes(64, 0.25, cross_fit=True)
    ((16, 20, 24, 32), (9, 11, 13, 16), (16, 24, 32, 48))
    """
    least = 4 if cross_fit else 3
    if not isinstance(prefixes, (int, np.integer)):
        sizes = tuple(check_k(size, "prefix size") for size in prefixes)
        if not sizes or sizes[-1] > m - cross_fit:
            raise GroupTooSmallError(
                f"prefix sizes {list(sizes)} do not fit a group of {m}"
                + (" with rollouts left over to evaluate on" if cross_fit else "")
            )
        for size in sizes:
            require_tail(size, alpha, least)
        return sizes
    count = check_k(prefixes, "prefixes")
    if cross_fit:
        first, last = m // 4, 3 * m // 4
        if tail_size(alpha, max(first, 1)) < 4:
            need = 4 * (int(np.floor(3 / alpha + 1e-9)) + 1)
            raise GroupTooSmallError(
                "prefix_tea with cross_fit needs at least 4 rewards in the tail of its first "
                f"prefix, m/4 = {first} of {m} rollouts at tail fraction {number(alpha)}: use at "
                f"least {need} rollouts, a larger tail fraction, or cross_fit=False"
            )
    else:
        require_tail(m, alpha)
        first, last = max(-(-m // 2), int(np.floor(2 / alpha + 1e-9)) + 1), m
    steps = [*np.linspace(0, 0.5, max(count - 1, 1))[: count - 1], 1.0]
    return tuple(sorted({int(np.ceil(first + (last - first) * s - 1e-9)) for s in steps}))


def prefix_tea(
    rewards: Float[ArrayLike, "*P M"],
    *,
    n: float,
    alpha: float = 0.25,
    order: int = 2,
    prefixes: int | Sequence[int] = 4,
    permutations: int = 16,
    cross_fit: bool = False,
    center: bool = True,
    rng: np.random.Generator | int | None = None,
) -> Float[Array, "*P M"]:
    """Debiased tail-extrapolated advantage, `(*P, M) -> (*P, M)`, in the units of the rewards.

        A = sum_j w_j TEA_{n_j},   w = prefix_weights(sizes, order),

    averaged over random orders of the group. Mean convention: the policy gradient estimate of a
    prompt is `(1/M) sum_i A_i grad log pi(y_i)`.

    - `cross_fit=False`: `TEA_{n_j}` is `tea` of the first n_j rollouts times `M/n_j` on those, 0 on
      the others. Sizes (.5, .625, .75, 1) M. On normal rewards with N = 128 the bias of the
      first component is .76, .51, .32 times TEA's at M = 16, 32, 64.
    - `cross_fit=True`: threshold, mean and standard deviation from the first n_j rollouts, the
      shaped reward on the *other* M - n_j (times `M/(M - n_j)`). Sizes (.25, .375, .5, .75) M. The
      bias is really of second order, but very noisy below M = 64 or so.

    Parameters
    ----------
    rewards, n, alpha, center
        As in `tea`.
    order
        Bias terms up to `n^-(order-1)` are cancelled. Higher is noisier.
    prefixes
        How many prefix sizes (see `prefix_sizes`), or the sizes themselves, increasing.
    permutations
        Random orders to average over, for each group its own, drawn afresh at every call.
        `permutations=1` works and is noisy: 1.4 times the variance of 16; 4 cost 2 %.
    rng
        Seed or NumPy generator; the same seed gives the same result. The orders act on ranks, so
        the result does not depend on the order of the rollouts.

    Notes
    -----
    Equal rewards share their advantage. Equal tail rewards, or a constant group, get zeros.
    Cross-fitted, a prefix's tail standard deviation is never taken below 0.05 of the one of the
    whole group's tail.

    Raises
    ------
    GroupTooSmallError
        In every group the first prefix has fewer than 3 (cross-fitted: 4) rewards in its tail, or
        there are fewer different sizes than `order`.
    ValueError
        As in `tea`, or sizes that are not increasing, or fewer than `order`.

    Source: Li, Qian, Mou 2026 (arXiv 2605.10716), Prefix-TEA; Theorem 2 for `cross_fit=True`, run
    there with order 2 and 4 prefixes. Sizes, number of orders and centring are our choices, and so
    is the form `cross_fit=False`.

    >>> rewards = np.random.default_rng(0).normal(size=(2, 32))
    >>> prefix_tea(rewards, n=128, rng=0).shape
    (2, 32)
    """
    n, alpha = check_n(n), check_alpha(alpha)
    order, permutations = check_k(order, "order"), check_k(permutations, "permutations")
    generator = np.random.default_rng(rng)

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        sizes = prefix_sizes(m, alpha, prefixes, cross_fit=cross_fit)
        if len(sizes) < order and isinstance(prefixes, (int, np.integer)):
            raise GroupTooSmallError(
                f"a group of {m} has room for prefix sizes {sizes} only, fewer than order={order}: "
                "use more rollouts, a larger tail fraction, or more prefixes"
            )
        best, source = best_first(r, xp)
        span = best[:, :1] - best[:, -1:]
        span = xp.where(span > 0, span, xp.ones_like(span))
        x = (best - best[:, :1]) / span  # then squares neither overflow nor vanish
        weights = prefix_weights(sizes, order)
        chunk = max(1, CHUNK // (permutations * m))
        parts = [
            _chunk(
                x[i : i + chunk], sizes, weights, permutations, n, alpha, cross_fit, generator, xp
            )
            for i in range(0, max(1, x.shape[0]), chunk)
        ]
        a = share_ties(span * xp.concat(parts, axis=0), best, xp)
        return unsort(centred(a, xp) if center else a, source, xp)

    return per_group(rewards, kernel, in_blocks=True)


def _chunk(
    x: Array,
    sizes: tuple[int, ...],
    weights: np.ndarray,
    permutations: int,
    n: float,
    alpha: float,
    cross_fit: bool,
    rng: np.random.Generator,
    xp: ModuleType,
) -> Array:
    """The advantages of some groups, in rank order: `x` is `(P, m)`, best first, in [-1, 0].

    The prefixes of the rotations of an order are windows on a circle of m positions, the same in
    every group; the group's own is which reward stands where. So arrays here are by position,
    `(positions, windows, P)`, and every operation is one on whole windows of all groups.
    """
    groups, m = x.shape
    floor = xp.full_like(x[:, 0], SD_FLOOR)
    if cross_fit:
        tail = x[:, : tail_size(alpha, m)]
        floor = xp.maximum(floor, CROSS_FIT_SD_FLOOR * xp.std(tail, axis=-1))
    total = xp.zeros_like(x)
    for ranks, starts in rotations(groups, m, permutations, rng):
        twice = np.concatenate([ranks, ranks], axis=1)  # so that no window is cut
        circle = _take_ranks(x, twice.T, xp)
        a = xp.zeros_like(circle)
        for size, weight in zip(sizes, weights.tolist(), strict=True):
            k = tail_size(alpha, size)
            each = weight / permutations
            if size == m:  # every window is the whole circle
                starts, each = starts[:1], each * len(starts)
            windows = np.stack([twice[:, i : i + size] for i in starts], axis=1)
            kth_best = np.sort(windows, axis=-1)[:, :, k - 1]  # of integers: fast
            threshold = _take_ranks(x, kth_best.T, xp)
            excess = _excess(circle, starts, size, threshold, xp)
            mean = xp.sum(excess, axis=0) / k
            variance = xp.sum(excess * excess, axis=0) / k - mean * mean
            sd = xp.sqrt(xp.maximum(variance, floor * floor))
            slope = coefficient(n, k, size) / 2 / sd
            on = starts
            if cross_fit:
                on, each = starts + size, each * size / (m - size)
                excess = _excess(circle, on, m - size, threshold, xp)
            # With e = R - r: (R - r) + ct/(2 sd) ((R - mu)^2 - (r - mu)^2), 0 on an equal tail.
            factor = xp.astype(mean > 0, mean.dtype) * (each * m / k)
            values = excess * (factor * slope)
            values += factor * (1 - 2 * slope * mean)
            values *= excess
            a = add_windows(a, on, values, xp)
        a = xp.permute_dims(a[:m] + a[m:], (1, 0))
        total = total + xp.permute_dims(_take_ranks(a, _inverse(ranks).T, xp), (1, 0))
    return total


def rotations(
    groups: int, m: int, permutations: int, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random orders: which rank stands at each position, `(P, m)`, and where its rotations start.

    The rotations of one random order, by equal steps, are up to m of the orders; more take another
    one. Each rank is then in a prefix about equally often. Groups do not share orders: the same
    ranks would be left out in all of them, and that error does not average out.
    """
    counts = [min(m, permutations - i) for i in range(0, permutations, m)]
    # A random number with the rank in its last digits: sorting these is faster than rng.permuted.
    keys = rng.random((groups, len(counts), m)) + 1.0
    bits = keys.view(np.int64)
    last = 2 ** m.bit_length() - 1
    bits &= ~last
    bits |= np.arange(m)
    keys.sort(axis=-1)
    ranks = (bits & last).astype(np.int32)
    return [(ranks[:, i], np.arange(count) * m // count) for i, count in enumerate(counts)]


def balanced_orders(groups: int, m: int, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """The orders of `rotations` one by one: position of each rank, `(groups, permutations, m)`."""
    orders = [
        (_inverse(ranks)[:, None, :] - starts[:, None]) % m
        for ranks, starts in rotations(groups, m, permutations, rng)
    ]
    return np.concatenate(orders, axis=1)


def _inverse(orders: np.ndarray) -> np.ndarray:
    """The inverse of each row, a permutation: `out[g, orders[g, i]] = i`."""
    groups, m = orders.shape
    out = np.empty(groups * m, dtype=np.int64)
    out[(orders + np.arange(groups)[:, None] * m).ravel()] = np.tile(np.arange(m), groups)
    return out.reshape(groups, m)


def _take_ranks(x: Array, ranks: np.ndarray, xp: ModuleType) -> Array:
    """`x` `(P, m)` at ranks `(positions, P)`, a rank for each group."""
    flat = ranks + np.arange(x.shape[0]) * x.shape[1]
    index = xp.asarray(flat.ravel(), device=device(x))
    return xp.reshape(xp.take(xp.reshape(x, (-1,)), index, axis=0), ranks.shape)


def _excess(
    circle: Array, starts: np.ndarray, size: int, threshold: Array, xp: ModuleType
) -> Array:
    """What rewards in windows `(size, windows)` exceed a threshold by; 0 if they do not."""
    index = xp.asarray((np.arange(size)[:, None] + starts).ravel(), device=device(circle))
    excess = xp.reshape(xp.take(circle, index, axis=0), (size, len(starts), circle.shape[1]))
    excess -= threshold
    return xp.maximum(excess, xp.zeros_like(threshold[:1, :1]))
