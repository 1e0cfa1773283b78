"""bontea: post-train language models for the way they are deployed, best-of-N.

Axis letters: P prompts, M rollouts of a prompt (always the last axis), N the deployment budget.

- Advantages, `(*P, M) -> (*P, M)`: `tea`, `linear_tea`, `max_at_k`, `grpo` and others, all in
  `ADVANTAGES` (map: `bontea.advantages`). Flat batches: `advantages_for`, `scale_advantages`.
- Tails: `expected_max`, `tail_coefficient`, `predict_best_of_n`, `fit_tail`, `check_tail`,
  `calibrate_tail`, `choose_alpha`; `reward_kind` for rewards that have none.
- Curves: `best_of_k`, `curve`, `compare`.
- Theory: `effective_n`, what an estimator really optimises; the rest is in `bontea.theory`.

Trainers live in `bontea.integrations`, the command line in `bontea.cli`. This module loads NumPy
and array-api-compat, nothing heavier.
"""

from bontea._arrays import GroupTooSmallError
from bontea.advantages import (
    ADVANTAGES,
    adaptive_tea,
    advantages_for,
    best_of_n_max_mean,
    best_of_n_max_second,
    calibrated_tea,
    cat_bon,
    gaussian_plug_in,
    grpo,
    inference_aware,
    linear_tea,
    max_at_k,
    max_rl,
    pass_at_k,
    pass_at_n,
    pkpo,
    pkpo_loo,
    prefix_tea,
    reinforce,
    rloo,
    scale_advantages,
    softmax_tilt,
    tail_rl,
    tea,
)
from bontea.curves import Comparison, Curve, best_of_k, compare, curve
from bontea.tails import (
    calibrate_tail,
    check_tail,
    choose_alpha,
    expected_max,
    fit_tail,
    predict_best_of_n,
    reward_kind,
    tail_coefficient,
)
from bontea.theory import effective_n

__version__ = "0.1.0"

__all__ = [
    "ADVANTAGES",
    "Comparison",
    "Curve",
    "GroupTooSmallError",
    "adaptive_tea",
    "advantages_for",
    "best_of_k",
    "best_of_n_max_mean",
    "best_of_n_max_second",
    "calibrate_tail",
    "calibrated_tea",
    "cat_bon",
    "check_tail",
    "choose_alpha",
    "compare",
    "curve",
    "effective_n",
    "expected_max",
    "fit_tail",
    "gaussian_plug_in",
    "grpo",
    "inference_aware",
    "linear_tea",
    "max_at_k",
    "max_rl",
    "pass_at_k",
    "pass_at_n",
    "pkpo",
    "pkpo_loo",
    "predict_best_of_n",
    "prefix_tea",
    "reinforce",
    "reward_kind",
    "rloo",
    "scale_advantages",
    "softmax_tilt",
    "tail_coefficient",
    "tail_rl",
    "tea",
]
