"""L-TEA: the least-noise estimator of the best-of-N gradient that is linear in the sorted rewards.

Assumes an upper tail of known shape (normal, as TEA does, or another), but is unbiased at every M:
its coefficients are chosen so that the expected gradient is exactly that of best-of-N, whatever the
body of the distribution does, and among all such choices those with the least mean square
advantage. One sort and one small matrix product per batch. A constant group gets zeros.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from bontea._arrays import Array, check_alpha, check_n, per_group, product
from bontea._errors import BonteaError
from bontea.advantages._ranks import any_ties, best_first, share_ties, unsort
from bontea.tails.fit import require_tail
from bontea.tails.order_statistics import expected_scores, product_moments
from bontea.tails.shapes import expected_max, get_tail

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


Rows: TypeAlias = Literal["tail", "all"]
ROWS: tuple[Rows, ...] = get_args(Rows)


@lru_cache(maxsize=256)
def linear_weights(
    m: int, k: int, n: float, rows: Rows = "tail", center: bool = False, tail: str = "normal"
) -> np.ndarray:
    """The matrix W of L-TEA, `(rows, k)`, ranks best first: `A_i = sum_j W_ij R_j`.

    With Z the order statistics of m variables of the tail law, J the k best ranks, psi the score of
    a shift, `G = E[Z_J Z_J']`, `b1_i = E[psi(Z_i) Z_J]` and `b2_i = E[(Z_i psi(Z_i) - 1) Z_J]`,
    W solves

        minimise sum_i W_i' G W_i   subject to   W_i . 1 = 0 for every row i,
        sum_i W_i . b1_i = m,       sum_i W_i . b2_i = m c_N.

    With `center`, the group mean of A is to be subtracted, which takes `E[mean(A)] / m` off the
    second component (and nothing off the first): `b2_i - E[Z_J] / m` stands for `b2_i`.

    The solution is `W_i = Q (lambda_1 b1_i + lambda_2 b2_i)`, Q the inverse of G projected along 1,
    and two multipliers from a 2 x 2 system. Read-only float64.
    """
    count = k if rows == "tail" else m
    moments = product_moments(m, count, k, tail)
    inverse = np.linalg.inv(moments.second[:k])
    ones = inverse.sum(1)
    project = inverse - np.outer(ones, ones) / ones.sum()
    b = np.stack([moments.location, moments.scale])
    if center:
        b[1] -= expected_scores(m, tail)[::-1][:k] / m
    qb = b @ project
    system = np.einsum("aij,bij->ab", b, qb)
    multipliers = np.linalg.solve(system, m * np.array([1.0, expected_max(n, tail)]))
    weights = np.einsum("a,aij->ij", multipliers, qb)
    weights.setflags(write=False)
    return weights


@lru_cache(maxsize=256)
def _table(m: int, k: int, n: float, rows: Rows, center: bool, tail: str) -> np.ndarray:
    """`linear_weights` for the k best rewards, `(k, ranks + 1)`, less the group mean of A.

    The last column is that of every rank without coefficients (`rows="all"` has no such column).
    """
    weights = linear_weights(m, k, n, rows, center, tail).T
    if rows == "tail" and k < m:
        weights = np.column_stack([weights, np.zeros(k)])
    mean = weights.sum(1, keepdims=True) / m if center else 0.0
    return weights - mean


def linear_tea(
    rewards: Float[ArrayLike, "*P M"],
    *,
    n: float,
    alpha: float = 0.25,
    rows: Rows = "tail",
    tail: str = "normal",
    center: bool = True,
) -> Float[Array, "*P M"]:
    """Linear tail-extrapolated advantage (L-TEA), `(*P, M) -> (*P, M)`, in reward units.

        A_(i) = sum_{j <= k} W_ij R_(j),   R_(1) >= R_(2) >= ...,   k = ceil(alpha M)

    with `W = linear_weights(M, k, n, rows, center, tail)`, minus the group mean of A when `center`
    is true. Mean convention: the policy gradient estimate of a prompt is
    `(1/M) sum_i A_i grad log pi(y_i)`.

    Parameters
    ----------
    rewards, n, alpha, center
        As in `tea`.
    rows
        `"tail"`: only the k best rollouts get a coefficient. Unbiased under a normal tail whatever
        the rest does. `"all"`: every rollout does; **assumes that the whole law is normal**. It is
        less noisy where that holds, points elsewhere where it does not, and pays for bad outliers.
    tail
        Shape of the tail, a name of `bontea.tails.shapes`: `"normal"`, `"exponential"`,
        `"lognormal(-0.1)"`, `"gp(-0.2)"`. The last kind and the exponential are tails only: they
        go with `rows="tail"`. `calibrate_tail` estimates the parameter from rewards.

    Notes
    -----
    The expected gradient in location and log-scale is exactly `(1, c_N)` at every M when rewards
    have the law, centred or not; `c_N = expected_max(n, tail)`. Where only the tail has it, it is
    so up to the chance that fewer than k rewards come from the tail. Shift-invariant,
    scale-equivariant. Tied rewards share the mean advantage of their ranks; a constant group gets
    zeros; NaN is a missing rollout and gets 0.

    Raises
    ------
    GroupTooSmallError
        In every group `ceil(alpha M) < 3`.
    ValueError
        n < 1, alpha outside (0, 1], unknown rows or tail, infinite rewards.

    Ours; the objective is that of Li, Qian, Mou 2026 (arXiv 2605.10716).

    >>> a = linear_tea([[3.0, 2.0, 1.0, 0.0, -1.0, -2.0]], n=128, alpha=0.5, center=False)
    >>> a.round(2).tolist()  # the best is pushed up, good-but-not-best down, the rest left alone
    [[8.64, -5.93, -9.01, 0.0, 0.0, 0.0]]
    """
    n, alpha = check_n(n), check_alpha(alpha)
    if rows not in ROWS:
        raise BonteaError(f"rows={rows!r} must be one of {', '.join(map(repr, ROWS))}")
    shape = get_tail(tail)
    if rows == "all" and not shape.whole:
        raise BonteaError(
            f"rows='all' needs a law of the whole line, and tail={tail!r} is one of the tail only: "
            "use rows='tail', or tail='normal' or 'lognormal(g)'"
        )

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        k = require_tail(m, alpha)
        table = _table(m, k, n, rows, center, shape.name)
        # Ranks and ties are those of the rewards themselves: beside an outlier, subtracting the top
        # would round different rewards to equal ones, and coefficients jump from rank to rank.
        best, order = best_first(r, xp, table.shape[1])
        a = product(best[:, :k] - best[:, :1], table, xp)
        rest = a[:, -1:]
        if any_ties(best, xp):  # perhaps with ranks that were not looked at
            best, order = best_first(r, xp)
            below = xp.broadcast_to(rest, best[:, a.shape[-1] :].shape)
            a = share_ties(xp.concat([a, below], axis=-1), best, xp)
        return unsort(a, order, xp, m, rest)

    return per_group(rewards, kernel, in_blocks=True)
