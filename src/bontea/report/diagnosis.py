"""Figures of a diagnosis: the QQ of the upper half, and how the tail ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bontea._errors import BonteaError
from bontea._numbers import percent
from bontea.report.plot import mark_place

if TYPE_CHECKING:
    from bontea.diagnosis.pareto import ParetoFinding
    from bontea.diagnosis.qq import QQFinding
    from bontea.planning import Diagnosis

_ENDS = {"normal": "as a normal one", "heavier": "heavier", "lighter": "lighter"}
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#777777"  # Okabe-Ito


def plot_qq(qq: QQFinding, ax: Any = None) -> tuple[Any, Any]:
    """Seen against expected quantiles of the pooled upper half, with the band of normal rewards.

    Points inside the band are blue, those outside vermilion crosses. Returns `(fig, ax)`.
    """
    fig, ax = _axis(ax)
    inside = (qq.low <= qq.seen) & (qq.seen <= qq.high)
    ax.fill_between(
        qq.expected, qq.low, qq.high, color=GREY, alpha=0.25, linewidth=0, label="95 % of normal"
    )
    ax.plot(qq.expected, qq.expected, color=GREY, linewidth=0.8, linestyle="--")
    for where, colour, marker, label in (
        (inside, BLUE, "o", "inside"),
        (~inside, VERMILION, "x", "outside"),
    ):
        if where.any():
            ax.plot(
                qq.expected[where],
                qq.seen[where],
                color=colour,
                marker=marker,
                markersize=4,
                linestyle="none",
                label=label,
            )
    tenth = np.interp(1.2816, qq.scores, qq.expected)
    hundredth = np.interp(2.3263, qq.scores, qq.expected)
    for x, text in ((tenth, "best 10 %"), (hundredth, "best 1 %")):
        mark_place(ax, x, text)
    ax.set_title(
        f"correlation {qq.correlation.value:.4f} (normal: {qq.correlation.band[0]:.4f} or more)",
        fontsize=9,
    )
    _finish(ax, "normal rewards in the same groups", "these rewards, in tail units")
    return fig, ax


def plot_shapes(pareto: ParetoFinding, ax: Any = None) -> tuple[Any, Any]:
    """Generalised Pareto shape against the share of rewards it is fitted on, and a normal tail's.

    Returns `(fig, ax)`.
    """
    fig, ax = _axis(ax)
    there = np.isfinite(pareto.shapes)
    x = np.arange(there.sum())
    ax.fill_between(
        x,
        pareto.low[there],
        pareto.high[there],
        color=GREY,
        alpha=0.25,
        linewidth=0,
        label="95 % of normal",
    )
    ax.plot(x, pareto.expected[there], color=GREY, linewidth=0.8, linestyle="--")
    ax.plot(x, pareto.shapes[there], color=BLUE, marker="o", markersize=4, label="these rewards")
    low, high = pareto.shape.interval
    if np.isfinite(low):
        ax.errorbar([0], [(low + high) / 2], [(high - low) / 2], color=BLUE, capsize=3, ls="none")
    labels = [
        f"best {percent(t)}\n({k:,})" for t, k in zip(pareto.tails, pareto.exceedances, strict=True)
    ]
    ax.set_xticks(x, [label for label, ok in zip(labels, there, strict=True) if ok])
    ax.set_xlim(-0.3, max(x) + 0.3)
    ax.set_title(f"the tail ends {_ENDS[pareto.verdict]}", fontsize=9)
    _finish(ax, "rewards above the threshold (excesses)", "generalised Pareto shape")
    return fig, ax


def plot_diagnosis(found: Diagnosis) -> tuple[Any, Any]:
    """The QQ and, where it was fitted, the end of the tail beside it: `(fig, axes)`.

    Raises ValueError for a diagnosis without a QQ: 0/1 or constant rewards, or too few.
    """
    from matplotlib.figure import Figure

    qq, pareto, advice = found["qq"], found["pareto"], found.recommendation
    if qq is None:
        raise BonteaError(
            "this diagnosis has no QQ to draw: " + found.skipped.get("qq", "two values")
        )
    panels = 1 if pareto is None else 2
    fig = Figure(figsize=(5.2 * panels, 4.4), layout="constrained")
    axes = np.atleast_1d(fig.subplots(1, panels))
    plot_qq(qq, axes[0])
    if pareto is not None:
        plot_shapes(pareto, axes[1])
    fig.suptitle(f"{advice.verdict}: {advice.recommended or 'nothing'}", fontsize=10)
    return fig, axes


def _axis(ax: Any) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    if ax is not None:
        return ax.figure, ax
    fig = Figure(figsize=(5.2, 4.2), layout="constrained")
    return fig, fig.add_subplot()


def _finish(ax: Any, x: str, y: str) -> None:
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=8, loc="upper left")
