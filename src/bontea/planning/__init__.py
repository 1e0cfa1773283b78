"""One recommendation: what these rewards admit, ranked, with what it costs and what N is worth.

- `plan`: estimators at several M, with rollouts, costs and the value of N. `diagnose`: what is seen
  in the rewards, and the same recommendation at one M.
- `pilot`, `law`: the reward law of rewards of many prompts.
- `lineup`: what is compared, and what may be recommended. `rows`: an estimator at one M, measured;
  `ends`: where training with it ends. `choose`: the rule. `recommendation`: the outcome, in words.
- `ranking`: the rows as a finding of the diagnosis. `worth`: what N buys.

What is *admitted* is decided one floor down, in `bontea.diagnosis.admission`.
"""

from bontea.planning.diagnoses import Diagnosis, diagnose
from bontea.planning.pilot import Pilot, pilot_law
from bontea.planning.plans import Plan, plan
from bontea.planning.recommendation import Recommendation
from bontea.planning.rows import Row
from bontea.planning.worth import Deployment, deployment

__all__ = [
    "Deployment",
    "Diagnosis",
    "Pilot",
    "Plan",
    "Recommendation",
    "Row",
    "deployment",
    "diagnose",
    "pilot_law",
    "plan",
]
