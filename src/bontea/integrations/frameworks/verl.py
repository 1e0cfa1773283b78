"""verl."""

from bontea.integrations.frameworks.framework import Framework

FRAMEWORK = Framework(
    "verl",
    "verl",
    "0.9.1",
    versions=("0.9", "0.10"),
    use=(
        "algorithm.adv_estimator=bontea_adaptive_tea",
        "+algorithm.bontea.n=128",
        "actor_rollout_ref.rollout.n=16",
    ),
    off=(
        (
            "algorithm.use_kl_in_reward=false",
            "a KL inside the reward changes which response is best; use "
            "actor_rollout_ref.actor.use_kl_loss=true",
        ),
        (
            "algorithm.norm_adv_by_std_in_grpo",
            "no effect; +algorithm.bontea.scale=none|group|batch takes its place",
        ),
        (
            "algorithm.filter_groups",
            "drops prompts without a spread, which had zeros: the rest weigh more",
        ),
        (
            "actor_rollout_ref.actor.loss_agg_mode=seq-mean-token-mean",
            "divides by the length of each response: leave token-mean",
        ),
    ),
    module="verl",
    install="pip install verl==0.9.1",
)
