"""The measurement of gradient alignment: oracle, estimators, and what is compared.

`run.py` says in words what is measured; ../ablations and ../warnings measure the same way.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from bontea.rollouts.rewards import load_reward

for folder in ("training", "contrast"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))

OF_NEURAL = {
    "neural": lambda r: r,
    "sharp": lambda r: np.exp(r / 2),
    "bounded": lambda r: 1 / (1 + np.exp(-(r - 1))),
    "rounded": lambda r: np.round(2 * r) / 2,
}
"""Functions of the embedded reward, which the rollouts come with."""
OF_TEXT = {
    "verifier": "rewards:verifier",
    "distilled": "rewards:distilled",
    "contrast": "contrast_reward:contrast",
}
"""Rewards of training experiments, given to the texts anew."""
SCORED = 512
"""Texts in one call of a reward."""
REGROUPINGS = 32
BUDGETS = [2.0**i for i in range(11)]


def exact_advantage(law: np.ndarray, at: np.ndarray, n: float) -> np.ndarray:
    """`A*(r) = n int_{-inf}^r F(t)^(n-1) dt`, F the empirical law, up to a constant, centred."""
    x = np.sort(law)
    f = np.arange(1, len(x)) / len(x)
    area = np.concatenate([[0.0], np.cumsum(np.exp((n - 1) * np.log(f)) * np.diff(x))]) * n
    a = np.interp(at, x, area)
    return a - a.mean()


def average_advantage(estimator, r: np.ndarray, m: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """Mean advantage of every rollout over random groups of m, and its mean square."""
    total, square = np.zeros(len(r)), np.zeros(len(r))
    groups = len(r) // m
    seen = np.zeros(len(r))
    for _ in range(REGROUPINGS):
        order = rng.permutation(len(r))[: groups * m]
        a = estimator(r[order].reshape(groups, m)).ravel()
        total[order] += a
        square[order] += a * a
        seen[order] += 1
    return total / np.maximum(seen, 1), square / np.maximum(seen, 1)


class Half:
    """One half of the rollouts of a prompt."""

    def __init__(self, rewards: np.ndarray, sketch: np.ndarray) -> None:
        self.r = rewards
        self.s = sketch - sketch.mean(0)  # E[S] = 0: a control variate
        self.length = (self.s**2).sum(1)
        self.parts = np.array_split(np.arange(len(rewards)), 2)

    def gradients(self, a: np.ndarray) -> np.ndarray:
        """The mean of a S over each quarter, `(2, D)`."""
        return np.stack([a[i].astype(np.float32) @ self.s[i] / len(i) for i in self.parts])


def measure(estimators: dict, halves: list[Half], m: int, n: float, seed: int = 0) -> dict:
    """Sums over both roles of: <g, g*>, |g|^2, |g*|^2, mean square length of a group's gradient."""
    rows: dict[str, np.ndarray] = {name: np.zeros(4) for name in estimators}
    near = {name: np.zeros(len(BUDGETS)) for name in estimators}
    for oracle, half in (halves, halves[::-1]):
        target = oracle.gradients(exact_advantage(oracle.r, oracle.r, n))
        squared = target[0] @ target[1]
        others = [oracle.gradients(exact_advantage(oracle.r, oracle.r, b)) for b in BUDGETS]
        lengths = np.sqrt([max(t[0] @ t[1], 1e-300) for t in others])
        for name, estimator in estimators.items():
            a, square = average_advantage(estimator, half.r, m, np.random.default_rng(seed))
            g = half.gradients(a)
            noise = (square * half.length).mean() / m
            rows[name] += np.array([g.mean(0) @ target.mean(0), g[0] @ g[1], squared, noise]) / 2
            near[name] += [t.mean(0) @ g.mean(0) for t in others] / lengths
    out = {}
    for name, (along, own, squared, noise) in rows.items():
        out[name] = {
            # The length of g can be lost in its noise: its estimate is then not positive.
            "cosine": along / np.sqrt(own * squared) if own > 0 else np.nan,
            "directional_snr": along / np.sqrt(squared * noise),
            "closest_n": BUDGETS[int(near[name].argmax())],
        }
    return out


def rollout_files(folder: Path) -> list[Path]:
    """What `rollouts.py` wrote, a file a prompt; without one the program ends with a message."""
    files = sorted(folder.glob("prompt*.npz"))
    if not files:
        sys.exit(f"{folder} holds no prompt*.npz: draw them with gradient_alignment/rollouts.py")
    return files


def write_results(path: Path, results: dict) -> None:
    """One line a key; NaN as null."""
    rows = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in results.items())
    path.write_text("{\n" + rows.replace("NaN", "null") + "\n}\n")


def load(path: Path, reward: str) -> list[Half]:
    """The rollouts of a prompt with a reward of `OF_NEURAL` or `OF_TEXT`, in two halves."""
    data = np.load(path)
    if reward in OF_TEXT:
        lines = path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
        rows, function = [json.loads(line) for line in lines], load_reward(OF_TEXT[reward])
        texts = [[row["prompt"] for row in rows], [row["completion"] for row in rows]]
        parts = range(0, len(rows), SCORED)
        rewards = np.concatenate([function(*(t[i : i + SCORED] for t in texts)) for i in parts])
    else:
        rewards = OF_NEURAL[reward](data["rewards"])
    sketch = data["sketch"]
    order = np.random.default_rng(7).permutation(len(rewards))
    return [Half(rewards[half], sketch[half]) for half in np.array_split(order, 2)]


def in_batches(estimator, groups: int = 64):
    """For estimators that look at the whole batch: as many groups as a training step has."""

    def call(r: np.ndarray) -> np.ndarray:
        return np.concatenate([estimator(r[i : i + groups]) for i in range(0, len(r), groups)])

    return call
