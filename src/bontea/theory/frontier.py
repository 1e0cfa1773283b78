"""The risk frontier: training where the best policy is known, and how near an estimator gets.

Rewards are those of `bontea.theory.style_law`: a response of style t gets `-t^2/2 + t Z`, so that
the best style is `c_N`, timid for small N and bold for large N, and an estimator that sees fewer
than N responses stops early. Here the policy is `t ~ N(tau, 0.15^2)` and tau is trained, by Adam on
the mean of `A (t - tau) / 0.15^2` with advantages at unit root-mean-square per batch, as the
trainers do. What the trained policy is worth is computed, never sampled.

The plain estimator of the mean goes to tau = 0 whatever N is; one that optimises best-of-N' stops
near `tau = c_N'`, which makes its effective N visible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from bontea._arrays import Array, check_k, check_n
from bontea._errors import BonteaError
from bontea._json import Result
from bontea._numbers import number, percent
from bontea.advantages import EstimatorSpec, scale_advantages
from bontea.tails.memory import Memory
from bontea.tails.normal import expected_max
from bontea.theory.style_law import StyleLaw, draw_rewards, require_positive

POLICY_SD = 0.15
START = 1.0
LEARNING_RATE = 0.02
LAST = 50  # steps whose mean is the final policy

Sample: TypeAlias = Callable[
    [np.ndarray, np.random.Generator], tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]
]
"""Parameters (D,) and a generator to rewards (P, M) and the map from advantages to a gradient."""


@dataclass(frozen=True)
class Shares(Result):
    """How near the best policy an estimator trains; arrays have one entry per seed, `(S,)`."""

    n: float
    m: int
    share: np.ndarray
    """`V_N` of the final policy over that of the best; negative when it is worse than style 0."""

    DERIVED = ("mean", "low", "high")

    @property
    def mean(self) -> float:
        """Mean share over seeds."""
        return mean_interval(self.share)[0]

    @property
    def low(self) -> float:
        """Lower end of the 95 % Student interval over seeds; NaN for one seed, as `high`."""
        return mean_interval(self.share)[1]

    @property
    def high(self) -> float:
        return mean_interval(self.share)[2]

    def __str__(self) -> str:
        return (
            f"N = {number(self.n)}, M = {self.m}: {percent(self.mean)} of the best V_N "
            f"({100 * self.low:.1f} to {100 * self.high:.1f}, {len(self.share)} seeds)"
        )


@dataclass(frozen=True)
class Frontier(Shares):
    """How near the best mean style an estimator trains."""

    tau: np.ndarray
    """Final mean style: mean over the last 50 steps."""
    tau_star: float
    value_star: float
    trajectory: np.ndarray
    """tau before every step and after the last, `(steps + 1, S)`."""

    def __str__(self) -> str:
        return f"{super().__str__()}; final tau {self.tau.mean():.2f}, best {self.tau_star:.2f}"


def policy_value(tau: float, *, n: float, sd: float = POLICY_SD) -> float:
    """Exact `V_N` of the policy `t ~ N(tau, sd^2)`, the randomness of t included.

    >>> abs(policy_value(2.0, n=128, sd=1e-9) - (2 * expected_max(128) - 2)) < 1e-9
    True
    """
    if not sd > 0:
        raise BonteaError(f"sd={sd!r} must be above 0; for one style alone use StyleLaw([tau])")
    node, weight = np.polynomial.legendre.leggauss(16)
    edges = tau + sd * np.linspace(-8.5, 8.5, 18)
    if edges[0] < 0 < edges[-1]:  # rewards of styles near 0 are close to a point mass
        far = max(-edges[0], edges[-1])
        near = far * 4.0 ** -np.arange(1.0, 9.0)
        edges = np.unique(np.concatenate([edges, near, -near, [0.0]]))
        edges = edges[(edges >= tau - 8.5 * sd) & (edges <= tau + 8.5 * sd)]
    half = np.diff(edges)[:, None] / 2
    t = (edges[:-1, None] + half * (node + 1)).ravel()
    density = (half * weight).ravel() * np.exp(-(((t - tau) / sd) ** 2) / 2)
    return StyleLaw(t).value(density / density.sum(), n=check_n(n))


@lru_cache(maxsize=64)
def best_policy(n: float) -> tuple[float, float]:
    """`tau*` and `V_N(tau*)`: the best mean style and its exact value.

    Close to `c_N` and `c_N^2 / 2`, which are exact when the spread of t is 0. ValueError when no
    policy is worth more than 0 (N near 1), so that there is nothing to have a share of.

    >>> [round(x, 4) for x in (*best_policy(128), expected_max(128))]
    [2.6008, 3.357, 2.5946]
    """
    from scipy.optimize import minimize_scalar

    highest = expected_max(n) + 1
    found = minimize_scalar(
        lambda tau: -policy_value(tau, n=n),
        bounds=(0, highest),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return float(found.x), require_positive(-float(found.fun), n)


def risk_frontier(
    estimator: str | Callable[..., Array] | EstimatorSpec,
    *,
    n: float,
    m: int,
    seeds: int = 5,
    steps: int = 400,
    prompts: int = 64,
    memory: int = 0,
    rng: np.random.Generator | int | None = None,
    progress: Callable[[int], None] | None = None,
    **params: Any,
) -> Frontier:
    """Train the policy `t ~ N(tau, 0.15^2)` with an estimator; how much of the best V_N it gets.

        share = V_N(tau_final) / V_N(tau*),   tau_final = mean of tau over the last 50 steps

    Parameters
    ----------
    estimator
        Key in `ADVANTAGES`, `"module:function"`, or a callable `(rewards (P, M), **params)`. It is
        given `n` and a fresh `rng` if it has parameters of these names.
    n, m
        Deployment budget, and rollouts per prompt in training.
    steps, prompts
        Adam steps at a learning rate of 0.02, from tau = 1, and prompts in the batch of one step.
        Between 0.01 and 0.1 the learning rate moves the shares of reinforce, max_at_k, pkpo_loo,
        tea and linear_tea by 3 percentage points at most.
    memory
        Groups of the last steps that an estimator with a `history` sees beside the batch, as it
        does in the trainers, which remember 256; 0 for none.
    rng
        Seed or NumPy generator. Every seed has its own stream, so more seeds do not change the
        first ones, and estimators at the same seed start from the same draws.
    progress
        Called after every step with the number of steps done.
    params
        For the estimator, such as `alpha=0.5` or `k=15`.

    The share is not clipped: 1 is the best policy, 0 is always giving style 0, and it is negative
    for a policy that loses by its boldness. A policy that stays at tau = 0 has about 15 %, because
    its styles still vary.

    Raises ValueError for n < 1 or without a positive best value, m, seeds, steps or prompts below
    1, an unknown estimator or parameter, and advantages that are not finite; GroupTooSmallError
    when the estimator needs more rollouts.

    >>> result = risk_frontier("reinforce", n=128, m=16, seeds=2, steps=100, rng=0)
    >>> result.tau.shape, bool(result.mean < 0.3)
    ((2,), True)
    """
    tau_star, value_star = best_policy(check_n(n))

    def sample(theta: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        noise = rng.normal(size=(prompts, m))
        rewards = draw_rewards(theta[0] + POLICY_SD * noise, rng)
        return rewards, lambda a: np.array([(a * noise).mean() / POLICY_SD])

    path = ascend(
        sample,
        np.array([START]),
        estimator,
        n=n,
        learning_rate=LEARNING_RATE,
        seeds=seeds,
        steps=steps,
        sizes={"m": m, "prompts": prompts},
        memory=memory,
        rng=rng,
        progress=progress,
        params=params,
    )[:, :, 0]
    tau = path[1:][-LAST:].mean(0)
    share = np.array([policy_value(x, n=n) for x in tau]) / value_star
    return Frontier(n, m, share, tau, tau_star, value_star, path)


def ascend(
    sample: Sample,
    start: np.ndarray,
    estimator: str | Callable[..., Array] | EstimatorSpec,
    *,
    n: float,
    learning_rate: float,
    seeds: int,
    steps: int,
    sizes: dict[str, int],
    memory: int = 0,
    rng: np.random.Generator | int | None,
    progress: Callable[[int], None] | None,
    params: dict[str, Any],
) -> np.ndarray:
    """Adam from `start` (D,) with an estimator's advantages: `(steps + 1, seeds, D)`.

    Each seed is trained on its own batch, one call of the estimator a step, so an estimator that
    fits something on its whole batch sees one run only.
    """
    for name, count in {"seeds": seeds, "steps": steps, **sizes}.items():
        check_k(count, name)
    spec = EstimatorSpec.of(estimator, **params).bind(n=n, m=sizes["m"])
    streams = np.random.default_rng(rng).spawn(seeds)
    own_streams = [stream.spawn(1)[0] for stream in streams]  # for estimators that draw
    memories = [Memory(memory) for _ in range(seeds if memory and spec.takes("history") else 0)]

    path = np.empty((steps + 1, seeds, len(start)))
    path[0] = start
    first, second = np.zeros((2, seeds, len(start)))
    for step in range(1, steps + 1):
        gradient = np.empty_like(first)
        for seed in range(seeds):
            rewards, pull = sample(path[step - 1, seed], streams[seed])
            past = {}
            if memories:
                past["history"] = memories[seed].history(rewards.shape[-1])
                memories[seed].add(rewards)
            advantages = np.asarray(spec(rewards, rng=own_streams[seed], **past), dtype=float)
            gradient[seed] = pull(scale_advantages(advantages))
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        size = np.sqrt(second / (1 - 0.999**step)) + 1e-8
        path[step] = path[step - 1] + learning_rate * first / (1 - 0.9**step) / size
        if progress is not None:
            progress(step)
    return path


def mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of `(S,)` and its 95 % Student interval; limits are NaN for a single value."""
    from scipy.special import stdtrit

    mean = float(values.mean())
    if len(values) == 1:
        return mean, np.nan, np.nan
    half = stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values))
    return mean, float(mean - half), float(mean + half)
