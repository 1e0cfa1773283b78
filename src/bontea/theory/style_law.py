"""Rewards of styles, and best-of-N of every policy over them: exact value, gradient, optimum.

A response of style t has reward `R = -t^2/2 + t Z`, Z standard normal: bold styles (large t) cost
on average and win at the extreme; style 0 always gets 0. A style alone has

    V_N(t) = E[max of N rewards] = -t^2/2 + c_N t,   best at t = c_N, worth c_N^2 / 2,

so the best policy is timid for small N and bold for large N. The rewards of a policy that draws
its style are a mixture, with distribution function F, and

    V_N = int_0^inf (1 - F^N) dr - int_-inf^0 F^N dr.

F is linear in the policy and `-F^N` concave in F: V_N is concave in the policy, so that an optimum
over all policies is found, and proven, by its gradient alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bontea._arrays import check_n
from bontea._errors import BonteaError
from bontea._numbers import number, typed


def draw_rewards(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One reward `-t^2/2 + t Z` for every style in `t`."""
    return -(t**2) / 2 + t * rng.normal(size=t.shape)


class StyleLaw:
    """Best-of-N of every policy over the styles `t`, (J,), of which only `|t|` matters.

    Policies are probabilities (J,). The quadrature has a relative error below 1e-10 up to N = 1e6
    and 1e-7 up to 1e9: Gauss-Legendre panels that shrink towards r = 0, where styles near 0 put all
    their mass.

    >>> law = StyleLaw([0.0, 1.0, 2.0])
    >>> round(law.value(np.array([0.0, 0.0, 1.0]), n=128), 8)  # 2 c_128 - 2
    3.18919474
    """

    def __init__(self, styles: Any):
        from scipy.special import ndtr

        t = np.asarray(styles, dtype=float)
        if t.ndim != 1 or len(t) == 0 or not np.isfinite(t).all():
            raise BonteaError(
                f"styles={styles!r} must be a list of at least one finite number, such as "
                "[0, 0.1, 0.2]"
            )
        self.styles = t = np.abs(t)
        # r = 6 u + u^2/2 from 0 to where the boldest style has less than 1e-32 of its mass. A style
        # t wins near its -t^2/2 + c t, c up to 6: panels in u fit the narrowest bend at any r.
        reach = 12 * t.max() + t.max() ** 2 / 2 + 1e-6
        last = np.sqrt(36 + 2 * reach) - 6
        small = min(last, 1.0) * 1.25 ** np.arange(-120.0, 1.0)
        large = np.linspace(1.0, max(last, 1.0), 2 + int(4 * max(last - 1, 0)))[1:]
        u = np.concatenate([[0.0], small, large])
        edges = 6 * u + u**2 / 2
        node, weight = np.polynomial.legendre.leggauss(16)
        half = np.diff(edges)[:, None] / 2
        r = (edges[:-1, None] + half * (node + 1)).reshape(-1, 1)
        sd = np.where(t > 0, t, 1.0)
        self._weight = (half * weight).ravel()
        self._above = np.where(t > 0, ndtr(-(r + t**2 / 2) / sd), 0.0)  # P(R > r)
        self._below = np.where(t > 0, ndtr((t**2 / 2 - r) / sd), 0.0)  # P(R < -r)

    def value(self, policy: np.ndarray, *, n: float) -> float:
        """`V_N` of the policy that draws style j with probability `policy[j]`."""
        log_right, log_left = self._log_cdf(policy)
        return float(self._weight @ (-np.expm1(n * log_right) - np.exp(n * log_left)))

    def gradient(self, policy: np.ndarray, *, n: float) -> np.ndarray:
        """`dV_N / d policy`, (J,): for every style the mean of `A*(R) = N int_0^R F^(N-1) dr`.

        Probabilities have a fixed sum, so a constant is free. With n = 1: the mean rewards.
        """
        log_right, log_left = self._log_cdf(policy)
        right = self._weight * np.exp((n - 1) * log_right)
        left = self._weight * np.exp((n - 1) * log_left)
        return n * (right @ self._above - left @ self._below)

    def single_values(self, *, n: float) -> np.ndarray:
        """`V_N` of every style alone, (J,)."""
        return np.array([self.value(one, n=n) for one in np.eye(len(self.styles))])

    def best(self, *, n: float, gap: float = 1e-10) -> tuple[np.ndarray, float]:
        """The best policy of all and its value, at most `gap` below the optimum.

        Starts at the best style and moves probability from the style in use with the least
        gradient to the style with the largest, as far as V_N grows (pairwise Frank-Wolfe). By
        concavity the optimum exceeds V_N(p) by at most `max_j g_j - p . g`, which ends the search.
        """
        from scipy.optimize import brentq

        n = check_n(n)
        p = np.eye(len(self.styles))[self.single_values(n=n).argmax()]
        for _ in range(1000):
            g = self.gradient(p, n=n)
            if g.max() - p @ g <= gap:
                return p, self.value(p, n=n)
            to, source = g.argmax(), np.where(p > 0, g, np.inf).argmin()
            step = np.zeros_like(p)
            step[to], step[source] = 1.0, -1.0

            def slope(x: float, p: np.ndarray = p, step: np.ndarray = step) -> float:
                return float(self.gradient(p + x * step, n=n) @ step)

            far = p[source]
            x = far if slope(far) >= 0 else brentq(slope, 0.0, far, xtol=1e-15)
            p = p + x * step
            if x == far:
                p[source] = 0.0  # exactly
        raise RuntimeError(f"no policy within {number(gap)} of the optimum after 1000 steps")

    def _log_cdf(self, policy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`log F(r)` and `log F(-r)` at the nodes r > 0."""
        below = np.maximum(self._below @ policy, 1e-300)
        return np.log1p(-(self._above @ policy)), np.log(below)


def require_positive(value_star: float, n: float) -> float:
    """The best value, if a share of it means something."""
    if value_star > 1e-12:
        return value_star
    raise BonteaError(
        f"n={typed(n)}: no policy is worth more than 0, so there is no share of the best to "
        "report; use n >= 2, and on a grid at least one style between 0 and 2 c_N"
    )
