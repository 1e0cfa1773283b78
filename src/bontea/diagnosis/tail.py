"""Does the tail keep its promise, how far into the body, and what will adaptive_tea make of it?

- the check at the best reward of each prompt (`check_tail`), at three tail fractions;
- the bend of the tail (`calibrate_tail`): 0 is normal, above 0 heavier, below 0 lighter;
- the fraction that `adaptive_tea` will use: `choose_alpha` on groups of M rewards in steps of 64
  groups, as training sees them, since what it refuses depends on both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bontea._errors import GroupTooSmallError
from bontea._numbers import number, percent
from bontea.diagnosis.finding import Finding, Mark
from bontea.diagnosis.groups import groups_of
from bontea.diagnosis.reading import Reading
from bontea.tails.calibrate import TailShape, calibrate_tail
from bontea.tails.choose import choose_alpha
from bontea.tails.fit import TailCheck, check_tail

if TYPE_CHECKING:
    from bontea.diagnosis.evidence import Evidence

ALL_EQUAL = "all rewards are equal"
CHECKED = (0.25, 0.5, 0.75)
STEP = 64
MOST_STEPS = 50
SHAPE_ALPHA = 0.5
Z = 2.3
"""Beyond this a test of the tail counts: 1 % of normal data sets on each side."""
BEND = 0.1
"""Below this the bend of a heavy tail is too small to matter: lognormal(0.1) lifts best-of-128 by
a third of a standard deviation."""


@dataclass(frozen=True)
class TailFinding(Finding):
    """Tests of the normal tail."""

    key: ClassVar[str] = "tail"
    title: ClassVar[str] = "Tail model"

    checks: dict[float, TailCheck]
    """By tail fraction; those too small for the groups are left out."""
    bend: Reading | None
    """Parameter g of a lognormal tail of the upper half; its band is not told apart from 0."""
    shape: TailShape | None
    quarter: TailShape | None
    """The same at the tail fraction of the diagnosis."""
    choices: dict[float | None, float]
    """Share of the steps in which `choose_alpha` takes a fraction; None is no extrapolation."""
    steps: int
    step: int
    """Groups in a step."""
    m: int
    """Rewards in a group of a step."""
    alpha: float

    @property
    def z(self) -> float:
        """Of the best rewards at the tail fraction of the diagnosis; NaN if it was not checked."""
        check = self.checks.get(self.alpha)
        return np.nan if check is None else check.z

    @property
    def bend_z(self) -> float:
        """Of the bend at the tail fraction of the diagnosis; NaN if it was not fitted."""
        return _z(self.quarter)

    @property
    def supported(self) -> float | None:
        """The fraction taken most often; None is no extrapolation."""
        return max(self.choices, key=lambda a: self.choices[a]) if self.choices else None

    @property
    def refused(self) -> float:
        """Share of the steps that support nothing."""
        return self.choices.get(None, 0.0)

    @property
    def light(self) -> bool:
        """The best fall short at the tail fraction of the diagnosis."""
        return bool(self.z < -Z or self.bend_z < -Z)

    @property
    def heavy(self) -> bool:
        """The upper half bends up, by enough to matter."""
        return self.shape is not None and self.shape.parameter >= BEND and _z(self.shape) > Z

    @property
    def mark(self) -> Mark:
        return "look" if self.light or self.heavy or self.refused > 0.5 else "ok"

    @property
    def text(self) -> str:
        shown = ", ".join(f"z = {c.z:+.1f} at {number(a)}" for a, c in sorted(self.checks.items()))
        text = f"best reward of a prompt against the rest of its tail: {shown} (normal: -2 to 2)."
        if self.bend is not None and self.shape is not None:
            side = "normal"
            if not self.bend.inside:
                side = "heavier" if self.bend.value > 0 else "lighter"
            error = self.shape.standard_error
            text += (
                f" Bend of the upper half g = {self.bend.value:+.2f} ± {error:.2f} (not told from "
                f"normal within {self.bend.band[1]:.2f}): {side}."
            )
        if self.choices:
            parts = [
                f"{'none' if a is None else format(a, 'g')} in {percent(share)}"
                for a, share in sorted(self.choices.items(), key=lambda item: -item[1])
            ]
            text += (
                f" Tail fraction of adaptive_tea in {self.steps} step{'s' * (self.steps > 1)} of "
                f"{self.step} groups of {self.m}: {', '.join(parts)} (normal: none in about 11 % "
                "of steps of 64)."
            )
        return text


def _z(shape: TailShape | None) -> float:
    if shape is None or not shape.standard_error > 0:
        return np.nan
    return shape.parameter / shape.standard_error


def find_tail(
    rewards: np.ndarray, m: int, alpha: float, rng: np.random.Generator
) -> TailFinding | None:
    """Test the tails of a `(P, M)` table; None if fewer than 2 prompts have one."""
    checks = {}
    for fraction in sorted({*CHECKED, alpha}):
        try:
            check = check_tail(rewards, alpha=fraction)
        except GroupTooSmallError:
            continue
        if np.isfinite(check.z):
            checks[fraction] = check
    if not checks:
        return None
    shape = _shape(rewards, SHAPE_ALPHA)
    bend = None
    if shape is not None:
        error = 1.96 * shape.standard_error
        bend = Reading(
            shape.parameter, (-error, error), (shape.parameter - error, shape.parameter + error)
        )
    groups = groups_of(rewards, m, rng)[: STEP * MOST_STEPS]
    steps = max(1, len(groups) // STEP)
    chosen = [choose_alpha(groups[i * STEP : (i + 1) * STEP]) for i in range(steps)]
    return TailFinding(
        checks=checks,
        bend=bend,
        shape=shape,
        quarter=_shape(rewards, alpha),
        choices={a: chosen.count(a) / steps for a in dict.fromkeys(chosen)},
        steps=steps,
        step=min(STEP, len(groups)),
        m=m,
        alpha=alpha,
    )


def _shape(rewards: np.ndarray, alpha: float) -> TailShape | None:
    try:
        return calibrate_tail(rewards, alpha=alpha)
    except ValueError:  # too few rewards, or prompts whose tails differ
        return None


def look(evidence: Evidence) -> TailFinding | str | None:
    """The finding for `diagnose`, or why there is none."""
    if evidence.kind.kind.name == "constant":
        return ALL_EQUAL
    if evidence.upper is None:
        return None
    return evidence.tail or "2 prompts with 3 rewards in the tail and a spread are needed"
