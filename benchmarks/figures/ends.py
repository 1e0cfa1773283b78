"""Where training ends: the shares in src/bontea/planning/ends.json, which plans show as `end`.

    python benchmarks/figures/ends.py            # goes on where it was stopped; about 25 minutes
    python benchmarks/figures/ends.py --jobs 2

Each cell is `bontea.theory.style_frontier` with five seeds of 400 steps: the share of the best V_N
that a softmax policy over 41 styles ends at when it is trained with the estimator, N and M.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import bontea
from bontea import EstimatorSpec, GroupTooSmallError
from bontea.theory import style_frontier

TABLE = Path(bontea.__file__).parent / "planning" / "ends.json"
NS, MS = (8, 32, 128, 512, 2048), (4, 8, 16, 32, 64, 128)
ESTIMATORS = (
    "grpo",
    "max_at_k",
    "max_at_k(k=M-1)",
    "tea",
    "prefix_tea",
    "linear_tea",
    "linear_tea(alpha=0.5)",
    "adaptive_tea",
)
SEEDS, STEPS, SEED = 5, 400, 0


def measure(cell: tuple[str, int, int]) -> tuple[tuple[str, int, int], list[float] | None]:
    """Shares of one cell; None where the estimator cannot run."""
    name, n, m = cell
    spec = EstimatorSpec.parse(name.replace("M-1", str(m - 1)))
    try:
        found = style_frontier(spec, n=n, m=m, seeds=SEEDS, steps=STEPS, rng=SEED)
    except GroupTooSmallError:
        return cell, None
    return cell, [round(float(share), 4) for share in found.share]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--again", action="store_true", help="measure what is there already too")
    args = parser.parse_args()
    held = {} if args.again or not TABLE.exists() else json.loads(TABLE.read_text())["estimators"]
    done = {(e, row["n"], row["m"]): row["shares"] for e, rows in held.items() for row in rows}
    cells = [(e, n, m) for n in NS for m in MS for e in ESTIMATORS if (e, n, m) not in done]
    with ProcessPoolExecutor(args.jobs) as pool:
        for i, (cell, shares) in enumerate(pool.map(measure, cells), start=1):
            done[cell] = shares
            write(done)
            print(f"{i}/{len(cells)}", *cell, shares, flush=True)


def write(done: dict[tuple[str, int, int], list[float] | None]) -> None:
    """The table as far as it is known, cells that cannot run as null."""
    rows = {
        e: [{"n": n, "m": m, "shares": done[e, n, m]} for n in NS for m in MS if (e, n, m) in done]
        for e in ESTIMATORS
    }
    made = {"made by": "benchmarks/figures/ends.py", "version": bontea.__version__}
    recipe = {"seeds": SEEDS, "steps": STEPS, "rng": SEED}
    lines = ",\n".join(
        f"  {json.dumps(e)}: [\n   " + ",\n   ".join(map(json.dumps, cells)) + "\n  ]"
        for e, cells in rows.items()
    )
    head = json.dumps(made | recipe)[:-1]
    TABLE.write_text(f'{head},\n "estimators": {{\n{lines}\n }}}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
