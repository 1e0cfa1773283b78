"""How often do 95 % intervals of best-of-k hold the true value?

    python benchmarks/experiments/coverage/run.py                # about 10 minutes of one core
    python benchmarks/experiments/coverage/run.py --quick --output quick.json
    python benchmarks/experiments/coverage/run.py --table        # the tables of the guide

Each cell draws 2,000 data sets of P prompts x M rollouts and asks `bontea.curves.intervals` for the
interval of each method; the true value is known. A stopped run goes on where it was.

Rewards are `h(mu + sigma X)`: X by the law, location `mu ~ N(0, 1)` and scale `sigma = exp(s Z)` by
prompt, s = 0.5 (1 for `wide`, where scales range over a factor of 50). `rounded` rounds to whole
numbers, `bounded` is a logistic function of a normal; `bernoulli` has success rates from
Beta(0.3, 2). Designs:

curve        mean over prompts
difference   paired, b = h(mu + 0.2 + 0.7 sigma_b Y): the same locations, scales of its own
strata       5 equal strata with means from -2 to 2 (10 prompts: pairs)
uneven       strata of 60, 20, 10, 5 and 5 % of the prompts (10 prompts: two have one prompt)
superiority  the chance that the best of k from a beats that from b, normal rewards
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import betaln, expit, log_ndtr, ndtr

from bontea import best_of_k
from bontea.curves.comparison import superiority
from bontea.curves.intervals import CURVE_METHOD, METHODS, PAIRED_METHOD, mean_interval
from bontea.rollouts import as_rollouts
from bontea.theory import value

HERE = Path(__file__).parent
PROMPTS = (10, 30, 100, 300)
LAWS = ("normal", "exponential", "student_t5", "wide", "rounded", "bounded", "bernoulli")
LEVEL, RESAMPLES, BATCH = 0.95, 1000, 50
SHIFT, SHRINK = 0.2, 0.7  # of model b
BETA, SECOND = (0.3, 2.0), 0.5  # b's rate is a's times Beta(2.3, 0.5): Beta(0.3, 2.5)
STRATA = np.arange(-2.0, 3.0)
SHARES = {"strata": np.full(5, 0.2), "uneven": np.array([0.6, 0.2, 0.1, 0.05, 0.05])}

Cell = dict[str, Any]


# --- the true values ---------------------------------------------------------------------------


def spread(law: str) -> float:
    return 1.0 if law == "wide" else 0.5


def _normal(nodes: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for the mean over a standard normal variable."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    return x, w / w.sum()


def _best_normal(k: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for the mean over the best of k standard normal variables."""
    x = np.linspace(-9, 9, 721)
    density = k * np.exp(stats.norm.logpdf(x) + (k - 1) * log_ndtr(x))
    return x, density / density.sum()


@lru_cache
def truth(law: str, k: int, *, second: bool = False) -> float:
    """Mean over the population of prompts of the best of k, of model a or b."""
    if law == "bernoulli":
        a, b = BETA[0], BETA[1] + SECOND * second
        return float(-np.expm1(betaln(a, b + k) - betaln(a, b)))
    shift, shrink = (SHIFT, SHRINK) if second else (0.0, 1.0)
    if law not in ("rounded", "bounded"):
        x = {"exponential": stats.expon(), "student_t5": stats.t(5)}.get(law, "normal")
        return shift + shrink * float(np.exp(spread(law) ** 2 / 2)) * value(x, k)
    z, wz = _normal()
    x, wx = _best_normal(k)
    sigma = shrink * np.exp(spread(law) * z)[:, None]
    if law == "bounded":
        mean = np.einsum("m,msx->sx", wz, expit(z[:, None, None] + shift + sigma * x))
    else:  # sum over thresholds t of P(mu + shift + sigma x > t)
        mean = np.zeros((len(sigma), len(x)))
        for t in np.arange(0.5, 60):
            mean += ndtr(shift + sigma * x - t) - ndtr(-t - shift - sigma * x)
    return float(wz @ mean @ wx)


@lru_cache
def true_superiority(k: int) -> float:
    """P(mu + sigma_a X > mu + shift + shrink sigma_b Y), X and Y the best of k, normal rewards."""
    z, w = _normal()
    x, wx = _best_normal(k)
    sigma = np.exp(spread("normal") * z)
    limit = (sigma[:, None, None] * x - SHIFT) / (SHRINK * sigma[:, None])
    return float(np.einsum("a,b,x,abx->", w, w, wx, np.exp(k * log_ndtr(limit))))


# --- the data sets -----------------------------------------------------------------------------


