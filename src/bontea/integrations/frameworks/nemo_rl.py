"""NeMo-RL."""

from bontea.integrations.frameworks.framework import Framework

FRAMEWORK = Framework(
    "nemo_rl",
    "nemo-rl",
    "0.6.0 (7ea279a)",
    versions=("0.6", "0.8"),
    use=(
        "python -m bontea.integrations.nemo_rl examples/run_grpo.py --config grpo.yaml \\",
        "    grpo.adv_estimator.name=grpo \\",
        "    '++grpo.adv_estimator.bontea={estimator: adaptive_tea, n: 128}'",
    ),
    off=(
        (
            "grpo.adv_estimator.normalize_rewards, use_leave_one_out_baseline",
            "no effect: that code is replaced",
        ),
        ("grpo.advantage_clip_low, advantage_clip_high", "clip the advantages; leave them out"),
        (
            "grpo.use_dynamic_sampling",
            "drops prompts without a spread, which had zeros: the rest weigh more",
        ),
        ("grpo.reward_scaling, reward_shaping", "are done before, to the rewards"),
    ),
    module="nemo_rl.algorithms.advantage_estimator",
    install="clone NeMo-RL and follow its documentation",
)
