"""Chosen by one score, measured by another: do the interval of the peak and the others hold?

    python benchmarks/experiments/two_scores/run.py            # about 5 minutes of one core
    python benchmarks/experiments/two_scores/run.py --table    # the table of docs/two-scores.md

Each cell draws 400 data sets of P prompts x 64 responses. The selecting score is s ~ N(0, 1), the
measure `r = mu_p + b_p s - c s^2 + e`, with `mu_p ~ N(0, 1)`, `b_p ~ N(b, 0.3)`, `e ~ N(0, 1)`:
where c > 0 the selecting score can be hacked. Over all prompts the chosen one of k is worth
`b E max - c E max^2`, which is known, and so is where it peaks.

laws: peaks (b = 1, c = 0.5), late (b = 1, c = 0.3: a broad peak), rises (b = 0.5), falls
(b = -0.3), nothing (b = 0, where no k is better than another).

For each: how often the interval of the peak holds the true peak, how often the percentile interval
of the place of the highest point in resamples does, its mean width in doublings of k, the verdicts,
and how often the 95 % intervals of the chosen curve and of the regret at k = 8 hold. The same with
30 % of the measures missing by chance (`gaps`).
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import log_ndtr

from bontea.curves import two_scores
from bontea.curves.intervals import centred_in_strata, resampled_means
from bontea.curves.mean_curve import dense_ks
from bontea.rollouts import as_rollouts

HERE = Path(__file__).parent
LAWS = {
    "peaks": (1.0, 0.5),
    "late": (1.0, 0.3),
    "rises": (0.5, 0.0),
    "falls": (-0.3, 0.0),
    "nothing": (0.0, 0.0),
}
PROMPTS, ROLLOUTS, SLOPES, RESAMPLES = (10, 30, 100), 64, 0.3, 1000


def moments(k: int) -> tuple[float, float]:
    """`E max` and `E max^2` of k standard normal variables."""
    x = np.linspace(-9, 9, 2001)
    density = k * np.exp(stats.norm.logpdf(x) + (k - 1) * log_ndtr(x))
    density /= density.sum()
    return float(density @ x), float(density @ x**2)


def truth(law: str, ks: list[int]) -> np.ndarray:
    b, c = LAWS[law]
    return np.array([b * first - c * second for first, second in map(moments, ks)])


def measure_cell(law: str, prompts: int, gaps: bool, sets: int) -> dict[str, Any]:
    rng = np.random.default_rng(zlib.crc32(f"{law} {prompts} {gaps}".encode()))
    b, c = LAWS[law]
    ks = [k for k in dense_ks(ROLLOUTS) if k <= 24] if gaps else dense_ks(ROLLOUTS)
    real = truth(law, ks)
    peak, at8 = int(ks[int(np.argmax(real))]), ks.index(8)
    counts: Counter[str] = Counter()
    widths, values = [], []
    for i in range(sets):
        s = rng.normal(size=(prompts, ROLLOUTS))
        slope = rng.normal(b, SLOPES, size=(prompts, 1))
        level = rng.normal(size=(prompts, 1))
        r = level + slope * s - c * s**2 + rng.normal(size=s.shape)
        if gaps:
            r[rng.random(r.shape) < 0.3] = np.nan
        found = two_scores(
            as_rollouts(s, scores={"r": r}), ks, measure="r", resamples=RESAMPLES, rng=i
        )
        p = found.peak
        counts["peak"] += p.low <= peak <= p.high
        counts[p.verdict] += 1
        widths.append(np.log2(p.high / p.low))
        _, low, high = found.chosen.at(8)
        counts["chosen"] += low <= real[at8] <= high
        values.append(found.chosen.value[at8])
        centred, sizes = centred_in_strata(found.chosen.per_prompt, None)
        drawn = found.chosen.value + resampled_means(centred, sizes, RESAMPLES, 200, i)
        places = np.array(ks)[np.argmax(drawn, axis=1)]
        counts["naive"] += np.quantile(places, 0.025) <= peak <= np.quantile(places, 0.975)
    values = np.array(values)
    return {
        "law": law,
        "prompts": prompts,
        "gaps": gaps,
        "sets": sets,
        "true_peak": peak,
        "width": float(np.mean(widths)),
        "bias_z": float((values.mean() - real[at8]) / values.std() * np.sqrt(sets)),
        **{name: counts[name] / sets for name in ("peak", "naive", "chosen")},
        "verdicts": {
            name: counts[name] / sets for name in ("peaks", "rises", "falls", "undecided")
        },
    }


def table(cells: list[dict[str, Any]]) -> str:
    lines = [
        "| what the measure does, true peak | prompts | the interval of the peak holds it | its "
        "width, doublings of k | found: peaks, rises, falls, undecided | the interval of the curve "
        "at k = 8 holds |",
        "|---|---|---|---|---|---|",
    ]
    for c in cells:
        v = c["verdicts"]
        verdicts = ", ".join(f"{100 * v[name]:.0f}" for name in v)
        law = c["law"] + (", 30 % missing" if c["gaps"] else "")
        place = "any" if c["law"] == "nothing" else f"k = {c['true_peak']}"
        holds = "–" if c["law"] == "nothing" else f"{100 * c['peak']:.1f} %"
        lines.append(
            f"| {law}, {place} | {c['prompts']} | {holds} | {c['width']:.1f} | {verdicts} % | "
            f"{100 * c['chosen']:.1f} % |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=400)
    parser.add_argument("--output", type=Path, default=HERE / "results.json")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    if args.table:
        print(table(json.loads(args.output.read_text())))
        return
    cells = json.loads(args.output.read_text()) if args.output.exists() else []
    done = {(cell["law"], cell["prompts"], cell["gaps"]) for cell in cells}
    wanted = [(law, prompts, False) for law in LAWS for prompts in PROMPTS]
    for law, prompts, gaps in [*wanted, ("peaks", 30, True), ("falls", 30, True)]:
        if (law, prompts, gaps) in done:
            continue  # a stopped run goes on where it was
        cells.append(measure_cell(law, prompts, gaps, args.sets))
        args.output.write_text(json.dumps(cells, indent=1) + "\n")
    print(table(cells))


if __name__ == "__main__":
    main()
