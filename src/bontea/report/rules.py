"""The table and the figure of `bontea rules`: what each rule gets out of k responses."""

from __future__ import annotations

from typing import Any

import numpy as np

from bontea._numbers import percent_of, typed
from bontea.curves.leaders import leader_lines
from bontea.curves.mean_curve import with_limits
from bontea.curves.rule_curves import RuleCurves
from bontea.report.plot import plot_curves


def rules_table(found: RuleCurves) -> Any:
    """A rich table: a row a k, a column a rule; `~` where a value was found by drawing subsets."""
    from rich.table import Table

    table = Table()
    table.add_column("k", justify="right", no_wrap=True)
    for rule in found.curves:
        table.add_column(rule_name(rule, found), justify="right", no_wrap=True)
    for at, k in enumerate(found.ks.tolist()):
        cells = []
        for rule, curve in found.curves.items():
            drawn = "~ " * bool(found.monte_carlo_standard_error[rule][at])
            defined = not np.isnan(curve.value[at])
            cells.append(drawn + with_limits(*curve.at(k)) if defined else "")
        table.add_row(str(k), *cells)
    return table


def rules_lines(found: RuleCurves) -> list[str]:
    """What a person should know beside the table, a sentence each."""
    drawn = any(error.any() for error in found.monte_carlo_standard_error.values())
    return [
        *(["~ found by drawing subsets"] if drawn else []),
        *leader_lines(found.leaders),
        *found.notes,
        *(f"{rule}: {curve.message}" for rule, curve in found.curves.items() if curve.message),
    ]


def plot_rules(found: RuleCurves, measured: str, ax: Any = None) -> tuple[Any, Any]:
    """The rules against k, one line each, with intervals; `measured` is what the values are of."""
    fig, ax = plot_curves(
        {rule_name(rule, found): curve for rule, curve in found.curves.items()}, ax
    )
    level = next(iter(found.curves.values())).confidence_level
    ax.set_xlabel("k: responses drawn per prompt")
    ax.set_ylabel(f"{measured} (mean, {percent_of(level)} interval)")
    return fig, ax


def rule_name(rule: str, found: RuleCurves) -> str:
    """The name of a rule for a heading, with the threshold where it has one."""
    if rule == "threshold" or (rule == "pass^k" and found.threshold != 1):
        return f"{rule}, {typed(found.threshold or 0.0)}"
    return rule
