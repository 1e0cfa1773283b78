"""The rule of the recommendation: which of the admitted candidates, and at which M.

At one M: of the candidates that need at most 1.6 times the rollouts of the fastest, the one whose
policy ends highest. For these are the two costs of a wrong choice: rollouts now, and a worse policy
in the end. On reward laws whose tail is normal or heavier `adaptive_tea` needs 0.7 to 1.3 times the
rollouts of `max_at_k(k=6)` (1.1 to 1.8 times on a skewed mixture), and its policy ends at 90 to
98 % of the best V_N in place of 62 to 84 %; on laws with a light tail or an atom it needs twice as
many and more from M = 16 on (docs/bench.md). An exact estimator (`max_at_k` with k = N) counts as
ending highest.

Over several M: the smallest one whose choice needs at most 1.2 times the rollouts of the best
choice. With R rollouts in a step the noise that comes from differences between prompts goes as the
inverse of the number of prompts, R / M: it favours small M, and rewards alone do not say by how
much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bontea.advantages.spec import EstimatorSpec, default_k
from bontea.diagnosis.admission import Admission
from bontea.planning.rows import Row, fastest_of

NEAR = 1.6
"""Rollouts, relative to the fastest candidate, that a better end may cost."""
SLACK = 1.2
"""Rollouts, relative to the best choice of all M, that a smaller M may cost."""


def choose_estimator(rows: Sequence[Row]) -> Row | None:
    """The choice among the rows of one M; None when no candidate is ranked."""
    candidates = [row for row in rows if row.candidate]
    fastest = fastest_of(candidates)
    if fastest is None:
        return None
    near = [row for row in candidates if row.ranked and row.needs(fastest)[0] <= NEAR]
    return max(near, key=_end)


def _end(row: Row) -> tuple[bool, float, float]:
    return row.exact, -1.0 if math.isnan(row.end_share) else row.end_share, row.snr


def choose_m(choices: Sequence[Row]) -> Row | None:
    """The choice among the choices of several M."""
    best = fastest_of(choices)
    if best is None:
        return None
    near = [row for row in choices if row.needs(best)[0] <= SLACK]
    return min(near, key=lambda row: row.m)


def unmeasured(n: float, admission: Admission) -> EstimatorSpec | None:
    """The choice where no figures can be had: what the rewards admit decides alone."""
    if not admission.learnable:
        return None
    if admission.verdict == "mean":
        return EstimatorSpec.parse("rloo")
    m = admission.m
    if n < m:
        return EstimatorSpec.of("max_at_k", k=max(1, int(n)))
    if admission.verdict == "binary":
        return EstimatorSpec.of("pass_at_n", prior=admission.prior)
    adaptive = EstimatorSpec.parse("adaptive_tea")
    if not admission.refusal(adaptive):
        return adaptive
    return EstimatorSpec.of("max_at_k", k=default_k(n, m))
