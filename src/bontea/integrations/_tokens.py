"""Between one number for each rollout and the `(B, T)` tensors of frameworks that train on tokens."""

from __future__ import annotations

import numpy as np
import torch


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
