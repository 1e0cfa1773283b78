"""The figure of docs/guide/7-rules.md, and the file of rollouts that it is of.

    python benchmarks/figures/guide_rules.py FOLDER

The rollouts are made up, so that what is true is known: 60 questions, 64 responses each. A question
has a chance to be answered rightly (Beta(1, 1)); wrong responses give one of 8 other answers, the
most common of them in a third of the cases. The score is a noisy verifier: logit 1.5 higher for a
right response, and 1 in 25 wrong responses deceives it (4 higher).
"""

from __future__ import annotations

import json
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from bontea.curves import compare_rules
from bontea.report.rules import plot_rules
from bontea.rollouts import read_rollouts
from bontea.rollouts.answers import read_answers, read_right

FIGURES = Path(__file__).parents[2] / "docs" / "figures" / "guide"
P, M = 60, 64
FORMS = ["So \\boxed{%d}.", "The answer is %d.", "#### %d", "I think\n%d"]


def write(path: Path) -> None:
    rng = np.random.default_rng(0)
    shares = np.array([1 / 3, *[2 / 21] * 7])
    with path.open("w", encoding="utf-8") as file:
        for p in range(P):
            truth = int(rng.integers(100, 1000))
            chance = rng.beta(1, 1)
            for j in range(M):
                right = rng.random() < chance
                wrong = truth + 1 + int(rng.choice(8, p=shares))
                deceives = not right and rng.random() < 0.04
                logit = rng.normal() + 1.5 * right + 4 * deceives
                row = {
                    "prompt_id": p,
                    "rollout": j,
                    "reward": round(1 / (1 + np.exp(-logit)), 4),
                    "completion": FORMS[int(rng.integers(4))] % (truth if right else wrong),
                    "answer": str(truth),
                }
                file.write(json.dumps(row) + "\n")


def main() -> None:
    path = Path(sys.argv[1]) / "questions.jsonl"
    write(path)
    rollouts = read_rollouts(path)
    answers = read_answers(rollouts)
    right = read_right(rollouts, answers, "answer")
    found = compare_rules(rollouts, answers=answers, measure=right, rng=0)
    fig, _ = plot_rules(found, "share of right answers")
    drawn = BytesIO()
    fig.savefig(drawn, dpi=110, bbox_inches="tight")
    Image.open(drawn).convert("RGB").quantize(64).save(FIGURES / "rules.png", optimize=True)


if __name__ == "__main__":
    main()
