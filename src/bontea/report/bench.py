"""Tables and figures of `bontea bench`, from the rows that `bontea.bench` measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bontea._numbers import fixed, number, percent

Rows = list[dict[str, Any]]

TITLES = {
    "direction": "What each estimator optimises on normal rewards",
    "budget": "Effective N against M, asked for N = 128 on normal rewards",
    "laws": "The same on other laws, N = 128 from M = 16",
    "slopes": "Bias and variance against M: raw form, location, N = 128, tail fraction 1/4",
    "frontier": "Risk frontier: share of the best V_N that a policy with one mean style reaches",
    "styles": "The same for a softmax policy over 41 styles",
    "speed": "Milliseconds, and as a multiple of a sort of the same array",
}
NOTES = {
    "direction": (
        "effective N: the budget really optimised. cosine: to the exact gradient, in the Fisher "
        "metric. SNR: of a rollout; rollouts needed go as 1/SNR^2. ± is a standard error."
    ),
    "budget": "effective N ± standard error.",
    "laws": (
        "effective N ± standard error, and SNR. A tail model is right on the first three laws only"
    ),
    "slopes": "slope of log |bias| against log M with its 95 % interval: -1 is order 1/M.",
    "frontier": "mean over seeds and its 95 % interval; 1 is the best policy for best-of-N.",
    "styles": "the policy is free to mix styles, and can exploit an estimator's model.",
    "speed": "least of the repeats; the sort is timed in turn with each estimator.",
}


def bench_tables(tables: dict[str, Rows]) -> list[Any]:
    """A rich table for each measured table, in the order of TITLES."""
    makers = {
        "direction": _direction,
        "budget": _budgets,
        "laws": _laws,
        "slopes": _slopes,
        "frontier": _shares,
        "styles": _shares,
        "speed": _speed,
    }
    return [makers[name](_table(name), tables[name]) for name in TITLES if tables.get(name)]


def _table(name: str) -> Any:
    from rich.table import Table

    return Table(title=TITLES[name], caption=NOTES[name], caption_justify="left")


def _columns(table: Any, names: list[str]) -> None:
    for i, name in enumerate(names):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)


def _cell(value: float | None, digits: int = 3) -> str:
    """A number for a table; a dash for none."""
    if value is None:
        return "-"
    return number(value, 4) if abs(value) >= 1000 else fixed(value, digits)


def _by_estimator(rows: Rows, key: Callable[[dict[str, Any]], Any]) -> dict[str, dict[Any, Any]]:
    """The rows of every estimator, in the order they came, by the column each stands in."""
    cells: dict[str, dict[Any, Any]] = {}
    for row in rows:
        cells.setdefault(row["estimator"], {})[key(row)] = row
    return cells


def _settings(rows: Rows) -> list[tuple[int, int]]:
    return list(dict.fromkeys((row["N"], row["M"]) for row in rows))


def _direction(table: Any, rows: Rows) -> Any:
    _columns(table, ["estimator", "N", "M", "effective N", "cosine", "SNR"])
    for n, m in _settings(rows):
        for row in rows:
            if (row["N"], row["M"]) == (n, m):
                table.add_row(
                    row["estimator"],
                    str(n),
                    str(m),
                    _budget(row),
                    f"{row['cosine']:.4f} ± {row['cosine se']:.4f}",
                    f"{row['SNR']:.3f} ± {row['SNR se']:.3f}",
                )
        table.add_section()
    return table


def _budgets(table: Any, rows: Rows) -> Any:
    sizes = sorted({row["M"] for row in rows})
    _columns(table, ["estimator", *(f"M={m}" for m in sizes)])
    for name, cells in _by_estimator(rows, lambda row: row["M"]).items():
        table.add_row(
            name,
            *(_budget(cells[m]) if m in cells else "" for m in sizes),
        )
    return table


def _laws(table: Any, rows: Rows) -> Any:
    names = list(dict.fromkeys(row["estimator"] for row in rows))
    _columns(table, ["law", *names])
    for law in dict.fromkeys(row["law"] for row in rows):
        cells = {row["estimator"]: row for row in rows if row["law"] == law}
        table.add_row(
            law,
            *(f"{_budget(cells[n])} | {cells[n]['SNR']:.2f}" for n in names),
        )
    return table


def _budget(row: dict[str, Any]) -> str:
    value, error = row["effective N"], row["effective N se"]
    if value is None:
        return "beyond 1e9"
    return f"{_cell(value, 1)} ± {'?' if error is None else _cell(error, 1)}"


def _slopes(table: Any, rows: Rows) -> Any:
    sizes = sorted({row["M"] for row in rows})
    _columns(table, ["estimator", *(f"bias, M={m}" for m in sizes), "bias slope", "variance slope"])
    for name, cells in _by_estimator(rows, lambda row: row["M"]).items():
        one = next(iter(cells.values()))
        table.add_row(
            name,
            *(
                f"{cells[m]['bias']:.4f} ± {cells[m]['bias se']:.4f}" if m in cells else ""
                for m in sizes
            ),
            f"{_cell(one['bias slope'], 2)} [{_cell(one['slope low'], 2)}, "
            f"{_cell(one['slope high'], 2)}]",
            _cell(one["variance slope"], 2),
        )
    return table


def _shares(table: Any, rows: Rows) -> Any:
    settings = _settings(rows)
    _columns(table, ["estimator", *(f"N={n} M={m}" for n, m in settings)])
    for name, cells in _by_estimator(rows, lambda row: (row["N"], row["M"])).items():
        table.add_row(
            name,
            *(
                f"{percent(cells[s]['share'])} [{percent(cells[s]['low'])}, "
                f"{percent(cells[s]['high'])}]"
                if s in cells
                else ""
                for s in settings
            ),
        )
    return table


def _speed(table: Any, rows: Rows) -> Any:
    keys = list(dict.fromkeys((row["library"], row["M"]) for row in rows))
    _columns(table, ["estimator", *(f"{library} M={m}" for library, m in keys)])
    for name, cells in _by_estimator(rows, lambda row: (row["library"], row["M"])).items():
        table.add_row(
            name,
            *(
                f"{cells[k]['min_ms']:.2f} ms  {cells[k]['ratio']:.1f}x" if k in cells else ""
                for k in keys
            ),
        )
    return table


# --- figures -----------------------------------------------------------------------------------

# Okabe-Ito, told apart without seeing red and green; markers tell the rest apart.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000"]
MARKERS = "osD^vP*X<>hp"


def _axis(ax: Any) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    if ax is not None:
        return ax.figure, ax
    fig = Figure(figsize=(7, 4.6), layout="constrained")
    return fig, fig.add_subplot()


def _finish(ax: Any, x: str, y: str, *, legend: bool = True) -> None:
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    if legend:
        ax.legend(frameon=False, fontsize=8)


def plot_bias(rows: Rows, ax: Any = None) -> tuple[Any, Any]:
    """|bias| of the location against M on log axes, with the fitted slopes in the legend."""
    fig, ax = _axis(ax)
    names = dict.fromkeys(row["estimator"] for row in rows)
    for name, colour, marker in zip(names, COLOURS, MARKERS, strict=False):
        mine = [row for row in rows if row["estimator"] == name]
        x, y = [row["M"] for row in mine], [abs(row["bias"]) for row in mine]
        error = [2 * row["bias se"] for row in mine]
        label = f"{name}: slope {mine[0]['bias slope']:.2f}"
        ax.errorbar(x, y, error, color=colour, marker=marker, capsize=2, label=label)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", nonpositive="clip")
    _finish(ax, "M, rollouts per prompt", "|bias| of the location gradient (truth 1), ± 2 SE")
    return fig, ax


def plot_noise(rows: Rows, ax: Any = None) -> tuple[Any, Any]:
    """SNR against cosine, one point an estimator, for the first setting of the rows."""
    fig, ax = _axis(ax)
    n, m = _settings(rows)[0]
    for i, row in enumerate(r for r in rows if (r["N"], r["M"]) == (n, m)):
        style = {"color": COLOURS[i % 7], "marker": MARKERS[i % 12], "linestyle": "none"}
        ax.plot(row["cosine"], row["SNR"], label=row["estimator"], **style)
    ax.set_title(f"normal rewards, N = {n}, M = {m}: right and above is better", fontsize=10)
    _finish(ax, "cosine to the gradient of best-of-N", "signal-to-noise of a rollout", legend=False)
    ax.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return fig, ax


def plot_budget(rows: Rows, ax: Any = None) -> tuple[Any, Any]:
    """Effective N against M on log axes, one line an estimator."""
    fig, ax = _axis(ax)
    names = dict.fromkeys(row["estimator"] for row in rows)
    for i, name in enumerate(names):
        mine = [row for row in rows if row["estimator"] == name and row["effective N"]]
        x, y = [row["M"] for row in mine], [row["effective N"] for row in mine]
        ax.plot(x, y, color=COLOURS[i % 7], marker=MARKERS[i % 12], markersize=5, label=name)
    n = rows[0]["N"]
    ax.axhline(n, color="#777777", linewidth=0.8)
    ax.annotate(f"N = {n}", (rows[0]["M"], n), va="bottom", fontsize=8, color="#666666")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    _finish(ax, "M, rollouts per prompt", "effective N: the budget really optimised")
    return fig, ax


def plot_shares(rows: Rows, ax: Any = None) -> tuple[Any, Any]:
    """Share of the best V_N with its interval, one row an estimator."""
    fig, ax = _axis(ax)
    settings = _settings(rows)
    names = list(dict.fromkeys(row["estimator"] for row in rows))
    for j, (n, m) in enumerate(settings):
        mine = [(names.index(r["estimator"]), r) for r in rows if (r["N"], r["M"]) == (n, m)]
        mean = [r["share"] for _, r in mine]
        error = [
            [r["share"] - r["low"] for _, r in mine],
            [r["high"] - r["share"] for _, r in mine],
        ]
        ax.errorbar(
            mean,
            [i + 0.2 * j for i, _ in mine],
            xerr=error,
            linestyle="none",
            marker=MARKERS[j],
            markersize=4,
            color=COLOURS[j % 7],
            label=f"N = {n}, M = {m}",
        )
    ax.set_yticks(range(len(names)), names, fontsize=7)
    ax.invert_yaxis()
    ax.axvline(1, color="#777777", linewidth=0.8)
    _finish(ax, "share of the best V_N (95 % interval over seeds)", "")
    return fig, ax


FIGURES = {
    "bias_against_m": ("slopes", plot_bias),
    "snr_against_cosine": ("direction", plot_noise),
    "effective_n_against_m": ("budget", plot_budget),
    "frontier": ("frontier", plot_shares),
    "styles": ("styles", plot_shares),
}
"""File name -> the table it draws, and how."""
