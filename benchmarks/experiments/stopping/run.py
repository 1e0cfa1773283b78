"""How many fewer responses a stopping rule needs for the mean reward of a fixed N.

    python benchmarks/experiments/stopping/run.py laws --json results_laws.json
    python benchmarks/experiments/stopping/run.py normal --json results_normal.json
    python benchmarks/experiments/stopping/run.py rollouts runs/extrapolation/demo.jsonl \
        --json results_demo.json
    python benchmarks/experiments/stopping/run.py table results_*.json
    python benchmarks/experiments/stopping/run.py figure results_demo.json docs/figures/deploy.png

Laws: the prior is learnt from 100 prompts x 64 of one seed, rules are run on the prompts of
another: locations N(0, 0.8^2), scales with a spread of 25 %, in standard deviations of the law; the
mean reward of fixed N is exact. Rollouts: the prior comes from the other prompts; random orders.
Every rule has one price for all prompts, set to the mean reward of fixed N. Intervals: bootstrap
over prompts (the price stays), 95 %.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rivals

from bontea import best_of_k
from bontea.deploy import learn_prior, seen
from bontea.deploy.gain import expected_gain
from bontea.deploy.walk import Walk, walk
from bontea.rollouts import read_rollouts
from bontea.theory import LAWS, get_law, value

NS = (16, 64, 128)
PILOT = (100, 64)
SPREAD, BETWEEN = 0.25, 0.8
SEEDS = {"pilot": 87_001, "test": 87_002}
RESAMPLES = 400


def prompts_of(name: str, seed: int, prompts: int, m: int) -> tuple[np.ndarray, Any, Any]:
    """Rewards `(P, M)`, `best_of(n)` exactly and `gain(best)` under the law of each prompt."""
    rng = np.random.default_rng(seed)
    if name == "bernoulli":
        p = rng.beta(0.3, 2, size=(prompts, 1))
        rewards = (rng.random((prompts, m)) < p).astype(float)
        return (
            rewards,
            lambda n: -np.expm1(n * np.log1p(-p[:, 0])),
            lambda best: np.where(best > 0, 0.0, p),
        )
    law = get_law(name)
    draws = np.sort(law.reward(law.latent.draw(np.random.default_rng(1), 400_000)))
    sd = draws.std()
    location = BETWEEN * rng.normal(size=(prompts, 1))
    scale = np.exp(SPREAD * rng.normal(size=(prompts, 1))) / sd
    rewards = location + scale * law.reward(law.latent.draw(rng, (prompts, m)))
    above = np.append(np.cumsum(draws[::-1])[::-1], 0.0)

    def gain(best: np.ndarray) -> np.ndarray:
        z = (best - location) / scale
        if name == "normal":
            return scale * rivals.normal_excess(z)
        place = np.searchsorted(draws, z, side="right")
        return scale * np.maximum(above[place] - (len(draws) - place) * z, 0.0) / len(draws)

    return rewards, lambda n: (location + scale * value(law, n))[:, 0], gain


def outcome(walks: list[Walk], price: float) -> tuple[np.ndarray, np.ndarray]:
    parts = [w.outcome(price) for w in walks]
    return np.concatenate([d for d, _ in parts]), np.concatenate([b for _, b in parts])


def at_reward(walks: list[Walk], target: float) -> tuple[np.ndarray, np.ndarray]:
    """Responses and reward of every row at the price of that mean reward."""
    top = max(np.max(w.index[np.isfinite(w.index)], initial=1e-9) for w in walks)
    low, high = np.log(top) - 35, np.log(top)
    for _ in range(40):
        middle = (low + high) / 2
        _, best = outcome(walks, float(np.exp(middle)))
        low, high = (middle, high) if best.mean() >= target else (low, middle)
    return outcome(walks, float(np.exp(low)))


def row_of(
    walks: list[Walk],
    owner: np.ndarray,
    fixed: Callable[[float], np.ndarray],
    n: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Saving at the mean reward of fixed N, and its interval over prompts.

    Fixed N takes the same draws in the same order: it shares the luck of the rule.
    """
    first = np.concatenate([w.best[:, np.searchsorted(w.at, n)] for w in walks])
    drawn, best = at_reward(walks, float(first.mean()))
    count = np.bincount(owner)
    responses, reward = np.bincount(owner, drawn) / count, np.bincount(owner, best) / count
    target = np.bincount(owner, first) / count
    # A reward off the target is worth responses at the slope of the fixed-N curve.
    up, down = fixed(n * 1.25), fixed(n / 1.25)
    slope = (up.mean() - down.mean()) / (n * 1.25 - n / 1.25)
    each = (n - responses) / n
    miss = (reward - target) / slope / n
    out = [0.0] * RESAMPLES
    for b in range(RESAMPLES):
        some = rng.integers(len(each), size=len(each))
        out[b] = float(each[some].mean() + miss[some].mean())
    low, high = np.quantile(out, [0.025, 0.975])
    most = max(int(w.at[-1]) for w in walks)
    return {
        "responses": float(responses.mean()),
        "reward": float(reward.mean()),
        "fixed": float(target.mean()),
        "saving": float(each.mean() + miss.mean()),
        "low": float(low),
        "high": float(high),
        "ran_out": float((drawn >= most).mean()),
    }


