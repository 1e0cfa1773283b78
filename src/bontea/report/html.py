"""The report as one HTML file that needs nothing else: no server, no network, no fonts.

The page carries Plotly's whole JavaScript (the `plotly` package has one bundle, 4.8 MB). Its
Content-Security-Policy forbids every connection, and every script but the page's own two, which it
names by their hashes: markup that came in through a prompt or a completion would neither run nor
call out, even if the escaping in `html_parts` had a hole.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import bontea
from bontea._errors import BonteaError
from bontea.curves import Comparison, Curve, ScoreEvaluation
from bontea.deploy import Savings
from bontea.planning import Diagnosis
from bontea.report import html_parts as parts
from bontea.report import html_sections as sections
from bontea.report.html_charts import Chart, Extrapolations, comparison_chart, curve_chart, styles
from bontea.report.html_diagnosis import diagnosis_section
from bontea.report.html_examples import examples_section
from bontea.report.html_savings import savings_section
from bontea.report.html_scores import scores_lead, scores_section
from bontea.rollouts.groups import Rollouts

READING = """<ul>
<li><strong>Best of k</strong>: draw k responses to a prompt, keep the one with the highest reward.
The line is the mean over prompts of the expected best reward, an unbiased estimate from the
rollouts in the file.</li>
<li><strong>The band</strong> is an interval for the mean over prompts, from resampling prompts:
other prompts of the same kind would move the line about that much.</li>
<li><strong>Dashed lines</strong> with open markers are extrapolated: more responses than the file
has for a prompt, predicted from the upper tail of its rewards. They are as good as the tail model,
which the diagnostics check.</li>
<li><strong>The ring</strong> and the dotted line mark N, the number of responses drawn in
deployment.</li>
<li><strong>Differences</strong> are paired by prompt: their interval can leave out 0 although the
bands of two models overlap.</li>
<li><strong>A reward</strong> is what the scorer says. Read the completions: a high reward for a bad
answer is a fault of the scorer, and drawing more responses finds more of them.</li>
</ul>"""


def write_report(
    path: str | Path,
    sources: Mapping[str, Rollouts],
    *,
    n: float = 128,
    curves: Mapping[str, Curve],
    extrapolations: Extrapolations | None = None,
    comparisons: Mapping[str, Comparison] | None = None,
    diagnoses: Mapping[str, Diagnosis] | None = None,
    savings: Mapping[str, Savings] | None = None,
    scores: ScoreEvaluation | None = None,
    settings: Mapping[str, Any],
) -> Path:
    """Write the page, under another name first: a reader never sees half of it.

    Parameters
    ----------
    sources
        Model name -> its rollouts; completions are read from the files they came from.
    n
        N, the number of responses drawn in deployment: marked in the chart, told in the title.
    curves, extrapolations, diagnoses, savings
        By the model names of `sources`; all but the first may lack some.
    comparisons
        By a name such as `"tea - start"`.
    scores
        Of rollouts with two scores; its names are those of `sources`.
    settings
        Shown at the end: command line, seed and whatever else; `version` and `date` are added
        where missing. With the same `date`, the same arguments give the same bytes.

    Raises ValueError when a curve is missing, IsADirectoryError when `path` is a folder.
    """
    path = Path(path)
    missing = [model for model in sources if model not in curves]
    if missing or not sources:
        raise BonteaError(
            f"no curve for {', '.join(map(repr, missing)) or 'any model'}: the report needs a "
            f"curve for each of its sources {list(sources)}; it has those of {list(curves)}"
        )
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name the file to write, such as report.html")
    page = render(
        sources,
        n,
        {model: curves[model] for model in sources},
        extrapolations or {},
        comparisons or {},
        diagnoses or {},
        savings or {},
        settings,
        scores,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        unfinished.write_text(page, encoding="utf-8", newline="\n")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def render(
    sources: Mapping[str, Rollouts],
    n: float,
    curves: Mapping[str, Curve],
    extrapolations: Extrapolations,
    comparisons: Mapping[str, Comparison],
    diagnoses: Mapping[str, Diagnosis],
    savings: Mapping[str, Savings],
    settings: Mapping[str, Any],
    scores: ScoreEvaluation | None = None,
) -> str:
    """The page as text."""
    known = [float(v) for c in curves.values() for v in c.value]
    known += [float(v) for e in extrapolations.values() for v in e.value]
    numbers = parts.Numbers(known)
    outcomes = [
        sections.outcome(model, curve, extrapolations.get(model), n)
        for model, curve in curves.items()
    ]
    charts: list[Chart] = []
    content = [
        ("curves", "Best of k", _curves(curves, extrapolations, n, numbers, charts)),
        ("scores", "Two scores: what is chosen is worth", scores_section(scores, charts)),
        ("comparisons", "Comparisons", _comparisons(comparisons, n, charts)),
        ("diagnostics", "Diagnostics", diagnosis_section(diagnoses, styles(list(curves)), charts)),
        (
            "savings",
            "What adaptive N would save",
            savings_section(savings, n, {m: c.pass_at_k for m, c in curves.items()}, charts),
        ),
        ("completions", "What a user sees", examples_section(sources, numbers)),
        ("reading", "How to read this page", READING),
        (
            "settings",
            "Data and settings",
            sections.data_table(sources) + sections.settings_table(_dated(settings)),
        ),
    ]
    return _document(
        sections.finding(outcomes, n, numbers) if scores is None else scores_lead(scores),
        [entry for entry in content if entry[2]],
        charts,
    )


def _curves(
    curves: Mapping[str, Curve],
    extrapolations: Extrapolations,
    n: float,
    numbers: parts.Numbers,
    charts: list[Chart],
) -> str:
    chart = curve_chart(curves, extrapolations, n, numbers)
    charts.append(chart)
    described = (
        f"Line chart on a logarithmic axis: mean reward of the best of k against k, {len(curves)} "
        f"{'model' if len(curves) == 1 else 'models'}, with interval bands."
    )
    caption = (
        "Solid lines and filled markers are measured, dashed lines and open markers extrapolated. "
        '<span class="screen">Point at a marker for its numbers; drag over the chart to enlarge a '
        "part.</span>"
    )
    return (
        sections.figure(chart, described, styles(list(curves)), caption)
        + sections.curve_lines(curves, extrapolations)
        + sections.curve_table(curves, extrapolations, n, numbers)
    )


def _comparisons(comparisons: Mapping[str, Comparison], n: float, charts: list[Chart]) -> str:
    if not comparisons:
        return ""
    ends = [float(v) for c in comparisons.values() for a in (c.low, c.high) for v in a]
    numbers = parts.Numbers([0.0, *ends])
    chart = comparison_chart(comparisons, numbers)
    charts.append(chart)
    return (
        sections.comparison_lines(comparisons)
        + sections.figure(
            chart,
            "Line chart on a logarithmic axis: paired difference in best of k against k.",
            styles(list(comparisons)),
            "Above 0 the first model of a pair is better. Pairs are compared prompt by prompt.",
        )
        + sections.comparison_table(comparisons, n, numbers)
    )


def _dated(settings: Mapping[str, Any]) -> dict[str, Any]:
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"version": f"bontea {bontea.__version__}", "date": now} | dict(settings)


def _document(finding: str, content: list[tuple[str, str, str]], charts: list[Chart]) -> str:
    from plotly.offline import get_plotlyjs

    here = Path(__file__).parent
    css = (here / "page.css").read_text(encoding="utf-8") + _series_classes()
    script = (here / "page.js").read_text(encoding="utf-8")
    # A parser reads a carriage return as a newline, and the hash would no longer fit.
    plotly = get_plotlyjs().replace("\r\n", "\n").replace("\r", "\n")
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash(script)} {_hash(plotly)}",
            f"style-src {_hash(css)} {' '.join(map(_hash, _styles_of(plotly)))}",
            "img-src data: blob:",  # saving a chart as PNG
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    links = "".join(f'<li><a href="#{key}">{title}</a></li>' for key, title, _ in content)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{title}</h2>\n'
        f"{html}</section>\n"
        for key, title, html in content
    )
    themes = "".join(
        f'<label><input type="radio" name="theme" value="{key}" autocomplete="off"'
        f"{' checked' if key == 'auto' else ''}> {key}</label>"
        for key in ("auto", "light", "dark")
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="bontea {bontea.__version__}">
<title>Best-of-N report</title>
<style>{css}</style>
<script>{script}</script>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<header>
<div class="top"><h1>Best-of-N report</h1>
<div class="controls"><fieldset><legend>Theme</legend>{themes}</fieldset></div></div>
{finding}
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<noscript><p>The charts need JavaScript. All their numbers are in the tables.</p></noscript>
<main id="main" tabindex="-1">
{body}</main>
<footer><p>Written by bontea {bontea.__version__}. The file is about 5 MB because the charting
library (Plotly.js, MIT licence) is inside; opening it makes no network request.</p></footer>
<script type="application/json" id="charts">{parts.json_block(charts)}</script>
<script>{plotly}</script>
</body>
</html>
"""


def _series_classes() -> str:
    return "".join(f".series-{i} {{ color: var(--series-{i}); }}\n" for i in range(8))


def _styles_of(plotly: str) -> list[str]:
    """The style sheets that Plotly adds when it starts.

    An empty one, which it fills rule by rule, and one for its maps. Were the second not found in
    another version, it would be blocked, and missed by nothing but a line in the console.
    """
    literal = r"""createElement\("style"\).{0,200}?\.textContent='([^'\\]*)'"""
    return ["", *re.findall(literal, plotly)]


def _hash(code: str) -> str:
    digest = hashlib.sha256(code.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
