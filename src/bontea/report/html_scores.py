"""The section "Two scores" of the HTML report: the N to deploy, figure and tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from bontea._numbers import percent, percent_of
from bontea.curves import ScoreEvaluation, TwoScores
from bontea.curves.mean_curve import is_landmark
from bontea.report import html_parts as parts
from bontea.report.html_charts import Chart, scores_chart, styles
from bontea.report.html_sections import figure

INTRODUCTION = """<p>The best of k is chosen by one score, and what it is worth is measured by
another, on the same responses. <em>Chosen</em> is the mean measure of the response with the highest
selecting score among k; <em>oracle</em> is that of the response with the highest measure, which
nobody can choose without the measure. Where chosen peaks is the N to deploy.</p>
"""


def scores_section(scores: ScoreEvaluation | None, charts: list[Chart]) -> str:
    """HTML of all models and selecting scores; their chart is added to `charts`."""
    if scores is None:
        return ""
    found = scores.found
    measure = next(iter(found.values())).measure
    ends = [float(v) for two in found.values() for c in (two.chosen, two.oracle) for v in c.value]
    numbers = parts.Numbers(ends)
    chart = scores_chart(found, numbers)
    charts.append(chart)
    blocks = [INTRODUCTION, f'<ul class="findings">{"".join(map(_line, found.items()))}</ul>']
    blocks.append(
        figure(
            chart,
            f"Line chart on a logarithmic axis: mean {measure} of the chosen response against k, "
            "with the oracle above it and the peak marked.",
            styles(list(found)),
            "Solid: chosen by the selecting score. Dashed: the oracle. The ring is the peak, the "
            "bar through it the k that may be the peak.",
        )
    )
    blocks += [_table(name, two, numbers) for name, two in found.items()]
    for name, pair in {**scores.selectors, **scores.models}.items():
        blocks.append(_pair(name, pair, measure))
    return "".join(blocks)


def scores_lead(scores: ScoreEvaluation) -> str:
    """The first words of the page: which N to deploy. Best-of-k of several scores is no contest."""
    items = list(scores.found.items())
    if len(items) == 1:
        ((_, two),) = items
        return f'<p class="finding">{parts.sentence(two.peak.message)}.</p>'
    lines = "".join(f"<li>{_said(*item)}.</li>" for item in items)
    measure = parts.name(items[0][1].measure)
    return (
        f'<p class="finding">What the chosen response is worth in {measure}, and which N to deploy:'
        f"</p><ul>{lines}</ul>"
    )


def _said(name: str, two: TwoScores) -> str:
    return (
        f"{parts.name(name)}, chosen by {parts.name(two.select)}: "
        f"{parts.sentence(two.peak.message)}"
    )


def _line(item: tuple[str, TwoScores]) -> str:
    name, two = item
    mark = {"peaks": "look", "falls": "look", "rises": "ok"}.get(two.peak.verdict, "unknown")
    said = ". ".join([_said(name, two), *map(parts.sentence, two.notes)])
    return f"<li>{parts.status(mark)} {said}.</li>"


def _table(name: str, two: TwoScores, numbers: parts.Numbers) -> str:
    rows = []
    own = parts.Numbers(two.proxy.value.tolist())
    for i, k in enumerate(two.chosen.ks.tolist()):
        if not is_landmark(k, two.chosen.ks) and k != two.peak.k:
            continue
        share = two.captured[i]
        rows.append(
            [
                f"{k:,}" + " <small>peak</small>" * (k == two.peak.k),
                own.with_interval(*two.proxy.at(k)),
                numbers.with_interval(*two.chosen.at(k)),
                numbers.with_interval(*two.oracle.at(k)),
                numbers.with_interval(*two.regret.at(k)),
                percent_of(share) if np.isfinite(share) else "–",
            ]
        )
    level = percent(two.chosen.confidence_level)
    header = ["k", parts.name(two.select), f"chosen, {parts.name(two.measure)}", "oracle"]
    return parts.table(
        f"{parts.name(name)}: means over {two.prompts:,} prompts [{level} interval]",
        [*header, "oracle minus chosen", "share of the oracle's gain"],
        rows,
    )


def _pair(name: str, pair: Any, measure: str) -> str:
    ends = [float(v) for a in (pair.low, pair.high) for v in a]
    numbers = parts.Numbers([0.0, *ends])
    rows = [
        [
            f"{k:,}",
            numbers.with_interval(*pair.at(k), sign=True),
            "yes" if sure else "not decided",
        ]
        for k, sure in zip(pair.ks.tolist(), pair.decided, strict=True)
        if is_landmark(k, pair.ks)
    ]
    return parts.table(
        f"{parts.name(name)}: difference in {parts.name(measure)} of the chosen response, paired "
        f"by prompt [{percent(pair.confidence_level)} interval]",
        ["k", "difference", "beyond chance"],
        rows,
    )
