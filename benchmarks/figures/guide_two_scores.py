"""The figure of docs/two-scores.md, from the embedded policy and the judge of that page.

    bontea sample --rollouts 256 --output warm.jsonl
    bontea sample --rescore --output warm.jsonl --reward reviews:helpful --reward-name helpful
    python benchmarks/figures/guide_two_scores.py warm.jsonl docs/figures/guide

`reviews.py` is the file of the page. Sampling takes about two minutes on one core, the rest some
seconds.
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

from PIL import Image

from bontea.curves import two_scores
from bontea.report import plot_two_scores
from bontea.rollouts import read_rollouts


def main() -> None:
    path, folder = Path(sys.argv[1]), Path(sys.argv[2])
    found = two_scores(read_rollouts(path, also=["helpful"]), measure="helpful", rng=0)
    print(found)
    fig, _ = plot_two_scores({"warm": found})
    buffer = BytesIO()
    fig.savefig(buffer, dpi=100)
    image = Image.open(buffer).convert("RGB").quantize(64)  # a third of the bytes
    image.save(folder / "two_scores.png", optimize=True)


if __name__ == "__main__":
    main()
