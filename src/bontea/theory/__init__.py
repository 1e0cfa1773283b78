"""What estimators should do and what they do, on reward laws that are known exactly.

- `laws`: reward laws and how a policy can move them; `LAWS` by name, `get_law` from anything.
- `exact`: best-of-N of a law without sampling: `value`, `gradient`, `advantage`,
  `fisher_information`.
- `measure`: `effective_n`, the budget that an estimator really optimises, its cosine to the truth
  and its signal-to-noise.
- `slopes`: `bias_slope`, how fast bias and variance fall with the number of rollouts.
- `plan`: estimator, M and N for a budget (`plan_rows`, `recommend`, `pilot`, `success`,
  `deployment` are its parts).
- `frontier`, `styles`: `risk_frontier` and `style_frontier`, how near the best policy an estimator
  trains, where the best policy is known; `style_law`: the exact value of a policy over styles.

SciPy is imported when the first law is built.
"""

from bontea.theory.exact import Gradient, advantage, fisher_information, gradient, value
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
from bontea.theory.plan import Plan, plan
from bontea.theory.slopes import BiasSlope, PowerLaw, bias_slope
from bontea.theory.style_law import StyleLaw
from bontea.theory.styles import StyleFrontier, style_frontier

__all__ = [
    "LAWS",
    "Alignment",
    "BiasSlope",
    "Frontier",
    "Gradient",
    "Law",
    "Plan",
    "PowerLaw",
    "Shape",
    "StyleFrontier",
    "StyleLaw",
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
    "mixture",
    "plan",
    "policy_value",
    "risk_frontier",
    "rounded",
    "student_t",
    "style_frontier",
    "value",
    "with_atoms",
]
