"""What a file of rewards says before you train on it: `diagnose`.

- `groups`: the rewards, and groups of the size that training will use.
- `kind`, `degenerate`: is there a tail at all: 0/1, atoms, ties, a ceiling; prompts without signal.
- `upper`: upper halves of all prompts in common units, and the same of simulated normal rewards,
  from which every band comes; on it `qq`, `pareto` (how the tail ends) and `spread`.
- `tail`: the tail model tested where it can be, and what `adaptive_tea` will make of it.
- `length`: is the reward about length?
- `law`, `direction`: one law for all prompts, and what estimators would optimise on it;
  `success`: the success rates of 0/1 rewards.
- `recommend`: the rule that turns findings into one recommendation; `judge`: the findings it needs.
"""

from bontea.diagnosis.diagnose import Diagnosis, diagnose
from bontea.diagnosis.reading import Reading
from bontea.diagnosis.recommend import Recommendation

__all__ = ["Diagnosis", "Reading", "Recommendation", "diagnose"]
