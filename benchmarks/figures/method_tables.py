"""Bias, variance and direction of TEA and prefix-TEA on normal rewards, against reference figures.

    OMP_NUM_THREADS=1 python benchmarks/figures/method_tables.py --quick    # 1.5 minutes, one core
    OMP_NUM_THREADS=1 python benchmarks/figures/method_tables.py            # 20 minutes, one core

Rewards z are standard normal. The gradient of a group in (location, log scale) is

    s1 = (1/M) sum_i A_i z_i,    s2 = (1/M) sum_i A_i (z_i^2 - 1),    truth (1, c_N), N = 128

with tail fraction 0.25. Of the mean gradient over groups:

- effective N: the N' with c_N' = s2 / s1, the budget the estimator really optimises;
- cosine to the truth, components divided by the standard deviations of the scores (1, sqrt 2);
- SNR: projection of the mean gradient on the truth, in the same units, over the root-mean-square
  advantage.

Every line prints the measured value, its standard error (SE), the reference, and
`z = (|measured - reference| - half a unit of the reference's last digit) / SE`, at least 0. Lines
with z > 4 are listed again at the end. Independent calls of the estimator are the unit of every
standard error. Means of gradients use
control variates of known expectation, which lowers their error and shifts nothing. The references
come without errors of their own: a large z beside a small difference is not news.

The last table is about the random orders of prefix_tea: the variance of the mean gradient of a
batch of 32 groups, for one set of orders shared by the batch and for orders of its own for every
group (as in the library), each as rotations of one order (as in the library) or unrelated ones.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
from scipy.optimize import brentq

import bontea
from bontea.advantages._prefix_tea import balanced_orders, prefix_sizes, prefix_weights
from bontea.advantages._tea import SD_FLOOR
from bontea.tails import tail_constants, tail_size

N, ALPHA = 128, 0.25
TRUTH = np.array([1.0, bontea.expected_max(N)])
FISHER = np.array([1.0, math.sqrt(2)])
failures: list[str] = []


def shaped(x, boundary, mean, sd, ct):
    """TEA's shape of rewards, with given tail statistics; 0 where sd is 0."""
    x = np.maximum(x, boundary)
    slope = (x + boundary - 2 * mean) / np.where(sd > 0, sd, np.inf)
    return np.where(sd > 0, (x - boundary) * (1 + (ct / 2) * slope), 0)


def tail_statistics(tail, floor=0.0):
    """Threshold, mean and standard deviation of tail rewards, best first, `(..., k)`."""
    sd = np.maximum(tail.std(-1, keepdims=True), floor)
    return tail[..., -1:], tail.mean(-1, keepdims=True), sd


def report(label: str, value: float, se: float, reference: float | None, digits: int = 3) -> None:
    line = f"  {label:<58} {value:9.4f} ± {se:.4f}"
    if reference is not None:
        z = max(abs(value - reference) - 0.5 * 10.0**-digits, 0) / se if se > 0 else math.nan
        line += f"   reference {reference:8.{digits}f}   z = {z:5.1f}"
        if z > 4:
            line += "  <-- off"
            failures.append(line)
    print(line, flush=True)


