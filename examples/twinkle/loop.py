"""Where best-of-N advantages go in a training loop of twinkle; the rest of the loop stays as it is.

Runs as it stands, on made-up rewards: python loop.py
"""

import torch

from bontea.integrations.twinkle import BestOfNAdvantage

NUM_GENERATIONS = 16
advantage_fn = BestOfNAdvantage("adaptive_tea", n=128, num_generations=NUM_GENERATIONS)


def advantages_of(rewards: torch.Tensor) -> torch.Tensor:
    """In the loop: after the rewards, before `model.forward_backward(..., advantages=...)`."""
    return advantage_fn(rewards, num_generations=NUM_GENERATIONS)


if __name__ == "__main__":
    rewards = torch.randn(32 * NUM_GENERATIONS, generator=torch.Generator().manual_seed(0))
    advantages = advantages_of(rewards)
    print(advantages.shape, {name: round(v, 3) for name, v in advantage_fn.metrics.items()})
