"""Tables and the picture of `bontea plan`, from a `Plan`."""

from __future__ import annotations

import math
from typing import Any

from bontea._numbers import fixed, number, percent_of
from bontea.planning import Plan, Row
from bontea.planning.ranking import budget, with_error
from bontea.planning.rows import fastest_of
from bontea.report.bench import COLOURS, MARKERS


def plan_tables(plan: Plan, *, wide: bool = True) -> list[Any]:
    """Rich tables: every estimator at every M, the trade of M against prompts, best-of-N.

    Without `wide` the first leaves out what fits no terminal of 80 columns.
    """
    return [
        _estimators(plan, wide),
        *([_trade(plan)] if len(plan.trade) > 1 else []),
        _deployment(plan),
    ]


def plan_text(plan: Plan) -> list[str]:
    """Paragraphs below the tables; the last one is the recommendation."""
    pilot = plan.pilot
    out = [f"{where}: {reason}." for where, reason in _reasons(plan).items()]
    if pilot is not None:
        out.append(
            f"Pilot: {pilot.rewards:,} rewards of {pilot.prompts:,} prompts, {pilot.kind.name}; ± "
            "holds the error of the pilot, prompts drawn again."
        )
    out += [f"Note: {note}." for note in plan.notes]
    if plan.deployment.message:
        out.append(f"{plan.deployment.message[0].upper()}{plan.deployment.message[1:]}.")
    return [*out, plan.deployment.advice, str(plan.recommendation)]


def _table(title: str, caption: str, columns: list[str]) -> Any:
    from rich.table import Table

    table = Table(title=title, caption=caption, caption_justify="left")
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    return table


def _estimators(plan: Plan, wide: bool) -> Any:
    budgets = wide and any(not math.isnan(row.effective_n) for row in plan.rows)
    cells: dict[str, Any] = {
        "effective N": lambda row: budget(row.effective_n, row.effective_n_standard_error),
        "cosine": lambda row: f"{row.cosine:.3f}",
        "SNR": lambda row: with_error(row.snr, row.snr_standard_error, 3),
        "rollouts": lambda row: "never" if math.isinf(row.times) else _times(row),
        "end": lambda row: _share(row.end_share),
        "prompts x M": lambda row: "never" if math.isinf(row.times) else _step(row),
        "cost": lambda row: "" if row.cost is None else number(row.cost, 4),
    }
    left_out = {
        "effective N": not budgets,
        "cosine": not wide,
        "SNR": not wide,
        "end": all(math.isnan(row.end_share) for row in plan.rows),
        "prompts x M": not wide,
        "cost": plan.price is None,
    }
    shown = [name for name in cells if not left_out.get(name)]
    said = {
        "SNR": "SNR: of a rollout, along the true direction.",
        "rollouts": "rollouts: how many times those of the fastest row (1.00) a step needs for the "
        "same progress, as 1/SNR^2.",
        "end": "end: share of the best possible best-of-N reward (V_N) at which a long training "
        "ends, in a test on normal rewards, not on yours.",
        "effective N": "effective N: the budget really optimised.",
        "cost": "cost: of a step's rollouts, in the unit of the price.",
    }
    caption = " ".join(text for name, text in said.items() if name in shown)
    title = f"N = {number(plan.n)}, {plan.law} rewards"
    table = _table(title, caption, ["estimator", "M", *shown, "note"])
    for m in dict.fromkeys(row.m for row in plan.rows):
        for row in plan.rows:
            if row.m == m:
                known = not math.isnan(row.snr)
                figures = [cells[name](row) if known else "" for name in shown]
                table.add_row(row.estimator, str(m), *figures, _mark(row, plan))
        table.add_section()
    return table


def _step(row: Row) -> str:
    return f"{row.prompts:,.0f} x {row.m}"


def _mark(row: Row, plan: Plan) -> str:
    if row is plan.best:
        return "<- use"
    if not row.admitted:
        return "not admitted"
    return "does not run" if row.reason else ""


def _times(row: Row) -> str:
    return with_error(row.times, row.times_standard_error, 2)


def _share(share: float) -> str:
    return "-" if math.isnan(share) else percent_of(share)


def _trade(plan: Plan) -> Any:
    table = _table(
        f"The choice at each M, in a step of {plan.batch_size:,} rollouts",
        "rollouts: relative to the fewest of these choices. efficiency: what a rollout is worth, "
        "relative to the best M: SNR^2. Not included: prompts differ in their gradients, which "
        "favours many prompts, so a small M.",
        ["M", "prompts", "estimator", "rollouts for the same progress", "efficiency"],
    )
    best = fastest_of(plan.trade)
    for row in plan.trade:
        times, error = (1.0, 0.0) if best is None else row.needs(best)
        table.add_row(
            str(row.m),
            f"{plan.batch_size / row.m:,.0f}",
            row.estimator,
            with_error(times, error, 2),
            percent_of(1 / times),
        )
    return table


