"""Evaluating best-of-N: what the best of k responses is worth, with intervals.

- `best_of_k`: the unbiased value of each prompt from its M rewards, k <= M.
- `curve`: the mean over prompts for a grid of k, with intervals by resampling prompts.
- `compare`: two models on the same prompts, paired.
"""

from bontea.curves.best_of_k import best_of_k
from bontea.curves.curve import Comparison, Curve, compare, curve

__all__ = ["Comparison", "Curve", "best_of_k", "compare", "curve"]