def index_walk(index: np.ndarray, rewards: np.ndarray) -> Walk:
    return Walk(np.arange(1, rewards.shape[1] + 1), index, np.maximum.accumulate(rewards, axis=1))


def law_rules(name: str, prompts: int, m: int) -> tuple[dict[str, list[Walk]], Any, Any]:
    pilot, _, _ = prompts_of(name, SEEDS["pilot"], *PILOT)
    rewards, fixed, gain = prompts_of(name, SEEDS["test"], prompts, m)
    prior = learn_prior(pilot, rng=0)
    best = np.maximum.accumulate(rewards, axis=1)
    rules = {
        "law known": [index_walk(gain(best), rewards)],
        "ours": [walk(prior, rewards)],
        "ours, in waves of 8": [walk(prior, rewards, min_n=8, wave=8)],
    }
    if name != "bernoulli":
        rules["no prior"] = [index_walk(rivals.no_prior(rewards), rewards)]
        rules["UCB Pandora's box"] = [index_walk(rivals.ucb_pandora(rewards), rewards)]
        rules["UCB, first 4"] = [index_walk(rivals.ucb_pandora(rewards, 4), rewards)]
        rules["UCB, raw rewards"] = [index_walk(rivals.ucb_pandora_raw(rewards), rewards)]
    return rules, fixed, prior


def run_laws(names: list[str], prompts: int, m: int) -> list[dict[str, Any]]:
    rows = []
    for name in names:
        rules, fixed, prior = law_rules(name, prompts, m)
        owner, rng = np.arange(prompts), np.random.default_rng(0)
        for rule, walks in rules.items():
            for n in NS:
                row = row_of(walks, owner, fixed, n, rng)
                rows.append({"data": name, "rule": rule, "n": n, "trust": prior.trust} | row)
        print(name, prior.trust, flush=True)
    return rows


