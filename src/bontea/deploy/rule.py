"""Stop or draw: one prompt, the rewards so far, and a price for each response.

The rule draws the next wave while the index (`bontea.deploy.gain`) exceeds the price, never fewer
than `min_n` responses and never more than `max_n`. It is a pure function of the rewards: the same
rewards give the same decision on a server and in `bontea simulate`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from bontea._errors import BonteaError
from bontea._json import Result
from bontea._numbers import number
from bontea.deploy.gain import expected_gain, rule_index
from bontea.deploy.prior import Prior, seen
from bontea.tails.fit import TailVerdict

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float

MAX_N = 1024
MOST = 10**9

Reason: TypeAlias = Literal["min_n", "worth it", "nothing scored", "price", "solved", "max_n"]
"""Why a decision is what it is: the first three draw, the others stop."""
_WORDS: dict[str, str] = {
    "min_n": "fewer than min_n responses are drawn",
    "worth it": "the next response is expected to be worth its price",
    "nothing scored": "no response has a reward yet",
    "price": "the next response is not expected to be worth its price",
    "solved": "the best reward cannot be exceeded",
    "max_n": "max_n responses are drawn",
}


@dataclass(frozen=True)
class Decision(Result):
    """Whether to draw more for one prompt. `str()` says it in a sentence."""

    draw: int
    """Responses to draw now; 0 means stop."""
    reason: Reason
    drawn: int
    best: float
    """NaN where nothing is scored."""
    gain: float
    """Expected rise of the best by the next wave, in reward units."""
    index: float
    """The price per response up to which the next wave is worth drawing."""
    price: float

    @property
    def message(self) -> str:
        """The reason in words."""
        return _WORDS[self.reason]

    def __str__(self) -> str:
        what = f"draw {self.draw} more" if self.draw else "stop"
        return f"{what} after {self.drawn}, best {number(self.best, 4)}: {self.message}"


@dataclass(frozen=True)
class Rule(Result):
    """When to stop drawing responses of a prompt.

    Raises BonteaError for a price that is negative or not finite, and for numbers of responses that
    are not whole numbers with `1 <= min_n <= max_n <= 1e9` and `wave >= 1`.

    >>> from bontea.deploy import learn_prior
    >>> rng = np.random.default_rng(0)
    >>> prior = learn_prior(rng.normal(size=(50, 1)) + rng.normal(size=(50, 32)), rng=0)
    >>> rule = Rule(prior, price=0.02)
    >>> print(rule.decide([0.3, -0.2, 0.1]))
    draw 1 more after 3, best 0.3: the next response is expected to be worth its price
    >>> print(rule.decide([0.3, -0.2, 4.1]))
    stop after 3, best 4.1: the next response is not expected to be worth its price
    """

    prior: Prior = field(repr=False)
    price: float
    """Of a response, in reward units. 0 draws max_n wherever anything can be gained."""
    min_n: int = 1
    max_n: int = MAX_N
    wave: int = 1
    """Responses drawn at a time, of which none can be saved once the wave is begun."""

    DERIVED = ("verdict", "message")

    def __post_init__(self) -> None:
        check_price(self.price)
        check_sizes(self.min_n, self.max_n, self.wave)

    @property
    def verdict(self) -> TailVerdict:
        """That of the prior."""
        return self.prior.verdict

    @property
    def message(self) -> str:
        """That of the prior."""
        return self.prior.message

    def decide(self, rewards: Float[ArrayLike, " n"]) -> Decision:
        """Stop, or draw how many more, given the rewards of one prompt so far, `(n,)`.

        NaN and None are responses without a reward: they have cost their price and give nothing.
        Raises BonteaError for infinite rewards or more than one axis.
        """
        r = _one_prompt(rewards)
        state = seen(r, floor=self.prior.floor)
        drawn = len(r)
        gain = float(expected_gain(self.prior, state, self.wave))
        index = float(rule_index(self.prior, state, self.wave))
        best = float(state.best) if math.isfinite(state.best) else math.nan
        draw, reason = self._decide(drawn, index, best)
        return Decision(draw, reason, drawn, best, gain, index, float(self.price))

    def _decide(self, drawn: int, index: float, best: float) -> tuple[int, Reason]:
        wave = min(self.wave, self.max_n - drawn)
        if drawn >= self.max_n:
            return 0, "max_n"
        if drawn < self.min_n:
            return self.min_n - drawn, "min_n"
        if math.isnan(best):
            return wave, "nothing scored"
        if best >= self.prior.ceiling:
            return 0, "solved"
        return (wave, "worth it") if index > self.price else (0, "price")


def _one_prompt(rewards: Any) -> np.ndarray:
    try:
        r = np.asarray(rewards, dtype=float)
    except (TypeError, ValueError):
        r = np.full((1, 1), np.nan)
    if r.ndim != 1:
        raise BonteaError(
            f"rewards {str(rewards)[:60]} must be a list of numbers, the rewards of one prompt "
            "(None where a response could not be scored)"
        )
    if np.isinf(r).any():
        raise BonteaError(
            f"reward {int(np.argmax(np.isinf(r)))} is infinite: clip it, or give None for a "
            "response that could not be scored"
        )
    return r


def check_price(price: Any, name: str = "price") -> None:
    """BonteaError unless the price is a finite number of at least 0."""
    ok = isinstance(price, (int, float, np.number)) and not isinstance(price, bool)
    if not ok or not 0 <= price < math.inf:
        raise BonteaError(
            f"{name}={price!r} must be a finite number of at least 0: what one more response may "
            "cost, in reward units"
        )


def check_sizes(min_n: Any, max_n: Any, wave: Any) -> None:
    """BonteaError unless these are whole numbers with 1 <= min_n <= max_n <= 1e9, wave >= 1."""
    for name, value in (("min_n", min_n), ("max_n", max_n), ("wave", wave)):
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or not 1 <= value <= MOST:
            raise BonteaError(
                f"{name}={value!r} must be a whole number from 1 to {MOST:,} of responses"
            )
    if min_n > max_n:
        raise BonteaError(f"min_n={min_n} exceeds max_n={max_n}: lower it, or raise max_n")
