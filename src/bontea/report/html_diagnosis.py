"""The diagnosis of each model in the HTML report: recommendation, QQ chart, findings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bontea.diagnosis import Diagnosis
from bontea.diagnosis.diagnose import TITLES
from bontea.diagnosis.direction import DirectionFinding
from bontea.diagnosis.qq import QQFinding
from bontea.report import html_parts as parts
from bontea.report.html_charts import Chart, Style, qq_chart
from bontea.report.html_sections import figure


def diagnosis_section(
    diagnoses: Mapping[str, Diagnosis], styles: Mapping[str, Style], charts: list[Chart]
) -> str:
    """HTML of all diagnoses; their QQ charts are added to `charts`."""
    return "".join(
        f"<h3>{parts.name(model)}</h3>\n" + _one(model, diagnosis, styles[model], charts)
        for model, diagnosis in diagnoses.items()
        if model in styles
    )


def _one(model: str, d: Diagnosis, style: Style, charts: list[Chart]) -> str:
    advice = d.recommendation
    call = f"<code>{parts.text(advice.call)}</code>" if advice.estimator else "nothing to train on"
    size = f" with M = {advice.m:,}" if advice.estimator else ""
    blocks = [
        f"<p>To train this model for best of {d.n:,g}: <strong>{call}</strong>{size}. "
        f"{parts.text(advice.text)}</p>\n"
    ]
    if d.qq is not None:
        chart = qq_chart(f"qq{len(charts)}", model, style, d.qq)
        charts.append(chart)
        blocks.append(
            figure(
                chart,
                "Quantile chart of the upper half of the rewards: seen against expected of normal "
                "rewards, with the band of normal rewards.",
                {},
                "The better half of each prompt's rewards, in units of its own tail line, against "
                "normal rewards in groups of the same sizes. Points inside the band look normal; "
                "above it at the right end the tail is heavier, below it lighter.",
            )
            + _qq_table(d.qq)
        )
    findings = []
    for key, title in TITLES.items():
        finding = getattr(d, key)
        if finding is None:
            if key in d.skipped:
                why = f"{parts.text(d.skipped[key])}."
                findings.append(_finding("not measured", title, why))
        elif isinstance(finding, DirectionFinding):
            lead = str(finding).partition("\n")[0]
            findings.append(_finding(finding.mark, title, parts.text(lead)))
        else:
            findings.append(_finding(finding.mark, title, parts.text(finding)))
    blocks.append(f'<ul class="findings">{"".join(findings)}</ul>\n')
    if d.direction is not None:
        blocks.append(_direction_table(d.direction, d.m))
    return "".join(blocks)


def _finding(mark: str, title: str, sentences: str) -> str:
    return f"<li>{parts.status(mark)} <strong>{title}:</strong> {sentences}</li>\n"


def _qq_table(qq: QQFinding) -> str:
    inside = (qq.low <= qq.seen) & (qq.seen <= qq.high)
    points = zip(qq.scores, qq.expected, qq.seen, qq.low, qq.high, inside, strict=True)
    table = parts.table(
        "Quantiles of the upper half, in tail units",
        ["normal score", "expected", "seen", "band", "in the band"],
        [
            [f"{score:.2f}", f"{x:.3f}", f"{y:.3f}", f"[{a:.3f}, {b:.3f}]", "yes" if ok else "no"]
            for score, x, y, a, b, ok in points
        ],
    )
    return f"<details><summary>Table of the {len(qq.seen)} points</summary>{table}</details>\n"


def _direction_table(found: DirectionFinding, m: int) -> str:
    rows = []
    for r in found.results:
        budget = f"{r.value:.3g} <small>± {r.standard_error:.2g}</small>"
        rows.append(
            [
                f"<code>{parts.text(r.estimator)}</code>",
                budget if np.isfinite(r.value) else "–",
                f"{r.cosine:.3f}",
                f"{r.snr:.2f} <small>± {r.snr_standard_error:.2f}</small>",
            ]
        )
    return parts.table(
        f"What estimators would optimise on these rewards, M = {m:,}",
        ["estimator", "effective N", "cosine", "signal-to-noise"],
        rows,
    )
