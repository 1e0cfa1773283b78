"""The two language models whose likelihood ratio is the reward of this experiment.

    python benchmarks/experiments/contrast/prepare.py

Both start from the embedded policy and go on learning, one from cheerful reviews of the grammar and
one from gloomy ones: two minutes on one core. They go to `runs/contrast`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from contrast_reward import FOLDER, MOODS
from transformers import AutoModelForCausalLM, AutoTokenizer

from bontea import demo

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from make_demo_assets import learn_reviews, save_policy

STEPS, RATE, SEED = 150, 1e-3, 0


def main() -> None:
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(demo.policy_folder())
    for name, mood in MOODS.items():
        torch.manual_seed(SEED)
        model = AutoModelForCausalLM.from_pretrained(demo.policy_folder())
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
        print(name, flush=True)
        learn_reviews(model, tokenizer, optimizer, schedule, STEPS, SEED, mood)
        save_policy(model, tokenizer, FOLDER / name)


if __name__ == "__main__":
    main()
