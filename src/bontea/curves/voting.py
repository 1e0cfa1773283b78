"""What a vote among k responses is worth: majority, and weighted by scores.

Of M responses of a prompt, k are drawn without replacement; each votes for its answer (with weight
1, or with its score), and the answer with the largest sum wins. The value of a vote is the mean
measure (is it right? how good is it?) of the drawn responses that give the winning answer.

- Answers with equal sums share the win equally.
- A response without an answer takes up a draw and votes for nothing. Where no drawn response has an
  answer, one of them is returned at random: the value is their mean measure.
- At k = 1 every vote is the mean of all responses.

**Majority, exactly.** Answer d was given by c_d of the M responses, with mean measure v_d; b have
none. Given how many of the drawn give each answer, which ones they are is left to chance, so that
only the counts matter (a multivariate hypergeometric law):

    sum_d v_d sum_j sum_t 1/(1+t) C(c_d, j) [x^(k-j) y^t] (1+x)^b prod_{e != d} (sum_{i<j} C(c_e, i)
    x^i + y C(c_e, j) x^j)  /  C(M, k)

j the votes for d, t the other answers with as many. 1/(1+t) is the integral of y^t over [0, 1], a
Gauss-Legendre sum that is exact, and one pass over the answers gives all k at once: A is the
product so far, B the sum of the products in which one d has been taken out.

**By drawing.** A weighted vote has no such form, and an exact majority is dear for many answers and
many responses: then subsets are drawn (the beginnings of random orders, so that one order serves
every k), or all of them gone through where they are no more than would be drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from bontea._types import Float, Int

LARGEST_EXACT = 1000
"""Responses up to which binomial coefficients, halved once for each response, are floats."""
TIES = 1e-9
"""Sums of weights that differ by less, relative to the largest, are equal."""


class Votes(NamedTuple):
    """The value of a vote at each k `(K,)`, and the variance that drawing has left in it."""

    value: Float[np.ndarray, " K"]
    variance: Float[np.ndarray, " K"]
    """Of the value of this prompt around what all subsets would give; 0 where it is exact."""


def majority(
    answers: Int[np.ndarray, " M"],
    measure: Float[np.ndarray, " M"],
    ks: Sequence[int],
    *,
    work: float,
    subsets: int,
    rng: np.random.Generator,
) -> Votes:
    """The majority vote of one prompt; `answers` are numbers from 0 on, -1 for none.

    Exact where that takes no more than `work` multiplications, otherwise by drawing.
    """
    counts, means = _groups(answers, measure)
    none = answers < 0
    blank = float(measure[none].mean()) if none.any() else 0.0
    if len(answers) <= LARGEST_EXACT and _work(counts, max(ks)) <= work:
        value = _exact(counts, means, int(none.sum()), blank, ks)
        return Votes(value, np.zeros(len(ks)))
    # The mean of a whole group in place of that of its drawn responses: the same expectation.
    same = np.where(none, blank, means[answers] if len(means) else 0.0)
    return _drawn(answers, np.ones(len(answers)), same, ks, subsets, rng)


def weighted(
    answers: Int[np.ndarray, " M"],
    weights: Float[np.ndarray, " M"],
    measure: Float[np.ndarray, " M"],
    ks: Sequence[int],
    *,
    subsets: int,
    rng: np.random.Generator,
) -> Votes:
    """The vote of one prompt in which each response has a weight, at least 0."""
    return _drawn(answers, weights, measure, ks, subsets, rng)


def _groups(answers: np.ndarray, measure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How often each answer was given, and the mean measure of those that gave it."""
    there = answers >= 0
    counts = np.bincount(answers[there])
    return counts, np.bincount(answers[there], measure[there]) / np.maximum(counts, 1)


def _nodes(counts: np.ndarray, j: int) -> int:
    """Nodes with which a polynomial in y is integrated exactly: up to as many ties as answers."""
    return (int((counts >= j).sum()) + 1) // 2


def _work(counts: np.ndarray, k: int) -> float:
    """Multiplications of `_exact`, about."""
    most = int(min(counts.max(initial=0), k))
    rows = sum(_nodes(counts, j) for j in range(1, most + 1))
    return 2.0 * rows * (k + 1) * float((np.minimum(counts, most) + 1).sum())


