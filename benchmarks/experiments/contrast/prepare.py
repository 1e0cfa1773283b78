"""The two language models whose likelihood ratio is the reward of this experiment.

    python benchmarks/experiments/contrast/prepare.py

Both start from the embedded policy and go on learning, one from cheerful reviews of the grammar and
one from gloomy ones: two minutes on one core. They go to `runs/contrast`.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import torch
from contrast_reward import FOLDER, MOODS
from transformers import AutoModelForCausalLM, AutoTokenizer

from bontea import demo

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from make_demo_assets import batch_of_reviews, save_policy

STEPS, RATE, SEED = 150, 1e-3, 0


def main() -> None:
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(demo.policy_folder())
    for name, mood in MOODS.items():
        torch.manual_seed(SEED)
        rng = random.Random(SEED)
        model = AutoModelForCausalLM.from_pretrained(demo.policy_folder())
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
        for step in range(STEPS):
            inputs, labels = batch_of_reviews(tokenizer, rng, mood)
            loss = model(input_ids=inputs, labels=labels).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            if step % 50 == 0 or step == STEPS - 1:
                print(f"{name}: step {step:3d}  loss {loss.item():.3f}", flush=True)
        save_policy(model, tokenizer, FOLDER / name)


if __name__ == "__main__":
    main()