def rewards(
    law: str, rng: np.random.Generator, mu: np.ndarray, m: int, *, second: bool = False
) -> np.ndarray:
    """`(D, P, M)` for prompts of locations (success rates for `bernoulli`) `mu` `(D, P, 1)`."""
    shape = (*mu.shape[:2], m)
    if law == "bernoulli":
        if second:
            mu = mu * rng.beta(sum(BETA), SECOND, size=mu.shape)
        return (rng.random(shape) < mu).astype(float)
    draw = {
        "exponential": rng.standard_exponential,
        "student_t5": lambda size: rng.standard_t(5, size=size),
    }.get(law, rng.standard_normal)
    sigma = np.exp(spread(law) * rng.standard_normal(mu.shape))
    shift, shrink = (SHIFT, SHRINK) if second else (0.0, 1.0)
    out = mu + shift + shrink * sigma * draw(shape)
    return {"rounded": np.round, "bounded": expit}.get(law, lambda r: r)(out)


def locations(law: str, rng: np.random.Generator, sets: int, prompts: int) -> np.ndarray:
    if law == "bernoulli":
        return rng.beta(*BETA, size=(sets, prompts, 1))
    return rng.standard_normal((sets, prompts, 1))


def per_prompt(cell: Cell, rng: np.random.Generator, sets: int, strata: Any) -> np.ndarray:
    """The values whose mean is wanted, `(D, P, K)`."""
    law, m, ks = cell["law"], cell["rollouts"], cell["ks"]
    mu = locations(law, rng, sets, cell["prompts"])
    if cell["design"] == "superiority":
        a, b = (rewards(law, rng, mu, m, second=second) for second in (False, True))
        groups = [as_rollouts(side.reshape(-1, m)) for side in (a, b)]
        return superiority(*groups, ks).reshape(sets, -1, len(ks))
    first = best_of_k(rewards(law, rng, mu, m), ks)
    if cell["design"] == "difference":
        return first - best_of_k(rewards(law, rng, mu, m, second=True), ks)
    if strata is not None:
        return STRATA[strata][:, None] + (1 + strata[:, None] / 4) * first
    return first


def strata_of(cell: Cell) -> np.ndarray | None:
    if cell["design"] not in SHARES:
        return None
    shares = SHARES[cell["design"]]
    edges = np.round(np.cumsum(shares) * cell["prompts"]).astype(int)
    return np.searchsorted(edges, np.arange(cell["prompts"]), side="right")


def true_values(cell: Cell, strata: np.ndarray | None) -> np.ndarray:
    law, ks, design = cell["law"], cell["ks"], cell["design"]
    if design == "superiority":
        return np.array([true_superiority(k) for k in ks])
    first = np.array([truth(law, k) for k in ks])
    if design == "difference":
        return first - [truth(law, k, second=True) for k in ks]
    if strata is not None:
        return STRATA[strata].mean() + (1 + strata / 4).mean() * first
    return first


def bounds(cell: Cell) -> tuple[float, float]:
    if cell["design"] == "superiority":
        return 0.0, 1.0
    if cell["law"] == "bernoulli" and cell["design"] in ("curve", "difference"):
        return (0.0 if cell["design"] == "curve" else -1.0), 1.0
    return -np.inf, np.inf


# --- cells -------------------------------------------------------------------------------------


