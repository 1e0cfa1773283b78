"""Rewards of many prompts in memory: groups of any size, with what is known about each.

One flat array of rewards, the rollouts of a prompt next to each other, and the offsets where each
prompt begins: ten million rewards are 80 MB, whatever the largest group is.

`as_rollouts` is the one door for data of many prompts: whatever takes rollouts takes a `Rollouts`,
a `(P, M)` array of any kind, or ragged lists, and comes through it, so that names, strata and
counts go all the way. (Estimators work on arrays alone; their door is `bontea._arrays`. A
`Rollouts` turns into a `(P, M)` array there, shorter groups ending in NaN.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from array_api_compat import is_array_api_obj

from bontea._arrays import to_numpy
from bontea._errors import BonteaError
from bontea._ids import id_text, id_texts
from bontea._numbers import number, percent
from bontea.rollouts._scores import find_score, lowest, with_lowest
from bontea.rollouts.chat_text import quoted
from bontea.rollouts.sentinels import find_sentinels, out_of_range

CutOff: TypeAlias = Literal["keep", "drop", "worst"]
"""What is done with responses that were cut off: `Rollouts.with_cut_off`."""
CUT_OFF_WAYS: tuple[CutOff, ...] = get_args(CutOff)

if TYPE_CHECKING:
    from bontea.rollouts.formats import Reading


@dataclass(frozen=True, eq=False)
class Rollouts:
    """Rewards of P prompts, R rollouts in all."""

    rewards: np.ndarray
    """(R,) float64, NaN for a rollout that could not be scored."""
    offsets: np.ndarray
    """(P + 1,) int64: prompt p has `rewards[offsets[p]:offsets[p + 1]]`."""
    prompts: np.ndarray
    """(P,) objects of str, all different: the prompt's id, or its text where the file has no id."""
    texts: np.ndarray | None = None
    """(P,) objects of str: the prompt as text (a chat as JSON), where the file has it."""
    strata: np.ndarray | None = None
    """(P,) objects of str: the stratum of each prompt, where the file has strata."""
    lengths: np.ndarray | None = None
    """(R,) float64: characters of each completion, NaN where there is none."""
    rows: np.ndarray | None = None
    """(R,) int64: the row of the source each reward comes from, from 0."""
    model: str | None = None
    source: str | None = None
    """The file, where there is one."""
    cut_off: np.ndarray | None = None
    """(R,) bool: whether the response was cut off, where the file has a `finish_reason`."""
    scores: Mapping[str, np.ndarray] | None = None
    """By name, (R,) float64: what a file has beside the reward, NaN where there is none."""
    reading: Reading | None = None
    """How the file was read, where it is not one of our own."""
    by_rule: int = 0
    """Rows of the file that are left out, because they are no fair sample: a stopping rule asked
    for them because of the rewards before them (the field `by_rule`; `bontea serve` writes it)."""

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def counts(self) -> np.ndarray:
        """(P,) rollouts of each prompt, unscorable ones included."""
        return np.diff(self.offsets)

    @property
    def scored_counts(self) -> np.ndarray:
        """(P,) rewards of each prompt: rollouts that could be scored."""
        owner = np.repeat(np.arange(len(self)), self.counts)
        return np.bincount(owner[~np.isnan(self.rewards)], minlength=len(self))

    @property
    def zero_one(self) -> bool:
        """Whether every reward there is is 0 or 1."""
        return bool(((self.rewards == 0) | (self.rewards == 1) | np.isnan(self.rewards)).all())

    def group(self, p: int) -> np.ndarray:
        """The rewards of one prompt."""
        p = range(len(self))[p]
        return self.rewards[self.offsets[p] : self.offsets[p + 1]]

    def score(self, name: str | None = None) -> np.ndarray:
        """(R,) one of the scores: of `scores`, or the reward for None and, where no score has the
        name, for `"reward"`. Raises BonteaError for a name that is not there, or infinite values.
        """
        if name is None or (name == "reward" and name not in (self.scores or {})):
            return self.rewards
        values = find_score(self.scores, name, self.source)
        for i in np.flatnonzero(np.isinf(values))[:1]:
            raise BonteaError(
                f"{_place_of(self, i)}: the score {name!r} is {values[i]}, which is infinite; clip "
                "it, or give None where there is none"
            )
        return values

    def table(self, values: np.ndarray | None = None) -> np.ndarray:
        """(P, M) rewards, or other `(R,)` values; M the largest group, shorter ones end in NaN."""
        counts = self.counts
        out = np.full((len(self), int(counts.max(initial=0))), np.nan)
        out[np.arange(out.shape[1]) < counts[:, None]] = self.rewards if values is None else values
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.table() if dtype is None else self.table().astype(dtype)

    def select(self, prompts: Any) -> Rollouts:
        """Some of the prompts: a `(P,)` mask, or indices in the order wanted, each once."""
        which = np.asarray(prompts)
        if which.dtype == bool:
            if which.shape != (len(self),):
                raise BonteaError(
                    f"a mask of shape {which.shape} must be ({len(self)},): one value for each "
                    "prompt"
                )
        elif which.ndim != 1 or (which.size and which.dtype.kind not in "iu"):
            raise BonteaError(
                f"prompts are selected by a mask or a list of indices, not by {prompts!r}"
            )
        try:
            which = np.arange(len(self))[which if which.size else []]
        except IndexError as error:
            raise BonteaError(f"{error}: there are {len(self)} prompts") from None
        if len(which) == 0:
            raise BonteaError("no prompt is selected: at least one is needed")
        if len(np.unique(which)) < len(which):
            raise BonteaError(
                "a prompt is selected twice, but names of prompts must differ: to resample prompts "
                "use the (P, M) array"
            )
        return self._keep(which, self.counts[which])

    def first(self, m: int) -> Rollouts:
        """The first m rollouts of every prompt; shorter groups stay as they are."""
        if m < 1:
            raise BonteaError(f"m={m} must be at least 1: a group cannot be empty")
        return self._keep(np.arange(len(self)), np.minimum(self.counts, m))

    def scored(self) -> Rollouts:
        """Without unscorable rollouts, and without the prompts that have no others.

        What every statistic of rewards begins with. Raises BonteaError when nothing is left, and
        for rewards that no statistic survives: so far from all others that they can only stand for
        "no reward" (`bontea.rollouts.sentinels`; the message names prompt, rollout and row), or so
        large or small that they cannot be squared.
        """
        _refuse_unusable(self)
        there = ~np.isnan(self.rewards)
        if there.all():
            return self
        counts = self.scored_counts
        which = np.flatnonzero(counts)
        if len(which) == 0:
            raise BonteaError(
                f"no prompt has a single reward: none of the {len(self.rewards):,} rollouts of "
                f"{len(self):,} prompts has a reward (all are null or NaN); score the completions "
                "first"
            )
        return self._take(which, counts[which], np.flatnonzero(there))

    def with_cut_off(
        self,
        how: CutOff,
        *,
        worst: float | None = None,
        worst_scores: Mapping[str, float] | None = None,
    ) -> Rollouts:
        """The same with what is to be thought of responses that were cut off.

        A response is cut off when it reached the limit of its length (`finish_reason` "length" and
        its like), so that its reward may be that of half an answer.

        - `"keep"`: its reward counts as it is.
        - `"drop"`: as if it had not been drawn. Groups become smaller, and a prompt with no other
          response is left out. Where long answers are the better ones, what is left is not a fair
          sample of what the model gives.
        - `"worst"`: it counts as a draw with the reward `worst`, by default the lowest of all these
          rollouts, also where it has no reward: in best-of-N it takes up one of N draws and is
          never chosen. Each further score gets its lowest value too, or that of `worst_scores`.

        Without a `cut_off` nothing changes. Raises BonteaError where every response is cut off and
        to be dropped, or nothing has a reward.
        """
        if how not in CUT_OFF_WAYS:
            raise BonteaError(f"cut-off {how!r} must be one of {', '.join(CUT_OFF_WAYS)}")
        if self.cut_off is None or how == "keep" or not self.cut_off.any():
            return self
        if how == "worst":
            if worst is None:
                worst = self.lowest
            if not np.isfinite(worst):
                raise BonteaError(
                    "no rollout has a reward, so that there is no lowest one for those that were "
                    "cut off: score the completions first"
                )
            return replace(
                self,
                rewards=np.where(self.cut_off, worst, self.rewards),
                scores=with_lowest(self.scores, self.cut_off, worst_scores or {}),
            )
        owner = np.repeat(np.arange(len(self)), self.counts)
        counts = np.bincount(owner[~self.cut_off], minlength=len(self))
        which = np.flatnonzero(counts)
        if len(which) == 0:
            raise BonteaError(
                f"all {len(self.rewards):,} rollouts were cut off, and none is left: sample with a "
                "larger --max-new-tokens, or keep them"
            )
        return self._take(which, counts[which], np.flatnonzero(~self.cut_off))

    @property
    def lowest(self) -> float:
        """The lowest reward; NaN where there is none."""
        return lowest(self.rewards)

    def _keep(self, which: np.ndarray, counts: np.ndarray) -> Rollouts:
        """The first `counts` rollouts of the prompts `which`."""
        starts = np.cumsum(counts) - counts
        inside = np.arange(counts.sum()) - np.repeat(starts, counts)
        return self._take(which, counts, np.repeat(self.offsets[which], counts) + inside)

    def _take(self, which: np.ndarray, counts: np.ndarray, flat: np.ndarray) -> Rollouts:
        """The rollouts `flat`, which are `counts` of each of the prompts `which`."""
        offsets = np.concatenate([[0], np.cumsum(counts)])
        return replace(
            self,
            rewards=self.rewards[flat],
            offsets=offsets,
            prompts=self.prompts[which],
            texts=None if self.texts is None else self.texts[which],
            strata=None if self.strata is None else self.strata[which],
            lengths=None if self.lengths is None else self.lengths[flat],
            rows=None if self.rows is None else self.rows[flat],
            cut_off=None if self.cut_off is None else self.cut_off[flat],
            scores=(
                None
                if self.scores is None
                else {name: values[flat] for name, values in self.scores.items()}
            ),
        )

    def __str__(self) -> str:
        """What there is, in one line."""
        least, most = f"{self.counts.min():,}", f"{self.counts.max():,}"
        total, unscorable = len(self.rewards), np.isnan(self.rewards).sum()
        return (
            f"{len(self):,} prompt{'s' * (len(self) != 1)}, "
            f"{total:,} rollout{'s' * (total != 1)} "
            f"({least if least == most else f'{least} to {most}'} a prompt), "
            + (f"{percent(unscorable / total)} of them unscorable" if unscorable else "all scored")
            + (
                f", {percent(self.cut_off.mean())} of them cut off"
                if self.cut_off is not None and self.cut_off.any()
                else ""
            )
            + (f", model {self.model}" if self.model else "")
            + (f", from {self.source}" if self.source else "")
        )


