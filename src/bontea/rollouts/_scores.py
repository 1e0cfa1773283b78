"""Several scores of the same rollouts: one found by its name, and what a cut-off response gets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bontea._errors import BonteaError


def find_score(
    scores: Mapping[str, np.ndarray] | None, name: str, source: str | None
) -> np.ndarray:
    """The score of this name; BonteaError that lists what there is, and how to have more."""
    if scores is not None and name in scores:
        return scores[name]
    there = ", ".join(["reward", *(other for other in scores or {} if other != "reward")])
    how = (
        f"read it with read_rollouts({source!r}, also=[{name!r}])"
        if source is not None
        else f"give it with as_rollouts(..., scores={{{name!r}: ...}})"
    )
    raise BonteaError(f"these rollouts have no score {name!r}, but {there}: {how}")


def lowest(values: np.ndarray) -> float:
    """The lowest of the values that are there; NaN where there is none."""
    return float(np.fmin.reduce(values, initial=np.nan))


def with_lowest(
    scores: Mapping[str, np.ndarray] | None, where: np.ndarray, given: Mapping[str, float]
) -> dict[str, np.ndarray] | None:
    """The scores with their lowest value, or the given one, where `where` `(R,)` says."""
    if scores is None:
        return None
    return {
        name: np.where(where, given.get(name, lowest(values)), values)
        for name, values in scores.items()
    }
