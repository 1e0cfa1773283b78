"""The rewards of the latest groups of a run, because those of one batch say little about a tail."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from bontea._errors import GroupTooSmallError
from bontea.tails.fit import TailCheck, check_tail

GROUPS = 256
"""How many are remembered: fewer say little, very many reject any model of the tail."""


class Memory:
    """The latest batches that have `groups` groups between them.

    The policy moves while they are collected, but every group is compared with its own tail alone,
    so they may be pooled.

    >>> memory, rng = Memory(), np.random.default_rng(0)
    >>> for _ in range(40):
    ...     memory.add(rng.normal(size=(16, 16)))
    >>> memory.history(16).shape, memory.check(alpha=0.25).groups
    ((256, 16), 256)
    """

    def __init__(self, groups: int = GROUPS):
        self.groups = groups
        self._batches: deque[np.ndarray] = deque()

    def add(self, rewards: np.ndarray) -> None:
        """Remember a batch `(P, M)`; NaN is a missing rollout."""
        self._batches.append(np.array(rewards))
        while sum(map(len, self._batches)) - len(self._batches[0]) >= self.groups:
            self._batches.popleft()

    def history(self, m: int) -> np.ndarray:
        """Earlier groups for an estimator, `(Q, M')`: at most `groups` of them, in whole batches.

        NaN is at the ends of smaller groups; before the first batch it is `(0, m)`.
        """
        batches = list(self._batches)
        while sum(map(len, batches)) > self.groups:
            del batches[0]
        return _stacked(batches) if batches else np.zeros((0, m))

    def check(self, alpha: float) -> TailCheck | None:
        """`check_tail`, or None where no group can be checked (too small, or all equal)."""
        if not self._batches:
            return None
        try:
            check = check_tail(_stacked(list(self._batches)), alpha=alpha)
        except GroupTooSmallError:
            return None
        return check if check.groups else None

    def state(self) -> list[list[list[float | None]]]:
        """What JSON can hold: batches of groups of rewards, None where one is missing."""
        return [
            [[None if math.isnan(r) else float(r) for r in group] for group in batch]
            for batch in self._batches
        ]

    def load_state(self, state: list[list[list[float | None]]]) -> None:
        """Take over what `state` gave."""
        self._batches = deque(np.array(batch, dtype=float) for batch in state)


def _stacked(batches: list[np.ndarray]) -> np.ndarray:
    """Batches of groups below each other, NaN at the ends of smaller groups."""
    m = max(batch.shape[1] for batch in batches)
    same_width = [
        batch
        if batch.shape[1] == m
        else np.pad(batch, ((0, 0), (0, m - batch.shape[1])), constant_values=np.nan)
        for batch in batches
    ]
    return np.concatenate(same_width)
