"""The figure of two scores: the proxy, and what the response is worth that it chooses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bontea._numbers import number, percent_of
from bontea.curves import TwoScores
from bontea.report.plot import PALETTE, k_axis, plain


def plot_two_scores(found: Mapping[str, TwoScores]) -> tuple[Any, Any]:
    """Two panels against k: the selecting score above, the measure of the chosen response below.

    Below, dashed and in the same colour, is the oracle that selects by the measure itself. The
    peak is a ring, with a bar over the k that may be the peak. Returns `(fig, (above, below))`.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    fig = Figure(figsize=(7, 6.6), layout="constrained")
    above, below = fig.subplots(2, 1, sharex=True)
    colours = iter(PALETTE)
    ks: set[float] = set()
    for name, two in found.items():
        colour = next(colours, "#000000")
        for ax, line in ((above, two.proxy), (below, two.chosen)):
            ax.plot(line.ks, line.value, color=colour, label=plain(name))
            ax.fill_between(line.ks, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
        below.plot(two.oracle.ks, two.oracle.value, color=colour, linestyle="--", linewidth=1)
        _mark_peak(below, two, colour)
        ks |= set(two.chosen.ks.tolist())
    first = next(iter(found.values()))
    level = percent_of(first.chosen.confidence_level)
    above.set_ylabel(f"selecting score\n(mean of the best of k, {level} interval)")
    below.set_ylabel(f"{plain(first.measure)} of the chosen response\n(mean, {level} interval)")
    below.set_xlabel("k: responses drawn per prompt, one chosen")
    k_axis(below, ks)
    for ax in (above, below):
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    above.legend(frameon=False, loc="upper left")
    grey = "#777777"
    below.legend(
        handles=[
            Line2D([], [], color=grey, label="chosen by the selecting score"),
            Line2D([], [], color=grey, linestyle="--", linewidth=1, label="oracle"),
            Line2D([], [], color=grey, marker="o", mfc="none", label=f"peak, {level} interval"),
        ],
        frameon=False,
        loc="best",
    )
    return fig, (above, below)


def _mark_peak(ax: Any, two: TwoScores, colour: str) -> None:
    peak = two.peak
    ax.errorbar(
        [peak.k],
        [peak.value],
        xerr=[[peak.k - peak.low], [peak.high - peak.k]],
        color=colour,
        marker="o",
        markersize=9,
        markerfacecolor="none",
        capsize=4,
        linestyle="none",
    )
    if peak.deploy is not None:
        ax.annotate(
            f"N = {number(peak.k)}",
            (peak.k, peak.value),
            textcoords="offset points",
            xytext=(0, 9),
            ha="center",
            fontsize=8,
            color=colour,
        )
