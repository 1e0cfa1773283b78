"""Statistics of the upper tail of the rewards of one prompt.

- `normal`: the constants of the normal distribution: `tail_constants`, `tail_coefficient`,
  `tail_size`.
- `shapes`: the tail laws by name (`TAILS`): normal, lognormal, exponential, generalised Pareto; and
  `expected_max` (c_N) under each.
- `order_statistics`: expected order statistics and their product moments under each.
- `fit`: the tail line of each group, what it predicts for best-of-N, and the check of the tail
  model against the best reward seen.
- `calibrate`: the shape itself, from a pilot.
"""

from bontea.tails.calibrate import TailShape, calibrate_tail
from bontea.tails.fit import TailCheck, TailFit, check_tail, fit_tail, predict_best_of_n
from bontea.tails.normal import tail_coefficient, tail_constants, tail_size
from bontea.tails.order_statistics import expected_scores
from bontea.tails.shapes import TAILS, expected_max, get_tail

__all__ = [
    "TAILS",
    "TailCheck",
    "TailFit",
    "TailShape",
    "calibrate_tail",
    "check_tail",
    "expected_max",
    "expected_scores",
    "fit_tail",
    "get_tail",
    "predict_best_of_n",
    "tail_coefficient",
    "tail_constants",
    "tail_size",
]
