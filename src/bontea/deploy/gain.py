"""What the next responses of a prompt are expected to add to the best so far.

Given mean m and scale s of a prompt, the next w responses add `E[(max - b)+] = s G_w((b - m) / s)`
to its best b, with `G_w` of the standard form. What is known of (m, s) is the posterior of
`bontea.deploy.prior`, so the expected gain is the mean of that over it. For normal rewards and
w = 1 the predictive law is Student's t with nu degrees of freedom, location m, scale
`q = sqrt(v (k + 1) / k)`, and the mean has a closed form, with `u = (b - m) / q`:

    E[(R - b)+] = q ( (nu + u^2) / (nu - 1) f_nu(u) - u (1 - F_nu(u)) )

**Why the index is larger than the gain.** To stop when the expected gain of the next response falls
below the price looks one step ahead, and stops too early: a response also teaches whether the tail
is longer than thought, and if it is not one can still stop. The best rule, by backward induction
over (number of responses, standardised best, scale over price), continues up to a price that is
above the gain by more, the less is known. With r the variance of the gain over the posterior,
divided by the square of its mean,

    index = gain sqrt( 1 + r^2 / (1 + r/4) )

follows that price: 1.04 times the gain at r = 0.3, 1.9 at r = 2, 3.5 at r = 5 (backward induction:
1.03, 2.1 to 2.7, 3 to 4). It saves what the best rule saves, to the error of the simulation
(docs/deploy.md). To look some steps ahead without learning in between gains nothing:
`E[(max of w - b)+] / w` falls with w under every law.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from bontea.deploy.prior import Prior, Seen
from bontea.tails.beta_binomial import expected_passes

NODES = 9
PSEUDO = 4.0
"""The share of scored responses among other prompts counts as so many responses."""


def expected_gain(prior: Prior, state: Seen, wave: int = 1) -> np.ndarray:
    """Expected rise of the best by the next `wave` responses, in reward units; an array.

    Infinite where nothing is scored yet: there is no answer without one. Responses that get no
    reward (a share estimated from the prompt and the other prompts) raise nothing.
    """
    if prior.success is not None:
        return _success_gain(prior, state, wave) * 1.0
    if prior.law.name == "normal" and wave == 1 and np.isinf(prior.ceiling):
        gain = _student_gain(prior, state) * _share_scored(prior, state)
    else:
        each, weight = _gains(prior, state, wave)
        gain = np.einsum("...q,...q->...", each, weight)
    return np.where(np.isfinite(state.best), gain, np.inf)


def draw_index(prior: Prior, state: Seen, wave: int = 1) -> np.ndarray:
    """The price per response up to which the next `wave` responses are worth drawing; an array.

    The expected gain divided by `wave`, raised by what is still to be learnt (module docstring).
    For 0/1 rewards the expected gain itself: after a success nothing can be gained, and after a
    failure the rate looks worse, so one step ahead is the best rule.
    """
    if prior.success is not None:
        return _success_gain(prior, state, wave) / wave
    each, weight = _gains(prior, state, wave)
    gain = np.einsum("...q,...q->...", each, weight)
    square = np.einsum("...q,...q->...", each**2, weight)
    safe = np.where(gain > 0, gain, 1.0)
    spread = np.where(gain > 0, np.maximum(square / safe**2 - 1, 0.0), 0.0)
    index = gain * np.sqrt(1 + spread**2 / (1 + spread / 4)) / wave
    return np.where(np.isfinite(state.best), index, np.inf)


def rule_index(
    prior: Prior, state: Seen, wave: int = 1, *, trust: float | None = None
) -> np.ndarray:
    """The index that a rule compares with the price: `draw_index^t fixed^(1-t)`, t the trust.

    `fixed` is what response n + 1 adds to the best on average over prompts, whatever was seen:
    with it alone the rule is a fixed N. The trust is that of the prior unless it is given.
    """
    t = prior.trust if trust is None else trust
    own = draw_index(prior, state, wave)
    if t == 1 or prior.success is not None:
        return own
    mixed = mix(own, fixed_index(prior, state.drawn, wave), t)
    return np.where(np.isfinite(state.best), mixed, np.inf)


def fixed_index(prior: Prior, drawn: np.ndarray, wave: int = 1) -> np.ndarray:
    """The index of a fixed N, by the number of responses drawn."""
    return prior.law.mean_gain(drawn + (wave - 1) / 2) * prior.variance**0.5


def mix(own: np.ndarray, fixed: np.ndarray, trust: float) -> np.ndarray:
    """`own^t fixed^(1-t)`; 0 where own is 0 and has any part in it."""
    if trust == 0:
        return np.broadcast_to(fixed, own.shape)
    return np.where(own > 0, own**trust * fixed ** (1 - trust), 0.0)


def student_excess(u: Any, freedom: Any) -> np.ndarray:
    """`E[(T - u)+]` of Student's t, for more than one degree of freedom."""
    from scipy.special import gammaln, stdtr

    u, nu = np.asarray(u, dtype=float), np.asarray(freedom, dtype=float)
    log_density = (
        gammaln((nu + 1) / 2)
        - gammaln(nu / 2)
        - np.log(nu * np.pi) / 2
        - (nu + 1) / 2 * np.log1p(u * u / nu)
    )
    gain = (nu + u * u) / (nu - 1) * np.exp(log_density) - u * stdtr(nu, -u)
    return np.maximum(gain, 0.0)