def cells() -> list[Cell]:
    out = []
    for design, laws, sizes in [
        ("curve", LAWS, (16, 64)),
        ("difference", LAWS, (16, 64)),
        ("strata", ("normal", "exponential", "student_t5"), (16,)),
        ("uneven", ("normal", "exponential", "student_t5"), (16,)),
        ("superiority", ("normal",), (16,)),
    ]:
        for law in laws:
            for m in sizes:
                ks = sorted({1, 8, m // 2, m})
                out += [
                    {"design": design, "law": law, "prompts": p, "rollouts": m, "ks": ks}
                    for p in PROMPTS
                ]
    return out


def measure(cell: Cell, sets: int) -> Cell:
    """Coverage, width and missing intervals of every method in one cell."""
    rng = np.random.default_rng(zlib.crc32(name(cell).encode()))
    strata = strata_of(cell)
    true = true_values(cell, strata)
    width = len(cell["ks"])
    held, above, given, size = ({m: np.zeros(width) for m in METHODS} for _ in range(4))
    estimates = []
    for _ in range(sets // BATCH):
        # One call for many data sets: the columns of `values` share resamples, not data.
        values = per_prompt(cell, rng, BATCH, strata).transpose(1, 0, 2)
        values = values.reshape(cell["prompts"], -1)
        estimates.append(values.mean(0).reshape(BATCH, width))
        seed = int(rng.integers(2**31))
        for method in METHODS:
            got = mean_interval(
                values,
                strata,
                method=method,
                confidence_level=LEVEL,
                resamples=RESAMPLES,
                rng=seed,
                bounds=bounds(cell),
            )
            low, high = got.low.reshape(BATCH, width), got.high.reshape(BATCH, width)
            held[method] += ((low <= true) & (true <= high)).sum(0)
            above[method] += (true > high).sum(0)
            given[method] += (np.isfinite(low) & np.isfinite(high)).sum(0)
            size[method] += np.nansum(high - low, axis=0)
    means = np.concatenate(estimates)
    sd = means.std(0, ddof=1)
    ideal = 2 * stats.norm.ppf((1 + LEVEL) / 2) * sd
    return cell | {
        "sets": sets,
        "true": true.round(6).tolist(),
        # The estimates are unbiased and the true values are true: |z| below 4 or so.
        "bias_z": ((means.mean(0) - true) / (sd / np.sqrt(sets))).round(2).tolist(),
        "coverage": {m: (held[m] / given[m]).round(5).tolist() for m in METHODS},
        # Of the rest, this much lies above the interval: half of it for balanced tails.
        "above": {m: (above[m] / given[m]).round(5).tolist() for m in METHODS},
        "width": {m: (size[m] / given[m] / ideal).round(4).tolist() for m in METHODS},
        "missing": {m: (1 - given[m] / sets).round(5).tolist() for m in METHODS},
    }


def default(cell: Cell) -> str:
    """What `curve` and `compare` use."""
    return PAIRED_METHOD if cell["design"] in ("difference", "superiority") else CURVE_METHOD


def name(cell: Cell) -> str:
    return f"{cell['design']} {cell['law']} P={cell['prompts']} M={cell['rollouts']}"


# --- the tables of the guide -------------------------------------------------------------------


def tables(results: list[Cell]) -> str:
    """Markdown: methods, laws and designs against the number of prompts."""
    blocks = []
    for title, design in [("a curve, all laws", "curve"), ("a difference, all laws", "difference")]:
        rows = [r for r in results if r["design"] == design]
        blocks.append(_table(title, {f"`{m}`": [(r, m) for r in rows] for m in METHODS}))
    curves = [(r, default(r)) for r in results if r["design"] == "curve"]
    by_law = {text: [c for c in curves if c[0]["law"] == law] for law, text in TITLES.items()}
    blocks.append(_table(f"a curve, `{CURVE_METHOD}`", by_law))
    others = [(r, default(r)) for r in results if r["law"] not in ("wide", "bernoulli")]
    by_design = {text: [c for c in others if c[0]["design"] == d] for d, text in DESIGNS.items()}
    blocks.append(_table("the defaults, continuous rewards", by_design))
    return "\n\n".join(blocks)


def _table(title: str, rows: dict[str, list[tuple[Cell, str]]]) -> str:
    """Mean coverage over laws, M and k, and the lowest and highest."""
    lines = [f"| {title} | " + " | ".join(f"{p} prompts" for p in PROMPTS) + " |"]
    lines.append("|---" * (len(PROMPTS) + 1) + "|")
    for label, cells in rows.items():
        found = []
        for p in PROMPTS:
            values = [100 * v for r, m in cells if r["prompts"] == p for v in r["coverage"][m]]
            found.append(f"{np.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})")
        lines.append(f"| {label} | " + " | ".join(found) + " |")
    return "\n".join(lines)


TITLES = {
    "normal": "normal rewards",
    "exponential": "exponential",
    "student_t5": "Student t, 5 degrees of freedom",
    "wide": "normal, scales of prompts over a factor of 50",
    "rounded": "rounded to whole numbers",
    "bounded": "bounded, between 0 and 1",
    "bernoulli": "0/1 (pass@k)",
}
DESIGNS = {
    "curve": "a curve",
    "difference": "a paired difference",
    "strata": "5 equal strata",
    "uneven": "5 strata of 60, 20, 10, 5, 5 %",
    "superiority": "the chance to win",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=HERE / "results.json")
    parser.add_argument("--quick", action="store_true", help="200 data sets a cell")
    parser.add_argument("--table", action="store_true", help="print the tables and stop")
    args = parser.parse_args()
    done = json.loads(args.output.read_text()) if args.output.exists() else []
    if args.table:
        print(tables(done))
        return
    sets = 200 if args.quick else 2000
    known = {name(r): r for r in done if r["sets"] == sets}
    started = time.time()
    for cell in cells():
        if name(cell) in known:
            continue
        known[name(cell)] = measure(cell, sets)
        part = args.output.with_suffix(".part")
        lines = ",\n".join(json.dumps(r) for r in known.values())
        part.write_text(f"[\n{lines}\n]\n")
        part.replace(args.output)
        got = known[name(cell)]
        print(
            f"{time.time() - started:5.0f} s  {name(cell)}  {got['coverage'][default(cell)]}  "
            f"bias z {got['bias_z']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