def run_normal(prompts: int, m: int) -> list[dict[str, Any]]:
    """The normal law with many prompts: the parts of the rule, first waves, and waves."""
    pilot, _, _ = prompts_of("normal", SEEDS["pilot"], *PILOT)
    rewards, fixed, gain = prompts_of("normal", SEEDS["test"], prompts, m)
    prior = learn_prior(pilot, rng=0)
    normal = learn_prior(pilot, tail="normal", rng=0)
    at = np.arange(1, m + 1)
    best = np.maximum.accumulate(rewards, axis=1)

    def myopic(first: int) -> list[Walk]:
        index = np.concatenate(
            [expected_gain(normal, seen(rewards[i : i + 500], at)) for i in range(0, prompts, 500)]
        )
        index[:, : first - 1] = np.inf
        return [index_walk(index, rewards)]

    rules: dict[str, Callable[[], list[Walk]]] = {
        "law known": lambda: [index_walk(gain(best), rewards)],
        "one step ahead, first 8": lambda: myopic(8),
        "one step ahead": lambda: myopic(1),
        "ours": lambda: [walk(prior, rewards)],
        "ours, normal law": lambda: [walk(normal, rewards)],
    }
    for w in (4, 8, 16):
        rules[f"ours, in waves of {w}"] = lambda w=w: [walk(prior, rewards, min_n=w, wave=w)]
    rules["UCB Pandora's box"] = lambda: [index_walk(rivals.ucb_pandora(rewards), rewards)]
    rules["UCB, first 4"] = lambda: [index_walk(rivals.ucb_pandora(rewards, 4), rewards)]
    rules["no prior"] = lambda: [index_walk(rivals.no_prior(rewards), rewards)]
    rows = []
    for rule, make in rules.items():
        walks, rng = make(), np.random.default_rng(0)
        for n in NS:
            row = row_of(walks, np.arange(prompts), fixed, n, rng)
            rows.append({"data": "normal, many prompts", "rule": rule, "n": n} | row)
            print(rule, n, round(row["saving"], 4), round(row["low"], 3), round(row["high"], 3))
    return rows


def tables_of(path: Path, kind: str) -> np.ndarray:
    """Rewards `(P, M)` of a file, as they are, with refusals, or as 0/1."""
    table = read_rollouts(path).table()
    table = table[~np.isnan(table).any(1)]
    rng = np.random.default_rng(5)
    if kind == "refusals":  # a share of its own in each prompt gets one low reward
        share = rng.beta(2, 2, size=(len(table), 1))
        low = np.quantile(table, 0.02, axis=1, keepdims=True)
        return np.where(rng.random(table.shape) < share, low, table)
    if kind == "verifier":
        return (table > np.quantile(table, 0.97)).astype(float)
    return table


def run_rollouts(
    path: Path, kinds: list[str], orders: int, most: int, curves: bool
) -> list[dict[str, Any]]:
    rows = []
    for kind in kinds:
        table = tables_of(path, kind)
        p, m = table.shape
        rng = np.random.default_rng(SEEDS["test"])
        rewards = np.stack(
            [rng.permutation(table[i])[:most] for i in range(p) for _ in range(orders)]
        )
        owner = np.repeat(np.arange(p), orders)
        curve: dict[float, np.ndarray] = {}

        def fixed(n: float, table: np.ndarray = table, known: dict = curve) -> np.ndarray:
            if n not in known:
                low = int(np.floor(n))
                a, b = (np.asarray(best_of_k(table, k)) for k in (low, low + 1))
                known[n] = a + (n - low) * (b - a)
            return known[n]

        priors = [learn_prior(np.delete(table, i, axis=0), rng=0) for i in range(p)]
        # One trust for all, as in `simulate`: indices of different trust do not compare.
        trust = float(np.quantile([prior.trust for prior in priors], 0.5, method="lower"))
        each = [rewards[owner == i] for i in range(p)]
        rules = {
            "law known": [index_walk(rivals.known_sample(rewards, table[owner]), rewards)],
            "ours": [walk(prior, r, trust=trust) for prior, r in zip(priors, each, strict=True)],
            "ours, in waves of 8": [
                walk(prior, r, min_n=8, wave=8, trust=trust)
                for prior, r in zip(priors, each, strict=True)
            ],
        }
        if kind != "verifier":
            rules["no prior"] = [index_walk(rivals.no_prior(rewards), rewards)]
            rules["UCB Pandora's box"] = [index_walk(rivals.ucb_pandora(rewards), rewards)]
            rules["UCB, first 4"] = [index_walk(rivals.ucb_pandora(rewards, 4), rewards)]
            rules["UCB, raw rewards"] = [index_walk(rivals.ucb_pandora_raw(rewards), rewards)]
        boot = np.random.default_rng(0)
        grid = [2, 4, 8, 16, 32, 64, 128] if curves else NS
        for rule, walks in rules.items():
            for n in grid:
                if n <= min(m, most) / 4:
                    row = row_of(walks, owner, fixed, n, boot)
                    name = f"{path.stem}, {kind}" if kind != "as is" else path.stem
                    rows.append({"data": name, "rule": rule, "n": n, "trust": trust} | row)
        print(path.stem, kind, trust, flush=True)
    return rows


