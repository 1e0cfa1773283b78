"""What adaptive N would save, in a few seconds, for models whose rollouts may be many.

`simulate` takes longer, the more rollouts there are. Here a part of them is used, drawn with a
fixed seed, so that all models together take about 5 seconds: at most `MOST_REWARDS` rewards, shared
out evenly over the models that are simulated, in `LEAST_ORDERS` orders each, or in more where there
are fewer rewards. Prompts are `MOST_PROMPTS` at most, because intervals come from the spread over
prompts; a prompt has `ROLLOUTS` rollouts, or more where there are few prompts, because N is
compared up to a quarter of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bontea._errors import BonteaError
from bontea._json import Result
from bontea.deploy.outcome import Simulation
from bontea.deploy.simulation import MOST_ORDERS, simulate, usable
from bontea.rollouts.groups import Rollouts, as_rollouts

MOST_REWARDS = 12_800
MOST_PROMPTS, MOST_ROLLOUTS = 100, 512
ROLLOUTS = 128
MOST_MODELS = 3
LEAST_ORDERS = 8
LEAST_ROLLOUTS = 16
"""Of a prompt: the smallest fixed N to compare with is 4, and a rule may draw four times that."""


@dataclass(frozen=True)
class Savings(Result):
    """What a rule would have saved on the rollouts of one model, or why that is not known."""

    simulation: Simulation | None
    missing: str
    """A sentence that says what is missing; empty where there is a simulation."""
    prompts: tuple[int, int]
    """Used, and there in all."""
    rollouts: tuple[int, int]
    """Of a prompt: used, and there (the smallest number of those that can be used)."""

    @property
    def whole(self) -> bool:
        """Whether everything that `simulate` would use was used."""
        return self.prompts[0] == self.prompts[1] and self.rollouts[0] == self.rollouts[1]


def quick_savings(sources: Mapping[str, Rollouts], *, seed: int = 0) -> dict[str, Savings]:
    """`simulate` with its default settings on a part of the rollouts of each model.

    The first `MOST_MODELS` models are simulated. No error for rollouts that cannot be used:
    `missing` says what they lack. The same seed gives the same result.

    >>> rng = np.random.default_rng(0)
    >>> rewards = as_rollouts(rng.normal(size=(40, 1)) + rng.normal(size=(40, 64)))
    >>> found = quick_savings({"many": rewards, "few": as_rollouts([[0.1, 0.2]] * 5)})
    >>> found["many"].simulation.outcomes[-1].asked_n, found["many"].whole
    (16, True)
    >>> found["few"].missing
    'there are 2 rollouts of a prompt, and at least 16 are needed'
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise BonteaError(f"seed={seed!r} must be a whole number of at least 0")
    share = MOST_REWARDS // max(min(len(sources), MOST_MODELS), 1)
    return {
        name: _one(rollouts, share, seed)
        if i < MOST_MODELS
        else _without(
            f"only the first {MOST_MODELS} models of a report are simulated",
            rollouts,
        )
        for i, (name, rollouts) in enumerate(sources.items())
    }


def _one(rollouts: Rollouts, most: int, seed: int) -> Savings:
    data = as_rollouts(rollouts)
    try:
        can, warnings = usable(data)
    except BonteaError as error:
        return _without(str(error), data)
    there = int(can.counts.min())
    if there < LEAST_ROLLOUTS:
        which = "of a prompt" if there == can.counts.max() else "of the prompt with the fewest"
        return _without(
            f"there are {there} rollouts {which}, and at least {LEAST_ROLLOUTS} are needed", data
        )
    rng = np.random.default_rng(seed)
    prompts = min(len(can), MOST_PROMPTS, most // min(there, ROLLOUTS))
    each = min(there, MOST_ROLLOUTS, most // prompts)
    chosen = np.sort(rng.permutation(len(can))[:prompts])
    rows = [rng.permutation(can.group(p))[:each] for p in chosen.tolist()]
    orders = min(LEAST_ORDERS * most // (prompts * each), MOST_ORDERS)
    try:
        found = simulate(as_rollouts(rows), orders=orders, rng=rng)
    except BonteaError as error:
        return _without(str(error), data)
    found.warnings[:0] = warnings
    return Savings(found, "", (prompts, len(can)), (each, there))


def _without(why: str, data: Rollouts) -> Savings:
    return Savings(None, why, (0, len(data)), (0, int(data.counts.min())))
