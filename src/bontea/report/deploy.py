"""The table of `bontea simulate`: what rules would have cost and gained."""

from __future__ import annotations

import math
from typing import Any

from bontea._numbers import number, percent
from bontea.curves.mean_curve import with_limits
from bontea.deploy import Simulation


def simulation_table(found: Simulation) -> Any:
    """A rich table: a row a rule."""
    from rich.table import Table

    table = Table()
    table.add_column("rule", no_wrap=True)
    columns = "price, mean reward, responses, stopped early, fixed N, fewer responses"
    for name in columns.split(", "):
        table.add_column(name, justify="right", no_wrap=True)
    for o in found.outcomes:
        table.add_row(
            o.rule,
            _number(o.price),
            with_limits(o.reward, o.reward_low, o.reward_high),
            with_limits(o.responses, o.responses_low, o.responses_high),
            f"{percent(o.early)}",
            _number(o.fixed_n),
            _share(o.saving, o.saving_low, o.saving_high),
        )
    return table


def _number(value: float) -> str:
    return f"{number(value, 3)}" if math.isfinite(value) else ""


def _share(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return ""
    return f"{100 * value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