def as_rollouts(
    data: Any,
    *,
    prompts: Iterable[Any] | None = None,
    strata: Iterable[Any] | None = None,
    scores: Mapping[str, Any] | None = None,
    model: str | None = None,
) -> Rollouts:
    """`Rollouts` from rewards in memory: the door of every function that takes data.

    Parameters
    ----------
    data
        A list of P lists (or arrays) of any lengths, or a `(P, M)` array of any array library; None
        and NaN are unscorable rollouts. That includes the NaN at the end of a row of an array: for
        groups of different sizes give lists. A `Rollouts` is returned as it is.
    prompts
        P names, numbers or text, all different (3, 3.0 and "3" are the same); default: "0", "1",
        ...
    strata
        P labels; they replace those of a `Rollouts`.
    scores
        Further scores of the same rollouts, by name, each in the shape of `data`:
        `{"judge": judged}`.

    Raises BonteaError for no groups, an empty group, names that are not P or not different, and
    rewards that are text or infinite (naming prompt and position).

    >>> print(as_rollouts([[1, 0, None], [0.5]], prompts=["easy", "hard"]))
    2 prompts, 4 rollouts (1 to 3 a prompt), 25 % of them unscorable
    """
    if isinstance(data, Rollouts):
        if prompts is not None or model is not None:
            raise BonteaError(
                "these Rollouts have their names already: change them with dataclasses.replace"
            )
        _refuse_infinite(data)
        if strata is not None:
            data = replace(data, strata=_labels(strata, "strata", len(data)))
        return data if scores is None else _with_scores(data, scores)
    array = _array(data)
    rows = _lists(data) if array is None else array
    names = _labels(range(len(rows)) if prompts is None else prompts, "prompts", len(rows))
    seen: dict[str, int] = {}
    for p, name in enumerate(names):
        if seen.setdefault(name, p) != p:
            raise BonteaError(
                f"prompts {seen[name]} and {p} are both called {quoted(name)}: give each prompt "
                "one group, under a name of its own"
            )
    if array is None:
        rewards = [_rewards(row, _place(p, names)) for p, row in enumerate(rows)]
        flat, counts = np.concatenate(rewards), np.array([len(row) for row in rewards])
    else:
        flat, counts = array.flatten(), np.full(len(array), array.shape[1])
    offsets = np.concatenate([[0], np.cumsum(counts)])
    rollouts = Rollouts(
        rewards=flat,
        offsets=offsets,
        prompts=names,
        strata=None if strata is None else _labels(strata, "strata", len(rows)),
        model=model,
    )
    _refuse_infinite(rollouts)
    return rollouts if scores is None else _with_scores(rollouts, scores)


