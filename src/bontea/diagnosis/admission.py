"""Which estimators these rewards admit, and why: by a rule that is written down here.

An estimator with a tail model promises best-of-N from the shape of the best rewards seen. Where
these rewards do not have that shape, the promise is wrong, and it is not admitted; what assumes
nothing about the tail always is. The first line that applies:

 1. one reward a prompt, or rewards that are equal within more than 90 % of the prompts: nothing can
    be learnt from them;
 2. N = 1 (*mean*), M = 1 (*too little data*): nothing with a tail;
 3. two values (*binary*): the estimators for 0/1 rewards, and nothing with a tail;
 4. N below M (*within M*): nothing with a tail, since none is needed;
 5. a *ceiling* that the best rollouts reach: nothing with a tail;
 6. an atom (*mixed*): estimators with a fixed tail fraction of at most alpha, if in 95 % of the
    groups of M the whole tail lies above the atom, there are data enough (8) and the tail is not
    light (9); otherwise nothing with a tail;
 7. *ties* in the tail beyond those of rounding to three quarters of a standard deviation: nothing
    with a tail;
 8. fewer than 16 prompts with a spread, or fewer than 8 rewards a prompt (median), or M < 8 (*too
    little data*): nothing with a tail until there is more;
 9. *light*: the best reward or the bend of the tail falls short with z < -2.3 at alpha: nothing
    with a tail;
10. *heavy*: the upper half bends up with z > 2.3 and g >= 0.1: everything, but best-of-N predicted
    by a normal tail is too low;
11. otherwise *normal*: everything.

With 10 and 11 `adaptive_tea` is not admitted where more than 90 % of at least four steps support no
tail fraction: there it is `max_at_k` with k = M - 1, the noisiest k.

A tail is followed to N = R at most, R the number of rewards: nothing of it has been seen beyond.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from bontea._json import Result
from bontea._numbers import number, percent, percent_of
from bontea.advantages.spec import EstimatorSpec
from bontea.diagnosis.degenerate import HOPELESS
from bontea.diagnosis.evidence import Evidence
from bontea.diagnosis.reading import whole
from bontea.diagnosis.tail import TailFinding

LEAST_PROMPTS, LEAST_ROLLOUTS = 16, 8
WANTED_PROMPTS, WANTED_ROLLOUTS = 64, 64

Verdict: TypeAlias = Literal[
    "normal",
    "heavy",
    "light",
    "ceiling",
    "ties",
    "mixed",
    "binary",
    "constant",
    "too little data",
    "within M",
    "mean",
]
Tails: TypeAlias = Literal["all", "fixed", "none"]
"""Estimators with a tail model: all, those with a fixed tail fraction of at most alpha, none."""

REFUSALS: dict[str, str] = {
    "light": "the best rewards fall short of its tail model",
    "ceiling": "its tail model reaches beyond the ceiling",
    "ties": "the best rewards are mostly equal, so there is no tail to fit",
    "mixed": "its tail may reach into the atom",
    "binary": "rewards of two values have no tail",
    "constant": "the rewards do not differ",
    "too little data": "too little data to see whether its tail model holds",
    "within M": "N is below M, where no tail model is needed",
    "mean": "N = 1 is about the mean, not about the tail",
}


FALLS_BACK = "in the steps of these rewards it supports no tail fraction, and is max_at_k there"
REFUSED_STEPS = 0.9
"""A share near a half would depend on how the prompts were dealt into steps."""
ENOUGH_STEPS = 4
"""One step in nine supports nothing by chance on normal rewards."""


@dataclass(frozen=True)
class Admission(Result):
    """What rewards admit at one M. `str()` is the verdict and the reason."""

    verdict: Verdict
    message: str
    """Why, and what to do about it."""
    m: int
    n: float
    """The budget to ask an estimator for: N, or less where the tail has not been seen so far."""
    tails: Tails = "none"
    alpha: float = 0.25
    """Tail fraction at which the tail was judged."""
    supported: float | None = None
    """Tail fraction that `adaptive_tea` will most often use; None for none."""
    prior: tuple[float, float] | None = None
    """Beta law of the success rates of 0/1 rewards."""
    falls_back: bool = False
    """In more than 90 % of at least 4 steps `adaptive_tea` supports no tail fraction."""
    adaptive: str = ""
    """What `adaptive_tea` would do on these rewards."""
    learnable: bool = True
    """Whether anything at all can be learnt from these rewards."""

    def refusal(self, spec: EstimatorSpec) -> str:
        """Why this estimator is not admitted; empty when it is."""
        if not self.learnable:
            return REFUSALS["constant"]
        if spec.assumes == "two values" and self.verdict != "binary":
            return "it needs rewards of two values, 0 and 1"
        if spec.assumes != "tail":
            return ""
        if self.tails == "all":
            return FALLS_BACK if spec.name == "adaptive_tea" and self.falls_back else ""
        if self.tails == "fixed" and spec.takes("alpha"):  # others look at more, up to all rewards
            alpha = {"alpha": 0.25, **spec.context, **spec.params}["alpha"]
            if alpha <= self.alpha:
                return ""
        return REFUSALS[self.verdict]

    def __str__(self) -> str:
        return f"{self.verdict}: {self.message}"


def admit(evidence: Evidence) -> Admission:
    """Apply the rule in the module docstring."""
    e, n, m = evidence, evidence.n, evidence.m
    kind, signal, tail = e.kind, e.signal, e.tail
    rewards = len(e.scored.rewards)

    def verdict(name: Verdict, message: str, **more: object) -> Admission:
        return Admission(name, message, **{"m": m, "n": n, "alpha": e.alpha, **more})  # type: ignore[arg-type]

    if signal.most < 2:
        return verdict(
            "too little data",
            "No prompt has two rewards, and a reward says nothing without another one of the "
            f"same prompt: draw {WANTED_ROLLOUTS} rollouts of {WANTED_PROMPTS} prompts.",
            learnable=False,
        )
    if kind.kind.name == "constant" or signal.equal.value > HOPELESS:
        return verdict(
            "constant",
            f"{percent_of(signal.equal.value)} of the prompts have equal rewards, and every "
            "estimator gives them zeros: fix the reward, or use prompts on which some rollouts "
            "do better than others.",
            learnable=False,
        )
    if n == 1:
        return verdict("mean", "N = 1: the mean reward is what counts.", m=max(m, 2))
    if m < 2:
        return verdict(
            "too little data",
            "M = 1 has nothing to compare a rollout with: train with 8 rollouts or more.",
            m=16,
        )
    if e.success is not None:
        return verdict("binary", _two_values(e), prior=_rounded(e.success.prior))
    if n < m:
        return verdict(
            "within M",
            f"N = {number(n)} is below M = {m}, where best-of-k estimators with k = N are exact: "
            "no model of the rewards is needed.",
        )
    if e.ceiling is not None and e.ceiling.reached:
        return verdict(
            "ceiling",
            "Do not extrapolate: the best rollouts reach the ceiling "
            f"{number(e.ceiling.highest)}. A "
            "finer reward, or harder prompts, would give a tail; if only reaching the ceiling "
            "counts, use pass_at_n on that as a 0/1 reward.",
        )
    enough = e.fitted >= LEAST_PROMPTS and e.median >= LEAST_ROLLOUTS
    if kind.kind.name == "mixed":
        message, tails = _mixed(e, enough)
        return verdict("mixed", message, tails=tails, n=min(n, rewards))
    if not kind.ties.inside:
        return verdict(
            "ties",
            "Do not extrapolate: the best rewards of a prompt are mostly equal, because the reward "
            "has few values or the policy repeats itself.",
        )
    if tail is None or not enough or m < LEAST_ROLLOUTS:
        return verdict("too little data", _too_little(e))
    if tail.light:
        return verdict(
            "light",
            "Do not extrapolate: the best rewards are lower than a normal tail through the others "
            f"predicts ({_short(tail)}; harmless above -2.3). Bounded rewards look like this.",
        )
    reach = (
        f" N = {whole(n)} is beyond the {rewards:,} rewards seen: nothing is known about the tail "
        "there, so ask for no more than that."
        if n > rewards
        else ""
    )
    more = {
        "tails": "all",
        "n": min(n, rewards),
        "supported": tail.supported,
        "falls_back": tail.steps >= ENOUGH_STEPS and tail.refused > REFUSED_STEPS,
        "adaptive": _steps(tail),
    }
    if tail.heavy and tail.shape is not None:
        return verdict(
            "heavy",
            f"The tail is heavier than normal (g = {tail.shape.parameter:.2f}): estimators with a "
            "normal tail still point in a good direction, but best-of-N predicted from one is too "
            f"low.{reach}",
            **more,
        )
    return verdict(
        "normal",
        "Nothing in these rewards contradicts a normal tail, so that it may be extrapolated."
        + reach,
        **more,
    )


def _two_values(e: Evidence) -> str:
    low, high = e.kind.kind.lowest, e.kind.kind.highest
    text = "The rewards have two values, and no tail to extrapolate."
    if (low, high) != (0, 1):
        text += f" Map {number(low)} to 0 and {number(high)} to 1."
    return text + (
        " The prior of success rates is fitted on these rewards; prior='batch' does the same in "
        "every call of 32 prompts or more."
    )


def _rounded(prior: tuple[float, float]) -> tuple[float, float]:
    a, b = (float(np.format_float_positional(value, 3, fractional=False)) for value in prior)
    return a, b


def _mixed(e: Evidence, enough: bool) -> tuple[str, Tails]:
    """Rule 6."""
    kind, tail, m = e.kind, e.tail, e.m
    text = (
        f"An atom at {number(kind.kind.atom_value)}, and {percent_of(kind.kind.above)} of the "
        "rewards above it: "
    )
    if kind.clean is None or not kind.clean.inside or not kind.ties.inside:
        return (
            f"{text}the tail of groups of {m} reaches into the atom. More rollouts, or prompts "
            "that get past it more often, would give one.",
            "none",
        )
    if tail is None or not enough or not e.alpha * m > 2:
        return f"{text}too little data to see whether the tail above it is normal.", "none"
    if tail.light:
        return f"{text}the best of these fall short of a normal tail ({_short(tail)}).", "none"
    return (
        f"{text}the best {percent(e.alpha)} of a prompt lie there, and a tail of that fraction "
        "may be fitted; adaptive_tea, which chooses larger ones, may reach into the atom.",
        "fixed",
    )


def _too_little(e: Evidence) -> str:
    """Rule 8."""
    text = (
        f"Too little data to judge a tail: {e.fitted} prompt{'s' * (e.fitted != 1)} with 5 or "
        f"more rewards that differ among the best, {number(e.median)} rewards a prompt, M = "
        f"{e.m}. Give at least {LEAST_PROMPTS} prompts with {LEAST_ROLLOUTS} rewards, better "
        f"{WANTED_PROMPTS} with {WANTED_ROLLOUTS}"
    )
    if e.m < LEAST_ROLLOUTS:
        text += f", and train with M = {LEAST_ROLLOUTS} or more"
    return f"{text}. Until then use an estimator that needs no tail model, such as max_at_k."


def _short(tail: TailFinding) -> str:
    return f"z = {tail.z:.1f} at the best reward, {tail.bend_z:.1f} in the bend"


def _steps(tail: TailFinding) -> str:
    """What adaptive_tea will do in steps of these rewards."""
    if tail.supported is None:
        steps = f"{percent_of(tail.refused)} of the {tail.steps} steps"
        text = (
            f"In {'the one step' if tail.steps == 1 else steps} made of these rewards adaptive_tea "
            "supports no tail fraction, and falls back to max_at_k there."
        )
        if tail.steps < ENOUGH_STEPS:
            text += " One step in nine does so by chance on normal rewards: more would tell."
        return text
    return (
        f"On these rewards adaptive_tea would mostly fit its tail to the best "
        f"{percent(tail.supported)} of a group."
    )
