"""What estimators should do and what they do, on reward laws that are known exactly.

- `laws`: reward laws and how a policy can move them; `LAWS` by name, `get_law` from anything.
- `exact`: best-of-N of a law without sampling: `value`, `gradient`, `advantage`,
  `fisher_information`.
- `measure`: `effective_n`, the budget that an estimator really optimises, its cosine to the truth
  and its signal-to-noise.
- `slopes`: `bias_slope`, how fast bias and variance fall with the number of rollouts.
- `frontier`, `styles`: `risk_frontier` and `style_frontier`, how near the best policy an estimator
  trains, where the best policy is known; `style_law`: the exact value of a policy over styles.

SciPy is imported when the first law is built.
"""

from bontea.theory.exact import (
    LARGEST_N,
    Gradient,
    advantage,
    fisher_information,
    gradient,
    law_spread,
    value,
)
from bontea.theory.frontier import Frontier, best_policy, policy_value, risk_frontier
from bontea.theory.laws import (
    LAWS,
    Law,
    Shape,
    discrete,
    empirical,
    from_distribution,
    get_law,
    mixture,
    rounded,
    student_t,
    with_atoms,
)
from bontea.theory.measure import Alignment, effective_n
from bontea.theory.slopes import BiasSlope, PowerLaw, bias_slope
from bontea.theory.style_law import StyleLaw
from bontea.theory.styles import StyleFrontier, style_frontier
from bontea.theory.success import SuccessAlignment, SuccessRates, success_alignment

__all__ = [
    "LARGEST_N",
    "LAWS",
    "Alignment",
    "BiasSlope",
    "Frontier",
    "Gradient",
    "Law",
    "PowerLaw",
    "Shape",
    "StyleFrontier",
    "StyleLaw",
    "SuccessAlignment",
    "SuccessRates",
    "advantage",
    "best_policy",
    "bias_slope",
    "discrete",
    "effective_n",
    "empirical",
    "fisher_information",
    "from_distribution",
    "get_law",
    "gradient",
    "law_spread",
    "mixture",
    "policy_value",
    "risk_frontier",
    "rounded",
    "student_t",
    "style_frontier",
    "success_alignment",
    "value",
    "with_atoms",
]