def components(a: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Gradient (s1, s2) of every group: `(groups, M)` to `(groups, 2)`."""
    return np.stack([(a * z).mean(-1), (a * (z * z - 1)).mean(-1)], axis=-1)


def controls(z: np.ndarray) -> np.ndarray:
    """Statistics of mean 0: TEA with the population's tail statistics minus truth, and moments."""
    threshold, mean, sd = tail_constants(ALPHA)
    ct = bontea.tail_coefficient(N, ALPHA)
    shape = (z - threshold) + ct / (2 * sd) * ((z - mean) ** 2 - (threshold - mean) ** 2)
    exact = components(np.where(z > threshold, shape, 0) / ALPHA, z) - TRUTH
    return np.concatenate([exact, z.mean(-1)[:, None], (z * z - 1).mean(-1)[:, None]], axis=-1)


class Calls:
    """What one estimator does over many independent calls."""

    def __init__(self, estimator, m: int, calls: int, groups: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        rows = []
        for _ in range(calls):
            z = rng.standard_normal((groups, m))
            a = estimator(z, rng)
            g = components(a, z)
            rows.append([*g.mean(0), *(g * g).mean(0), (a * a).mean(), *controls(z).mean(0)])
        self.calls, self.rows = calls, np.array(rows)

    def mean(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean gradient and its standard error."""
        y, x = self.rows[:, :2], self.rows[:, 5:]
        design = np.column_stack([np.ones(self.calls), x])
        coefficients = np.linalg.lstsq(design, y, rcond=None)[0]
        residual = y - design @ coefficients
        return coefficients[0], residual.std(0, ddof=design.shape[1]) / math.sqrt(self.calls)

    def variance(self) -> tuple[np.ndarray, np.ndarray]:
        """Variance of a group's gradient and its standard error."""
        mean = self.rows[:, :2].mean(0)
        centred = self.rows[:, 2:4] - 2 * mean * self.rows[:, :2] + mean**2
        return centred.mean(0), centred.std(0, ddof=1) / math.sqrt(self.calls)

    def direction(self) -> list[tuple[float, float]]:
        """(effective N, SE), (cosine, SE), (SNR, SE); errors by the jackknife over 50 blocks."""
        blocks = np.array_split(np.arange(self.calls), 50)
        everything = self._direction(np.arange(self.calls))
        without = np.array(
            [self._direction(np.setdiff1d(np.arange(self.calls), block)) for block in blocks]
        )
        se = np.sqrt(49 / 50 * ((without - without.mean(0)) ** 2).sum(0))
        return list(zip(everything, se, strict=True))

    def _direction(self, keep: np.ndarray) -> np.ndarray:
        y, x = self.rows[keep, :2], self.rows[keep, 5:]
        design = np.column_stack([np.ones(len(keep)), x])
        g = np.linalg.lstsq(design, y, rcond=None)[0][0]
        rms = math.sqrt(self.rows[keep, 4].mean())
        truth, got = TRUTH / FISHER, g / FISHER
        along = got @ truth / np.linalg.norm(truth)
        ratio = g[1] / g[0]
        effective = 1.0
        if ratio > 1e-3:
            effective = math.exp(brentq(lambda t: bontea.expected_max(math.exp(t)) - ratio, 0, 20))
        return np.array([effective, along / np.linalg.norm(got), along / rms])


def tea(z, rng, *, center=False):
    return bontea.tea(z, n=N, alpha=ALPHA, center=center)


def prefix(z, rng, **options):
    return bontea.prefix_tea(z, n=N, alpha=ALPHA, rng=rng, **options)


def section_2(scale: float) -> None:
    print(f"\nTEA, raw form, N = {N}, alpha = {ALPHA}: bias and per-group variance")
    reference = {
        16: ((-0.348, -1.321), (0.71, 5.15)),
        32: ((-0.234, -0.844), (0.67, 5.05)),
        64: ((-0.140, -0.497), (0.47, 3.77)),
        128: ((-0.080, -0.281), (0.28, 2.40)),
        256: ((-0.046, -0.156), (0.15, 1.39)),
    }
    for m, (bias_ref, variance_ref) in reference.items():
        result = Calls(tea, m, int(scale * 400), max(400000 // (m * 8), 100), seed=m)
        mean, se = result.mean()
        variance, variance_se = result.variance()
        for i in (0, 1):
            report(f"M={m} bias of s{i + 1}", mean[i] - TRUTH[i], se[i], bias_ref[i])
        for i in (0, 1):
            report(f"M={m} variance of s{i + 1}", variance[i], variance_se[i], variance_ref[i], 2)


def section_3(scale: float) -> None:
    print("\nprefix-TEA cross-fitted, sizes (.25, .375, .5, .75) M, 16 orders, raw form")
    first = {64: -0.478, 128: -0.075, 256: -0.017, 512: -0.002}
    one: dict[tuple[int, int], np.ndarray] = {}
    batch: dict[tuple[int, int], np.ndarray] = {}
    for order in (2, 3):
        for m in (64, 128, 256, 512):
            result = Calls(
                lambda z, rng, order=order: prefix(
                    z, rng, order=order, cross_fit=True, center=False
                ),
                m,
                int(scale * {64: 4000, 128: 2000, 256: 700, 512: 300}[m]),
                50,
                seed=10 * m + order,
            )
            mean, se = result.mean()
            one[order, m], one_se = result.variance()
            batch[order, m] = 50 * result.rows[:, :2].var(0, ddof=1)
            label = f"order {order}, M={m}: bias of s"
            report(label + "1", mean[0] - 1, se[0], first[m] if order == 2 else None)
            report(label + "2", mean[1] - TRUTH[1], se[1], None)
            report(f"order {order}, M={m}: variance of s1", one[order, m][0], one_se[0], None)
    for m in (128, 256, 512):
        group, call = one[3, m][0] / one[2, m][0], batch[3, m][0] / batch[2, m][0]
        print(
            f"  M={m}: variance of s1, order 3 / order 2 (reference: about 4): one group "
            f"{group:.2f}, mean of a call of 50 groups {call:.2f}"
        )

    print("\nprefix-TEA not cross-fitted, sizes (.5, .625, .75, 1) M, 16 orders, raw form")
    for m, reference in {32: -0.124, 64: -0.049, 128: -0.020, 256: -0.010}.items():
        result = Calls(
            lambda z, rng: prefix(z, rng, center=False),
            m,
            int(scale * {32: 8000, 64: 4000, 128: 2000, 256: 800}[m]),
            50,
            seed=20 * m,
        )
        plain = Calls(tea, m, int(scale * 400), 500, seed=21 * m).variance()[0]
        mean, se = result.mean()
        report(f"M={m}: bias of s1", mean[0] - 1, se[0], reference)
        report(f"M={m}: bias of s2", mean[1] - TRUTH[1], se[1], None)
        ratio = result.variance()[0] / plain
        print(f"  M={m}: variance / TEA's: {ratio[0]:.2f}, {ratio[1]:.2f} (reference: about 2)")

    print("\nprefix-TEA not cross-fitted at M = 16, sizes (9, 11, 13, 16), 16 orders")
    for center in (False, True):
        result = Calls(
            lambda z, rng, center=center: prefix(z, rng, center=center),
            16,
            int(scale * 16000),
            50,
            seed=160 + center,
        )
        mean, se = result.mean()
        form = "centred" if center else "raw"
        report(f"{form}: bias of s1", mean[0] - 1, se[0], -0.45, 2)
        report(f"{form}: bias of s2", mean[1] - TRUTH[1], se[1], -1.15, 2)
        effective, cosine, snr = result.direction()
        report(f"{form}: effective N", *effective, 131, 0)
        report(f"{form}: cosine", *cosine, 1.0)
        report(f"{form}: SNR", *snr, 0.43, 2)
    print("  the same by its parts, sum_j w_j (bias of raw TEA on n_j), two choices of constants:")
    for name, nominal in (("constants at k/n_j (the contract)", False), ("at alpha", True)):
        mean, se = by_parts((9, 11, 13, 16), int(scale * 400), nominal, seed=17)
        report(f"{name}: bias of s1", mean[0] - 1, se[0], -0.45, 2)
        report(f"{name}: bias of s2", mean[1] - TRUTH[1], se[1], -1.15, 2)

    print("\nCentred, at M = 16: effective N, cosine, SNR")
    table = {
        "group mean": (lambda z, rng: bontea.reinforce(z), (1, 0.48, 0.46), (0, 2, 2)),
        "max@15": (lambda z, rng: bontea.max_at_k(z, k=15), (14.9, 0.983, 0.626), (1, 3, 3)),
        "TEA": (lambda z, rng: tea(z, rng, center=True), (22.8, 0.991, 0.591), (1, 3, 3)),
    }
    for name, (estimator, reference, digits) in table.items():
        result = Calls(estimator, 16, int(scale * 400), 2500, seed=99)
        names = ("effective N", "cosine", "SNR")
        for what, pair, ref, d in zip(names, result.direction(), reference, digits, strict=True):
            report(f"{name}: {what}", *pair, ref, d)


def by_parts(sizes, calls: int, nominal: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean gradient of prefix-TEA as the weighted sum of those of TEA on each size."""
    total, square = np.zeros(2), np.zeros(2)
    for i, (size, weight) in enumerate(zip(sizes, prefix_weights(sizes), strict=True)):
        k = tail_size(ALPHA, size)
        share = ALPHA if nominal else k / size
        ct = bontea.tail_coefficient(N, share)

        def one(z, rng, k=k, share=share, ct=ct):
            r = -np.sort(-z, axis=-1)[:, :k]
            boundary, mean, sd = tail_statistics(r)
            return shaped(z, boundary, mean, sd, ct) / share

        mean, se = Calls(one, size, calls, 2500, seed + i).mean()
        total, square = total + weight * mean, square + (weight * se) ** 2
    return total, np.sqrt(square)


def rank_gradient(x: np.ndarray, orders: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Gradient of centred prefix-TEA (not cross-fitted) with given orders, `(groups, 2)`.

    `x` is `(groups, M)`, best first; `orders` `(groups or 1, permutations, M)` are the positions of
    the ranks.
    """
    groups, m = x.shape
    scores = np.stack([x, x * x - 1])
    scores = scores - scores.mean(-1, keepdims=True)  # centring the advantages, from the other side
    out = np.zeros((groups, 2))
    row = np.arange(groups)[:, None, None]
    for size, weight in zip(sizes, prefix_weights(sizes), strict=True):
        k = tail_size(ALPHA, size)
        inside = orders < size
        order = np.argsort(~inside, axis=-1, kind="stable")[..., :k]  # best ranks of the prefix
        order = np.broadcast_to(order, (groups, *order.shape[1:]))
        tail = x[row, order]
        floor = -SD_FLOOR * x[:, -1:, None]
        boundary, mean, sd = tail_statistics(tail, floor)
        ct = bontea.tail_coefficient(N, k / size)
        a = weight * (m / size) * (size / k) * shaped(tail, boundary, mean, sd, ct)
        for c in (0, 1):
            out[:, c] += (a * scores[c][row, order]).sum(-1).mean(-1) / m
    return out


def section_orders(scale: float, batch: int = 32) -> None:
    print(
        f"\nprefix-TEA: variance of the mean gradient of {batch} groups, times {batch}, by how the "
        "orders are drawn\n  (own: an order set per group; shared: one per call; rotated: "
        "rotations of one order; the library draws own, rotated)"
    )
    check = np.random.default_rng(0).standard_normal((5, 16))
    ours = rank_gradient(-np.sort(-check, axis=-1), _draw("rotated", 5, 16, 16, 7), (9, 11, 13, 16))
    assert np.allclose(ours, components(prefix(check, 7), check)), "the twin is not the library"

    calls = int(scale * 6000)
    for m in (16, 32):
        for permutations in (1, 4, 16, 64):
            rng = np.random.default_rng(1000 * m + permutations)
            for own in (False, True):
                for kind in ("rotated", "unrelated"):
                    # Groups with orders of their own are independent: each one is a sample.
                    count = calls // 4 if own else calls if m * permutations < 1024 else calls // 2
                    means, squares = [], []
                    for _ in range(count):
                        x = -np.sort(-rng.standard_normal((batch, m)), axis=-1)
                        orders = _draw(kind, batch if own else 1, permutations, m, rng)
                        g = rank_gradient(x, orders, prefix_sizes(m, ALPHA))
                        means.append(g.mean(0))
                        squares.append(g.var(0, ddof=1))
                    if own:
                        value = np.mean(squares, axis=0)
                        se = np.std(squares, axis=0) / math.sqrt(count)
                    else:
                        value = batch * np.var(means, axis=0, ddof=1)
                        se = value * math.sqrt(2 / (count - 1))
                    name = f"{'own' if own else 'shared'}, {kind}"
                    print(
                        f"  M={m:<3} permutations={permutations:<3} {name:<18} "
                        f"s1 {value[0]:7.3f} ± {se[0]:.3f}"
                        f"   s2 {value[1]:7.2f} ± {se[1]:.2f}",
                        flush=True,
                    )


def _draw(kind: str, groups: int, permutations: int, m: int, rng) -> np.ndarray:
    rng = np.random.default_rng(rng)
    if kind == "unrelated":
        return rng.permuted(np.tile(np.arange(m), (groups, permutations, 1)), axis=-1)
    return balanced_orders(groups, m, permutations, rng)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer samples, one minute or two")
    parser.add_argument("--only", choices=["2", "3", "orders"], help="one part only (default: all)")
    args = parser.parse_args()
    scale = 0.3 if args.quick else 4.0
    start = time.perf_counter()
    parts = {"2": section_2, "3": section_3, "orders": section_orders}
    for name, part in parts.items():
        if args.only in (None, name):
            part(scale)
    print(f"\n{len(failures)} figures off by more than 4 SE:", *failures, sep="\n")
    print(f"took {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
