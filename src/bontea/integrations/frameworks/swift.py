"""ms-swift."""

from bontea.integrations.frameworks.framework import Framework

FRAMEWORK = Framework(
    "swift",
    "ms-swift",
    "4.6.0",
    versions=("4.6", "4.7"),
    use=(
        "echo 'import bontea.integrations.swift' > plugin.py",
        """export BONTEA='{"estimator": "adaptive_tea", "n": 128}'""",
        "swift rlhf --rlhf_type grpo --external_plugins plugin.py --num_generations 16 ...",
    ),
    off=(
        ("--advantage_estimator, --scale_rewards", "no effect: leave them out; gdpo is refused"),
        (
            "--kl_in_reward true",
            "changes which response is best, and is refused; --beta without it is in the loss",
        ),
        (
            "--loss_type dapo",
            "the default, grpo, divides by the length of each response; real is refused",
        ),
        (
            "--dynamic_sample",
            "replaces prompts without a spread, which had zeros: the rest weigh more",
        ),
    ),
    module="swift.rlhf_trainers.grpo_trainer",
    install="pip install ms-swift==4.6.0 msgspec",
)
