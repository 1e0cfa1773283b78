"""AReaL."""

from bontea.integrations.frameworks.framework import Framework

FRAMEWORK = Framework(
    "areal",
    "areal",
    "1.0.4",
    versions=("1.0", "1.1"),
    use=(
        "from bontea.integrations.areal import BestOfNConfig, BestOfNTrainer",
        "config, _ = load_expr_config(args, BestOfNConfig)   # in the place of GRPOConfig",
        "with BestOfNTrainer(config, train_dataset=...) as trainer:    # and of PPOTrainer",
        "    # YAML: actor: {bontea: {estimator: adaptive_tea, n: 128}}",
    ),
    off=(
        ("actor.reward_norm", "no effect: that code is replaced"),
        ("actor.reward_bias, reward_scaling, reward_clip", "no effect: rewards come as they are"),
        ("actor.adv_norm", "refused: it shifts and divides the advantages again"),
        ("actor.overlong_reward_penalty", "refused: put the penalty into the reward function"),
        ("actor.discount, gae_lambda", "refused unless 1: a rollout has one advantage"),
        ("critic", "refused: its values would be subtracted from the advantages"),
        ("actor.kl_ctl", "set it to 0: it is added to the advantages, without ref as well"),
    ),
    module="areal",
    install="pip install areal==1.0.4",
)
