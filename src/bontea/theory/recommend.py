"""The recommendation of a plan in words: what to use, the next best, and what to beware of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bontea.theory.plan_rows import Row

LEVEL = 2.0
"""Rows whose rollouts differ by at most so many standard errors are called level."""
WORTH_TRYING = 1.2
"""Rollouts that the next smaller M takes, from which on a larger one than any compared may pay."""
FAKED = ("tea(alpha=", "linear_tea(alpha=")
SAFE_ALPHA = 0.5
"""From this tail fraction on a policy can fake the tail, see docs/choose-an-estimator.md."""


def recommend(
    rows: Sequence[Row],
    best: Row | None,
    fewest: Row | None,
    *,
    n: float,
    limit: float,
    usual: float,
) -> str:
    """A few sentences, with the figures they rest on."""
    if best is None or fewest is None:
        ran = [row for row in rows if not row.reason]
        if not ran:
            return (
                "Nothing to recommend: none of the estimators can run at these M; the rows say "
                "what would do."
            )
        return (
            "Nothing to recommend: every estimator moves the policy away from best-of-N here; look "
            "at the rewards with reward_kind."
        )
    lines = [f"Use {best.estimator} with M = {best.m}: {_figures(best)}."]
    others = [row for row in rows if row.ranked and row.m == best.m and row is not best]
    if others:
        following = min(others, key=_times)
        if following.times < best.times:  # only the exact one is taken before a faster one
            times, error = following.needs(best)
            lines.append(
                f"It is exact for k = N; {following.estimator} takes {times:.2f} +- {error:.2f} "
                "times the rollouts and rests on a tail model."
            )
        else:
            lines.append(f"Next best at this M: {_compared(following, best)}.")
        plain = [row for row in rows if row.m == best.m and row.estimator.startswith("max_at_k(")]
        if plain and plain[0] not in (following, best) and not plain[0].reason:
            times, _ = plain[0].needs(best)
            lines.append(
                f"{plain[0].estimator}, which assumes nothing about the tail, takes {times:.2f} "
                f"times (cosine {plain[0].cosine:.3f})."
            )
    else:
        lines.append("No other estimator of the list is ranked at this M.")
    if fewest.m != best.m:
        lines.append(_smaller(best, fewest))
    lines += _larger(rows, best)
    if 0 < limit < usual:
        lines.append(
            f"No direction here reaches cosine {usual:g}, so the nearest ones are ranked: expect "
            "the policy to end short of the best V_N."
        )
    lines += _cautions(rows, best, n)
    return " ".join(lines)


def _figures(row: Row) -> str:
    budget = f"it optimises best-of-{row.effective_n:.3g}, " if row.effective_n > 0 else ""
    return (
        f"{budget}cosine {row.cosine:.3f}, SNR {row.snr:.3f} +- {row.snr_se:.3f} a rollout, and "
        f"{row.rollouts:,.0f} rollouts ({row.prompts:,.0f} prompts x {row.m}) a step"
    )


def _compared(row: Row, best: Row) -> str:
    times, error = row.needs(best)
    if abs(times - 1) <= LEVEL * error:
        return f"{row.estimator} is level ({times:.2f} +- {error:.2f} times the rollouts)"
    return f"{row.estimator}, {times:.2f} +- {error:.2f} times the rollouts"


def _smaller(best: Row, fewest: Row) -> str:
    times, error = best.needs(fewest)
    level = abs(times - 1) <= LEVEL * error
    what = (
        f"is level in rollouts ({times:.2f} +- {error:.2f})"
        if level
        else f"takes {1 - 1 / times:.0%} fewer rollouts"
    )
    other = "" if fewest.estimator == best.estimator else f"{fewest.estimator} with "
    return (
        f"{other}M = {fewest.m} {what}, from {fewest.prompts:,.0f} prompts instead of "
        f"{best.prompts:,.0f}: that prompts differ is not in these figures and favours many "
        "prompts, so the smaller M is named."
    )


def _larger(rows: Sequence[Row], best: Row) -> list[str]:
    """That a larger M than any compared may pay, where the last step up still did."""
    below = [row for row in rows if row.ranked and row.m < best.m]
    if best.m < max(row.m for row in rows) or not below:
        return []
    last = max(row.m for row in below)
    times, _ = min((row for row in below if row.m == last), key=_times).needs(best)
    if times < WORTH_TRYING:
        return []
    return [
        f"M = {best.m} is the largest compared, and M = {last} takes {times:.2f} times: try larger."
    ]


def _cautions(rows: Sequence[Row], best: Row, n: float) -> list[str]:
    out = []
    here = [row for row in rows if row.m == best.m and not row.reason]
    if best.effective_n > 2 * n or best.effective_n < n / 2:  # False for NaN
        out.append(f"It aims at best-of-{best.effective_n:.3g}, not {n:g}.")
    alpha = _alpha(best.estimator)
    if alpha is None:
        return out
    plain = [row for row in here if row.estimator.startswith("max_at_k(")]
    adaptive = [row for row in here if row.estimator.startswith("adaptive_tea")]
    if plain and adaptive and adaptive[0].effective_n < 1.2 * plain[0].effective_n < 0.6 * n:
        out.append(
            "Caution: the test of adaptive_tea refuses the tail of this law, so that it falls back "
            f"to {plain[0].estimator}; {best.estimator} points right here without its tail model "
            "being right, which need not last when the policy moves."
        )
    if alpha >= SAFE_ALPHA:
        safer = [row for row in here if row.ranked and (_alpha(row.estimator) or 1) < SAFE_ALPHA]
        advice = f" {min(safer, key=_times).estimator} is safer." if safer else ""
        out.append(
            f"Caution: with a tail fraction of {alpha:g} it can pay a policy for spreading its bad "
            "responses (docs/choose-an-estimator.md), which a law that stands still does not show: "
            f"watch check_tail.{advice}"
        )
    return out


def _times(row: Row) -> float:
    return row.times


def _alpha(label: str) -> float | None:
    """The tail fraction in the label of `tea` or `linear_tea`, None for any other estimator."""
    for start in FAKED:
        if label.startswith(start):
            text = label[len(start) :].split(",")[0].rstrip(")")
            try:
                return float(text)
            except ValueError:
                return None
    return None
