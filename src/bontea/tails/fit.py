"""The tail line of a group: location and scale of its upper rewards, and what they predict.

If the upper rewards of a prompt follow a tail of known shape, moved by mu and stretched by sigma
(by default the normal tail `N(mu, sigma^2)`), the j-th best of m rewards has expectation
`mu + sigma z_j`, with `z_j` the expected order statistic of the shape: the k best rewards lie on a
line against `z_j`, whatever the rest of the distribution does. The least-squares line is unbiased
at every m under that tail, unlike a plug-in of the tail's mean and standard deviation.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from bontea._arrays import (
    Array,
    best_from_top,
    check_alpha,
    check_n,
    constant,
    per_group,
    to_numpy,
)
from bontea._errors import GroupTooSmallError
from bontea._json import Result
from bontea._numbers import number
from bontea.tails.normal import tail_size
from bontea.tails.order_statistics import best_scores
from bontea.tails.shapes import expected_max, get_tail

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


def require_tail(m: int, alpha: float, least: int = 3) -> int:
    """`k = ceil(alpha m)`, or GroupTooSmallError when k < `least`, naming what would do.

    With k = 2 the tail's shape is fixed ("winner minus runner-up") and N cannot matter.
    """
    k = tail_size(alpha, m)
    if k >= least:
        return k
    need_m = int(np.floor((least - 1) / alpha + 1e-9)) + 1
    if m >= least:
        need_alpha = np.ceil(1000 * (least - 1) / m + 1e-9) / 1000
        remedy = (
            f"use at least {need_m} rollouts, or a tail fraction of at least {number(need_alpha)}"
        )
    else:
        remedy = f"use at least {need_m} rollouts"
    raise GroupTooSmallError(
        f"{m} rollouts with tail fraction {number(alpha)} leave {k} in the tail, and {least} are "
        f"needed for the tail to depend on n: {remedy}"
    )


def line_weights(m: int, top: range, at: float, tail: str = "normal") -> np.ndarray:
    """Weights on the ranks `top` (0 = best) whose sum is the tail line's value at score `at`.

    Least squares of rewards on expected scores: `1/k + (at - mean z) (z_j - mean z) / S_zz`.
    """
    z = best_scores(m, top.stop, tail)[top.start :]
    centred = z - z.mean()
    return 1 / len(z) + (at - z.mean()) * centred / (centred @ centred)


def predict_best_of_n(
    rewards: Float[ArrayLike, "*P M"], n: float, *, alpha: float = 0.25, tail: str = "normal"
) -> Float[Array, "*P"]:
    """Best-of-N of each prompt, predicted from the tail of its rewards; n may exceed M.

        V_N = mu + c_N sigma,   (mu, sigma) the least-squares line of the k = ceil(alpha M) best
                                rewards on the expected order statistics of the tail law

    Parameters
    ----------
    rewards : (*P, M)
        NaN is a missing rollout.
    n
        Deployment budget, any real number of at least 1.
    alpha
        Tail fraction; the rewards must have the tail's shape above their upper `alpha` quantile.
    tail
        Shape of the tail, a name of `bontea.tails.shapes`; `c_N = expected_max(n, tail)`.

    Returns
    -------
    (*P,) : in the units of the rewards. A constant group predicts its value; a group with fewer
    than 3 rewards in the tail gets NaN.

    Raises
    ------
    GroupTooSmallError
        Every group has fewer than 3 rewards in its tail.
    ValueError
        n < 1, alpha outside (0, 1], infinite rewards, or an unknown tail.

    Unbiased at every M when the tail has the shape. Inside the sample (n <= M) use `best_of_k`,
    which assumes nothing. Source: the tail form is Lemma 1 of arXiv 2605.10716; the fit is ours.

    >>> rewards = np.random.default_rng(0).normal(size=(2000, 32))
    >>> round(float(predict_best_of_n(rewards, 128).mean()), 1)  # c_128 = 2.59
    2.6
    """
    n, alpha = check_n(n), check_alpha(alpha)
    tail = get_tail(tail).name

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        k = require_tail(m, alpha)
        weights = line_weights(m, range(k), expected_max(n, tail), tail)
        top = xp.max(r, axis=-1)
        best_first = best_from_top(r, xp)[:, :k]
        return top + best_first @ constant(weights, r, xp)

    return per_group(rewards, kernel, per_rollout=False, missing=float("nan"))


TailVerdict: TypeAlias = Literal["holds", "doubtful", "fails", "unknown"]
"""Of a tail model. `"fails"`: do not extrapolate."""


@dataclass(frozen=True)
class TailFit(Result):
    """The tail line of each prompt. `str()` ends with what to do."""

    location: Float[Array, "*P"]
    """(*P,) where the standard form's 0 lies, in reward units (the mean, under a normal tail)."""
    scale: Float[Array, "*P"]
    """(*P,) reward units per standard unit; NaN where a group is too small."""
    tail: str
    alpha: float
    check: TailCheck

    @property
    def verdict(self) -> TailVerdict:
        """That of the check."""
        return self.check.verdict

    @property
    def message(self) -> str:
        """That of the check."""
        return self.check.message

    def predict(self, n: float) -> Float[Array, "*P"]:
        """Best-of-N of each prompt: `location + expected_max(n, tail) scale`."""
        return self.location + expected_max(n, self.tail) * self.scale

    def __str__(self) -> str:
        location, scale = to_numpy(self.location), to_numpy(self.scale)
        fitted = int(np.isfinite(scale).sum())
        return (
            f"{self.tail} tail above the upper {number(self.alpha)} of {fitted} of {scale.size} "
            f"prompts: location {number(np.nanmedian(location), 4)}, scale "
            f"{number(np.nanmedian(scale), 4)} (medians). {self.check}"
        )


