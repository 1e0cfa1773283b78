"""The diagnosis of each model in the HTML report: recommendation, QQ chart, findings."""

from __future__ import annotations

from collections.abc import Mapping

from bontea._numbers import number
from bontea.diagnosis import Table
from bontea.diagnosis.qq import QQFinding
from bontea.planning import Diagnosis
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
    call = f"<code>{parts.text(advice.recommended or 'nothing')}</code>"
    size = f" with M = {advice.m:,}" if advice.recommended else ""
    blocks = [
        f"<p>To train this model for best of {number(d.n)}: <strong>{call}</strong>{size}. "
        f"{parts.sentence(advice.message)}</p>\n"
    ]
    qq = d["qq"]
    if qq is not None:
        chart = qq_chart(f"qq{len(charts)}", model, style, qq)
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
            + _qq_table(qq)
        )
    findings = []
    tables = []
    for key, title in d.titles.items():
        finding = d[key]
        if finding is None:
            findings.append(_finding("not measured", title, f"{parts.sentence(d.skipped[key])}."))
            continue
        findings.append(_finding(finding.mark, title, parts.sentence(finding.text)))
        if finding.table is not None:
            tables.append(_table(finding.table))
    blocks.append(f'<ul class="findings">{"".join(findings)}</ul>\n')
    return "".join(blocks + tables)


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


def _table(table: Table) -> str:
    """A finding's table, its first column as code."""
    rows = [
        [f"<code>{parts.text(row[0])}</code>", *(parts.text(cell) for cell in row[1:])]
        for row in table.rows
    ]
    return parts.table(parts.text(table.title), [parts.text(c) for c in table.columns], rows)
