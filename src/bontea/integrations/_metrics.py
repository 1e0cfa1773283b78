"""What a training step can say about best-of-N: the numbers that every adapter logs."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from bontea._arrays import Array, per_group, to_numpy
from bontea._errors import GroupTooSmallError
from bontea.tails import TailCheck, choose_alpha, predict_best_of_n
from bontea.tails.fit import require_tail


def batch_metrics(
    rewards: Any, advantages: Any, *, n: float, alpha: float, history: Any = None
) -> dict[str, float]:
    """Finite statistics of one batch of groups; `rewards` and `advantages` are `(P, M)`, NaN is a
    missing rollout.

    - `group_best`: mean over groups of the best reward.
    - `tail_mean`, `tail_std`: mean over groups of the mean and the standard deviation (ddof = 0) of
      the `k = ceil(alpha m)` best rewards.
    - `supported_tail`: the tail fraction that `choose_alpha` allows on this batch and the groups
      before it (`history`), 0 for none; what `adaptive_tea` extrapolates from.
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
    metrics["supported_tail"] = choose_alpha(rewards, history=history) or 0.0
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


def tail_metrics(check: TailCheck | None) -> dict[str, float]:
    """`max_seen`, `max_predicted` and `tail_z` of a tail check; nothing where there is none."""
    if check is None:
        return {}
    return {"max_seen": check.seen, "max_predicted": check.predicted, "tail_z": check.z}


def _mean_and_std_of_tail(r: Array, alpha: float, xp: ModuleType) -> Array:
    m = r.shape[-1]
    tail = xp.sort(r, axis=-1, stable=False)[:, m - require_tail(m, alpha) :]
    return xp.stack([xp.mean(tail, axis=-1), xp.std(tail, axis=-1)], axis=-1)
