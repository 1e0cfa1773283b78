"""One recommendation from the findings, by a rule that is written down here.

The first line that applies:

 1. one reward a prompt: more rollouts; rewards constant, or equal within more than 90 % of the
    prompts: nothing to learn;
 2. N = 1: `rloo`;
 3. M = 1: more rollouts;
 4. two values: `pass_at_k(k=N)` for N below M, else `pass_at_n(n=N, prior=(a, b))`;
 5. N below M: `max_at_k(k=N)`, exact whatever the rewards are;
 6. a ceiling that the best rollouts reach: `max_at_k(k=M-1)`;
 7. an atom: `linear_tea(n=N, alpha=alpha)` if in 95 % of the groups of M the whole tail lies above
    it, there are data enough (9) and the tail does not fall short (z > -2.3); else
    `max_at_k(k=M-1)`;
 8. ties in the tail beyond those of rounding to three quarters of a standard deviation:
    `max_at_k(k=M-1)`;
 9. fewer than 16 prompts with a spread, or fewer than 8 rewards a prompt (median), or M < 8: too
    little data for a tail; `max_at_k(k=M-1)` until there is more;
10. *light*: the best reward or the bend of the tail falls short with z < -2.3 at `alpha`, and
    `choose_alpha` supports nothing in half of the steps: `max_at_k(k=M-1)`;
11. *heavy*: the upper half bends up with z > 2.3 and g >= 0.1: `adaptive_tea(n=N)`, but best-of-N
    predicted by a normal tail is too low;
12. otherwise *normal*: `adaptive_tea(n=N)`, which lowers its tail fraction by itself where the tail
    is a little light.

A tail is followed to N = R at most, R the number of rewards: nothing of it has been seen beyond.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bontea.diagnosis.degenerate import HOPELESS, SignalFinding
from bontea.diagnosis.kind import CeilingFinding, KindFinding
from bontea.diagnosis.reading import whole
from bontea.diagnosis.success import SuccessFinding
from bontea.diagnosis.tail import TailFinding

LEAST_PROMPTS, LEAST_ROLLOUTS = 16, 8
WANTED_PROMPTS, WANTED_ROLLOUTS = 64, 64


@dataclass(frozen=True)
class Recommendation:
    """What to do. `str()` is one paragraph."""

    verdict: str
    """`"normal"`, `"heavy"`, `"light"`, `"ceiling"`, `"ties"`, `"mixed"`, `"binary"`, `"constant"`,
    `"too little data"`, `"within M"` or `"mean"`."""
    estimator: str | None
    """Key in `ADVANTAGES`; None when nothing can be learnt."""
    params: dict[str, Any] = field(default_factory=dict)
    m: int = 0
    """Rollouts of a prompt in training."""
    alpha: float | None = None
    """Tail fraction that the estimator uses or will most often choose; None without a tail."""
    text: str = ""

    @property
    def call(self) -> str:
        """The estimator as it is written for `bontea train --estimator`."""
        options = ", ".join(f"{key}={_written(value)}" for key, value in self.params.items())
        if not self.estimator:
            return "nothing"
        return f"{self.estimator}({options})" if options else self.estimator

    def __str__(self) -> str:
        if self.estimator is None:
            return f"RECOMMENDATION: nothing to train on. {self.text}"
        return f"RECOMMENDATION: {self.call} with M = {self.m}. {self.text}"


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(f"{v:.3g}" for v in value) + ")"
    return f"{value:g}" if abs(value) < 1e6 else str(int(value))


def recommend(
    *,
    n: float,
    m: int,
    alpha: float,
    kind: KindFinding,
    signal: SignalFinding,
    ceiling: CeilingFinding | None,
    tail: TailFinding | None,
    success: SuccessFinding | None,
    fitted: int,
    rollouts: float,
    rewards: int,
) -> Recommendation:
    """Apply the rule in the module docstring.

    `fitted` prompts have a spread in their upper half; `rollouts` is the median number of rewards
    of a prompt, `rewards` their total.
    """
    if signal.most < 2:
        return Recommendation(
            "too little data",
            None,
            text=(
                "No prompt has two rewards, and a reward says nothing without another one of the "
                f"same prompt: draw {WANTED_ROLLOUTS} rollouts of {WANTED_PROMPTS} prompts."
            ),
        )
    if kind.kind.name == "constant" or signal.equal.value > HOPELESS:
        return Recommendation(
            "constant",
            None,
            text=(
                f"{100 * signal.equal.value:.0f} % of the prompts have equal rewards, and every "
                "estimator gives them zeros: fix the reward, or use prompts on which some rollouts "
                "do better than others."
            ),
        )
    if n == 1:
        return Recommendation(
            "mean", "rloo", {}, max(m, 2), text="N = 1: the mean reward is what counts."
        )
    if m < 2:
        return Recommendation(
            "too little data",
            "max_at_k",
            {"k": 15},
            16,
            text="M = 1 has nothing to compare a rollout with: train with 8 rollouts or more.",
        )
    if success is not None:
        return _binary(n, m, kind, success)
    if n < m:
        return Recommendation(
            "within M",
            "max_at_k",
            {"k": int(n)},
            m,
            text=f"N = {n:g} is below M = {m}: exact and unbiased, no model of the rewards.",
        )
    safe: dict[str, Any] = {"k": m - 1}
    if ceiling is not None and ceiling.reached:
        return Recommendation(
            "ceiling",
            "max_at_k",
            safe,
            m,
            text=(
                f"Do not extrapolate: the best rollouts reach the ceiling {ceiling.highest:.6g}. "
                "A finer reward, or harder prompts, would give a tail; if only reaching the "
                "ceiling counts, use pass_at_n on that as a 0/1 reward."
            ),
        )
    if kind.kind.name == "mixed":
        return _mixed(n, m, alpha, kind, tail, fitted, rollouts, rewards)
    if not kind.ties.inside:
        return Recommendation(
            "ties",
            "max_at_k",
            safe,
            m,
            text=(
                "Do not extrapolate: the best rewards of a prompt are mostly equal, because the "
                "reward has few values or the policy repeats itself."
            ),
        )
    if tail is None or fitted < LEAST_PROMPTS or min(rollouts, m) < LEAST_ROLLOUTS:
        return too_little(m, fitted, rollouts)
    if tail.light and tail.refused >= 0.5:
        return Recommendation(
            "light",
            "max_at_k",
            safe,
            m,
            text=(
                "Do not extrapolate: the best rewards fall short of what the others promise "
                f"(z = {tail.z:.1f}), as with a bounded reward. adaptive_tea would fall back to "
                f"this in {100 * tail.refused:.0f} % of the steps."
            ),
        )
    budget, reach = _reach(n, rewards)
    fewer = f"max_at_k(k={m - 1})" if tail.heavy else f"linear_tea(alpha={alpha:g})"
    text = _steps(tail, fewer)
    if tail.heavy and tail.shape is not None:
        return Recommendation(
            "heavy",
            "adaptive_tea",
            {"n": budget},
            m,
            alpha=tail.supported,
            text=(
                f"The tail is heavier than normal (g = {tail.shape.parameter:.2f}): the direction "
                "stays good and adaptive_tea has least noise, but best-of-N predicted from a "
                f"normal tail is too low. {text}{reach}"
            ),
        )
    return Recommendation(
        "normal",
        "adaptive_tea",
        {"n": budget},
        m,
        alpha=tail.supported,
        text=f"{_lightness(tail)} {text}{reach}",
    )


def _binary(n: float, m: int, kind: KindFinding, success: SuccessFinding) -> Recommendation:
    low, high = kind.kind.lowest, kind.kind.highest
    text = "Do not extrapolate a tail: your rewards have two values."
    if (low, high) != (0, 1):
        text += f" Map {low:g} to 0 and {high:g} to 1."
    if n < m:
        return Recommendation("binary", "pass_at_k", {"k": int(n)}, m, text=text)
    text += (
        " The prior is fitted on this file; prior='batch' does the same in every call of 32 "
        "prompts or more."
    )
    a, b = success.prior
    return Recommendation("binary", "pass_at_n", {"n": n, "prior": (a, b)}, m, text=text)


def _mixed(
    n: float,
    m: int,
    alpha: float,
    kind: KindFinding,
    tail: TailFinding | None,
    fitted: int,
    rollouts: float,
    rewards: int,
) -> Recommendation:
    """Rule 7."""
    above = kind.kind.above
    text = f"An atom at {kind.kind.atom_value:g}, and {100 * above:.0f} % of the rewards above it: "
    enough = fitted >= LEAST_PROMPTS and rollouts >= LEAST_ROLLOUTS and alpha * m > 2
    if kind.clean is None or not kind.clean.inside or not kind.ties.inside:
        text += (
            f"the tail of groups of {m} reaches into the atom. More rollouts, or prompts that get "
            "past it more often, would give one."
        )
    elif tail is None or not enough:
        text += "too little data to see whether the tail above it is normal."
    elif tail.light:
        text += f"and the best of these fall short of a normal tail (z = {tail.z:.1f})."
    else:
        budget, reach = _reach(n, rewards)
        text += f"the best {100 * alpha:g} % of a prompt lie there. Not adaptive_tea, which may "
        return Recommendation(
            "mixed",
            "linear_tea",
            {"n": budget, "alpha": alpha},
            m,
            alpha=alpha,
            text=f"{text}reach into the atom.{reach}",
        )
    return Recommendation("mixed", "max_at_k", {"k": m - 1}, m, text=text)


def too_little(m: int, fitted: int, rollouts: float) -> Recommendation:
    """Rule 9."""
    text = (
        f"Too little data to judge a tail: {fitted} prompt{'s' * (fitted != 1)} with 5 rewards and "
        f"a spread among the best, {rollouts:g} rewards a prompt, M = {m}. Give at least "
        f"{LEAST_PROMPTS} prompts with {LEAST_ROLLOUTS} rewards, better {WANTED_PROMPTS} with "
        f"{WANTED_ROLLOUTS}"
    )
    if m < LEAST_ROLLOUTS:
        text += f", and train with M = {LEAST_ROLLOUTS} or more"
    return Recommendation(
        "too little data",
        "max_at_k",
        {"k": m - 1},
        m,
        text=f"{text}. Until then this needs no model.",
    )


def _reach(n: float, rewards: int) -> tuple[float, str]:
    """The budget to ask for, and why it is not N."""
    if n <= rewards:
        return n, ""
    return rewards, (
        f" N = {whole(n)} is beyond the {rewards:,} rewards seen: nothing is known about the tail "
        "there, so ask for no more than that."
    )


def _lightness(tail: TailFinding) -> str:
    if tail.light:
        return (
            f"The best rewards fall a little short of a normal tail (z = {tail.z:.1f}), which "
            "adaptive_tea sees at work: it lowers its tail fraction, or stops extrapolating."
        )
    return "No sign against a normal tail."


def _steps(tail: TailFinding, fewer: str) -> str:
    """What adaptive_tea will do, and what to compare it with where a call has few prompts."""
    alpha = tail.supported
    if alpha is None:
        return (
            f"In {100 * tail.refused:.0f} % of the steps it supports no tail fraction, and falls "
            f"back to max_at_k(k={tail.m - 1}) there."
        )
    return (
        f"It will mostly use alpha = {alpha:g}, given 16 prompts or more in a call; with fewer, "
        f"compare {fewer}."
    )
