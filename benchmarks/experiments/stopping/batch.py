"""A batch of prompts known in advance, T responses in all: `allocate` against equal shares.

    python benchmarks/experiments/stopping/batch.py embedded.jsonl --json results_batch.json
    python benchmarks/experiments/stopping/batch.py --table results_batch.json

Four ways to share out T responses over P prompts, T/P = 8, 16, 64:

- equal shares: T/P for every prompt;
- allocate: 4 for every prompt, the rest in 8 waves of one size by `bontea.deploy.allocate`, which
  sees the rewards of the waves before; the prior comes from other prompts;
- law known, shares: an oracle that is told the law of every prompt and shares T out before the
  first response;
- law known, one by one: an oracle that also sees every reward and gives the next response to the
  prompt where it is worth most.

All take the same draws of a prompt in the same order. `fewer` is the share of responses saved
against equal shares of the mean reward that was reached. Intervals: bootstrap over prompts, where
the shares stay as they are, 95 %.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rivals
from run import BETWEEN, PILOT, RESAMPLES, SEEDS, SPREAD, _cell, tables_of

from bontea import best_of_k
from bontea.deploy import Prior, allocate, learn_prior
from bontea.tails import expected_max

SHARES = (8, 16, 64)
FIRST, WAVES, LONGEST = 4, 8, 8
GRID = np.unique(np.geomspace(1, 640, 80).astype(int))
FOLLOWED = "uniform, the model followed"
"""Although the prior fails its trial."""
WAYS = ("equal shares", "allocate", "law known, shares", "law known, one by one")


@dataclass
class Batch:
    """Prompts whose law is known to us, and what the rule is told."""

    prior: Prior
    rewards: np.ndarray
    """`(P, M)`, in the order in which they are drawn."""
    curve: np.ndarray
    """`(P, len(GRID))`, the mean best of n."""
    gain: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """What the next response of prompts p adds to best rewards b, under the law of each."""
    owner: np.ndarray
    """`(P,)`, the prompt of a row: rollouts are used in several orders."""


def location_scale(law: str, spread: float, seed: int, prompts: int, m: int) -> dict[str, Any]:
    """Normal or uniform rewards of standard deviation 1, locations and scales of their own."""
    rng = np.random.default_rng(seed)
    location = BETWEEN * rng.normal(size=(prompts, 1))
    scale = np.exp(spread * rng.normal(size=(prompts, 1)))
    if law == "normal":
        z = rng.normal(size=(prompts, m))
        curve = location + scale * np.array([float(expected_max(int(n))) for n in GRID])
    else:
        z = np.sqrt(12) * (rng.random((prompts, m)) - 0.5)
        curve = location + scale * np.sqrt(12) * (GRID / (GRID + 1) - 0.5)

    def gain(p: np.ndarray, best: np.ndarray) -> np.ndarray:
        u = (best - location[p, 0]) / scale[p, 0]
        if law == "normal":
            return scale[p, 0] * rivals.normal_excess(u)
        left = np.maximum(0.5 - u / np.sqrt(12), 0)
        return scale[p, 0] * np.sqrt(12) * left**2 / 2

    return {"rewards": location + scale * z, "curve": curve, "gain": gain}


def zero_one(seed: int, prompts: int, m: int) -> dict[str, Any]:
    """Success rates Beta(0.3, 2), as in run.py."""
    rng = np.random.default_rng(seed)
    p = rng.beta(0.3, 2, size=(prompts, 1))
    return {
        "rewards": (rng.random((prompts, m)) < p).astype(float),
        "curve": -np.expm1(GRID * np.log1p(-p)),
        "gain": lambda i, best: np.where(best > 0, 0.0, p[i, 0]),
    }


def law_batches(
    make: Callable[..., dict[str, Any]], count: int, prompts: int, trust: float | None
) -> Iterator[Batch]:
    """`count` batches that share a prior, learnt from 100 other prompts with 64 rewards each."""
    prior = learn_prior(make(SEEDS["pilot"], *PILOT)["rewards"], rng=0)
    if trust is not None:
        prior = replace(prior, trust=trust)
    for i in range(count):
        owner = np.arange(i * prompts, (i + 1) * prompts)
        yield Batch(prior, **make(SEEDS["test"] + 1 + i, prompts, 640), owner=owner)


def rollout_batches(path: Path, orders: int) -> Iterator[Batch]:
    """Half of the prompts of a file at a time, the prior from the other half, in random splits."""
    table = tables_of(path, "as is")
    p, m = table.shape
    rng = np.random.default_rng(SEEDS["test"])
    curve = np.stack([np.asarray(best_of_k(row, GRID[m >= GRID].tolist())) for row in table])
    for _ in range(orders):
        split = rng.permutation(p)
        for owner, others in (
            (split[: p // 2], split[p // 2 :]),
            (split[p // 2 :], split[: p // 2]),
        ):
            rewards = np.stack([rng.permutation(row) for row in table[owner]])
            own = table[owner]

            def gain(i: np.ndarray, best: np.ndarray, own: np.ndarray = own) -> np.ndarray:
                return np.maximum(own[i] - best[:, None], 0.0).mean(1)

            yield Batch(learn_prior(table[others], rng=0), rewards, curve[owner], gain, owner)


def in_waves(batch: Batch, share: int) -> np.ndarray:
    """Responses of each prompt by `allocate`."""
    p, m = batch.rewards.shape
    have = np.full(p, FIRST)
    most = min(LONGEST * share, m)
    ends = np.linspace(FIRST * p, share * p, WAVES + 1).round().astype(int)
    for more in np.diff(ends).tolist():
        seen = [batch.rewards[i, : have[i]] for i in range(p)]
        step = max(share // 16, 1)
        have += allocate(batch.prior, seen, more, wave=step, max_n=most)
    return have


def oracle_shares(batch: Batch, share: int) -> np.ndarray:
    """The best shares before the first response: the largest marginal gains first."""
    p, m = batch.rewards.shape
    ns = np.arange(1, min(LONGEST * share, m) + 1)
    curve = np.stack([np.interp(np.log(ns), np.log(GRID[: len(c)]), c) for c in batch.curve])
    rise = np.diff(curve, axis=1)
    order = np.argsort(-rise, axis=None, kind="stable")[: (share - 1) * p]
    return 1 + np.bincount(order // rise.shape[1], minlength=p)


def oracle_one_by_one(batch: Batch, share: int) -> np.ndarray:
    p, m = batch.rewards.shape
    have, most = np.ones(p, dtype=int), min(LONGEST * share, m)
    best = batch.rewards[:, 0].copy()
    worth = batch.gain(np.arange(p), best)
    for _ in range((share - 1) * p):
        i = int(np.argmax(np.where(have < most, worth, -1.0)))
        r = batch.rewards[i, have[i]]
        have[i] += 1
        if r > best[i]:
            best[i] = r
            worth[i] = batch.gain(np.array([i]), best[i : i + 1])[0]
    return have


def measure(batches: list[Batch], share: int, name: str) -> list[dict[str, Any]]:
    """A row a way; means over the rows of a prompt, then over prompts."""
    ways = {
        "equal shares": lambda b: np.full(len(b.rewards), share),
        "allocate": lambda b: in_waves(b, share),
        "law known, shares": lambda b: oracle_shares(b, share),
        "law known, one by one": lambda b: oracle_one_by_one(b, share),
    }
    owner = np.concatenate([b.owner for b in batches])
    _, owner = np.unique(owner, return_inverse=True)
    count = np.bincount(owner)

    def by_prompt(rows: np.ndarray) -> np.ndarray:
        return np.bincount(owner, rows) / count

    curve = np.concatenate([b.curve for b in batches])
    curve = np.stack([by_prompt(column) for column in curve.T], axis=1)
    at = np.log(GRID[: curve.shape[1]])
    exact = np.array([np.interp(np.log(share), at, row) for row in curve])
    best = [np.maximum.accumulate(b.rewards, axis=1) for b in batches]
    equal = by_prompt(np.concatenate([b[:, share - 1] for b in best]))
    rows = []
    for way, shares_of in ways.items():
        shares = [shares_of(b) for b in batches]
        drawn = by_prompt(np.concatenate(shares).astype(float))
        got = [b[np.arange(len(b)), n - 1] for b, n in zip(best, shares, strict=True)]
        # Equal shares have the same draws: what is random in both drops out.
        reward = exact + by_prompt(np.concatenate(got)) - equal
        rng = np.random.default_rng(0)

        def fewer(some: np.ndarray, drawn: Any = drawn, reward: Any = reward) -> float:
            same = np.interp(reward[some].mean(), curve[some].mean(0), at)
            return float(1 - drawn[some].mean() / np.exp(same))

        p = len(count)
        boot = [rng.integers(p, size=p) for _ in range(RESAMPLES)]
        means = [reward[some].mean() for some in boot]
        rises = [(reward - exact)[some].mean() for some in boot]
        ends = [0.025, 0.975]
        rows.append(
            {"data": name, "way": way, "share": share, "prompts": p}
            | dict(zip(("reward_low", "reward_high"), np.quantile(means, ends), strict=True))
            | {"reward": float(reward.mean()), "rise": float((reward - exact).mean())}
            | dict(zip(("rise_low", "rise_high"), np.quantile(rises, ends), strict=True))
            | {"saving": fewer(np.arange(p))}
            | dict(zip(("low", "high"), np.quantile([fewer(s) for s in boot], ends), strict=True))
            | {"trust": float(np.median([b.prior.trust for b in batches]))}
            | {"most": int(np.concatenate(shares).max())}
        )
        print(name, share, way, _cell(rows[-1]), round(rows[-1]["reward"], 3), flush=True)
    return rows


def print_table(rows: list[dict[str, Any]]) -> None:
    """Markdown: mean rewards, and fewer responses in %."""
    header = ["rewards", "T/P", "equal shares", "`allocate` adds", "`allocate`, fewer", *WAYS[2:]]
    print(f"| {' | '.join(header)} |")
    print("|---|---|---|---|---|---|---|")
    for name in dict.fromkeys(r["data"] for r in rows):
        for share in SHARES:
            found = {r["way"]: r for r in rows if (r["data"], r["share"]) == (name, share)}
            equal, ours = found["equal shares"], found["allocate"]
            rise = f"{ours['rise']:+.3f} [{ours['rise_low']:+.3f}, {ours['rise_high']:+.3f}]"
            cells = [name, str(share), f"{equal['reward']:.3f}", rise]
            cells += [_cell(found[way]) for way in WAYS[1:]]
            cells = [re.sub(r"[-+](0\.0+)(?!\d)", r"\1", cell) for cell in cells]  # no sign for 0
            print("| " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", nargs="?", type=Path, help="rollouts")
    parser.add_argument("--batches", type=int, default=4, help="of each law")
    parser.add_argument("--prompts", type=int, default=100, help="of a batch")
    parser.add_argument("--names", nargs="+", help="laws to run; default: all")
    parser.add_argument("--orders", type=int, default=10)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", type=Path, help="print the table of results that are there")
    args = parser.parse_args()
    if args.table:
        print_table(json.loads(args.table.read_text(encoding="utf-8")))
        return
    laws: dict[str, Callable[..., dict[str, Any]]] = {
        "normal, scales 25 %": lambda *a: location_scale("normal", SPREAD, *a),
        "normal, scales a factor of 2": lambda *a: location_scale("normal", np.log(2), *a),
        "0/1": zero_one,
        "uniform, scales 25 %": lambda *a: location_scale("uniform", SPREAD, *a),
        FOLLOWED: lambda *a: location_scale("uniform", SPREAD, *a),
    }
    rows: list[dict[str, Any]] = []
    groups = {
        name: list(law_batches(make, args.batches, args.prompts, 1.0 if name == FOLLOWED else None))
        for name, make in laws.items()
        if args.names is None or name in args.names
    }
    if args.file:
        groups[args.file.stem] = list(rollout_batches(args.file, args.orders))
    for name, batches in groups.items():
        for share in SHARES:
            rows += measure(batches, share, name)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print_table(rows)


if __name__ == "__main__":
    main()
