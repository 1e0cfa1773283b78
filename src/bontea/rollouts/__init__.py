"""Prompts, rewards and rollouts: what goes into training and evaluation, and what comes out.

- `prompts`: rows with a `prompt` column from JSONL, CSV, Parquet or a hub dataset.
- `rewards`: a reward function from `module:function` or a sequence-classification model.
- `table`: the append-only rollout file, one JSON row per rollout.
- `read`: rollout files, JSONL or Parquet, as groups of rewards.
- `groups`: rewards of many prompts in memory, groups of any size.
- `sample`: draw and score rollouts of a transformers model, resumable.
"""

from bontea.rollouts.groups import Rollouts, as_rollouts
from bontea.rollouts.read import read_completions, read_models, read_rollouts

__all__ = ["Rollouts", "as_rollouts", "read_completions", "read_models", "read_rollouts"]
