"""The table at the end of a training job."""

from __future__ import annotations

from typing import Any

from bontea._numbers import fixed, interval, percent_of


def comparison_table(results: dict[str, Any]) -> Any:
    """A rich table from `results.json` of a job: best-of-k of every arm, and its cost."""
    from rich.table import Table

    arms = results["arms"]
    ks = [k for k in arms[0]["ks"] if all(k in arm["ks"] for arm in arms)]
    shown = _pick(ks, int(results["settings"]["deploy_n"]))
    table = Table(
        title=(
            f"best-of-k reward on {results['held_out_prompts']} held-out prompts, "
            f"{percent_of(results['confidence_level'])} interval"
        )
    )
    table.add_column("arm", no_wrap=True)
    for k in shown:
        table.add_column(f"best of {k}", justify="right")
    for name in ("spread", "distinct", "KL to start", "rollouts", "seconds"):
        table.add_column(name, justify="right")
    for arm in arms:
        where = [arm["ks"].index(k) for k in shown]
        table.add_row(
            arm["arm"],
            *(
                fixed(arm["best_of_k"][i], 2) + _limits(arm["low"][i], arm["high"][i])
                for i in where
            ),
            fixed(arm["spread"], 2),
            percent_of(arm["distinct"]),
            fixed(arm["kl"], 2),
            f"{arm['rollouts']:,}",
            fixed(arm["seconds"], 0),
        )
    return table


def difference_lines(results: dict[str, Any]) -> list[str]:
    """The paired differences between arms at the deployment budget, a sentence each."""
    n = int(results["settings"]["deploy_n"])
    lines = []
    for row in results["differences"]:
        k = max((k for k in row["ks"] if k <= n), default=row["ks"][0])
        i = row["ks"].index(k)
        limits = _limits(row["low"][i], row["high"][i]).strip()
        lines.append(
            f"best of {k}: {row['arm']} minus {row['minus']} = "
            f"{fixed(row['difference'][i], 2, '+')} {limits}"
        )
    return lines


def _pick(ks: list[int], n: int) -> list[int]:
    wanted = {1, 8, max((k for k in ks if k <= n), default=ks[-1]), ks[-1]}
    return [k for k in ks if k in wanted]


def _limits(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" {interval(low, high)}"
