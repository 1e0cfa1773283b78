"""bontea: post-train language models for the way they are deployed, best-of-N.

Axis letters: P prompts, M rollouts of a prompt (always the last axis), N the deployment budget.

- Advantages, `(*P, M) -> (*P, M)`: `reinforce`, `rloo`, `grpo`, `max_at_k`, `best_of_n_max_second`,
  `tea`, `prefix_tea`; all in `ADVANTAGES`. Flat batches: `advantages_for`, `scale_advantages`.
- Tails: `expected_max`, `tail_coefficient`, `predict_best_of_n`, `check_tail`.
- Curves: `best_of_k`, `curve`, `compare`.

Trainers live in `bontea.integrations`, the command line in `bontea.cli`. This module loads NumPy
and array-api-compat, nothing heavier.
"""

from bontea._arrays import GroupTooSmallError
from bontea.advantages import (
    ADVANTAGES,
    advantages_for,
    best_of_n_max_second,
    grpo,
    max_at_k,
    prefix_tea,
    reinforce,
    rloo,
    scale_advantages,
    tea,
)
from bontea.curves import Comparison, Curve, best_of_k, compare, curve
from bontea.tails import check_tail, expected_max, predict_best_of_n, tail_coefficient

__version__ = "0.1.0"

__all__ = [
    "ADVANTAGES",
    "Comparison",
    "Curve",
    "GroupTooSmallError",
    "advantages_for",
    "best_of_k",
    "best_of_n_max_second",
    "check_tail",
    "compare",
    "curve",
    "expected_max",
    "grpo",
    "max_at_k",
    "predict_best_of_n",
    "prefix_tea",
    "reinforce",
    "rloo",
    "scale_advantages",
    "tail_coefficient",
    "tea",
]
