"""The upper halves of all prompts in common units, and the same of normal rewards.

Each prompt is measured by its own tail line (`bontea.tails.fit`): with location mu_p and scale
sigma_p of the line through the better half of its rewards,

    z = (R - mu_p) / sigma_p    for the k_p = ceil(M_p / 2) best rewards of prompt p.

Location and scale of the prompt cancel, whatever they are, so under a normal tail the law of any
statistic of the z depends on nothing but the group sizes. `reference` simulates it: the same
statistic of normal rewards with the same group sizes. There is no asymptotic theory to trust, and
the noise of mu_p and sigma_p, large in small groups, is in the bands. (The lower half of the
rewards enters only through its size: with half of the mass in an odd body, a few of the k_p best
come from the body.)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bontea.tails.fit import fit_tail
from bontea.tails.normal import tail_size
from bontea.tails.order_statistics import expected_scores
from bontea.tails.pareto import ParetoFit, fit_pareto

DEPTH = 0.5
LEAST_REWARDS = 5
"""Fewest rewards of a prompt with 3 of them in the upper half."""
MOST_REWARDS = 200_000
"""Of more rewards than this, a random part of the prompts is used."""
LEVELS = 100
TAILS = (0.25, 0.1, 0.05)
"""Shares of all rewards whose excesses get a generalised Pareto law."""
LEAST_EXCESSES = 20
_DRAWS = 10_000_000
_CHUNK = 2_000_000


@dataclass(frozen=True, eq=False)
class Upper:
    """Upper halves of P prompts in units of their own tail line."""

    z: np.ndarray
    """(P, K) best first; NaN beyond the k_p of a prompt."""
    sizes: np.ndarray
    """(P,) rewards of each prompt."""
    scale: np.ndarray
    """(P,) of the tail line, in reward units."""
    rows: np.ndarray
    """(P,) which prompts of the table these are."""

    @property
    def prompts(self) -> int:
        return len(self.sizes)

    @property
    def pooled(self) -> np.ndarray:
        """All z of all prompts, ascending."""
        return np.sort(self.z[np.isfinite(self.z)])


@dataclass(frozen=True, eq=False)
class Summary:
    """Statistics of upper halves."""

    levels: np.ndarray
    """(LEVELS,) quantiles of the pooled z, at equal steps of probability."""
    points: np.ndarray
    """(G,) quantiles at the scores of `grid`."""
    shapes: np.ndarray
    """(3,) generalised Pareto shape at `TAILS`; NaN with fewer than LEAST_EXCESSES excesses."""
    end: float
    """End point of the law fitted at `TAILS[0]` beyond the best z, in units of the tail line."""
    spread: float
    """Coefficient of variation of the scales."""
    correlations: np.ndarray
    """(P,) of each prompt's upper half with its expected normal scores."""


def upper_halves(rewards: np.ndarray, rng: np.random.Generator | None = None) -> Upper:
    """The prompts of a `(P, M)` table that have at least 5 rewards and a spread in the upper half.

    `rng` picks prompts where there are more than MOST_REWARDS rewards; without it all are used.
    """
    counts = np.isfinite(rewards).sum(axis=1)
    rows = np.flatnonzero(counts >= LEAST_REWARDS)
    if rng is not None and counts[rows].sum() > MOST_REWARDS:
        rows = rng.permutation(rows)
        rows = np.sort(rows[: max(1, int((counts[rows].cumsum() <= MOST_REWARDS).sum()))])
    if len(rows) == 0:
        none = np.empty(0)
        return Upper(np.empty((0, 1)), none.astype(int), none, rows)
    table, counts = rewards[rows], counts[rows]
    line = fit_tail(table, alpha=DEPTH)
    ok = line.scale > 0
    table, counts = table[ok], counts[ok]
    widest = int(counts.max(initial=2))
    k = np.array([tail_size(DEPTH, int(m)) for m in range(widest + 1)])[counts]
    best = -np.sort(-table, axis=1)[:, : int(k.max(initial=1))]
    best = np.where(np.arange(best.shape[1]) < k[:, None], best, np.nan)
    z = (best - line.location[ok, None]) / line.scale[ok, None]
    return Upper(z, counts, line.scale[ok], rows[ok])


def grid(total: int) -> np.ndarray:
    """Standard normal scores at which the upper half is drawn, from its middle to its end."""
    from scipy.special import ndtri

    return np.linspace(0.0, float(-ndtri(0.5 / max(total, 2))), 61)


