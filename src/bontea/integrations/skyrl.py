"""SkyRL: estimators in its registry, and an entry point that knows their settings.

    python -m skyrl.train.entrypoints.main_base \\
        trainer.override_entrypoint=bontea.integrations.skyrl \\
        trainer.algorithm.advantage_estimator=bontea_adaptive_tea trainer.algorithm.bontea.n=128 ...

SkyRL's config is strict, so its settings need a field: `AlgorithmConfig` here adds `bontea`.
`main` is SkyRL's own, with that config; a launch script of yours can call `register` before
`initialize_ray` and use `Config` in place of `SkyRLTrainConfig`. SkyRL passes the registry on to
its Ray processes.

SkyRL fills up a batch with copies of its first row under ids of their own: groups of one, which get
0 and do not count in the scale. In step-wise training it passes the last step of each trajectory
alone, so that one counts once.
"""

# No `from __future__ import annotations`: SkyRL reads the types of the config's fields.
import sys
from dataclasses import dataclass, field
from typing import Any

from bontea.integrations.frameworks import require_tested

require_tested("skyrl")

import ray
from skyrl.backends.skyrl_train.utils.ppo_utils import (
    AdvantageEstimatorRegistry,
    register_advantage_estimator,
)
from skyrl.train import config as skyrl_config
from skyrl.train.entrypoints.main_base import skyrl_entrypoint
from skyrl.train.utils import initialize_ray, validate_cfg

from bontea.integrations._step import LOG
from bontea.integrations._tokens import TokenEstimator, registered_names

WHERE = "trainer.algorithm.bontea"


@dataclass
class AlgorithmConfig(skyrl_config.AlgorithmConfig):
    """SkyRL's, with the settings of the estimator."""

    bontea: dict[str, Any] = field(default_factory=dict)


@dataclass
class TrainerConfig(skyrl_config.TrainerConfig):
    """SkyRL's, with the algorithm above."""

    algorithm: AlgorithmConfig = field(default_factory=AlgorithmConfig)


@dataclass
class Config(skyrl_config.SkyRLTrainConfig):
    """SkyRL's, with the trainer above."""

    trainer: TrainerConfig = field(default_factory=TrainerConfig)


def register() -> None:
    """Put every estimator into SkyRL's registry; done when this module is imported."""
    known = AdvantageEstimatorRegistry.list_available()
    for registered, name in registered_names():
        if registered not in known:
            register_advantage_estimator(registered)(TokenEstimator(name, WHERE))


def read_config(arguments: list[str]) -> Config:
    """SkyRL's command line with our field; ValueError for settings that cannot work."""
    prefix = "trainer.override_entrypoint="
    cfg = Config.from_cli_overrides([a for a in arguments if not a.startswith(prefix)])
    algorithm = cfg.trainer.algorithm
    ours = dict(registered_names())
    if algorithm.advantage_estimator in ours:
        estimator = TokenEstimator(ours[algorithm.advantage_estimator], WHERE)
        estimator.prepare(algorithm, m=cfg.generator.n_samples_per_prompt)
        if algorithm.advantage_batch_normalize:
            LOG.warning(
                "bontea: trainer.algorithm.advantage_batch_normalize=true shifts and divides the "
                "advantages again; leave it false"
            )
    return cfg


def main() -> None:
    """SkyRL's `main`, with `Config`."""
    cfg = read_config(sys.argv[1:])
    validate_cfg(cfg)
    initialize_ray(cfg)
    ray.get(skyrl_entrypoint.remote(cfg))


register()

if __name__ == "__main__":
    main()
