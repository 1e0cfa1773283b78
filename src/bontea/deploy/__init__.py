"""Best-of-N where the model is served, with as few responses as it takes.

- `learn_prior`: what the rollouts of other prompts say about the next one, and how far a tail model
  of them can be trusted.
- `Rule`: stop or draw, given the rewards of a prompt so far and a price for each response.
- `Stream`, `allocate`: a number of responses in place of a price, for prompts that come one by one
  and for a batch.
- `expected_gain`, `draw_index`: what the next responses are expected to add.
- `simulate`: what a rule would have cost and gained on rollouts that are drawn already;
  `quick_savings`: the same on a part of them, in seconds, for a report.

Pure functions on arrays: no server, no clock, no files.
"""

from bontea.deploy.budget import Stream, allocate, first_price
from bontea.deploy.gain import draw_index, expected_gain, rule_index
from bontea.deploy.learn import learn_prior
from bontea.deploy.outcome import FixedN, Outcome, Simulation
from bontea.deploy.prior import Prior, Seen, fit_prior, seen
from bontea.deploy.rule import MAX_N, Decision, Rule
from bontea.deploy.savings import Savings, quick_savings
from bontea.deploy.simulation import simulate

__all__ = [
    "MAX_N",
    "Decision",
    "FixedN",
    "Outcome",
    "Prior",
    "Rule",
    "Savings",
    "Seen",
    "Simulation",
    "Stream",
    "allocate",
    "draw_index",
    "expected_gain",
    "first_price",
    "fit_prior",
    "learn_prior",
    "quick_savings",
    "rule_index",
    "seen",
    "simulate",
]
