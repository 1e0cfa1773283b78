"""Groups of the size that training will use, from rewards with more of a prompt."""

from __future__ import annotations

import numpy as np


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
