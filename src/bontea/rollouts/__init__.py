"""Prompts, rewards and rollouts: what goes into training and evaluation, and what comes out.

- `groups`: rewards of many prompts in memory, groups of any size: `Rollouts`, `as_rollouts`.
- `read`: rollout files, JSONL or Parquet, as `Rollouts`; `sources`: several files and models.
- `formats`: files of other tools and tables, one module an origin, read as they are.
- `final_answer`: the answer in a response, in one form; `answers`: those of a file, and which are
  right.
- `sampling`: draw and score rollouts into a file, resumable: `sample`, with `settings`.
- `generate`, `endpoint`: where completions come from: a transformers model (`model`), or servers
  with OpenAI's interface (`service`, `pool`), what they are asked (`body`) and what they say
  (`answer`).
- `chat_text`: prompts and completions as a person reads them.
- `prompts`: rows with a `prompt` column from JSONL, CSV, Parquet or a hub dataset.
- `chats`: what a chat is, and what a chat template or a request makes of it.
- `rewards`: a reward function from `module:function`, a URL or a sequence-classification model.
- `scoring`: from completions to rows: how a reward is called (`calls`, `worker`), what becomes of
  its errors (`judge`), and where completions wait for it (`drawn`).
- `rescoring`: rewards for the rows of a file that has been written: `rescore`.
- `sentinels`: rewards that stand for no reward, such as -1e20.
- `table`: the append-only rollout file, one JSON row per rollout.
"""

from bontea.rollouts.groups import Rollouts, as_rollouts
from bontea.rollouts.read import read_completions, read_models, read_rollouts
from bontea.rollouts.rescoring import RescoreResult, rescore
from bontea.rollouts.sampling import SampleResult, sample
from bontea.rollouts.settings import SampleSettings
from bontea.rollouts.sources import read_sources

__all__ = [
    "RescoreResult",
    "Rollouts",
    "SampleResult",
    "SampleSettings",
    "as_rollouts",
    "read_completions",
    "read_models",
    "read_rollouts",
    "read_sources",
    "rescore",
    "sample",
]
