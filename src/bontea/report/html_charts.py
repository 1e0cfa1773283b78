"""The charts of the HTML report, as plain data for Plotly: no colours, those belong to the theme.

Every trace carries `meta = {"series": i, "colour": c, "role": ...}`. The page's script gives it
colour c of the theme; its check boxes and Plotly's legend show or hide all traces of a series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bontea._numbers import fixed, number, percent
from bontea.curves import Comparison, Curve, Extrapolation, TwoScores
from bontea.curves.mean_curve import is_landmark
from bontea.deploy import Simulation
from bontea.diagnosis.qq import QQFinding
from bontea.report.html_parts import Numbers, label

Chart = dict[str, Any]
Extrapolations = Mapping[str, Extrapolation]
Row = tuple[float, float, float, float]
"""k, value, lower and upper limit."""

COLOURS = 7
"""Of the theme; number 7 is the grey of the start model."""
SYMBOLS = {
    "circle": "M7,5a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z",
    "square": "M7.5,.5h9v9h-9z",
    "diamond": "M12,-1l6,6l-6,6l-6,-6z",
    "triangle-up": "M12,-.5l5.8,10h-11.6z",
    "triangle-down": "M12,10.5l-5.8,-10h11.6z",
    "cross": "M10,-1h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
    "x": "M8.2,-1l3.8,3.8l3.8,-3.8l2.2,2.2l-3.8,3.8l3.8,3.8l-2.2,2.2l-3.8,-3.8l-3.8,3.8l-2.2,-2.2"
    "l3.8,-3.8l-3.8,-3.8z",
}
"""Plotly's name of a marker, and the same as an SVG path for the check boxes."""


DRAWN = "k, responses drawn, the best kept"


@dataclass(frozen=True)
class Style:
    """What tells a series from the others: colour, and marker for those who do not see it."""

    series: int
    colour: int
    symbol: str


