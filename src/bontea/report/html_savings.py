"""The section "what adaptive N would save" of the HTML report: words, figure and table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bontea._numbers import fixed, number, percent, typed
from bontea.deploy import Outcome, Savings, Simulation
from bontea.report import html_parts as parts
from bontea.report.html_charts import Chart, savings_chart
from bontea.report.html_sections import figure

INTRODUCTION = """<p>Best-of-N need not draw N responses for every prompt. A <em>stopping rule</em>
looks at the rewards so far, and draws one more response only while that is expected to be worth its
price, in units of reward. Here such a rule was tried on the rollouts of this report: each prompt's
rollouts were taken in random orders, and the rule had learnt from the other prompts only. The
question is how many responses it needs for the mean reward of a fixed N. How it decides, and where
it does worse, is on the page <code>docs/deploy.md</code> of the documentation.</p>
"""
TRIALS = {
    "doubtful": "So expect less on other prompts than the table says",
    "unknown": "So take the numbers as a guess",
}
"""What a verdict means for the reader, where the first sentence does not say it."""
WORDS = {
    "saves": "it saves responses",
    "uncertain": "the interval includes zero",
    "nothing": "it saves nothing",
    "costs": "it needs more responses",
}
LEAST_PRICE = 1e-200
"""Below it the rule stops at every price: no response can add anything."""
NOTHING = 0.005
"""A saving below this share, with its whole interval, is none."""


def savings_section(
    savings: Mapping[str, Savings], n: float, pass_at_k: Mapping[str, bool], charts: list[Chart]
) -> str:
    """HTML of all models; a chart for each that was simulated is added to `charts`."""
    if not savings:
        return ""
    blocks = [INTRODUCTION]
    for model, found in savings.items():
        blocks.append(f"<h3>{parts.name(model)}</h3>\n")
        if found.simulation is None:
            blocks.append(
                f"<p>{parts.status('not measured')} Not known: {parts.sentence(found.missing)}.</p>"
            )
        else:
            solved = pass_at_k.get(model, False)
            blocks.append(_one(found, found.simulation, n, solved, charts))
    return "".join(blocks)


def _one(found: Savings, s: Simulation, n: float, solved: bool, charts: list[Chart]) -> str:
    numbers = parts.Numbers([f.reward for f in s.fixed])
    chart = savings_chart(f"savings{len(charts)}", s, numbers, solved)
    charts.append(chart)
    what = "share of prompts solved" if solved else "mean reward of the best response"
    return (
        f"<p><strong>{lead(s)}</strong></p>\n"
        f"<p>{parts.status(s.verdict)} {_trial(s)}</p>\n"
        + figure(
            chart,
            f"Line chart on a logarithmic axis: {what} against responses drawn per prompt, for "
            "fixed N and for the stopping rule at several prices.",
            {},
            f"Further left is cheaper, further up is better. The band is the {_level(s)} interval "
            "of a fixed N over prompts. A bar through a marker of the rule is the interval of the "
            "responses that it needs for that reward, beside the fixed N: where it reaches the "
            "line, the saving is not certain.",
        )
        + _table(s, numbers, solved)
        + _notes(found, s, n)
    )


def lead(s: Simulation) -> str:
    """The answer in a sentence or two: for the largest N, then for the others in few words."""
    if s.verdict == "fails":
        return (
            "This rule saves nothing on these rewards: it gives every prompt the same number of "
            "responses, as a fixed N does."
        )
    rows = [o for o in s.outcomes if math.isfinite(o.saving)]
    if not rows:
        return "No fixed N has the mean reward of the rule, so nothing can be compared."
    *others, last = rows
    asked = number(last.asked_n or last.fixed_n, 3)
    if _smaller(last):
        asked += f", which N = {number(last.fixed_n, 3)} has too,"
    share = _share(last)
    said = (
        f"For the mean reward of fixed N = {asked} the rule draws {number(last.responses, 3)} "
        + ("response" if last.responses == 1 else "responses")
        + " per prompt on average"
        + {
            "saves": f": {share} fewer.",
            "uncertain": f": {share} fewer. The interval includes zero, so it is not certain that "
            "anything is saved.",
            "nothing": ": it saves nothing.",
            "costs": f". It saves nothing: that is more than the fixed N ({share} saved).",
        }[judged(last)]
    )
    groups: dict[str, list[str]] = {}
    for o in others:
        groups.setdefault(WORDS[judged(o)], []).append(number(o.asked_n or o.fixed_n, 3))
    rest = "; ".join(f"{words} at N = {_listed(ns)}" for words, ns in groups.items())
    return said + (f" {rest[0].upper()}{rest[1:]}." if rest else "")


def judged(o: Outcome) -> str:
    """`saves`, `uncertain` (the interval includes zero), `nothing` or `costs`."""
    if max(abs(o.saving), abs(o.saving_low), abs(o.saving_high)) < NOTHING:
        return "nothing"
    if o.saving_low > 0:
        return "saves"
    return "costs" if o.saving_high < 0 else "uncertain"


def _trial(s: Simulation) -> str:
    means = TRIALS.get(s.verdict)
    return f"Trial of the rule: {parts.sentence(s.message)}." + (f" {means}." if means else "")


def _table(s: Simulation, numbers: parts.Numbers, solved: bool) -> str:
    of = {f.n: f for f in s.fixed}
    rows = []
    for o in s.outcomes:
        f = of.get(o.asked_n or 0)
        limits = numbers.interval(f.reward_low, f.reward_high) if f else ""
        same = f" <small>as N = {number(o.fixed_n, 3)}</small>" if _smaller(o) else ""
        known = math.isfinite(o.responses_low) and math.isfinite(o.responses_high)
        drawn = f"[{number(o.responses_low, 3)}, {number(o.responses_high, 3)}]" if known else ""
        price = typed(o.price, 3) if o.price > LEAST_PRICE else "any"
        rows.append(
            [
                number(o.asked_n or o.fixed_n) + same,
                f"{numbers(f.reward if f else o.reward)} <small>{limits}</small>",
                f"{number(o.responses, 3)} <small>{drawn}</small>",
                _share(o, small=True),
                f"<code>{price}</code>",
            ]
        )
    header = [
        "N",
        "share solved" if solved else "mean reward",
        "responses of the rule",
        "fewer responses",
        "price, for <code>--price</code>",
    ]
    what = "share solved" if solved else "mean reward"
    caption = f"Fixed N, and the stopping rule at the same {what} [{_level(s)} interval]"
    return parts.table(caption, header, rows)


def _smaller(o: Outcome) -> bool:
    """Whether a clearly smaller N has the reward of the N asked for."""
    return o.asked_n is not None and o.fixed_n < 0.9 * o.asked_n


def _notes(found: Savings, s: Simulation, n: float) -> str:
    lines = [f"{parts.sentence(warning)}." for warning in s.warnings]
    largest = max((o.asked_n or 0 for o in s.outcomes), default=0)
    if n > largest:
        lines.append(
            f"N = {number(n)}, the number deployed, is beyond this trial: the rule may draw "
            "several times N for a prompt, so N is compared up to a quarter of the rollouts."
        )
    used = (
        f"{found.prompts[0]:,} prompts with {found.rollouts[0]:,} rollouts each, "
        f"{s.orders} random orders of each"
    )
    if found.whole:
        lines.append(f"Used: {used}.")
    else:
        lines.append(
            f"To save time a part was used, drawn with a fixed seed: {used}. There are "
            f"{found.prompts[1]:,} prompts with at least {found.rollouts[1]:,} rollouts; "
            "<code>bontea simulate FILE</code> uses all of them."
        )
    return f"<ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul>\n"


def _share(o: Outcome, *, small: bool = False) -> str:
    value, low, high = (fixed(100 * v, 1) for v in (o.saving, o.saving_low, o.saving_high))
    if not math.isfinite(o.saving):
        return "–"
    limits = f"[{low}, {high}]"
    return f"{value} % <small>{limits}</small>" if small else f"{value} % {limits}"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _level(s: Any) -> str:
    return percent(s.confidence_level)
