"""Everything that can be seen in a file of rewards before training on it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np

from bontea._arrays import check_alpha, check_k, check_n
from bontea._json import plain
from bontea.diagnosis.degenerate import SignalFinding
from bontea.diagnosis.direction import DirectionFinding, find_direction
from bontea.diagnosis.judge import judge
from bontea.diagnosis.kind import CeilingFinding, KindFinding
from bontea.diagnosis.length import LengthFinding, find_length
from bontea.diagnosis.pareto import ParetoFinding, find_pareto
from bontea.diagnosis.qq import QQFinding, find_qq
from bontea.diagnosis.recommend import Recommendation
from bontea.diagnosis.spread import SpreadFinding, find_spread
from bontea.diagnosis.success import SuccessFinding
from bontea.diagnosis.tail import TailFinding
from bontea.diagnosis.upper import reference, summarise
from bontea.rollouts.groups import as_rollouts

WIDTH = 96


@dataclass(frozen=True)
class Diagnosis:
    """Findings about rewards. `str()` is a page that ends with one recommendation.

    A finding that could not be made is None; `skipped` says why.
    """

    n: float
    m: int
    m_given: bool
    """Whether M was given, or is the smaller of 16 and the median group."""
    alpha: float
    prompts: int
    rewards: int
    rollouts: float
    """Median number of rewards of a prompt."""
    kind: KindFinding
    signal: SignalFinding
    ceiling: CeilingFinding | None
    qq: QQFinding | None
    pareto: ParetoFinding | None
    tail: TailFinding | None
    success: SuccessFinding | None
    length: LengthFinding | None
    spread: SpreadFinding | None
    direction: DirectionFinding | None
    skipped: dict[str, str]
    recommendation: Recommendation

    @property
    def to_look_at(self) -> list[str]:
        """Titles of the findings that are not marked `ok`."""
        found = {title: getattr(self, name) for name, title in TITLES.items()}
        return [title for title, f in found.items() if f is not None and f.mark != "ok"]

    def to_dict(self) -> dict[str, Any]:
        """Everything, as what JSON knows; NaN and infinities become None."""
        out = plain(self)
        out["recommendation"]["call"] = self.recommendation.call
        return out

    def __str__(self) -> str:
        chosen = (
            "" if self.m_given else " (the smaller of 16 and the median group; give m to change it)"
        )
        head = (
            f"{self.prompts:,} prompt{'s' * (self.prompts != 1)}, {self.rewards:,} "
            f"reward{'s' * (self.rewards != 1)}, {self.rollouts:g} of a prompt (median). To deploy "
            f"best of N = {self.n:g} from M = {self.m} rollouts in training{chosen}."
        )
        blocks = [_fill(head, WIDTH)]
        for name, title in TITLES.items():
            finding = getattr(self, name)
            if finding is None:
                text = self.skipped.get(name)
                if text is None:
                    continue
                mark, text = "-", f"not measured: {text}."
            else:
                mark, text = finding.mark, str(finding)
            body = [line if "   " in line else _fill(line, WIDTH - 4) for line in text.splitlines()]
            blocks.append(f"{title} [{mark}]\n" + textwrap.indent("\n".join(body), "    "))
        if self.to_look_at:
            blocks.append(_fill("To look at: " + ", ".join(self.to_look_at) + ".", WIDTH))
        blocks.append(_fill(str(self.recommendation), WIDTH))
        return "\n\n".join(blocks)


def _fill(text: str, width: int) -> str:
    """Wrapped, without a break before `%` or around `=`."""
    for word in (" %", " = ", " +- "):
        text = text.replace(word, word.replace(" ", "\0"))
    return textwrap.fill(text, width, break_long_words=False).replace("\0", " ")


TITLES = {
    "kind": "Kind of reward",
    "signal": "Prompts without a gradient",
    "ceiling": "Ceiling",
    "qq": "QQ of the upper half",
    "pareto": "How the tail ends (generalised Pareto)",
    "tail": "Tail model",
    "success": "Success rates",
    "length": "Length",
    "spread": "Spread over prompts",
    "direction": "What estimators would optimise on these rewards",
}


def diagnose(
    rollouts: Any,
    *,
    n: float = 128,
    m: int | None = None,
    alpha: float = 0.25,
    rng: np.random.Generator | int | None = 0,
) -> Diagnosis:
    """Look at rewards before training on them, and recommend an estimator.

    Parameters
    ----------
    rollouts
        A `Rollouts` (`bontea.rollouts.read_rollouts`), a `(P, M)` array (NaN is a missing reward),
        or P lists of any lengths. For a useful answer 64 prompts with 64 rewards each.
    n
        Deployment budget N.
    m
        Rollouts of a prompt in training; default: the smaller of 16 and the median group of these
        rewards, since files for evaluation mostly hold more rollouts than a training step.
    alpha
        Tail fraction that a tail estimator with a fixed fraction would use: ties and the lightness
        of the tail are judged there.
    rng
        Seed or NumPy generator, for resampling, for the dealing into steps and for the simulation
        of the estimators. Reference bands have a fixed seed of their own and are computed once for
        each set of group sizes.

    The findings are described in the modules of `bontea.diagnosis`, the rule of the recommendation
    in `bontea.diagnosis.recommend`. On normal rewards 2.5 % of the diagnoses end in another verdict
    with 64 prompts of 16, 0.5 % with 64 of 64; heavy, light and bounded tails are then seen in more
    than 99 % (docs/guide/2-tails.md). Takes some seconds, mostly for the simulation of estimators.

    Raises ValueError for n < 1, alpha outside (0, 1], m < 1, infinite rewards, or no reward at all.
    Rewards that are too few, constant or 0/1 are no error: the diagnosis says so. Ours.

    >>> rewards = np.random.default_rng(0).normal(size=(64, 32))
    >>> diagnose(rewards, n=128).recommendation.call
    'adaptive_tea(n=128)'
    >>> diagnose(rewards > 1, n=128).recommendation.estimator
    'pass_at_n'
    """
    n, alpha = check_n(n), check_alpha(alpha)
    m_given = m is not None
    m = None if m is None else check_k(m, "m")
    data = as_rollouts(rollouts)
    scored = data.scored()
    rng = np.random.default_rng(rng)
    judged = judge(data, n=n, m=m, alpha=alpha, rng=rng)
    rewards, kind = scored.table(), judged.kind
    skipped: dict[str, str] = {}

    qq = pareto = summary = bands = None
    if kind.kind.name == "constant":
        skipped |= dict.fromkeys(("qq", "pareto", "tail", "direction"), "all rewards are equal")
    elif judged.upper is not None and judged.upper.prompts < 2:
        why = (
            f"2 prompts with 5 rewards and a spread among the best are needed, and there "
            f"{'is 1' if judged.upper.prompts else 'are 0'}"
        )
        skipped |= {"qq": why, "pareto": why}
    elif judged.upper is not None:
        summary, bands = summarise(judged.upper), reference(judged.upper.sizes)
        qq = find_qq(judged.upper, summary, bands)
        pareto = find_pareto(judged.upper, summary, bands, rng)
        if pareto is None:
            skipped["pareto"] = "fewer than 20 different rewards in the best quarter"
    if judged.upper is not None and judged.tail is None:
        skipped["tail"] = "2 prompts with 3 rewards in the tail and a spread are needed"

    length = direction = None
    if scored.lengths is None or np.isnan(scored.lengths).all():
        skipped["length"] = "the rewards come without completions"
    else:
        length = find_length(rewards, scored.table(scored.lengths))
        if length is None:
            skipped["length"] = "2 prompts whose rewards and lengths both differ are needed"
    if judged.upper is not None:
        smooth = kind.kind.name in ("continuous", "discrete") and kind.ties.inside
        fitted = judged.upper.prompts
        found = find_direction(rewards, n, judged.m, smooth=smooth, fitted=fitted, rng=rng)
        if isinstance(found, str):
            skipped["direction"] = found
        else:
            direction = found
    spread = find_spread(rewards, summary, bands)
    if spread is None:
        skipped["spread"] = "2 prompts with 2 rewards are needed"
    return Diagnosis(
        n=n,
        m=judged.m,
        m_given=m_given,
        alpha=alpha,
        prompts=len(data),
        rewards=len(scored.rewards),
        rollouts=judged.rollouts,
        kind=kind,
        signal=judged.signal,
        ceiling=judged.ceiling,
        qq=qq,
        pareto=pareto,
        tail=judged.tail,
        success=judged.success,
        length=length,
        spread=spread,
        direction=direction,
        skipped=skipped,
        recommendation=judged.recommendation,
    )