def styles(names: Sequence[str]) -> dict[str, Style]:
    """49 different pairs of colour and marker; a model called `start` is grey.

    >>> [(s.colour, s.symbol) for s in styles(["start", "tea"]).values()]
    [(7, 'circle'), (1, 'square')]
    """
    symbols = list(SYMBOLS)
    return {
        name: Style(
            i,
            COLOURS if name == "start" else i % COLOURS,
            symbols[(i + i // COLOURS) % len(symbols)],
        )
        for i, name in enumerate(names)
    }


def curve_chart(
    curves: Mapping[str, Curve],
    extrapolations: Extrapolations,
    n: float,
    numbers: Numbers,
) -> Chart:
    """Best-of-k against k: measured with its band, then extrapolated, dashed, with its own."""
    traces: list[dict[str, Any]] = []
    for name, style in styles(list(curves)).items():
        curve, beyond = curves[name], extrapolations.get(name)
        measured = _rows(curve.ks, curve.value, curve.low, curve.high)
        traces += [
            _band(measured, name, style, "band"),
            _line(measured, name, style, _hover(name, measured, curve, numbers, "measured")),
        ]
        further: list[Row] = []
        if beyond is not None and measured:
            further = [
                row
                for row in _rows(beyond.ns, beyond.value, beyond.low, beyond.high)
                if row[0] > measured[-1][0]
            ]
        if further and beyond is not None:
            joined = [measured[-1], *further]
            hover = _hover(name, joined, beyond, numbers, f"extrapolated, {label(beyond.method)}")
            traces += [
                _band(joined, name, style, "band beyond"),
                _line(joined, name, style, hover, beyond=True),
            ]
        at_n = [row for row in measured + further if row[0] == n]
        if at_n:
            what = "measured" if at_n[0] in measured else "extrapolated"
            hover = _hover(name, at_n, curve, numbers, f"{what}; deployment budget")
            traces.append(_ring(at_n, name, style, hover))
    ks = sorted({k for trace in traces for k in trace["x"]})
    layout = _layout(DRAWN, "pass@k" if _all_pass(curves) else "reward of the best of k")
    layout["xaxis"] |= _log_axis(ks)
    layout["showlegend"] = len(curves) > 1
    if ks and ks[0] <= n <= ks[-1]:
        _mark(layout, n, f"N = {number(n)}, deployed")
    return {"id": "curves", "traces": _bands_first(traces), "layout": layout}


def scores_chart(found: Mapping[str, TwoScores], numbers: Numbers) -> Chart:
    """The measure of the chosen response with its band, the oracle dashed, and the peak."""
    traces: list[dict[str, Any]] = []
    for name, style in styles(list(found)).items():
        two = found[name]
        chosen, oracle = (_rows(c.ks, c.value, c.low, c.high) for c in (two.chosen, two.oracle))
        by = f"chosen by {label(two.select)}, in {label(two.measure)}"
        hover = _hover(name, chosen, two.chosen, numbers, by)
        best = _hover(name, oracle, two.oracle, numbers, f"oracle, in {label(two.measure)}")
        peak = two.peak
        level = percent(peak.confidence_level)
        words = (
            f"<b>{label(name, 60)}</b><br>peak at k = <b>{peak.k}</b>: {numbers(peak.value)}<br>"
            f"{level} interval of the peak: {peak.low} to {peak.high}"
        )
        ring = _ring([(float(peak.k), peak.value, np.nan, np.nan)], name, style, [words])
        ring["error_x"] = {
            "type": "data",
            "symmetric": False,
            "array": [peak.high - peak.k],
            "arrayminus": [peak.k - peak.low],
            "thickness": 1.5,
            "width": 4,
        }
        traces += [
            _band(chosen, name, style, "band"),
            _line(oracle, name, style, best, beyond=True),
            _line(chosen, name, style, hover),
            ring,
        ]
    measure = next(iter(found.values())).measure
    layout = _layout("k, responses drawn, one chosen", label(measure, 60))
    layout["xaxis"] |= _log_axis(sorted({k for trace in traces for k in trace["x"]}))
    layout["showlegend"] = len(found) > 1
    return {"id": "scores", "traces": _bands_first(traces), "layout": layout}


def comparison_chart(comparisons: Mapping[str, Comparison], numbers: Numbers) -> Chart:
    """Paired differences against k, with the line of no difference."""
    traces: list[dict[str, Any]] = []
    for name, style in styles(list(comparisons)).items():
        c = comparisons[name]
        rows = _rows(c.ks, c.difference, c.low, c.high)
        hover = _hover(name, rows, c, numbers, "paired difference", sign=True)
        traces += [_band(rows, name, style, "band"), _line(rows, name, style, hover)]
    layout = _layout(DRAWN, f"difference in {'pass@k' if _all_pass(comparisons) else 'reward'}")
    layout["xaxis"] |= _log_axis(sorted({k for trace in traces for k in trace["x"]}))
    layout["yaxis"] |= {"zeroline": True, "zerolinewidth": 2}
    layout["showlegend"] = len(comparisons) > 1
    return {"id": "comparisons", "traces": _bands_first(traces), "layout": layout}


def qq_chart(chart_id: str, name: str, style: Style, qq: QQFinding) -> Chart:
    """Quantiles seen against those of normal rewards, with the band of these and the diagonal."""
    rows = _rows(qq.expected, qq.seen, qq.low, qq.high)
    hover = [
        f"expected {number(x, 3)}<br>seen {number(y, 3)}<br>band {number(a, 3)} to {number(b, 3)}"
        for x, y, a, b in rows
    ]
    points = _line(rows, name, style, hover)
    points |= {"mode": "markers", "name": "seen", "marker": {"symbol": style.symbol, "size": 6}}
    ends = [row[0] for row in rows[:: max(len(rows) - 1, 1)]]
    diagonal = {
        "type": "scatter",
        "mode": "lines",
        "x": ends,
        "y": ends,
        "name": "as expected",
        "hoverinfo": "skip",
        "line": {"dash": "dash", "width": 1.5},
        "meta": {"series": -1, "role": "reference"},
    }
    band = _band(rows, name, style, "band") | {"showlegend": True, "name": "normal band"}
    for trace in (band, points):
        del trace["legendgroup"]  # each on its own
    return {
        "id": chart_id,
        "traces": [band, diagonal, points],
        "layout": _layout("expected of normal rewards (tail units)", "seen (tail units)"),
    }


def savings_chart(chart_id: str, s: Simulation, numbers: Numbers, solved: bool) -> Chart:
    """Mean reward against responses drawn: fixed N with its band, and a rule at several prices."""
    level = percent(s.confidence_level)
    most = max((o.fixed_n for o in s.outcomes if np.isfinite(o.fixed_n)), default=1.0)
    last = max([2 * (o.asked_n or 1) for o in s.outcomes] + [most])
    names = styles(["fixed N", "stopping rule"])
    line = [(float(f.n), f.reward, f.reward_low, f.reward_high) for f in s.fixed if f.n <= last]
    hover = [
        f"<b>fixed N = {number(n)}</b><br>mean reward <b>{numbers(value)}</b><br>"
        + (
            f"{level} interval {limits}"
            if (limits := numbers.interval(low, high))
            else "no interval"
        )
        for n, value, low, high in line
    ]
    style = names["fixed N"]
    traces = [_band(line, "fixed N", style, "band"), _line(line, "fixed N", style, hover)]
    shown = [o for o in s.outcomes if np.isfinite(o.saving)]
    points = [(o.responses, o.reward, o.reward_low, o.reward_high) for o in shown]
    words = [
        f"<b>stopping rule</b>, price {number(o.price, 3)}<br>"
        f"mean reward <b>{numbers(o.reward)}</b><br><b>{number(o.responses, 3)}</b> responses<br>"
        f"fewer than fixed N: {fixed(100 * o.saving, 1)} %<br>{level} interval "
        f"[{fixed(100 * o.saving_low, 1)}, {fixed(100 * o.saving_high, 1)}]"
        for o in shown
    ]
    rule = _line(points, "stopping rule", names["stopping rule"], words)
    rule["marker"]["size"] = 9
    rule["error_x"] = {
        "type": "data",
        "symmetric": False,
        "array": [o.fixed_n * (1 - o.saving_low) - o.responses for o in shown],
        "arrayminus": [o.responses - o.fixed_n * (1 - o.saving_high) for o in shown],
        "thickness": 1.5,
        "width": 4,
    }
    traces.append(rule)
    layout = _layout(
        "responses drawn per prompt, mean", "share solved" if solved else "mean reward of the best"
    )
    layout["xaxis"] |= _log_axis(sorted(x for trace in traces for x in trace["x"]))
    return {"id": chart_id, "traces": _bands_first(traces), "layout": layout}


def _bands_first(traces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lines are drawn over all bands, not under those of the next model."""
    return sorted(traces, key=lambda trace: not trace["meta"]["role"].startswith("band"))


def _all_pass(results: Mapping[str, Any]) -> bool:
    return all(result.pass_at_k for result in results.values())


def _rows(ks: Any, value: Any, low: Any, high: Any) -> list[Row]:
    """Finite values in the order of k."""
    rows = zip(*(np.asarray(a, dtype=float).tolist() for a in (ks, value, low, high)), strict=True)
    return sorted(row for row in rows if np.isfinite(row[0]) and np.isfinite(row[1]))


def _hover(
    name: str, rows: list[Row], result: Any, numbers: Numbers, what: str, *, sign: bool = False
) -> list[str]:
    level = f"{percent(result.confidence_level)} interval "
    return [
        f"<b>{label(name, 60)}</b><br>best of {number(k)}: <b>{numbers(value, sign=sign)}</b><br>"
        + (level + limits if (limits := numbers.interval(low, high, sign=sign)) else "no interval")
        + f"<br>{what}"
        for k, value, low, high in rows
    ]


def _trace(rows: list[Row], name: str, style: Style, role: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": [row[0] for row in rows],
        "y": [row[1] for row in rows],
        "name": label(name),
        "legendgroup": f"series{style.series}",
        "showlegend": False,
        "hoverinfo": "skip",
        "meta": {"series": style.series, "colour": style.colour, "role": role},
    }


def _line(
    rows: list[Row], name: str, style: Style, hover: list[str], *, beyond: bool = False
) -> dict[str, Any]:
    ks = np.array([row[0] for row in rows])
    return _trace(rows, name, style, "line beyond" if beyond else "line") | {
        "mode": "lines+markers",
        "text": hover,
        "hoverinfo": "text",
        "showlegend": not beyond,
        "line": {"width": 2.5, "dash": "dash" if beyond else "solid"},
        "marker": {
            "symbol": style.symbol + "-open" * beyond,
            "size": [8 if is_landmark(int(k), ks) else 0 for k in ks],
            "opacity": 1,
            "line": {"width": 2 if beyond else 0},
        },
    }


def _ring(rows: list[Row], name: str, style: Style, hover: list[str]) -> dict[str, Any]:
    return _trace(rows, name, style, "ring") | {
        "mode": "markers",
        "text": hover,
        "hoverinfo": "text",
        "marker": {"symbol": "circle-open", "size": 18, "line": {"width": 2.5}},
    }


def _band(rows: list[Row], name: str, style: Style, role: str) -> dict[str, Any]:
    """The limits as one outline: there and back."""
    known = [row for row in rows if np.isfinite(row[2]) and np.isfinite(row[3])]
    outline = [(k, high, 0.0, 0.0) for k, _, _, high in known]
    outline += [(k, low, 0.0, 0.0) for k, _, low, _ in reversed(known)]
    return _trace(outline, name, style, role) | {
        "mode": "lines",
        "fill": "toself",
        "line": {"width": 0},
    }


def _layout(x: str, y: str) -> dict[str, Any]:
    axis = {"automargin": True, "zeroline": False, "ticks": "outside"}
    return {
        "xaxis": axis | {"title": {"text": x}},
        "yaxis": axis | {"title": {"text": y}},
        "hovermode": "closest",
        "showlegend": True,
        "legend": {
            "orientation": "h",
            "yref": "container",
            "y": 1,
            "yanchor": "top",
            "x": 0,
            "itemsizing": "constant",
        },
        "margin": {"l": 8, "r": 12, "t": 40, "b": 8},
        "uirevision": "keep",
        "shapes": [],
        "annotations": [],
    }


def _log_axis(ks: Sequence[float]) -> dict[str, Any]:
    """Ticks at the powers of 2; the script leaves some out where there is no room."""
    top = max(ks, default=1.0)
    powers = [2**i for i in range(64) if min(ks, default=1.0) <= 2**i <= top]
    return {
        "type": "log",
        "tickmode": "array",
        "tickvals": powers,
        "ticktext": [f"{p:,}" for p in powers],
    }


def _mark(layout: Chart, at: float, words: str) -> None:
    """A dotted vertical line with words at its foot."""
    layout["shapes"].append(
        {
            "type": "line",
            "x0": at,
            "x1": at,
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "line": {"dash": "dot", "width": 1.5},
        }
    )
    layout["annotations"].append(
        {
            "x": float(np.log10(at)),  # on a log axis annotations are placed by the logarithm
            "y": 0,
            "yref": "paper",
            "yanchor": "bottom",
            "xanchor": "right",
            "textangle": -90,
            "text": words,
            "showarrow": False,
        }
    )
