"""What a training step can say about best-of-N: numbers of one batch of groups, and the tail check
over recent batches. Shared by all adapters."""

from __future__ import annotations

from collections import deque
from types import ModuleType
from typing import Any

import numpy as np

from bontea._arrays import Array, check_alpha, per_group, to_numpy
from bontea._errors import GroupTooSmallError
from bontea.tails import TailCheck, check_tail, choose_alpha, predict_best_of_n
from bontea.tails.fit import require_tail


def batch_metrics(rewards: Any, advantages: Any, *, n: float, alpha: float) -> dict[str, float]:
    """Finite statistics of one batch of groups; `rewards` and `advantages` are `(P, M)`, NaN is a
    missing rollout.

    - `group_best`: mean over groups of the best reward.
    - `tail_mean`, `tail_std`: mean over groups of the mean and the standard deviation (ddof = 0) of
      the `k = ceil(alpha m)` best rewards.
    - `supported_tail`: the tail fraction that `choose_alpha` allows on this batch, 0 for none; what
      `adaptive_tea` extrapolates from.
    - `predicted_v_n`: mean over prompts of `predict_best_of_n(rewards, n, alpha=alpha)`.
    - `degenerate_groups`: share of groups whose advantages are all 0 (constant, or too small).
    - `unscorable`: share of NaN rewards.
    - `advantage_rms`: root-mean-square of the advantages of the scorable rollouts.

    A statistic that the batch does not define (no scorable rollout; fewer than 3 rewards in the
    tail) is left out.

    >>> metrics = batch_metrics([[0.0, 1.0], [2.0, 2.0]], [[-1.0, 1.0], [0.0, 0.0]], n=8, alpha=0.5)
    >>> metrics["group_best"], metrics["degenerate_groups"], "tail_mean" in metrics
    (1.5, 0.5, False)
    """
    rewards, advantages = to_numpy(rewards), to_numpy(advantages)
    scorable = ~np.isnan(rewards)
    metrics = {
        "degenerate_groups": float(np.mean(np.all(advantages == 0, axis=-1))),
        "unscorable": float(np.mean(~scorable)),
    }
    rewards = rewards[scorable.any(axis=-1)]
    if not len(rewards):
        return metrics
    metrics["advantage_rms"] = float(np.sqrt(np.mean(advantages[scorable] ** 2)))
    metrics["supported_tail"] = choose_alpha(rewards) or 0.0
    metrics["group_best"] = float(np.mean(np.nanmax(rewards, axis=-1)))
    try:
        tails = per_group(
            rewards,
            lambda r, xp: _mean_and_std_of_tail(r, alpha, xp),
            per_rollout=False,
            missing=float("nan"),
        )
        predicted = predict_best_of_n(rewards, n, alpha=alpha)
    except GroupTooSmallError:
        return metrics
    mean, std = np.nanmean(tails, axis=0)
    return metrics | {
        "tail_mean": float(mean),
        "tail_std": float(std),
        "predicted_v_n": float(np.nanmean(predicted)),
    }


def _mean_and_std_of_tail(r: Array, alpha: float, xp: ModuleType) -> Array:
    m = r.shape[-1]
    tail = xp.sort(r, axis=-1, stable=False)[:, m - require_tail(m, alpha) :]
    return xp.stack([xp.mean(tail, axis=-1), xp.std(tail, axis=-1)], axis=-1)


class TailWindow:
    """`check_tail` over the latest batches that have `groups` groups between them.

    The few groups of one step say little, and very many reject any model. The policy moves inside
    the window, but every group is checked against its own tail, so they may be pooled.

    >>> window = TailWindow(alpha=0.25)
    >>> rng = np.random.default_rng(0)
    >>> for _ in range(40):
    ...     window.add(rng.normal(size=(16, 16)))
    >>> window.check().groups
    256
    """

    def __init__(self, alpha: float, groups: int = 256):
        self.alpha, self.groups = check_alpha(alpha), groups
        self._batches: deque[np.ndarray] = deque()

    def add(self, rewards: Any) -> None:
        """Remember a batch `(P, M)`; NaN is a missing rollout."""
        self._batches.append(to_numpy(rewards))
        while sum(map(len, self._batches)) - len(self._batches[0]) >= self.groups:
            self._batches.popleft()

    def check(self) -> TailCheck | None:
        """The check, or None where no group can be checked (too small, or all equal)."""
        if not self._batches:
            return None
        m = max(batch.shape[-1] for batch in self._batches)
        same_width = [
            np.pad(batch, ((0, 0), (0, m - batch.shape[-1])), constant_values=np.nan)
            for batch in self._batches
        ]
        try:
            check = check_tail(np.concatenate(same_width), alpha=self.alpha)
        except GroupTooSmallError:
            return None
        return check if check.groups else None
