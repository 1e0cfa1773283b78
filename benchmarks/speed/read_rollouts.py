"""Reading rollout files: seconds, rows a second and peak memory, next to a loop over `json.loads`.

    python benchmarks/speed/read_rollouts.py runs/rollouts               # 10 million rows, ~2.5 GB
    python benchmarks/speed/read_rollouts.py runs/rollouts --prompts 100

Makes one file after the other in the folder, reads each in a fresh process, and deletes it. Rows
are in order, or shuffled; or, in files of a tenth of the size, one reward in a thousand is NaN, or
`true` (among numbers: it is read line by line). The loop stops after a million rows, and
its figures for the whole file are extrapolated from there.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

LOOP = 1_000_000
"""Rows that the loop reads."""
BLOCK = 100_000
"""Rows written at once."""
BYTES_A_ROW = 300
ODD = {"with NaN": math.nan, "with true": True}


def rows(order: np.ndarray, rollouts: int, odd: float | None) -> Iterator[list[str]]:
    """Lines of the file, a block at a time: rollout i of the file is number `order[i]`.

    `odd` is the reward of one in a thousand.
    """
    rng = np.random.default_rng(0)
    words = ["because", "therefore", "answer", "café", "the", "of", "a", "number", "then", "42"]
    texts = [" ".join(rng.choice(words, size=n)) for n in rng.integers(36, 52, size=997)]
    for start in range(0, len(order), BLOCK):
        numbers = order[start : start + BLOCK]
        rewards: list[float] = rng.normal(size=len(numbers)).tolist()
        if odd is not None:
            rewards[::1000] = [odd] * len(rewards[::1000])
        yield [
            json.dumps(
                {
                    "prompt_id": i // rollouts,
                    "rollout": i % rollouts,
                    "reward": reward,
                    "prompt": f"Write a short review of subject {i // rollouts} in one sentence.",
                    "completion": texts[i % 997][i % 89 :] + f" {i}",
                },
                ensure_ascii=False,
            )
            + "\n"
            for i, reward in zip(numbers.tolist(), rewards, strict=True)
        ]


def make(path: Path, kind: str, total: int, rollouts: int, progress: Progress) -> None:
    order = np.arange(total)
    if kind == "shuffled":
        np.random.default_rng(1).shuffle(order)
    task = progress.add_task(f"writing {path.name}", total=len(order))
    with path.open("w", encoding="utf-8") as file:
        for lines in rows(order, rollouts, ODD.get(kind)):
            file.writelines(lines)
            progress.update(task, advance=len(lines))
    progress.remove_task(task)


def to_parquet(source: Path, target: Path) -> None:
    import polars as pl

    pl.scan_ndjson(source).sink_parquet(target)


def measure(path: Path, how: str) -> dict[str, float]:
    """In this process: seconds, rows, peak resident memory in MB (before, and at the end)."""
    before = peak_memory()
    start, cpu = time.perf_counter(), time.process_time()
    if how == "loop":
        groups: dict[int, list[float]] = {}
        with path.open("rb") as file:
            for _, line in zip(range(LOOP), file, strict=False):
                row = json.loads(line)
                groups.setdefault(row["prompt_id"], []).append(row["reward"])
        count = sum(map(len, groups.values()))
    else:
        from bontea.rollouts import read_rollouts

        count = len(read_rollouts(path).rewards)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {"seconds": seconds, "cpu": cpu, "rows": count, "before": before, "peak": peak_memory()}


def peak_memory() -> float:
    """Of this process, in MB. `getrusage` on Linux has that of the parent if it was higher."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def in_fresh_process(path: Path, how: str) -> dict[str, float]:
    command = [sys.executable, __file__, str(path), "--measure", how]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def report(console: Console, what: str, path: Path, found: dict[str, float]) -> None:
    console.print(
        f"{what:<16} {path.stat().st_size / 1e6:>6,.0f} MB  {found['seconds']:>6.1f} s (CPU "
        f"{found['cpu']:.1f} s)  "
        f"{found['rows'] / found['seconds'] / 1e3:>6,.0f} thousand rows/s  "
        f"peak {found['peak']:>6,.0f} MB ({found['before']:,.0f} before)"
        f"  {found['rows']:,} rows"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the files are made, and deleted")
    parser.add_argument("--prompts", type=int, default=10_000)
    parser.add_argument("--rollouts", type=int, default=1000)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.folder, args.measure)))
        return

    total = args.prompts * args.rollouts
    args.folder.mkdir(parents=True, exist_ok=True)
    needed, free = 2 * total * BYTES_A_ROW, shutil.disk_usage(args.folder).free
    if free < needed:
        parser.error(
            f"{needed / 1e9:.1f} GB are needed in {args.folder}, {free / 1e9:.1f} are free"
        )
    console = Console() if Console().is_terminal else Console(width=160)
    console.print(
        f"{total:,} rows, {args.prompts:,} prompts; {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    jsonl, parquet = args.folder / "rollouts.jsonl", args.folder / "rollouts.parquet"
    columns = (TextColumn("{task.description}"), *Progress.get_default_columns()[1:])
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:

        def timed(what: str, path: Path, how: str = "read") -> dict[str, float]:
            task = progress.add_task(f"reading {what}", total=None)
            found = in_fresh_process(path, how)
            progress.remove_task(task)
            report(console, what, path, found)
            return found

        try:
            for kind in ("in order", "shuffled", *ODD):
                size = total // 10 if kind in ODD else total
                make(jsonl, kind, size, args.rollouts, progress)
                timed(f"JSONL {kind}", jsonl)
                if kind == "in order":
                    loop = timed("json.loads", jsonl, "loop")
                    console.print(
                        f"  extrapolated to {total:,} rows: "
                        f"{loop['seconds'] * total / loop['rows']:.1f} s "
                        f"(CPU {loop['cpu'] * total / loop['rows']:.1f} s)"
                    )
                    task = progress.add_task("writing rollouts.parquet", total=None)
                    to_parquet(jsonl, parquet)
                    progress.remove_task(task)
                    timed("Parquet", parquet)
                    parquet.unlink()
        finally:
            for path in (jsonl, parquet):
                path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
