"""A smooth reward law through pooled rewards: what theory is fed with.

Prompts are taken to share one shape, each with its own location and scale; their rewards in units
of the prompt (`normal_scores` in `pilot`, which makes standard normal of normal rewards in groups
of any size) have one law then, with quantiles q. The policy moves a standard normal X with

    R = h(X),   h(x) = q(Phi(x))

in location and log scale, as for the other laws without a location of their own
(`bontea.theory.laws`). h is a line between knots a quarter apart, of which the last have 10 rewards
beyond them; from there the line goes on with the slope of the outer tenth, which is a guess. So the
law is *supported up to* N = R / 10, R the number of rewards: the best of more lies mostly beyond
the last knot.

Smooth, because the gradient of V_N lies where the best of N lies, and there the gaps between single
rewards decide in the plain empirical law.
"""

from __future__ import annotations

import numpy as np

from bontea.theory.laws import Law, get_law

FAR = 10
"""A law of J pooled rewards is trusted up to N = J / FAR, and refused beyond J."""
OUTER = 1.2815515655446004
"""Beyond this normal score lies a tenth."""


def smooth_law(z: np.ndarray, name: str = "pilot") -> Law:
    """The law of pooled normal scores `(J,)`, J at least 30."""
    from scipy.special import ndtr, ndtri

    last = float(-ndtri(FAR / len(z)))
    knots = np.linspace(-last, last, 2 * int(np.ceil(4 * last)) + 1)
    return law_through(knots, np.quantile(z, ndtr(knots)), name)


def law_through(knots: np.ndarray, values: np.ndarray, name: str = "pilot") -> Law:
    """A law on a standard normal latent, with lines between `(knots, values)`, both ascending.

    >>> law_through(np.array([-2.0, 0, 2]), np.array([-2.0, 0, 4])).reward(np.array([1.0, 3.0]))
    array([2., 6.])
    """
    ends = []
    for end in (0, -1):
        start = float(np.clip(knots[end], -OUTER, OUTER))
        if abs(start) >= 0.9 * abs(knots[end]):
            start = knots[end] / 2
        rise = values[end] - np.interp(start, knots, values)
        ends.append(float(rise / (knots[end] - start)))
    slopes = np.concatenate([ends[:1], np.diff(values) / np.diff(knots), ends[1:]])

    def reward(x: np.ndarray) -> np.ndarray:
        x = np.asarray(x, dtype=float)
        below, above = np.minimum(x - knots[0], 0), np.maximum(x - knots[-1], 0)
        return np.interp(x, knots, values) + ends[0] * below + ends[1] * above

    def slope(x: np.ndarray) -> np.ndarray:
        return slopes[np.searchsorted(knots, x, side="right")]

    latent = get_law("normal").latent
    return Law(name, latent, reward, slope, kinks=tuple(float(k) for k in knots))
