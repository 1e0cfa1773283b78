"""Does best-of-N climb what counts, or only the reward? With a second score of the same responses.

A reward is a proxy of what counts. Best-of-N looks at its upper tail only, and there it may have
nothing to do with what counts although the two agree over all responses: a response with an extreme
reward is often one that found a weakness of it. So two things are looked at, inside prompts: the
rank correlation of the two scores among the best quarter by the reward (beside that over all
responses), and what the last two doublings of k add to each, with an interval over prompts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from bontea._errors import BonteaError
from bontea._numbers import number
from bontea.curves.difference import mean_difference
from bontea.curves.mean_curve import dense_ks, with_limits
from bontea.curves.pairs import Pairs, pair_scores
from bontea.curves.peak import Peak, find_peak
from bontea.curves.unbiased import best_of_k_by_prompt
from bontea.diagnosis.finding import Finding, Mark
from bontea.diagnosis.length import LEAST, mean_interval, rank_correlation, ranks_within
from bontea.diagnosis.reading import NAN_PAIR, Reading, limits

if TYPE_CHECKING:
    from bontea.diagnosis.evidence import Evidence

QUARTER = 0.25
DOUBLINGS = 4
"""Two: from k / 4 to k."""
LEAST_K = 4

ProxyVerdict: TypeAlias = Literal["both rise", "proxy only", "measure falls", "neither rises"]


@dataclass(frozen=True)
class ProxyFinding(Finding):
    """The reward and another score of the same responses."""

    key: ClassVar[str] = "proxy"
    title: ClassVar[str] = "The reward as a proxy"

    reward: str
    measure: str
    """Names of the two scores."""
    tail: Reading
    """Rank correlation among the best quarter by the reward, mean over prompts; NaN where too few
    prompts have 4 responses there that differ in both."""
    overall: Reading
    """The same over all responses."""
    start: int
    end: int
    """The k between which both gains are: the last two doublings."""
    proxy_gain: float
    """What the best of k gains in the reward; by its nature not below 0."""
    measure_gain: Reading
    """What the response that it chooses gains in the measure."""
    peak: Peak
    prompts: int
    note: str
    """What does not count; empty where nothing."""

    DERIVED = ("verdict",)

    @property
    def verdict(self) -> ProxyVerdict:
        """Whether the measure rises with the reward over the last two doublings, beyond chance."""
        low, high = self.measure_gain.interval
        if not self.proxy_gain > 0:
            return "neither rises"
        if low > 0:
            return "both rise"
        return "measure falls" if high < 0 else "proxy only"

    @property
    def mark(self) -> Mark:
        if self.peak.verdict == "falls" and self.verdict == "measure falls":
            return "stop"
        if self.verdict == "both rise" and not self.tail.interval[0] <= 0:
            return "ok"
        return "look"

    @property
    def text(self) -> str:
        gain, (low, high) = self.measure_gain.value, self.measure_gain.interval
        said = {
            "both rise": "both rise",
            "proxy only": "best-of-N climbs the proxy only: that the measure rises is not shown",
            "neither rises": "the reward is at its end, and more responses change nothing",
            "measure falls": "best-of-N climbs the proxy only, and the measure falls",
        }[self.verdict]
        overall = f"{self.overall.value:+.2f} {limits(self.overall.interval)}"
        tail = (
            f"{self.tail.value:+.2f} {limits(self.tail.interval)} among the best quarter by the "
            f"{self.reward}, from which best-of-N chooses (useful: above 0)"
            if np.isfinite(self.tail.value)
            else "not known among the best quarter, where too few prompts have 4 responses that "
            "differ in both"
        )
        return (
            f"from best of {self.start} to best of {self.end} the {self.reward} gains "
            f"{number(self.proxy_gain, 3)}, and {self.measure} of the chosen response "
            f"{with_limits(gain, low, high, '+')}, over {self.prompts:,} prompts: {said}. Rank "
            f"correlation of the two within prompts: {overall} over all responses, {tail}. "
            f"{self.peak.message}." + (f" {self.note}." if self.note else "")
        )


def look(evidence: Evidence) -> ProxyFinding | str | None:
    """The finding for `diagnose`, or why there is none; None where no measure is asked for."""
    measure = evidence.measure
    if measure is None:
        return None
    try:
        pairs = pair_scores(evidence.rollouts, None, measure)
        if pairs.single:
            return f"{measure} is the reward itself"
        pairs = pairs.scored()
        end = int(pairs.rollouts.counts.min())
        if end < LEAST_K:
            return (
                f"every prompt needs {LEAST_K} responses with both {pairs.select} and "
                f"{measure}, and one has {end}"
            )
        low, high = pairs.span
        if low == high:
            return f"{measure} is {number(low)} for every response"
        return find_proxy(pairs, dense_ks(end))
    except BonteaError as error:
        return str(error)


def find_proxy(pairs: Pairs, ks: list[int]) -> ProxyFinding | str:
    """The finding from complete pairs; why there is none where one prompt is all."""
    data = pairs.rollouts
    if len(data) < 2:
        return "2 prompts are needed, and there is one"
    end = ks[-1]
    start = max(k for k in ks if k <= max(1, end // DOUBLINGS))
    values, at = pairs.values(ks), ks.index(start)
    proxy = best_of_k_by_prompt(data.rewards, data.counts, [start, end]).mean(0)
    gain = mean_difference(
        values[:, [-1]] - values[:, [at]],
        [end],
        data.strata,
        names=(f"best of {end}", f"best of {start}"),
        measure=pairs.measure,
        span=pairs.span,
    )
    rewards, measured = data.table(), data.table(pairs.measured)
    return ProxyFinding(
        reward=pairs.select,
        measure=pairs.measure,
        tail=_agreement(np.where(_best_quarter(rewards), rewards, np.nan), measured),
        overall=_agreement(rewards, measured),
        start=start,
        end=end,
        proxy_gain=_gain(*proxy.tolist()),
        measure_gain=Reading(
            float(gain.difference[0]), (0.0, np.inf), (float(gain.low[0]), float(gain.high[0]))
        ),
        peak=find_peak(values, ks, data.strata, name=pairs.measure, rng=0),
        prompts=len(data),
        note=pairs.message,
    )


def _gain(before: float, after: float) -> float:
    """The difference, 0 where it is rounding."""
    return after - before if after - before > 1e-12 * max(abs(after), abs(before)) else 0.0


def _best_quarter(rewards: np.ndarray) -> np.ndarray:
    """`(P, M)`: the best quarter of each prompt, at least 4, and those equal to the last of them.

    Which of equal ones are in would be chance.
    """
    counts = np.isfinite(rewards).sum(1)
    size = np.maximum(np.ceil(QUARTER * counts).astype(int), np.minimum(LEAST, counts))
    ordered = -np.sort(-rewards, axis=1)  # NaN last
    least = np.take_along_axis(ordered, size[:, None] - 1, axis=1)
    found: np.ndarray = rewards >= least
    return found


def _agreement(rewards: np.ndarray, measured: np.ndarray) -> Reading:
    """Mean rank correlation over prompts with its interval; NaN for fewer than 2."""
    found = [rank_correlation(a, b) for _, a, b in ranks_within(rewards, measured)]
    rho = np.concatenate(found) if found else np.empty(0)
    if len(rho) < 2:
        return Reading(np.nan, (0.0, 1.0), NAN_PAIR)
    return Reading(float(rho.mean()), (0.0, 1.0), mean_interval(rho))
