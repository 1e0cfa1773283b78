"""What a job found: a best-of-k curve for each arm, paired differences, and what it cost."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import bontea
from bontea._errors import BonteaError
from bontea.curves import Curve, compare, curve
from bontea.curves.mean_curve import default_ks
from bontea.training.settings import Settings


@dataclass(frozen=True)
class Spent:
    """What training an arm cost."""

    estimator: str
    """The label of what was trained."""
    rollouts: int
    seconds: float


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

    def to_dict(self) -> dict[str, Any]:
        """Its entry in `results.json`."""
        return {
            "arm": self.name,
            "ks": self.curve.ks.tolist(),
            "best_of_k": _rounded(self.curve.value),
            "low": _rounded(self.curve.low),
            "high": _rounded(self.curve.high),
            "spread": round(self.spread, 6),
            "distinct": round(self.distinct, 6),
            "kl": round(self.kl, 6),
            "rollouts": self.rollouts,
            "seconds": self.seconds,
        }


def summarise(results: list[ArmResult], settings: Settings, folder: Path) -> dict[str, Any]:
    """Write `results.json` and `curve.png`; return what the JSON holds."""
    from bontea.report import plot_curves

    out = {
        "version": bontea.__version__,
        "seed": settings.seed,
        "settings": settings.to_dict(),
        "held_out_prompts": len(results[0].rewards),
        "confidence_level": results[0].curve.confidence_level,
        "arms": [result.to_dict() for result in results],
        "differences": [
            _difference(first, second) for i, first in enumerate(results) for second in results[:i]
        ],
    }
    (folder / "results.json").write_text(json.dumps(out, indent=2) + "\n")
    fig, _ = plot_curves(
        {result.name: result.curve for result in results},
        n=settings.deploy_n,
        m=settings.rollouts,
    )
    fig.savefig(folder / "curve.png", dpi=150, bbox_inches="tight")
    return out


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
