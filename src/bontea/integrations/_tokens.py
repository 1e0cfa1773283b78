"""Between a number for each rollout and the `(B, T)` tensors of frameworks that train on tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from bontea._errors import BonteaError
from bontea.advantages import ADVANTAGES
from bontea.integrations._settings import read_settings, section
from bontea.integrations._step import AdvantageStep

PREFIX = "bontea_"


class TokenEstimator:
    """What the registries of verl and SkyRL hold, `(token rewards, mask, ids) -> (A, returns)`.

    Both results are `(B, T)` and the same, as for the frameworks' estimators without a critic.

    `name` is the estimator, None to take it from the config; `where` the place of its settings
    below the framework's section for algorithms, which comes as `config`.
    """

    def __init__(self, name: str | None, where: str):
        self.name, self.where = name, where
        self._best_of_n: AdvantageStep | None = None

    def prepare(self, config: Any, m: int | None = None) -> AdvantageStep:
        """Read the settings; ValueError for what cannot work (with groups of m, if it is known)."""
        found = section(config, "bontea")
        settings = read_settings(found, where=self.where, estimator=self.name)
        if self._best_of_n is None or self._best_of_n.settings != settings:
            self._best_of_n = AdvantageStep(settings, m)
        return self._best_of_n

    def sessions(self, rows: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Which rollout a row belongs to, and its place in it; None: every row is one."""
        return None, None

    def __call__(
        self,
        token_level_rewards: torch.Tensor,
        response_mask: torch.Tensor,
        index: Any = None,
        config: Any = None,
        **_: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if index is None:
            raise BonteaError(
                "no prompt ids were passed: best-of-N advantages need to know which rollouts "
                "belong to one prompt (`uid`)"
            )
        rollouts, order = self.sessions(len(response_mask))
        advantages = self.prepare(config)(
            rollout_rewards(token_level_rewards),
            index,
            rollouts=rollouts,
            order=order,
            padding=without_tokens(response_mask),
        )
        spread = to_tokens(advantages, response_mask)
        return spread, spread


def registered_names() -> Iterable[tuple[str, str | None]]:
    """Names for a registry, and the estimator each stands for: `bontea` leaves it to the config."""
    return [(PREFIX + name, name) for name in ADVANTAGES] + [("bontea", None)]


def rollout_rewards(token_rewards: torch.Tensor) -> torch.Tensor:
    """`(B, T)` to `(B,)`: the sum over tokens, in 32 bits at least."""
    short = token_rewards.dtype in (torch.float16, torch.bfloat16)
    return token_rewards.detach().sum(dim=-1, dtype=torch.float32 if short else None)


def without_tokens(mask: torch.Tensor) -> np.ndarray:
    """Rows `(B,)` whose mask is 0 everywhere: put in to fill up a batch."""
    suspects = (mask[:, 0] == 0).nonzero().ravel()  # most rows need one look, not T
    empty = torch.zeros(len(mask), dtype=torch.bool)
    empty[suspects.cpu()] = ~mask[suspects].bool().any(dim=-1).cpu()
    return empty.numpy()


def to_tokens(advantages: np.ndarray, mask: torch.Tensor) -> torch.Tensor:
    """`(B,)` to `(B, T)`: the advantage of a rollout on each of its tokens, 0 elsewhere.

    In float32, also for rewards of 16 bits: the frameworks compute their losses so.
    """
    per_rollout = torch.as_tensor(advantages, dtype=torch.float32).to(mask.device)
    return per_rollout.unsqueeze(-1) * mask
