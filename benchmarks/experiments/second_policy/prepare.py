"""A second policy: the recipe of the embedded one, from another seed and with half the training.

    python benchmarks/experiments/second_policy/prepare.py runs/second_policy

Writes the model folder and the embedded prompts as files, as any other model would have them: five
minutes on one core. It writes less like the grammar, so that its rewards vary more.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from transformers import AutoTokenizer

from bontea import demo

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from make_demo_assets import make_policy, save_policy

STEPS, SEED = 300, 1


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(demo.policy_folder())
    folder.mkdir(parents=True, exist_ok=True)
    prompts = {"train": demo.training_prompts(), "held_out": demo.held_out_prompts()}
    for name, own in prompts.items():
        lines = "".join(json.dumps({"prompt": prompt}) + "\n" for prompt in own)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    save_policy(make_policy(tokenizer, STEPS, SEED), tokenizer, folder / "model")


if __name__ == "__main__":
    main()
