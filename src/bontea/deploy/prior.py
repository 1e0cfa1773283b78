"""What other prompts say about a prompt before and while it is sampled.

The rewards of a prompt are `m + s Z`, with Z of one standard form for all prompts
(`bontea.deploy.standard`). Over prompts

    s^2 ~ nu0 v0 / chi^2(nu0),   m given s ~ N(m0, s^2 / k0),

and n rewards of the prompt with mean r and sum of squares S about it make of it

    s^2 ~ nu v / chi^2(nu),   nu = nu0 + n - 1,   nu v = nu0 v0 + S,
    m given s ~ N((k0 m0 + n r) / k, s^2 / k),    k = k0 + n.

The mean is taken to say nothing about the scale. (In the conjugate normal-inverse-gamma law a mean
far from m0 speaks for a large scale; where means spread more than scales do, that makes prompts of
small scale look wide, and savings fall.) For laws that are not normal n - 1 and S count as much as
such rewards say about the variance (`StandardLaw.information`).

0/1 rewards: the success rate of a prompt follows Beta(a, b) over prompts
(`bontea.tails.beta_binomial`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bontea._errors import BonteaError
from bontea._json import Result
from bontea._numbers import number
from bontea.deploy.standard import StandardLaw, law_of, named_law
from bontea.rollouts.groups import Rollouts, as_rollouts
from bontea.tails import fit_beta, reward_kind
from bontea.tails.fit import TailVerdict

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float

LEAST_FREEDOM, MOST_FREEDOM = 2.2, 400.0
LEAST_WEIGHT, MOST_WEIGHT = 0.01, 400.0
FLOOR_SHARE = 0.05
"""Share of rewards at a repeated lowest value from which on it is a floor."""
HALF = 4
"""Scored rewards that a prompt needs to say how far scales differ."""
SPREAD_PROMPTS = 10.0
"""The guess about the spread of scales counts as much as so many prompts."""
SPREAD_GUESS = 0.25
"""Variance of `log s^2` over prompts by that guess: scales that differ by about 25 %."""
REPEATS = 1e-6
"""A variance below this share of the mean one counts as this share."""


@dataclass(frozen=True)
class Prior(Result):
    """What is known of a prompt before its first response. `str()` says it in a line."""

    location: float
    """m0: mean over prompts of the mean reward; NaN for 0/1 rewards."""
    location_weight: float
    """k0: it counts as much as so many rewards."""
    variance: float
    """v0: a typical variance of the rewards of one prompt."""
    freedom: float
    """nu0: degrees of freedom of the variance; many where prompts are alike."""
    success: tuple[float, float] | None
    """(a, b) of the beta law of success rates; None unless the rewards are 0 and 1."""
    ceiling: float
    """No reward exceeds it; infinite where no ceiling is known."""
    floor: bool
    """Whether the lowest reward of a prompt repeats, as refusals and failures do: then responses
    there count as responses without a reward, and the law is that of the others."""
    scored: float
    """Share of responses that get a reward, and one above the floor."""
    prompts: int
    """Prompts that it was learnt from."""
    trust: float
    """How far the rule follows the prompt's own rewards: 1 wholly, 0 not at all (a fixed N)."""
    verdict: TailVerdict
    """Of the model: what the trust was found to be on the prompts it was learnt from."""
    law: StandardLaw = field(repr=False)

    @property
    def message(self) -> str:
        """What the verdict means for the rule."""
        if self.verdict == "unknown" and self.variance == 0:
            return "every prompt repeats one reward, so there is nothing to try the rule on"
        return {
            "holds": "on the prompts it was learnt from, the rule saves responses",
            "doubtful": "the rule follows a prompt's own rewards in part only: following them "
            "wholly saved less on the prompts it was learnt from",
            "fails": "on the prompts it was learnt from, following a prompt's own rewards saved "
            "nothing: every prompt gets the same number of responses",
            "unknown": "too few prompts or rollouts to try the rule on: at least 8 prompts with 16 "
            "rewards each are needed",
        }[self.verdict]

    def __str__(self) -> str:
        if self.success is not None:
            a, b = self.success
            what = f"success rates Beta({number(a, 3)}, {number(b, 3)})"
        else:
            what = (
                f"mean reward {number(self.location, 4)}, which counts as "
                f"{number(self.location_weight, 2)} rewards, standard deviation "
                f"{number(self.variance**0.5, 4)} with {number(self.freedom, 3)} "
                f"degrees of freedom, {self.law.name} law"
            )
        return f"{what}, from {self.prompts} prompts; {self.verdict}: {self.message}"


