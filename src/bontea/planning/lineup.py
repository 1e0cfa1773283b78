"""What is compared when nothing is named, and which of it may be named in a recommendation.

Every estimator of the line-up is measured, shown and ranked. Named is one of two: `adaptive_tea`,
which chooses its tail fraction by what the rewards support, or `max_at_k` with a small k, which
assumes nothing. The others are there to compare with: fixed tail fractions are noisier, or can be
exploited by the policy they train (docs/choose-an-estimator.md), and k = M - 1 is the noisiest k.
For 0/1 rewards `pass_at_n` with the prior of these rewards takes the place of `adaptive_tea`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bontea._errors import BonteaError, GroupTooSmallError
from bontea.advantages.spec import EstimatorSpec, parse_estimators
from bontea.diagnosis.admission import Admission

REFERENCES = ("tea", "prefix_tea", "linear_tea", "linear_tea(alpha=0.5)")


@dataclass(frozen=True)
class Entry:
    """An estimator bound to a run, and whether a recommendation may name it."""

    spec: EstimatorSpec
    candidate: bool
    exact: bool = False
    """Its expected gradient is that of best-of-N, whatever the rewards are."""


def lineup(
    n: float, m: int, admission: Admission, estimators: Iterable[Any] | None = None
) -> list[Entry]:
    """The entries for deployment with best-of-`n` and groups of `m`.

    `estimators` are anything that `EstimatorSpec.of` takes, every one a candidate; None is the
    line-up for the kind of rewards that was admitted. `pass_at_n` without a prior gets that of the
    rewards.

    >>> admission = Admission("normal", "", m=16, n=128, tails="all")
    >>> [entry.spec.label for entry in lineup(128, 16, admission) if entry.candidate]
    ['max_at_k(k=6)', 'adaptive_tea']
    """
    if isinstance(estimators, str):
        estimators = parse_estimators(estimators)
    if estimators is not None:
        named = [(EstimatorSpec.of(estimator), True) for estimator in estimators]
    else:
        named = [(EstimatorSpec.parse(text), mine) for text, mine in _texts(n, m, admission)]
    out: dict[str, Entry] = {}
    for spec, candidate in named:
        if spec.name == "pass_at_n" and "prior" not in spec.params and admission.prior is not None:
            spec = spec.with_params({"prior": admission.prior})
        bound = spec.bind(n=n, m=m)
        if estimators is not None:
            _refuse_bugs(bound, m)
        k = {**bound.context, **bound.params}.get("k")
        exact = bound.name == "max_at_k" and k == n
        known = out.get(bound.label)
        if known is not None and known.spec.settled() != bound.settled():
            raise BonteaError(
                f"two estimators are called {bound.label}, and a table could not tell them apart: "
                "give the functions names of their own (def), or parameters"
            )
        out[bound.label] = Entry(bound, candidate or (known is not None and known.candidate), exact)
    return list(out.values())


def _refuse_bugs(spec: EstimatorSpec, m: int) -> None:
    """What is wrong with its values its row says; what else it raises is an error."""
    try:
        spec.checked(m)
    except GroupTooSmallError:
        pass
    except BonteaError as error:
        if not isinstance(error.__cause__, ValueError):
            raise


def _texts(n: float, m: int, admission: Admission) -> list[tuple[str, bool]]:
    if n == 1:
        return [("rloo", True), ("grpo", False)]
    best_of_k = [("max_at_k", True), (f"max_at_k(k={max(1, int(min(n, m - 1)))})", n < m)]
    if admission.verdict == "binary":
        more = [("pass_at_n", n >= m), ("inference_aware", False)]
    elif n < m:
        more = []
    else:
        more = [*((text, False) for text in REFERENCES), ("adaptive_tea", True)]
    return [("grpo", False), *best_of_k, *more]