def _with_scores(data: Rollouts, scores: Mapping[str, Any]) -> Rollouts:
    found = dict(data.scores or {})
    for name, values in scores.items():
        other = as_rollouts(values)
        if not np.array_equal(other.counts, data.counts):
            raise BonteaError(
                f"the score {name!r} is of {len(other):,} prompts with {len(other.rewards):,} "
                f"rollouts, and the rewards are of {len(data):,} with {len(data.rewards):,}: give "
                "one score for each rollout, None where there is none"
            )
        found[name] = other.rewards
    return replace(data, scores=found)


def _refuse_infinite(data: Rollouts) -> None:
    for i in np.flatnonzero(np.isinf(data.rewards))[:1]:
        raise BonteaError(
            f"{_place_of(data, i)}: the reward is {data.rewards[i]}, which is infinite; clip it, "
            "or give None for a rollout that could not be scored"
        )


def _refuse_unusable(data: Rollouts) -> None:
    """BonteaError for numbers that stand for no reward, and for what has no squares."""
    rewards = data.rewards
    found = np.flatnonzero(find_sentinels(rewards))
    if len(found):
        others = np.delete(rewards, found)
        low, high = np.nanmin(others), np.nanmax(others)
        times = f", {len(found):,} of {len(rewards):,} rewards are like it" * (len(found) > 1)
        raise BonteaError(
            f"{_place_of(data, found[0])}: the reward {number(rewards[found[0]])} lies far beyond "
            f"all others, which go from {number(low, 4)} to {number(high, 4)}{times}. It looks "
            "like a number that stands for a rollout without a reward: give null "
            "(None, NaN) in its place, or clip it if it is a reward"
        )
    if why := out_of_range(rewards):
        raise BonteaError(why)