def posterior(prior: Prior, state: Seen) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Location, its weight, variance and degrees of freedom, given what was seen."""
    n, k0, nu0 = state.scored, prior.location_weight, prior.freedom
    k, worth = k0 + n, prior.law.information
    nu = nu0 + worth * np.maximum(n - 1, 0)
    location = (k0 * prior.location + n * state.mean) / k
    return location, k, (nu0 * prior.variance + worth * state.squares) / nu, nu


def _student_gain(prior: Prior, state: Seen) -> np.ndarray:
    location, k, variance, nu = posterior(prior, state)
    scale = np.sqrt(variance * (k + 1) / k)
    best = np.where(np.isfinite(state.best), state.best, location)
    away = np.divide(best - location, scale, out=np.zeros_like(scale), where=scale > 0)
    return scale * student_excess(away, nu)


def _gains(prior: Prior, state: Seen, wave: int) -> tuple[np.ndarray, np.ndarray]:
    """Gain at each node of the posterior of the scale, `(*A, Q)`, and weights.

    The nodes are quantiles of the chi-square law by Wilson and Hilferty's cube. What is unknown
    about the location widens every node by `sqrt((k + 1) / k)`, as it does the normal law.
    """
    node, weight = _nodes()
    location, k, variance, nu = posterior(prior, state)
    nu = nu[..., None]
    ratio = np.maximum(1 - 2 / (9 * nu) + node * np.sqrt(2 / (9 * nu)), 0.05) ** 3
    scale = np.sqrt(np.maximum(variance * (k + 1) / k, 0.0))[..., None] / np.sqrt(ratio)
    best = np.where(np.isfinite(state.best), state.best, location)
    above = (best - location)[..., None]
    safe = np.where(scale > 0, scale, 1.0)
    draws = wave * _share_scored(prior, state)
    # Of w responses about w q get a reward: G between whole numbers of draws, by interpolation.
    whole = max(int(wave), 1)
    gain = prior.law.excess(above / safe, whole)
    if np.isfinite(prior.ceiling):
        gain = gain - prior.law.excess((prior.ceiling - location)[..., None] / safe, whole)
    gain = np.maximum(gain, 0.0) * scale * (draws / whole)[..., None]
    return gain, np.broadcast_to(weight, gain.shape)


def _share_scored(prior: Prior, state: Seen) -> np.ndarray:
    return (PSEUDO * prior.scored + state.scored) / (PSEUDO + state.drawn)


def _success_gain(prior: Prior, state: Seen, wave: int) -> np.ndarray:
    assert prior.success is not None
    a, b = prior.success
    solved = state.best >= 1
    failures = np.where(solved, 0.0, state.scored)
    chance = expected_passes(np.maximum(wave * _share_scored(prior, state), 1e-9), a, b + failures)
    return np.where(solved, 0.0, chance)


@lru_cache(maxsize=1)
def _nodes() -> tuple[np.ndarray, np.ndarray]:
    node, weight = np.polynomial.hermite_e.hermegauss(NODES)
    return node, weight / weight.sum()
