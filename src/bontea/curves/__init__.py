"""Evaluating best-of-N: what the best of k responses is worth, with intervals.

- `best_of_k`: the unbiased value of each prompt from its M rewards, k <= M.
- `curve`: the mean over prompts for a grid of k, with intervals by resampling prompts.
- `two_scores`: chosen by one score, measured by another: which N to deploy; `compare_selectors`;
  `measured_best_of_k` of each prompt; `find_peak`, where a curve peaks.
- `compare`: two models on the same prompts, paired: the difference, how often one wins, and where
  the order flips.
- `extrapolate`: N beyond the rewards there are, from the tail of all prompts.
- `compare_rules`: other ways to choose among k responses (votes, reliability), on one scale.
- `evaluate`: all of these for some models at once; `evaluate_scores` with two scores.
- `intervals`: how intervals are made, with and without strata.
"""

from bontea.curves.chosen import measured_best_of_k
from bontea.curves.comparison import Comparison, compare
from bontea.curves.difference import Difference
from bontea.curves.evaluation import Evaluation, evaluate
from bontea.curves.extrapolation import Extrapolation, extrapolate
from bontea.curves.mean_curve import Curve, curve
from bontea.curves.peak import Peak
from bontea.curves.rule_curves import RuleCurves, compare_rules
from bontea.curves.score_evaluation import ScoreEvaluation, evaluate_scores
from bontea.curves.selection import TwoScores, compare_selectors, two_scores
from bontea.curves.unbiased import best_of_k

__all__ = [
    "Comparison",
    "Curve",
    "Difference",
    "Evaluation",
    "Extrapolation",
    "Peak",
    "RuleCurves",
    "ScoreEvaluation",
    "TwoScores",
    "best_of_k",
    "compare",
    "compare_rules",
    "compare_selectors",
    "curve",
    "evaluate",
    "evaluate_scores",
    "extrapolate",
    "measured_best_of_k",
    "two_scores",
]
