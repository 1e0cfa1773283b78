"""Statistics of the upper tail of the rewards of one prompt.

- `normal`: the constants of the normal distribution: `expected_max` (c_N), `tail_constants`,
  `tail_coefficient`, `tail_size`.
- `order_statistics`: expected normal order statistics, the scores the tail fit is a line on.
- `fit`: the tail line of each group, what it predicts for best-of-N, and the check of the tail
  model against the best reward seen.
"""

from bontea.tails.fit import TailCheck, check_tail, predict_best_of_n
from bontea.tails.normal import expected_max, tail_coefficient, tail_constants, tail_size
from bontea.tails.order_statistics import normal_scores

__all__ = [
    "TailCheck",
    "check_tail",
    "expected_max",
    "normal_scores",
    "predict_best_of_n",
    "tail_coefficient",
    "tail_constants",
    "tail_size",
]
