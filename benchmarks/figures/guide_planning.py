"""The picture and the measured tables of docs/guide/3-planning.md.

OMP_NUM_THREADS=1 python benchmarks/figures/guide_planning.py          # a minute on one free core
OMP_NUM_THREADS=1 python benchmarks/figures/guide_planning.py orders   # one part: picture, orders,
                                                                       # scores, pilots

picture  docs/figures/guide/planning.png: `bontea plan --deploy-n 128`
orders   prefix_tea with few random orders: variance of the mean gradient, relative to 64 orders
scores   best-of-128 of a pilot's law by how its prompts are standardised
pilots   how much the figures of a plan move from pilot to pilot of one size
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np

from bontea._numbers import percent
from bontea.planning import pilot_law, plan
from bontea.report.plan import plot_plan
from bontea.theory import effective_n, empirical, get_law, law_spread, value

PICTURE = Path(__file__).parents[2] / "docs" / "figures" / "guide" / "planning.png"
ORDERS = (1, 2, 4, 8, 16, 64)
N = 128


def picture() -> None:
    fig, _ = plot_plan(plan(n=N))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(PICTURE, dpi=110)
    print(f"wrote {PICTURE}")


def orders() -> None:
    """Trace of the covariance of a group's gradient in Fisher units (1 and 2 for the normal).

    Groups have orders of their own, so a batch of P groups has 1/P of it. The same rewards for
    every number of orders: the ratios are surer than each figure.
    """
    print("| M | " + " | ".join(map(str, ORDERS)) + " | SE of one |")
    print("|---" * (len(ORDERS) + 2) + "|")
    for m in (16, 32, 64):
        traces, errors = [], []
        for count in ORDERS:
            got = effective_n(f"prefix_tea(permutations={count})", n=N, m=m, groups=40_000, rng=0)
            traces.append(got.variance @ [1, 0.5])
            errors.append(
                math.hypot(got.variance_standard_error[0], got.variance_standard_error[1] / 2)
                / traces[-1]
            )
        cells = [f"{trace / traces[-1]:.3f}" for trace in traces]
        print(f"| {m} | " + " | ".join(cells) + f" | {percent(max(errors))} |", flush=True)


def scores() -> None:
    """V_128 above the mean, in standard deviations, and its mean error over 20 pilots."""
    print("| law | exact | prompts x rollouts | own sd | the others' sd | as in bontea |")
    print("|---" * 6 + "|")
    for name in ("normal", "gumbel", "logistic", "beta", "uniform"):
        drawn = get_law(name)
        exact = (value(drawn, N) - value(drawn, 1)) / law_spread(drawn)
        for prompts, m in ((400, 16), (100, 64)):
            found: list[list[float]] = []
            for seed in range(20):
                rng = np.random.default_rng(seed)
                rewards = drawn.reward(drawn.latent.draw(rng, (prompts, m)))
                laws = [empirical(own_sd(rewards)), empirical(others_sd(rewards))]
                laws.append(pilot_law(rewards, resamples=0).law)
                found.append([value(law, N) - value(law, 1) for law in laws])
            cells = [f"{mean:.2f}" for mean in np.mean(found, axis=0)]
            print(f"| `{name}` | {exact:.2f} | {prompts} x {m} | " + " | ".join(cells) + " |")


def own_sd(rewards: np.ndarray) -> np.ndarray:
    """Every prompt by its mean and standard deviation."""
    centred = rewards - rewards.mean(1, keepdims=True)
    return centred / rewards.std(1, ddof=1, keepdims=True)


def others_sd(rewards: np.ndarray) -> np.ndarray:
    """Every reward by the standard deviation of the other rewards of its prompt."""
    m = rewards.shape[1]
    centred = rewards - rewards.mean(1, keepdims=True)
    total = np.square(centred).sum(1, keepdims=True)
    others = (total - np.square(centred) * m / (m - 1)) / (m - 2)
    return centred / np.sqrt(others * (1 - 1 / m))


def pilots() -> None:
    """Mean over 20 pilots of normal rewards, and standard deviation from pilot to pilot."""
    settings = ("max_at_k(k=6)", "linear_tea(alpha=0.5)", "adaptive_tea")
    print("| pilot | SNR of " + " | SNR of ".join(f"`{name}`" for name in settings), end=" | ")
    print("effective N of `adaptive_tea` |")
    print("|---" * 5 + "|")
    for prompts, m in ((8, 64), (64, 16), (512, 16)):
        figures = []
        for seed in range(20):
            rewards = np.random.default_rng(seed).normal(size=(prompts, m))
            law = pilot_law(rewards, resamples=0).law
            got = [
                effective_n(name, n=N, m=16, law=law, groups=4000, batch=64, rng=0)
                for name in settings
            ]
            figures.append([*(row.snr for row in got), got[-1].value])
        mean, spread = np.mean(figures, axis=0), np.std(figures, axis=0, ddof=1)
        cells = [f"{a:.3f} ± {s:.3f}" for a, s in zip(mean[:3], spread[:3], strict=True)]
        cells.append(f"{mean[3]:.0f} ± {spread[3]:.0f}")
        print(f"| {prompts} x {m} | " + " | ".join(cells) + " |", flush=True)


PARTS = {"picture": picture, "orders": orders, "scores": scores, "pilots": pilots}


def main(names: list[str]) -> int:
    for name in names or PARTS:
        if name not in PARTS:
            raise SystemExit(f"unknown part {name!r}: one of {', '.join(PARTS)}")
        print(f"\n{name}: {(PARTS[name].__doc__ or '').strip()}\n")
        PARTS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
