"""Best-of-k curves."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from bontea._numbers import percent_of
from bontea.curves import Curve, Extrapolation

MOST_TICKS = 12
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
"""Okabe-Ito: told apart by people who do not see red and green; the start stays grey."""


def plot_curves(
    curves: Mapping[str, Curve],
    ax: Any = None,
    *,
    n: float | None = None,
    m: int | None = None,
    extrapolations: Mapping[str, Extrapolation] | None = None,
) -> tuple[Any, Any]:
    """Mean best-of-k against k (log axis), one line a model, with its interval as a band.

    `extrapolations`, by the names of `curves`, go on beyond the sample: dashed, with a hatched and
    lighter band; a refused one adds nothing. `n` and `m` mark N and M on the axis.
    Returns `(fig, ax)`.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    if ax is None:
        fig = Figure(figsize=(7, 4.4))
        ax = fig.add_subplot()
    else:
        fig = ax.figure
    colours = iter(PALETTE)
    ks: set[float] = set()
    dashed = False
    for name, curve in curves.items():
        colour = "#777777" if name == "start" else next(colours, "#000000")
        marker = "o" if len(curve.ks) <= MOST_TICKS else None
        ax.plot(
            curve.ks, curve.value, marker=marker, markersize=3.5, color=colour, label=plain(name)
        )
        ax.fill_between(curve.ks, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
        ks |= set(curve.ks.tolist())
        beyond = (extrapolations or {}).get(name)
        if beyond is not None and np.isfinite(beyond.value).any():
            ks |= set(_draw_beyond(ax, curve, beyond, colour))
            dashed = True
    k_axis(ax, ks)
    for value, text in ((m, "M, rollouts in training"), (n, "N, deployed")):
        if value is not None and min(ks) <= value <= max(ks):
            mark_place(ax, value, text)
    shown = list(curves.values())
    what = "pass@k" if all(c.pass_at_k for c in shown) else "reward of the best of k"
    ax.set_xlabel("k: responses drawn per prompt, the best one kept")
    ax.set_ylabel(f"{what} (mean, {percent_of(shown[0].confidence_level)} interval)")
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    handles, _ = ax.get_legend_handles_labels()
    if dashed:
        handles.append(Line2D([], [], color="#777777", linestyle="--", label="extrapolated"))
    ax.legend(handles=handles, frameon=False, loc="upper left")
    return fig, ax


def k_axis(ax: Any, ks: Collection[float]) -> None:
    """The axis of k: doublings, each k where they are few."""
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    ticks = sorted(ks)
    if len(ticks) > MOST_TICKS:
        ticks = [float(2**i) for i in range(64) if ticks[0] <= 2**i <= ticks[-1]]
    ax.set_xscale("log", base=2)
    # Of many doublings every second or third, so that the labels do not touch.
    ax.xaxis.set_major_locator(FixedLocator(ticks[:: 1 + (len(ticks) - 1) // MOST_TICKS]))
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_locator(NullLocator())


def plain(name: str) -> str:
    """A name for Matplotlib, which reads what stands between dollars as mathematics.

    It leaves names that begin with an underscore out of a legend.
    """
    return " " * name.startswith("_") + name.replace("$", r"\$")


def mark_place(ax: Any, x: float, text: str) -> None:
    """A dotted line across the axis at x, and what it is, in small upright letters."""
    ax.axvline(x, color="#999999", linewidth=0.8, linestyle=":")
    ax.annotate(
        text,
        (x, 0.02),
        xycoords=("data", "axes fraction"),
        rotation=90,
        ha="right",
        va="bottom",
        fontsize=7,
        color="#666666",
    )


def _draw_beyond(ax: Any, curve: Curve, beyond: Extrapolation, colour: str) -> list[float]:
    """The extrapolated part, joined to the last point of the curve; returns its N."""
    far = beyond.ns > curve.ks[-1]
    ns, value, low, high = (
        np.append(last, part[far])
        for last, part in (
            (curve.ks[-1], beyond.ns),
            (curve.value[-1], beyond.value),
            (curve.low[-1], beyond.low),
            (curve.high[-1], beyond.high),
        )
    )
    ax.plot(ns, value, linestyle="--", color=colour)
    band = ax.fill_between(ns, low, high, facecolor=colour, alpha=0.07, linewidth=0)
    band.set_hatch("////")
    band.set_edgecolor((*band.get_facecolor()[0][:3], 0.25))
    return ns[1:].tolist()
