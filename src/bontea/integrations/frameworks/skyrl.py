"""SkyRL."""

from bontea.integrations.frameworks.framework import Framework

FRAMEWORK = Framework(
    "skyrl",
    "skyrl",
    "0.4.0",
    versions=("0.4", "0.5"),
    use=(
        "trainer.override_entrypoint=bontea.integrations.skyrl",
        "trainer.algorithm.advantage_estimator=bontea_adaptive_tea",
        "trainer.algorithm.bontea.n=128",
        "generator.n_samples_per_prompt=16",
    ),
    off=(
        (
            "trainer.algorithm.advantage_batch_normalize=false",
            "shifts and divides the advantages again",
        ),
        (
            "trainer.algorithm.use_kl_in_reward=false",
            "a KL inside the reward changes what is best; use_kl_loss is fine",
        ),
        (
            "trainer.algorithm.grpo_norm_by_std",
            "no effect; trainer.algorithm.bontea.scale takes its place",
        ),
        (
            "trainer.algorithm.zero_variance_filter",
            "masks prompts without a spread, which had zeros: the rest weigh more",
        ),
        (
            "trainer.algorithm.loss_reduction=sequence_mean",
            "divides by the length of each response: leave token_mean",
        ),
    ),
    module="skyrl",
    install="pip install 'skyrl[fsdp]==0.4.0', with Python 3.12 or newer",
)
