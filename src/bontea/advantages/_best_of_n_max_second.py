"""BoN-max second: only the winner of the group is reinforced, by its lead over the runner-up.

A budget-matched heuristic for best-of-M that needs no baseline.
Source: Bagirov et al. 2025 (arXiv 2510.23393).
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from bontea._arrays import Array, is_traced, per_group

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


def best_of_n_max_second(rewards: Float[ArrayLike, "*P M"]) -> Float[Array, "*P M"]:
    """Best-of-M advantage with the second-best value as baseline, `(*P, M) -> (*P, M)`.

        A_i = (R_max - largest value strictly below R_max) 1{R_i = R_max}

    in the units of the rewards. Mean convention: the policy gradient estimate of a prompt is
    `(1/M) sum_i A_i grad log pi(y_i)`.

    Not centred. Tied winners all get the full lead; a constant group, or a group of one, gets
    zeros; NaN is a missing rollout and gets 0; infinite rewards raise ValueError.
    Source: Bagirov et al. 2025 (arXiv 2510.23393).

    >>> best_of_n_max_second([[0.0, 1.0, 3.0]]).tolist()
    [[0.0, 0.0, 2.0]]
    """

    def kernel(r: Array, xp: ModuleType) -> Array:
        ordered = xp.sort(r, axis=-1, stable=False)
        best, second = ordered[:, -1:], ordered[:, -2:][:, :1]  # the same in a group of one
        if is_traced(r) or bool(xp.any(second == best)):
            below = xp.where(ordered < best, ordered, ordered[:, :1])
            second = xp.max(below, axis=-1, keepdims=True)
        return xp.astype(r == best, r.dtype) * (best - second)

    return per_group(rewards, kernel, in_blocks=True)
