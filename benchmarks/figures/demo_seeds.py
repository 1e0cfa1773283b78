"""The README's table: several seeds of the embedded job, side by side.

for s in 0 1 2; do bontea train --seed $s --output runs/seed$s; done
python benchmarks/figures/demo_seeds.py runs/seed0 runs/seed1 runs/seed2
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from bontea._numbers import percent_of

KS = (1, 8, 128)


def main(folders: list[str]) -> int:
    runs = [json.loads((Path(folder) / "results.json").read_text()) for folder in folders]
    names = [arm["arm"] for arm in runs[0]["arms"]]
    columns = [f"best of {k}" for k in KS] + ["spread", "distinct", "seconds"]
    print("| arm | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for i, name in enumerate(names):
        arms = [run["arms"][i] for run in runs]
        cells = []
        for k in KS:
            values = [arm["best_of_k"][arm["ks"].index(k)] for arm in arms]
            cells.append(f"{np.mean(values):.2f} ({', '.join(f'{v:.2f}' for v in values)})")
        cells.append(f"{np.mean([arm['spread'] for arm in arms]):.2f}")
        cells.append(percent_of(np.mean([arm["distinct"] for arm in arms])))
        cells.append(", ".join(f"{arm['seconds']:.0f}" for arm in arms))
        print(f"| `{name}` | " + " | ".join(cells) + " |")
    print()
    for j, row in enumerate(runs[0]["differences"]):
        parts = []
        for run in runs:
            other = run["differences"][j]
            at = other["ks"].index(128)
            parts.append(
                f"{other['difference'][at]:+.2f} [{other['low'][at]:.2f}, {other['high'][at]:.2f}]"
            )
        print(f"best of 128, {row['arm']} minus {row['minus']}: " + "; ".join(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
