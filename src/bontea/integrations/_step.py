"""The step that all adapters share: the rewards of one batch in, its advantages and metrics out.

RL frameworks deliver the rollouts of a batch in any order, with an id for each prompt. Rollouts
fail, so groups are incomplete; batches are filled up with rows that are no rollouts; an agent may
leave several rows of one rollout. A training step must survive all of that, and say what it left
out. Wrong settings stop a run where it starts.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bontea._arrays import Array, to_numpy
from bontea._errors import BonteaError, GroupTooSmallError
from bontea._ids import group_ids
from bontea._numbers import number, percent
from bontea.advantages import EstimatorSpec, scale_advantages
from bontea.advantages.flat import rows_of_groups
from bontea.integrations._metrics import batch_metrics, tail_metrics
from bontea.integrations._settings import SCALES, Settings
from bontea.tails import TailCheck
from bontea.tails.memory import Memory

LOG = logging.getLogger("bontea")

SIZES = (64, 256, 1024)
"""Group sizes that settings are tried on where the framework does not tell its own."""

WITHOUT_SIGNAL = 5
"""Batches in a row whose advantages are all 0 before a warning."""

LOUD = 0.9
"""Share of the squared advantages of a batch in one group from which on the others are silent."""

LIVE_GROUPS = 4
"""Groups with a signal from which on one of them may be called loud."""

GROUPS_TO_JUDGE_A_TAIL = 200
"""Fewer groups can miss by chance: no warning about the tail model before."""

ZEROED = ("padding", "unscorable", "alone", "small", "constant")


class AdvantageStep:
    """The estimator of one run, called once for every batch.

        A = scale_advantages(estimator(groups))      over rollouts that can be compared

    What gets 0 is counted in `metrics`, in rows of the batch:

    - `zeroed_padding`: rows the framework put in to fill up the batch (`padding`);
    - `zeroed_unscorable`: reward NaN or infinite;
    - `zeroed_alone`: no other scorable rollout of the same prompt;
    - `zeroed_small`: the estimator gave the whole group 0 though its rewards differ, as it does
      when the group is too small for it;
    - `zeroed_constant`: all rewards of the group are equal.

    The first three are no rollouts that could be compared and do not count in the scale. `metrics`
    also has `groups`, `rollouts`, everything of `batch_metrics`, and the tail check over the groups
    that are remembered. Those before the batch go to estimators that take a `history`: rewards
    `(Q, M')`, at first of no groups; None in evaluation.

    Parameters
    ----------
    settings
        What the user chose. It is tried here: a setting that cannot work raises BonteaError.
    m
        Rollouts per prompt, if the framework says so before the first batch. Without it the first
        batch decides what fits.
    asarray
        Makes the kind of array that the estimator sees; a user's may be written for PyTorch.
    whole_groups
        The framework hands over all rows of every group, in groups of a size that was tried here.
        Then a group in which too few are scorable gets 0 from the first batch on, its rollouts
        count in the scale even alone, and whatever else the estimator raises stops the run.
        Otherwise the first batch must work, and a later one that does not gets 0 and a warning.
    say
        Called with every warning, in the place of the logger `bontea`, which then says nothing of
        the batches either: for frameworks that show the metrics themselves.
    """

    def __init__(
        self,
        settings: Settings,
        m: int | None = None,
        *,
        asarray: Callable[[Any], Array] = np.asarray,
        whole_groups: bool = False,
        say: Callable[[str], None] | None = None,
    ):
        if settings.scale not in SCALES:
            raise BonteaError(f"scale={settings.scale!r} must be one of {', '.join(SCALES)}")
        self.settings, self.m = settings, m
        self.metrics: dict[str, float] = {}
        self.batches = 0
        self.memory = Memory()
        self._asarray, self._whole, self._speak = asarray, whole_groups, say
        self._spec = _tried(settings, m, asarray)
        self._works = False
        self._without_signal = 0
        self._said: set[str] = set()
        self._loud = 0
        self._moment: tuple[int, ...] | None = None
        self._repeats = 0

    def __call__(
        self,
        rewards: Any,
        groups: Any,
        *,
        rollouts: Any = None,
        order: Any = None,
        padding: Any = None,
        training: bool = True,
        moment: tuple[int, ...] | None = None,
    ) -> np.ndarray:
        """Advantages `(B,)` in float64.

        Parameters
        ----------
        rewards : (B,)
            Of any array library and dtype, on any device; None and NaN are unscorable.
        groups : (B,)
            Which prompt a row belongs to: numbers, text, tensors, objects that have a `str()`; 3,
            3.0 and "3" are one prompt. Only rows of padding may be without one (None or NaN).
        rollouts : (B,), optional
            Which rollout a row belongs to, where one can leave several rows. A rollout counts once,
            with the reward of its last row, and all its rows get its advantage.
        order : (B,), optional
            Which row of a rollout is the last: the one with the largest number. Otherwise the last
            in the batch.
        padding : (B,), optional
            True for rows that are no rollouts.
        training
            False in evaluation, which has other prompts and often other group sizes: it neither
            uses the memory nor adds to it.
        moment
            Whole numbers that seed a random estimator, such as the seed and the step of the
            framework: then a resumed run draws what the unbroken one would have, and every process
            the same. Otherwise the seed of the settings and the number of the batch.
        """
        if len(rewards) == 0:
            return np.zeros(0)
        values = to_numpy(rewards).ravel()
        keep = np.ones(len(values), bool) if padding is None else ~np.asarray(padding, bool)
        ids = codes(groups, len(values), keep if keep.shape == values.shape else None)
        for name, rows in {"padding": padding, "order": order}.items():
            if rows is not None and np.shape(rows) != values.shape:
                raise BonteaError(
                    f"{len(values)} rewards, but {name} of shape {np.shape(rows)}: one for each is "
                    "needed"
                )
        self.batches += 1
        rng = self._rng(moment)
        zeroed = dict.fromkeys(ZEROED, 0) | {"padding": int((~keep).sum())}

        # One row a rollout: its last. `row_of[i]` counts through the rows that are kept.
        last, row_of = np.flatnonzero(keep), np.arange(int(keep.sum()))
        if rollouts is not None and len(last):
            _, session = np.unique(codes(rollouts, len(values))[last], return_inverse=True)
            turn = np.arange(len(last)) if order is None else np.asarray(order)[last]
            by_turn = np.lexsort((turn, session))
            ends = np.append(np.flatnonzero(np.diff(session[by_turn])), len(last) - 1)
            last, row_of = last[by_turn[ends]], session
        out = np.zeros(len(values))
        out[keep] = self._of_rollouts(values[last], ids[last], zeroed, training, rng)[row_of]
        if self._speak is None:
            self._log()
        return out

    def _of_rollouts(
        self,
        values: np.ndarray,
        ids: np.ndarray,
        zeroed: dict[str, int],
        training: bool,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """One advantage a rollout; sets `metrics` and warns."""
        if not len(values):
            self.metrics = _counts(zeroed, 0, 0)
            self._warn(None, 0, training)
            return values
        rows, place = rows_of_groups(ids)
        block = np.where(rows >= 0, values[rows], np.nan)
        block[np.isinf(block)] = np.nan
        block = _without_rounding(block)
        scorable = ~np.isnan(block)
        sizes = scorable.sum(axis=1)
        alone = sizes == 1
        comparable = scorable if self._whole else scorable & ~alone[:, None]

        history = self.memory.history(rows.shape[1]) if training else None
        best, worst = _ends(block)
        raw = to_numpy(self._estimate(np.where(comparable, block, np.nan), history, rng))
        # What an estimator leaves of equal rewards by rounding is not to be scaled up.
        rounding = 16 * np.finfo(raw.dtype).eps * np.where(best == worst, np.abs(best), 0.0)
        raw = np.where(np.abs(raw) <= rounding[:, None], 0.0, raw)
        scaled = np.zeros_like(block)
        if comparable.any():
            scaled[comparable] = to_numpy(
                scale_advantages(
                    raw[comparable],
                    np.nonzero(comparable)[0],
                    by=self.settings.scale,
                )
            )

        silent = ~raw.any(axis=1) & (sizes > 1)
        zeroed["unscorable"] = len(values) - int(sizes.sum())
        zeroed["alone"] = int(alone.sum())
        zeroed["small"] = int(sizes[silent & (best > worst)].sum())
        zeroed["constant"] = int(sizes[silent & ~(best > worst)].sum())
        n, alpha = self.settings.n, self.settings.alpha
        check = None
        if training:
            self.memory.add(block)
            check = self.memory.check(alpha)
        found = batch_metrics(block, raw, n=n, alpha=alpha, history=history) | tail_metrics(check)
        found = {name: value for name, value in found.items() if math.isfinite(value)}
        share, loud, loudest = _loudest(raw, scorable)
        found["loudest_group"] = share
        # Not of the padded ends of smaller groups:
        found["unscorable"] = zeroed["unscorable"] / len(values)
        self.metrics = _counts(zeroed, len(rows), len(values)) | found
        if training and self.settings.scale != "group" and loud:
            self._warn_loud(share, float(block[loudest]), str(ids[rows[loudest]]))
        self._warn(check, rows.shape[1], training)
        return scaled.ravel()[place]

    def _estimate(
        self, block: np.ndarray, history: np.ndarray | None, rng: np.random.Generator
    ) -> Array:
        """Raw advantages of a block, NaN = missing; zeros where there is nothing to estimate."""
        zeros = self._asarray(np.zeros_like(block))
        if int((~np.isnan(block)).sum(axis=1).max()) < (1 if self._whole else 2):
            return zeros
        more = {}
        if history is not None and self._spec.takes("history"):
            more["history"] = self._asarray(history)
        try:
            out = self._spec(self._asarray(block), rng=rng, **more)
        except GroupTooSmallError as error:
            if not (self._works or self._whole):
                raise BonteaError(f"{error} (the largest group of the first batch)") from None
            return zeros
        except ValueError as error:
            # With no batch behind us the estimator and the reward do not go together.
            if self._whole or not self._works:
                raise
            LOG.warning("bontea: zeros for batch %d: %s", self.batches, error)
            return zeros
        self._works = True
        return out

    def _rng(self, moment: tuple[int, ...] | None) -> np.random.Generator:
        if moment is None:
            return np.random.default_rng((self.settings.seed, self.batches))
        self._repeats = self._repeats + 1 if moment == self._moment else 0
        self._moment = moment
        return np.random.default_rng((*moment, self._repeats))

    # --- what it remembers, for a checkpoint ---------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What a resumed run needs to go on as the unbroken one would have; JSON can hold it."""
        return {
            "batches": self.batches,
            "works": self._works,
            "without_signal": self._without_signal,
            "loud": self._loud,
            "said": sorted(self._said),
            "memory": self.memory.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        self.batches, self._works = state["batches"], state["works"]
        self._without_signal, self._said = state["without_signal"], set(state["said"])
        self._loud = state.get("loud", 0)  # checkpoints of 1.0 do not have it
        self.memory.load_state(state["memory"])

    # --- what it says --------------------------------------------------------------------------

    def _log(self) -> None:
        """A line for batches 1, 2, 4, 8, ... that shows by default; all of them at level INFO."""
        shown = {k: round(v, 4) for k, v in self.metrics.items() if v or not k.startswith("zero")}
        often = self.batches & (self.batches - 1)
        level = logging.INFO if often else logging.WARNING
        LOG.log(level, "bontea: batch %d: %s: %s", self.batches, self.settings, shown)

    def _warn(self, check: TailCheck | None, m: int, training: bool) -> None:
        metrics, name = self.metrics, self._spec.label
        if metrics.get("unscorable") == 1:
            self.say_once(
                "nothing scorable",
                "no completion of a batch got a reward (every one is None or NaN): its advantages "
                "are zeros and nothing is learned from it",
            )
        if not training:
            if (
                m != self.m
                and m
                and "eval" not in self._said
                and not self._spec.fits(m, self._asarray)
            ):
                self.say_once(
                    "eval",
                    f"num_generations_eval={m} is too few rollouts for {name} (training has "
                    f"{self.m}): in evaluation the advantages, and with them eval_loss, are zero. "
                    "Rewards and best_of_n/group_best are still right; for the rest use more "
                    "generations",
                )
            return
        silent = metrics.get("degenerate_groups", 1.0) == 1
        self._without_signal = self._without_signal + 1 if silent else 0
        if self._without_signal == WITHOUT_SIGNAL:
            self._say(
                f"every advantage of the last {WITHOUT_SIGNAL} batches was 0: nothing is being "
                "learned (except from a KL term). The zeroed_... counts say why: groups that are "
                "too small, or rewards that are equal within each group. Then either the reward "
                "does not tell the responses apart, or the policy repeats itself (raise the "
                "temperature, check that completions differ)"
            )
        if (
            check is not None
            and self._spec.takes("alpha")
            and check.verdict == "fails"
            and check.groups >= GROUPS_TO_JUDGE_A_TAIL
        ):
            self.say_once(
                "tail",
                f"{check}. {name} extrapolates that tail: look at the reward's ceiling (a bounded "
                "or discrete reward has no normal tail), or train with adaptive_tea, which sees it "
                "and falls back on max_at_k, or with max_at_k",
            )

    def _warn_loud(self, share: float, reward: float, group: str) -> None:
        """For the first batch of this kind, the second, the fourth, ...: a run may hold many."""
        self._loud += 1
        if self._loud & (self._loud - 1):
            return
        times = "" if self._loud == 1 else f" (batch {self._loud:,} of this kind)"
        scaled = (
            "all advantages are divided by one root-mean-square, so that the other groups hardly "
            "count"
            if self.settings.scale == "batch"
            else "nothing divides it, so that this step follows that group"
        )
        self._say(
            f"one reward, {number(reward, 4)} in group {group[:40]!r}, and its group hold "
            f"{percent(share)} of the advantage mass (the sum of squares) of a batch{times}: "
            f"{scaled}. Clip the reward, give None where it could not be scored, or scale by "
            "group"
        )

    def say_once(self, topic: str, message: str) -> None:
        """Warn of a topic, the first time that it comes up in a run."""
        if topic not in self._said:
            self._said.add(topic)
            self._say(message)

    def _say(self, message: str) -> None:
        if self._speak is None:
            LOG.warning("bontea: %s", message)
        else:
            self._speak(message)


def _tried(settings: Settings, m: int | None, asarray: Callable[[Any], Array]) -> EstimatorSpec:
    """The estimator of these settings, or the error of the last of the group sizes."""
    *smaller, last = [m] if m else SIZES
    for size in smaller:
        with contextlib.suppress(GroupTooSmallError):
            return settings.spec(size).checked(size, asarray)
    return settings.spec(last).checked(last, asarray)


def codes(ids: Any, length: int, needed: np.ndarray | None = None) -> np.ndarray:
    """Ids as an array that can be sorted; rows that are not `needed` may be without one.

    >>> codes(["b", 1, 1.0, ("a", 2)], 4).tolist()
    ['b', '1', '1', '["a", 2]']
    """
    if len(ids) != length:
        raise BonteaError(f"{length} rewards, but {len(ids)} group ids: one for each is needed")
    if getattr(ids, "ndim", 1) > 1:
        ids = ids.tolist()
    return group_ids(ids, needed)


def _without_rounding(block: np.ndarray) -> np.ndarray:
    """Groups whose rewards differ by their last digits only, made equal.

    Of a sum such as 0.1 + 0.2 the last digit depends on the order. A scale that gives every group
    or batch unit size would make a signal of it.
    """
    best, worst = _ends(block)
    with np.errstate(invalid="ignore"):
        noise = 2 * np.finfo(float).eps * np.maximum(np.abs(best), np.abs(worst))
        equal = (best > worst) & (best - worst <= noise)
    if not equal.any():
        return block
    return np.where(equal[:, None] & ~np.isnan(block), best[:, None], block)


def _loudest(advantages: np.ndarray, scorable: np.ndarray) -> tuple[float, bool, tuple[int, int]]:
    """The largest share of the squared advantages that one group holds, and where its largest is.

    And whether that one reward silences the others: it holds half of the squares by itself, and its
    group nearly all, of at least 4 groups that have a signal.
    """
    size = np.where(scorable, np.abs(advantages), 0.0)
    largest = size.max(initial=0.0)
    if not largest > 0:
        return 0.0, False, (0, 0)
    squares = (size / largest) ** 2
    total = squares.sum()
    row, column = np.unravel_index(int(size.argmax()), size.shape)
    share = float(squares.sum(axis=1).max() / total)
    live = int((size > 0).any(axis=1).sum())
    alone = 1.0 / total >= 0.5  # the largest square is 1
    return share, bool(share >= LOUD and alone and live >= LIVE_GROUPS), (int(row), int(column))


def _ends(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best and worst of each group, equal where there is no reward."""
    missing = np.isnan(block)
    best = np.where(missing, -np.inf, block).max(axis=1, initial=-np.inf)
    worst = np.where(missing, np.inf, block).min(axis=1, initial=np.inf)
    return best, worst


def _counts(zeroed: dict[str, int], groups: int, count: int) -> dict[str, float]:
    counts = {f"zeroed_{name}": float(count) for name, count in zeroed.items()}
    return counts | {"groups": float(groups), "rollouts": float(count)}
