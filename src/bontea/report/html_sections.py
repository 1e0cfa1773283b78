"""The parts of the HTML report, each from results to HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bontea._numbers import number, percent
from bontea.curves import Comparison, Curve, Extrapolation
from bontea.curves.mean_curve import is_landmark
from bontea.report import html_parts as parts
from bontea.report.html_charts import SYMBOLS, Chart, Extrapolations, Style
from bontea.rollouts.groups import Rollouts

TRUST = {
    "holds": "no check speaks against it",
    "doubtful": "it is doubtful, so take it as a guess",
    "unknown": "its model could not be checked",
}


@dataclass(frozen=True)
class Outcome:
    """Best of N of one model: measured, extrapolated, or the nearest that is known."""

    model: str
    k: float
    values: tuple[float, float, float]
    """Value, lower and upper limit."""
    how: str
    """`"measured"`, `"extrapolated"`, `"short"` (the largest k measured is below N) or `"between"`
    (N lies between two k of the curve)."""
    verdict: str = ""
    refused: bool = False
    """Whether an extrapolation was tried, and refused."""
    level: float = 0.95


def outcome(model: str, curve: Curve, beyond: Extrapolation | None, n: float) -> Outcome:
    """What is known of a model at the deployment budget."""
    ks = np.asarray(curve.ks, dtype=float)
    if n in ks:
        measured = curve.at(int(n))
        return Outcome(model, n, measured, "measured", level=curve.confidence_level)
    refused = False
    if beyond is not None:
        refused, level = beyond.refused, beyond.confidence_level
        if not refused and n in beyond.ns:
            predicted = beyond.at(n)
            return Outcome(model, n, predicted, "extrapolated", beyond.verdict, level=level)
    k = int(ks[np.argmax(np.where(ks <= n, ks, -ks))])
    how = "short" if n > ks.max() else "between"
    return Outcome(model, k, curve.at(k), how, "", refused, curve.confidence_level)


def sentence(o: Outcome, n: float, numbers: parts.Numbers) -> str:
    """One outcome in words."""
    limits = numbers.interval(*o.values[1:])
    limits = f"{percent(o.level)} interval {limits}" if limits else "no interval"
    value = f"<strong>{numbers(o.values[0])}</strong> ({limits})"
    if o.how == "measured":
        return f"{parts.name(o.model)}: best of {number(o.k)} is {value}, measured."
    if o.how == "extrapolated":
        trust = TRUST.get(o.verdict, parts.text(o.verdict))
        return f"{parts.name(o.model)}: best of {number(o.k)} is {value}, extrapolated; {trust}."
    if o.how == "between":
        unknown = f"the curve has no point at {number(n)}"
    elif o.refused:
        unknown = f"best of {number(n)} is not known, and these rewards cannot be extrapolated"
    else:
        unknown = f"best of {number(n)} is not known from these rollouts"
    return f"{parts.name(o.model)}: {unknown}; best of {number(o.k)} is {value}, measured."


def finding(outcomes: list[Outcome], n: float, numbers: parts.Numbers) -> str:
    """The first sentence of the page, and the outcome of each model below it."""
    if len(outcomes) == 1:
        return f'<p class="finding">{sentence(outcomes[0], n, numbers)}</p>'
    known = [o for o in outcomes if o.k == n]
    if not known:
        lead = f"Best of {number(n)} is not known for any of the {len(outcomes)} models."
    else:
        best = max(known, key=lambda o: o.values[0])
        lead = (
            f"Best of {number(n)} is highest for {parts.name(best.model)}: "
            f"{numbers.with_interval(*best.values)}, {best.how}"
            + (
                f"; {TRUST.get(best.verdict, parts.text(best.verdict))}."
                if best.how == "extrapolated"
                else "."
            )
        )
    lines = "".join(f"<li>{sentence(o, n, numbers)}</li>" for o in outcomes)
    return f'<p class="finding">{lead}</p><ul>{lines}</ul>'


def figure(chart: Chart, described: str, names: Mapping[str, Style], caption: str) -> str:
    """A chart, its controls, and what it shows in words; two `names` or more get check boxes."""
    boxes = "".join(
        f'<label><input type="checkbox" checked autocomplete="off" data-chart="{chart["id"]}" '
        f'data-series="{style.series}">{swatch(style)} {parts.name(name)}</label>'
        for name, style in names.items()
    )
    shown = f"<fieldset><legend>Show</legend>{boxes}</fieldset>" if len(names) > 1 else ""
    square = " square" if chart["id"].startswith("qq") else ""
    return (
        f'<figure><div class="controls" id="controls-{chart["id"]}">{shown}'
        '<div class="buttons"><button type="button" class="reset">Reset zoom</button>'
        '<button type="button" class="save">Save as PNG</button></div></div>'
        f'<div class="chart{square}" id="chart-{chart["id"]}" role="img" '
        f'aria-label="{parts.text(described)} The table below has the numbers."></div>'
        f"<figcaption>{caption}</figcaption></figure>\n"
    )


def swatch(style: Style) -> str:
    """The line and marker of a series, for its check box."""
    return (
        f'<svg class="swatch series-{style.colour}" viewBox="0 -2 24 14" aria-hidden="true">'
        f'<path d="M0,5h24" stroke-width="2.5"/><path d="{SYMBOLS[style.symbol]}"/></svg>'
    )


def curve_lines(curves: Mapping[str, Curve], extrapolations: Extrapolations) -> str:
    """What there is to say about each curve: how it was extrapolated, whether to believe that."""
    lines = []
    for model, curve in curves.items():
        if curve.message:
            lines.append(f"{parts.name(model)}: {parts.sentence(curve.message)}.")
        e = extrapolations.get(model)
        if e is None:
            continue
        if e.refused:
            lines.append(
                f"{parts.status('refused')} {parts.name(model)}: not extrapolated; "
                f"{parts.sentence(e.message)}."
            )
        else:
            lines.append(
                f"{parts.status(e.verdict)} {parts.name(model)}: extrapolated with a "
                f"{parts.text(e.method)}; {parts.sentence(e.message)}."
            )
    items = "".join(f"<li>{line}</li>" for line in lines)
    return f'<ul class="findings">{items}</ul>' if lines else ""


def curve_table(
    curves: Mapping[str, Curve],
    extrapolations: Extrapolations,
    n: float,
    numbers: parts.Numbers,
) -> str:
    """Every number of the chart: k against models."""
    cells: dict[str, dict[float, str]] = {}
    for model, curve in curves.items():
        measured = zip(curve.ks, curve.value, curve.low, curve.high, strict=True)
        cells[model] = {float(k): _cell(v, low, high, numbers) for k, v, low, high in measured}
        beyond = extrapolations.get(model)
        if beyond is not None:
            rows = zip(beyond.ns, beyond.value, beyond.low, beyond.high, strict=True)
            for k, v, low, high in rows:
                if float(k) not in cells[model]:
                    known = math.isfinite(v)
                    cell = f"{_cell(v, low, high, numbers)} <small>extrapolated</small>"
                    cells[model][float(k)] = cell if known else "not predicted"
    what = "pass@k" if all(c.pass_at_k for c in curves.values()) else "Reward of the best of k"
    return _by_k(
        f"{what}, mean over prompts [{_levels(curves.values())} interval]",
        {parts.name(model): of_k for model, of_k in cells.items()},
        n,
    )


def comparison_table(
    comparisons: Mapping[str, Comparison], n: float, numbers: parts.Numbers
) -> str:
    """Paired differences, and how often the first of a pair wins: k against pairs."""
    columns: dict[str, dict[float, str]] = {}
    for name, c in comparisons.items():
        ks = [float(k) for k in c.ks]
        gaps = zip(c.difference, c.low, c.high, strict=True)
        wins = zip(c.superiority, c.superiority_low, c.superiority_high, strict=True)
        columns[f"{parts.name(name)}: difference"] = {
            k: _cell(*gap, numbers, sign=True) + ("" if sure else " <small>not decided</small>")
            for k, gap, sure in zip(ks, gaps, c.decided, strict=True)
        }
        columns[f"{parts.name(c.names[0])} beats {parts.name(c.names[1])}"] = {
            k: _cell(*win, parts.Numbers([0.0, 1.0])) for k, win in zip(ks, wins, strict=True)
        }
    return _by_k(
        f"Paired difference in best of k, and how often the first one's best reward is the higher "
        f"[{_levels(comparisons.values())} interval]",
        columns,
        n,
    )


def comparison_lines(comparisons: Mapping[str, Comparison]) -> str:
    """A sentence for each pair."""
    lines = [
        f"<li>{parts.name(name)} ({c.prompts:,} prompts): {parts.sentence(c.message)}."
        + (f" {parts.sentence(c.interval_message)}" if c.interval_message else "")
        + "</li>"
        for name, c in comparisons.items()
    ]
    return f"<ul>{''.join(lines)}</ul>"


def _by_k(caption: str, columns: Mapping[str, Mapping[float, str]], n: float) -> str:
    """A table of k against columns: the landmarks, and every k for those who open it."""

    def rows(ks: list[float]) -> list[list[str]]:
        return [
            [
                number(k) + (" <small>deployed</small>" if k == n else ""),
                *(of_k.get(k, "–") for of_k in columns.values()),
            ]
            for k in ks
        ]

    every = sorted(set().union(*columns.values()))
    shown = [k for k in every if is_landmark(int(k), np.array(every)) or k == n or k != int(k)]
    html = parts.table(caption, ["k", *columns], rows(shown))
    if len(shown) < len(every):
        whole = parts.table(f"{caption}, every k", ["k", *columns], rows(every))
        html += f"<details><summary>Every k of the chart</summary>{whole}</details>"
    return html


def data_table(sources: Mapping[str, Rollouts]) -> str:
    """What was read: prompts, rollouts, strata."""
    rows = []
    for model, r in sources.items():
        counts = r.counts
        group = (
            f"{counts.min():,}"
            if counts.min() == counts.max()
            else f"{counts.min():,} to {counts.max():,}"
        )
        strata = "–"
        if r.strata is not None:
            names = sorted({str(s) for s in r.strata})
            strata = ", ".join(parts.name(s) for s in names[:8]) + (
                f" and {len(names) - 8:,} more" if len(names) > 8 else ""
            )
        rows.append(
            [
                parts.name(model),
                parts.name(Path(r.source).name) if r.source else "–",
                f"{len(r):,}",
                group,
                f"{len(r.rewards):,}",
                f"{int(np.isnan(r.rewards).sum()):,}",
                strata,
            ]
        )
    header = ["model", "file", "prompts", "rollouts of a prompt", "rollouts", "unscored", "strata"]
    return parts.table("What was read", header, rows, kind="words")


def settings_table(settings: Mapping[str, Any]) -> str:
    """Settings, one a row."""
    rows = [
        [parts.text(key), f"<code>{parts.text(value)}</code>"] for key, value in settings.items()
    ]
    return parts.table("Settings of this report", ["setting", "value"], rows, kind="words")


def _cell(
    value: float, low: float, high: float, numbers: parts.Numbers, *, sign: bool = False
) -> str:
    limits = numbers.interval(float(low), float(high), sign=sign)
    return numbers(float(value), sign=sign) + (f" <small>{limits}</small>" if limits else "")


def _levels(results: Any) -> str:
    return " or ".join(sorted({percent(r.confidence_level) for r in results}))
