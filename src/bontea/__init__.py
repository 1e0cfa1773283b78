"""bontea: post-train language models for the way they are deployed, best-of-N.

Axis letters: P prompts, M rollouts of a prompt (always the last axis), N the deployment budget.

- Advantages, `(*P, M) -> (*P, M)`: `tea`, `linear_tea`, `max_at_k`, `grpo` and others, all in
  `ADVANTAGES` (map: `bontea.advantages`); one with its parameters: `EstimatorSpec`. Flat batches:
  `advantages_for`, `scale_advantages`.
- Tails: `expected_max`, `tail_coefficient`, `predict_best_of_n`, `fit_tail`, `check_tail`,
  `calibrate_tail`, `choose_alpha`; `reward_kind` for rewards that have none.
- Curves: `best_of_k`, `curve`, `compare`; `extrapolate` beyond the sample. Chosen by one score
  and measured by another: `two_scores`, `compare_selectors`, `measured_best_of_k`.
- Rollouts: `read_rollouts` from files, `as_rollouts` from lists.
- Before training: `diagnose`, what a file of rewards supports; `plan`, what M and which estimator.
- Theory: `effective_n`, what an estimator really optimises; the rest is in `bontea.theory`.

Trainers live in `bontea.integrations`, the command line in `bontea.cli`. This module loads NumPy
and array-api-compat, nothing heavier.
"""

from bontea._errors import BonteaError, GroupTooSmallError
from bontea.advantages import (
    ADVANTAGES,
    EstimatorSpec,
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
from bontea.curves import (
    Comparison,
    Curve,
    Extrapolation,
    TwoScores,
    best_of_k,
    compare,
    compare_selectors,
    curve,
    extrapolate,
    measured_best_of_k,
    two_scores,
)
from bontea.planning import Diagnosis, Plan, Recommendation, diagnose, plan
from bontea.rollouts import Rollouts, as_rollouts, read_rollouts
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
    "BonteaError",
    "Comparison",
    "Curve",
    "Diagnosis",
    "EstimatorSpec",
    "Extrapolation",
    "GroupTooSmallError",
    "Plan",
    "Recommendation",
    "Rollouts",
    "TwoScores",
    "adaptive_tea",
    "advantages_for",
    "as_rollouts",
    "best_of_k",
    "best_of_n_max_mean",
    "best_of_n_max_second",
    "calibrate_tail",
    "calibrated_tea",
    "cat_bon",
    "check_tail",
    "choose_alpha",
    "compare",
    "compare_selectors",
    "curve",
    "diagnose",
    "effective_n",
    "expected_max",
    "extrapolate",
    "fit_tail",
    "gaussian_plug_in",
    "grpo",
    "inference_aware",
    "linear_tea",
    "max_at_k",
    "max_rl",
    "measured_best_of_k",
    "pass_at_k",
    "pass_at_n",
    "pkpo",
    "pkpo_loo",
    "plan",
    "predict_best_of_n",
    "prefix_tea",
    "read_rollouts",
    "reinforce",
    "reward_kind",
    "rloo",
    "scale_advantages",
    "softmax_tilt",
    "tail_coefficient",
    "tail_rl",
    "tea",
    "two_scores",
]
