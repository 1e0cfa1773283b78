"""A number of responses in place of a price.

- A *stream* of prompts with so many responses a prompt on average: the price is not known, so it
  is learnt on the way, up a little after a prompt that took more than its share, down after one
  that took less. One price for all prompts is what makes the responses go where they gain most.
- A *batch* of prompts known in advance with so many responses in all: each wave goes to the
  prompts where it is expected to raise the best most.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bontea._errors import BonteaError
from bontea.deploy.gain import expected_gain, fixed_index, mix
from bontea.deploy.learn import learn_prior
from bontea.deploy.prior import Prior, Seen, seen
from bontea.deploy.rule import MAX_N, MOST, Decision, Rule, check_sizes

if TYPE_CHECKING:
    from bontea._types import Int

STEP, SLOWEST = 0.5, 0.05
"""Change of the logarithm of the price by a prompt that takes twice its share: at first, and at
least."""
FORGET = 20
"""What was spent too much or too little is made good over so many prompts, but by no more than half
of n a prompt."""
LONGEST = 8
"""Times n: the most responses of one prompt, unless `max_n` is given."""
LEARN_AFTER = (8, 16, 32, 64, 128)
"""Prompts after which the prior of a stream is learnt, again and again."""


def first_price(prior: Prior, n: float) -> float:
    """The price at which a rule draws about n responses a prompt, if it knew each prompt's law.

    With the law known, responses are drawn until one exceeds the level b where `s G((b - m) / s)`
    is the price; that takes `1 / P(Z > (b - m) / s)` on average. The mean over the prior of the
    scale is set to n. For 0/1 rewards the price at which the last of n failures would be worth it.
    """
    if prior.success is not None:
        a, b = prior.success
        return a / (a + b + n)
    if prior.variance <= 0:
        return 0.0
    from scipy.special import chdtri

    law, levels = prior.law, np.linspace(-4.0, min(prior.law.values[-1], 60.0), 4000)
    gain, draws = law.excess(levels), 1 / np.maximum(law.survival(levels), 1e-18)
    share = (np.arange(32) + 0.5) / 32
    scale = np.sqrt(prior.variance * prior.freedom / chdtri(prior.freedom, share))
    low, high = math.log(1e-15), math.log(float(gain[0]) + 1.0)
    for _ in range(60):
        price = (low + high) / 2
        own = np.interp(-np.exp(price) / scale, -gain, np.minimum(draws, 1e15))
        low, high = (price, high) if own.mean() > n else (low, price)
    known = math.exp((low + high) / 2)
    fixed = float(law.mean_gain(n)) * prior.variance**0.5
    return known**prior.trust * fixed ** (1 - prior.trust)


@dataclass
class Stream:
    """Prompts that come one after the other, with `n` responses each on average.

        log price += max(STEP / sqrt(t), SLOWEST) (drawn - share) / n

    after prompt t, where the share is n plus a twentieth of what is left over from before (at most
    half of n), and a prompt gets at most `max_n` responses, by default 8 n. The prior is given, or
    learnt on the way: the first 8 prompts get n responses each, and after 8, 16, ... 128 prompts it
    is learnt from all so far. Of prompts that stopped early only the first `min_n` rewards count in
    it, whose number does not depend on what they were.

    `decide` is pure; `finish` moves the price. Prompts may be open at the same time.

    >>> rng = np.random.default_rng(0)
    >>> stream = Stream(n=16, min_n=4)
    >>> for _ in range(300):
    ...     rewards, scale = [], np.exp(0.25 * rng.normal())
    ...     while (more := stream.decide(rewards).draw):
    ...         rewards.extend(scale * rng.normal(size=more))
    ...     stream.finish(rewards)
    >>> round(stream.drawn / stream.prompts)
    16
    """

    n: float
    prior: Prior | None = None
    min_n: int = 4
    max_n: int | None = None
    wave: int = 1
    ceiling: float | None = None
    """As for `fit_prior`, where the prior is learnt."""
    price: float = 0.0
    prompts: int = 0
    drawn: int = 0
    _rows: list[np.ndarray] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        number = isinstance(self.n, (int, float, np.number)) and not isinstance(self.n, bool)
        if not number or not 1 <= self.n <= MOST:
            raise BonteaError(
                f"n={self.n!r} responses a prompt must be a number from 1 to {MOST:,}"
            )
        self._most = self.max_n or min(math.ceil(LONGEST * self.n), MOST)
        check_sizes(self.min_n, self._most, self.wave)
        if not self.min_n <= self.n <= self._most:
            raise BonteaError(
                f"n={self.n!r} responses a prompt must lie between min_n={self.min_n} and "
                f"max_n={self._most}: change one of them"
            )
        self._learns = self.prior is None
        if self.prior is not None:
            self.price = first_price(self.prior, self.n)

    def decide(self, rewards: Sequence[float | None] | np.ndarray) -> Decision:
        """Stop, or draw how many more, as `Rule.decide` at the price of now."""
        if self.prior is None:
            target, drawn = math.ceil(self.n), len(rewards)
            best = float(seen(np.asarray(rewards, dtype=float)).best) if drawn else math.nan
            more = max(target - drawn, 0)
            reason: Any = "min_n" if more else "price"
            return Decision(more, reason, drawn, best, math.nan, math.nan, math.nan)
        rule = Rule(self.prior, self.price, self.min_n, self._most, self.wave)
        return rule.decide(rewards)

    def finish(self, rewards: Sequence[float | None] | np.ndarray) -> None:
        """A prompt is done: count its responses, move the price, learn."""
        row = np.asarray(rewards, dtype=float)
        left = self.n * self.prompts - self.drawn
        self.prompts += 1
        self.drawn += len(row)
        if self._learns:
            whole = self.prior is None
            if self.prompts <= LEARN_AFTER[-1]:  # what comes later is not learnt from
                self._rows.append(row if whole else row[: self.min_n])
            if self.prompts in LEARN_AFTER:
                self._learn()
                if whole:
                    return
        if self.prior is not None and self.price > 0:
            share = self.n + float(np.clip(left / FORGET, -self.n / 2, self.n / 2))
            step = max(STEP / math.sqrt(self.prompts), SLOWEST)
            self.price *= math.exp(step * float(np.clip((len(row) - share) / self.n, -2, 2)))

    def _learn(self) -> None:
        first = self.prior is None
        rows = [row for row in self._rows if np.isfinite(row).any()]
        if not any(np.isfinite(row).sum() > 1 for row in rows):
            return
        found = learn_prior(rows, ceiling=self.ceiling, rng=self.prompts)
        if not first and self.prior is not None:  # the form of the law needs whole prompts
            found = replace(found, law=self.prior.law, trust=self.prior.trust)
        self.prior = found
        if first:
            self.price = first_price(found, self.n)


def allocate(
    prior: Prior,
    rewards: Sequence[Sequence[float | None]],
    responses: int,
    *,
    wave: int = 1,
    max_n: int = MAX_N,
) -> Int[np.ndarray, " P"]:
    """How many more responses each of P prompts gets, `responses` in all, in steps of `wave`.

    The rewards so far are a list for each prompt, possibly empty. Each step goes to the prompt
    where it adds most to the sum of expected maxima,

        E[max of j w more] - E[max of (j - 1) w more],   j = 1, 2, ...

    which falls with j, so that taking the largest first is the best allocation of what is known
    now. Where the prior is trusted in part only, that is mixed with what a prompt with so many
    responses gains on average, as in a rule; without any trust all prompts get the same. Give a
    part of the budget at a time, and call it again with what came out: prompts whose first
    responses spread widely then get more. Prompts without a reward come first.

    Raises BonteaError for a number of responses that is not a whole number of at least 0.

    >>> from bontea.deploy import learn_prior
    >>> rng = np.random.default_rng(0)
    >>> prior = learn_prior(np.exp(rng.normal(size=(50, 1))) * rng.normal(size=(50, 32)))
    >>> counts = allocate(prior, [[0.0, 0.1, -0.1] * 4, [3.0, -4.0, 1.0] * 4], 10)
    >>> bool(counts[1] > counts[0]), int(counts.sum())
    (True, 10)
    """
    check_sizes(1, max_n, wave)
    if not isinstance(responses, (int, np.integer)) or not 0 <= responses <= 10**9:
        raise BonteaError(f"responses={responses!r} must be a whole number from 0 to 1e9")
    states = [seen(np.asarray(row, dtype=float), floor=prior.floor) for row in rewards]
    counts = np.zeros(len(states), dtype=int)
    queue: list[tuple[float, int, int]] = []

    def push(p: int) -> None:
        have = len(rewards[p]) + int(counts[p])
        step = min(wave, max_n - have)
        if step > 0:
            queue_item = (-_marginal(prior, states[p], int(counts[p]), step), p, step)
            heapq.heappush(queue, queue_item)

    for p in range(len(states)):
        push(p)
    left = int(responses)
    while left > 0 and queue:
        _, p, step = heapq.heappop(queue)
        step = min(step, left)
        counts[p] += step
        left -= step
        push(p)
    return counts


def _marginal(prior: Prior, state: Seen, more: int, step: int) -> float:
    """Expected rise by `step` responses after `more` that are given but not seen, a response.

    `rise^t fixed^(1-t)` with t the trust of the prior, as in `rule_index`.
    """
    one = Seen(*(np.asarray(a, dtype=float)[None] for a in state))
    if not np.isfinite(state.best):  # before anything is known: first those with the fewest
        return 1e300 / (1 + float(state.drawn) + more)
    after = float(expected_gain(prior, one, more + step)[0])
    before = float(expected_gain(prior, one, more)[0]) if more else 0.0
    rise = (after - before) / step
    if prior.success is not None or prior.trust == 1 or state.best >= prior.ceiling:
        return rise
    fixed = fixed_index(prior, one.drawn + more, step)
    return float(mix(np.array([rise]), fixed, prior.trust)[0])
