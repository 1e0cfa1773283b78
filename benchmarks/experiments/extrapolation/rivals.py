"""Published ways to predict best-of-N from M rewards of a prompt, as found in their sources.

Each takes rewards `(P, M)` and N and returns `(P,)`. None has an interval for a single prompt.
"""

from __future__ import annotations

import numpy as np


def tail_plug_in(rewards: np.ndarray, n: float) -> np.ndarray:
    """Mean and spread (ddof 1) of the top 20 %, normal constants, `Phi^{-1}(1 - 1/N)` for c_N.

    As in the search code published by the authors of the tail-extrapolated advantage.
    """
    from scipy.stats import norm

    m = rewards.shape[1]
    k = max(2, round(0.2 * m))
    best = np.sort(rewards, axis=1)[:, ::-1][:, :k]
    z = norm.isf(k / m)
    mean = norm.pdf(z) / (k / m)
    spread = np.sqrt(1 + z * mean - mean**2)
    return best.mean(1) + (norm.isf(1 / n) - mean) / spread * best.std(1, ddof=1)


def log_survival_line(rewards: np.ndarray, n: float, top: int = 10) -> np.ndarray:
    """The reward at which a line through log survival of the ten highest reaches `log 1/N`.

    Least squares of log(rank / M) on the ten highest rewards (Jones et al. 2025, arXiv 2502.16797).
    """
    m = rewards.shape[1]
    best = np.sort(rewards, axis=1)[:, ::-1][:, : min(top, m)]
    y = np.log(np.arange(1, best.shape[1] + 1) / m)
    x = best - best.mean(1, keepdims=True)
    square = (x * x).sum(1)
    slope = np.divide(x @ (y - y.mean()), square, out=np.full(len(x), -np.inf), where=square > 0)
    return best.mean(1) + (-np.log(n) - y.mean()) / slope


def beta_binomial(rewards: np.ndarray, n: float) -> np.ndarray:
    """pass@N of the fitted beta law, by maximum likelihood (Kazdan et al. 2025, arXiv 2510.05197).

    One number for all prompts: the mean that the fitted law has.
    """
    from scipy.optimize import minimize
    from scipy.special import betaln

    s = rewards.sum(1)
    f = rewards.shape[1] - s

    def loss(log_ab: np.ndarray) -> float:
        a, b = np.exp(log_ab)
        return -float(np.sum(betaln(a + s, b + f) - betaln(a, b)))

    found = minimize(loss, [-1.0, 1.0], method="Nelder-Mead", bounds=[(-7, 7), (-7, 9)])
    a, b = np.exp(found.x)
    return np.full(len(s), -np.expm1(betaln(a, b + n) - betaln(a, b)))
