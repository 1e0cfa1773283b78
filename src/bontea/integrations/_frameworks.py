"""What is known of each framework, for `bontea check`, `bontea ls` and the docs.

The version its adapter was tested with, how to switch it on, and which of its other settings change
or undo the advantages.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata


@dataclass(frozen=True)
class Framework:
    """A framework that an adapter exists for."""

    name: str
    distribution: str
    """As the package registry knows it; a framework that is not there is on the path."""
    tested: str
    """The version that the adapter's tests ran with."""
    use: tuple[str, ...]
    """The lines a user adds."""
    off: tuple[tuple[str, str], ...]
    """Settings to leave off or set, each with the reason."""
    module: str = ""
    install: str = ""

    def version(self) -> str | None:
        """Of the installed package, None if it is not installed."""
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return None


FRAMEWORKS = {
    framework.name: framework
    for framework in (
        Framework(
            "trl",
            "trl",
            "1.16.0",
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
        ),
        Framework(
            "verl",
            "verl",
            "0.9.1",
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
        ),
        Framework(
            "trinity",
            "trinity-rft",
            "0.6.0",
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
        ),
        Framework(
            "skyrl",
            "skyrl",
            "0.4.0",
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
        ),
        Framework(
            "slime",
            "slime",
            "0.3.1 (624b824)",
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
        ),
        Framework(
            "twinkle",
            "twinkle-kit",
            "0.5.1",
            use=(
                "from bontea.integrations.twinkle import BestOfNAdvantage",
                'advantage_fn = BestOfNAdvantage("adaptive_tea", n=128)',
                "advantages = advantage_fn(rewards, num_generations=16)",
            ),
            off=(
                (
                    "scale='group' in the call",
                    "gives every prompt the same weight; leave it out to keep the estimator's",
                ),
            ),
            module="twinkle.advantage",
            install="pip install twinkle-kit==0.5.1",
        ),
        Framework(
            "tinker",
            "tinker-cookbook",
            "0.6.1",
            use=(
                "import bontea.integrations.tinker",
                'bontea.integrations.tinker.install("adaptive_tea", n=128)',
                "asyncio.run(tinker_cookbook.rl.train.main(config))",
            ),
            off=(
                (
                    "kl_penalty_coef",
                    "is added to the advantages: choose it for advantages of unit size",
                ),
                (
                    "stream_minibatch_config",
                    "the estimator then sees one minibatch of groups at a time",
                ),
            ),
            module="tinker_cookbook",
            install="pip install tinker-cookbook==0.6.1",
        ),
    )
}
