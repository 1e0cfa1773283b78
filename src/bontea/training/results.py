"""What a job found: a best-of-k curve for each arm, paired differences, and what it cost."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import bontea
from bontea._errors import BonteaError
from bontea.curves import Curve, compare, curve
from bontea.curves.mean_curve import default_ks

if TYPE_CHECKING:
    from bontea.training.arm import Spent
    from bontea.training.settings import Settings


@dataclass(frozen=True)
class ArmResult:
    """One model on the held-out prompts."""

    name: str
    rewards: np.ndarray
    """`(P, M)`, NaN for a completion that could not be scored."""
    curve: Curve
    spread: float
    """Standard deviation of the reward inside a prompt, mean over prompts."""
    distinct: float
    """Share of different completions among the rollouts of a prompt, mean over prompts."""
    kl: float
    """KL divergence from the start, nats per response, mean over prompts (`distance`)."""
    rollouts: int
    seconds: float

    @classmethod
    def from_rewards(
        cls, name: str, rewards: np.ndarray, distinct: float, kl: float, spent: Spent | None
    ) -> ArmResult:
        if np.isnan(rewards).all():
            raise BonteaError(
                f"{name}: the reward function scored no held-out completion (None or NaN for every "
                "one): check it on a few completions by hand"
            )
        return cls(
            name,
            rewards,
            curve(rewards, default_ks(int((~np.isnan(rewards)).sum(1).min())), rng=0),
            float(np.nanmean(np.nanstd(rewards, axis=1))),
            distinct,
            kl,
            spent.rollouts if spent else 0,
            spent.seconds if spent else 0.0,
        )


def summarise(results: list[ArmResult], settings: Settings, folder: Path) -> dict[str, Any]:
    """Write `results.json` and `curve.png`; return what the JSON holds."""
    from bontea.report import plot_curves

    out = to_mapping(results, settings)
    (folder / "results.json").write_text(json.dumps(out, indent=2) + "\n")
    fig, _ = plot_curves(
        {result.name: result.curve for result in results},
        n=settings.deploy_n,
        m=settings.rollouts,
    )
    fig.savefig(folder / "curve.png", dpi=150, bbox_inches="tight")
    return out


def to_mapping(results: list[ArmResult], settings: Settings) -> dict[str, Any]:
    """The results as plain JSON values."""
    arms = [
        {
            "arm": result.name,
            "ks": result.curve.ks.tolist(),
            "best_of_k": _rounded(result.curve.value),
            "low": _rounded(result.curve.low),
            "high": _rounded(result.curve.high),
            "spread": round(result.spread, 6),
            "distinct": round(result.distinct, 6),
            "kl": round(result.kl, 6),
            "rollouts": result.rollouts,
            "seconds": result.seconds,
        }
        for result in results
    ]
    return {
        "version": bontea.__version__,
        "seed": settings.seed,
        "settings": settings.to_mapping(),
        "held_out_prompts": len(results[0].rewards),
        "confidence_level": results[0].curve.confidence_level,
        "arms": arms,
        "differences": [
            difference
            for i, first in enumerate(results)
            for second in results[:i]
            if (difference := _difference(first, second))
        ],
    }


def _difference(first: ArmResult, second: ArmResult) -> dict[str, Any]:
    ks = sorted(set(first.curve.ks.tolist()) & set(second.curve.ks.tolist()))
    paired = compare(first.rewards, second.rewards, ks, rng=0)
    return {
        "arm": first.name,
        "minus": second.name,
        "ks": ks,
        "difference": _rounded(paired.difference),
        "low": _rounded(paired.low),
        "high": _rounded(paired.high),
    }


def _rounded(values: np.ndarray) -> list[float | None]:
    return [round(float(v), 6) if np.isfinite(v) else None for v in values]
