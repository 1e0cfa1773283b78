"""What a rollout file is drawn with, kept beside it, so that nothing else is ever added to it.

`OUTPUT.settings.json` holds the settings, the version, the seed, the command line, a fingerprint
of the prompts, and the numbers of rollouts that were asked for, in order. It never holds a key.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from bontea._errors import BonteaError
from bontea._json import strict_loads
from bontea._numbers import number
from bontea._settings import DEMO, flag, given_or, require_own, setting
from bontea.rollouts.body import check_extra_body, read_extra_body
from bontea.rollouts.prompts import Row
from bontea.rollouts.table import write_text

DTYPES = ("auto", "float32", "bfloat16", "float16")
_fixed = partial(setting, fixed=True)
"""A setting that every row of a file shares."""
_free = partial(setting, fixed=False)
"""A setting that another run of the same file may change."""


REWARD_MODEL = "with a reward URL: which model, where vLLM or SGLang serves several"
REWARD_TOKENIZER = (
    "with a reward URL: the reward model's tokenizer (hub name, folder), whose chat template makes "
    "text of chats, for servers that take only text"
)


def endpoint_urls(endpoint: list[str] | str | None) -> list[str]:
    """The endpoints of a setting, each once."""
    given = [endpoint] if isinstance(endpoint, str) else endpoint or []
    return list(dict.fromkeys(u.rstrip("/") if isinstance(u, str) else u for u in given))


def check_endpoints(endpoint: list[str] | str | None) -> None:
    """Raise BonteaError for what is no text, or names no endpoint."""
    urls = endpoint_urls(endpoint)
    for url in urls:
        if not isinstance(url, str):
            raise BonteaError(f"--endpoint {url!r} must be text, a URL")
    if endpoint is not None and not urls:
        raise BonteaError("--endpoint is empty: name a URL, or leave it out")


@dataclass(frozen=True)
class SampleSettings:
    """What to sample, and how. `None` means: chosen from the other settings."""

    model: str = _fixed(
        DEMO,
        "hub name or local folder; with --endpoint, the name of the model there; demo is the "
        "embedded toy policy",
    )
    prompts: str | None = _fixed(
        None, "file of prompts (JSONL, JSON, CSV, TSV, Parquet), or hub dataset"
    )
    reward: str | None = _fixed(
        None,
        "module:function, a sequence-classification model (hub name, folder), or the URL of a "
        "server that computes rewards, such as http://localhost:8001/classify of vLLM or SGLang",
    )
    reward_model: str | None = _fixed(None, REWARD_MODEL)
    reward_tokenizer: str | None = _fixed(None, REWARD_TOKENIZER)
    rollouts: int = _free(64, "rollouts per prompt; may grow when a file is resumed")
    output: str = _free("rollouts.jsonl", "file to write, .jsonl or .parquet")
    temperature: float = _fixed(1.0, "sampling temperature")
    max_new_tokens: int | None = _fixed(
        None, "tokens of the longest completion; default 512 (demo 32)"
    )
    seed: int = _fixed(0, "seed of everything random")
    prompt_column: str = _fixed("prompt", "column that holds the prompt (text or chat)")
    prompts_split: str = _fixed("train", "split, for a hub dataset")
    batch_size: int | None = _fixed(
        None,
        "rollouts drawn at once; default 32 (demo 256). With --endpoint: how many completions the "
        "reward is given at once; default 64",
    )
    dtype: str | None = _fixed(
        None, f"weights of the model: {', '.join(DTYPES)}; default float32, on a GPU auto"
    )
    trust_remote_code: bool = _free(False, "run code that comes with a hub model")
    endpoint: list[str] | str | None = _free(
        None,
        "base URL of an OpenAI-compatible server, such as http://localhost:8000/v1; several "
        "share the requests",
    )
    completions: bool = _fixed(
        False, "send text prompts as they are to the completions interface, not as a user turn"
    )
    extra_body: dict[str, Any] | None = _fixed(
        None,
        "JSON object whose fields are added to each request, or replace those that are sent; null "
        "leaves one out: '{\"seed\": null}' for a server that takes no seed",
        read=read_extra_body,
    )
    api_key_env: str | None = _free(
        None, "environment variable with the key of the endpoints (default: OPENAI_API_KEY)"
    )
    reward_key_env: str | None = _free(
        None, "environment variable with the key of a reward URL (default: no key)"
    )
    reward_concurrency: int = _free(
        1,
        "how many calls of the reward go on at once, for a slow one: an async function is awaited "
        "that many times, a URL gets that many requests, any other function runs in that many "
        "processes",
    )
    concurrency: int = _free(16, "how many requests to the endpoints go on at once, all together")
    requests_per_minute: float | None = _free(
        None, "at most this many requests a minute (default: no limit)"
    )
    timeout: float = _free(300.0, "seconds to wait for one answer of a server")
    retries: int = _free(6, "how often a request that failed is made again")

    def check(self) -> None:
        """Raise BonteaError on what can be known to be wrong before anything is loaded."""
        for name, least in {
            "rollouts": 1,
            "max_new_tokens": 1,
            "batch_size": 1,
            "concurrency": 1,
            "reward_concurrency": 1,
            "retries": 0,
            "seed": 0,
        }.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise BonteaError(f"{flag(name)} {value} must be at least {least}")
        for name in ("temperature", "timeout", "requests_per_minute"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise BonteaError(f"{flag(name)} {number(value)} must be a number above 0")
        if self.dtype is not None and self.dtype not in DTYPES:
            raise BonteaError(f"--dtype {self.dtype!r} must be one of {', '.join(DTYPES)}")
        if self.extra_body is not None:
            check_extra_body(self.extra_body)
        check_endpoints(self.endpoint)
        if not self.endpoints:
            for name in ("completions", "extra_body", "api_key_env"):
                if getattr(self, name):
                    raise BonteaError(f"{flag(name)} goes with --endpoint URL, which is missing")
        elif self.dtype is not None:
            raise BonteaError("--dtype is up to the server with --endpoint: leave it out")
        require_own(self.model, self.reward, self.prompts, endpoint=bool(self.endpoints))

    @property
    def endpoints(self) -> list[str]:
        """The endpoints, each once; none for a model in this process."""
        return endpoint_urls(self.endpoint)

    def resolved(self) -> SampleSettings:
        """The same, checked, with what depends on other settings filled in."""
        filled: dict[str, Any] = {}
        embedded = self.model == DEMO
        if embedded and not self.endpoint:
            from bontea import demo

            filled["reward"] = self.reward or demo.DEFAULT_REWARD
            filled["max_new_tokens"] = given_or(self.max_new_tokens, demo.MAX_COMPLETION_LENGTH)
        settings = replace(self, **filled)
        settings.check()
        filled["max_new_tokens"] = given_or(settings.max_new_tokens, 512)
        filled["batch_size"] = given_or(
            self.batch_size, 64 if self.endpoint else 256 if embedded else 32
        )
        if not self.endpoint:
            import torch

            gpu = torch.cuda.is_available() and not embedded
            filled["dtype"] = self.dtype or ("auto" if gpu else "float32")
        return replace(settings, **filled)

    def given(self) -> dict[str, Any]:
        """The settings that are not the default."""
        return {f.name: v for f in fields(self) if (v := getattr(self, f.name)) != f.default}


@dataclass(frozen=True)
class Record:
    """What stands beside a rollout file."""

    settings: SampleSettings
    prompts: str
    """Fingerprint of the prompts."""
    asked: list[int]
    """Numbers of rollouts that were asked for, rising, the present one last."""
    version: str = field(default_factory=lambda: version())
    command: list[str] = field(default_factory=lambda: list(sys.argv))

    def save(self, path: Path) -> None:
        values = {
            "version": self.version,
            "seed": self.settings.seed,
            "command": self.command,
            "settings": asdict(self.settings),
            "prompts_sha256": self.prompts,
            "asked": self.asked,
        }
        write_text(path, json.dumps(values, indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Record:
        try:
            values = strict_loads(path.read_text(encoding="utf-8"), path)
            return cls(
                SampleSettings(**values["settings"]),
                values["prompts_sha256"],
                values["asked"],
                values["version"],
                values["command"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise BonteaError(
                f"{path} cannot be read ({error}): the rollouts beside it cannot be added to; "
                "choose another --output"
            ) from None

    def resumed(self, given: dict[str, Any], output: Path) -> SampleSettings:
        """These settings, `given` ones on top; BonteaError if that would mix two kinds of rows."""
        fixed = {setting.name for setting in fields(SampleSettings) if setting.metadata["fixed"]}
        if self.settings.endpoint:
            fixed.remove("batch_size")  # no more than a matter of speed there
        # Which servers is a matter of where; whether there is one decides how rows are drawn.
        endpoints = given.get("endpoint", self.settings.endpoint)
        if bool(endpoints) != bool(self.settings.endpoint):
            fixed.add("endpoint")
        for name in sorted(fixed & given.keys()):
            old = getattr(self.settings, name)
            if given[name] != old:
                raise BonteaError(
                    f"{output} was begun with {name}={old!r}, not {given[name]!r}: resume it "
                    f"without {flag(name)}, or choose another --output"
                )
        settings = SampleSettings(**{**asdict(self.settings), **given})
        if settings.rollouts < self.asked[-1]:
            raise BonteaError(
                f"{output} was begun with rollouts={self.asked[-1]}, not {settings.rollouts}: the "
                "number can only grow"
            )
        return settings


def settings_path(output: Path) -> Path:
    return output.with_name(output.name + ".settings.json")


def fingerprint(rows: list[Row]) -> str:
    """A hash of prompts and columns, in their order."""
    return hashlib.sha256(json.dumps(rows, sort_keys=True, default=str).encode()).hexdigest()


def version() -> str:
    import bontea

    return bontea.__version__
