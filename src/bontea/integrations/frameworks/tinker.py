"""tinker-cookbook."""

from bontea.integrations.frameworks.framework import Framework

FRAMEWORK = Framework(
    "tinker",
    "tinker-cookbook",
    "0.6.1",
    versions=("0.6", "0.7"),
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
)
