"""slime."""

from bontea.integrations.frameworks.framework import Framework

FRAMEWORK = Framework(
    "slime",
    "slime",
    "0.3.1 (624b824)",
    versions=("0.3", "0.4"),
    use=(
        "--advantage-estimator grpo --n-samples-per-prompt 16",
        "--custom-reward-post-process-path bontea.integrations.slime.post_process_rewards",
        "--custom-config-path bontea.yaml    # bontea: {estimator: adaptive_tea, n: 128}",
    ),
    off=(
        ("--normalize-advantages", "shifts and divides the advantages again"),
        ("--disable-rewards-normalization", "no effect: that code is replaced"),
        ("--kl-coef", "leave it 0; --use-kl-loss is fine"),
        (
            "--calculate-per-token-loss",
            "without it slime divides by the length of each response",
        ),
        (
            "--dynamic-sampling-filter-path",
            "drops prompts without a spread, which had zeros: the rest weigh more",
        ),
    ),
    module="slime",
    install="clone slime and follow its documentation",
)
