"""Estimators against a sort, a Python loop, TRL's lines and verl's estimators, in one run.

    python benchmarks/speed/run.py                              # about 2 minutes without verl
    python benchmarks/speed/run.py --device cuda --libraries torch
    python benchmarks/speed/run.py --quick --output speed.json

verl's rows are there where `import verl` works. They time the functions that its trainer calls
(`verl.trainer.ppo.core_algos`), on the same rewards as token-level rewards of one token, with the
prompt ids as strings, as in its trainer. `advantages_for` on the same flat rewards and ids is the
like-for-like row of bontea.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import bontea
from bontea.bench.speed import has_torch, speed

VERL = {
    "verl grpo": "compute_grpo_outcome_advantage",
    "verl grpo_vectorized": "compute_grpo_vectorized_outcome_advantage",
    "verl grpo_passk": "compute_grpo_passk_outcome_advantage",
}


def prompt_ids(prompts: int, m: int) -> np.ndarray:
    """A string for every rollout, the same for those of a prompt."""
    ids = [str(uuid.UUID(int=i)) for i in np.random.default_rng(0).permutation(prompts)]
    return np.repeat(np.array(ids, dtype=object), m)


def flat_rows() -> dict[str, Any]:
    """The estimators on flat rewards with prompt ids, bontea's and verl's."""

    def flat(name: str, **params: Any) -> Any:
        def prepare(rewards: Any) -> Any:
            ids, values = prompt_ids(*rewards.shape), rewards.reshape(-1)
            return lambda: bontea.advantages_for(values, ids, name, **params)

        return prepare

    rows = {
        "advantages_for grpo": flat("grpo"),
        "advantages_for linear_tea": flat("linear_tea", n=128),
    }
    try:
        from verl.trainer.ppo import core_algos
    except ImportError as error:
        Console(stderr=True).print(f"no rows of verl: {error}")
        return rows

    def verl(name: str) -> Any:
        function = getattr(core_algos, name)

        def prepare(rewards: Any) -> Any:
            if isinstance(rewards, np.ndarray):
                return None
            ids, values = prompt_ids(*rewards.shape), rewards.reshape(-1, 1)
            mask = values.new_ones(values.shape)
            return lambda: function(values, mask, ids, config={})

        return prepare

    return rows | {row: verl(name) for row, name in VERL.items()}


def machine(device: str) -> dict[str, Any]:
    """What the figures depend on."""
    found = {
        "cpu": platform.processor(),
        "cores": os.cpu_count(),
        "load": list(os.getloadavg()),
        "python": platform.python_version(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
    }
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        lines = {name.strip(): text.strip() for name, text in lines.items()}
        found["cpu"] = lines.get("model name", found["cpu"])
        flags = lines.get("flags", "").split()
        found["vector"] = max((f for f in ("avx2", "avx512f") if f in flags), default=None)
    for name in ("bontea", "numpy", "scipy", "torch", "verl"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if has_torch():
        import torch

        found["torch threads"] = torch.get_num_threads()
        if device.startswith("cuda"):
            found["gpu"] = torch.cuda.get_device_name(device)
    return found


def show(rows: list[dict[str, Any]]) -> Table:
    columns = list(dict.fromkeys((row["library"], row["device"], row["M"]) for row in rows))
    table = Table(title="milliseconds (and as a multiple of a sort of the same shape)")
    table.add_column("estimator", no_wrap=True)
    for library, device, m in columns:
        table.add_column(f"{library} {device} M={m}", justify="right", no_wrap=True)
    sorts = {(row["library"], row["device"], row["M"]): row["sort_ms"] for row in rows}
    table.add_row("sort", *(f"{sorts[column]:.2f}" for column in columns), end_section=True)
    for name in dict.fromkeys(row["estimator"] for row in rows):
        cells = {(r["library"], r["device"], r["M"]): r for r in rows if r["estimator"] == name}
        table.add_row(
            name,
            *(
                f"{cells[c]['min_ms']:.2f} ({cells[c]['ratio']:.1f})" if c in cells else ""
                for c in columns
            ),
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="M = 16 and 64, 5 repeats")
    parser.add_argument("--prompts", type=int, default=4096)
    parser.add_argument("--libraries", nargs="+", default=["numpy", "torch"])
    parser.add_argument("--estimators", nargs="*", help="keys of ADVANTAGES; all by default")
    parser.add_argument("--device", default="cpu", help="for PyTorch")
    parser.add_argument("--output", type=Path, help="JSON file for the rows and the machine")
    args = parser.parse_args()
    console = Console() if Console().is_terminal else Console(width=160)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=None)
        before = machine(args.device)
        rows = speed(
            (16, 64) if args.quick else (16, 64, 256),
            args.prompts,
            args.libraries,
            args.estimators,
            5 if args.quick else 20,
            args.device,
            flat_rows(),
            lambda line: progress.update(task, description=line),
            rng=0,
        )
    console.print(show(rows))
    console.print(", ".join(f"{name} {value}" for name, value in before.items()))
    if args.output:
        result = {"machine": before, "prompts": args.prompts, "rows": rows}
        args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
