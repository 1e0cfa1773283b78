"""The tables and figures of docs/results.md, from the result files of the experiments.

    python benchmarks/figures/results.py        # or: make figures

Tables go between their markers in the page, figures into docs/figures/results. Nothing is run: a
table has a row for what `results.jsonl` holds, and says how many seeds that is.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from bontea._numbers import fixed, number, percent_of

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "benchmarks" / "experiments"
sys.path.insert(0, str(EXPERIMENTS / "training"))
sys.path.insert(0, str(Path(__file__).parent))

import gradient_tables  # noqa: E402
from gradient_tables import markdown  # noqa: E402
from summary import (  # noqa: E402
    Difference,
    Row,
    best_of,
    difference,
    judged,
    load,
    over_seeds,
    pooled,
    select,
)

PAGE = ROOT / "docs" / "results.md"
FIGURES = ROOT / "docs" / "figures" / "results"
KS = (1, 8, 64, 128, 512)
MS, NS = (4, 8, 16, 32), (32, 128, 512, 2048)
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#777777"
EXTRAPOLATING = "adaptive_tea"
FEWEST = 3
"""Seeds that a cell needs to be shown."""
NEAR = 5e-5
"""The learning rate that goes about one nat from the start."""
LORA = 4e-4
"""The rate of SmolLM2 at which all arms are compared, and `grpo` with those that go as far."""
PLANNED = 2e-4
"""The largest learning rate of the plan; a larger one was tried and is not used."""


def opponents(m: int) -> tuple[str, str]:
    """`max_at_k` with k = M - 1 and with k = M / 2."""
    return "max_at_k", f"max_at_k(k={m // 2})"


def rates_of(rows: list[Row]) -> list[float]:
    """The learning rates that something was trained at."""
    return sorted({row["learning_rate"] for row in rows if row["estimator"] != "start"})


def mean_of(runs: dict[int, Row], value: Callable[[Row], float]) -> float:
    """Mean over seeds."""
    return float(np.mean([value(row) for row in runs.values()]))


def cells(rows: list[Row]) -> dict[tuple[int, int], dict[str, Difference]]:
    """For every (M, N) with enough seeds: `adaptive_tea` minus `grpo` and both `max_at_k`, at
    best-of-min(N, 512)."""
    out = {}
    for m in MS:
        for n in NS:
            own, k = select(rows, EXTRAPOLATING, m, n), min(n, 512)
            found = {
                other: difference(own, select(rows, other, m, n), best_of(k))
                for other in ("grpo", *opponents(m))
            }
            if min(len(d.by_seed) for d in found.values()) >= FEWEST:
                out[m, n] = found
    return out


def budget_table(rows: list[Row]) -> str:
    """Gain of `adaptive_tea` over arms of the same M, in the cells of (M, N), and of `max_at_k`."""
    table = []
    for (m, n), found in cells(rows).items():
        seeds = min(len(d.by_seed) for d in found.values())
        shown = [f"{d} ({d.verdict})" for d in found.values()]
        table.append([str(m), str(n), *shown, str(seeds)])
    header = ["M", "N", "over `grpo`", "over `max_at_k`, k = M - 1", "k = M / 2", "seeds"]
    return markdown(header, table)


def pooled_table(rows: list[Row]) -> str:
    """The same over several cells, and `max_at_k` with k = M / 2 against k = M - 1."""
    found = cells(rows)
    groups: dict[str, list[tuple[int, int]]] = {"all cells": list(found)}
    for m in MS:
        groups[f"M = {m}"] = [cell for cell in found if cell[0] == m]
    for n in NS:
        groups[f"N = {n:,}"] = [cell for cell in found if cell[1] == n]
    for low, high in ((1, 8), (16, 32), (64, 128), (256, 512)):
        groups[f"N / M = {low} to {high}"] = [c for c in found if low <= c[1] / c[0] <= high]
    table = []
    for name, own in groups.items():
        if not own:
            continue
        by_opponent = [pooled([list(found[cell].values())[i] for cell in own]) for i in range(3)]
        halves = [
            difference(*(select(rows, o, m) for o in opponents(m)[::-1]), best_of(min(n, 512)))
            for m, n in own
        ]
        seeds = by_opponent[0].by_seed
        half = over_seeds({s: v for s, v in pooled(halves).by_seed.items() if s in seeds})
        row = [f"{d} ({d.verdict})" for d in [*by_opponent, half]]
        table.append([name, *row, str(len(seeds))])
    header = ["", "`adaptive_tea` over `grpo`", "over `max_at_k`, k = M - 1", "over k = M / 2"]
    return markdown([*header, "k = M / 2 over k = M - 1", "seeds"], table)


def trained_for_table(rows: list[Row]) -> str:
    """`adaptive_tea` trained for another N minus the same trained for N = 128, by M and pooled."""
    table = []
    for n in (n for n in NS if n != 128):
        found = {
            m: [
                difference(*(select(rows, EXTRAPOLATING, m, own) for own in (n, 128)), best_of(k))
                for k in KS
            ]
            for m in MS
        }
        if any(len(own[0].by_seed) < FEWEST for own in found.values()):
            continue
        together = [pooled([own[i] for own in found.values()]) for i in range(len(KS))]
        for m, own in [*found.items(), ("all", together)]:
            table.append([f"{n:,}", str(m), *map(str, own), str(len(own[0].by_seed))])
    return markdown(["N", "M", *(f"best of {k}" for k in KS), "seeds"], table)


def foretold_table(rows: list[Row], gradients: gradient_tables.Results) -> str:
    """Rank correlation, over estimators, of what the gradient at the start says with training.

    Arms of M = 16, N = 128; cosine and directional SNR of the reward they train on, mean over
    prompts. Beside it, how far training went. Of all estimators, then without those for the mean.
    """
    from scipy import stats

    labels = {
        "rloo": "reinforce",  # in direction and noise
        "max_at_k": "max_at_k(k=M-1)",
        "max_at_k(k=8)": "max_at_k(k=8)",
        "max_at_k(k=4)": "max_at_k(k=4)",
        "pkpo_loo(k=16)": "pkpo_loo(k=M)",
        "tea(alpha=0.5)": "tea(alpha=0.5)",
        "linear_tea(alpha=0.5)": "linear_tea(alpha=0.5)",
    }
    every = [name for name, scale in arms_of(rows) if scale == "batch"]
    columns: list[str] = []
    table: dict[str, list[str]] = {}
    for names in (every, [name for name in every if name not in ("grpo", "rloo")]):
        said = np.array(
            [
                np.mean(gradients[f"distilled 16 128 {labels.get(name, name)}"], axis=0)[:2]
                for name in names
            ]
        )
        readings = {
            "cosine at the start": said[:, 0],
            "directional SNR at the start": said[:, 1],
            "KL after training": [
                mean_of(select(rows, name, 16), lambda row: row["kl"]) for name in names
            ],
        }
        for k in (8, 128, 512):
            got = [mean_of(select(rows, name, 16), best_of(k)) for name in names]
            columns.append(f"best of {k}, {len(names)} estimators")
            for what, x in readings.items():
                table.setdefault(what, []).append(fixed(stats.spearmanr(x, got).statistic, 2, "+"))
    return markdown(["", *columns], [[what, *cells] for what, cells in table.items()])


def budget_figure(rows: list[Row], path: Path) -> None:
    """The gain of `adaptive_tea` by M and N, over `grpo` and over both forms of `max_at_k`."""
    found = cells(rows)
    ns = sorted({n for _, n in found})
    fig = Figure(figsize=(9, 3.4))
    titles = ["over grpo", "over max_at_k, k = M - 1", "over max_at_k, k = M / 2"]
    for i, title in enumerate(titles):
        ax = fig.add_subplot(1, 3, i + 1)
        shown = {cell: list(d.values())[i] for cell, d in found.items()}
        values = [[shown[m, n].mean if (m, n) in shown else np.nan for n in ns] for m in MS]
        ax.imshow(values, cmap="PuOr_r", vmin=-0.5, vmax=0.5, aspect="auto")
        for (m, n), d in shown.items():
            sign = "*" if d.verdict in ("gain", "loss") else ""
            text = f"{fixed(d.mean, 2, '+')}{sign}\n± {d.half_width:.2f}"
            ax.text(ns.index(n), MS.index(m), text, ha="center", va="center", fontsize=8)
        ax.set_xticks(range(len(ns)), [f"{n:,}" for n in ns])
        ax.set_yticks(range(len(MS)), [str(m) for m in MS])
        ax.set_xlabel("N, deployed")
        ax.set_ylabel("M, rollouts in training")
        ax.set_title(f"adaptive_tea {title}", fontsize=9)
    fig.tight_layout()
    fig.savefig(path, dpi=150)


def arms_table(rows: list[Row], arms: list[tuple[str, float]], m: int) -> str:
    """Means over seeds of everything measured, for arms at one M."""
    table = []
    for name, n in arms:
        own = select(rows, name, m, n)
        if not own:
            continue
        cells = [f"{over_seeds({s: best_of(k)(r) for s, r in own.items()})}" for k in KS]
        cells += [
            f"{mean_of(own, lambda row: row['spread']):.2f}",
            percent_of(mean_of(own, lambda row: row["distinct"])),
            f"{mean_of(own, lambda row: row.get('kl', 0.0)):.1f}",
            f"{mean_of(own, judged('mean')):.2f}",
            f"{mean_of(own, judged('best_of_128')):.2f}",
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
    rates = rates_of(rows)
    for name in dict.fromkeys(row["estimator"] for row in rows):
        own = {r["learning_rate"]: best_of(128)(r) for r in rows if r["estimator"] == name}
        cells = [f"{own[rate]:.2f}" if rate in own else "" for rate in rates]
        planned = {rate: value for rate, value in own.items() if rate <= PLANNED}
        table.append([f"`{name}`", *cells, number(max(planned, key=planned.__getitem__))])
    return markdown(["estimator", *(number(rate) for rate in rates), "picked by the rule"], table)


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
            number(row["learning_rate"]),
            f"{best_of(1)(row):.2f}",
            f"{best_of(128)(row):.2f}",
            f"{judged('mean')(row):.2f}",
            f"{judged('best_of_128')(row):.2f}",
            f"{row['kl']:.1f}",
            percent_of(row["distinct"]),
        ]
        for row in sorted(rows, key=lambda r: (r["estimator"], r["learning_rate"]))
    ]
    header = ["arm", "learning rate", "best of 1", "best of 128", "judge, mean"]
    return markdown([*header, "judge, winner of 128", "KL", "distinct"], table)


def gains_table(
    rows: list[Row],
    arms: list[tuple[str, str]],
    m: int,
    *,
    n: float = 128,
    k: int = 128,
    within_rates: bool = True,
) -> str:
    """One row an arm, however few its seeds: where it went, and best-of-k minus that of three
    opponents.

    `arms` are names with an advantage scale; rates that differ are compared within each, unless
    every arm has its own. The start has no gains, and an opponent that was not run no column.
    """
    table = []
    others = [o for o in ("grpo", *opponents(m)) if any(row["estimator"] == o for row in rows)]
    has_judge = any("judge" in row for row in rows)
    rates = rates_of(rows)
    parts = [[row for row in rows if row["learning_rate"] == rate] for rate in rates]
    for at in parts if within_rates else [rows]:
        for name, scale in arms:
            own = select(at, name, m, n, scale)
            if not own:
                continue
            gains = [
                ""
                if name == "start" or (name, scale) == (other, "batch")
                else str(difference(own, select(at, other, m), best_of(k)))
                for other in others
            ]
            table.append(
                [
                    *([number(rates_of(list(own.values()))[0])] if len(rates) > 1 else []),
                    f"`{name}`" + (f", scale {scale}" if scale != "batch" else ""),
                    f"{mean_of(own, lambda row: row.get('kl', 0.0)):.1f}",
                    *(f"{mean_of(own, best_of(i)):.2f}" for i in (1, 8, k)),
                    *([f"{mean_of(own, judged('best_of_128')):.2f}"] if has_judge else []),
                    *gains,
                    str(len(own)),
                ]
            )
    header = [*(["learning rate"] if len(rates) > 1 else []), "arm", "KL", "best of 1", "best of 8"]
    header += [f"best of {k}", *(["judge, winner of 128"] if has_judge else [])]
    minus = [f"minus `{other}`" for other in others]
    minus[0] = f"{k}: {minus[0]}"
    return markdown([*header, *minus, "seeds"], table)


def over_grpo_table(settings: dict[str, tuple[list[Row], float]]) -> str:
    """Two best-of-N arms minus `grpo` by setting (rows of M = 16, and N), and how far all went."""
    table = []
    for name, (rows, n) in settings.items():
        grpo = select(rows, "grpo", 16, n)
        for arm, rate in itertools.product(("max_at_k(k=8)", EXTRAPOLATING), rates_of(rows)):
            own = select([row for row in rows if row["learning_rate"] == rate], arm, 16, n)
            if not own:
                continue
            far = [f"{mean_of(runs, lambda row: row['kl']):.1f}" for runs in (grpo, own)]
            gains = [difference(own, grpo, best_of(k)) for k in (1, 8, 128)]
            gains.append(difference(own, grpo, judged("best_of_128")))
            seeds = str(len(gains[0].by_seed))
            table.append([name, f"`{arm}`", number(rate), *far, *map(str, gains), seeds])
    header = ["setting", "arm", "learning rate", "KL of `grpo`", "KL", "best of 1: minus `grpo`"]
    return markdown([*header, "best of 8", "best of 128", "judge, winner of 128", "seeds"], table)


def run_away_table(rows: list[Row], far: float = 10) -> str:
    """By arm and learning rate: how many runs went more than `far` nats, and where these ended."""
    table = []
    for name, rate in itertools.product(
        dict.fromkeys(row["estimator"] for row in rows), rates_of(rows)
    ):
        own = [row for row in rows if (row["estimator"], row["learning_rate"]) == (name, rate)]
        if not own or name == "start":
            continue
        kinds = [row["kl"] > far for row in own]
        cells = [
            f"{np.mean(values):.1f}" if values else ""
            for gone in (False, True)
            for value in (lambda row: row["kl"], best_of(128), judged("best_of_128"))
            for values in [[value(row) for row, k in zip(own, kinds, strict=True) if k == gone]]
        ]
        table.append([f"`{name}`", number(rate), f"{sum(kinds)} of {len(own)}", *cells])
    header = ["arm", "learning rate", "ran away"]
    for which in ("others", "these"):
        header += [f"{which}: KL", "best of 128", "judge, winner of 128"]
    return markdown(header, table)


def prompts_ahead(first: dict[int, Row], second: dict[int, Row], k: int) -> str:
    """On how many prompts the first is ahead at best-of-k, mean over seeds; empty if unknown."""
    both = [seed for seed in first if seed in second]
    at = [
        np.mean([np.array(arm[s]["best_of_k"])[:, arm[s]["ks"].index(k)] for s in both], axis=0)
        for arm in (first, second)
    ]
    return f", {np.sum(at[0] > at[1])} of {len(at[0])}" if len(at[0]) > 1 else ""


def robustness_table(settings: dict[str, tuple[list[Row], int, int]]) -> str:
    """`adaptive_tea` against its opponents at best-of-N in other settings: rows, M, N."""
    table = []
    for name, (rows, m, n) in settings.items():
        own, shown, seeds = select(rows, EXTRAPOLATING, m, n), [], []
        for other in ("grpo", *opponents(m)):
            against = select(rows, other, m, n)
            found = difference(own, against, best_of(n))
            seeds.append(len(found.by_seed))
            if seeds[-1] >= FEWEST:
                shown.append(f"{found} ({found.verdict}{prompts_ahead(own, against, n)})")
        if len(shown) == len(seeds):
            count = str(seeds[0]) if len(set(seeds)) == 1 else ", ".join(map(str, seeds))
            table.append([name, *shown, count])
    header = ["setting", "over `grpo`", "over `max_at_k`, k = M - 1", "over k = M / 2", "seeds"]
    return markdown(header, table)


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
    """Rank correlation, over runs, of what the log said with the gain over `max_at_k`, where there
    are at least 8. Runs of one M and seed share their opponent, so there is no p value."""
    from scipy import stats

    table = []
    rates = rates_of(rows)
    for estimator, rate in itertools.product(("adaptive_tea", "tea"), rates):
        at, said, gains = [row for row in rows if row["learning_rate"] == rate], [], []
        for row in at:
            base = select(at, "max_at_k", row["rollouts"]).get(row["seed"])
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
            cells = [fixed(found.statistic, 2, "+"), str(there.sum())]
            table.append([f"`{estimator}`", number(rate), name, *cells])
    header = ["arm", "learning rate", "in the log", "rank correlation", "runs"]
    return markdown(header, table)


def fill(text: str, name: str, content: str) -> str:
    """The page with what is between the markers of a table replaced."""
    first, last = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, start, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not start or not end:
        raise ValueError(f"{PAGE} has no markers for {name!r}")
    return f"{before}{first}{content}\n{last}{after}"


CORE: list[tuple[str, float]] = [
    ("start", 128),
    ("grpo", 128),
    ("max_at_k", 128),
    ("max_at_k(k=8)", 128),
    ("tea", 128),
    ("adaptive_tea", 128),
]


def arms_of(rows: list[Row]) -> list[tuple[str, str]]:
    """Every arm of the rows with its advantage scale, as a list for `gains_table`."""
    names = [(row["estimator"], row.get("scale", "batch")) for row in rows]
    return [each for each in dict.fromkeys(names) if each[0] != "start"]


def as_far_as_grpo(rows: list[Row], rate: float) -> list[Row]:
    """`grpo` at one rate, and the arms that have rates of their own at which to go as far."""
    return [row for row in rows if (row["learning_rate"] == rate) == (row["estimator"] == "grpo")]


def at_16(rows: list[Row]) -> list[Row]:
    """The rows of M = 16 and N = 128."""
    return [row for row in rows if row["rollouts"] == 16 and row["deploy_n"] == 128]


def contents() -> dict[str, str]:
    """Every table of the page, by the name in its markers."""
    found = {
        name: load(EXPERIMENTS / name / "results.jsonl")
        for name in (
            "budget", "regime", "learning_rates", "estimators", "equal_distance", "verifier",
            "second_policy", "contrast", "smollm2", "smallest", "embedded_job", "few_rollouts",
        )
    }  # fmt: skip
    few_steps = load(EXPERIMENTS / "few_rollouts" / "results_few_steps.jsonl")
    few_contrast = load(EXPERIMENTS / "contrast" / "results_few_rollouts.jsonl")
    near, larger = at_16(found["budget"]), at_16(found["regime"])
    far = [row for row in larger if row["learning_rate"] == PLANNED]
    every, equal = [*near, *found["estimators"]], found["equal_distance"]
    verifier, contrast = (
        [row for row in found[name] if row["learning_rate"] == NEAR]
        for name in ("verifier", "contrast")
    )
    as_far = as_far_as_grpo(found["contrast"], NEAR)
    smollm2 = [row for row in found["smollm2"] if row["learning_rate"] == LORA]
    smollm2_far = as_far_as_grpo(found["smollm2"], LORA)
    smollm2_arms = [("start", "batch"), *arms_of(smollm2)]
    start = [row for row in near if row["estimator"] == "start"]
    core, gradients = [(name, "batch") for name, _ in CORE[1:]], gradient_tables.start()
    return {
        "learning rates": rates_table(found["learning_rates"]),
        "learning rates, judged": hacking_table(found["learning_rates"]),
        "budget": budget_table(found["budget"]),
        "pooled": pooled_table(found["budget"]),
        "trained for": trained_for_table(found["budget"]),
        "arms at 16": arms_table(near, CORE, 16),
        "differences at 16": differences_table(near, CORE, 16),
        "estimators": gains_table(every, arms_of(every), 16),
        "foretold": foretold_table(every, gradients),
        "equally far": gains_table(equal, arms_of(equal), 16, within_rates=False),
        "foretold, equally far": foretold_table(equal, gradients),
        "regime": gains_table([*near, *larger], core, 16),
        "arms far away": arms_table([*start, *far], CORE, 16),
        "differences far away": differences_table(far, CORE, 16),
        "verifier": gains_table(found["verifier"], arms_of(found["verifier"]), 8, n=32, k=32),
        "contrast": gains_table(contrast, arms_of(contrast), 16),
        "contrast, equally far": gains_table(as_far, arms_of(as_far), 16, within_rates=False),
        "contrast, run away": run_away_table(found["contrast"]),
        "second policy": gains_table(found["second_policy"], arms_of(found["second_policy"]), 16),
        "smollm2": gains_table(smollm2, smollm2_arms, 16, n=512),
        "smollm2, equally far": gains_table(
            smollm2_far, arms_of(smollm2_far), 16, n=512, within_rates=False
        ),
        "few rollouts": over_grpo_table(
            {
                "`distilled`, 80 x 96": (equal, 128),
                "`distilled`, 8 x 896": (few_steps, 128),
                "`distilled`, 8 x 48": (found["few_rollouts"], 128),
                "`contrast`, 80 x 96": (as_far, 128),
                "`contrast`, 8 x 48": (few_contrast, 128),
                "SmolLM2, 8 x 48": (smollm2_far, 512),
            }
        ),
        "robustness": robustness_table(
            {
                "`distilled`, one nat": (near, 16, 128),
                "`distilled`, more than ten nats": (far, 16, 128),
                "the embedded reward, `bontea train`": (found["embedded_job"], 16, 128),
                "another policy": (found["second_policy"], 16, 128),
                "a likelihood ratio (nats; spread 4.7)": (contrast, 16, 128),
                "0/1 reward, pass@32": (verifier, 8, 32),
            }
        ),
        "smallest": smallest_table(found["smallest"]),
        "warnings": warnings_table([*found["budget"], *found["regime"]]),
        **gradient_tables.contents(),
    }


def main() -> None:
    FIGURES.mkdir(parents=True, exist_ok=True)
    budget = load(EXPERIMENTS / "budget" / "results.jsonl")
    curves_figure(at_16(budget), CORE, 16, FIGURES / "curves.png")
    budget_figure(budget, FIGURES / "budget.png")
    text = PAGE.read_text(encoding="utf-8")
    for name, content in contents().items():
        text = fill(text, name, content)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
