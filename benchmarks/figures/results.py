"""The tables and figures of docs/results.md, from the result files of the experiments.

    python benchmarks/figures/results.py        # or: make figures

Tables go between their markers in the page, figures into docs/figures/results. Nothing is run: a
table has a row for what `results.jsonl` holds, and says how many seeds that is.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "benchmarks" / "experiments"
sys.path.insert(0, str(EXPERIMENTS / "training"))

from summary import Row, best_of, difference, judged, load, over_seeds, select  # noqa: E402

PAGE = ROOT / "docs" / "results.md"
FIGURES = ROOT / "docs" / "figures" / "results"
KS = (1, 8, 64, 128, 512)
MS, NS = (4, 8, 16, 32), (32, 128, 512, 2048)
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#777777"
EXTRAPOLATING = "adaptive_tea"
FEWEST = 3
"""Seeds that a cell needs to be shown."""
PLANNED = 2e-4
"""The largest learning rate of the plan; a larger one was tried and is not used."""


def markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def opponents(m: int) -> tuple[str, str]:
    """`max_at_k` with k = M - 1 and with k = M / 2."""
    return "max_at_k", f"max_at_k(k={m // 2})"


def budget_table(rows: list[Row]) -> str:
    """Gain of `adaptive_tea` at best-of-min(N, 512) over arms of the same M, in the cells of (M, N)
    that have enough seeds."""
    table = []
    for m in MS:
        for n in NS:
            own, k = select(rows, EXTRAPOLATING, m, n), min(n, 512)
            found = [
                difference(own, select(rows, other, m, n), best_of(k))
                for other in ("grpo", *opponents(m))
            ]
            seeds = min(len(d.by_seed) for d in found)
            if seeds >= FEWEST:
                table.append([str(m), str(n), *(f"{d} ({d.verdict})" for d in found), str(seeds)])
    header = ["M", "N", "over `grpo`", "over `max_at_k`, k = M - 1", "k = M / 2", "seeds"]
    return markdown(header, table)


def arms_table(rows: list[Row], arms: list[tuple[str, float]], m: int) -> str:
    """Means over seeds of everything measured, for arms at one M."""
    table = []
    for name, n in arms:
        own = select(rows, name, m, n)
        if not own:
            continue
        cells = [f"{over_seeds({s: best_of(k)(r) for s, r in own.items()})}" for k in KS]
        cells += [
            f"{np.mean([r['spread'] for r in own.values()]):.2f}",
            f"{np.mean([r['distinct'] for r in own.values()]):.0%}",
            f"{np.mean([r.get('kl', 0.0) for r in own.values()]):.1f}",
            f"{np.mean([judged('mean')(r) for r in own.values()]):.2f}",
            f"{np.mean([judged('best_of_128')(r) for r in own.values()]):.2f}",
            str(len(own)),
        ]
        table.append([f"`{name}`", *cells])
    header = ["arm", *(f"best of {k}" for k in KS), "spread", "distinct", "KL"]
    return markdown([*header, "judge, mean", "judge, winner of 128", "seeds"], table)


def differences_table(rows: list[Row], arms: list[tuple[str, float]], m: int) -> str:
    """Paired differences to `grpo` and to both forms of `max_at_k`, at the values of k.

    Every pair once: an opponent is compared with the opponents before it in the list.
    """
    table = []
    for i, (name, n) in enumerate(arms):
        before = {arm for arm, _ in arms[:i]}
        for other in ("grpo", *opponents(m)):
            first, second = select(rows, name, m, n), select(rows, other, m, n)
            if other not in before or not first or not second:
                continue
            found = [difference(first, second, best_of(k)) for k in KS]
            found.append(difference(first, second, judged("best_of_128")))
            seeds = str(len(found[0].by_seed))
            table.append([f"`{name}`", f"`{other}`", *map(str, found), seeds])
    header = ["arm", "minus", *(f"best of {k}" for k in KS), "judge, winner of 128", "seeds"]
    return markdown(header, table)


def rates_table(rows: list[Row]) -> str:
    """Best-of-128 on validation prompts by learning rate, and which one each arm gets."""
    table = []
    rates = sorted({row["learning_rate"] for row in rows})
    for name in dict.fromkeys(row["estimator"] for row in rows):
        own = {r["learning_rate"]: best_of(128)(r) for r in rows if r["estimator"] == name}
        cells = [f"{own[rate]:.2f}" if rate in own else "" for rate in rates]
        planned = {rate: value for rate, value in own.items() if rate <= PLANNED}
        table.append([f"`{name}`", *cells, f"{max(planned, key=planned.__getitem__):g}"])
    return markdown(["estimator", *(f"{rate:g}" for rate in rates), "used"], table)


def smallest_table(rows: list[Row]) -> str:
    """Best-of-1 and best-of-128 of the smallest experiment, seed by seed."""
    table = []
    for name in dict.fromkeys(row["estimator"] for row in rows):
        own = select(rows, name, 16)
        cells = [", ".join(f"{best_of(k)(row):.2f}" for row in own.values()) for k in (1, 128)]
        table.append([f"`{name}`", *cells])
    return markdown(["arm", "best of 1, seeds 0 and 1", "best of 128"], table)


def hacking_table(rows: list[Row]) -> str:
    """By learning rate: what the reward says of the arms, and what the judge says."""
    table = [
        [
            f"`{row['estimator']}`",
            f"{row['learning_rate']:g}",
            f"{best_of(1)(row):.2f}",
            f"{best_of(128)(row):.2f}",
            f"{judged('mean')(row):.2f}",
            f"{judged('best_of_128')(row):.2f}",
            f"{row['kl']:.1f}",
            f"{row['distinct']:.0%}",
        ]
        for row in sorted(rows, key=lambda r: (r["estimator"], r["learning_rate"]))
    ]
    header = ["arm", "learning rate", "best of 1", "best of 128", "judge, mean"]
    return markdown([*header, "judge, winner of 128", "KL", "distinct"], table)


def regime_table(rows: list[Row]) -> str:
    """At M = 16, N = 128, by learning rate: how far each arm went, and what it gained."""
    table = []
    for rate in sorted({row["learning_rate"] for row in rows}):
        at = [row for row in rows if row["learning_rate"] == rate]
        for name, n in BUDGET_ARMS[1:]:
            own = select(at, name, 16, n)
            if len(own) < FEWEST:
                continue
            cells = [
                "" if name == other else str(difference(own, select(at, other, 16), best_of(128)))
                for other in ("grpo", *opponents(16))
            ]
            kl = np.mean([row["kl"] for row in own.values()])
            table.append(
                [
                    f"{rate:g}",
                    f"`{name}`",
                    f"{kl:.1f}",
                    *(f"{np.mean([best_of(k)(r) for r in own.values()]):.2f}" for k in (1, 8, 128)),
                    f"{np.mean([judged('best_of_128')(r) for r in own.values()]):.2f}",
                    *cells,
                    str(len(own)),
                ]
            )
    header = ["learning rate", "arm", "KL", "best of 1", "best of 8", "best of 128"]
    header += ["judge, winner of 128", "128: minus `grpo`", "minus `max_at_k`"]
    return markdown([*header, "minus `max_at_k(k=8)`", "seeds"], table)


CELLS = ((8, 128), (16, 128), (32, 128), (16, 512))


def gradient_table(results: dict[str, list[list[float]]], reward: str) -> str:
    """Cosine over that of `max_at_k(k=M-1)`, and rollouts needed as a multiple of its, mean over
    prompts, for every estimator of the alignment experiment."""
    names = list(dict.fromkeys(k.split(" ", 3)[3] for k in results if k.split(" ")[0] == reward))
    table = []
    for name in names:
        cells = []
        for m, n in CELLS:
            own, base = (
                results.get(f"{reward} {m} {n} {label}") for label in (name, "max_at_k k=M-1")
            )
            if not own or not base:
                cells.append("")
                continue
            ratio = np.array(own, dtype=float)[:, :2] / np.array(base, dtype=float)[:, :2]
            cosine, snr = ratio.mean(axis=0)
            needed = f"{snr**-2:.2f}" if snr > 0.05 else "never"
            shown = "lost" if np.isnan(cosine) else f"{cosine:.2f}"
            cells.append(f"{shown}, {needed}")
        table.append([f"`{name}`", *cells])
    return markdown(["estimator", *(f"M = {m}, N = {n}" for m, n in CELLS)], table)


def curves_figure(rows: list[Row], arms: list[tuple[str, float]], m: int, path: Path) -> None:
    """Best-of-k against k at one M, mean over seeds, with the interval over seeds as a band."""
    fig = Figure(figsize=(7, 4.4))
    ax = fig.add_subplot()
    colours = iter([BLUE, ORANGE, GREEN, "#CC79A7", "#D55E00", "#56B4E9", "#000000"])
    for name, n in arms:
        own = select(rows, name, m, n)
        if not own:
            continue
        ks = next(iter(own.values()))["ks"]
        points = [over_seeds({s: best_of(k)(r) for s, r in own.items()}) for k in ks]
        mean = np.array([p.mean for p in points])
        half = np.nan_to_num([p.half_width for p in points])
        colour = GREY if name == "start" else next(colours)
        ax.plot(ks, mean, marker="o", markersize=3.5, color=colour, label=name)
        ax.fill_between(ks, mean - half, mean + half, color=colour, alpha=0.12, linewidth=0)
    ax.set_xscale("log", base=2)
    ax.set_xticks(ks, [str(k) for k in ks])
    ax.set_xlabel("k: responses drawn per prompt, the best one kept")
    ax.set_ylabel("reward of the best of k (mean, 95 % over seeds)")
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="lower right")
    fig.tight_layout()
    fig.savefig(path, dpi=150)


def warnings_of(row: Row) -> dict[str, float]:
    """What the training log said, mean over the traced steps."""
    trace = row["trace"]

    def mean(name: str) -> float:
        values = [entry[name] for entry in trace if name in entry]
        return float(np.mean(values)) if values else float("nan")

    return {
        "`supported_tail`": mean("supported_tail"),
        "`max_seen` - `max_predicted`": mean("max_seen") - mean("max_predicted"),
        "`tail_z`": mean("tail_z"),
    }


def warnings_table(rows: list[Row]) -> str:
    """Rank correlation, over runs, of what the log said with the gain over `max_at_k`."""
    from scipy import stats

    table = []
    for estimator in ("adaptive_tea", "tea"):
        said, gains = [], []
        for row in rows:
            base = select(rows, "max_at_k", row["rollouts"]).get(row["seed"])
            if row["estimator"].partition("(")[0] == estimator and base is not None:
                value = best_of(min(row["deploy_n"], 512))
                said.append(warnings_of(row))
                gains.append(value(row) - value(base))
        if len(said) < 8:
            continue
        for name in said[0]:
            x = np.array([each[name] for each in said])
            there = np.isfinite(x)
            found = stats.spearmanr(x[there], np.array(gains)[there])
            cells = [f"{found.statistic:+.2f}", f"{found.pvalue:.2g}", str(there.sum())]
            table.append([f"`{estimator}`", name, *cells])
    return markdown(["arm", "in the log", "rank correlation", "p", "runs"], table)


def fill(text: str, name: str, content: str) -> str:
    """The page with what is between the markers of a table replaced."""
    first, last = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, start, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not start or not end:
        raise ValueError(f"{PAGE} has no markers for {name!r}")
    return f"{before}{first}{content}\n{last}{after}"


def select_core(rows: list[Row]) -> list[Row]:
    """The rows of M = 16."""
    return [row for row in rows if row["rollouts"] == 16 and row["estimator"] != "start"]


def contents() -> dict[str, Any]:
    """Every table of the page, by the name in its markers."""
    budget = load(EXPERIMENTS / "budget" / "results.jsonl")
    rates = load(EXPERIMENTS / "learning_rates" / "results.jsonl")
    alignment = EXPERIMENTS / "gradient_alignment" / "results_start.json"
    return {
        "gradients": gradient_table(json.loads(alignment.read_text()), "neural"),
        "learning rates": rates_table(rates),
        "learning rates, judged": hacking_table(rates),
        "budget": budget_table(budget),
        "arms at 16": arms_table(budget, BUDGET_ARMS, 16),
        "regime": regime_table(
            [*load(EXPERIMENTS / "regime" / "results.jsonl"), *select_core(budget)]
        ),
        "smallest": smallest_table(load(EXPERIMENTS / "smallest" / "results.jsonl")),
        "warnings": warnings_table(budget),
        "differences at 16": differences_table(budget, BUDGET_ARMS, 16),
    }


BUDGET_ARMS: list[tuple[str, float]] = [
    ("start", 128),
    ("grpo", 128),
    ("max_at_k", 128),
    ("max_at_k(k=8)", 128),
    ("tea", 128),
    ("adaptive_tea", 128),
]


def main() -> None:
    FIGURES.mkdir(parents=True, exist_ok=True)
    budget = load(EXPERIMENTS / "budget" / "results.jsonl")
    curves_figure(budget, BUDGET_ARMS, 16, FIGURES / "curves.png")
    text = PAGE.read_text(encoding="utf-8")
    for name, content in contents().items():
        text = fill(text, name, content)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
