"""Variants of the tail estimators on the rollouts of a real language model: what sets the defaults.

    python benchmarks/experiments/gradient_alignment/rollouts.py runs/alignment
    python benchmarks/experiments/ablations/run.py runs/alignment --json runs/ablations.json

Measured as in ../gradient_alignment (`[cosine, directional SNR, closest N]` of every prompt), on
the same rollouts, neural reward. A label is `what is varied: the variant`; the default of the
library is among the variants.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import bontea
from bontea.tails.fit import require_tail
from bontea.tails.normal import tail_coefficient

sys.path.insert(0, str(Path(__file__).parents[1] / "gradient_alignment"))

from alignment import in_batches, load, measure, rollout_files, write_results

SETTINGS = ((16, 128), (32, 128), (64, 512))


def tea_ddof1(rewards: np.ndarray, n: float, alpha: float = 0.25) -> np.ndarray:
    """`tea` with the tail standard deviation over k - 1: its second part is smaller by the factor
    `sqrt((k-1)/k)`. What does not depend on N is had from two values of N."""
    k = require_tail(rewards.shape[-1], alpha)
    near, far = (bontea.tea(rewards, n=each, alpha=alpha) for each in (n, 10 * n))
    ct, ct_far = (tail_coefficient(each, k / rewards.shape[-1]) for each in (n, 10 * n))
    spread = (far - near) / (ct_far - ct)
    return near - (1 - np.sqrt((k - 1) / k)) * ct * spread


def variants(m: int, n: float) -> dict[str, Callable]:
    """Label -> advantages of rewards `(P, m)`; those that M is too small for are left out."""
    b = bontea
    table: dict[str, Callable] = {"max_at_k(k=M-1)": partial(b.max_at_k, k=m - 1)}
    for k in sorted({m // 8, m // 4, m // 2, 3 * m // 4, m - 1}):
        table[f"k of max_at_k: {k}"] = partial(b.max_at_k, k=k)
    for alpha in (0.25, 0.5, 0.75, 1.0):
        for name in ("tea", "calibrated_tea", "linear_tea", "prefix_tea"):
            table[f"alpha of {name}: {alpha}"] = partial(b.ADVANTAGES[name], n=n, alpha=alpha)
    for name in ("tea", "calibrated_tea", "linear_tea", "prefix_tea"):
        for center in (True, False):
            call = partial(b.ADVANTAGES[name], n=n, center=center)
            table[f"centring of {name}: {center}"] = call
    table["centring of max_at_k: raw (pkpo)"] = partial(b.pkpo, k=m // 2)
    table["centring of max_at_k: leave-one-out (pkpo_loo)"] = partial(b.pkpo_loo, k=m // 2)
    table["centring of max_at_k: centred"] = partial(b.max_at_k, k=m // 2)
    table["ddof of tea: 0"] = partial(b.tea, n=n)
    table["ddof of tea: 1"] = partial(tea_ddof1, n=n)
    for rows in ("tail", "all"):
        call = partial(b.linear_tea, n=n, alpha=0.5, rows=rows)
        table[f"rows of linear_tea(alpha=0.5): {rows}"] = call
    for tail in ("normal", "exponential", "lognormal(0.15)", "lognormal(-0.15)"):
        call = partial(b.linear_tea, n=n, alpha=0.5, tail=tail)
        table[f"tail of linear_tea(alpha=0.5): {tail}"] = call
        call = partial(b.adaptive_tea, n=n, tail=tail)
        table[f"tail of adaptive_tea: {tail}"] = in_batches(call)
    for alphas in ((0.25,), (0.5, 0.25), (0.75, 0.5, 0.25), (1.0, 0.75, 0.5, 0.25)):
        call = partial(b.adaptive_tea, n=n, alphas=alphas)
        table[f"alphas of adaptive_tea: {', '.join(map(str, alphas))}"] = in_batches(call)
    for groups in (4, 16, 64, 256):
        call = in_batches(partial(b.adaptive_tea, n=n), groups)
        table[f"prompts a batch of adaptive_tea: {groups}"] = call
    for count in (2, 3, 4, 6):
        table[f"prefixes of prefix_tea: {count}"] = partial(b.prefix_tea, n=n, prefixes=count)
    for order in (1, 2, 3):
        table[f"order of prefix_tea: {order}"] = partial(b.prefix_tea, n=n, order=order)
    for count in (1, 4, 16, 64):
        call = partial(b.prefix_tea, n=n, permutations=count)
        table[f"permutations of prefix_tea: {count}"] = call
    for cross in (False, True):
        table[f"cross_fit of prefix_tea: {cross}"] = partial(b.prefix_tea, n=n, cross_fit=cross)
    return {label: call for label, call in table.items() if works(call, m)}


def works(call: Callable, m: int) -> bool:
    """Whether M is enough for it: its own error says so."""
    try:
        call(np.random.default_rng(0).normal(size=(64, m)))
    except ValueError:  # GroupTooSmallError is one
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    prompts = [load(path, "neural") for path in rollout_files(args.folder)]
    out = {}
    for m, n in SETTINGS:
        table = variants(m, n)
        rows = [measure(table, halves, m, n) for halves in prompts]
        print(f"\nM = {m}, N = {n}: cosine and directional SNR over max_at_k(k=M-1)")
        base = np.array([list(row["max_at_k(k=M-1)"].values()) for row in rows], dtype=float)
        for label in table:
            values = np.array([list(row[label].values()) for row in rows], dtype=float)
            out[f"{m} {n} {label}"] = values.round(5).tolist()
            ratio = (values / base).mean(0)
            print(f"  {label:<52}{ratio[0]:7.3f}{ratio[1]:7.3f}", flush=True)
    if args.json:
        write_results(args.json, out)


if __name__ == "__main__":
    main()
