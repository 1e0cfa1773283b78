"""The estimators that the tables compare."""

from __future__ import annotations

from bontea.advantages import EstimatorSpec

NAMES = (
    "reinforce",
    "grpo",
    "tail_rl",
    "softmax_tilt",
    "cat_bon",
    "best_of_n_max_mean",
    "best_of_n_max_second",
    "pkpo(k=M)",
    "pkpo_loo(k=M)",
    "max_at_k(k=6)",
    "max_at_k(k=M-1)",
    "gaussian_plug_in",
    "tea",
    "tea(alpha=0.5)",
    "prefix_tea",
    "calibrated_tea",
    "linear_tea",
    "linear_tea(alpha=0.5)",
    "adaptive_tea",
)
"""As they are written, M for the rollouts of a group."""


def lineup(m: int) -> dict[str, EstimatorSpec]:
    """Every estimator for real rewards by its name in `NAMES`, if a group of `m` is large enough.

    `pkpo` and `pkpo_loo` look at all M, `max_at_k` at most at M - 1. `max_rl`, `pass_at_k`,
    `pass_at_n` and `inference_aware` need other rewards and are left out; `rloo` has the direction
    and the signal-to-noise of `reinforce`.

    >>> [spec.label for spec in lineup(16).values()][-3:]
    ['linear_tea', 'linear_tea(alpha=0.5)', 'adaptive_tea']
    >>> lineup(16)["max_at_k(k=M-1)"].label, "tea" in lineup(8)
    ('max_at_k(k=15)', False)
    """
    sizes = {"M-1": str(m - 1), "M": str(m)}
    out = {}
    for name in NAMES:
        text = name
        for letter, number in sizes.items():
            text = text.replace(f"={letter})", f"={number})")
        spec = EstimatorSpec.parse(text)
        if spec.bind(n=128, m=m).fits(m):
            out[name] = spec
    return out
