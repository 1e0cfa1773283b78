"""`--cut-off`: what `curve`, `rules`, `diagnose` and `plan` do with responses that were cut off."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bontea._errors import BonteaError
from bontea._numbers import number, percent
from bontea.rollouts.groups import CUT_OFF_WAYS

if TYPE_CHECKING:
    from bontea.rollouts import Rollouts


def add_cut_off(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cut-off",
        choices=CUT_OFF_WAYS,
        default="keep",
        help="what to do with responses that were cut off, because they reached the limit of their "
        "length (finish_reason): keep counts them with the reward that they have, drop leaves them "
        "out, worst counts them with the lowest reward (default: keep)",
    )


def apply_cut_off(
    found: Mapping[str, Rollouts], args: argparse.Namespace
) -> tuple[dict[str, Rollouts], dict[str, float | None]]:
    """The rollouts as `--cut-off` wants them, and of each the share that was cut off, None where
    no row says; what was done is said on stderr.

    With several files the lowest reward is that of all of them, so that a cut-off response costs
    the same in each.
    """
    import numpy as np

    how = args.cut_off
    worst = float(np.fmin.reduce([rollouts.lowest for rollouts in found.values()]))
    lowest: dict[str, float] = {}
    for rollouts in found.values():
        for name, values in (rollouts.scores or {}).items():
            lowest[name] = float(np.fmin.reduce(values, initial=lowest.get(name, np.nan)))
    out, shares = {}, {}
    for name, rollouts in found.items():
        try:
            out[name] = rollouts.with_cut_off(how, worst=worst, worst_scores=lowest)
        except BonteaError as error:
            raise BonteaError(f"{name}: {error}") from None
        cut = rollouts.cut_off
        shares[name] = None if cut is None else float(cut.mean())
        if (said := _said(rollouts, out[name], how, worst)) is not None:
            print(f"{name}: {said}", file=sys.stderr)
    return out, shares


def _said(before: Rollouts, after: Rollouts, how: str, worst: float) -> str | None:
    import numpy as np

    cut = before.cut_off
    if cut is None:
        if how == "keep":
            return None
        return f"no row has a finish_reason, so that --cut-off {how} changes nothing"
    if not cut.any():
        return None if how == "keep" else f"none of the {len(cut):,} rollouts was cut off"
    text = f"{percent(cut.mean())} of the {len(cut):,} rollouts were cut off (finish_reason)"
    if how == "keep":
        none = int(np.isnan(before.rewards[cut]).sum())
        more = f" ({none:,} have none, and do not count)" if none else ""
        return (
            f"{text} and count with the reward that they have{more}; --cut-off drop leaves them "
            "out, --cut-off worst counts each as a draw with the lowest reward"
        )
    if how == "worst":
        return f"{text} and count with the lowest reward, {number(worst)}"
    gone = len(before) - len(after)
    more = (
        f"; {gone:,} prompt{'s' * (gone > 1)} with no other rollout left out, too" if gone else ""
    )
    return f"{text} and are left out{more}"