def _place_of(data: Rollouts, i: int) -> str:
    """Where reward i is: the prompt and the rollout, and the row of the file it comes from."""
    p = int(np.searchsorted(data.offsets, i, side="right")) - 1
    place = f"{_place(p, data.prompts)}, rollout {i - data.offsets[p]}"
    if data.source is not None and data.rows is not None:
        place = f"{data.source}, row {data.rows[i] + 1:,} ({place})"
    return place


def as_objects(values: Iterable[str]) -> np.ndarray:
    """Text as an array of objects; in NumPy's own kind all are as long as the longest."""
    values = list(values)
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def _labels(values: Iterable[Any], what: str, p: int) -> np.ndarray:
    if what == "prompts":
        labels = as_objects(id_texts(values, "the name of prompt"))
    else:  # a prompt may have no stratum
        labels = as_objects(id_text(value) or "" for value in values)
    if len(labels) != p:
        raise BonteaError(f"{len(labels)} {what} for {p} groups: give one for each group")
    return labels


def _place(p: int, names: np.ndarray) -> str:
    return f"prompt {p}" if names[p] == str(p) else f"prompt {p} ({quoted(names[p])})"


def _array(groups: Any) -> np.ndarray | None:
    """A `(P, M)` array of numbers as it is in NumPy; None for lists."""
    if isinstance(groups, (list, tuple)):
        return None
    if not is_array_api_obj(groups):
        raise BonteaError(
            f"groups of type {type(groups).__name__} are neither a list of lists nor a (P, M) array"
        )
    if groups.ndim != 2 or 0 in groups.shape:
        raise BonteaError(
            f"groups of shape {tuple(groups.shape)} must be (P, M), one row of rewards for each "
            "prompt, and not empty"
        )
    return None if _is_text(groups) else to_numpy(groups)


def _lists(groups: Any) -> list[Any]:
    if len(groups) == 0:
        raise BonteaError("there are no groups: give the rewards of at least one prompt")
    for p, row in enumerate(groups):
        if isinstance(row, (str, bytes, dict)) or not np.iterable(row):
            raise BonteaError(
                f"group {p} is {row!r}, not a list of rewards: give one list for each prompt, "
                "[[...]] for a single one"
            )
    return list(groups)


def _rewards(row: Any, where: str) -> np.ndarray:
    """The rewards of one group in float64; ValueError naming the first that is none."""
    if len(row) == 0:
        raise BonteaError(
            f"{where} has no rollouts: leave it out, or give None for unscorable ones"
        )
    values = _numbers(row)
    if values is None:
        values = np.full(len(row), np.nan)
        for j, value in enumerate(row):
            try:
                if isinstance(value, (str, bytes, complex, np.complexfloating)):
                    raise TypeError
                values[j] = np.nan if value is None else float(value)
            except (TypeError, ValueError, OverflowError, RuntimeError):
                raise BonteaError(
                    f"{where}, rollout {j}: {repr(value)[:60]} is not a number; a reward is a "
                    "number, or None for a rollout that could not be scored"
                ) from None
    return values


def _numbers(row: Any) -> np.ndarray | None:
    """A row that is all real numbers, at once; None for one to be looked at value by value."""
    if is_array_api_obj(row) and not _is_text(row):
        return to_numpy(row) if row.ndim == 1 else None
    try:
        values = np.asarray(row)
    except (ValueError, TypeError):
        return None
    return values.astype(float) if values.dtype.kind in "fiub" and values.ndim == 1 else None


def _is_text(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind not in "fiubc"
