"""`bontea bench`: what each estimator optimises, how noisy it is, where it leads, how fast it is.

gradients  effective N, cosine and signal-to-noise on known reward laws; bias against M
frontier   training where the best policy is known
speed      time against a sort of the same array
all        all three (the default)

The quick form takes under three minutes on 2 cores. Tables go to stdout; with --output also CSV
files, figures and a file of finished measurements, from which a stopped or killed run goes on.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

from bontea._errors import BonteaError

EXAMPLES = """examples:
  bontea bench gradients
      effective N, cosine and signal-to-noise of every estimator
  bontea bench all --full --output bench/
      more draws, seeds and settings (about half an hour), with figures and CSV files; run it again
      to go on after a stop
"""
PARTS = ("gradients", "frontier", "speed")


def add_parser(subparsers: Any, name: str) -> None:
    parser = subparsers.add_parser(
        name,
        help="measure the estimators against the truth, each other and the clock",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", nargs="?", default="all", choices=[*PARTS, "all"])
    parser.add_argument("--full", action="store_true", help="more draws, seeds and settings")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    parser.add_argument("--output", type=Path, help="folder for CSV files and figures; resumable")
    parser.add_argument("--json", action="store_true", help="the rows as JSON")


def run(args: argparse.Namespace) -> int:
    import bontea
    from bontea._progress import JobProgress, Stopped
    from bontea.bench import run as bench

    if args.seed < 0:
        raise BonteaError(f"--seed {args.seed} must be 0 or more")
    if args.output is not None and args.output.exists() and not args.output.is_dir():
        raise BonteaError(f"--output {args.output} is a file: name a folder")
    parts = PARTS if args.part == "all" else (args.part,)
    tasks = [task for part in parts for task in _tasks(part, args.full, args.seed)]
    cache = args.output / "measured.jsonl" if args.output else None
    progress = JobProgress()
    try:
        with (
            progress.catch_interrupt(),
            progress.phase(f"bontea bench {args.part}", len(tasks)),
        ):
            tables = bench.run(
                tasks, cache=cache, on_done=lambda task: progress.advance(note=task.table)
            )
    except (Stopped, KeyboardInterrupt):
        progress.say(
            "stopped; run the same command again to go on"
            if args.output
            else "stopped; with --output FOLDER a run can go on where it was stopped"
        )
        return 130
    if args.output:
        for path in _write(tables, args.output):
            progress.say(f"wrote {path}")
    if args.json:
        settings = {"part": args.part, "full": args.full, "seed": args.seed}
        print(json.dumps({"version": bontea.__version__, "settings": settings, "tables": tables}))
        return 0
    from rich.console import Console

    from bontea.report.bench import bench_tables

    out = Console(highlight=False)
    if not out.is_terminal:
        out = Console(highlight=False, width=180)
    for table in bench_tables(tables):
        out.print(table)
    return 0


def _tasks(part: str, full: bool, seed: int) -> list[Any]:
    from bontea.bench import frontier, gradients, speed

    return {"gradients": gradients, "frontier": frontier, "speed": speed}[part].tasks(
        full=full, seed=seed
    )


def _write(tables: dict[str, list[dict[str, Any]]], folder: Path) -> list[Path]:
    """One CSV file a table, and the figures if Matplotlib is there."""
    from bontea.report.bench import FIGURES

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, rows in tables.items():
        path = folder / f"{name}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            columns = list(dict.fromkeys(column for row in rows for column in row))
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
        paths.append(path)
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        print('no figures without Matplotlib: pip install "bontea[report]"', file=sys.stderr)
        return paths
    for name, (table, draw) in FIGURES.items():
        if tables.get(table):
            fig, _ = draw(tables[table])
            fig.savefig(folder / f"{name}.png", dpi=150)
            paths.append(folder / f"{name}.png")
    return paths
