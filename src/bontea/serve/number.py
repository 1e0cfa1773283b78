"""How many responses a request gets: one rule for all requests, which learns on the way.

With `price` or `budget` it is the rule of `bontea.deploy`, on the rewards so far. What it needs to
know of other prompts comes from a file, or from the first requests, which get a fixed number each.
Decisions are pure: the same rewards, prior and price give the decision of `bontea simulate`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bontea._errors import BonteaError
from bontea._numbers import number, percent
from bontea.deploy import Decision, Rule, Stream, expected_gain, learn_prior, seen
from bontea.deploy.learn import LEAST_ROLLOUTS
from bontea.rollouts.settings import Record, settings_path
from bontea.serve.options import Options
from bontea.serve.settings import ServeSettings

if TYPE_CHECKING:
    from bontea.deploy import Prior

Rewards = Sequence[float | None]

STOPPED = {
    "price": "the next response was not expected to be worth its price",
    "solved": "a response has the largest reward that is known to be possible",
    "max_n": "the largest number of responses was drawn",
    "fixed_n": "a fixed number of responses was drawn",
    "learning": "the rule is still learning from the first requests, which get a fixed number",
    "unscored": "no response could be scored",
    "temperature": "at temperature 0 all responses are the same",
    "deadline": "the deadline was reached",
    "endpoint": "the server behind failed",
    "reward": "the reward failed",
    "refused": "the server behind refuses the request",
    "client gone": "the client went away",
    "failed": "this server failed on the request",
}
"""Why no more was drawn, in words."""


@dataclass(frozen=True)
class Step:
    """What to do next for one request."""

    draw: int
    """Responses to draw now; 0: stop."""
    why: str
    """Where it stops, a key of `STOPPED`."""
    price: float | None = None


class Numbers:
    """Decides for all requests of a server, and learns from those that are done."""

    def __init__(self, settings: ServeSettings, prior: Prior | None = None):
        assert settings.min_n is not None
        assert settings.max_n is not None
        assert settings.reference_n is not None
        self.settings = settings
        self.min_n, self.max_n = settings.min_n, settings.max_n
        self.reference_n = settings.reference_n
        self.first = max(math.ceil(settings.budget or self.reference_n), LEAST_ROLLOUTS)
        """Responses of each of the first requests: so many that the rule can be tried on them."""
        self.stream = Stream(
            n=settings.budget or float(max(self.reference_n, self.min_n)),
            prior=prior if prior is None else _capped(prior, settings.ceiling),
            # The largest reward of a few requests is no ceiling.
            ceiling=math.inf if settings.ceiling is None else settings.ceiling,
            min_n=self.min_n,
            max_n=max(self.max_n, self.reference_n),
            wave=settings.wave,
        )

    @property
    def prior(self) -> Prior | None:
        """What is known of prompts; None until the first requests have taught it."""
        return self.stream.prior

    @property
    def price(self) -> float | None:
        """Of a response now; None without a rule."""
        if self.settings.n is not None or self.prior is None:
            return None
        return self.settings.price if self.settings.price is not None else self.stream.price

    def fixed(self, options: Options) -> int | None:
        """The number of responses of a request that no rule decides on; None: the rule does."""
        if options.one_is_all:
            return 1
        least = max(options.min_n or 1, options.choices)
        if self.settings.n is not None and options.price is None:
            return max(options.n or self.settings.n, least)
        if self.prior is None:
            return max(min(self.first, self.most(options)), least)
        return None

    def most(self, options: Options) -> int:
        """The most responses of a request."""
        return max(options.n or self.max_n, options.choices, options.min_n or 1)

    def least(self, options: Options) -> int:
        """The fewest."""
        return min(max(options.min_n or self.min_n, options.choices), self.most(options))

    def decide(self, rewards: Rewards, options: Options) -> Step:
        """Stop or draw, given the rewards of a request so far; None: without a reward."""
        fixed = self.fixed(options)
        if fixed is not None:
            return self._fixed(rewards, fixed, options)
        assert self.prior is not None
        if len(rewards) >= max(self.reference_n, self.least(options)) and not _any(rewards):
            return Step(0, "unscored")  # the prompt is not one for this reward
        price = options.price if options.price is not None else self.price
        if price is None:  # a prior was learnt while this request, at a fixed N, was under way
            price = self.stream.price
        rule = Rule(self.prior, price, self.least(options), self.most(options), self.settings.wave)
        found: Decision = rule.decide(rewards)
        return Step(found.draw, found.reason, price)

    def _fixed(self, rewards: Rewards, fixed: int, options: Options) -> Step:
        if options.one_is_all:
            why = "temperature"
        else:
            why = "learning" if self.settings.n is None else "fixed_n"
        if len(rewards) >= self.least(options) and self.solved(rewards):
            return Step(0, "solved")
        return Step(max(fixed - len(rewards), 0), why)

    def solved(self, rewards: Rewards) -> bool:
        """Whether no reward can be larger than the best one."""
        ceiling = self.prior.ceiling if self.prior is not None else self.settings.ceiling
        return ceiling is not None and any(r is not None and r >= ceiling for r in rewards)

    def expected_best(self, rewards: Rewards, options: Options) -> float | None:
        """The best reward to be expected of the most responses there may be, given these."""
        if self.prior is None or not _any(rewards):
            return None
        state = seen(np.array(rewards, dtype=float), floor=self.prior.floor)
        more = self.most(options) - len(rewards)
        gain = float(expected_gain(self.prior, state, more)) if more > 0 else 0.0
        return float(state.best) + gain if math.isfinite(gain) else None

    def finish(self, rewards: Rewards, options: Options) -> str | None:
        """Learn from a request that is done; a sentence when that taught the rule something.

        Takes up to a second when a prior is learnt: call it where nobody waits.
        """
        if options.one_is_all or len(rewards) == 0:
            return None
        before = self.prior
        self.stream.finish([math.nan if r is None else r for r in rewards])
        if self.prior is before or self.prior is None:
            return None
        self.stream.prior = _capped(self.prior, self.settings.ceiling)
        if self.settings.n is not None:
            return None  # it serves only requests with a price of their own
        return f"the rule has learnt from {self.stream.prompts:,} requests: {self.said()}"

    def said(self) -> str:
        """What is known of prompts and how far it can be trusted, for an operator."""
        prior = self.prior
        assert prior is not None
        if prior.success is not None:
            a, b = prior.success
            what = f"{percent(a / (a + b))} of the responses succeed"
        else:
            spread = number(prior.variance**0.5, 3)
            what = f"mean reward {number(prior.location, 3)}, spread within a request {spread}"
        return f"{what}; trial on these: {prior.verdict}, {prior.message}"


def _any(rewards: Rewards) -> bool:
    return any(reward is not None for reward in rewards)


def load_prior(settings: ServeSettings) -> Prior | None:
    """The prior of the file that the settings name. Raises what reading it raises."""
    if settings.prior is None:
        return None
    from bontea.rollouts import read_rollouts

    # With the ceiling that `bontea simulate` reads from the file, so that decisions are the same.
    return learn_prior(read_rollouts(settings.prior), ceiling=settings.ceiling, rng=0)


def warn_of_prior(settings: ServeSettings) -> str | None:
    """What is wrong with the file of the prior, as far as what stands beside it says."""
    if settings.prior is None:
        return None
    beside = settings_path(Path(settings.prior))
    try:
        reward = Record.load(beside).settings.reward
    except (OSError, BonteaError):  # not drawn by `bontea sample`, or by another version
        return None
    if reward == settings.reward:
        return None
    return (
        f"warning: the rewards of {settings.prior} are those of {reward}, and here they come from "
        f"{settings.reward}: the rule expects the first and gets the second"
    )


def _capped(prior: Prior, ceiling: float | None) -> Prior:
    """A reward that is 0 or 1 has a ceiling of 1."""
    if ceiling is None and prior.success is not None:
        ceiling = 1.0
    return prior if ceiling is None else replace(prior, ceiling=ceiling)
