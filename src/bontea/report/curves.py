"""The table of `bontea curve`: best-of-k of some models side by side, and what to make of it."""

from __future__ import annotations

from typing import Any

from bontea.curves import Evaluation
from bontea.curves.mean_curve import with_limits


def curve_table(found: Evaluation, *, every: bool = False) -> Any:
    """A rich table: a row a k, a column a model; what is extrapolated begins with `~`.

    Powers of 2 and the ends of curves have a row, and `every` k if asked for.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column("k", justify="right", no_wrap=True)
    cells: dict[int, dict[str, str]] = {}
    for name, curve in found.curves.items():
        prompts, rewards = len(curve.per_prompt), found.rollouts[name].counts
        size = f"{rewards.min()}" + (
            f" to {rewards.max()}" if rewards.max() > rewards.min() else ""
        )
        plural = "s" * (prompts != 1)
        table.add_column(
            Text(f"{name}\n{prompts:,} prompt{plural} x {size}"), justify="right", no_wrap=True
        )
        rows = [(k, with_limits(*curve.at(k))) for k in curve.ks.tolist()]
        beyond = found.extrapolations.get(name)
        if beyond is not None and not beyond.refused:
            rows += [(int(n), "~ " + with_limits(*beyond.at(n))) for n in beyond.ns]
        ends = (curve.ks[-1], rows[-1][0])
        for k, text in rows:
            if every or k & (k - 1) == 0 or k in ends:
                cells.setdefault(k, {})[name] = text
    for k in sorted(cells):
        table.add_row(str(k), *(cells[k].get(name, "") for name in found.curves))
    return table


def curve_lines(found: Evaluation) -> list[str]:
    """What a person should know beside the table, a sentence each."""
    lines = []
    if any(not beyond.refused for beyond in found.extrapolations.values()):
        lines.append("~ extrapolated: more responses than a prompt has rollouts")
    for name, curve in found.curves.items():
        counts = found.rollouts[name].scored_counts
        total = int(found.rollouts[name].counts.sum())
        if missing := total - int(counts.sum()):
            none = int((counts == 0).sum())
            lines.append(
                f"{name}: {missing:,} of {total:,} rollouts have no reward and do not count"
                + (f" ({none:,} prompt{'s' * (none != 1)} have no other)" if none else "")
                + f"; the curve ends at k = {found.smallest[name]}, the fewest rewards of a prompt"
            )
        if curve.message:
            lines.append(f"{name}: {curve.message}")
        beyond = found.extrapolations.get(name)
        if beyond is None:
            continue
        where = f"beyond k = {found.smallest[name]}"
        lines.append(
            f"{name}: nothing is predicted {where}: {beyond.message}"
            if beyond.refused
            else f"{name}: {where} extrapolated by a {beyond.method}; {beyond.verdict}: "
            f"{beyond.message}"
        )
    return lines
