"""A picture of every estimator: its advantage against the rank of the reward, N = 128, M = 16.

    python benchmarks/figures/advantage_shapes.py docs/figures/estimators    # a few seconds

Groups of 16 standard normal rewards, in batches of 64 for the estimators that look at the batch.
Line: mean advantage at each rank, 1 the best. Band: 10 to 90 % of the groups. Grey: the exact
advantage of best-of-128, whose expected gradient is that of best-of-128, averaged per rank. Each is
in units of its own root-mean-square, as `scale_advantages` leaves it, so that the pictures compare.

Estimators of 0/1 rewards get another picture: the advantage of a success and of a failure against
the number of successes in the group. Grey is there the exact advantage of pass@128, averaged over
prompts that have this number of successes. Success rates follow Beta(0.3, 2), which also weighs the
groups in the root-mean-square.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from scipy.special import betaln
from scipy.stats import betabinom

import bontea
from bontea.theory import advantage

N, M = 128, 16
GROUPS, BATCH = 12_800, 64
PRIOR = (0.3, 2.0)

BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#777777"  # Okabe-Ito

PARAMS = {
    "max_at_k": {"k": 15},
    "pkpo": {"k": 15},
    "pkpo_loo": {"k": 15},
    "pass_at_k": {"k": 8},
    "pass_at_n": {"prior": PRIOR},
    "prefix_tea": {"rng": 0},
}
BINARY = ("max_rl", "pass_at_k", "pass_at_n", "inference_aware")
"""Shown on 0/1 rewards: they refuse normal ones."""


def estimator(name: str) -> tuple[Callable[[np.ndarray], np.ndarray], str]:
    """The estimator at N and the parameters above, and its title."""
    function = bontea.ADVANTAGES[name]
    takes_n = "n" in inspect.signature(function).parameters
    params = ({"n": N} if takes_n else {}) | PARAMS.get(name, {})
    shown = ", ".join(f"{key}={value}" for key, value in params.items() if key != "rng")
    return partial(function, **params), f"{name}({shown})" if shown else name


def by_rank(name: str) -> tuple[Figure, str]:
    """Mean and band of the advantage at each rank of normal rewards."""
    function, title = estimator(name)
    rewards = np.random.default_rng(0).normal(size=(GROUPS // BATCH, BATCH, M))
    rewards = -np.sort(-rewards, axis=-1)
    got = np.stack([function(batch) for batch in rewards]).reshape(-1, M)
    got /= rms(got)
    exact = advantage("normal", N)(rewards).reshape(-1, M)
    exact /= rms(exact)

    fig, ax = frame(title, f"rank of the reward among {M} (1 = best)")
    rank = np.arange(1, M + 1)
    low, high = np.quantile(got, [0.1, 0.9], axis=0)
    ax.fill_between(rank, low, high, color=BLUE, alpha=0.2, linewidth=0, label="10 to 90 %")
    ax.plot(rank, exact.mean(0), color=GREY, linestyle="--", label=f"exact, best of {N}")
    ax.plot(rank, got.mean(0), color=BLUE, marker="o", markersize=3.5, label="mean over groups")
    ax.set_xticks([1, 4, 8, 12, 16])
    ax.set_ylim(-3, 7)
    return fig, title


def by_successes(name: str) -> tuple[Figure, str]:
    """The advantages of success and failure against the number of successes."""
    function, title = estimator(name)
    s = np.arange(M + 1)
    rewards = (np.arange(M) < s[:, None]).astype(float)  # successes first
    got = function(rewards)
    success, failure = got[1:, 0], got[:-1, -1]
    weight = betabinom.pmf(s, M, *PRIOR)
    unit = np.sqrt(weight @ (got**2).mean(-1))

    # A*(1) = N (1-p)^N and A*(0) = -N p (1-p)^(N-1); after s successes p is Beta(a + s, b + M - s).
    a, b = PRIOR[0] + s, PRIOR[1] + M - s
    exact_success = N * np.exp(betaln(a, b + N) - betaln(a, b))
    exact_failure = -N * np.exp(betaln(a + 1, b + N - 1) - betaln(a, b))
    a, b = PRIOR
    exact_unit = N * np.exp((betaln(a + 1, b + 2 * N - 1) - betaln(a, b)) / 2)

    fig, ax = frame(title, f"successes among {M} rollouts (rates from Beta(0.3, 2))")
    ax.plot(s[1:], exact_success[1:] / exact_unit, color=GREY, ls="--", label=f"exact, pass@{N}")
    ax.plot(s[:-1], exact_failure[:-1] / exact_unit, color=GREY, ls="--")
    ax.plot(s[1:], success / unit, color=BLUE, marker="o", markersize=3.5, label="a success")
    ax.plot(s[:-1], failure / unit, color=VERMILION, marker="s", markersize=3, label="a failure")
    ax.set_xticks([0, 4, 8, 12, 16])
    ax.set_xlim(-0.6, M + 0.6)
    ax.set_ylim(-1.2, 11.5)
    return fig, title


def rms(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean()))


def frame(title: str, xlabel: str) -> tuple[Figure, Any]:
    fig = Figure(figsize=(5, 3), layout="constrained")
    ax = fig.add_subplot()
    ax.axhline(0, color="black", linewidth=0.6)
    ax.set_title(title, fontsize=9, loc="left", family="monospace")
    ax.set_xlabel(xlabel, fontsize=9)
    ax.set_ylabel("advantage (root-mean-square 1)", fontsize=9)
    ax.tick_params(labelsize=8)
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    return fig, ax


def save(fig: Figure, path: Path) -> None:
    """As a PNG of 64 colours, which is a third of the size of the usual one."""
    whole = BytesIO()
    fig.savefig(whole, dpi=100, format="png")
    Image.open(whole).convert("RGB").quantize(64).save(path, optimize=True)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/figures/advantage_shapes.py FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in bontea.ADVANTAGES:
        fig, title = (by_successes if name in BINARY else by_rank)(name)
        fig.axes[0].legend(frameon=False, fontsize=8, loc="upper right")
        save(fig, folder / f"{name}.png")
        print(title)


if __name__ == "__main__":
    main()
