"""What kind of reward this is: 0/1, constant, an atom plus a continuous part, discrete, continuous.

Tail estimators assume that the best rewards of a prompt differ and follow a smooth tail. Rewards
with an atom (0 for every answer that does not run, a speed for those that do), with few values, or
clipped at a ceiling break that without any error: the tail ends up in the atom. `reward_kind` finds
this in a sample of rewards and says which estimator to use.

The rules, by fixed thresholds, on all rewards pooled over prompts:

- an *atom* is a value with at least 5 % of the rewards and at least 3 of them;
- rewards are *spread* if at most 1 % of the pairs of them are equal, as with 100 equally likely
  values or more. Pairs, and not the share of distinct values, because that falls with sample size;
- `constant`: one value. `binary`: 0 and 1 only, or two values which are both atoms. `mixed`: at
  least one atom, and outside the atoms at least 3 rewards, which are spread. `continuous`: no atom,
  and spread. `discrete`: everything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from bontea._arrays import Array, check_alpha, per_group, to_numpy
from bontea._errors import GroupTooSmallError
from bontea._json import Result
from bontea._numbers import number, percent
from bontea.tails.normal import tail_size

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


ATOM_SHARE, ATOM_COUNT = 0.05, 3
MOST_EQUAL_PAIRS = 0.01
LEAST_SPREAD = 3
LEAST_TAIL = 3
CLEAN = 0.9
"""Share of clean tails from which on ties in the tail are not worth a word."""


KindName: TypeAlias = Literal["binary", "constant", "mixed", "discrete", "continuous"]


@dataclass(frozen=True)
class RewardKind(Result):
    """The kind of a sample of rewards. `str()` ends with which estimator to use."""

    name: KindName
    atom_share: float
    """Share of the rewards that have the most frequent value; of equals, the lowest value."""
    atom_value: float
    """The most frequent value."""
    above: float
    """Share of the rewards above every atom; without an atom, above the most frequent value."""
    distinct: int
    """Number of different values."""
    lowest: float
    highest: float
    clean_tails: float
    """Share of prompts whose `ceil(alpha M)` best rewards are all different, and none an atom."""
    alpha: float
    """The tail fraction `clean_tails` was measured at."""
    prompts: int
    """Prompts with at least one reward."""
    m: float
    """Median number of rewards of such a prompt."""
    rewards: int
    """Number of rewards, NaN not counted."""

    @property
    def message(self) -> str:
        """Which estimator to use."""
        if self.name == "constant":
            return (
                "every estimator gives zeros until rewards differ: check the reward, or use "
                "prompts on which some rollouts do better"
            )
        if self.name == "binary":
            zero_one = (self.lowest, self.highest) == (0, 1)
            first = f"map {number(self.lowest)} to 0 and {number(self.highest)} to 1, then "
            return (
                f"{'' if zero_one else first}use pass_at_n for N beyond M, max_at_k or pass_at_k "
                "for k below M"
            )
        if self.name == "discrete":
            return "tail estimators assume a tail without ties: use max_at_k"
        if self.clean_tails >= CLEAN:
            return "use linear_tea or tea, and check_tail to see whether the tail is normal"
        if self.name == "continuous":
            return (
                "ties in the tail, so the policy repeats itself or the reward is rounded: use "
                "max_at_k, or tea and linear_tea once responses differ"
            )
        if self.above == 0:
            return (
                f"the best reward, {number(self.highest)}, is an atom, so no tail is left above "
                "it: use max_at_k, or pass_at_n on the 0/1 reward of reaching "
                f"{number(self.highest)}"
            )
        if self.above * self.m < LEAST_TAIL:
            return (
                f"tail estimators need at least {LEAST_TAIL} rewards above the atom, and of "
                f"{number(self.m)} rollouts {number(self.above * self.m, 2)} are there on "
                "average: use max_at_k, or more rollouts"
            )
        return (
            "tail estimators need the whole tail above the atom: use them with alpha well below "
            f"{number(self.above, 2)}, the share of rewards above it, or use max_at_k"
        )

    def __str__(self) -> str:
        plural = "s" if self.distinct > 1 else ""
        return (
            f"{self.name}: {self.rewards:,} rewards have {self.distinct:,} value{plural}, the "
            f"most frequent ({number(self.atom_value)}) {percent(self.atom_share)} of the time; "
            f"{percent(self.clean_tails)} of {self.prompts:,} tails (alpha = "
            f"{number(self.alpha)}) are free of ties and atoms; {self.message}"
        )


def _is_spread(count: np.ndarray) -> bool:
    """Whether values that occur `count` times are different enough to come from a density."""
    n = count.sum()
    return n < 2 or (count * (count - 1)).sum() <= MOST_EQUAL_PAIRS * n * (n - 1)


def _name(values: np.ndarray, count: np.ndarray, atom: np.ndarray) -> KindName:
    if len(values) == 1:
        return "constant"
    if len(values) == 2 and (atom.all() or set(values) == {0, 1}):
        return "binary"
    if not atom.any():
        return "continuous" if _is_spread(count) else "discrete"
    rest = count[~atom]
    return "mixed" if rest.sum() >= LEAST_SPREAD and _is_spread(rest) else "discrete"


def reward_kind(rewards: Float[ArrayLike, "*P M"], *, alpha: float = 0.25) -> RewardKind:
    """The kind of the rewards `(*P, M)`, by the rules in the module docstring.

    Parameters
    ----------
    rewards : (*P, M)
        NaN is a missing rollout; booleans and integers are numbers. More prompts, surer name: of
        fewer than 15 rewards a single tie makes a continuous reward look discrete, and three
        rewards beside an atom are too few to tell `mixed` from `discrete` reliably.
    alpha
        Tail fraction that you mean to use.

    Rewards count as equal when they are exactly equal in the type they come in: bfloat16 keeps 3
    digits, which makes a discrete reward of a continuous one that lies far from 0.

    Raises
    ------
    ValueError
        Infinite rewards, or alpha outside (0, 1].
    GroupTooSmallError
        There is no reward, or every reward is NaN.

    >>> rng = np.random.default_rng(0)
    >>> speed = rng.normal(2, 0.5, size=(64, 16)) * (rng.random((64, 16)) < 0.4)
    >>> kind = reward_kind(speed)
    >>> kind.name, round(kind.atom_share, 1), kind.atom_value
    ('mixed', 0.6, 0.0)
    >>> print(reward_kind([[0, 1, 0, 0], [1, 1, 0, 1]]).message)
    use pass_at_n for N beyond M, max_at_k or pass_at_k for k below M
    """
    alpha = check_alpha(alpha)
    x = to_numpy(rewards)
    values, count = np.unique(x[np.isfinite(x)], return_counts=True)
    total = int(count.sum())
    atom = (count >= ATOM_SHARE * total) & (count >= ATOM_COUNT)

    def tail(r: Array, xp: ModuleType) -> Array:
        m = r.shape[-1]
        best = xp.flip(xp.sort(r, axis=-1, stable=False), axis=-1)[:, : tail_size(alpha, m)]
        different = np.all(best[:, 1:] < best[:, :-1], axis=-1)
        clean = different & ~np.isin(best, values[atom]).any(-1)
        return np.stack([clean, np.full(len(r), m)], axis=-1).astype(float)

    rows = per_group(x, tail, per_rollout=False, missing=np.nan).reshape(-1, 2)
    if total == 0:
        raise GroupTooSmallError(f"rewards of shape {x.shape} hold no prompt")
    clean, size = rows[~np.isnan(rows[:, 1])].T
    top = int(np.argmax(count))
    last_atom = int(np.flatnonzero(atom)[-1]) if atom.any() else top
    return RewardKind(
        name=_name(values, count, atom),
        atom_share=float(count[top] / total),
        atom_value=float(values[top]),
        above=float(count[last_atom + 1 :].sum() / total),
        distinct=len(values),
        lowest=float(values[0]),
        highest=float(values[-1]),
        clean_tails=float(clean.mean()),
        alpha=alpha,
        prompts=len(size),
        m=float(np.median(size)),
        rewards=total,
    )
