"""Adaptive TEA: extrapolate as far as the batch supports, and not at all where it does not.

`linear_tea` with the largest tail fraction whose tail keeps its promise on the batch, by
`choose_alpha`; where none does, `max_at_k` with k = M - 1, which needs no model. A larger fraction
has less noise, and the test keeps the policy from faking the tail: weights that look at half of the
distribution pay a policy for spreading its bad responses, the best ones then fall short of what
that spread promises, and the test sees it. A constant group gets zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from bontea._arrays import Array, as_rewards, check_n, is_traced, per_group
from bontea._errors import BonteaError, GroupTooSmallError
from bontea.advantages._linear_tea import linear_tea
from bontea.advantages._max_at_k import max_at_k
from bontea.tails.choose import ALPHAS, choose_alpha
from bontea.tails.normal import tail_size

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


def adaptive_tea(
    rewards: Float[ArrayLike, "*P M"],
    *,
    n: float,
    alphas: Sequence[float] = ALPHAS,
    tail: str = "normal",
    history: Float[ArrayLike, "Q M2"] | None = None,
) -> Float[Array, "*P M"]:
    """Tail-extrapolated advantage as far as the batch supports it, `(*P, M) -> (*P, M)`.

        A = linear_tea(R, n, alpha, tail)   alpha = choose_alpha(rewards, alphas, tail, history)
        A = max_at_k(R, k)                  k = min(M - 1, floor(n)), if alpha is None, if n < M,
                                            or where ceil(alpha M) < 3

    in the units of the rewards, minus the group mean. Mean convention: the policy gradient estimate
    of a prompt is `(1/M) sum_i A_i grad log pi(y_i)`.

    Parameters
    ----------
    rewards
        `(*P, M)`: prompts, then rollouts. **All prompts of the array decide on alpha together**;
        with few prompts the tests reject little (give a `history`), with fewer than two nothing is
        extrapolated. NaN
        is a missing rollout: it gets 0 and its group is treated as one smaller.
    n
        Deployment budget N, any real number of at least 1.
    alphas
        Tail fractions to try, largest first.
    tail
        A name of `bontea.tails.shapes`.
    history
        `(Q, M')`: rewards of earlier groups, which take part in the decision and get no advantages;
        `(0, M)` where there are none yet. The trainers and adapters pass those of the last steps.

    Notes
    -----
    Shift-invariant, scale-equivariant; tied rewards share their advantage; a constant group gets
    zeros. On normal rewards with M = 16 and N = 128, in batches of 64 prompts, it optimises
    best-of-107, and its signal-to-noise is 1.2 times that of `max_at_k(k=15)` and 1.4 times that of
    `linear_tea(alpha=0.25)`.

    Raises
    ------
    GroupTooSmallError
        No group has 2 rewards.
    ValueError
        n < 1, alpha outside (0, 1], an unknown tail, infinite rewards; under `jax.jit`, where the
        batch cannot be looked at.

    Ours; the objective is that of Li, Qian, Mou 2026 (arXiv 2605.10716).

    >>> import numpy as np
    >>> rewards = np.random.default_rng(0).normal(size=(64, 16))
    >>> bool((adaptive_tea(rewards, n=128) == linear_tea(rewards, n=128, alpha=0.75)).all())
    True
    >>> capped = np.minimum(rewards, 0.5)  # a ceiling: no tail to extrapolate
    >>> bool((adaptive_tea(capped, n=128) == max_at_k(capped, k=15)).all())
    True
    """
    n = check_n(n)
    rewards = as_rewards(rewards)
    if is_traced(rewards):
        raise BonteaError(
            "adaptive_tea looks at the rewards to choose its tail fraction, which jax.jit does not "
            "allow: choose outside with choose_alpha, and jit linear_tea or max_at_k"
        )
    alpha = choose_alpha(rewards, alphas=alphas, tail=tail, history=history)

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        if m < 2:
            raise GroupTooSmallError(f"adaptive_tea needs at least 2 rollouts per prompt, got {m}")
        if alpha is None or n < m or tail_size(alpha, m) < 3:
            return max_at_k(r, k=int(min(m - 1, n)))
        return linear_tea(r, n=n, alpha=alpha, tail=tail)

    return per_group(rewards, kernel)
