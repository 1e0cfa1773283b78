"""The risk frontier on a grid: a softmax policy over styles, trained with an estimator.

Rewards are those of `bontea.theory.style_law`. The policy draws style j with probability
`softmax(logits)_j`, the score of a draw is `one-hot(j) - softmax(logits)`, and the logits are
trained as `bontea.theory.frontier` trains tau. Two things differ from there: the policy has a shape
of its own to choose, and it can collapse, since a style that is no longer drawn cannot come back.

The best policy of all is known: V_N is concave in the probabilities. It is a single style, or two
neighbours when the grid misses `c_N`: drawing many styles only costs. A trained policy is worth
what its exact mixture of rewards says, the point mass of style 0 included.

A tail model can be fooled here: a policy that mixes style 0 with the boldest looks like one with a
wide normal law. With N = 128 and M = 16, `gaussian_plug_in` ends at such a mixture (43 % of the
best V_N, less with more steps), and so does `linear_tea` with alpha = 0.5 (62 %); with alpha = 0.25
it keeps near the best style (98.6 %).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bontea._arrays import Array, check_n
from bontea._errors import BonteaError
from bontea.advantages import EstimatorSpec
from bontea.theory.frontier import LAST, Shares, ascend
from bontea.theory.style_law import StyleLaw, draw_rewards, require_positive

STYLES = tuple(float(t) for t in np.arange(41) / 10)
LEARNING_RATE = 0.05


@dataclass(frozen=True)
class StyleFrontier(Shares):
    """How near the best policy over styles an estimator trains; S seeds, J styles."""

    styles: np.ndarray
    probabilities: np.ndarray
    """Final policy, (S, J): the mean over the last 50 steps."""
    entropy: np.ndarray
    """Of the final policy in nats, (S,); 0 when one style is left."""
    best: np.ndarray
    """Best policy of all, (J,)."""
    value_star: float
    single_star: float
    """`V_N` of the best policy, and of the best style alone."""
    trajectory: np.ndarray
    """Policy before every step and after the last, `(steps + 1, S, J)`."""

    def __str__(self) -> str:
        mean_style = (self.probabilities @ self.styles).mean()
        return (
            f"{super().__str__()}; mean style {mean_style:.2f}, best "
            f"{self.best @ self.styles:.2f}; entropy {self.entropy.mean():.2f}"
        )


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis."""
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def logit_gradient(advantages: np.ndarray, drawn: np.ndarray, policy: np.ndarray) -> np.ndarray:
    """Mean of `A_i (one-hot(j_i) - policy)` over a batch of draws j, (J,)."""
    pull = np.bincount(drawn.ravel(), advantages.ravel(), len(policy)) / advantages.size
    return pull - policy * advantages.mean()


def style_frontier(
    estimator: str | Callable[..., Array] | EstimatorSpec,
    *,
    n: float,
    m: int,
    styles: Any = STYLES,
    timidity: float = 0.0,
    seeds: int = 5,
    steps: int = 400,
    prompts: int = 64,
    memory: int = 0,
    rng: np.random.Generator | int | None = None,
    progress: Callable[[int], None] | None = None,
    **params: Any,
) -> StyleFrontier:
    """Train a softmax policy over styles with an estimator; how much of the best V_N it gets.

        share = V_N(p_final) / max_p V_N(p),   p_final = mean of the policy over the last 50 steps

    Parameters
    ----------
    estimator, n, m, seeds, steps, prompts, memory, rng, progress, params
        As in `risk_frontier`; Adam's learning rate is 0.05.
    styles
        The grid, (J,); default 0, 0.1, ..., 4. It should reach beyond `c_N`.
    timidity
        The start is `p_j ~ exp(-timidity |t_j|)`: at 0 every style is seen from the first step, and
        the test is of direction alone; at 1 or 2 bold styles are rare, and an estimator must find
        them before its policy collapses.

    Raises as `risk_frontier`, and ValueError for styles or a timidity that are not finite numbers.

    >>> result = style_frontier("reinforce", n=128, m=16, seeds=2, steps=100, rng=0)
    >>> result.probabilities.shape, bool(result.mean < 0.6)
    ((2, 41), True)
    """
    law, n = StyleLaw(styles), check_n(n)
    if not np.isfinite(timidity):
        raise BonteaError(f"timidity={timidity!r} must be a finite number; 0 starts uniform")
    best, value_star = law.best(n=n)
    require_positive(value_star, n)

    def sample(theta: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        policy = softmax(theta)
        drawn = rng.choice(len(policy), size=(prompts, m), p=policy)
        rewards = draw_rewards(law.styles[drawn], rng)
        return rewards, lambda a: logit_gradient(a, drawn, policy)

    path = softmax(
        ascend(
            sample,
            -timidity * law.styles,
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
        )
    )
    final = path[1:][-LAST:].mean(0)
    share = np.array([law.value(p, n=n) for p in final]) / value_star
    return StyleFrontier(
        n=n,
        m=m,
        share=share,
        styles=law.styles,
        probabilities=final,
        entropy=-(final * np.log(np.maximum(final, 1e-300))).sum(-1),
        best=best,
        value_star=value_star,
        single_star=float(law.single_values(n=n).max()),
        trajectory=path,
    )
