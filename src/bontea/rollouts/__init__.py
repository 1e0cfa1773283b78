"""Prompts, rewards and rollouts: what goes into training and evaluation, and what comes out.

- `prompts`: rows with a `prompt` column from JSONL, CSV, Parquet or a hub dataset.
- `rewards`: a reward function from `module:function` or a sequence-classification model.
- `table`: the append-only rollout file, one JSON row per rollout.
- `read`: the rewards of such a file, prompts by rollouts.
- `sample`: draw and score rollouts of a transformers model, resumable.
"""

from bontea.rollouts.read import read_rewards

__all__ = ["read_rewards"]
