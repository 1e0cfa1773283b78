"""What an estimator does with 0/1 rewards of prompts that differ in success rate: exact sums.

A prompt succeeds with probability p, the policy moves the logit of each prompt, and over prompts p
follows Beta(a, b). An estimator sees only how many of M rollouts succeed, so it is two numbers for
each count s: the advantage `w_s` of a success and `l_s` of a failure. With `d_t = w_(t+1) - l_t`
its expected gradient in the logit of a prompt, and the exact one of pass@N, are

    e(p) = p (1-p) sum_t Bin(t; M-1, p) d_t,    g(p) = p (1-p) N (1-p)^(N-1).

Over prompts, with the Fisher information p (1-p) of a logit, `<e, g> = E[e(p) g(p) / (p (1-p))]`:

- cosine: `<e, g> / (|e| |g|)`, 1 when effort is spread over prompts as pass@N asks;
- SNR: `<e, g> / |g|` over the root-mean-square advantage, as in `bontea.theory.measure`.

Every expectation is a sum of `E[p^i (1-p)^j] = B(a+i, b+j) / B(a, b)`, all terms of one sign: no
simulation, no standard error. Effective N does not exist here: no budget has a direction like that
of an estimator, which is a function of p.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bontea._arrays import Array, check_k, check_n
from bontea._json import Result
from bontea._numbers import number
from bontea.advantages import EstimatorSpec
from bontea.tails.beta_binomial import check_beta, expected_pass_at_n, log_rising


@dataclass(frozen=True)
class SuccessRates:
    """0/1 rewards of prompts whose success rates follow Beta(a, b), a with the successes."""

    a: float
    b: float

    def __post_init__(self) -> None:
        check_beta(self.a, self.b)

    @property
    def name(self) -> str:
        return f"0/1, success rates Beta({number(self.a, 3)}, {number(self.b, 3)})"

    @property
    def spread(self) -> float:
        """Root-mean-square standard deviation of the rewards of one prompt."""
        return math.sqrt(math.exp(self.log_moment(1.0, 1.0)))

    def value(self, n: float) -> float:
        """Mean pass@N."""
        return expected_pass_at_n(n, self.a, self.b)

    def log_moment(self, i: Any, j: Any) -> Any:
        """`log E[p^i (1-p)^j]`."""
        a, b = self.a, self.b
        i, j = np.asarray(i, dtype=float), np.asarray(j, dtype=float)
        return log_rising(a, i) + log_rising(b, j) - log_rising(a + b, i + j)


@dataclass(frozen=True)
class SuccessAlignment(Result):
    """What one estimator does with 0/1 rewards; exact."""

    estimator: str
    rates: SuccessRates
    n: float
    m: int
    cosine: float
    """Over prompts, each with a logit of its own; NaN when every advantage is 0."""
    snr: float
    """Per rollout."""
    gradient: float
    """`E[e(p)]`: of one logit that all prompts share."""
    truth: float
    """`E[g(p)]`: the same of pass@N."""


def success_alignment(
    estimator: str | Callable[..., Array] | EstimatorSpec,
    *,
    n: float,
    m: int,
    rates: SuccessRates,
    rng: np.random.Generator | int | None = None,
    **params: Any,
) -> SuccessAlignment:
    """What `estimator` does when it is asked for pass@`n` and sees `m` 0/1 rewards of a prompt.

    Arguments as in `effective_n`. The estimator is called once, on one group for each number of
    successes: give estimators that fit a prior on the batch the prior instead, as in
    `prior=(a, b)`. Raises as `effective_n`.

    >>> got = success_alignment("max_at_k", n=4, m=16, rates=SuccessRates(0.3, 2.0), k=4)
    >>> round(got.cosine, 9), round(got.gradient / got.truth, 9)  # exact below M
    (1.0, 1.0)
    """
    n, m = check_n(n), check_k(m, "m")
    spec = EstimatorSpec.of(estimator, **params).bind(n=n, m=m)
    winner, loser, square = _by_count(spec, m, np.random.default_rng(rng))
    lift = winner[1:] - loser[:-1]  # d_t, t successes among the other m - 1

    t = np.arange(m)
    count = log_rising(m - t, t) - log_rising(1.0, t)  # log C(m-1, t)
    moment = rates.log_moment
    along = float(np.exp(math.log(n) + count + moment(t + 1.0, m - t + n - 1.0)) @ lift)
    gradient = float(np.exp(count + moment(t + 1.0, m - t)) @ lift)
    two = t[:, None] + t
    pair = count[:, None] + count + moment(two + 1.0, 2 * m - 1.0 - two)
    own = float(lift @ np.exp(pair) @ lift)  # |e|^2
    log_truth = 2 * math.log(n) + float(moment(1.0, 2 * n - 1))  # |g|^2
    s = np.arange(m + 1)
    chance = np.exp(log_rising(m - s + 1, s) - log_rising(1.0, s) + moment(s, m - s))
    power = float(chance @ square)
    along *= math.exp(-log_truth / 2)
    return SuccessAlignment(
        estimator=spec.label,
        rates=rates,
        n=n,
        m=m,
        cosine=along / math.sqrt(own) if own > 0 else math.nan,
        snr=along / math.sqrt(power) if power > 0 else math.nan,
        gradient=gradient,
        truth=n * math.exp(float(moment(1.0, n))),
    )


def _by_count(
    spec: EstimatorSpec, m: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Advantage of a success, of a failure, and mean square, by the number of successes."""
    rewards = (np.arange(m) < np.arange(m + 1)[:, None]).astype(float)
    a = np.asarray(spec(rewards, rng=rng), dtype=float)
    s = rewards.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        winner = np.where(s > 0, (a * rewards).sum(1) / s, 0.0)
        loser = np.where(s < m, (a * (1 - rewards)).sum(1) / (m - s), 0.0)
    return winner, loser, (a * a).mean(1)
