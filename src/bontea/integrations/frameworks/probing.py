"""What the probes of several frameworks need."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from bontea._errors import BonteaError

TOKENS = 4
_SEEDS = itertools.count(1)


def python_settings(arguments: list[str]) -> str:
    """`estimator=tea n=128 num_generations=16`, for frameworks that are set up in Python."""
    from bontea.integrations._settings import plain, read_settings
    from bontea.integrations._step import AdvantageStep

    given = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise BonteaError(f"{argument!r} must be KEY=VALUE, such as n=128")
        given[key] = plain(value)
    m = given.pop("num_generations", None)
    settings = read_settings(given, where="settings")
    AdvantageStep(settings, m)
    return str(settings)


def side_by_side(rewards: np.ndarray, ids: np.ndarray) -> tuple[list[Any], int, list[float | None]]:
    """For trainers whose groups go by position: the prompts, the size of a group, and a reward for
    each place, None where a group has fewer."""
    names = list(dict.fromkeys(ids.tolist()))
    m = max(int((ids == name).sum()) for name in names)
    asked: list[float | None] = []
    for name in names:
        own = rewards[ids == name].tolist()
        asked += own + [None] * (m - len(own))
    return names, m, asked


def on_tokens(rewards: np.ndarray) -> Any:
    """Rewards on the last of TOKENS tokens, and a mask of ones."""
    import torch

    tokens = torch.zeros(len(rewards), TOKENS)
    tokens[:, -1] = torch.tensor(rewards).float()
    return tokens, torch.ones(len(rewards), TOKENS, dtype=torch.long)


def settings_for(estimator: str, n: float) -> dict[str, Any]:
    """Settings of a probe. No two are equal: an adapter that goes on with what it has for equal
    ones would remember the groups of another probe."""
    return {"estimator": estimator, "n": n, "scale": "none", "seed": next(_SEEDS)}


def registered(estimator: str) -> str:
    """A name in the registries of verl and SkyRL that takes this estimator, or leaves it to the
    settings."""
    from bontea.advantages import ADVANTAGES
    from bontea.integrations._tokens import PREFIX

    return PREFIX + estimator if estimator in ADVANTAGES else "bontea"


def nearest(name: str) -> str:
    import difflib

    from bontea.integrations._tokens import registered_names

    near = difflib.get_close_matches(str(name), [known for known, _ in registered_names()], n=1)
    return f": did you mean {near[0]!r}?" if near else ": use bontea_adaptive_tea or another one"


def yaml_file(arguments: list[str]) -> Path:
    return config_file(arguments, "YAML")


def config_file(arguments: list[str], kind: str) -> Path:
    if len(arguments) != 1 or not Path(arguments[0]).is_file():
        raise BonteaError(f"{' '.join(arguments)!r} must be one {kind} file")
    return Path(arguments[0])
