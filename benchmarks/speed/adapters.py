"""The advantage step of a large batch in verl's layout, beside verl's own estimators.

    python benchmarks/speed/adapters.py                          # needs verl and about 8 GB
    python benchmarks/speed/adapters.py --prompts 64 --tokens 512 --output adapters.json

The rows go through `verl.trainer.ppo.core_algos.get_adv_estimator_fn`, each in turn in every
round, on the same tensors: shuffled rows, prompt ids as strings, a float32 mask. Time is the least
of the rounds; memory what the call adds at its peak, measured in rounds of their own.
"""

from __future__ import annotations

import argparse
import functools
import gc
import importlib.metadata
import json
import logging
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from verl.trainer.ppo.core_algos import get_adv_estimator_fn

import bontea.integrations.verl

THEIRS = ("grpo", "grpo_vectorized", "rloo", "grpo_passk")
BINARY = {"max_rl", "pass_at_k", "pass_at_n", "inference_aware"}


def batch(prompts: int, m: int, tokens: int, binary: bool = False) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    ids = [str(uuid.UUID(int=int(i) + 2**64)) for i in rng.permutation(prompts)]
    index = np.repeat(np.array(ids, dtype=object), m)[rng.permutation(prompts * m)]
    rewards = torch.tensor(rng.normal(size=prompts * m), dtype=torch.float32)
    lengths = torch.tensor(rng.integers(tokens // 4, tokens + 1, prompts * m))
    mask = (torch.arange(tokens) < lengths[:, None]).float()
    scores = torch.zeros(prompts * m, tokens)
    scores[torch.arange(prompts * m), lengths - 1] = (rewards > 1).float() if binary else rewards
    return {"token_level_rewards": scores, "response_mask": mask, "index": index}


def resident() -> int:
    """Bytes of memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak(call: Callable[[], Any]) -> float:
    """GB that a call adds at its peak, its result included."""
    gc.collect()
    before, most, done = resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.002):
            most = max(most, resident())

    thread = threading.Thread(target=watch)
    thread.start()
    result = call()
    most = max(most, resident())
    done.set()
    thread.join()
    del result
    return max(0, most - before) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=1024)
    parser.add_argument("--rollouts", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--estimators", nargs="*", default=sorted(bontea.ADVANTAGES))
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    logging.getLogger("bontea").setLevel(logging.ERROR)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))

    names = [*THEIRS, *(f"bontea_{name}" for name in args.estimators)]
    rows: dict[str, dict[str, float]] = {}
    for binary in (False, True):
        data = batch(args.prompts, args.rollouts, args.tokens, binary)
        config = OmegaConf.create({"bontea": {"n": 128}})
        mine = [n for n in names if (n.removeprefix("bontea_") in BINARY) == binary]
        mine = mine if not binary else ["grpo", *mine]
        seconds: dict[str, list[float]] = {name: [] for name in mine}
        for round_ in range(args.rounds + 1):  # the first makes constants, and measures memory
            for name in mine:
                call = functools.partial(get_adv_estimator_fn(name), **data, config=config)
                if round_ == 0:
                    rows.setdefault(name, {})["gb"] = peak(call)
                    continue
                start = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - start)
        grpo = min(seconds["grpo"])
        for name in mine:
            if binary and name == "grpo":
                continue
            rows[name] |= {"seconds": min(seconds[name]), "ratio": min(seconds[name]) / grpo}

    mask_gb = args.prompts * args.rollouts * args.tokens * 4 / 1e9
    print(f"{args.prompts} prompts x {args.rollouts} rollouts x {args.tokens} tokens: the mask is")
    print(f"{mask_gb:.2f} GB. Load {os.getloadavg()[0]:.1f}, {torch.get_num_threads()} thread")
    for name, row in rows.items():
        print(f"{name:28} {row['seconds']:8.3f} s  {row['ratio']:6.2f} x grpo  {row['gb']:6.2f} GB")
    if args.output:
        versions = {p: importlib.metadata.version(p) for p in ("verl", "torch", "numpy")}
        found = {"python": platform.python_version(), "load": os.getloadavg(), **versions}
        shape = {"prompts": args.prompts, "rollouts": args.rollouts, "tokens": args.tokens}
        result = {"machine": found, **shape, "rows": rows}
        args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
