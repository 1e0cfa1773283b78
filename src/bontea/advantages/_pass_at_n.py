"""pass@N for 0/1 rewards with N beyond M: the expected gain from success, under a beta prior.

The gradient of pass@N of a prompt with success rate p is `N (1-p)^(N-1)` times the gradient of p:
hard prompts count, easy ones hardly. With M < N rollouts no estimator of that factor is unbiased
for every p (Walder & Karkhanis 2025, Cor. 2). Here the factor is its posterior mean given the
*other* rollouts of the group, under a Beta(a, b) law of p over prompts, fitted on the batch. It is
then right on average over prompts, and a rollout's own reward cannot bias its weight.

Assumes that success rates follow a beta law. Groups that all fail or all pass get zeros.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from array_api_compat import array_namespace

from bontea._arrays import (
    Array,
    as_rewards,
    check_n,
    constant,
    is_traced,
    per_group,
    require_binary,
    to_compute,
    to_numpy,
)
from bontea._errors import BonteaError, GroupTooSmallError
from bontea.tails.beta_binomial import check_beta, fit_beta, posterior_weights

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


def by_successes(r: Array, winner: np.ndarray, loser: np.ndarray, xp: ModuleType) -> Array:
    """`winner[s]` where a 0/1 reward is 1, `loser[s]` where it is 0, s the successes of the group.

    `r` is `(P, m)`, the tables have length m + 1.
    """
    successes = xp.astype(xp.sum(r, axis=-1), xp.int32)
    of_winner, of_loser = (
        xp.take(constant(table, r, xp), successes, axis=0)[:, None] for table in (winner, loser)
    )
    return xp.where(r == 1, of_winner, of_loser)


def batch_prior(rewards: Float[ArrayLike, "*P M"]) -> tuple[float, float]:
    """`fit_beta` on all groups of 0/1 rewards `(*P, M)`; NaN is a missing rollout."""
    rewards = as_rewards(rewards)
    xp = array_namespace(rewards)
    if is_traced(rewards):
        raise BonteaError(
            "prior='batch' looks at the rewards and cannot be fitted under jax.jit: fit it outside "
            "with fit_beta(successes, trials) and pass prior=(a, b)"
        )

    def counts(r: Array, xp: ModuleType) -> Array:
        require_binary(r, "pass_at_n", xp)
        return xp.stack([xp.sum(r, axis=-1), xp.sum(xp.ones_like(r), axis=-1)], axis=-1)

    # In 32 bits at least: bfloat16 cannot count beyond 256.
    table = to_numpy(per_group(to_compute(rewards, xp), counts, per_rollout=False))
    return fit_beta(table[..., 0], table[..., 1])


def pass_at_n(
    rewards: Float[ArrayLike, "*P M"],
    *,
    n: float,
    prior: Literal["batch"] | tuple[float, float] = "batch",
) -> Float[Array, "*P M"]:
    """pass@N advantage of 0/1 rewards for any N, also beyond M, `(*P, M) -> (*P, M)`.

        A_i = w_i (R_i - mean of the other rewards)
        w_i = E[N (1-p)^(N-1) | s, f] = N B(a+s, b+f+N-1) / B(a+s, b+f)

    with s and f the successes and failures of the *other* rollouts and Beta(a, b) the law of the
    success rate p over prompts. In units of pass@N. Mean convention: the policy gradient estimate
    of a prompt is `(1/M) sum_i A_i grad log pi(y_i)`.

    Parameters
    ----------
    rewards : (*P, M)
        0/1; NaN is a missing rollout and gets 0.
    n
        Deployment budget, any real number of at least 1; `n = 1` is `rloo`.
    prior
        `"batch"`: (a, b) from `fit_beta` on all groups of this array, so advantages depend on the
        batch; give it all prompts of a step at once. `(a, b)`: given, for instance fitted on the
        rollouts of earlier steps; needed under jax.jit, and better where a call holds fewer than
        about 32 prompts. At M = 16, N = 128 fitting on the batch, which also lets a rollout's own
        reward into its weight, costs 6 to 24 % of the signal-to-noise ratio with 4 prompts, 3 to
        13 % with 32, at most 5 % with 128, by the law of the success rates.

    Notes
    -----
    For a prompt of rate p the expected gradient is `E[w | p] grad p`, at every M >= 2. Averaged
    over p ~ Beta(a, b) it is `E[N (1-p)^(N-1) grad p]`, exactly, when grad p does not depend on p.
    When it is proportional to p (1-p), as for a logit that all prompts share, the length is too
    large and `prior=(a + 1, b + 1)` is exact in its place. The directions differ little (cosines to
    the truth within .01 at M = 16, N from 32 to 512): keep (a, b) where advantages are rescaled.

    The average is over prompts: of a single prompt with p near 1/N, M rollouts tell little, and
    where all of them fail nothing at all.

    The weight falls with every success, so the advantages of a group do not sum to zero. Groups
    that all fail or all pass get zeros; equal rewards get equal advantages.

    Raises
    ------
    GroupTooSmallError
        No group has 2 rewards.
    ValueError
        A reward is neither 0 nor 1; n < 1; prior is not "batch" or two positive finite numbers;
        prior="batch" under jax.jit.

    Ours; compare `pass_at_k` and `max_at_k`, which need no prior and stop at k = M - 1.

    >>> a = pass_at_n([[0, 0, 0, 1], [1, 0, 1, 1]], n=16, prior=(1, 1))
    >>> a.round(2).tolist()  # a rare success counts; the fourth of four hardly
    [[-0.19, -0.19, -0.19, 3.37], [0.02, -0.0, 0.02, 0.02]]
    """
    n = check_n(n)
    if isinstance(prior, str):
        if prior != "batch":
            raise BonteaError(f"prior={prior!r} must be 'batch' or two numbers (a, b)")
        a, b = batch_prior(rewards)
    else:
        a, b = _check_prior(prior)

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        require_binary(r, "pass_at_n", xp)
        if m < 2:
            raise GroupTooSmallError("pass_at_n needs at least 2 rollouts per prompt, got 1")
        s = np.arange(m)  # successes among the m - 1 others
        weight = posterior_weights(n, a + s, b + (m - 1 - s))
        winner = np.append(0.0, weight * (m - 1 - s) / (m - 1))  # its others have one success less
        loser = np.append(weight * -s / (m - 1), 0.0)
        return by_successes(r, winner, loser, xp)

    return per_group(rewards, kernel)


def _check_prior(prior: Any) -> tuple[float, float]:
    try:
        a, b = prior
    except (TypeError, ValueError):
        raise BonteaError(f"prior={prior!r} must be 'batch' or two numbers (a, b)") from None
    return check_beta(a, b)
