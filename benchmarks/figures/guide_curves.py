"""The figures of docs/guide/1-curves.md and 4-comparing-models.md, from the embedded policy.

    bontea sample --rollouts 256 --output warm.jsonl
    bontea sample --rollouts 256 --temperature 0.6 --output cool.jsonl
    python benchmarks/figures/guide_curves.py warm.jsonl cool.jsonl docs/figures/guide

Sampling takes about two minutes a file on one core, the figures some seconds.
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from bontea.curves import compare, curve, extrapolate
from bontea.curves.mean_curve import dense_ks
from bontea.report import plot_curves
from bontea.rollouts import Rollouts, read_rollouts

FURTHEST = 2048
GREY, BLUE = "#999999", "#0072B2"


def one_curve(rollouts: Rollouts) -> Figure:
    """Every prompt, the mean with its interval, and what lies beyond the rollouts."""
    line = curve(rollouts, rng=0)
    beyond = extrapolate(rollouts, [n for n in dense_ks(FURTHEST) if n > line.ks[-1]])
    fig = Figure(figsize=(6.4, 4), layout="constrained")
    ax = fig.add_subplot()
    first, *_ = ax.plot(line.ks, line.per_prompt.T, color=GREY, linewidth=0.5, zorder=0)
    first.set_label("one prompt each")
    name = f"mean over {len(rollouts)} prompts"
    plot_curves({name: line}, ax, extrapolations={name: beyond})
    return fig


def two_models(first: Rollouts, second: Rollouts) -> Figure:
    """Both curves, and their paired difference below on the same axis."""
    names = (Path(str(first.source)).stem, Path(str(second.source)).stem)
    fig = Figure(figsize=(6.4, 5.6), layout="constrained")
    above, below = fig.subplots(2, sharex=True, height_ratios=[3, 2])
    plot_curves(
        {name: curve(r, rng=0) for name, r in zip(names, (first, second), strict=True)}, above
    )
    pair = compare(first, second, names=names)
    below.axhline(0, color="black", linewidth=0.8)
    below.plot(pair.ks, pair.difference, color=BLUE)
    below.fill_between(pair.ks, pair.low, pair.high, color=BLUE, alpha=0.15, linewidth=0)
    below.set_xlabel(above.get_xlabel())
    above.set_xlabel("")
    above.set_ylabel("reward of the best of k")
    below.set_ylabel(f"{names[0]} minus {names[1]}")
    below.grid(alpha=0.25)
    below.spines[["top", "right"]].set_visible(False)
    print(pair)
    return fig


def save(fig: Figure, path: Path) -> None:
    """As a PNG of 64 colours, which is a third of the size of the usual one."""
    whole = BytesIO()
    fig.savefig(whole, dpi=100, format="png")
    Image.open(whole).convert("RGB").quantize(64).save(path, optimize=True)


def main(arguments: list[Any]) -> None:
    if len(arguments) != 3:
        sys.exit("usage: python benchmarks/figures/guide_curves.py WARM.jsonl COOL.jsonl FOLDER")
    warm, cool = (read_rollouts(path) for path in arguments[:2])
    folder = Path(arguments[2])
    folder.mkdir(parents=True, exist_ok=True)
    save(one_curve(warm), folder / "curve.png")
    save(two_models(warm, cool), folder / "comparison.png")


if __name__ == "__main__":
    main(sys.argv[1:])
