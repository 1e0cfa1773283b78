"""What estimators would optimise on these rewards: effective N, cosine and signal-to-noise.

`bontea.theory.effective_n` on one law for all prompts. Continuous rewards, and those of steps fine
enough, are pooled in units of their prompt (`bontea.diagnosis.law`). Rewards with atoms or few
values have no common shape once each prompt is measured by itself; they are pooled as they are,
when prompts hardly differ, and not measured otherwise.

A pool of R rewards knows the best of N as long as some of them lie where it lies: the law is
supported up to N = R / 10, taken as rough beyond, and not used at all beyond N = R. The standard
errors are those of the simulation. The pool itself adds to them: on normal rewards, N = 128, the
effective N of `linear_tea` is 120 to 147 (the middle 80 %) with 64 prompts of 16, 118 to 140 with
64 of 64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bontea._errors import GroupTooSmallError
from bontea.diagnosis.law import pooled_law
from bontea.diagnosis.reading import whole
from bontea.theory.exact import LARGEST_N
from bontea.theory.laws import empirical
from bontea.theory.measure import Alignment, effective_n
from bontea.theory.pilot import FAR

ALIKE = 0.1
"""Up to this share of the variance between prompts, rewards are pooled as they are."""
MOST_ATOMS = 4096
LEAST_REWARDS = 200
_REWARDS = 100_000


@dataclass(frozen=True)
class DirectionFinding:
    """Estimators at (N, M) on the law of these rewards."""

    results: tuple[Alignment, ...]
    law: str
    """What was fed to the theory."""
    supported: int
    """The largest N that the pooled rewards support."""
    n: float

    @property
    def mark(self) -> str:
        return "ok" if self.n <= self.supported else "look"

    def __str__(self) -> str:
        lines = [
            f"{r.estimator:28} effective N {_budget(r):>16}   cosine {r.cosine:.3f}   "
            f"SNR {r.snr:.3f} +- {r.snr_standard_error:.3f}"
            for r in self.results
        ]
        text = f"{self.law}; supported up to N = {self.supported:,}"
        if self.n > self.supported:
            text += f", and N = {whole(self.n)} is beyond: take the figures as rough"
        return "\n".join([f"{text}.", *lines, "Rollouts needed go as 1 / SNR^2."])


def _budget(r: Alignment) -> str:
    return f"{r.value:.3g} +- {r.standard_error:.2g}" if np.isfinite(r.value) else "-"


def find_direction(
    rewards: np.ndarray, n: float, m: int, *, smooth: bool, fitted: int, rng: np.random.Generator
) -> DirectionFinding | str:
    """Measure the usual estimators; a reason when that makes no sense.

    `smooth` rewards have few ties; `fitted` prompts have a spread. Groups are few, so that it takes
    one or two seconds: standard errors of effective N are some percent.
    """
    total = int(np.isfinite(rewards).sum())
    if n > min(total, LARGEST_N):
        return (
            f"N = {whole(n)} is beyond the {total:,} rewards: nothing is known about rewards as "
            "rare as its best"
        )
    if n == 1:
        return "N = 1 is about the mean reward, which every estimator without a tail follows"
    if m < 2:
        return "M = 1: there is nothing to compare a rollout with"
    if total < LEAST_REWARDS or fitted < 2:
        return (
            f"{total:,} rewards, {fitted} prompts with a spread: give at least {LEAST_REWARDS} "
            "rewards of 2 prompts"
        )
    if smooth:
        law = pooled_law(rewards)
        what = f"{total:,} rewards of all prompts, each in units of its prompt, as one smooth law"
    else:
        share = _between(rewards)
        if not share <= ALIKE:
            return (
                "rewards with ties from prompts that differ have no common law "
                f"({100 * share:.0f} % of the variance is between prompts)"
            )
        values = np.sort(rewards[np.isfinite(rewards)])
        if len(values) > MOST_ATOMS:
            values = values[np.linspace(0, len(values) - 1, MOST_ATOMS).astype(int)]
        law = empirical(values, name="these rewards")
        what = f"{total:,} rewards of all prompts as they are, as one law with atoms"
    results = []
    seed = int(rng.integers(2**31))
    for name, params in lineup(n, m):
        groups = 64 * max(16, _REWARDS // m // 64)
        try:
            results.append(
                effective_n(name, n=n, m=m, law=law, groups=groups, batch=64, rng=seed, **params)
            )
        except GroupTooSmallError:
            continue
    return DirectionFinding(tuple(results), what, total // FAR, n)


def lineup(n: float, m: int) -> list[tuple[str, dict[str, Any]]]:
    """The estimators that are measured; those too large for M drop out."""
    model_free: list[tuple[str, dict[str, Any]]] = [
        ("grpo", {}),
        ("max_at_k", {"k": int(min(n, m - 1))}),
    ]
    if n < m:
        return model_free
    return [
        *model_free,
        ("tea", {"alpha": 0.25}),
        ("linear_tea", {"alpha": 0.25}),
        ("linear_tea", {"alpha": 0.5}),
        ("adaptive_tea", {}),
    ]


def _between(rewards: np.ndarray) -> float:
    """Share of the variance that lies between prompts, noise of their means taken out."""
    counts = np.isfinite(rewards).sum(axis=1)
    rewards, counts = rewards[counts > 1], counts[counts > 1]
    if len(rewards) < 2:
        return np.nan
    within = np.nanvar(rewards, axis=1) * counts / (counts - 1)
    between = max(np.nanmean(rewards, axis=1).var(ddof=1) - (within / counts).mean(), 0)
    whole = between + within.mean()
    return float(between / whole) if whole > 0 else np.nan
