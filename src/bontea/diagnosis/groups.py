"""The rewards to be diagnosed, and groups of the size that training will use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bontea.curves.curve import as_table


@dataclass(frozen=True, eq=False)
class Groups:
    """Rewards of P prompts with the lengths of their completions, where these are known."""

    rewards: np.ndarray
    """(P, M) float64, NaN where there is no reward."""
    lengths: np.ndarray | None
    """(P, M) characters of the completion of each reward."""
    rollouts: int
    """Rollouts, scored or not."""

    @property
    def counts(self) -> np.ndarray:
        """(P,) rewards of each prompt."""
        return np.isfinite(self.rewards).sum(axis=1)

    @property
    def scored(self) -> np.ndarray:
        """(P', M) the prompts that have a reward."""
        return self.rewards[self.counts > 0]


def as_groups(rollouts: Any) -> Groups:
    """A `Rollouts`, a `(P, M)` array (NaN is a missing reward) or P lists of any lengths.

    Raises ValueError for another shape, an infinite reward, or no reward at all.
    """
    lengths = None
    if hasattr(rollouts, "offsets"):  # a Rollouts: null rewards are told from shorter groups
        table = rollouts.table()
        count = int(rollouts.offsets[-1])
        if rollouts.lengths is not None:
            lengths = np.full(table.shape, np.nan)
            lengths[np.arange(table.shape[1]) < rollouts.counts[:, None]] = rollouts.lengths
    else:
        table = as_table(rollouts)
        count = table.size
        if isinstance(rollouts, (list, tuple)):
            count = sum(len(row) for row in rollouts)
    infinite = np.isinf(table).any(axis=1)
    if infinite.any():
        raise ValueError(
            f"prompt {int(np.argmax(infinite))} holds an infinite reward; clip it, or leave it "
            "out (null, NaN) where the rollout could not be scored"
        )
    if not np.isfinite(table).any():
        raise ValueError(
            f"none of the {count:,} rollouts of {len(table):,} prompts has a reward (all are "
            "null or NaN): score the completions first"
        )
    if lengths is not None and not (np.isfinite(lengths) & np.isfinite(table)).any():
        lengths = None
    return Groups(table, lengths, count)


def groups_of(rewards: np.ndarray, m: int, rng: np.random.Generator) -> np.ndarray:
    """`(G, m)`: the rewards of every prompt dealt into groups of m, in random order.

    What a training step with m rollouts of a prompt sees, from a file with more. A prompt with
    fewer than m rewards is one smaller group; what is left over of the others is not used.
    """
    counts = np.isfinite(rewards).sum(axis=1)
    rewards = np.take_along_axis(rewards, np.argsort(np.isnan(rewards), axis=1, kind="stable"), 1)
    rows = []
    for size in np.unique(counts[counts > 0]):
        block = rewards[counts == size][:, :size]
        block = rng.permuted(block, axis=1)
        if size < m:
            rows.append(np.pad(block, ((0, 0), (0, m - size)), constant_values=np.nan))
        else:
            rows.append(block[:, : size // m * m].reshape(-1, m))
    out = np.concatenate(rows)
    return out[rng.permutation(len(out))]
