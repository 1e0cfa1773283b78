"""What `bontea train`, `sample` and `serve` share: flags, YAML files, quiet libraries."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from bontea._errors import BonteaError, not_utf8
from bontea._settings import flag, kinds_of


def add_settings(parser: argparse.ArgumentParser, settings: type) -> None:
    """A flag for every field of a dataclass of settings."""
    for field in fields(settings):
        options: dict[str, Any] = {"dest": field.name, "help": field.metadata["help"]}
        if isinstance(field.default, (int, float, str)) and not isinstance(field.default, bool):
            options["help"] += f" (default: {field.default})"
        kind = kinds_of(str(field.type))[0]
        if kind == "bool":
            options["action"] = "store_true"
        elif "read" in field.metadata:
            options["metavar"] = "JSON"
        elif kind == "list":
            options.update(nargs="+", action="extend")  # given again, it adds
        elif kind == "dict":
            options.update(nargs="+", metavar="NAME=VALUE")
        else:
            options["metavar"] = kind.upper()
            options["type"] = {"int": int, "float": float}.get(kind, str)
        parser.add_argument(flag(field.name), **options)


def given_settings(args: argparse.Namespace, settings: type) -> dict[str, Any]:
    """The settings that are on the command line, by name; BonteaError where one cannot be read."""
    given = {f.name: getattr(args, f.name) for f in fields(settings) if f.name in args}
    for field in fields(settings):
        if field.name in given and "read" in field.metadata:
            given[field.name] = field.metadata["read"](given[field.name])
    return given


def quiet_libraries() -> None:
    """Keep libraries from talking over the progress bar; warnings of ours still show."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    if not sys.warnoptions:
        import warnings

        warnings.simplefilter("ignore", FutureWarning)
        warnings.formatwarning = lambda m, c, *_: f"{c.__name__}: {m}\n"


def read_yaml(path: str) -> dict[str, Any]:
    """The settings in a YAML file; BonteaError, FileNotFoundError saying what is wrong."""
    import yaml

    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise FileNotFoundError(f"config {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BonteaError(not_utf8(f"config {path}", error)) from None
    try:
        values = yaml.safe_load(text)
        twice = _twice(yaml.compose(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise BonteaError(f"config {path} is not YAML: {error}") from None
    if not isinstance(values, dict):
        raise BonteaError(f"config {path} must hold NAME: VALUE lines")
    if twice is not None:
        raise BonteaError(f"config {path}: the key {twice!r} is there twice: remove one")
    return {str(name).replace("-", "_"): value for name, value in values.items()}


def _twice(node: Any) -> str | None:
    """The first key of a YAML mapping that is there twice, of which YAML takes the last."""
    seen: set[str] = set()
    for key, _ in node.value if getattr(node, "id", "") == "mapping" else ():
        name = str(key.value).replace("-", "_")
        if name in seen:
            return name
        seen.add(name)
    return None
