"""What each estimator optimises on known reward laws: direction, noise, and bias against M."""

from __future__ import annotations

from functools import partial
from typing import Any

from bontea.advantages import EstimatorSpec
from bontea.bench.lineup import lineup
from bontea.bench.run import Task
from bontea.theory import LAWS, bias_slope, effective_n

SETTINGS = ((128, 16), (512, 32))
MS = (9, 16, 32, 64, 128)
"""Rollouts of the table `budget`: 9 is the least with 3 of a quarter in the tail."""
BODIES = (
    "linear_tea",
    "linear_tea(alpha=0.5)",
    "calibrated_tea",
    "tea",
    "max_at_k(k=6)",
    "max_at_k(k=M-1)",
)
"""Estimators shown on every law."""


def tasks(*, full: bool, seed: int = 0) -> list[Task]:
    """The tables `direction`, `budget`, `laws`, `slopes`; `full` draws more, in more settings."""
    groups = 240_000 if full else 80_000
    settings = (*SETTINGS, (128, 64), (1024, 64), (512, 16), (128, 8)) if full else SETTINGS
    out = [
        Task(
            "direction",
            f"N={n} M={m} {name} groups={groups} seed={seed}",
            partial(_direction, name, spec, n, m, "normal", groups, seed),
        )
        for n, m in settings
        for name, spec in lineup(m).items()
    ]
    for m in MS:
        drawn = groups * 16 // m // 2
        for name, spec in lineup(m).items():
            if name in (*BODIES, "prefix_tea", "adaptive_tea"):
                out.append(
                    Task(
                        "budget",
                        f"N=128 M={m} {name} groups={drawn} seed={seed}",
                        partial(_direction, name, spec, 128, m, "normal", drawn, seed),
                    )
                )
    for law in LAWS:
        if law == "bernoulli":
            continue  # effective N does not exist: pass_at_n has a page of its own
        for name, spec in lineup(16).items():
            if name in (*BODIES, "adaptive_tea"):
                out.append(
                    Task(
                        "laws",
                        f"{law} {name} groups={groups // 2} seed={seed}",
                        partial(_direction, name, spec, 128, 16, law, groups // 2, seed),
                    )
                )
    for label, estimator, ms, params, quick in SLOPES:
        if quick or full:
            count = [groups // 4 if estimator == "prefix_tea" else groups // 2 for _ in ms]
            out.append(
                Task(
                    "slopes",
                    f"{label} M={ms} groups={count} seed={seed}",
                    partial(_slope, label, estimator, ms, count, params, seed),
                )
            )
    return out


SLOPES: list[tuple[str, str, tuple[int, ...], dict[str, Any], bool]] = [
    ("tea", "tea", (64, 128, 256, 512), {}, True),
    ("prefix_tea", "prefix_tea", (64, 128, 256, 512), {}, False),
    ("prefix_tea cross-fitted", "prefix_tea", (64, 128, 256, 512), {"cross_fit": True}, True),
    (
        "prefix_tea cross-fitted, order 3",
        "prefix_tea",
        (64, 128, 256, 512),
        {"cross_fit": True, "order": 3},
        False,
    ),
    ("linear_tea", "linear_tea", (16, 32, 64, 128), {}, False),
]
"""Label, estimator, M, parameters, whether in the quick form. All raw, N = 128, alpha = .25."""


def _direction(
    name: str, spec: EstimatorSpec, n: int, m: int, law: str, groups: int, seed: int
) -> list[dict]:
    # Batches of 64 groups: a training step's worth, for estimators that look at the whole batch.
    batch = 64 if spec.looks_at_batch else None
    got = effective_n(spec, n=n, m=m, law=law, groups=groups, batch=batch, rng=seed)
    return [
        {
            "law": law,
            "N": n,
            "M": m,
            "estimator": name,
            "effective N": got.value,
            "effective N se": got.standard_error,
            "cosine": got.cosine,
            "cosine se": got.cosine_standard_error,
            "SNR": got.snr,
            "SNR se": got.snr_standard_error,
            "bias location": got.bias[0],
            "bias log scale": got.bias[1],
            "variance location": got.variance[0],
            "variance log scale": got.variance[1],
            "note": got.message,
        }
    ]


def _slope(
    label: str, estimator: str, ms: tuple[int, ...], groups: list[int], params: dict, seed: int
) -> list[dict]:
    fit = bias_slope(
        estimator, ms, 128, groups=groups, rng=seed, component="location", center=False, **params
    )
    return [
        {
            "estimator": label,
            "M": int(m),
            "bias": fit.bias[j, 0],
            "bias se": fit.bias_standard_error[j, 0],
            "variance": fit.variance[j],
            "bias slope": fit.bias_slope.slope,
            "slope low": fit.bias_slope.low,
            "slope high": fit.bias_slope.high,
            "variance slope": fit.variance_slope.slope,
        }
        for j, m in enumerate(fit.ms)
    ]
