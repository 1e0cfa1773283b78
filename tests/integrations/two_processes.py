"""Run under torchrun by test_trl.py: two steps of training, and what each rank saw of them.

`two_processes.py MODEL OUT`: writes OUT/rank0.json and OUT/rank1.json.
"""

import json
import sys
from pathlib import Path

import torch
from datasets import Dataset

from bontea.integrations.trl import BestOfNConfig, BestOfNTrainer
from bontea.training import processes


class Recording(BestOfNTrainer):
    def __init__(self, *args, **kwargs):
        self.seen = []
        super().__init__(*args, **kwargs)

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        self.seen.append({"rewards": rewards.tolist(), "prompts": prompts, "texts": completions})
        return rewards

    def _generate_and_score_completions(self, inputs):
        out = super()._generate_and_score_completions(inputs)
        shown = list(self._logs["advantages"])
        self.seen[-1] |= {"advantages": out["advantages"].tolist(), "shown": shown}
        return out


def score(prompts, completions, **_):
    """The same text gets the same score on every rank; one in seven is unscorable."""
    values = [sum(i * ord(c) for i, c in enumerate(text, 1)) for text in completions]
    return [None if v % 7 == 3 else (v % 997) / 100 for v in values]


def main(model: str, out: Path) -> None:
    args = BestOfNConfig(
        str(out),
        estimator="prefix_tea",
        tail_fraction=0.5,
        num_generations=8,
        per_device_train_batch_size=4,  # a group is wider than a rank
        gradient_accumulation_steps=3,
        max_steps=2,
        max_completion_length=8,
        learning_rate=1e-2,
        seed=5,
        use_cpu=True,
        bf16=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    prompts = Dataset.from_dict({"prompt": ["the cat", "a dog", "one bird", "two fish"] * 2})
    trainer = Recording(model=model, reward_funcs=score, args=args, train_dataset=prompts)
    trainer.train()
    weights = torch.cat([p.detach().flatten() for p in trainer.model.parameters()]).double()
    result = {
        "world": trainer.accelerator.num_processes,
        "steps": trainer.seen,
        "weights": [weights.sum().item(), weights.square().sum().item()],
    }
    rank = trainer.accelerator.process_index
    (out / f"rank{rank}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
    processes.leave()
