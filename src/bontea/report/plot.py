"""Best-of-k curves."""

from __future__ import annotations

from typing import Any

from bontea.curves import Curve


def plot_curves(
    curves: dict[str, Curve],
    ax: Any = None,
    *,
    deploy_n: float | None = None,
    rollouts: int | None = None,
) -> tuple[Any, Any]:
    """Mean best-of-k against k (log axis), one line a model, with its interval as a band.

    `deploy_n` and `rollouts` mark N and M on the axis. Returns `(fig, ax)`.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator, ScalarFormatter

    if ax is None:
        fig = Figure(figsize=(7, 4.4))
        ax = fig.add_subplot()
    else:
        fig = ax.figure
    # Okabe-Ito: told apart by people who do not see red and green; the start stays grey.
    colours = iter(["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000"])
    for name, curve in curves.items():
        colour = "#777777" if name == "start" else next(colours, "#000000")
        ax.plot(curve.ks, curve.value, marker="o", markersize=3.5, color=colour, label=name)
        ax.fill_between(curve.ks, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
    ax.set_xscale("log", base=2)
    ks = sorted({int(k) for curve in curves.values() for k in curve.ks})
    ax.set_xticks(ks)
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_locator(NullLocator())
    for value, text in ((rollouts, "M, rollouts in training"), (deploy_n, "N, deployed")):
        if value is not None and ks[0] <= value <= ks[-1]:
            ax.axvline(value, color="#999999", linewidth=0.8, linestyle=":")
            ax.annotate(
                text,
                (value, 0.02),
                xycoords=("data", "axes fraction"),
                rotation=90,
                ha="right",
                va="bottom",
                fontsize=7,
                color="#666666",
            )
    level = next(iter(curves.values())).confidence_level
    ax.set_xlabel("k: responses drawn per held-out prompt, the best one kept")
    ax.set_ylabel(f"reward of the best of k (mean, {level:.0%} interval)")
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="upper left")
    return fig, ax
