"""The tables of docs/results.md that come from gradients, not from training.

Alignment with the best-of-N gradient, ablations of the tail estimators on the same rollouts, and
what the diagnostics said beforehand. `results.py` puts them into the page.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from bontea._numbers import percent_of

EXPERIMENTS = Path(__file__).parents[2] / "benchmarks" / "experiments"
BASE = "max_at_k(k=M-1)"
SETTINGS = ((8, 128), (16, 64), (16, 128), (16, 512), (32, 128), (64, 512))
REWARDS = ("neural", "sharp", "bounded", "rounded", "verifier", "distilled", "contrast")
Results = dict[str, list[list[float]]]


def markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def over_base(results: Results, setting: str, label: str) -> str:
    """Cosine over that of `max_at_k(k=M-1)`, rollouts needed as a multiple of its; the median of
    the closest N in brackets. Means over prompts, empty where it was not measured."""
    own, base = (results.get(f"{setting} {name}") for name in (label, BASE))
    if own is None or base is None:
        return ""
    values, of_base = np.array(own, dtype=float), np.array(base, dtype=float)
    cosine, snr = (values[:, :2] / of_base[:, :2]).mean(axis=0)
    needed = f"{snr**-2:.2f}" if snr > 0.05 else "never"
    shown = "lost" if np.isnan(cosine) else f"{cosine:.2f}"
    # Inside a prompt every advantage of 0/1 rewards points the same way, whatever its N.
    blind = setting.startswith("verifier")
    closest = "" if blind else f" ({np.median(values[:, 2]):.0f})"
    return f"{shown}, {needed}{closest}"


def labels(results: Results, prefix: str, words: int) -> list[str]:
    """Estimators with a result under a prefix, in the order they were measured."""
    keys = [key for key in results if key.startswith(prefix + " ")]
    return list(dict.fromkeys(key.split(" ", words)[words] for key in keys))


def by_setting(results: Results, reward: str) -> str:
    table = [
        [f"`{name}`", *(over_base(results, f"{reward} {m} {n}", name) for m, n in SETTINGS)]
        for name in labels(results, reward, 3)
    ]
    return markdown(["estimator", *(f"M = {m}, N = {n}" for m, n in SETTINGS)], table)


def by_reward(results: Results, m: int, n: int) -> str:
    names = list(dict.fromkeys(name for r in REWARDS for name in labels(results, r, 3)))
    table = []
    for name in names:
        cells = [over_base(results, f"{reward} {m} {n}", name) for reward in REWARDS]
        if any(cells):
            table.append([f"`{name}`", *cells])
    return markdown(["estimator", *(f"`{reward}`" for reward in REWARDS)], table)


def ablations(results: Results) -> str:
    settings = list(dict.fromkeys(tuple(key.split(" ", 2)[:2]) for key in results))
    names = list(dict.fromkeys(key.split(" ", 2)[2] for key in results))
    table = []
    for name in names:
        if name == BASE:
            continue
        varied, _, variant = name.partition(": ")
        cells = [over_base(results, f"{m} {n}", name) for m, n in settings]
        table.append([f"`{varied.split()[-1]}`", varied.rsplit(" of ", 1)[0], variant, *cells])
    header = ["estimator", "what", "variant", *(f"M = {m}, N = {n}" for m, n in settings)]
    return markdown(header, table)


def warned(results: dict[str, Any]) -> str:
    """What the diagnostics say of each reward, and what the estimators then do."""
    table = []
    for name, row in results.items():
        if "kind" not in row:
            continue
        after = [f"{cosine:.3f}, {snr:.2f}" for cosine, snr, _ in row.get("after", {}).values()]
        after = after or [""] * 4
        z = "" if row["z"] is None else f"{row['z']:+.1f}"
        table.append(
            [name, row["kind"], z, percent_of(row["short"]), percent_of(row["refused"]), *after]
        )
    arms = next(list(row["after"]) for row in results.values() if "after" in row)
    header = ["reward", "`reward_kind`", "z of `check_tail`", "z < -2", "`choose_alpha`: none"]
    return markdown([*header, *(f"`{arm}`" for arm in arms)], table)


def during(results: dict[str, Any]) -> str:
    """Policies over styles, step by step: the share of the best V_N, and the warning."""
    table, steps = [], []
    for name, row in results.items():
        if "during" in row:
            steps = [str(step) for step, *_ in row["during"]]
            cells = [
                f"{percent_of(share)}, {z:+.1f}, {percent_of(less)}"
                for _, share, z, less in row["during"]
            ]
            table.append([f"`{name.removeprefix('styles: ')}`", *cells])
    return markdown(["trained with", *(f"step {step}" for step in steps)], table)


def read(folder: str, name: str = "results.json") -> Any:
    return json.loads((EXPERIMENTS / folder / name).read_text(encoding="utf-8"))


def start() -> Results:
    """Gradients at the start policy: of five rewards, and of two that training was done on."""
    names = ("results_start.json", "results_training_rewards.json")
    return {k: v for name in names for k, v in read("gradient_alignment", name).items()}


def contents() -> dict[str, str]:
    """The tables by the names in their markers."""
    gradients, warnings = start(), read("warnings")
    return {
        "gradients": by_setting(gradients, "neural"),
        "gradients by reward": by_reward(gradients, 16, 128),
        "ablations": ablations(read("ablations")),
        "warned": warned(warnings),
        "during": during(warnings),
    }
