"""The largest tail fraction that a batch of rewards supports, or none.

A larger tail fraction has less noise: with M = 16 and N = 128, three quarters are worth 2.1 times
the rollouts that one quarter is. But it asks more of the rewards, and a policy that is trained with
it can learn to fake the tail: bad responses widen the law, and the model takes the width for a
promise of better ones. So the promise is checked where it can be, on every batch: if the best
rewards fall short of the line through the others, the fraction is lowered.

Only falling short counts. Tails heavier than the model beat their promise; on the logistic, Gumbel,
exponential and Student t laws of `bontea.theory` linear_tea with three quarters then still has a
better direction and less noise than max_at_k. A ceiling of the reward falls short like a fake does,
and is refused with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from bontea._arrays import Array, best_from_top, check_alpha, constant, per_group, to_numpy
from bontea._errors import BonteaError, GroupTooSmallError
from bontea.tails.calibrate import contrasts
from bontea.tails.fit import line_weights
from bontea.tails.normal import tail_size
from bontea.tails.order_statistics import best_scores
from bontea.tails.shapes import get_tail

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


ALPHAS = (0.75, 0.5, 0.25)
Z_LIMIT = -1.0
ATOM = 0.4
Z_LIMIT_WITH_HISTORY = -2.0
"""Over 256 groups it refuses the shortfall that -1 refuses over 64: an eighth of the spread."""
LEAST_WITH_HISTORY = 64
"""Groups that a large tail fraction needs: with a history it pays to wait for them."""


def choose_alpha(
    rewards: Float[ArrayLike, "*P M"],
    *,
    alphas: Sequence[float] = ALPHAS,
    tail: str = "normal",
    history: Float[ArrayLike, "Q M2"] | None = None,
) -> float | None:
    """The largest of `alphas` whose tail keeps its promise on the batch, None if none does.

    Both are linear in the sorted rewards of a group, with mean 0 at every M under the tail law:

    - *the best*: the best reward minus the line through the rest of the tail (`check_tail`);
    - *the bend*: the quadratic contrast of the tail (`calibrate_tail`).

    A fraction passes when the mean over groups of neither is more than 1 standard error below 0
    (under the tail law about four batches in five pass), and when the tail does not end in an atom:
    at most 40 % of the rewards of a group, on average, equal the worst of its tail. A batch of few
    groups refuses little, and one with fewer than two groups that have a spread supports nothing.

    With a `history`, even an empty one, there will be more groups to decide on: then the limit is 2
    standard errors, and all but the smallest of `alphas` need 64 groups that have a spread.

    Parameters
    ----------
    rewards : (*P, M)
        A batch; NaN is a missing rollout.
    alphas
        Tail fractions in the order they are tried, largest first. A group with fewer than 3 rewards
        in the tail takes no part.
    tail
        A name of `bontea.tails.shapes`.
    history : (Q, M'), optional
        Rewards of earlier groups, which count like those of the batch; `(0, M)` where there are
        none yet. A trainer with few prompts a step has hundreds of them from its last steps. The
        policy has moved since, but every group is compared with its own tail alone; only the unit
        of the rewards must be the same.

    Raises ValueError for alpha outside (0, 1], an unknown tail, or infinite rewards. Ours.

    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(100, 64))
    >>> faked = np.where(z > -0.5, z, z - 6)  # the lower 31 % made much worse
    >>> choose_alpha(z), choose_alpha(faked), choose_alpha(np.minimum(z, 0.5))
    (0.75, 0.5, None)
    """
    if isinstance(alphas, (int, float, str)):
        raise BonteaError(f"alphas={alphas!r} must be tail fractions to try, such as {ALPHAS}")
    alphas = [check_alpha(alpha) for alpha in alphas]
    tail = get_tail(tail).name

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        best_first = best_from_top(r, xp)
        table = constant(_statistics(m, tuple(alphas), tail), r, xp)
        worst = [best_first[:, max(tail_size(a, m), 1) - 1, None] for a in alphas]
        tied = [xp.mean(xp.astype(best_first == w, r.dtype), axis=-1, keepdims=True) for w in worst]
        return xp.concat([best_first @ table, *tied], axis=-1)

    def table_of(r: ArrayLike) -> np.ndarray:
        found = per_group(r, kernel, per_rollout=False, missing=np.nan, in_blocks=True)
        return to_numpy(found).reshape(-1, 4 * len(alphas))

    table, limit, least = table_of(rewards), Z_LIMIT, 2
    if history is not None:
        limit, least = Z_LIMIT_WITH_HISTORY, LEAST_WITH_HISTORY
        if np.shape(history)[0]:
            with contextlib.suppress(GroupTooSmallError):  # of earlier groups none was scorable
                table = np.concatenate([table, table_of(history)])
    for index, alpha in enumerate(alphas):
        spread, *statistics = table[:, 3 * index : 3 * index + 3].T
        use = spread > 0  # False for NaN, of a group too small
        groups = int(use.sum())
        needed = least if alpha > min(alphas) else 2
        if groups < needed or table[use, index - len(alphas)].mean() > ATOM:
            continue
        for values in statistics:
            values = values[use]
            error = values.std(ddof=1) / np.sqrt(groups)
            if not values.mean() >= limit * error:
                break
        else:
            return alpha
    return None


@lru_cache(maxsize=256)
def _statistics(m: int, alphas: tuple[float, ...], tail: str) -> np.ndarray:
    """Weights on m rewards, best first, `(m, 3 len(alphas))`: spread, best minus line, bend."""
    table = np.zeros((m, len(alphas), 3))
    for index, alpha in enumerate(alphas):
        k = tail_size(alpha, m)
        if k < 3:
            table[:, index] = np.nan
            continue
        spread, bend = contrasts(m, k, tail)
        table[:k, index, 0], table[:k, index, 2] = spread, bend
        table[0, index, 1] = 1
        line = line_weights(m, range(1, k), best_scores(m, 1, tail)[0], tail)
        table[1:k, index, 1] = -line
    return table.reshape(m, -1)
