"""The best rule there is for normal rewards of unknown mean and variance, and what it saves.

    python benchmarks/experiments/stopping/backward_induction.py --json results_best.json

Prompts are drawn from the normal-inverse-gamma law that the rules are told, so the rule found here
by backward induction is the best of all rules that do not know the prompt's own law: what lies
between it and the law-known rule cannot be had. The problem has no unit and no origin: the state
after n responses is

    z = (best - m) / s,   c / s,     m mean, s^2 = beta / alpha of the posterior, c the price

and the value W of going on, in units of s, obeys with x the next response in standard form,
Student's t with 2 alpha degrees of freedom times sqrt((k + 1) / k),

    W_n(z, c) = max(0, E[(x - z)+] - c + E[r W_{n+1}(z', c / r)]),
    r = s'/s,   z' = (max(z, x) - x / (k + 1)) / r.

After 128 responses the law counts as known: `W = (tau(c) - z)+`, tau the reservation value. The
grid has z - tau(c), fine near the stopping boundary, and tau(c).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from rivals import normal_excess
from run import index_walk, row_of
from scipy.special import ndtr, stdtrit

from bontea.deploy import Prior, draw_index, seen
from bontea.deploy.gain import student_excess
from bontea.deploy.standard import named_law
from bontea.tails import expected_max

LEVELS = np.linspace(-12, 9, 42_001)
LOG_GAIN = np.log(normal_excess(LEVELS))
TAU = np.arange(-0.6, 4.61, 0.2)
FAR = np.geomspace(0.01, 6, 60)
AWAY = np.unique(np.concatenate([-FAR, np.arange(-0.4, 0.4, 0.01), FAR]))
NODES, LAST = 48, 128


def reservation(log_price: np.ndarray) -> np.ndarray:
    """tau with E[(X - tau)+] = price."""
    return np.interp(log_price, LOG_GAIN[::-1], LEVELS[::-1])


def boundaries(weight: float, alpha: float) -> dict[int, np.ndarray]:
    """For each n the z below which drawing goes on, at prices of the reservation values TAU."""
    node, share = np.polynomial.legendre.leggauss(NODES)
    y = 6.5 * node
    share = share * np.exp(-y * y / 2)
    share /= share.sum()
    log_price = np.interp(TAU, LEVELS, LOG_GAIN)
    z = AWAY[:, None] + TAU
    value = np.maximum(-np.broadcast_to(AWAY[:, None], z.shape), 0.0)
    out = {}
    columns = np.arange(len(TAU))
    for n in range(LAST, 0, -1):
        k, a = weight + n, alpha + n / 2
        wide = np.sqrt((k + 1) / k)
        steps = wide * stdtrit(2 * a, ndtr(y))
        ratio = np.sqrt((a + k * steps**2 / (2 * (k + 1))) / (a + 0.5))
        go_on = wide * student_excess(z / wide, 2 * a) - np.exp(log_price)
        for x, r, w in zip(steps, ratio, share, strict=True):
            tau = reservation(log_price - np.log(r))
            away = (np.maximum(z, x) - x / (k + 1)) / r - tau
            i = np.clip(np.searchsorted(AWAY, away) - 1, 0, len(AWAY) - 2)
            f = np.minimum((away - AWAY[i]) / (AWAY[i + 1] - AWAY[i]), 1)
            place = np.clip((tau - TAU[0]) / 0.2, 0, len(TAU) - 1.001)
            j = place.astype(int)
            g = place - j
            later = (value[i, j] * (1 - f) + value[i + 1, j] * f) * (1 - g)
            later += (value[i, j + 1] * (1 - f) + value[i + 1, j + 1] * f) * g
            go_on += w * r * np.where(away >= AWAY[-1], 0.0, np.maximum(later, 0.0))
        last = len(AWAY) - 1 - (go_on > 0)[::-1].argmax(0)
        after = np.minimum(last + 1, len(AWAY) - 1)
        high, low = go_on[last, columns], go_on[after, columns]
        part = np.where(after > last, high / np.where(high > low, high - low, 1), 0.0)
        out[n] = np.maximum.accumulate(TAU + AWAY[last] + part * (AWAY[after] - AWAY[last]))
        value = np.maximum(go_on, 0.0)
    return out


def best_index(table: dict[int, np.ndarray], z: np.ndarray, s: np.ndarray) -> np.ndarray:
    """The price at which drawing stops being worth it, `(B, T)`."""
    out = np.empty_like(z)
    for n in range(1, z.shape[1] + 1):
        edge = table[min(n, LAST)]
        tau = np.interp(z[:, n - 1], edge, TAU)
        tau += np.minimum(z[:, n - 1] - edge[0], 0) + np.maximum(z[:, n - 1] - edge[-1], 0)
        out[:, n - 1] = s[:, n - 1] * np.exp(np.interp(tau, LEVELS, LOG_GAIN))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=4000)
    parser.add_argument("--most", type=int, default=640)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    weight, freedom = 2.0, 11.0
    variance = (freedom - 2) / freedom
    law = named_law("normal")
    prior = Prior(0.0, weight, variance, freedom, None, np.inf, False, 1.0, 0, 1.0, "unknown", law)
    table = boundaries(weight, freedom / 2)
    rng = np.random.default_rng(88_001)
    shape = (args.prompts, 1)
    scale = np.sqrt(variance * freedom / rng.chisquare(freedom, size=shape))
    location = scale / np.sqrt(weight) * rng.normal(size=shape)
    rewards = location + scale * rng.normal(size=(args.prompts, args.most))
    at = np.arange(1, args.most + 1)
    best, ahead, ours, known = (np.empty_like(rewards) for _ in range(4))
    for start in range(0, args.prompts, 500):
        some = slice(start, start + 500)
        state = seen(rewards[some], at)
        k, nu = weight + at, freedom + at
        middle = at * state.mean / k
        square = freedom * variance + state.squares + weight * at / k * state.mean**2
        s = np.sqrt(square / nu)
        best[some] = best_index(table, (state.best - middle) / s, s)
        wide = s * np.sqrt((k + 1) / k)
        ahead[some] = wide * student_excess((state.best - middle) / wide, nu)
        ours[some] = draw_index(prior, state)
        level = (state.best - location[some]) / scale[some]
        known[some] = scale[some] * normal_excess(level)
    rows = []

    def fixed(n: float) -> np.ndarray:
        return (location + scale * expected_max(n))[:, 0]

    rules = {"law known": known, "best of all": best, "ours": ours, "one step ahead": ahead}
    for rule, index in rules.items():
        for n in (16, 64, 128):
            walks = [index_walk(index, rewards)]
            row = row_of(walks, np.arange(args.prompts), fixed, n, np.random.default_rng(0))
            rows.append({"data": "normal, prior known", "rule": rule, "n": n} | row)
            print(rule, n, *(round(row[k], 4) for k in ("saving", "low", "high")), flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
