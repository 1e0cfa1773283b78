"""Prompts whose rollouts are all drawn already, taken one wave at a time: where would a rule stop?

The index of every prompt at every decision is computed at once; a rule stops a prompt at the first
decision whose index does not exceed the price. So many prices cost hardly more than one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bontea.deploy.gain import rule_index
from bontea.deploy.prior import Prior, seen

if TYPE_CHECKING:
    from bontea._types import Float, Int

CELLS = 2**20
"""Rewards that are looked at at once."""


@dataclass(frozen=True)
class Walk:
    """Index and best reward of B prompts at D decisions."""

    at: Int[np.ndarray, " D"]
    """Responses drawn at each decision, rising; the last is the most there may be."""
    index: Float[np.ndarray, "B D"]
    best: Float[np.ndarray, "B D"]
    """NaN where nothing is scored."""

    def stops(self, price: Any) -> np.ndarray:
        """The decision at which each prompt stops, `(B,)`, for one price or one for each prompt."""
        over = self.index > np.asarray(price, dtype=float)[..., None]
        stop = ~over
        stop[:, -1] = True
        return np.argmax(stop, axis=-1)

    def outcome(self, price: Any) -> tuple[np.ndarray, np.ndarray]:
        """Responses drawn and best reward of each prompt, `(B,)`."""
        where = self.stops(price)
        return self.at[where], self.best[np.arange(len(where)), where]


def decisions(min_n: int, max_n: int, wave: int) -> np.ndarray:
    """How many responses are drawn whenever a rule decides: min_n, then wave more each time."""
    return np.append(np.arange(min_n, max_n, wave), max_n)


def walk(
    prior: Prior,
    table: Float[np.ndarray, "B M"],
    *,
    min_n: int = 1,
    max_n: int | None = None,
    wave: int = 1,
    trust: float | None = None,
) -> Walk:
    """The walk of a rule over rewards `(B, M)` in the order in which they are drawn."""
    most = table.shape[1] if max_n is None else min(max_n, table.shape[1])
    at = decisions(min(min_n, most), most, wave)
    rows = max(CELLS // (len(at) * 9), 1)
    index, best = np.empty((len(table), len(at))), np.empty((len(table), len(at)))
    for start in range(0, len(table), rows):
        some = slice(start, start + rows)
        state = seen(table[some, :most], at, floor=prior.floor)
        index[some] = rule_index(prior, state, wave, trust=trust)
        best[some] = np.where(np.isfinite(state.best), state.best, np.nan)
    return Walk(at, index, best)
