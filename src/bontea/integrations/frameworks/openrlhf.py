"""OpenRLHF."""

from bontea.integrations.frameworks.framework import Framework

FRAMEWORK = Framework(
    "openrlhf",
    "openrlhf",
    "0.11.2",
    versions=("0.11", "0.12"),
    use=(
        """export BONTEA='{"estimator": "adaptive_tea", "n": 128}'""",
        "python -m bontea.integrations.openrlhf --algo.advantage.estimator rloo",
        "       --rollout.n_samples_per_prompt 16 ...    # as openrlhf.cli.train_ppo_ray",
    ),
    off=(
        (
            "--algo.kl.use_loss",
            "without it --algo.kl.init_coef is subtracted from the advantage of each token",
        ),
        ("--reward.clip_range", "clips the advantages: leave -10 10, which few reach"),
        (
            "--algo.dynamic_filtering_enable",
            "drops prompts by their score, most of which had zeros: the rest weigh more",
        ),
        ("--train.async_enable", "is refused: it has a trainer of its own"),
    ),
    module="openrlhf.trainer.ppo_trainer",
    install="pip install 'openrlhf[vllm]==0.11.2'",
)
