r"""How well does each estimator see the best-of-N gradient of a real language model?

    python benchmarks/experiments/gradient_alignment/rollouts.py runs/alignment
    python benchmarks/experiments/gradient_alignment/run.py runs/alignment \
        --json runs/gradients.json

For every prompt the rollouts are split into two halves. The oracle is the gradient of best-of-N
with the exact advantage `A*(r)` of the empirical law of one half; estimators see the other half in
groups of M, regrouped at random 32 times (the advantage of a rollout is averaged over its groups,
which changes no expectation and lowers the noise of this measurement). Then the halves change
roles. With g the expected gradient of an estimator, g* the oracle, in sketched parameter space:

- cosine: `<g, g*> / (|g| |g*|)`, every length from the product of two independent quarters, so that
  noise does not enter (and a value above 1 is possible);
- directional SNR: `<g, g*> / |g*|` over the root-mean-square length of one group's gradient: the
  progress towards best-of-N of a step from M rollouts, in units of its noise. Rollouts needed for
  the same progress go as its inverse square;
- closest N: the N' of 1, 2, 4, ..., 1,024 whose oracle gradient makes the largest cosine with g:
  the deployment budget that the estimator really optimises.

The rewards: `neural`, the embedded Bradley-Terry reward; `sharp`, its exponential; `bounded`, a
logistic function of it; `rounded`, to halves; `verifier`, 0 or 1, and `distilled`, both of
../training/rewards.py; `contrast`, for which ../contrast/prepare.py goes first. The last two
columns are ratios to `max_at_k` with k = M - 1 on the same rollouts, mean over prompts, `±` their
standard errors.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np

import bontea
from bontea.bench.lineup import lineup

sys.path.insert(0, str(Path(__file__).parent))

from alignment import OF_NEURAL, OF_TEXT, in_batches, load, measure, rollout_files, write_results


def board(m: int, n: float, binary: bool) -> dict:
    """The estimators compared, at M and N: label -> function of rewards."""
    table = {}
    if binary:
        table["max_rl"] = bontea.max_rl
        table["pass_at_k(k=M/2)"] = partial(bontea.pass_at_k, k=m // 2)
        table["inference_aware"] = partial(bontea.inference_aware, n=n)
        table["pass_at_n"] = in_batches(partial(bontea.pass_at_n, n=n))
    for name, spec in lineup(m).items():
        if name != "linear_tea(alpha=0.5)":
            table[name] = spec.bind(n=n, m=m)
    for k in (m // 2, m // 4):
        table[f"max_at_k(k={k})"] = partial(bontea.max_at_k, k=k)
    for alpha in (0.5, 0.75, 1.0):
        if np.ceil(alpha * m) >= 3:
            table[f"linear_tea(alpha={alpha})"] = partial(bontea.linear_tea, n=n, alpha=alpha)
    table["adaptive_tea"] = in_batches(partial(bontea.adaptive_tea, n=n))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    choices = [*OF_NEURAL, *OF_TEXT]
    parser.add_argument("--rewards", nargs="+", default=choices[:5], choices=choices)
    parser.add_argument("--m", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--n", type=float, nargs="+", default=[64, 128, 512])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    files = rollout_files(args.folder)
    everything: dict = {}
    for reward in args.rewards:
        prompts = [load(path, reward) for path in files]
        for m in args.m:
            for n in args.n:
                table = board(m, n, binary=reward == "verifier")
                rows = [measure(table, halves, m, n) for halves in prompts]
                print(
                    f"\n{reward}, M = {m}, N = {n:g}: cosine, directional SNR, closest N "
                    f"({len(rows)} prompts)"
                )
                for name in rows[0]:
                    values = np.array([list(r[name].values()) for r in rows])
                    everything[f"{reward} {m} {n:g} {name}"] = values.round(5).tolist()
                    base = np.array([list(r["max_at_k(k=M-1)"].values()) for r in rows])
                    mean, ratio = values.mean(0), values / base
                    se = ratio.std(0, ddof=1) / np.sqrt(len(rows)) if len(rows) > 1 else mean * 0
                    print(
                        f"  {name:<28}{mean[0]:7.3f} {mean[1]:7.4f} {np.median(values[:, 2]):5.0f}"
                        "   over max@(M-1): "
                        f"{ratio[:, 0].mean():.3f} ± {se[0]:.3f}  {ratio[:, 1].mean():.3f} ± "
                        f"{se[1]:.3f}",
                        flush=True,
                    )
    if args.json:
        write_results(args.json, everything)


if __name__ == "__main__":
    main()
