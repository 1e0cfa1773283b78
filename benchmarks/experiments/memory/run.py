"""What a memory of the last groups does for `adaptive_tea` where a step has few prompts.

    python benchmarks/experiments/memory/run.py            # about 15 minutes on one core; goes on
    python benchmarks/experiments/memory/run.py --table    # the table of results.json

`style_frontier` and `risk_frontier` with and without 256 remembered groups, ten seeds: the share of
the best V_N that the policy ends at (30 seeds in the cell with fewest prompts).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bontea.theory import risk_frontier, style_frontier

FILE = Path(__file__).with_name("results.json")
POLICIES = {"styles": style_frontier, "one mean style": risk_frontier}
CELLS = [
    *(("styles", 128, 16, prompts) for prompts in (4, 8, 16, 32, 64)),
    *(
        ("styles", n, m, prompts)
        for n, m in ((512, 16), (512, 32), (128, 8))
        for prompts in (4, 64)
    ),
    *(("one mean style", 128, 16, prompts) for prompts in (4, 64)),
]
SEEDS, SEED, GROUPS = 10, 2, 256
MORE_SEEDS = {("styles", 128, 16, 4): 30}
"""Where the question is whether it is 95 %."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true", help="only print what is there")
    args = parser.parse_args()
    found = json.loads(FILE.read_text()) if FILE.exists() else {}
    for policy, n, m, prompts in CELLS:
        for estimator, memory in (("adaptive_tea", 0), ("adaptive_tea", GROUPS), ("linear_tea", 0)):
            key = f"{policy}, N={n}, M={m}, {prompts} prompts, {estimator}, memory {memory}"
            if key in found or args.table or (estimator == "linear_tea" and m < 9):
                continue
            seeds = MORE_SEEDS.get((policy, n, m, prompts), SEEDS)
            got = POLICIES[policy](
                estimator, n=n, m=m, prompts=prompts, memory=memory, seeds=seeds, rng=SEED
            )
            found[key] = {"share": got.mean, "low": got.low, "high": got.high, "seeds": seeds}
            print(key, found[key], flush=True)
            FILE.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))


def table(found: dict[str, dict[str, float]]) -> str:
    """Markdown: a row for each policy and number of prompts."""
    lines = [
        "| policy | N | M | prompts a step | `adaptive_tea` on the step alone | with 256 groups "
        "remembered | `linear_tea`, a quarter |",
        "|---|---|---|---|---|---|---|",
    ]
    for policy, n, m, prompts in CELLS:
        cells = []
        for estimator, memory in (("adaptive_tea", 0), ("adaptive_tea", GROUPS), ("linear_tea", 0)):
            row = found.get(
                f"{policy}, N={n}, M={m}, {prompts} prompts, {estimator}, memory {memory}"
            )
            cells.append(
                ""
                if row is None
                else f"{100 * row['share']:.1f} % [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
            )
        lines.append(f"| {policy} | {n} | {m} | {prompts} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