def _deployment(plan: Plan) -> Any:
    worth = plan.deployment
    interval = any(not math.isnan(low) for low in worth.low)
    columns = ["N", "best-of-N", *(["95 % interval"] if interval else []), "in sd", "a doubling"]
    columns += [*(["cost of a prompt"] if worth.price is not None else []), ""]
    table = _table(
        "What N is worth in deployment",
        "in sd: above the mean of one response, in standard deviations of a prompt's rewards. a "
        "doubling: what 2N gains over N.",
        columns,
    )
    cost = worth.cost
    for i, n in enumerate(worth.ns):
        table.add_row(
            number(n),
            _number(worth.value[i]),
            *([_interval(worth.low[i], worth.high[i])] if interval else []),
            _number(worth.in_sd[i]),
            _number(worth.gain[i]),
            *([number(cost[i], 4)] if cost is not None else []),
            ("<- N " if n == plan.n else "")
            + ("" if worth.source[i] == "exact" else worth.source[i]),
        )
    return table


def _interval(low: float, high: float) -> str:
    return "-" if math.isnan(low) else f"{_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else fixed(value, 3)


def _reasons(plan: Plan) -> dict[str, str]:
    """Estimators that do not run, those with one reason at one M together."""
    groups: dict[tuple[int, str], list[str]] = {}
    for row in plan.rows:
        if row.reason:
            groups.setdefault((row.m, row.reason), []).append(row.estimator)
    return {f"{', '.join(who)} at M = {m}": reason for (m, reason), who in groups.items()}


def plot_plan(plan: Plan, axes: Any = None) -> tuple[Any, Any]:
    """Rollouts for the same progress against M, and best-of-N against N; `(fig, axes)`."""
    from matplotlib.figure import Figure

    if axes is None:
        fig = Figure(figsize=(12, 4.6), layout="constrained")
        axes = fig.subplots(1, 2, width_ratios=[1.5, 1])
    else:
        fig = axes[0].figure
    _plot_rollouts(plan, axes[0])
    _plot_deployment(plan, axes[1])
    for ax in axes:
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes[1].legend(frameon=False, fontsize=8)
    return fig, axes


def _names(plan: Plan) -> dict[str, list[Row]]:
    """Rows by estimator; `k` differs from M to M, the rest of the label does not."""
    out: dict[str, list[Row]] = {}
    for row in plan.rows:
        name = row.estimator
        if name.endswith(f"(k={row.m - 1})"):
            name = name.replace(f"k={row.m - 1}", "k=M-1")
        if math.isfinite(row.times):
            out.setdefault(name, []).append(row)
    return out


def _plot_rollouts(plan: Plan, ax: Any) -> None:
    from matplotlib.ticker import NullLocator

    for i, (name, rows) in enumerate(_names(plan).items()):
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        x, y = [row.m for row in rows], [row.times for row in rows]
        ax.errorbar(
            x, y, [2 * row.times_standard_error for row in rows], color=colour, capsize=2, lw=1
        )
        for ranked in (True, False):
            ax.plot(
                [row.m for row in rows if row.ranked == ranked],
                [row.times for row in rows if row.ranked == ranked],
                linestyle="none",
                marker=marker,
                color=colour,
                markerfacecolor=colour if ranked else "white",
            )
        ax.plot([], [], color=colour, marker=marker, label=name)
    if any(not row.ranked and math.isfinite(row.times) for row in plan.rows):
        ax.plot([], [], "o", color="#777777", markerfacecolor="white", label="not admitted")
    if plan.best is not None:
        ax.plot(
            [plan.best.m], [plan.best.times], "o", ms=15, mfc="none", color="#000000", label="use"
        )
    sizes = sorted({row.m for row in plan.rows})
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(sizes, [str(m) for m in sizes])
    ax.xaxis.set_minor_locator(NullLocator())
    low, high = ax.get_ylim()
    ticks = [t * 10.0**e for e in range(-1, 7) for t in (1, 1.2, 1.5, 2, 3, 5, 7)]
    ticks = [t for t in ticks if low <= t <= high]
    ax.set_yticks(ticks, [number(t) for t in ticks])
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("M, rollouts per prompt")
    ax.set_ylabel("rollouts for the same progress (best = 1), ± 2 SE")
    ax.set_title(f"N = {number(plan.n)}, {plan.law} rewards", fontsize=10)


def _plot_deployment(plan: Plan, ax: Any) -> None:
    from matplotlib.ticker import NullLocator

    worth = plan.deployment
    ax.plot(worth.ns, worth.value, marker="o", markersize=4, color=COLOURS[0], label="best-of-N")
    ax.fill_between(worth.ns, worth.low, worth.high, color=COLOURS[0], alpha=0.15, linewidth=0)
    ax.axvline(plan.n, color="#999999", linewidth=0.8, linestyle=":", label=f"N = {number(plan.n)}")
    if not math.isnan(worth.enough) and worth.ns[0] <= worth.enough <= worth.ns[-1]:
        ax.axvline(
            worth.enough,
            color=COLOURS[4],
            linewidth=0.8,
            label=f"from here a doubling gains < {number(worth.least_gain, 2)}",
        )
    ax.set_xscale("log", base=2)
    ax.set_xticks(worth.ns, [number(n) for n in worth.ns])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("N, responses drawn when deployed")
    ax.set_ylabel("reward of the best of N")
    ax.set_title("What N is worth", fontsize=10)
