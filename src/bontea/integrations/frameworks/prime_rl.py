"""prime-rl."""

from bontea.integrations.frameworks.framework import Framework

FRAMEWORK = Framework(
    "prime_rl",
    "prime-rl",
    "0.8.0 (559b447)",
    versions=("0.8", "0.9"),
    use=(
        "python -m bontea.integrations.prime_rl @ orchestrator.toml    # for `orchestrator`",
        "[algo]                       # [orchestrator.algo] in the file of `rl`",
        'type = "max_rl"              # ours takes its place',
        "[env_vars]                   # [orchestrator.env_vars] likewise",
        """BONTEA = '{"estimator": "tea", "n": 128}'""",
    ),
    off=(
        ('scale = "batch"', "refused: prime-rl scores a group as soon as it is complete"),
        (
            "train.filter_zero_advantages",
            "takes rollouts with advantage 0 out of the average over tokens: set it to false to "
            "keep the weight of the others",
        ),
    ),
    module="prime_rl.orchestrator.algo",
    install="clone prime-rl and follow its documentation",
)
