"""Chosen by one score, measured by another: what the response is worth that wins among k.

A deployment draws k responses and returns the one with the highest selecting score s, such as a
reward model's. What counts is another score r of that response, such as a judge's. With the M
responses of a prompt sorted by s, the one of rank j (1 is the best) wins in C(M-j, k-1) of the
C(M, k) subsets of size k, so that

    E r(winner of k) = sum_j C(M-j, k-1) / C(M, k)  r_(j)

is the mean over all subsets: unbiased for every k up to M, whatever the two scores have to do with
each other, with no assumption on either law. Responses with equal s share their weights: the winner
is then any of the highest ones with the same chance, and by symmetry each member of a tied block
has the same weight, so that r may be replaced by its mean in the block before the sum. (Without
that the result would depend on the order of the file.) With r = s it is `best_of_k`, digit for
digit.

A response without s or without r is left out, as if it had not been drawn, in the way of
`best_of_k`. That is exactly unbiased, not only for large M, where a score is missing by chance,
that is, independently of both scores: what is left is then a sample of the same law. Where the
chance to be missing depends on s, no weights repair it without a model of how;
`bontea.curves.pairs` looks for that and refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bontea._arrays import BLOCK, check_k, to_numpy
from bontea._errors import BonteaError, GroupTooSmallError
from bontea.curves.unbiased import best_of_k_weights, mean_of_winner, some_at_a_time

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float, Int


def measured_best_of_k(
    select: Float[ArrayLike, "*P M"], measure: Float[ArrayLike, "*P M"], k: int | Sequence[int]
) -> Float[np.ndarray, "*P"] | Float[np.ndarray, "*P K"]:
    """Unbiased expected measure of the response with the best of k selecting scores: `(*P,)`.

        sum_j [C(M-j, k-1) / C(M, k)] r_(j),   j the rank by s, 1 the best; ties in s share

    the mean over all k-subsets of the M responses of the measure r of the one that wins by the
    selecting score s; among equal ones any wins with the same chance. With a sequence of K values
    of k the result is `(*P, K)`, from one sort.

    In the units of `measure`; those of `select` do not matter, only its order. A response in which
    either is NaN (None in lists) is left out; a prompt with fewer than k others gets NaN. The
    result is a NumPy array in float64, whatever the arrays are.

    Raises
    ------
    GroupTooSmallError
        No prompt has k responses with both scores. Nothing is predicted beyond the sample: see
        docs/two-scores.md.
    ValueError
        k is not a whole number of at least 1; the shapes differ; an infinite score.

    >>> reward, judge = [[0.1, 0.5, 0.9]], [[3.0, 8.0, 5.0]]
    >>> measured_best_of_k(reward, judge, [1, 2, 3]).round(4).tolist()  # at 2: (8 + 5 + 5) / 3
    [[5.3333, 6.0, 5.0]]
    """
    s, r = _scores(select, "select"), _scores(measure, "measure")
    if s.shape != r.shape:
        raise BonteaError(
            f"select of shape {s.shape} and measure of shape {r.shape} must be two scores of the "
            "same responses, of one shape"
        )
    ks = tuple(check_k(value) for value in np.atleast_1d(np.asarray(k, dtype=object)))
    leading, m = s.shape[:-1], s.shape[-1]
    s, r = s.reshape(-1, m), r.reshape(-1, m)
    both = ~(np.isnan(s) | np.isnan(r))
    counts = both.sum(axis=1)
    if min(ks) > counts.max(initial=0):
        raise GroupTooSmallError(
            f"k={min(ks)} exceeds the {counts.max(initial=0)} responses of a prompt that have both "
            "scores: draw more, or score those that lack one"
        )
    out = np.full((len(s), len(ks)), np.nan)
    there = counts > 0
    out[there] = measured_by_prompt(s[both], r[both], counts[there], ks)
    out = out.reshape(*leading, len(ks))
    return out[..., 0] if np.ndim(k) == 0 else out


def measured_by_prompt(
    select: Float[np.ndarray, " R"],
    measure: Float[np.ndarray, " R"],
    counts: Int[np.ndarray, " P"],
    ks: Sequence[int],
) -> Float[np.ndarray, "P K"]:
    """The same, `(P, K)`, of groups of any sizes that lie one after the other, as `(R,)` scores.

    `counts` `(P,)` are their sizes, all at least 1; every score is there. NaN where k is larger.
    """
    grid = tuple(check_k(k) for k in ks)
    starts = np.cumsum(counts) - counts
    out = np.empty((len(counts), len(grid)))
    for size in np.unique(counts).tolist():
        prompts = np.flatnonzero(counts == size)
        rows = max(1, BLOCK // size)
        for first in range(0, len(prompts), rows):
            which = prompts[first : first + rows]
            at = starts[which][:, None] + np.arange(size)
            values = by_rank(select[at], measure[at])
            done = 0
            for some in some_at_a_time(grid, size):
                out[which, done : done + len(some)] = mean_of_winner(values, some, np)
                done += len(some)
    return out


def by_rank(select: np.ndarray, measure: np.ndarray) -> np.ndarray:
    """`(P, m)` measures in the order of the selecting score, best first; ties have their mean."""
    order = np.argsort(-select, axis=-1)
    s = np.take_along_axis(select, order, axis=-1)
    r = np.take_along_axis(measure, order, axis=-1).astype(float, copy=False)
    begins = np.ones(s.shape, dtype=bool)
    begins[:, 1:] = s[:, 1:] != s[:, :-1]
    if begins.all():
        return r
    block = np.cumsum(begins.ravel()) - 1
    # From the first of the block on: blocks of one, and of equal values, are exact.
    first = r.ravel()[begins.ravel()]
    beyond = np.bincount(block, r.ravel() - first[block]) / np.bincount(block)
    return (first + beyond)[block].reshape(r.shape)


def winner_weights(select: Float[np.ndarray, " m"], ks: tuple[int, ...]) -> np.ndarray:
    """The chance of each response of one prompt to win among k, in their own order: `(m, K)`."""
    weights = best_of_k_weights(len(select), ks)
    out = np.zeros((len(select), weights.shape[1]))
    order = np.argsort(-select)
    out[order[: len(weights)]] = weights
    _, block = np.unique(select, return_inverse=True)
    size = np.bincount(block)
    if (size > 1).any():
        shared = np.stack([np.bincount(block, column) for column in out.T], axis=1)
        out = (shared / size[:, None])[block]
    return out


def _scores(values: Any, name: str) -> np.ndarray:
    found = to_numpy(values)
    if np.isinf(found).any():
        raise BonteaError(
            f"{name} holds an infinite score; clip it, or give None or NaN for a response without "
            "one"
        )
    return found
