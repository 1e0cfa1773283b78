"""The figures of docs/guide/2-tails.md.

    OMP_NUM_THREADS=1 python benchmarks/figures/guide_tails.py docs/figures/guide    # half a minute

- `tail_lines.png`: one prompt with 64 rewards, normal, heavy (Gumbel) and at a ceiling: the tail
  line through the best quarter, what it promises for best-of-128, and the truth.
- `tail_qq.png`: the QQ of the diagnosis on 64 prompts with 64 rewards: normal, heavy (Gumbel),
  light (beta), at a ceiling.
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from bontea import diagnose, expected_max, fit_tail
from bontea.report.diagnosis import BLUE, GREY, VERMILION, plot_qq
from bontea.tails import expected_scores
from bontea.theory import get_law, value

N, M, PROMPTS, ALPHA = 128, 64, 64, 0.25
CEILING = 1.5


def draw(name: str, shape: tuple[int, int], seed: int) -> np.ndarray:
    """Rewards of a law by name; `ceiling`: normal ones cut at 1.5."""
    rng = np.random.default_rng(seed)
    law = get_law("normal" if name == "ceiling" else name)
    rewards = law.reward(law.latent.draw(rng, shape))
    return np.minimum(rewards, CEILING) if name == "ceiling" else rewards


def truth(name: str) -> float:
    """V_128; below a ceiling by simulation."""
    if name != "ceiling":
        return value(name, N)
    best = np.random.default_rng(1).normal(size=(20_000, N)).max(axis=1)
    return float(np.minimum(best, CEILING).mean())


def lines() -> Figure:
    fig = Figure(figsize=(11, 3.7), layout="constrained")
    titles = {"normal": "normal", "gumbel": "heavy (Gumbel)", "ceiling": "at a ceiling"}
    for ax, (name, title) in zip(fig.subplots(1, 3), titles.items(), strict=True):
        rewards = draw(name, (1, M), 8)
        scores, k = expected_scores(M), int(ALPHA * M)
        fit = fit_tail(rewards, alpha=ALPHA)
        ends = np.array([scores[-k], expected_max(N) + 0.15])
        ascending = np.sort(rewards[0])
        ax.plot(scores[:-k], ascending[:-k], "o", color=GREY, markersize=3, label="the others")
        ax.plot(scores[-k:], ascending[-k:], "o", color=BLUE, markersize=4, label="best quarter")
        ax.plot(ends, fit.location[0] + fit.scale[0] * ends, color=BLUE, label="tail line")
        at = expected_max(N)
        ax.plot(at, fit.predict(N)[0], "D", color=BLUE, mfc="white", label=f"promise for N = {N}")
        ax.plot(at, truth(name), "x", color=VERMILION, ms=8, mew=2, label=f"truth for N = {N}")
        ax.axvline(at, color=GREY, linewidth=0.6, linestyle=":")
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("expected normal score of the rank", fontsize=9)
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    fig.axes[0].set_ylabel("reward", fontsize=9)
    fig.axes[0].legend(frameon=False, fontsize=8)
    return fig


def qqs() -> Figure:
    fig = Figure(figsize=(11, 9), layout="constrained")
    titles = {
        "normal": "normal",
        "gumbel": "heavy (Gumbel)",
        "beta": "light (beta)",
        "ceiling": "at a ceiling",
    }
    for ax, (name, title) in zip(fig.subplots(2, 2).flat, titles.items(), strict=True):
        found = diagnose(draw(name, (PROMPTS, M), 0), n=N)
        plot_qq(found["qq"], ax)
        ax.set_title(f"{title}: {found.recommendation.recommended}", fontsize=10)
        print(f"{title}: {found.recommendation}")
    return fig


def save(fig: Figure, path: Path) -> None:
    """As a PNG of 64 colours, which is a third of the size of the usual one."""
    whole = BytesIO()
    fig.savefig(whole, dpi=90, format="png")
    Image.open(whole).convert("RGB").quantize(64).save(path, optimize=True)
    print(f"wrote {path}")


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/figures/guide_tails.py FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    save(lines(), folder / "tail_lines.png")
    save(qqs(), folder / "tail_qq.png")


if __name__ == "__main__":
    main()
