"""What rewards say before you train on them: findings, and which estimators they admit.

- `finding`: what a finding is; `FINDERS`, the list of all of them, in the order of the page.
- `evidence`: rewards, and the findings that others rest on, found once; `groups`: rewards dealt
  into groups of the size that training will use.
- `kind`, `ceiling`, `degenerate`: is there a tail at all: 0/1, atoms, ties, a ceiling; prompts
  without signal. `influence`: one strange reward that carries everything.
- `upper`: upper halves of all prompts in common units, and the same of simulated normal rewards,
  from which every band comes; on it `qq`, `pareto` (how the tail ends) and `spread`.
- `tail`: the tail model tested where it can be, and what `adaptive_tea` will make of it.
- `proxy`: with a second score, does best-of-N climb what counts?
- `length`: is the reward about length? `success`: the success rates of 0/1 rewards.
- `admission`: the rule that turns findings into what these rewards admit.

What is recommended is decided one floor up, in `bontea.planning`, which has `diagnose` too.
"""

from collections.abc import Callable

from bontea.diagnosis import (
    ceiling,
    degenerate,
    influence,
    kind,
    length,
    pareto,
    proxy,
    qq,
    spread,
    success,
    tail,
)
from bontea.diagnosis.admission import Admission, admit
from bontea.diagnosis.evidence import Evidence, gather
from bontea.diagnosis.finding import Finding, Mark, Table
from bontea.diagnosis.reading import Reading

FINDERS: tuple[tuple[type[Finding], Callable[[Evidence], Finding | str | None]], ...] = (
    (kind.KindFinding, kind.look),
    (degenerate.SignalFinding, degenerate.look),
    (influence.InfluenceFinding, influence.look),
    (ceiling.CeilingFinding, ceiling.look),
    (qq.QQFinding, qq.look),
    (pareto.ParetoFinding, pareto.look),
    (tail.TailFinding, tail.look),
    (success.SuccessFinding, success.look),
    (length.LengthFinding, length.look),
    (spread.SpreadFinding, spread.look),
    (proxy.ProxyFinding, proxy.look),
)
"""Every finding and its finder, which returns the finding, or why it could not be made, or None
where it makes no sense for these rewards."""

__all__ = [
    "FINDERS",
    "Admission",
    "Evidence",
    "Finding",
    "Mark",
    "Reading",
    "Table",
    "admit",
    "gather",
]
