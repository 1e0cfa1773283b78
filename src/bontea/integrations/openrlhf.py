"""OpenRLHF: its PPO command with another advantage; the arguments are those of `train_ppo_ray`.

    export BONTEA='{"estimator": "adaptive_tea", "n": 128}'
    python -m bontea.integrations.openrlhf --algo.advantage.estimator rloo \\
        --rollout.n_samples_per_prompt 16 ...

OpenRLHF has neither a hook for advantages nor a place for their settings, so two names are bound
anew before its command runs: the Ray actor `PPOTrainer`, and in the process of that actor the class
that it makes experiences with. The advantages take the place of the rewards between the penalties
for length and the baseline, which `rloo` is told to leave out; it then puts a number on every token
of a response, as OpenRLHF does for its own. A KL penalty (`--algo.kl.init_coef` without
`--algo.kl.use_loss`) is subtracted from that on each token.
"""

from __future__ import annotations

import functools
import os
import runpy
import sys
from typing import Any

from bontea._errors import BonteaError, FailedError
from bontea.integrations.frameworks import require_tested

require_tested("openrlhf")

import numpy as np
import ray
import torch
from openrlhf.trainer import ppo_trainer
from openrlhf.trainer.ppo_utils import experience_maker

from bontea.integrations._settings import VARIABLE, read_settings
from bontea.integrations._step import LOG, AdvantageStep

WHERE = "settings"
COMMAND = "openrlhf.cli.train_ppo_ray"
ESTIMATOR = "rloo"
"""The value of --algo.advantage.estimator: a baseline, one number for a response, no whitening."""
NO_BASELINE = "best_of_n"
"""In its place while the baseline is computed: a name that OpenRLHF has nothing to do for."""


class BestOfNExperienceMaker(experience_maker.RemoteExperienceMaker):
    """OpenRLHF's, with best-of-N advantages; its metrics are logged as `best_of_n/...`."""

    def __init__(self, *positional: Any, **kwargs: Any) -> None:
        super().__init__(*positional, **kwargs)
        require_plain(self.args)
        settings = read_settings(where=WHERE)
        self._best_of_n = AdvantageStep(settings, self.args.rollout.n_samples_per_prompt)

    def compute_advantages_and_returns(self, experiences: list[Any]) -> list[Any]:
        advantage, penalties = self.args.algo.advantage, experience_maker.apply_length_penalties
        rewards: list[torch.Tensor] = []

        def then_advantages(experiences: list[Any], args: Any) -> None:
            penalties(experiences, args)
            rewards.extend(experience.rewards for experience in experiences)
            self._replace_rewards(experiences)
            advantage.estimator = NO_BASELINE

        experience_maker.apply_length_penalties = then_advantages
        try:
            experiences = super().compute_advantages_and_returns(experiences)
        finally:
            experience_maker.apply_length_penalties = penalties
            advantage.estimator = ESTIMATOR
        if len(rewards) != len(experiences):
            raise FailedError(
                "OpenRLHF did not call apply_length_penalties, so its advantages were not replaced"
            )
        spread = self._spread(experiences, rewards)
        for experience, reward in zip(experiences, rewards, strict=True):
            experience.rewards = reward
            experience.info["group_reward_std"] = spread[torch.tensor(experience.index)]
            for name, value in self._best_of_n.metrics.items():
                experience.info[f"best_of_n/{name}"] = torch.full((len(reward),), value)
        return experiences

    def _replace_rewards(self, experiences: list[Any]) -> None:
        """Rollouts carry their place in the batch, where those of a prompt stand side by side."""
        sizes = [len(experience.index) for experience in experiences]
        place = np.concatenate([experience.index for experience in experiences])
        prompt = place // self.args.rollout.n_samples_per_prompt
        advantages = self._best_of_n(torch.cat([e.rewards for e in experiences]), prompt)
        for experience, part in zip(
            experiences, np.split(advantages, np.cumsum(sizes)[:-1]), strict=True
        ):
            experience.rewards = torch.as_tensor(part).to(experience.rewards)

    def _spread(self, experiences: list[Any], rewards: list[torch.Tensor]) -> torch.Tensor:
        """OpenRLHF's statistic, of the rewards and not of the advantages that stood for them."""
        m = self.args.rollout.n_samples_per_prompt
        in_order = torch.empty_like(flat := torch.cat(rewards))
        in_order[[i for experience in experiences for i in experience.index]] = flat
        return in_order.reshape(-1, m).std(dim=-1).repeat_interleave(m)


_PPOTrainer: Any = ppo_trainer.PPOTrainer.__ray_metadata__.modified_class.__ray_actor_class__


class BestOfNPPOTrainer(_PPOTrainer):
    """The class behind OpenRLHF's actor, which installs the maker in the process it runs in."""

    def __init__(self, *positional: Any, **kwargs: Any) -> None:
        ppo_trainer.RemoteExperienceMaker = BestOfNExperienceMaker
        super().__init__(*positional, **kwargs)


def require_plain(args: Any) -> None:
    """ValueError for arguments of OpenRLHF under which its advantages are no longer ours."""
    estimator = args.algo.advantage.estimator
    if estimator != ESTIMATOR:
        raise BonteaError(
            f"--algo.advantage.estimator {estimator}: use {ESTIMATOR}, whose path best-of-N "
            "advantages take; the others need a critic, or shift and divide them"
        )
    if args.train.async_enable:
        raise BonteaError(
            "--train.async_enable has a trainer of its own, which this does not reach: leave it out"
        )
    if args.algo.kl.init_coef > 0 and not args.algo.kl.use_loss:
        LOG.warning(
            "bontea: --algo.kl.init_coef %s without --algo.kl.use_loss is subtracted from the "
            "advantage of each token",
            args.algo.kl.init_coef,
        )


@functools.cache
def install() -> None:
    """Make it the trainer of OpenRLHF's command; ValueError for settings that cannot work."""
    AdvantageStep(read_settings(where=WHERE))
    # Processes of a Ray cluster that runs already do not have our environment.
    own = {name: os.environ[name] for name in os.environ if name.startswith(VARIABLE)}
    actor = ray.remote(BestOfNPPOTrainer)
    ppo_trainer.PPOTrainer = actor.options(runtime_env={"env_vars": own})


def main() -> None:
    """Run OpenRLHF's command."""
    if any(argument.startswith("--train.async") for argument in sys.argv[1:]):
        raise BonteaError("--train.async_enable has a trainer of its own: leave it out")
    install()
    runpy.run_module(COMMAND, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    # Not this copy, which other processes cannot import by its name.
    from bontea.integrations import openrlhf

    openrlhf.main()
