"""Rules that need only the order of the scores, or only a count: exact, from all k-subsets at once.

A rule by rank gives the response with the r-th best score a weight w_r(k), its share in what the
rule returns, in the mean over all k-subsets of the M responses:

    value_k = sum_r w_r(k) measure_(r),     measure_(r) of the response with the r-th best score

    best    w_r = C(M-r, k-1) / C(M, k)
    top j   w_r = (1/j) k/M P[of the r - 1 better ones at most j - 1 are among the other k - 1]
    all k succeed (pass^k)    C(c, k) / C(M, k),  c successes: a count, without an order

Equal scores share: each of them counts with the mean measure of all that have its score, which is
what a random order of them gives on average (`bontea.curves.chosen`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from bontea.curves.chosen import by_rank, measured_by_prompt

if TYPE_CHECKING:
    from bontea._types import Float


def best_by(
    scores: Float[np.ndarray, " M"], measure: Float[np.ndarray, " M"], ks: Sequence[int]
) -> Float[np.ndarray, " K"]:
    """Expected measure of the response with the best score among k; all ks are at most M.

    >>> best_by(np.array([3.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0]), [1, 2, 3]).round(4).tolist()
    [0.6667, 0.3333, 0.0]
    """
    out: np.ndarray = measured_by_prompt(scores, measure, np.array([len(scores)]), ks)[0]
    return out


def top_by(
    scores: Float[np.ndarray, " M"], measure: Float[np.ndarray, " M"], ks: Sequence[int], j: int
) -> Float[np.ndarray, " K"]:
    """Expected mean measure of the j responses with the best scores among k; NaN where k < j.

    >>> top_by(np.array([3.0, 1.0, 2.0]), np.array([3.0, 1.0, 2.0]), [1, 2, 3], 2).round(4).tolist()
    [nan, 2.0, 2.5]
    """
    weights = _top_weights(len(scores), tuple(ks), j)
    out: np.ndarray = by_rank(scores[None], measure[None])[0] @ weights
    return out


def every_succeeds(success: np.ndarray, ks: Sequence[int]) -> Float[np.ndarray, " K"]:
    """pass^k: the chance that all k succeed, `C(c, k) / C(M, k)` for c successes of M `(M,)`.

    >>> every_succeeds(np.array([True, True, False]), [1, 2, 3]).round(4).tolist()
    [0.6667, 0.3333, 0.0]
    """
    m, i = len(success), np.arange(max(ks))
    ratios = np.maximum(int(success.sum()) - i, 0) / (m - i)
    out: np.ndarray = np.cumprod(ratios)[np.asarray(ks) - 1]
    return out


@lru_cache(maxsize=32)
def _top_weights(m: int, ks: tuple[int, ...], j: int) -> np.ndarray:
    from scipy.stats import hypergeom

    rank, k = np.arange(1, m + 1)[:, None], np.array(ks)
    others = max(m - 1, 1)  # of a single response there are none, which SciPy does not take
    out: np.ndarray = k / m / j * hypergeom.cdf(j - 1, others, rank - 1, k - 1)
    out[:, k < j] = np.nan
    out.setflags(write=False)
    return out
