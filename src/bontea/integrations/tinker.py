"""tinker-cookbook: `install` before its `main`, and its RL recipes train with another advantage.

    import bontea.integrations.tinker

    bontea.integrations.tinker.install("adaptive_tea", n=128)
    asyncio.run(tinker_cookbook.rl.train.main(config))

The cookbook has no hook for advantages, so two names of `tinker_cookbook.rl.train` are bound anew:
`compute_advantages`, and `prepare_minibatch`, which calls it and returns what is logged. Groups may
be smaller than asked for (`MinViableGroup`).

With streaming minibatches an estimator sees the groups of one minibatch at a time, which is then
the batch that `scale` and `adaptive_tea` go by.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Sequence
from typing import Any

from bontea._errors import BonteaError
from bontea.integrations.frameworks import require_tested

require_tested("tinker")

import numpy as np
import tinker_cookbook
import torch
from tinker_cookbook.rl import train

from bontea.integrations._settings import read_settings
from bontea.integrations._step import AdvantageStep

WHERE = "install"


class Installed:
    """The estimator in use; `metrics` of the latest batch are logged as `best_of_n/...`."""

    def __init__(self, step: AdvantageStep):
        self._best_of_n = step
        self._known: dict[int, float] = {}  # id of a trajectory of a batch in work: its advantage

    @property
    def metrics(self) -> dict[str, float]:
        """Of the latest batch."""
        return self._best_of_n.metrics

    def compute_advantages(self, trajectory_groups_P: Sequence[Any]) -> list[torch.Tensor]:
        """A tensor `(G,)` for every group.

        The cookbook also asks for a few trajectories of a group, to print them: those get what they
        have in the batch.
        """
        members = [group.trajectories_G for group in trajectory_groups_P]
        keys = [[id(trajectory) for trajectory in group] for group in members]
        if not all(key in self._known for group in keys for key in group):
            return self._compute(trajectory_groups_P)
        return [torch.tensor([self._known[k] for k in group]) for group in keys]

    def _compute(self, groups: Sequence[Any]) -> list[torch.Tensor]:
        rewards = [list(group.get_total_rewards()) for group in groups]
        sizes = [len(of_group) for of_group in rewards]
        advantages = self._best_of_n(
            [r for of_group in rewards for r in of_group], np.repeat(np.arange(len(groups)), sizes)
        )
        parts = np.split(advantages, np.cumsum(sizes)[:-1]) if groups else []
        return [torch.tensor(part, dtype=torch.float32) for part in parts]

    async def prepare_minibatch(self, original: Any, *args: Any, **kwargs: Any) -> Any:
        """The cookbook's, with the advantages known before it prints, and our metrics in its."""
        given = inspect.signature(original).bind(*args, **kwargs).arguments
        groups = given["trajectory_groups_P"]
        advantages = self._compute(groups)
        metrics = {f"best_of_n/{name}": value for name, value in self.metrics.items()}
        keys = [id(trajectory) for group in groups for trajectory in group.trajectories_G]
        self._known |= dict(zip(keys, _flatten(advantages), strict=True))
        try:
            data, theirs, *more = await original(*args, **kwargs)
        finally:
            for key in keys:
                self._known.pop(key, None)
        return data, {**theirs, **metrics}, *more


_original: dict[str, Any] = {}


def install(estimator: Any = None, **settings: Any) -> Installed:
    """Train with best-of-N advantages from here on; again: with another estimator.

    The arguments are `estimator`, `n`, `alpha`, `scale`, `seed`, and parameters of the estimator.
    ValueError for what cannot work, and for a cookbook without the two functions.
    """
    if estimator is not None:
        settings["estimator"] = estimator
    installed = Installed(AdvantageStep(read_settings(settings, where=WHERE)))
    for name in ("compute_advantages", "prepare_minibatch"):
        function = _original.get(name) or getattr(train, name, None)
        if function is None or "trajectory_groups_P" not in inspect.signature(function).parameters:
            raise BonteaError(
                f"tinker_cookbook.rl.train.{name} is not what this was written for "
                f"(tinker-cookbook {tinker_cookbook.__version__}; 0.6.1 is tested)"
            )
        _original[name] = function
    train.compute_advantages = installed.compute_advantages
    prepare = functools.partial(installed.prepare_minibatch, _original["prepare_minibatch"])
    train.prepare_minibatch = prepare
    return installed


def uninstall() -> None:
    """Put the cookbook's own functions back."""
    for name, function in _original.items():
        setattr(train, name, function)


def _flatten(parts: Iterable[torch.Tensor]) -> list[float]:
    return [float(value) for part in parts for value in part]
