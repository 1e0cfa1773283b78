"""How often the diagnosis gives each verdict on rewards whose law is known.

    python benchmarks/experiments/diagnosis_power/run.py --json results.json    # 10 minutes
    python benchmarks/experiments/diagnosis_power/run.py --sets 20 --sizes 64x64

16 or 64 prompts with 16 rewards, and 64 with 64; N = 128, everything else at its default (so that
M = 16). Prompts of continuous laws differ in location, N(0, 1), and scale, lognormal with sigma
0.3. Laws with atoms are the same for all prompts, but for success rates. With --json a stopped run
goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

import bontea
from bontea.diagnosis import admit, gather
from bontea.theory import get_law

SIZES = ((16, 16), (64, 16), (64, 64))
N = 128


def continuous(name: str) -> Callable[..., np.ndarray]:
    """Rewards of a law of `bontea.theory`, with a location and scale of its own for each prompt."""

    def draw(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
        law = get_law(name)
        rewards = law.reward(law.latent.draw(rng, shape))
        scale = np.exp(0.3 * rng.normal(size=(shape[0], 1)))
        return rng.normal(size=(shape[0], 1)) + scale * rewards

    return draw


def rounded(step: float) -> Callable[..., np.ndarray]:
    return lambda rng, shape: step * np.round(rng.normal(size=shape) / step)


def atom(share: float) -> Callable[..., np.ndarray]:
    """A share of the rewards of each prompt at 0, the rest N(2, 0.5^2)."""
    return lambda rng, shape: np.where(
        rng.random(shape) < share, 0.0, rng.normal(2.0, 0.5, size=shape)
    )


def success(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return (rng.random(shape) < rng.beta(0.3, 2.0, size=(shape[0], 1))).astype(float)


def ceiling(at: float) -> Callable[..., np.ndarray]:
    return lambda rng, shape: np.minimum(rng.normal(size=shape), at)


def grades(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Grades from 1 to 5 as a judge gives them, most of the best at 5."""
    return np.clip(np.round(3.5 + rng.normal(size=shape)), 1, 5)


LAWS: dict[str, tuple[Callable[..., np.ndarray], str]] = {
    "normal": (continuous("normal"), "normal"),
    "exponential_body": (continuous("exponential_body"), "normal"),
    "rounded, 1/4 sd": (rounded(0.25), "normal"),
    "rounded, 1/2 sd": (rounded(0.5), "normal"),
    "skewed_mixture": (continuous("skewed_mixture"), "normal"),
    "logistic": (continuous("logistic"), "heavy"),
    "gumbel": (continuous("gumbel"), "heavy"),
    "exponential": (continuous("exponential"), "heavy"),
    "student_t": (continuous("student_t"), "heavy"),
    "uniform": (continuous("uniform"), "light"),
    "beta": (continuous("beta"), "light"),
    "normal cut at 1 sd": (ceiling(1.0), "ceiling"),
    "normal cut at 2 sd": (ceiling(2.0), "ceiling"),
    "grades 1 to 5": (grades, "ceiling"),
    "rounded, 1 sd": (rounded(1.0), "ties"),
    "atom with 30 %": (atom(0.3), "mixed"),
    "atom with 50 %": (atom(0.5), "mixed"),
    "atom with 80 %": (atom(0.8), "mixed"),
    "0/1": (success, "binary"),
}
"""Name -> how rewards are drawn, and the verdict that is right."""


def verdicts(
    draw: Callable[..., np.ndarray], shape: tuple[int, int], sets: int, seed: int
) -> dict[str, int]:
    """How often each verdict comes."""
    found: Counter[str] = Counter()
    for index in range(sets):
        rng = np.random.default_rng([seed, index])
        found[admit(gather(draw(rng, shape), n=N, rng=rng)).verdict] += 1
    return dict(found.most_common())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", type=int, default=400, help="data sets of each law and size")
    parser.add_argument("--sizes", nargs="+", default=[f"{p}x{m}" for p, m in SIZES])
    parser.add_argument("--laws", nargs="+", default=list(LAWS), choices=list(LAWS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="add the counts to this file, and skip its own")
    args = parser.parse_args()
    rows: list[dict] = []
    if args.json is not None and args.json.exists():
        rows = json.loads(args.json.read_text(encoding="utf-8"))["results"]
    for size in args.sizes:
        p, m = map(int, size.split("x"))
        for name in args.laws:
            key = {"law": name, "P": p, "M": m, "N": N, "sets": args.sets, "seed": args.seed}
            if any(key.items() <= row.items() for row in rows):
                continue
            draw, right = LAWS[name]
            found = verdicts(draw, (p, m), args.sets, args.seed)
            rows.append({**key, "right": right, "verdicts": found})
            share = found.get(right, 0) / args.sets
            print(f"{size:>7}  {name:20} {right:8} {share:6.1%}  {found}", flush=True)
            if args.json is not None:
                out = {"version": bontea.__version__, "results": rows}
                args.json.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
