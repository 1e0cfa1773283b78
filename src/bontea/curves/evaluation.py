"""Everything about a few models at once: their curves, what lies beyond, and how they compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bontea._errors import BonteaError, GroupTooSmallError
from bontea._json import Result
from bontea._numbers import number
from bontea.curves.comparison import Comparison, compare
from bontea.curves.extrapolation import Extrapolation, extrapolate
from bontea.curves.intervals import CURVE_METHOD, PAIRED_METHOD, Method
from bontea.curves.mean_curve import Curve, curve, dense_ks
from bontea.rollouts.chat_text import quoted
from bontea.rollouts.groups import Rollouts, as_rollouts


@dataclass(frozen=True)
class Evaluation(Result):
    """What is known of some models, by their names, in the order they were given in."""

    rollouts: dict[str, Rollouts]
    smallest: dict[str, int]
    """The rewards of the smallest group: where the curve of a model ends."""
    curves: dict[str, Curve]
    extrapolations: dict[str, Extrapolation]
    """Of the models whose curve ends before `up_to`."""
    comparisons: dict[str, Comparison]
    """The first model with each other one, by `"first - other"`."""
    warnings: list[str]
    """Which curves end early because of one small group, a sentence each."""


def evaluate(
    rollouts: Mapping[str, Any],
    ks: Sequence[int] | None = None,
    *,
    up_to: int | None = None,
    method: Method | None = None,
    confidence_level: float = 0.95,
    rng: np.random.Generator | int | None = None,
) -> Evaluation:
    """Best-of-k of some models: curves inside their rollouts, extrapolated beyond, and compared.

    Parameters
    ----------
    rollouts
        By the name of each model: `Rollouts`, a `(P, M)` array, or lists.
    ks
        Values of k; default: about four to a doubling.
    up_to
        The last k. What lies beyond the smallest group of a model is extrapolated.
    method
        Of the intervals, see `bontea.curves.intervals`; default: that of `curve` and of `compare`.

    Raises BonteaError naming the model: when nothing of it could be scored, when a k exceeds its
    smallest group and there is no `up_to`, and when it has too few rollouts to be extrapolated.

    >>> draw = np.random.default_rng(0).normal
    >>> found = evaluate({"old": draw(size=(40, 16)), "new": draw(1, size=(40, 16))}, [1, 8], rng=0)
    >>> found.comparisons["old - new"].at(8)[0] < -0.5
    True
    """
    if not rollouts:
        raise BonteaError("there are no rollouts: give those of at least one model")
    if ks is not None:
        ks = sorted(set(ks))
    groups = {name: as_rollouts(data) for name, data in rollouts.items()}
    smallest: dict[str, int] = {}
    curves: dict[str, Curve] = {}
    beyond: dict[str, Extrapolation] = {}
    warnings: list[str] = []

    def grid(end: int) -> list[int]:
        return [k for k in ks or dense_ks(min(end, up_to or end)) if k <= end] or [end]

    for name, data in groups.items():
        try:
            scored = data.scored()
        except BonteaError as error:
            raise BonteaError(f"{name}: {error}") from None
        end = smallest[name] = int(scored.counts.min())
        if ks is not None and ks[-1] > end and up_to is None:
            raise BonteaError(
                f"{name}: k = {ks[-1]} exceeds the {end} rewards of {_smallest(scored)}; draw "
                f"more, or add --up-to {ks[-1]} to extrapolate"
            )
        curves[name] = curve(
            data,
            grid(end),
            method=method or CURVE_METHOD,
            confidence_level=confidence_level,
            rng=rng,
        )
        median = float(np.median(scored.counts))
        if end * 2 < median:
            warnings.append(
                f"{name}: {_smallest(scored)} has only {end} rewards, half of the prompts have "
                f"{number(median)} or more: the curve ends at k = {end}; draw the rest, or remove "
                "that prompt"
            )
        if up_to is None or up_to <= end:
            continue
        ns = sorted({n for n in ks or dense_ks(up_to) if n > end} | {up_to})
        try:
            beyond[name] = extrapolate(data, ns, confidence_level=confidence_level)
        except GroupTooSmallError as error:
            raise BonteaError(
                f"{name}: {error}; without --up-to the curve ends at k = {end}"
            ) from None
    first, *others = groups
    comparisons = {
        f"{first} - {other}": compare(
            groups[first],
            groups[other],
            grid(min(smallest[first], smallest[other])),
            names=(first, other),
            method=method or PAIRED_METHOD,
            confidence_level=confidence_level,
            rng=rng,
        )
        for other in others
    }
    return Evaluation(groups, smallest, curves, beyond, comparisons, warnings)


def _smallest(rollouts: Rollouts) -> str:
    """The prompt with the fewest rewards, in words."""
    return f"prompt {quoted(rollouts.prompts[int(rollouts.counts.argmin())])}"
