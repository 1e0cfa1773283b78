"""twinkle."""

from bontea.integrations.frameworks.framework import Framework

FRAMEWORK = Framework(
    "twinkle",
    "twinkle-kit",
    "0.5.1",
    versions=("0.5", "0.6"),
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
)
