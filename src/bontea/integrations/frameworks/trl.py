"""TRL."""

from bontea.integrations.frameworks.framework import Framework

FRAMEWORK = Framework(
    "trl",
    "trl",
    "1.16.0",
    versions=("1.16", "2"),
    use=(
        "from bontea.integrations.trl import BestOfNConfig, BestOfNTrainer",
        'args = BestOfNConfig("out", estimator="adaptive_tea", deploy_n=128,',
        "                     num_generations=16, per_device_train_batch_size=16)",
        "BestOfNTrainer(model=..., reward_funcs=..., args=args, train_dataset=...).train()",
    ),
    off=(
        ("scale_rewards", "no effect: advantage_scale takes its place"),
        ("multi_objective_aggregation", "leave sum_then_normalize; the other is refused"),
        ("loss_type='grpo'", "divides by the length of each response: leave 'dapo'"),
    ),
    module="trl",
    install="pip install 'bontea[train]'",
)
