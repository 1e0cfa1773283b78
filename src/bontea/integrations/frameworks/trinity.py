"""Trinity-RFT."""

from bontea.integrations.frameworks.framework import Framework

FRAMEWORK = Framework(
    "trinity",
    "trinity-rft",
    "0.6.0",
    versions=("0.6", "0.7"),
    use=(
        "algorithm:",
        "  algorithm_type: grpo",
        "  repeat_times: 16",
        "  advantage_fn: bontea.integrations.trinity.BestOfNAdvantage",
        "  advantage_fn_args: {estimator: adaptive_tea, n: 128}",
    ),
    off=(
        ("algorithm.kl_penalty_fn: none", "a KL inside the reward changes what is best"),
        (
            "algorithm_type",
            "ppo, rloo, reinforceplusplus and others compute advantages in the trainer: "
            "keep grpo or one like it",
        ),
        (
            "data_processor.experience_pipeline.operators",
            "filters and reward shaping run before: they change the groups",
        ),
    ),
    module="trinity",
    install="pip install trinity-rft==0.6.0",
)
