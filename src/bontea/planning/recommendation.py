"""What is recommended, in one object and in words: `diagnose` and `plan` show the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bontea._json import Result
from bontea._numbers import number, percent_of
from bontea.advantages.spec import EstimatorSpec
from bontea.diagnosis.admission import Admission, Verdict
from bontea.planning.choose import choose_estimator, unmeasured
from bontea.planning.rows import Row

LEVEL = 2.0
"""Rows whose rollouts differ by at most so many standard errors are called level."""
WORTH_TRYING = 1.2
"""Rollouts that the next smaller M takes, from which on a larger one than any compared may pay."""


@dataclass(frozen=True)
class Recommendation(Result):
    """What to train with. `str()` is one paragraph."""

    verdict: Verdict
    """What the rewards look like, from the admission."""
    message: str
    """Why, with the figures it rests on, and what to beware of."""
    estimator: EstimatorSpec | None
    """None when nothing can be learnt, or nothing that was named is admitted."""
    m: int
    """Rollouts of a prompt in training."""
    n: float
    """The budget to ask the estimator for."""
    alpha: float | None = None
    """Tail fraction that the estimator uses or will most often choose; None without a tail."""

    @property
    def recommended(self) -> str | None:
        """The canonical label, as every command and trainer takes it."""
        return None if self.estimator is None else self.estimator.label

    def to_dict(self) -> dict[str, Any]:
        """`recommended`, `reason` (the message), `m`, and the rest."""
        return {
            "recommended": self.recommended,
            "reason": self.message,
            "m": self.m,
            "verdict": self.verdict,
            "message": self.message,
            "n": self.n,
            "alpha": self.alpha,
        }

    def __str__(self) -> str:
        if self.estimator is None:
            return f"RECOMMENDATION: none. {self.message}"
        return f"RECOMMENDATION: {self.recommended} with M = {self.m}. {self.message}"


def recommend(
    admission: Admission,
    rows: Sequence[Row],
    *,
    n: float,
    named: bool = False,
    more: Sequence[str] = (),
) -> Recommendation:
    """The recommendation at the M of `admission`, from its rows.

    `named`: the user named the estimators, and no other may take their place. `more` are sentences
    about other M.
    """
    rows = [row for row in rows if row.m == admission.m]
    best = choose_estimator(rows)
    lines, spec = [admission.message], None
    if any(row.spec.name == "adaptive_tea" for row in rows):
        lines.append(admission.adaptive)
    if best is not None:
        spec = best.spec.settled()
        lines += [_figures(best), *_compared(best, rows), *more, *_cautions(best)]
    elif not admission.learnable:
        lines.insert(0, "There is nothing to train on.")
    else:
        if named or any(not math.isnan(row.snr) for row in rows):
            lines.append(_nothing(rows))
        else:
            spec = unmeasured(n, admission)
    if spec is not None and spec.assumes == "tail" and admission.n < n:
        spec = spec.with_params({"n": int(admission.n)})
    return Recommendation(
        verdict=admission.verdict,
        message=" ".join(line for line in lines if line),
        estimator=spec,
        m=admission.m,
        n=admission.n,
        alpha=admission.supported if spec is not None and spec.assumes == "tail" else None,
    )


def _nothing(rows: Sequence[Row]) -> str:
    if not any(row.admitted for row in rows):
        return "Nothing to recommend: these rewards admit none of the estimators that were named."
    if all(math.isnan(row.snr) for row in rows):
        return (
            "Nothing to recommend: none of the estimators can run at this M; the rows say what "
            "would do."
        )
    return (
        "Nothing to recommend: every estimator moves the policy away from best-of-N here; look at "
        "the rewards with reward_kind."
    )


def _figures(row: Row) -> str:
    """How fast it is, and where it ends."""
    text = (
        f"A rollout of {row.estimator} has a signal-to-noise of {row.snr:.3f} along the true "
        "direction"
    )
    if math.isnan(row.end_share):
        return f"{text}."
    return (
        f"{text}; in a test on normal rewards, not on yours, a policy trained with it for long "
        f"ends at {percent_of(row.end_share)} of the best V_N."
    )


def _compared(best: Row, rows: Sequence[Row]) -> list[str]:
    """The fastest other candidate beside it; without one, what ends higher, or else anything."""
    out = []
    rivals = [row for row in rows if row.ranked and row is not best]
    higher = [row for row in rivals if row.end_share > best.end_share]
    shown = [row for row in rivals if row.candidate] or higher or rivals
    for rival in sorted(shown, key=lambda row: -row.snr)[:1]:
        times, error = best.needs(rival)
        level = abs(times - 1) <= LEVEL * error
        text = (
            f"The rollouts it needs cannot be told from those of {rival.estimator} ({times:.2f} ± "
            f"{error:.2f} times as many)"
            if level
            else f"It needs {times:.2f} ± {error:.2f} times the rollouts of {rival.estimator}"
        )
        if not math.isnan(rival.end_share):
            text += f", which ends at {percent_of(rival.end_share)}"
        out.append(f"{text}.")
    if best.exact:
        out.append("It is exact for k = N, whatever the rewards are.")
    return out


def larger_m(rows: Sequence[Row], choices: Sequence[Row], best: Row) -> list[str]:
    """What is to be said about the other M that were compared."""
    out = []
    fastest = max(choices, key=lambda row: row.snr)
    if fastest.m != best.m:
        times, _ = best.needs(fastest)
        other = "" if fastest.estimator == best.estimator else f"{fastest.estimator} with "
        out.append(
            f"{other}M = {fastest.m} would take {percent_of(1 - 1 / times)} fewer rollouts, but "
            f"from {fastest.prompts:,.0f} prompts instead of {best.prompts:,.0f}. These figures "
            "leave out that prompts differ, which favours many prompts; so the smaller M is named."
        )
    below = [row for row in choices if row.m < best.m]
    if best.m == max(row.m for row in rows) and below:
        last = max(below, key=lambda row: row.m)
        times, _ = last.needs(best)
        if times >= WORTH_TRYING:
            out.append(
                f"M = {best.m} is the largest compared, and M = {last.m} takes {times:.2f} times: "
                "try larger."
            )
    return out


def _cautions(best: Row) -> list[str]:
    out = []
    alpha = {**best.spec.context, **best.spec.params}.get("alpha")
    if best.spec.assumes == "tail" and alpha is not None and alpha >= 0.5:
        out.append(
            f"Caution: with a tail fraction of {number(alpha)} it can pay a policy for spreading "
            "its bad responses (docs/choose-an-estimator.md), which a law that stands still does "
            "not show: watch check_tail, or use adaptive_tea."
        )
    return out