def print_table(rows: list[dict[str, Any]]) -> None:
    """A Markdown table: fewer responses in %, with intervals."""
    rules = list(dict.fromkeys(row["rule"] for row in rows))
    data = list(dict.fromkeys(row["data"] for row in rows))
    print("| data | N | " + " | ".join(rules) + " |")
    print("|---|---|" + "---|" * len(rules))
    for name in data:
        for n in NS:
            cells = []
            for rule in rules:
                found = [r for r in rows if (r["data"], r["n"], r["rule"]) == (name, n, rule)]
                cells.append(_cell(found[0]) if found else "")
            if any(cells):
                print(f"| {name} | {n} | " + " | ".join(cells) + " |")


def _cell(row: dict[str, Any]) -> str:
    s, low, high = (100 * row[k] for k in ("saving", "low", "high"))
    return f"{s:.1f} [{low:.1f}, {high:.1f}]"


def draw_figure(rows: list[dict[str, Any]], path: Path) -> None:
    """Mean reward against responses drawn."""
    from matplotlib.figure import Figure

    styles = {
        "law known": ("the limit: law known", "0.4", ":"),
        "ours": ("bontea", "#D55E00", "-"),
        "UCB, first 4": ("UCB Pandora's box, first 4", "#0072B2", "--"),
        "no prior": ("Student t, no prior", "#009E73", "-."),
    }
    first = rows[0]["data"]
    fig = Figure(figsize=(6.4, 4.2))
    ax = fig.add_subplot()
    some = [r for r in rows if r["data"] == first and r["rule"] == "ours"]
    ax.plot([r["n"] for r in some], [r["fixed"] for r in some], "ko-", label="fixed N", ms=3)
    for rule, (label, color, style) in styles.items():
        chosen = [r for r in rows if r["data"] == first and r["rule"] == rule]
        x, y = [r["responses"] for r in chosen], [r["reward"] for r in chosen]
        ax.plot(x, y, style, color=color, label=label, marker=".")
    ax.set_xscale("log", base=2)
    ax.set_xlabel("responses drawn per prompt, mean")
    ax.set_ylabel("mean reward of the best")
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    fig.savefig(path, dpi=150, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["laws", "normal", "rollouts", "table", "figure"])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--prompts", type=int)
    parser.add_argument("--most", type=int, default=640, help="responses that can be drawn")
    parser.add_argument("--names", nargs="+", default=list(LAWS))
    parser.add_argument("--kinds", nargs="+", default=["as is", "refusals", "verifier"])
    parser.add_argument("--orders", type=int, default=12)
    parser.add_argument("--curves", action="store_true", help="more N, for the figure")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    if args.what in ("table", "figure"):
        files = args.files if args.what == "table" else args.files[:1]
        rows = [row for file in files for row in json.loads(file.read_text(encoding="utf-8"))]
        if args.what == "table":
            print_table(rows)
        else:
            draw_figure(rows, args.files[1])
        return
    if args.what == "laws":
        rows = run_laws(args.names, args.prompts or 1500, args.most)
    elif args.what == "normal":
        rows = run_normal(args.prompts or 6_000, args.most)
    else:
        for file in args.files:
            rows += run_rollouts(file, args.kinds, args.orders, args.most, args.curves)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print_table(rows)


if __name__ == "__main__":
    main()
