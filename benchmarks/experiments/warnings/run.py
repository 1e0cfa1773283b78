r"""Did the diagnostics warn? What they say of a reward, and what the tail model then does.

    python benchmarks/experiments/gradient_alignment/rollouts.py runs/alignment
    python benchmarks/experiments/warnings/run.py --rollouts runs/alignment \
        --json runs/warnings.json

*Before*: `reward_kind`, `check_tail` (upper half) and `choose_alpha` on 64 groups of 16, drawn 40
times: the most frequent kind, the median z, the shares of batches in which z is below -2
and in which `choose_alpha` refuses every fraction.

*After*, for `linear_tea(alpha=0.5)`, which trusts the tail whatever it looks like, `adaptive_tea`,
which asks first, and `max_at_k` with k = 15 and 8: the cosine with the exact gradient of
best-of-128 and the signal per rollout. On laws it is that of location and scale, from 40,000
groups; on the embedded language model (names that begin with `model:`) that of the weights, from
../gradient_alignment.

*During*: policies that mix 41 styles (`bontea.theory.style_frontier`), where trusting the tail is
exploited: the share of the best possible V_128 after so many steps, and what the same diagnostics
say of 64 groups drawn from the policy at that step, at the tail fraction of the estimator.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import bontea
from bontea.advantages import EstimatorSpec
from bontea.tails.choose import ALPHAS
from bontea.theory import LAWS, get_law, style_frontier
from bontea.theory.style_law import StyleLaw, draw_rewards

sys.path.insert(0, str(Path(__file__).parents[1] / "gradient_alignment"))

from alignment import in_batches, load, measure, rollout_files, write_results

M, N, GROUPS, BATCHES = 16, 128, 64, 40
ARMS = ["linear_tea(alpha=0.5)", "adaptive_tea", "max_at_k(k=15)", "max_at_k(k=8)"]
EXTRA = {
    "normal, ceiling at +1 sd": lambda z: np.minimum(z, 1.0),
    "normal, rounded to 1 sd": np.round,
}
"""Laws that `bontea.theory` has no name for: a function of standard normals, diagnosed only."""


def before(draw: Callable[[np.random.Generator], np.ndarray], alpha: float = 0.5) -> dict[str, Any]:
    """What 64 groups of 16 make the diagnostics say; `alpha` is what `check_tail` looks at."""
    rng = np.random.default_rng(0)
    kinds, z, refused, less = [], [], [], []
    for _ in range(BATCHES):
        rewards = draw(rng)
        kinds.append(bontea.reward_kind(rewards).name)
        z.append(bontea.check_tail(rewards, alpha=alpha).z)
        chosen = bontea.choose_alpha(rewards)
        refused.append(chosen is None)
        less.append((chosen or 0) < min(alpha, ALPHAS[0]))  # it never takes more
    z_ = np.array(z, dtype=float)
    return {
        "kind": Counter(kinds).most_common(1)[0][0],
        "z": float(np.nanmedian(z_)) if np.isfinite(z_).any() else None,
        "short": float((z_ < -2).mean()),
        "refused": float(np.mean(refused)),
        "less": float(np.mean(less)),
    }


def on_law(name: str) -> dict[str, Any]:
    law = get_law(name)
    said = before(lambda rng: law.reward(law.latent.draw(rng, (GROUPS, M))))
    after = {}
    for spec in map(EstimatorSpec.parse, ARMS):
        batch = GROUPS if spec.name == "adaptive_tea" else None
        got = bontea.effective_n(
            spec.name, n=N, m=M, law=law, groups=40_000, batch=batch, rng=0, **spec.params
        )
        after[spec.label] = [got.cosine, got.snr, got.value]
    return {**said, "after": after}


def on_model(folder: Path, reward: str) -> dict[str, Any]:
    prompts = [load(file, reward) for file in rollout_files(folder)]
    pools = [np.concatenate([half.r for half in halves]) for halves in prompts]

    def draw(rng: np.random.Generator) -> np.ndarray:
        return np.stack([rng.choice(pools[i % len(pools)], M) for i in range(GROUPS)])

    table = {}
    for spec in map(EstimatorSpec.parse, ARMS):
        budget = {} if spec.name == "max_at_k" else {"n": N}
        call = partial(spec.function, **budget, **spec.params)
        table[spec.label] = in_batches(call)
    rows = [measure(table, halves, M, N) for halves in prompts]
    after = {
        label: np.mean([list(row[label].values()) for row in rows], axis=0).tolist()
        for label in ARMS
    }
    return {**before(draw), "after": after}


STEPS = (0, 25, 50, 100, 200, 400)
STYLED = {
    "linear_tea(alpha=0.5)": 0.5,
    "tea(alpha=0.5)": 0.5,
    "gaussian_plug_in": 1.0,
    "tea": 0.25,
    "linear_tea": 0.25,
    "adaptive_tea": 0.75,
}
"""With the tail fraction that each looks at (`adaptive_tea`: at most)."""


def along_training(name: str, alpha: float) -> list[list[float]]:
    """`[step, share of the best V_N, z of check_tail, share of batches in which choose_alpha takes
    less than alpha]`, mean over 3 seeds."""
    spec = EstimatorSpec.parse(name)
    found = style_frontier(spec.name, n=N, m=M, seeds=3, rng=0, **spec.params)
    law, rows = StyleLaw(found.styles), []
    for step in STEPS:
        policies = found.trajectory[step]
        said = [
            before(
                lambda rng, p=p: draw_rewards(
                    law.styles[rng.choice(len(p), size=(GROUPS, M), p=p)], rng
                ),
                alpha,
            )
            for p in policies
        ]
        share = np.mean([law.value(p, n=N) for p in policies]) / found.value_star
        z = [each["z"] for each in said if each["z"] is not None]
        rows.append(
            [
                step,
                float(share),
                float(np.mean(z)) if z else float("nan"),
                float(np.mean([each["less"] for each in said])),
            ]
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=Path, help="of gradient_alignment; default: laws only")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.rollouts:
        rollout_files(args.rollouts)  # missing ones are said before a minute of work
    out: dict[str, Any] = {name: on_law(name) for name in LAWS if name != "bernoulli"}
    for name, cut in EXTRA.items():
        out[name] = before(lambda rng, cut=cut: cut(rng.normal(size=(GROUPS, M))))
    if args.rollouts:
        for reward in ("neural", "sharp", "bounded", "rounded", "verifier"):
            out[f"model: {reward}"] = on_model(args.rollouts, reward)
    for label, alpha in STYLED.items():
        out[f"styles: {label}"] = {"during": along_training(label, alpha)}
    for name, row in out.items():
        print(name, json.dumps(row))
    if args.json:
        write_results(args.json, out)


if __name__ == "__main__":
    main()