def _exact(
    counts: np.ndarray, means: np.ndarray, none: int, blank: float, ks: Sequence[int]
) -> np.ndarray:
    m, last = int(counts.sum()) + none, max(ks)
    out = np.array([blank * comb(none, k) / comb(m, k) for k in ks])
    most = int(min(counts.max(initial=0), last))
    nodes = np.array([_nodes(counts, j) for j in range(1, most + 1)], dtype=int)
    scale = np.array([comb(m, k) / 2**m for k in ks])
    for n in np.unique(nodes):
        js = 1 + np.flatnonzero(nodes == n)
        y, weights = np.polynomial.legendre.leggauss(int(n))
        y, weights = (y + 1) / 2, weights / 2
        found = _products(counts, means, none, js, y, last)
        for j, row in zip(js.tolist(), np.einsum("n,jnx->jx", weights, found), strict=True):
            for at, k in enumerate(ks):
                if k >= j:
                    out[at] += row[k - j] / scale[at]
    return out


def _products(
    counts: np.ndarray, means: np.ndarray, none: int, js: np.ndarray, y: np.ndarray, last: int
) -> np.ndarray:
    """B for votes `js` and nodes `y`, coefficients of x up to `last`: `(J, n, last + 1)`."""
    a = np.zeros((len(js), len(y), last + 1))
    b = np.zeros_like(a)
    size = min(none, last) + 1
    a[:, :, :size] = [comb(none, i) / 2**none for i in range(size)]
    for c, mean in zip(counts.tolist(), means.tolist(), strict=True):
        size = min(c, int(js[-1]), last) + 1
        binomial = np.array([comb(c, i) / 2**c for i in range(size)])
        i = np.arange(size)
        below, equal = i < js[:, None], i == js[:, None]
        factors = binomial * np.where(equal[:, None], y[:, None], below[:, None])
        taken = np.where(js < size, binomial[np.minimum(js, size - 1)], 0.0) * mean
        b = _times(b, factors) + taken[:, None, None] * a
        a = _times(a, factors)
    return b


def _times(a: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Products of polynomials in x along the last axis, cut off behind that of `a`."""
    out = a * factors[:, :, :1]
    for i in range(1, factors.shape[-1]):
        out[:, :, i:] += a[:, :, :-i] * factors[:, :, i : i + 1]
    return out


def _drawn(
    answers: np.ndarray,
    weights: np.ndarray,
    measure: np.ndarray,
    ks: Sequence[int],
    subsets: int,
    rng: np.random.Generator,
) -> Votes:
    """By subsets: all of them where there are no more than `subsets`, otherwise so many."""
    m = len(answers)
    value, variance = np.empty(len(ks)), np.zeros(len(ks))
    tally = _Tally(answers, weights, measure)
    few = [k for k in ks if comb(m, k) <= subsets]
    for at, k in enumerate(ks):
        if k in few:
            tally.begin(comb(m, k))
            tally.add(np.array(list(combinations(range(m), k))))
            value[at] = tally.values().mean()
    many = sorted(set(ks) - set(few))
    if many:
        orders = np.argsort(rng.random((subsets, m)), axis=1)
        tally.begin(subsets)
        for done, k in zip([0, *many], many, strict=False):
            tally.add(orders[:, done:k])
            found = tally.values()
            at = list(ks).index(k)
            value[at], variance[at] = found.mean(), found.var(ddof=1) / subsets
    return Votes(value, variance)


class _Tally:
    """The votes in some subsets, to which responses are added."""

    def __init__(self, answers: np.ndarray, weights: np.ndarray, measure: np.ndarray):
        self.answers, self.weights, self.measure = answers, weights, measure
        self.width = int(answers.max(initial=-1)) + 2  # the last one: no answer

    def begin(self, subsets: int) -> None:
        self.sums, self.number, self.total = np.zeros((3, subsets, self.width))

    def add(self, drawn: np.ndarray) -> None:
        """Responses `(S, any)`, some for each subset."""
        cells = (
            np.arange(len(drawn))[:, None] * self.width + self.answers[drawn] % self.width
        ).ravel()
        for table, values in (
            (self.sums, self.weights),
            (self.number, None),
            (self.total, self.measure),
        ):
            each = None if values is None else values[drawn].ravel()
            table += np.bincount(cells, each, minlength=table.size).reshape(table.shape)

    def values(self) -> np.ndarray:
        """The value of the vote in each subset."""
        there = self.number[:, :-1] > 0
        sums = np.where(there, self.sums[:, :-1], -np.inf)
        most = sums.max(1, initial=-np.inf)
        voted = np.isfinite(most)
        bar = np.where(voted, most, 0.0)
        wins = there & (sums >= (bar - TIES * np.abs(bar))[:, None])
        means = np.divide(
            self.total, self.number, out=np.zeros_like(self.total), where=self.number > 0
        )
        shared = (wins * means[:, :-1]).sum(1) / np.maximum(wins.sum(1), 1)
        return np.where(voted, shared, means[:, -1])
