"""Learn a prior, and try on the prompts it is learnt from how far it can be trusted.

A tail model can be wrong in ways that no formula shows beforehand: rewards that end at a ceiling of
their own for each prompt, or prompts whose laws differ in form. Then the index orders prompts badly
and the rule draws more than a fixed N for the same reward. So it is tried: on the prompts at hand,
in random orders, each with a prior learnt from the others, the rule is followed with trust
1, 3/4, 1/2, 1/4 and 0 (`bontea.deploy.gain.rule_index`), and the trust that needs the fewest
responses for the mean reward of a fixed N, half of the rollouts or less, is kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bontea.deploy.gain import fixed_index, mix
from bontea.deploy.prior import Prior, fit_prior
from bontea.deploy.walk import Walk, walk
from bontea.rollouts.groups import Rollouts, as_rollouts
from bontea.tails.fit import TailVerdict

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float

TRUSTS = (1.0, 0.75, 0.5, 0.25)
LEAST_PROMPTS, LEAST_ROLLOUTS = 8, 16
FOLDS = 4
MOST_TRIED, MOST_ROLLOUTS, ORDERS = 200, 256, 4
"""Prompts, rollouts of each, and orders of them that the trial uses at most."""
TIE = 0.005
"""Savings that differ by less than this share of the responses count as equal."""
LEAST_SAVING = 0.04
"""Share of the responses that the rule must save in the trial, or it is a fixed N."""


def learn_prior(
    rollouts: Rollouts | Float[ArrayLike, "P M"],
    *,
    tail: str | None = None,
    ceiling: float | None = None,
    rng: np.random.Generator | int | None = None,
) -> Prior:
    """The prior of `fit_prior`, with the trust that the rollouts support.

    Parameters and errors as in `fit_prior`. The trial needs 8 prompts with 16 rewards each;
    with fewer the trust stays 1 and the verdict is `"unknown"`. `rng` orders the rollouts.

    >>> rng = np.random.default_rng(0)
    >>> shift, scale = rng.normal(size=(150, 1)), np.exp(0.25 * rng.normal(size=(150, 1)))
    >>> learn_prior(shift + scale * rng.normal(size=(150, 64)), rng=0).verdict
    'holds'
    >>> learn_prior(shift + scale * rng.random((150, 64)), rng=0).verdict  # a ceiling each
    'fails'
    """
    data = as_rollouts(rollouts).scored()
    prior = fit_prior(rollouts, tail=tail, ceiling=ceiling)
    usable = np.flatnonzero(data.counts >= LEAST_ROLLOUTS)
    if prior.success is not None or len(usable) < LEAST_PROMPTS or prior.variance == 0:
        return prior
    generator = np.random.default_rng(rng)
    tried = generator.permutation(usable)[:MOST_TRIED]
    most = min(int(np.median(data.counts[tried])), MOST_ROLLOUTS)
    tried = tried[data.counts[tried] >= most]
    if len(tried) < LEAST_PROMPTS:
        return prior
    saved = _saved(data, tried, most, tail, ceiling, generator)
    trust = _choose(saved)
    verdict: TailVerdict = "holds" if trust >= 0.75 else "doubtful" if trust > 0 else "fails"
    return replace(prior, trust=trust, verdict=verdict)


def _saved(
    data: Rollouts,
    tried: np.ndarray,
    most: int,
    tail: str | None,
    ceiling: float | None,
    rng: np.random.Generator,
) -> np.ndarray:
    """Responses saved, as a share of N, by prompt and trust, `(P', T)`.

    At the price where the rule has the mean reward of fixed N, the largest power of 2 that the
    rollouts support: a wrong tail costs more, the further out it is used. The reward that a prompt
    gets beyond that of fixed N counts at the price: `(N - n_p) + (best_p - V_p) / price`.
    """
    n = 2 ** int(np.log2(most // 2))
    tables = np.empty((len(tried), ORDERS, most))
    for row, p in zip(tables, tried.tolist(), strict=True):
        row[:] = [rng.permutation(data.group(p))[:most] for _ in range(ORDERS)]
    # The best of the first N in the same order: it shares the luck of the rule.
    fixed = tables[..., :n].max(-1)
    fold = np.arange(len(tried)) % FOLDS
    walks: list[list[Walk]] = []
    owners = []
    for f in range(FOLDS):
        inside = np.flatnonzero(fold == f)
        others = data.select(np.setdiff1d(np.arange(len(data)), tried[inside]))
        prior = fit_prior(others, tail=tail, ceiling=ceiling)
        rows = tables[inside].reshape(-1, most)
        own = walk(prior, rows, trust=1.0)
        fixed_n = fixed_index(prior, own.at.astype(float))
        walks.append([replace(own, index=mix(own.index, fixed_n, t)) for t in TRUSTS])
        owners.append(np.repeat(inside, ORDERS))
    owner = np.concatenate(owners)
    out = np.empty((len(tried), len(TRUSTS)))
    for t in range(len(TRUSTS)):
        parts = [w[t] for w in walks]
        price = _price_for(parts, float(fixed.mean()))
        found = [w.outcome(price) for w in parts]
        drawn, best = (np.concatenate(x) for x in zip(*found, strict=True))
        responses, reward = (np.bincount(owner, v) / ORDERS for v in (drawn, best))
        out[:, t] = ((n - responses) + (reward - fixed.mean(-1)) / price) / n
    return out


def _price_for(walks: list[Walk], reward: float) -> float:
    """The price at which the mean best reward is `reward`, by bisection."""
    top = max(float(np.max(w.index[np.isfinite(w.index)], initial=0.0)) for w in walks)
    low, high = np.log(max(top, 1e-300)) - 30, np.log(max(top, 1e-300))
    for _ in range(25):
        price = (low + high) / 2
        best = np.concatenate([w.outcome(np.exp(price))[1] for w in walks])
        low, high = (price, high) if np.nanmean(best) >= reward else (low, price)
    return float(np.exp(low))


def _choose(saved: np.ndarray) -> float:
    """The largest trust that saves about as much as any; 0, a fixed N, unless it saves enough."""
    means = saved.mean(0)
    if means.max() < LEAST_SAVING:
        return 0.0
    return TRUSTS[int(np.argmax(means >= means.max() - TIE))]
