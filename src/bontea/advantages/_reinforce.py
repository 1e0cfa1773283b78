"""REINFORCE with the group mean as baseline: the gradient of the mean reward, `A_i = R_i - mean`.

No division by the standard deviation, so prompts keep their own scale (this is also what Dr. GRPO
uses). A group of one, or of equal rewards, gets zeros. Source: Williams 1992; Liu et al. 2025
(Dr. GRPO, arXiv 2503.20783) for the group form.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from bontea._arrays import Array, from_first, group_mean, per_group

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


def centred(a: Array, xp: ModuleType) -> Array:
    """`a` minus its group mean."""
    return a - group_mean(a, xp)


def reinforce(rewards: Float[ArrayLike, "*P M"]) -> Float[Array, "*P M"]:
    """REINFORCE with a group-mean baseline, `(*P, M) -> (*P, M)`, in the units of the rewards.

        A_i = R_i - mean(R)

    Mean convention: the policy gradient estimate of a prompt is `(1/M) sum_i A_i grad log pi(y_i)`.

    Biased by `1 - 1/M` in length (the baseline contains R_i), right in direction; `rloo` is the
    unbiased form. Equal rewards and groups of one get zeros; NaN is a missing rollout and gets 0;
    infinite rewards raise ValueError. Source: Williams 1992; Liu et al. 2025 (arXiv 2503.20783).

    >>> reinforce([[1.0, 2.0, 6.0]]).tolist()
    [[-2.0, -1.0, 3.0]]
    """
    return per_group(rewards, lambda r, xp: centred(from_first(r), xp), in_blocks=True)
