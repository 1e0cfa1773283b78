"""Predict best-of-128 and best-of-512 from 16, 32 or 64 rewards of a prompt, and compare.

    python benchmarks/experiments/extrapolation/run.py --laws --json results_laws.json
    python benchmarks/experiments/extrapolation/run.py --rollouts runs/extrapolation/demo.jsonl \
        --json results_demo.json
    python benchmarks/experiments/extrapolation/run.py --table results_*.json

Laws: 50 prompts a data set, locations N(0, 1), scales with a spread of 25 %, in standard deviations
of the law; the truth is exact. Rollouts: disjoint blocks of a file of rollouts, all of its prompts
a data set, the truth is the unbiased best-of-N of the rollouts outside the block; in units of the
mean standard deviation within a prompt. `--at Q` makes 0/1 rewards of them: above the pooled
quantile Q.

Per method: mean error, root-mean-square error over prompts, that of the mean over prompts, share of
prompts and of means whose 95 % interval holds the truth, share of data sets in which nothing was
predicted.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rivals

from bontea import best_of_k
from bontea.curves.extrapolation import extrapolate
from bontea.theory import LAWS, get_law, value

MS, NS = (16, 32, 64), (128, 512)
PROMPTS, SPREAD = 50, 0.25


def ours(rewards: np.ndarray, n: float, **options: Any) -> tuple[np.ndarray, ...] | None:
    out = extrapolate(rewards, n, **options)
    if out.refused:
        return None
    each = (out.per_prompt, out.per_prompt_low, out.per_prompt_high)
    return (*(a[:, 0] for a in each), out.value, out.low, out.high)


def rival(method: Any, rewards: np.ndarray, n: float) -> tuple[np.ndarray, ...]:
    each = method(rewards, n)
    nothing, none = np.full(len(each), np.nan), np.full(1, np.nan)
    return each, nothing, nothing, each.mean(keepdims=True), none, none


METHODS = {
    "extrapolate": ours,
    "normal tail, alpha=.25": partial(ours, tail="normal", alpha=0.25),
    "normal tail, alpha=.75": partial(ours, tail="normal", alpha=0.75),
    "exponential tail, alpha=.25": partial(ours, tail="exponential", alpha=0.25),
    "generalised Pareto, alpha=.25": partial(ours, tail="gp", alpha=0.25),
    "plug-in of the top 20 %": partial(rival, rivals.tail_plug_in),
    "log-survival line": partial(rival, rivals.log_survival_line),
}
BINARY = {"extrapolate": ours, "beta-binomial, fitted law": partial(rival, rivals.beta_binomial)}


def law_data(name: str, repeats: int) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """M, N, rewards and the exact best-of-N of each prompt."""
    law = get_law(name)
    sd = law.reward(law.latent.draw(np.random.default_rng(1), 400_000)).std()
    for m in MS:
        for repeat in range(repeats):
            rng = np.random.default_rng([repeat, m])
            if name == "bernoulli":
                p = rng.beta(0.3, 2, size=PROMPTS)
                rewards = (rng.random((PROMPTS, m)) < p[:, None]).astype(float)
                for n in NS:
                    yield m, n, rewards, -np.expm1(n * np.log1p(-p))
                continue
            location = rng.normal(size=PROMPTS)
            scale = np.exp(SPREAD * rng.normal(size=PROMPTS)) / sd
            x = law.reward(law.latent.draw(rng, (PROMPTS, m)))
            rewards = location[:, None] + scale[:, None] * x
            for n in NS:
                yield m, n, rewards, location + scale * value(law, n)


def true_mean(name: str, n: int) -> float:
    """Of the population of prompts: `E location + E scale V_N`, or the mean pass@N."""
    law = get_law(name)
    if name == "bernoulli":
        from bontea.tails import expected_pass_at_n

        return expected_pass_at_n(n, 0.3, 2)
    sd = law.reward(law.latent.draw(np.random.default_rng(1), 400_000)).std()
    return float(np.exp(SPREAD**2 / 2) / sd * value(law, n))


def file_data(
    path: Path, blocks: int, at: float | None
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    groups: dict[Any, list[float]] = {}
    for line in path.open(encoding="utf-8"):
        row = json.loads(line)
        groups.setdefault(row.get("prompt_id", row["prompt"]), []).append(row["reward"])
    length = max(map(len, groups.values()))
    table = np.array([g for g in groups.values() if len(g) == length])
    table = table / table.std(1).mean() if at is None else (table > np.quantile(table, at)) * 1.0
    for m in MS:
        for block in range(min(blocks, length // m)):
            inside = np.zeros(length, dtype=bool)
            inside[block * m : (block + 1) * m] = True
            for n in NS:
                if n <= length - m:
                    yield m, n, table[:, inside], np.asarray(best_of_k(table[:, ~inside], n))


def measure(data: Iterator[Any], methods: dict[str, Any], mean_of: Any = None) -> list[dict]:
    """A row for each method, M and N. `mean_of(n)` is the mean over the population of prompts."""
    cells: dict[tuple, list[list[float]]] = {}
    for m, n, rewards, truth in data:
        for name, method in methods.items():
            cell = cells.setdefault((name, m, n), [])
            out = method(rewards, n)
            if out is None:
                cell.append([np.nan] * 5)
                continue
            each, low, high, mean, mean_low, mean_high = out
            ok = np.isfinite(each)
            error = (each - truth)[ok]
            held = (
                np.nan
                if np.isnan(low[ok]).all()
                else np.mean((low <= truth)[ok] & (truth <= high)[ok])
            )
            target = np.nan if mean_of is None else mean_of(n)
            covered = np.nan
            if np.isfinite(target + mean_low[0]):
                covered = float(mean_low[0] <= target <= mean_high[0])
            cell.append([error.mean(), (error**2).mean(), held, mean[0] - truth.mean(), covered])
    rows = []
    for (name, m, n), cell in cells.items():
        a = np.array(cell)
        done = ~np.isnan(a[:, 0])
        row = {"method": name, "m": m, "n": n, "sets": len(a), "refused": float(1 - done.mean())}
        if done.any():
            b = a[done]
            row |= {
                "mean_error": b[:, 0].mean(),
                "rmse": np.sqrt(b[:, 1].mean()),
                "coverage": b[:, 2].mean(),
                "rmse_of_mean": np.sqrt((b[:, 3] ** 2).mean()),
                "coverage_of_mean": b[:, 4].mean(),
            }
        rows.append(
            {
                k: None if v != v else v if isinstance(v, (str, int)) else round(float(v), 4)
                for k, v in row.items()
            }
        )
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, (str, int)):
        return value
    return None if np.isnan(value) else round(float(value), 4)


def table(paths: list[Path]) -> str:
    """Markdown: RMSE over prompts (mean error) of every method, and coverage of ours."""
    lines = []
    for path in paths:
        for name, rows in json.loads(path.read_text())["data"].items():
            cells = sorted({(r["m"], r["n"]) for r in rows})
            lines += [f"**{name}**", ""]
            lines.append("| method | " + " | ".join(f"M={m}, N={n}" for m, n in cells) + " |")
            lines.append("|---" * (len(cells) + 1) + "|")
            for method in dict.fromkeys(r["method"] for r in rows):
                found = {(r["m"], r["n"]): r for r in rows if r["method"] == method}
                lines.append(
                    f"| {method} | " + " | ".join(_cell(found.get(c)) for c in cells) + " |"
                )
            lines.append("")
    return "\n".join(lines)


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    if "rmse" not in row:
        return "refused"
    text = f"{row['rmse']:.2f} ({row['mean_error']:+.2f})"
    if row["coverage"] is not None:
        text += f" {row['coverage']:.0%}"
    if row["coverage_of_mean"] is not None:
        text += f", {row['coverage_of_mean']:.0%}"
    return text + (f" [{row['refused']:.0%} refused]" if row["refused"] else "")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--laws", nargs="*", metavar="LAW", help="of bontea.theory; default: all")
    parser.add_argument("--rollouts", type=Path, nargs="+", default=[])
    parser.add_argument("--at", type=float, help="make 0/1 rewards at this pooled quantile")
    parser.add_argument("--repeats", type=int, default=40, help="data sets of a law, or blocks")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", type=Path, nargs="+")
    args = parser.parse_args()
    if args.table:
        print(table(args.table))
        return
    results: dict[str, list[dict]] = {}
    for name in (args.laws or list(LAWS)) if args.laws is not None else []:
        methods = BINARY if name == "bernoulli" else METHODS
        results[name] = measure(law_data(name, args.repeats), methods, partial(true_mean, name))
        print(name, flush=True)
    for path in args.rollouts:
        name = path.stem + ("" if args.at is None else f", 0/1 at {args.at:g}")
        methods = METHODS if args.at is None else BINARY
        results[name] = measure(file_data(path, args.repeats, args.at), methods)
        print(name, flush=True)
    settings = {"repeats": args.repeats, "prompts": PROMPTS, "scale_spread": SPREAD}
    if args.json:
        args.json.write_text(json.dumps({"settings": settings, "data": results}, indent=1) + "\n")
    for name, rows in results.items():
        for row in rows:
            print(name, row)


if __name__ == "__main__":
    main()
