"""BoN-max mean: only the winner of the group is reinforced, by its lead over the group mean.

Source: Bagirov et al. 2025 (arXiv 2510.23393).
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from bontea._arrays import Array, from_top, group_mean, per_group

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


def best_of_n_max_mean(rewards: Float[ArrayLike, "*P M"]) -> Float[Array, "*P M"]:
    """Best-of-M advantage with the group mean as baseline, `(*P, M) -> (*P, M)`, in reward units.

        A_i = (R_i - mean(R)) 1{R_i = R_max}

    Mean convention: the policy gradient estimate of a prompt is `(1/M) sum_i A_i grad log pi(y_i)`.

    Not centred. Tied winners all get the lead; a constant group, or a group of one, gets zeros; NaN
    is a missing rollout and gets 0; infinite rewards raise ValueError.
    Source: Bagirov et al. 2025 (arXiv 2510.23393).

    >>> best_of_n_max_mean([[0.0, 1.0, 5.0]]).tolist()
    [[0.0, 0.0, 3.0]]
    """

    def kernel(r: Array, xp: ModuleType) -> Array:
        x = from_top(r, xp)  # 0 at the winners
        return xp.astype(x == 0, x.dtype) * -group_mean(x, xp)

    return per_group(rewards, kernel, in_blocks=True)