def summarise(upper: Upper) -> Summary:
    """The statistics that findings use, of data and of normal rewards alike."""
    from scipy.special import ndtr

    pooled, total = upper.pooled, int(upper.sizes.sum())
    # A score x has tail probability ndtr(-x) among all rewards, of which the pool is the best part.
    share = len(pooled) / total
    beyond = np.clip(ndtr(-grid(total)) / share, 0, 1)
    levels = (np.arange(LEVELS) + 0.5) / LEVELS
    quantiles = np.quantile(pooled, np.concatenate([levels, 1 - beyond]))
    fits = [pareto_at(pooled, total, tail) for tail in TAILS]
    end = np.inf
    if fits[0] is not None:
        end = fits[0][0] + fits[0][1].end_point - pooled[-1]
    mean = upper.scale.mean()
    return Summary(
        levels=quantiles[:LEVELS],
        points=quantiles[LEVELS:],
        shapes=np.array([np.nan if fit is None else fit[1].shape for fit in fits]),
        end=float(end),
        spread=float(upper.scale.std(ddof=1) / mean) if len(upper.scale) > 1 else np.nan,
        correlations=correlations(upper),
    )


def pareto_at(pooled: np.ndarray, total: int, tail: float) -> tuple[float, ParetoFit] | None:
    """Threshold and generalised Pareto fit of the best `tail` of all rewards, or None."""
    k = min(int(np.ceil(tail * total)), len(pooled) - 1)
    threshold = pooled[-k - 1] if k > 0 else np.inf
    excess = pooled[-k:] - threshold if k > 0 else np.empty(0)
    excess = excess[excess > 0]  # ties with the threshold
    if len(excess) < LEAST_EXCESSES:
        return None
    return float(threshold), fit_pareto(excess)


def correlations(upper: Upper) -> np.ndarray:
    """Correlation of each prompt's upper half with expected normal scores, (P,).

    The tail line is a least-squares line, so that z has slope 1 on the scores: the correlation is
    the ratio of their standard deviations.
    """
    out = np.empty(len(upper.sizes))
    for size in np.unique(upper.sizes):
        at = upper.sizes == size
        k = tail_size(DEPTH, int(size))
        scores = expected_scores(int(size))[::-1][:k]
        out[at] = scores.std() / upper.z[at, :k].std(axis=1)
    return out


@dataclass(frozen=True, eq=False)
class Reference:
    """The statistics of normal rewards with given group sizes; S simulated data sets."""

    levels: np.ndarray
    """(LEVELS,) mean quantiles."""
    points: np.ndarray
    """(G,) mean quantiles at the scores of `grid`."""
    points_low: np.ndarray
    points_high: np.ndarray
    """(G,) the middle 95 % of data sets."""
    correlation_low: float
    """5 % of data sets have a lower correlation with `levels`."""
    shapes: np.ndarray
    """(S, 3)"""
    ends: np.ndarray
    """(S,)"""
    spreads: np.ndarray
    """(S,)"""
    prompt_low: dict[int, float]
    """Group size -> 5 % of prompts have a lower correlation of their own."""


def reference(sizes: np.ndarray) -> Reference:
    """What normal rewards in groups of these sizes give; simulated once for each set of sizes."""
    return _reference(tuple(sorted(Counter(sizes.tolist()).items())))


@lru_cache(maxsize=8)
def _reference(key: tuple[tuple[int, int], ...]) -> Reference:
    sizes = np.concatenate([np.full(count, size) for size, count in key])
    total, prompts, widest = int(sizes.sum()), len(sizes), int(sizes.max())
    repeats = int(np.clip(_DRAWS // total, 60, 400))
    rng = np.random.default_rng(0)
    summaries: list[Summary] = []
    while len(summaries) < repeats:
        count = int(np.clip(_CHUNK // (prompts * widest), 1, repeats - len(summaries)))
        drawn = rng.standard_normal((count * prompts, widest))
        drawn[np.arange(widest) >= np.tile(sizes, count)[:, None]] = np.nan
        whole = upper_halves(drawn)
        for i in range(count):
            rows = slice(i * prompts, (i + 1) * prompts)
            summaries.append(
                summarise(Upper(whole.z[rows], sizes, whole.scale[rows], whole.rows[rows]))
            )
    levels = np.stack([s.levels for s in summaries])
    points = np.stack([s.points for s in summaries])
    low, high = np.quantile(points, [0.025, 0.975], axis=0)
    own = np.concatenate([s.correlations for s in summaries])
    of_size = np.tile(sizes, repeats)
    return Reference(
        levels=levels.mean(axis=0),
        points=points.mean(axis=0),
        points_low=low,
        points_high=high,
        correlation_low=float(
            np.quantile([correlate(row, levels.mean(axis=0)) for row in levels], 0.05)
        ),
        shapes=np.stack([s.shapes for s in summaries]),
        ends=np.array([s.end for s in summaries]),
        spreads=np.array([s.spread for s in summaries]),
        prompt_low={size: float(np.quantile(own[of_size == size], 0.05)) for size, _ in key},
    )


def correlate(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation."""
    return float(np.corrcoef(a, b)[0, 1])
