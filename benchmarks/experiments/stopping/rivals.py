"""Stopping rules to compare with, as indices: each draws while its index exceeds a price.

Rewards `(B, T)` in the order in which they are drawn; an index is `(B, T)`, after 1, 2, ... T
responses. What a rule calls its price differs in unit from rule to rule; the benchmark sets it so
that all have the same mean reward.
"""

from __future__ import annotations

import numpy as np
from scipy.special import exp1, ndtr

from bontea.deploy.gain import student_excess
from bontea.deploy.prior import seen

DELTA, QUANTILE = 0.05, 0.99


def normal_excess(u: np.ndarray) -> np.ndarray:
    """E[(X - u)+] of the standard normal."""
    return np.exp(-u * u / 2) / np.sqrt(2 * np.pi) - u * ndtr(-u)


def no_prior(rewards: np.ndarray) -> np.ndarray:
    """Student's t predictive law of the prompt's own rewards under Jeffreys' prior, one step ahead.

    The index of BEACON (arXiv 2510.15945) without its backward induction; from 3 responses on.
    """
    at = np.arange(1, rewards.shape[1] + 1)
    state = seen(rewards, at)
    freedom = np.maximum(at - 1.0, 1.5)
    scale = np.sqrt(state.squares / np.maximum(at - 1.0, 1.0) * (at + 1) / at)
    u = (state.best - state.mean) / np.maximum(scale, 1e-12)
    index = scale * student_excess(u, freedom)
    index[:, :2] = np.inf
    return index


def tail_above_median(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median of the first n values and mean excess of those at or above it, `(B, T)` each."""
    medians, excess = np.empty_like(values), np.empty_like(values)
    for n in range(1, values.shape[1] + 1):
        some = values[:, :n]
        middle = np.median(some, axis=1, keepdims=True)
        above = some >= middle
        medians[:, n - 1] = middle[:, 0]
        excess[:, n - 1] = ((some - middle) * above).sum(1) / above.sum(1)
    return medians, excess


def ucb_pandora(rewards: np.ndarray, first: int = 10) -> np.ndarray:
    """The rule of Kalayci, Raman and Dughmi 2025 (arXiv 2510.01394) as they run it on rewards.

    Rewards are exponentiated, and the law of `v = exp(r)` is a shifted exponential: it begins at
    the median, its mean excess s is that of the values above, raised by the confidence factor
    `1 + sqrt(log n log(1/delta) / n)`. The utility of v is `v / (v + w)`, w the 99 % quantile of
    the law with the lower confidence limit of s. Drawing goes on while

        E[(utility(V) - utility(best))+] = w exp(-(best - loc)/s) (1/(best + w) - e^y E1(y) / s),
        y = (best + w) / s

    exceeds the price. `first` responses are always drawn: 10 in the authors' code. Facts from the
    paper's abstract, its public reviews and public code; delta = 0.05.
    """
    # Utilities do not change when all values are multiplied; the largest is 1 for the digits.
    values = np.exp(rewards - rewards.max(1, keepdims=True))
    n = np.arange(1, values.shape[1] + 1)
    loc, excess = tail_above_median(values)
    radius = np.sqrt(np.log(n) * np.log(1 / DELTA) / n)
    high = np.maximum(excess * (1 + radius), 1e-12)
    low = np.maximum(excess * (1 - radius), 1e-12)
    w = loc - low * np.log(1 - QUANTILE)
    best = np.maximum.accumulate(values, axis=1)
    y = (best + w) / high
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.where(y < 500, np.exp(np.minimum(y, 500)) * exp1(np.minimum(y, 500)), 0.0)
    scaled = np.where(y < 500, scaled, (1 - 1 / y + 2 / y**2) / y)
    index = w * np.exp(-(best - loc) / high) * (1 / (best + w) - scaled / high)
    index = np.maximum(index, 0.0)
    index[:, : first - 1] = np.inf
    return index


def ucb_pandora_raw(rewards: np.ndarray, first: int = 4) -> np.ndarray:
    """The same with rewards as they are, as in the paper's theory: `s exp(-(best - loc)/s) / 2`."""
    n = np.arange(1, rewards.shape[1] + 1)
    loc, excess = tail_above_median(rewards)
    s = np.maximum(excess * (1 + np.sqrt(np.log(n) * np.log(1 / DELTA) / n)), 1e-12)
    best = np.maximum.accumulate(rewards, axis=1)
    index = s * np.exp(-(best - loc) / s) / 2
    index[:, : first - 1] = np.inf
    return index


def known_sample(rewards: np.ndarray, all_rewards: np.ndarray) -> np.ndarray:
    """Weitzman's rule with the law known: that of all rollouts of the prompt, `(B, M)`."""
    best = np.maximum.accumulate(rewards, axis=1)
    ordered = np.sort(all_rewards, axis=1)
    m = ordered.shape[1]
    above = np.cumsum(ordered[:, ::-1], axis=1)[:, ::-1]
    above = np.concatenate([above, np.zeros((len(ordered), 1))], axis=1)
    index = np.empty_like(best)
    for i, row in enumerate(ordered):
        place = np.searchsorted(row, best[i], side="right")
        index[i] = (above[i, place] - (m - place) * best[i]) / m
    return index