def fit_prior(
    rollouts: Rollouts | Float[ArrayLike, "P M"],
    *,
    tail: str | None = None,
    ceiling: float | None = None,
) -> Prior:
    """The prior by moments, with full trust; `learn_prior` also tries how far to trust it.

    With `r_p` the mean and `v_p` the unbiased variance of the m_p rewards of prompt p,

        t^2 = var r_p - mean (v_p / m_p),   k0 = mean v_p / t^2
        c = cov(log v'_p, log v''_p)            the variance of log s^2 over prompts
        psi'(nu0 / 2) = c,   log v0 = mean (log v_p - b(m_p - 1)) + b(nu0)

    with `b(nu) = psi(nu / 2) - log(nu / 2)`, the mean of the logarithm of chi^2(nu) / nu. `v'` and
    `v''` are the variances of the two halves of the rollouts of a prompt: their errors are
    independent, so c is free of them under every law. A guess of `SPREAD_GUESS` counts as
    `SPREAD_PROMPTS` prompts in c. Prompts of fewer than `HALF` rewards count in r and t only.

    Parameters
    ----------
    rollouts
        `(P, M)` rewards (NaN: unscorable), ragged lists, or `Rollouts`. The order of the rollouts
        of a prompt must not depend on their rewards.
    tail
        A name of `bontea.tails.shapes` as the form of the law; None reads it from the rollouts.
    ceiling
        The largest reward there can be. None: infinite, or the largest seen where rewards take few
        values.

    Raises BonteaError when no prompt has two rewards, unless all rewards are 0 or 1.

    >>> rng = np.random.default_rng(0)
    >>> prior = fit_prior(rng.normal(size=(500, 1)) + rng.normal(size=(500, 32)))
    >>> round(prior.location_weight, 1), round(prior.variance, 1)
    (1.0, 1.0)
    """
    data = as_rollouts(rollouts)
    share = (int(data.scored_counts.sum()) + 1.0) / (len(data.rewards) + 1.0)
    data = data.scored()
    prompts = len(data)
    if data.zero_one and (data.rewards == 1).any() != (data.rewards == 0).all():
        successes = np.add.reduceat(data.rewards, data.offsets[:-1])
        beta = fit_beta(successes, data.counts)
        top = 1.0 if ceiling is None else ceiling
        nothing = (float("nan"),) * 4
        return Prior(*nothing, beta, top, False, share, prompts, 1.0, "holds", named_law("normal"))
    rows = [data.group(p) for p in range(prompts)]
    above = [_above_floor(row) for row in rows]
    kept = sum(map(len, above))
    floor = kept < (1 - FLOOR_SHARE) * len(data.rewards) and any(len(a) > 1 for a in above)
    if floor:
        share *= kept / len(data.rewards)
        rows = [row for row in above if len(row)]
    moments = _moments(rows)
    if ceiling is None:
        kind = reward_kind(data.rewards)
        few = kind.name in ("discrete", "binary", "constant")
        ceiling = float(data.rewards.max()) if few else float("inf")
    form = named_law(tail) if tail is not None else _form(rows, extend=np.isinf(ceiling))
    return Prior(*moments, None, float(ceiling), floor, share, prompts, 1.0, "unknown", form)


def _above_floor(row: np.ndarray) -> np.ndarray:
    """The rewards above the lowest, if that repeats; else all."""
    lowest = row == row.min()
    return row[~lowest] if lowest.sum() > 1 else row


def _form(rows: list[np.ndarray], extend: bool) -> StandardLaw:
    sorted_rows = [np.sort(row) for row in rows if len(row) > 1 and row.max() > row.min()]
    if not sorted_rows or max(map(len, sorted_rows)) < 3:
        return named_law("normal")
    return law_of(sorted_rows, extend=extend)


def _moments(rows: list[np.ndarray]) -> tuple[float, float, float, float]:
    """m0, k0, v0, nu0."""
    several = [row for row in rows if len(row) > 1]
    if not several:
        raise BonteaError(
            "no prompt has two rewards, so nothing tells how far the rewards of one prompt spread: "
            "give at least two rollouts of a prompt, better 16 or more of 10 prompts"
        )
    means = np.array([row.mean() for row in rows])
    sizes = np.array([len(row) for row in rows])
    own = np.array([row.var(ddof=1) for row in several])
    variance = float(own.mean())
    location = float(means.mean())
    if variance == 0:  # every prompt repeats one reward
        return location, LEAST_WEIGHT, 0.0, MOST_FREEDOM
    weight = LEAST_WEIGHT
    if len(rows) > 1:
        between = float(means.var(ddof=1)) - variance * float((1 / sizes).mean())
        weight = variance / between if between > variance / MOST_WEIGHT else MOST_WEIGHT
    split = [row for row in several if len(row) >= HALF]
    freedom = _freedom(split, variance)
    use = split or several
    logs = [_log_variance(row, variance) - _log_bias(len(row) - 1) for row in use]
    typical = float(np.exp(np.mean(logs) + _log_bias(freedom)))
    return location, float(np.clip(weight, LEAST_WEIGHT, MOST_WEIGHT)), typical, freedom