def fit_tail(
    rewards: Float[ArrayLike, "*P M"], *, alpha: float = 0.25, tail: str = "normal"
) -> TailFit:
    """Fit the tail line of each prompt and check it; `(*P, M)` to `(*P,)` location and scale.

    The least-squares line of the `k = ceil(alpha M)` best rewards on their expected order
    statistics under the tail law, `R_(j) ~ location + scale e_j`, unbiased at every M when the tail
    has that shape. Parameters, degenerate groups and errors as in `predict_best_of_n`, of which
    `fit_tail(rewards).predict(n)` is the same number. Ours.

    >>> rewards = np.random.default_rng(0).normal(size=(400, 16))
    >>> print(str(fit_tail(rewards))[:59])
    normal tail above the upper 0.25 of 400 of 400 prompts: loc
    """
    alpha, tail = check_alpha(alpha), get_tail(tail).name

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        k = require_tail(m, alpha)
        best_first = best_from_top(r, xp)[:, :k]
        at_zero, at_one = (line_weights(m, range(k), at, tail) for at in (0.0, 1.0))
        location = best_first @ constant(at_zero, r, xp)
        scale = best_first @ constant(at_one - at_zero, r, xp)
        return xp.stack([xp.max(r, axis=-1) + location, scale], axis=-1)

    line = per_group(rewards, kernel, per_rollout=False, missing=float("nan"))
    return TailFit(
        line[..., 0], line[..., 1], tail, alpha, check_tail(rewards, alpha=alpha, tail=tail)
    )


@dataclass(frozen=True)
class TailCheck(Result):
    """Does the tail predict the best reward of the group? One number, with its error.

    `str()` ends with what to do.
    """

    predicted: float
    """Mean over groups of the best reward, predicted from the other tail rewards."""
    seen: float
    """Mean over groups of the best reward."""
    z: float
    """`(seen - predicted)` in standard errors over groups; NaN with fewer than 2 groups."""
    groups: int

    @property
    def verdict(self) -> TailVerdict:
        """`"holds"` (|z| < 2), `"doubtful"` (< 4), `"fails"`, or `"unknown"`."""
        if not np.isfinite(self.z):
            return "unknown"
        return "holds" if abs(self.z) < 2 else "doubtful" if abs(self.z) < 4 else "fails"

    @property
    def message(self) -> str:
        """What the verdict means, and what to do."""
        return {
            "unknown": "too few groups that differ to check the tail model: use more prompts",
            "holds": "the tail model is consistent with the best rewards seen",
            "doubtful": "the tail model is doubtful: watch it, and compare with max_at_k",
            "fails": "the tail model misses the best rewards: do not extrapolate; use max_at_k",
        }[self.verdict]

    def __str__(self) -> str:
        if not np.isfinite(self.z):
            return self.message
        return (
            f"best reward of a group: seen {number(self.seen, 4)}, predicted from the rest of its "
            f"tail {number(self.predicted, 4)} (z = {self.z:.1f} over {self.groups} groups); "
            f"{self.message}"
        )


def check_tail(
    rewards: Float[ArrayLike, "*P M"], *, alpha: float = 0.25, tail: str = "normal"
) -> TailCheck:
    """Check the tail model where it can be checked: at the best reward of each group.

    The tail line is fitted on the k-1 tail rewards *below* the best one and extrapolated to the
    best. If the tail has the shape, the mean difference is 0 at every M, so `z` is a fair test; a
    lighter tail (a ceiling, a bounded reward) gives z < 0, a heavier one z > 0. Groups whose
    rewards are all equal, or with fewer than 3 rewards in the tail, are left out.

    `rewards` is `(*P, M)`; groups are taken as independent. `tail` is a name of
    `bontea.tails.shapes`.

    >>> rng = np.random.default_rng(0)
    >>> check_tail(rng.normal(size=(400, 16))).verdict
    'holds'
    >>> check_tail(np.minimum(rng.normal(size=(400, 16)), 0.8)).verdict
    'fails'
    """
    alpha, tail = check_alpha(alpha), get_tail(tail).name

    def kernel(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        k = require_tail(m, alpha)
        weights = line_weights(m, range(1, k), best_scores(m, 1, tail)[0], tail)
        top = xp.max(r, axis=-1)
        best_first = best_from_top(r, xp)
        rest = best_first[:, 1:k] @ constant(weights, r, xp)
        return xp.stack([top, rest, best_first[:, -1]], axis=-1)

    rows = to_numpy(per_group(rewards, kernel, per_rollout=False, missing=float("nan")))
    top, rest, spread = rows.reshape(-1, 3).T
    use = np.isfinite(top) & (spread < 0)
    groups = int(use.sum())
    if groups == 0:
        return TailCheck(float("nan"), float("nan"), float("nan"), 0)
    top, miss = top[use], -rest[use]  # miss = best seen - best predicted
    error = miss.std(ddof=1) / np.sqrt(groups) if groups > 1 else float("nan")
    z = float(miss.mean() / error) if error > 0 else float("nan")
    return TailCheck(float((top - miss).mean()), float(top.mean()), z, groups)
