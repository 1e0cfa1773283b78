"""Statistics of the upper tail of the rewards of one prompt.

- `normal`: the constants of the normal distribution: `tail_constants`, `tail_coefficient`,
  `tail_size`.
- `shapes`: the tail laws by name (`TAILS`): normal, lognormal, exponential, generalised Pareto; and
  `expected_max` (c_N) under each.
- `order_statistics`: expected order statistics and their product moments under each.
- `fit`: the tail line of each group, what it predicts for best-of-N, and the check of the tail
  model against the best reward seen.
- `calibrate`: the shape itself, from a pilot.
- `pooled`: the tails of many prompts together, for prediction.
- `pareto`: the generalised Pareto law of excesses over a threshold.
- `choose`: the largest tail fraction that a batch supports; `memory`: the rewards of the latest
  batches, which it may decide on too.
- `beta_binomial`: the prior of success rates, for 0/1 rewards.
- `kind`: 0/1, mixed, discrete or continuous rewards.
"""

from bontea.tails.beta_binomial import expected_pass_at_n, fit_beta
from bontea.tails.calibrate import TailShape, calibrate_tail
from bontea.tails.choose import choose_alpha
from bontea.tails.fit import TailCheck, TailFit, check_tail, fit_tail, predict_best_of_n
from bontea.tails.kind import RewardKind, reward_kind
from bontea.tails.normal import tail_coefficient, tail_constants, tail_size
from bontea.tails.order_statistics import expected_scores
from bontea.tails.pareto import ParetoFit, fit_pareto
from bontea.tails.pooled import PooledTail, fit_pooled
from bontea.tails.shapes import TAILS, expected_max, get_tail

__all__ = [
    "TAILS",
    "ParetoFit",
    "PooledTail",
    "RewardKind",
    "TailCheck",
    "TailFit",
    "TailShape",
    "calibrate_tail",
    "check_tail",
    "choose_alpha",
    "expected_max",
    "expected_pass_at_n",
    "expected_scores",
    "fit_beta",
    "fit_pareto",
    "fit_pooled",
    "fit_tail",
    "get_tail",
    "predict_best_of_n",
    "reward_kind",
    "tail_coefficient",
    "tail_constants",
    "tail_size",
]