def _freedom(split: list[np.ndarray], variance: float) -> float:
    """nu0, from how far the variances of the two halves of prompts go together."""
    from scipy.optimize import brentq
    from scipy.special import polygamma

    halves = np.array(
        [[_log_variance(half, variance) for half in (r[::2], r[1::2])] for r in split]
    )
    shared = SPREAD_PROMPTS * SPREAD_GUESS
    if len(split) > 1:
        shared += len(split) * float(np.cov(halves.T)[0, 1])
    spread = shared / (SPREAD_PROMPTS + len(split))
    least, most = (float(polygamma(1, nu / 2)) for nu in (MOST_FREEDOM, LEAST_FREEDOM))
    if not least < spread < most:
        return MOST_FREEDOM if spread <= least else LEAST_FREEDOM
    root = brentq(lambda nu: float(polygamma(1, nu / 2)) - spread, LEAST_FREEDOM, MOST_FREEDOM)
    return float(root)


def _log_variance(row: np.ndarray, variance: float) -> float:
    """Bounded below: a prompt may repeat itself."""
    return float(np.log(max(row.var(ddof=1), REPEATS * variance)))


def _log_bias(freedom: float) -> float:
    """`E log(chi^2(nu) / nu)`."""
    from scipy.special import digamma

    return float(digamma(freedom / 2) - np.log(freedom / 2))


class Seen(NamedTuple):
    """What was seen of some prompts, arrays of one shape."""

    drawn: np.ndarray
    """Responses drawn, unscorable ones included."""
    scored: np.ndarray
    mean: np.ndarray
    """0 where nothing is scored."""
    squares: np.ndarray
    """Sum of squares about the mean."""
    best: np.ndarray
    """-inf where nothing is scored."""


def seen(rewards: Any, at: Any = None, *, floor: bool = False) -> Seen:
    """Statistics of the first `at` responses of every prompt, `(*P, M)` to `(*P, A)`.

    NaN is a response without a reward; it counts as drawn. With `floor`, so do responses at the
    lowest reward so far, once there are two of them; the best may be one of them.

    `at` are whole numbers from 0 to M, rising; None: all M, and the results are `(*P,)`.
    """
    r = np.asarray(rewards, dtype=float)
    m = r.shape[-1]
    where = np.atleast_1d(m if at is None else np.asarray(at, dtype=int))
    there = ~np.isnan(r)
    # About a value of the prompt's own: sums of squares keep their digits far from 0.
    first = np.where(there, r, np.inf).min(-1, initial=np.inf)
    base = np.where(np.isfinite(first), first, 0.0)[..., None]
    shifted = np.where(there, r - base, 0.0)

    def up_to(values: np.ndarray) -> np.ndarray:
        zero = np.zeros((*values.shape[:-1], 1))
        return np.concatenate([zero, np.cumsum(values, axis=-1)], axis=-1)[..., where]

    def up_to_last(values: np.ndarray, where: np.ndarray) -> np.ndarray:
        zero = np.zeros((*values.shape[:-1], 1))
        return np.concatenate([zero, values], axis=-1)[..., where]

    scored, total, square = up_to(there.astype(float)), up_to(shifted), up_to(shifted**2)
    if floor:
        count, value = _at_floor(np.where(there, r, np.inf), shifted)
        count, value = up_to_last(count, where), up_to_last(value, where)
        scored, total, square = scored - count, total - count * value, square - count * value**2
    mean = total / np.maximum(scored, 1)
    squares = np.maximum(square - scored * mean**2, 0.0)
    lowest = np.full((*r.shape[:-1], 1), -np.inf)
    best = np.concatenate(
        [lowest, np.maximum.accumulate(np.where(there, r, -np.inf), axis=-1)], axis=-1
    )[..., where]
    out = Seen(
        np.broadcast_to(where.astype(float), scored.shape),
        scored,
        np.where(scored > 0, mean + base, 0.0),
        squares,
        best,
    )
    return Seen(*(a[..., 0] for a in out)) if at is None else out


def _at_floor(r: np.ndarray, shifted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many of the responses so far have the lowest reward, if two or more, and its value."""
    lowest = np.minimum.accumulate(r, axis=-1)
    before = np.concatenate([np.full((*r.shape[:-1], 1), np.inf), lowest[..., :-1]], axis=-1)
    new = lowest < before
    hits = np.cumsum((r == lowest) & np.isfinite(r), axis=-1)
    count = hits - np.maximum.accumulate(np.where(new, hits - 1, 0), axis=-1)
    place = np.maximum.accumulate(np.where(new, np.arange(r.shape[-1]), 0), axis=-1)
    value = np.take_along_axis(shifted, place, axis=-1)
    return np.where(count > 1, count, 0).astype(float), value
