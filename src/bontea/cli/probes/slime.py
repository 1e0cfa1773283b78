"""`bontea check slime`: its function loader and samples, and the file of its custom config."""

from __future__ import annotations

from typing import Any

import numpy as np

from bontea._errors import BonteaError
from bontea.cli.probes._common import yaml_file


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Any:
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
        bontea={"estimator": estimator, "n": n, "scale": "none"},
    )
    _, advantages = function(args, samples)
    return np.array(advantages), "slime.utils.misc.load_function, on its samples", "found", True


def settings(arguments: list[str]) -> str:
    import yaml

    from bontea.integrations._flat import FlatAdvantages
    from bontea.integrations._settings import read_settings

    path = yaml_file(arguments)
    found = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("bontea")
    if found is None:
        raise BonteaError(f"{path} has no key `bontea`, such as bontea: {{estimator: tea, n: 128}}")
    settings = read_settings(found, where="bontea")
    FlatAdvantages(settings)
    return str(settings)
