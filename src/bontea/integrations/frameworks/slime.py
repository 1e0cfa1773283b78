"""slime. `bontea check slime`: its function loader and samples, and a file of settings."""

from __future__ import annotations

import numpy as np

from bontea._errors import BonteaError
from bontea.integrations.frameworks.framework import Framework, Probed
from bontea.integrations.frameworks.probing import settings_for, yaml_file


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Probed:
    from types import SimpleNamespace

    from slime.utils.misc import load_function
    from slime.utils.types import Sample

    function = load_function("bontea.integrations.slime.post_process_rewards")
    group = {name: number for number, name in enumerate(dict.fromkeys(ids.tolist()))}
    samples = [
        Sample(group_index=group[name], index=row, rollout_id=row, reward=float(reward))
        for row, (name, reward) in enumerate(zip(ids.tolist(), rewards, strict=True))
    ]
    args = SimpleNamespace(
        advantage_estimator="grpo",
        normalize_advantages=False,
        n_samples_per_prompt=16,
        reward_key=None,
        bontea=settings_for(estimator, n),
    )
    _, advantages = function(args, samples)
    return Probed(np.array(advantages), "slime.utils.misc.load_function, on its samples", "found")


def settings(arguments: list[str]) -> str:
    import yaml

    from bontea.integrations._settings import read_settings
    from bontea.integrations._step import AdvantageStep

    path = yaml_file(arguments)
    found = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("bontea")
    if found is None:
        raise BonteaError(
            f"{path} has no key `bontea`, such as bontea: {{estimator: adaptive_tea, n: 128}}"
        )
    settings = read_settings(found, where="bontea")
    AdvantageStep(settings)
    return str(settings)


FRAMEWORK = Framework(
    "slime",
    "slime",
    "0.3.1 (624b824)",
    versions=("0.3", "0.4"),
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
    title="slime",
    hook="its reward post-processing function",
    probe=probe,
    settings=settings,
    environment=("ray httpx pyyaml",),
    clone=("SLIME",),
)
