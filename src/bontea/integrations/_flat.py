"""The step all adapters share: flat rewards and group ids of one batch in, advantages out.

RL frameworks deliver the rollouts of a batch in any order, with an id for each prompt. Rollouts
fail, so groups are incomplete; batches are filled up with rows that are no rollouts; an agent may
leave several rows of one rollout. A training step must survive all of that, and say what it left
out. Wrong settings stop a run where it starts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bontea._arrays import to_numpy
from bontea._errors import BonteaError, GroupTooSmallError
from bontea.advantages import scale_advantages
from bontea.advantages.flat import rows_of_groups
from bontea.integrations._metrics import batch_metrics
from bontea.integrations._params import EstimatorCall, estimator_call
from bontea.integrations._settings import Settings

LOG = logging.getLogger("bontea")

SIZES = (64, 256, 1024)
"""Group sizes that settings are tried on where the framework does not tell its own."""

WITHOUT_SIGNAL = 5
"""Batches in a row whose advantages are all 0 before a warning."""


class FlatAdvantages:
    """The estimator of one run, called once a batch.

        A = scale_advantages(estimator(groups))      over rollouts that can be compared

    `m` is the number of rollouts per prompt, if the framework says so before the first batch; the
    settings are tried on it here, and a setting that cannot work raises ValueError. Without it the
    first batch decides what fits.

    What gets 0, each counted in `metrics` (rows of the batch):

    - `zeroed_padding`: rows the framework put in to fill up the batch (`padding`);
    - `zeroed_unscorable`: reward NaN or infinite;
    - `zeroed_alone`: no other scorable rollout of the same prompt;
    - `zeroed_small`: the estimator gave the whole group 0 though its rewards differ, as it does
      when the group is too small for it;
    - `zeroed_constant`: all rewards of the group are equal.

    The first three are no rollouts that could be compared and do not count in the scale. `metrics`
    also has `groups`, `rollouts` and everything of `batch_metrics`.
    """

    def __init__(self, settings: Settings, m: int | None = None):
        self.settings = settings
        self.metrics: dict[str, float] = {}
        self.batches = 0
        self._works = False
        self._without_signal = 0
        self._call = _try_out(settings, [m] if m else SIZES)

    def __call__(
        self,
        rewards: Any,
        groups: Any,
        *,
        rollouts: Any = None,
        order: Any = None,
        padding: Any = None,
    ) -> np.ndarray:
        """Advantages `(B,)` in float64.

        Parameters
        ----------
        rewards : (B,)
            Of any array library and dtype, on any device; None and NaN are unscorable.
        groups : (B,)
            Which prompt a row belongs to: integers, strings, tensors, objects that have a `str()`.
        rollouts : (B,), optional
            Which rollout a row belongs to, where one can leave several rows. A rollout counts once,
            with the reward of its last row, and all its rows get its advantage.
        order : (B,), optional
            Which row of a rollout is the last: the one with the largest number. Otherwise the last
            in the batch.
        padding : (B,), optional
            True for rows that are no rollouts.
        """
        if len(rewards) == 0:
            return np.zeros(0)
        values = to_numpy(rewards).ravel()
        ids = codes(groups, len(values))
        keep = np.ones(len(values), bool) if padding is None else ~np.asarray(padding, bool)
        self.batches += 1
        zeroed = {"padding": int((~keep).sum())}

        # One row a rollout: its last. `row_of[i]` counts through the rows that are kept.
        last, row_of = np.flatnonzero(keep), np.arange(int(keep.sum()))
        if rollouts is not None and len(last):
            _, session = np.unique(codes(rollouts, len(values))[last], return_inverse=True)
            turn = np.arange(len(last)) if order is None else np.asarray(order)[last]
            by_turn = np.lexsort((turn, session))
            ends = np.append(np.flatnonzero(np.diff(session[by_turn])), len(last) - 1)
            last, row_of = last[by_turn[ends]], session
        out = np.zeros(len(values))
        out[keep] = self._of_rollouts(values[last], ids[last], zeroed)[row_of]
        self._log()
        return out

    def _of_rollouts(
        self, values: np.ndarray, ids: np.ndarray, zeroed: dict[str, int]
    ) -> np.ndarray:
        if not len(values):
            self.metrics = _counts(zeroed) | {"groups": 0.0, "rollouts": 0.0}
            return values
        rows, place = rows_of_groups(ids)
        block = np.where(rows >= 0, values[rows], np.nan)
        block[np.isinf(block)] = np.nan
        sizes = (~np.isnan(block)).sum(axis=1)
        alone = sizes == 1
        zeroed["unscorable"] = len(values) - int(sizes.sum())
        zeroed["alone"] = int(alone.sum())

        raw = self._estimate(np.where(alone[:, None], np.nan, block))
        comparable = ~np.isnan(block) & ~alone[:, None]
        best, worst = _ends(block)
        flat = ~raw.any(axis=1) & (sizes > 1)
        zeroed["small"] = int(sizes[flat & (best > worst)].sum())
        zeroed["constant"] = int(sizes[flat & ~(best > worst)].sum())

        scaled = np.zeros_like(raw)
        if comparable.any():
            group = np.nonzero(comparable)[0]
            scaled[comparable] = scale_advantages(raw[comparable], group, by=self.settings.scale)
        self.metrics = _counts(zeroed) | {"groups": len(rows), "rollouts": len(values)}
        n, alpha = self.settings.n, self.settings.alpha
        self.metrics |= batch_metrics(block, raw, n=n, alpha=alpha)
        # Not the padded ends of smaller groups:
        self.metrics["unscorable"] = zeroed["unscorable"] / len(values)
        return scaled.ravel()[place]

    def _estimate(self, block: np.ndarray) -> np.ndarray:
        """Raw advantages of a block, NaN = missing; zeros where there is nothing to estimate."""
        m = int((~np.isnan(block)).sum(axis=1).max())
        rng = np.random.default_rng((self.settings.seed, self.batches))
        if m < 2:
            return np.zeros_like(block)
        try:
            out = self._call(block, rng=rng)
        except GroupTooSmallError as error:
            if not self._works:
                raise BonteaError(f"{error} (the largest group of the first batch)") from None
            return np.zeros_like(block)
        except ValueError as error:
            # With no batch behind us the estimator and the reward do not go together.
            if not self._works:
                raise
            LOG.warning("bontea: zeros for batch %d: %s", self.batches, error)
            return np.zeros_like(block)
        self._works = True
        return out

    def _log(self) -> None:
        """A line for batches 1, 2, 4, 8, ... that shows by default; all of them at level INFO."""
        shown = {k: round(v, 4) for k, v in self.metrics.items() if v or not k.startswith("zero")}
        often = self.batches & (self.batches - 1)
        level = logging.INFO if often else logging.WARNING
        LOG.log(level, "bontea: batch %d: %s: %s", self.batches, self.settings, shown)
        silent = self.metrics.get("degenerate_groups", 1.0) == 1
        self._without_signal = self._without_signal + 1 if silent else 0
        if self._without_signal == WITHOUT_SIGNAL:
            LOG.warning(
                "bontea: every advantage of the last %d batches was 0: nothing is being learned. "
                "The zeroed_... counts say why: rewards that are equal within each group, or "
                "groups that are too small",
                WITHOUT_SIGNAL,
            )


def _try_out(settings: Settings, sizes: Sequence[int]) -> EstimatorCall:
    """The call for these settings, or the error of the last of the group sizes."""
    for size in sizes:
        try:
            return estimator_call(
                settings.estimator,
                n=settings.n,
                alpha=settings.alpha,
                m=size,
                params=settings.params,
            )
        except GroupTooSmallError:
            if size == sizes[-1]:
                raise
    raise BonteaError("no group size to try")


def codes(ids: Any, length: int) -> np.ndarray:
    """Group ids as an array that can be sorted: numbers as they are, anything else by its `str()`.

    >>> codes(["b", 1, ("a", 2)], 3).tolist()
    ['b', '1', "('a', 2)"]
    """
    array = np.asarray(ids.cpu() if hasattr(ids, "cpu") else ids) if _sortable(ids) else None
    if array is None or array.dtype == object or array.ndim != 1:
        array = np.array([str(i) for i in ids]) if array is None or array.ndim != 1 else array
        array = array.astype(str)
    if array.shape != (length,):
        raise BonteaError(f"{length} rewards, but {array.size} group ids: one for each is needed")
    return array


def _sortable(ids: Any) -> bool:
    return hasattr(ids, "dtype") or all(isinstance(i, (str, int)) for i in ids)


def _ends(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best and worst of each group, equal where there is no reward."""
    missing = np.isnan(block)
    best = np.where(missing, -np.inf, block).max(axis=1, initial=-np.inf)
    worst = np.where(missing, np.inf, block).min(axis=1, initial=np.inf)
    return best, worst


def _counts(zeroed: Mapping[str, int]) -> dict[str, float]:
    names = ("padding", "unscorable", "alone", "small", "constant")
    return {f"zeroed_{name}": float(zeroed.get(name, 0)) for name in names}
