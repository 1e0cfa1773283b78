"""One way to read the settings of a run from what frameworks call a config.

A config is a mapping (`dict`, hydra's `DictConfig`), a namespace or a dataclass. Where it says
nothing, the environment variable `BONTEA` is read, which holds the same in JSON:

    BONTEA='{"estimator": "max_at_k(k=8)", "n": 128}'
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bontea._arrays import check_alpha, check_n
from bontea._errors import BonteaError
from bontea._json import strict_loads
from bontea.advantages import EstimatorSpec
from bontea.advantages.flat import Scale

VARIABLE = "BONTEA"
SCALES = ("none", "group", "batch")
LONG_NAMES = {"deploy_n": "n", "tail_fraction": "alpha", "advantage_scale": "scale"}
"""What TRL's config and `bontea train` call them."""
LARGE = 64
"""Rollouts of a prompt that no default depends on any more."""


@dataclass(frozen=True)
class Settings:
    """What a user chooses. Keys that are none of these are parameters of the estimator."""

    estimator: str | Callable[..., Any] | EstimatorSpec = "adaptive_tea"
    """Key of `ADVANTAGES`, text such as `"max_at_k(k=8)"`, or `"module:function"`."""
    n: float = 128
    """Deployment budget: how many responses are sampled per prompt when the model is used."""
    alpha: float = 0.25
    """Tail fraction, for estimators that have one."""
    scale: Scale = "batch"
    """`scale_advantages`: by the root-mean-square of the batch, of each group, or not at all."""
    seed: int = 0
    """Of estimators that are random."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """More parameters of the estimator; they win over `n` and `alpha`."""

    def spec(self, m: int) -> EstimatorSpec:
        """The estimator for groups of `m`; BonteaError for an unknown name or parameter."""
        spec = EstimatorSpec.of(self.estimator, **self.params)
        return spec.bind(n=self.n, m=m, alpha=self.alpha)

    def __str__(self) -> str:
        spec = self.spec(LARGE)
        shown = ", ".join(f"{k}={v!r}" for k, v in {**spec.context, **spec.params}.items())
        return f"{spec.name}({shown}), scale={self.scale!r}"


def read_settings(config: Any = None, *, where: str, estimator: str | None = None) -> Settings:
    """The settings in `config`, or in the environment variable `BONTEA` if that is empty.

    `where` names the place in messages, as the user writes it: `algorithm.bontea`. `estimator` is
    given where the framework's own key names it already. Numbers, booleans, lists and null may come
    as text, as YAML and command lines deliver them.

    Raises ValueError that names the key for a value of the wrong type.

    >>> settings = read_settings({"n": "64", "alpha": "2.5e-1", "tail": "normal"}, where="bontea")
    >>> settings.n, settings.alpha, dict(settings.params)
    (64, 0.25, {'tail': 'normal'})
    """
    given = as_dict(config, where)
    if not given:
        where, given = f"${VARIABLE}", _from_environment()
    given = {key: plain(value) for key, value in given.items()}
    params = given.pop("params", None) or {}
    if not isinstance(params, dict):
        raise BonteaError(
            f"{where}.params={params!r} must map the estimator's parameters to their values, such "
            'as {"k": 8}'
        )
    own = {f.name: given.pop(f.name) for f in dataclasses.fields(Settings) if f.name in given}
    named = own.pop("estimator", None)
    if estimator is not None and named is not None and EstimatorSpec.of(named).name != estimator:
        raise BonteaError(
            f"{where}.estimator={named!r}, but the framework was told to use {estimator!r}: leave "
            "one of them out"
        )
    name = named or estimator or Settings.estimator
    if not isinstance(name, str) and not callable(name):
        raise BonteaError(
            f"{where}.estimator={name!r} must be a name, such as 'adaptive_tea' or 'max_at_k(k=8)'"
        )
    settings = Settings(**{"estimator": name, **own, "params": {**given, **params}})
    _refuse_misspelt(settings, where)
    check_n(settings.n, f"{where}.n")
    check_alpha(settings.alpha, f"{where}.alpha")
    check_scale(settings.scale, f"{where}.scale")
    if isinstance(settings.seed, bool) or not isinstance(settings.seed, int) or settings.seed < 0:
        raise BonteaError(f"{where}.seed={settings.seed!r} must be a whole number of at least 0")
    return settings


def _refuse_misspelt(settings: Settings, where: str) -> None:
    """A key that is neither a setting nor a parameter of the estimator, but near a setting."""
    names = [f.name for f in dataclasses.fields(Settings)]
    for key in settings.params:
        near = difflib.get_close_matches(key, names, n=1, cutoff=0.7)
        meant = LONG_NAMES.get(key, near[0] if near else None)
        if meant is None or EstimatorSpec.of(settings.estimator).takes_any(key):
            continue
        raise BonteaError(
            f"{where}.{key} is no setting, and no parameter of the estimator; did you mean "
            f"{where}.{meant}?"
        )


def check_scale(scale: str, name: str = "scale") -> str:
    """What advantages are divided by: a member of `SCALES`."""
    if scale not in SCALES:
        raise BonteaError(f"{name}={scale!r} must be one of {', '.join(SCALES)}")
    return scale


def section(config: Any, key: str) -> Any:
    """`config.key` or `config["key"]`, None if there is neither."""
    if isinstance(config, Mapping):
        return config.get(key)
    return getattr(config, key, None)


def as_dict(config: Any, where: str) -> dict[str, Any]:
    """A mapping, namespace or dataclass as a dict; JSON in a text is read."""
    if config is None:
        return {}
    if isinstance(config, str):
        config = _json(config, where)
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        config = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    if not isinstance(config, Mapping):
        config = getattr(config, "__dict__", config)
    if not isinstance(config, Mapping):
        raise BonteaError(
            f"{where}={config!r} must be a mapping of settings, such as "
            "{estimator: adaptive_tea, n: 128}"
        )
    return {str(key): config[key] for key in config}


def plain(value: Any) -> Any:
    """A value of a config in plain Python: text that spells a number, a list, true or null is read.

    >>> [plain(v) for v in ("8", "1e-3", "true", "null", "[1, 2]", "normal")]
    [8, 0.001, True, None, [1, 2], 'normal']
    """
    if isinstance(value, str):
        try:
            return json.loads(value.strip())
        except ValueError:
            return {"True": True, "False": False, "None": None}.get(value.strip(), value)
    if isinstance(value, Mapping):
        return {str(key): plain(value[key]) for key in value}
    if isinstance(value, Iterable) and not hasattr(value, "dtype"):
        return [plain(v) for v in value]
    return value


def _from_environment() -> dict[str, Any]:
    text = os.environ.get(VARIABLE, "").strip()
    return as_dict(_json(text, f"${VARIABLE}"), f"${VARIABLE}") if text else {}


def _json(text: str, where: str) -> Any:
    try:
        return strict_loads(text, "its value")
    except ValueError as error:
        raise BonteaError(
            f"{where}={text!r} is not JSON ({error}); an example: "
            '{"estimator": "adaptive_tea", "n": 128}'
        ) from None
