"""Direction and noise of linear_tea against tea and max_at_k, for three bodies below a normal tail.

    OMP_NUM_THREADS=1 python benchmarks/figures/linear_tea.py    # about 3 minutes

Rewards are standard normal above 0; below, normal, exponential, or all in one atom. Gradient of a
group in (location, log scale) of the tail, centred advantages, truth (1, c_N). Effective N: the N'
with c_N' = s2/s1. SNR: projection of the mean gradient on the truth's direction over the
root-mean-square advantage, in Fisher-normalised units. `+-` is a standard error by batches.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq

import bontea

FISHER = np.array([1.0, math.sqrt(2)])
BATCHES, GROUPS = 40, 5000


def body(kind: str, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if kind == "normal":
        return z
    low = -rng.exponential(size=z.shape) if kind == "exponential" else -1.0
    return np.where(z < 0, low, z)


def effective_n(s: np.ndarray) -> float:
    target = s[1] / s[0]
    return brentq(lambda n: bontea.expected_max(n) - target, 1, 1e7) if target > 0 else 1.0


def measure(estimator, m: int, n: float, kind: str) -> str:
    rng = np.random.default_rng(0)
    sums, squares = np.zeros((BATCHES, 2)), np.zeros(BATCHES)
    for b in range(BATCHES):
        z = rng.standard_normal((GROUPS, m))
        a = estimator(body(kind, z, rng))
        sums[b] = (a * z).mean(), (a * (z * z - 1)).mean()
        squares[b] = (a * a).mean()
    truth = np.array([1.0, bontea.expected_max(n)]) / FISHER
    unit = truth / np.linalg.norm(truth)
    snr = (sums.mean(0) / FISHER) @ unit / math.sqrt(squares.mean())
    jackknife = [effective_n(np.delete(sums, b, axis=0).mean(0)) for b in range(BATCHES)]
    se = math.sqrt((BATCHES - 1) * np.var(jackknife))
    return f"{effective_n(sums.mean(0)):7.1f} +- {se:4.1f}   SNR {snr:.3f}"


def main() -> None:
    for m, n in [(16, 64), (16, 128), (16, 512), (32, 128), (32, 512), (64, 512), (64, 1024)]:
        for kind in ("normal", "exponential", "atom") if (m, n) == (16, 128) else ("normal",):
            print(f"\nM = {m}, N = {n}, body {kind}: effective N")
            for name, estimator in {
                "max_at_k": lambda r, m=m: bontea.max_at_k(r, k=m - 1),
                "tea": lambda r, n=n: bontea.tea(r, n=n),
                "linear_tea": lambda r, n=n: bontea.linear_tea(r, n=n),
                "linear_tea alpha=.5": lambda r, n=n: bontea.linear_tea(r, n=n, alpha=0.5),
                "linear_tea all, alpha=.5": lambda r, n=n: bontea.linear_tea(
                    r, n=n, alpha=0.5, rows="all"
                ),
            }.items():
                print(f"  {name:<26}{measure(estimator, m, n, kind)}", flush=True)


if __name__ == "__main__":
    main()
