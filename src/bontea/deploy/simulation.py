"""What a stopping rule would have cost and gained, from rollouts that are drawn already.

Every prompt's rollouts are taken in random orders, again and again, and the rule decides after each
wave as it would on a server. Its prior never contains the prompt itself: it is learnt from the
other prompts, all of them up to 16 prompts, above that in 16 parts. Fixed N is exact: the unbiased
best-of-N of all rollouts.

A rule cannot draw more than there is. Where the cap is the number of rollouts and not `max_n`, the
share of prompts that ran into it is reported (`ran_out`), and the rule's reward is then too low.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bontea._errors import BonteaError
from bontea._numbers import number, percent
from bontea.curves.intervals import mean_interval
from bontea.curves.unbiased import best_of_k
from bontea.deploy.budget import Stream
from bontea.deploy.learn import learn_prior
from bontea.deploy.outcome import FixedN, Outcome, Simulation
from bontea.deploy.prior import Prior
from bontea.deploy.rule import MAX_N, check_price, check_sizes
from bontea.deploy.walk import Walk, walk
from bontea.rollouts.groups import Rollouts, as_rollouts

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float

FOLDS = 16
REWARDS = 400_000
"""Rewards walked through in all: fewer orders where there are many prompts."""
MOST_ORDERS = 40
RESAMPLES = 1000
EQUAL = 1e-9
"""Mean rewards that differ by less than this share of the largest count as equal."""
COARSE = 1.1
"""Where no price gives the reward of the N asked for, and the next one gives that of an N so many
times larger, the rule is compared with the N asked for: it saves that much, for more reward."""


def simulate(
    rollouts: Rollouts | Float[ArrayLike, "P M"],
    *,
    price: float | None = None,
    budget: float | None = None,
    fixed_n: int | None = None,
    min_n: int = 1,
    max_n: int = MAX_N,
    wave: int = 1,
    tail: str | None = None,
    ceiling: float | None = None,
    orders: int | None = None,
    confidence_level: float = 0.95,
    rng: np.random.Generator | int | None = None,
) -> Simulation:
    """What a rule would have cost and gained on these rollouts.

    Parameters
    ----------
    rollouts
        `(P, M)` rewards (NaN: unscorable, drawn and worth nothing), ragged lists, or `Rollouts`; at
        least 3 prompts. Prompts with fewer rollouts than half of the largest group are left out.
    price
        Of a response, in reward units: what the rule does at it.
    budget
        Responses a prompt on average, in a stream of these prompts in random order: the price is
        learnt on the way (`Stream`), the prior is known.
    fixed_n
        The rule at the price where its mean reward is that of this fixed N.
        Without price, budget and fixed_n: fixed N of 4, 8, 16, ... up to a quarter of the rollouts.
    min_n, max_n, wave
        As in `Rule`.
    tail, ceiling
        As in `learn_prior`.
    orders
        Random orders of every prompt's rollouts; default: at most 40, 400,000 rewards in all.

    Intervals are for the mean over the population of prompts; `saving` by the bootstrap over
    prompts, at a price that stays as it is. Raises BonteaError for fewer than 3 prompts, a price
    that is negative, a fixed_n or budget that the rollouts cannot show, and as `Rule`.

    >>> rng = np.random.default_rng(0)
    >>> rewards = rng.normal(size=(40, 1)) + rng.normal(size=(40, 64))
    >>> found = simulate(rewards, fixed_n=16, rng=0)
    >>> found.outcomes[0].rule, found.outcomes[0].saving > 0.1
    ('the reward of fixed N = 16', True)
    """
    check_sizes(min_n, max_n, wave)
    if price is not None:
        check_price(price)
    if not 0 < confidence_level < 1:
        raise BonteaError(f"confidence_level={confidence_level!r} must be between 0 and 1")
    data, warnings = usable(as_rollouts(rollouts))
    generator = np.random.default_rng(rng)
    most = min(int(data.counts.min()), max_n)
    if budget is not None:
        is_number = isinstance(budget, (int, float, np.number)) and not isinstance(budget, bool)
        top = most if max_n <= int(data.counts.min()) else most / 2
        if not is_number or not min_n <= budget <= top:
            raise BonteaError(
                f"budget={budget!r} responses a prompt must lie between min_n={min_n} and "
                f"{number(top)}: every prompt has {int(data.counts.min())} rollouts, and a rule "
                "may draw more than the mean for a prompt"
            )
    if min_n > most:
        raise BonteaError(
            f"min_n={min_n} exceeds the {most} rollouts of the smallest group: lower it, or draw "
            "more"
        )
    check_orders = orders is None or (isinstance(orders, (int, np.integer)) and orders >= 1)
    if not check_orders:
        raise BonteaError(f"orders={orders!r} must be a whole number of at least 1")
    repeats = orders or int(np.clip(REWARDS // (len(data) * most), 2, MOST_ORDERS))
    bench = _Bench(data, most, repeats, confidence_level, generator)
    bench.short = most < max_n
    bench.walk(min_n, wave, tail, ceiling)
    outcomes = []
    for n in _wanted(price, budget, fixed_n, most):
        outcomes.append(bench.at_reward_of(n))
    if price is not None:
        outcomes.append(bench.at_price(price, f"price {number(price)}"))
    if budget is not None:
        outcomes.append(bench.stream(budget, min_n, wave))
    worst = max(o.ran_out for o in outcomes)
    if worst > 0.01:
        warnings.append(
            f"up to {percent(worst)} of the prompts wanted more than the {most} rollouts there "
            "are, so the rewards of the rule are too low: draw more rollouts, or ask for a lower N"
        )
    return Simulation(
        outcomes,
        len(data),
        repeats,
        bench.common.verdict,
        bench.common.message,
        min_n,
        max_n,
        wave,
        confidence_level,
        warnings,
        bench.fixed_ns(),
    )


def usable(data: Rollouts) -> tuple[Rollouts, list[str]]:
    """Prompts of nearly one size, with something scored."""
    there = data.scored_counts > 0
    enough = data.counts * 2 >= data.counts.max()
    use = there & enough
    warnings = []
    if not use.all():
        warnings.append(
            f"{int((~use).sum())} of {len(data)} prompts are left out: nothing of them is scored, "
            "or they have less than half the rollouts of the largest group"
        )
    if use.sum() < 3:
        raise BonteaError(
            f"{int(use.sum())} prompts can be used, and 3 are needed: a rule learns from other "
            "prompts, and intervals come from the spread over prompts"
        )
    return data.select(use), warnings


def _wanted(price: float | None, budget: float | None, fixed_n: int | None, most: int) -> list[int]:
    if fixed_n is not None:
        whole = isinstance(fixed_n, (int, np.integer)) and not isinstance(fixed_n, bool)
        if not whole or not 2 <= fixed_n <= most // 2:
            raise BonteaError(
                f"fixed_n={fixed_n!r} must be a whole number from 2 to {most // 2}, half of the "
                f"{most} rollouts that every prompt has: a rule may draw more than N for a prompt"
            )
        return [int(fixed_n)]
    if price is not None or budget is not None:
        return []
    powers = [2**i for i in range(2, 31) if 2**i <= most // 4]
    if not powers:
        raise BonteaError(
            f"every prompt has {most} rollouts, and at least 16 are needed to compare with a fixed "
            "N: draw more, or ask for a price"
        )
    return powers


class _Bench:
    """The rewards in random orders, the walks over them, and what fixed N gives."""

    def __init__(
        self,
        data: Rollouts,
        most: int,
        orders: int,
        level: float,
        rng: np.random.Generator,
    ) -> None:
        self.data, self.most, self.orders, self.level, self.rng = data, most, orders, level, rng
        p = len(data)
        self.owner = np.repeat(np.arange(p), orders)
        self.ns = np.unique(np.geomspace(1, most, 60).astype(int))
        scored = [group[~np.isnan(group)] for group in (data.group(i) for i in range(p))]
        self.fixed = np.full((p, len(self.ns)), np.nan)
        self.tables = np.empty((p * orders, most))
        for i in range(p):
            group = data.group(i)
            for j in range(orders):
                self.tables[i * orders + j] = rng.permutation(group)[:most]
            self.fixed[i] = _fixed(group, scored[i], self.ns)
        self.slack = EQUAL * float(np.abs(self.fixed).max())
        self.short = False
        self.priors: list[Prior] = []
        self.common: Prior
        self.walks: list[tuple[np.ndarray, Walk]] = []

    def walk(self, min_n: int, wave: int, tail: str | None, ceiling: float | None) -> None:
        """Walk through the rows of each part with the prior of the other parts."""
        p = len(self.data)
        part = self.rng.permutation(p) % min(p, FOLDS)
        for f in range(int(part.max()) + 1):
            others = self.data.select(part != f)
            prior = learn_prior(others, tail=tail, ceiling=ceiling, rng=self.rng)
            self.priors.append(prior)
        # One trust for all, as there is one price: indices of different trust do not compare.
        trust = float(np.quantile([q.trust for q in self.priors], 0.5, method="lower"))
        same = [q for q in self.priors if q.trust == trust]
        verdicts = [q.verdict for q in same]
        self.common = same[verdicts.index(max(set(verdicts), key=verdicts.count))]
        for f, prior in enumerate(self.priors):
            rows = np.flatnonzero(part[self.owner] == f)
            self.walks.append(
                (rows, walk(prior, self.tables[rows], min_n=min_n, wave=wave, trust=trust))
            )

    def outcome(self, price: float) -> tuple[np.ndarray, np.ndarray]:
        """Responses and reward of every row."""
        drawn, best = np.empty(len(self.owner)), np.empty(len(self.owner))
        for rows, found in self.walks:
            drawn[rows], best[rows] = found.outcome(price)
        return drawn, best

    def means(self, values: np.ndarray) -> np.ndarray:
        """(P,) means over orders, of what is there."""
        there = ~np.isnan(values)
        total = np.bincount(self.owner, np.where(there, values, 0.0))
        count = np.bincount(self.owner, there)
        return total / np.maximum(count, 1)

    def at_reward_of(self, n: int) -> Outcome:
        """The rule at the price where it has the mean reward of fixed N."""
        target = float(self.fixed_at(n).mean()) - self.slack
        top = max(float(w.index[np.isfinite(w.index)].max(initial=0.0)) for _, w in self.walks)
        high = math.log(max(top, 1e-300)) + 1e-9  # where every prompt stops at once
        low = high - 35
        if self.means(self.outcome(math.exp(high))[1]).mean() >= target:
            low = high
        for _ in range(40):
            middle = (low + high) / 2
            above = self.means(self.outcome(math.exp(middle))[1]).mean() >= target
            low, high = (middle, high) if above else (low, middle)
        return self.at_price(math.exp(low), f"the reward of fixed N = {n}", n)

    def at_price(self, price: float, name: str, asked: int | None = None) -> Outcome:
        drawn, best = self.outcome(price)
        return self.report(name, price, drawn, best, asked)

    def stream(self, budget: float, min_n: int, wave: int) -> Outcome:
        """All prompts one after the other, in an order of their own for each order of rollouts."""
        p = len(self.data)
        drawn, best = np.empty(len(self.owner)), np.empty(len(self.owner))
        place = {int(row): (w, i) for rows, w in self.walks for i, row in enumerate(rows)}
        for j in range(self.orders):
            stream = Stream(budget, self.common, min_n, 10**9, wave)
            for i in self.rng.permutation(p).tolist():
                row = i * self.orders + j
                found, k = place[row]
                one = Walk(found.at, found.index[k : k + 1], found.best[k : k + 1])
                (n,), (top,) = one.outcome(stream.price)
                drawn[row], best[row] = n, top
                stream.finish(np.zeros(int(n)))
        return self.report(f"budget of {number(budget)} a prompt", math.nan, drawn, best)

    def fixed_at(self, n: float) -> np.ndarray:
        """(P,) reward of a fixed N, by interpolation in log N."""
        at = np.log(self.ns)
        return np.array([np.interp(math.log(n), at, row) for row in self.fixed])

    def fixed_like(self, reward: float, curve: np.ndarray) -> float:
        """The smallest N that has this mean reward on a curve that never falls."""
        rises = np.append(True, np.diff(curve) > self.slack)
        return math.exp(float(np.interp(reward, curve[rises], np.log(self.ns)[rises])))

    def fixed_ns(self) -> list[FixedN]:
        """The curve of fixed N at the powers of 2."""
        ns = [2**i for i in range(31) if 2**i <= self.most]
        table = np.stack([self.fixed_at(n) for n in ns], axis=1)
        band = mean_interval(table, confidence_level=self.level, rng=self.rng)
        ends = zip(ns, table.mean(0), band.low, band.high, strict=True)
        return [FixedN(n, *map(float, values)) for n, *values in ends]

    def report(
        self,
        name: str,
        price: float,
        drawn: np.ndarray,
        best: np.ndarray,
        asked: int | None = None,
    ) -> Outcome:
        """Means with intervals, and the fixed N of the same mean reward."""
        responses, reward = self.means(drawn), self.means(best)
        curve = np.maximum.accumulate(self.fixed.mean(0))
        equal = math.nan
        if curve[0] - self.slack <= reward.mean() <= curve[-1] + self.slack:
            equal = self.fixed_like(float(reward.mean()), curve)
        cap = math.inf
        if asked is not None and equal > COARSE * asked:  # more reward than was asked for
            cap = equal = float(asked)
        saving = low = high = math.nan
        if math.isfinite(equal):
            saving = 1 - float(responses.mean()) / equal
            low, high = self.interval_of_saving(responses, reward, cap)
        each = [
            mean_interval(x[:, None], confidence_level=self.level, rng=self.rng)
            for x in (reward, responses)
        ]
        stopped = drawn < self.most
        return Outcome(
            name,
            price,
            float(reward.mean()),
            float(each[0].low[0]),
            float(each[0].high[0]),
            float(responses.mean()),
            float(each[1].low[0]),
            float(each[1].high[0]),
            float(stopped.mean()),
            float((~stopped).mean()) if self.short else 0.0,
            equal,
            saving,
            low,
            high,
            asked,
        )

    def interval_of_saving(
        self, responses: np.ndarray, reward: np.ndarray, cap: float
    ) -> tuple[float, float]:
        """By resampling prompts: each resample has a fixed-N curve of its own."""
        p = len(reward)
        out = np.empty(RESAMPLES)
        for b in range(RESAMPLES):
            some = self.rng.integers(p, size=p)
            curve = np.maximum.accumulate(self.fixed[some].mean(0))
            equal = min(self.fixed_like(float(reward[some].mean()), curve), cap)
            out[b] = 1 - responses[some].mean() / equal
        tail = (1 - self.level) / 2
        low, high = np.quantile(out, [tail, 1 - tail])
        return float(low), float(high)


def _fixed(group: np.ndarray, scored: np.ndarray, ns: np.ndarray) -> np.ndarray:
    """Mean best of n draws without replacement of which some are unscorable, where any is scored.

    Without unscorable draws this is `best_of_k`. With them an answer is the best of those scored;
    draws without any scored one have no answer and are left out of the mean.
    """
    if len(scored) == len(group):
        ks = [int(n) for n in ns]
        return np.asarray(best_of_k(group, ks), dtype=float)
    from scipy.special import gammaln

    # The best of n is the i-th worst of the scored: it and n - 1 of those below or unscorable.
    ordered, total = np.sort(scored), len(group)
    below = np.arange(len(ordered)) + (total - len(ordered))

    def log_choose(a: Any, b: Any) -> np.ndarray:
        return gammaln(a + 1) - gammaln(b + 1) - gammaln(np.maximum(a - b, 0) + 1)

    out = np.empty(len(ns))
    for i, n in enumerate(ns):
        log_ways = np.where(below >= n - 1, log_choose(below, n - 1), -np.inf)
        weight = np.exp(log_ways - log_choose(total, n))
        out[i] = weight @ ordered / weight.sum()
    return out
