"""Settings of `bontea serve`, as flags, lines of YAML and Python arguments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bontea._errors import BonteaError
from bontea._numbers import number
from bontea._settings import DEMO, flag, setting
from bontea.deploy import MAX_N
from bontea.rollouts.body import check_extra_body, read_extra_body
from bontea.rollouts.settings import (
    REWARD_MODEL,
    REWARD_TOKENIZER,
    check_endpoints,
    endpoint_urls,
)

LOOPBACK = ("127.0.0.1", "::1", "localhost")
FAILURES = ("error", "first")


@dataclass(frozen=True)
class ServeSettings:
    """What to serve, and how. `None` means: chosen from the other settings."""

    endpoint: list[str] | str | None = setting(
        None,
        "base URL of the OpenAI-compatible server behind, such as http://localhost:8000/v1; "
        "several share the requests; without one, the embedded toy policy answers",
    )
    reward: str | None = setting(
        None,
        "module:function, a sequence-classification model (hub name, folder), or the URL of a "
        "server that computes rewards; needed with --endpoint",
    )
    reward_model: str | None = setting(None, REWARD_MODEL)
    reward_tokenizer: str | None = setting(None, REWARD_TOKENIZER)
    model: str | None = setting(
        None, "the only model that may be asked for (default: whatever the endpoints have)"
    )
    host: str = setting("127.0.0.1", "address to listen on; the default is this machine only")
    port: int = setting(8100, "port to listen on; 0 takes a free one")
    price: float | None = setting(
        None,
        "draw on while the next response is expected to raise the best reward by more than this",
    )
    budget: float | None = setting(
        None,
        "responses a request on average; the price that meets it is learnt on the way (default: "
        "16, unless there is a price or a fixed N)",
    )
    n: int | None = setting(None, "always draw so many, with no rule")
    min_n: int | None = setting(
        None, "never fewer responses (default: 4, or less where --budget or --max-n is less)"
    )
    max_n: int | None = setting(
        None, "never more responses (default: 8 times the budget; 64 with a price)"
    )
    wave: int = setting(
        4, "responses drawn at a time after the first --min-n; the rule decides after each wave"
    )
    prior: str | None = setting(
        None,
        "file of rollouts that the rule learns from before it starts, such as a log of this "
        "server; without one it learns from the first requests",
    )
    ceiling: float | None = setting(
        None,
        "the largest reward there can be: drawing stops when a response has it, and responses "
        "beyond the first --min-n are cancelled",
    )
    deadline: float | None = setting(
        None, "seconds after which the best response so far is sent (default: no limit)"
    )
    audit: float = setting(
        0.05,
        "share of requests that draw at least the reference N, which shows what the rule saves "
        "and whether quality falls; 0 turns it off",
    )
    reference_n: int | None = setting(
        None,
        "the fixed N that the rule is compared with (default: the budget, the fixed N, or 16)",
    )
    reward_failure: str = setting(
        "error",
        "when the reward fails for every response: error (status 502), or first (the first "
        "response, with a reward of null)",
    )
    text_reward: bool = setting(
        False,
        "the reward takes texts: give it the last turn of the user and the text of the answer, "
        "not chats",
    )
    log: str | None = setting(
        None,
        "file (.jsonl) for every response with its prompt and reward (default: none, because "
        "prompts may be confidential)",
    )
    log_mb: float = setting(1024.0, "megabytes after which the log goes on in a new file")
    extra_body: dict[str, Any] | None = setting(
        None,
        "JSON object whose fields are added to each request to the endpoints, or replace those "
        "that are there; null leaves one out",
        read=read_extra_body,
    )
    api_key_env: str | None = setting(
        None, "environment variable with the key of the endpoints (default: OPENAI_API_KEY)"
    )
    reward_key_env: str | None = setting(
        None, "environment variable with the key of a reward URL (default: no key)"
    )
    client_keys_env: str | None = setting(
        None, "environment variable with the keys that clients may have, separated by commas"
    )
    client_keys_file: str | None = setting(
        None, "file with the SHA-256 of a client's key in each line (default: no key is asked for)"
    )
    reward_concurrency: int | None = setting(
        None,
        "calls of the reward at once (default: 1; 8 for a URL or an async function); a function "
        "runs in that many processes",
    )
    batch_size: int = setting(16, "responses that one call of the reward scores at most")
    trust_remote_code: bool = setting(False, "run code that comes with a hub model")
    timeout: float = setting(300.0, "seconds to wait for one response of an endpoint")
    reward_timeout: float = setting(60.0, "seconds to wait for one call of the reward")
    retries: int = setting(2, "how often a response that failed is asked for again")
    concurrency: int = setting(256, "responses that are drawn at once, all requests together")
    requests: int = setting(256, "requests that are worked on at once; more wait in a queue")
    queue: int = setting(512, "requests that may wait; more get status 429")
    largest_n: int = setting(MAX_N, "largest N that a request may ask for")
    largest_max_tokens: int | None = setting(
        None, "largest max_tokens that a request may ask for; requests without one get it"
    )
    body_mb: float = setting(32.0, "megabytes of the largest request")
    drain: float = setting(30.0, "seconds that open requests have to end after SIGTERM")
    verbose: bool = setting(False, "a line on stderr for each request, without its texts")

    @property
    def endpoints(self) -> list[str]:
        """The endpoints, each once; none for the embedded policy."""
        return endpoint_urls(self.endpoint)

    def resolved(self) -> ServeSettings:
        """The same, checked, with what depends on other settings filled in."""
        self._check_numbers()
        self._check_choices()
        filled: dict[str, Any] = {}
        given = [name for name in ("price", "budget", "n") if getattr(self, name) is not None]
        if len(given) > 1:
            raise BonteaError(
                f"{flag(given[0])} and {flag(given[1])} are both given: give only one of --price, "
                "--budget and --n"
            )
        if not given:
            filled["budget"] = 16.0
        middle = self.n or self.budget or filled.get("budget") or 16
        most = self.max_n or self.n
        if most is None:
            most = 64 if self.price is not None else 8 * round(middle)
            most = min(most, self.largest_n)
        filled["max_n"] = most
        filled["min_n"] = self.min_n or min(4, most, max(int(middle), 1))
        filled["reference_n"] = self.reference_n or min(round(middle), most)
        if not self.endpoints:
            from bontea import demo

            filled["reward"] = self.reward or demo.DEFAULT_REWARD
            filled["model"] = DEMO
            if filled["reward"] == demo.DEFAULT_REWARD:
                filled["text_reward"] = True
        out = replace(self, **filled)
        out._check_together()
        return out

    def _check_numbers(self) -> None:
        for name, least in {
            "n": 1,
            "min_n": 1,
            "max_n": 1,
            "wave": 1,
            "reference_n": 1,
            "reward_concurrency": 1,
            "batch_size": 1,
            "retries": 0,
            "concurrency": 1,
            "requests": 1,
            "queue": 0,
            "largest_n": 1,
            "largest_max_tokens": 1,
        }.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= 10**9:
                raise BonteaError(f"{flag(name)} {value} must be from {least} to 1,000,000,000")
        for name in ("log_mb", "timeout", "reward_timeout", "body_mb", "drain", "deadline"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1e7:
                raise BonteaError(
                    f"{flag(name)} {number(value)} must be a number above 0, at most 10,000,000"
                )
        if self.price is not None and not 0 <= self.price < float("inf"):
            raise BonteaError(
                f"--price {number(self.price)} must be a number of at least 0: what one more "
                "response may cost, in reward units"
            )
        if self.budget is not None and not 1 <= self.budget <= 10**6:
            raise BonteaError(
                f"--budget {number(self.budget)} must be from 1 to 1,000,000 responses a request"
            )
        if not 0 <= self.audit <= 1:
            raise BonteaError(f"--audit {number(self.audit)} must be a share from 0 to 1")
        if self.ceiling is not None and not abs(self.ceiling) < float("inf"):
            raise BonteaError("--ceiling must be a finite number: leave it out where there is none")
        if not 0 <= self.port <= 65535:
            raise BonteaError(f"--port {self.port} must be from 0 to 65535")

    def _check_choices(self) -> None:
        if self.reward_failure not in FAILURES:
            raise BonteaError(
                f"--reward-failure {self.reward_failure!r} must be {' or '.join(FAILURES)}"
            )
        if self.extra_body is not None:
            check_extra_body(self.extra_body)
        check_endpoints(self.endpoint)
        if self.endpoints and self.reward is None:
            raise BonteaError(
                "--endpoint needs --reward: module:function, a reward model, or the URL of a "
                "server that computes rewards"
            )
        if not self.endpoints:
            for name in ("extra_body", "api_key_env"):
                if getattr(self, name):
                    raise BonteaError(f"{flag(name)} goes with --endpoint URL, which is missing")
            if self.model not in (None, DEMO):
                raise BonteaError(
                    f"--model {self.model} needs --endpoint, the server that has this model"
                )
        if self.log is not None and Path(self.log).suffix.lower() != ".jsonl":
            raise BonteaError(f"--log {self.log}: the name must end in .jsonl")
        if self.log is not None and not Path(self.log).absolute().parent.is_dir():
            raise FileNotFoundError(
                f"--log {self.log}: there is no folder {Path(self.log).parent}; make it first"
            )

    def _check_together(self) -> None:
        assert self.min_n is not None
        assert self.max_n is not None
        name = "--max-n" if self.n != self.max_n else "--n"
        if self.max_n > self.largest_n:
            raise BonteaError(
                f"{name} {self.max_n} exceeds --largest-n {self.largest_n}: lower it, or raise "
                "--largest-n"
            )
        if self.min_n > self.max_n:
            raise BonteaError(
                f"--min-n {self.min_n} exceeds {name} {self.max_n}: lower it, or raise {name}"
            )
        if self.budget is not None and not self.min_n <= self.budget <= self.max_n:
            raise BonteaError(
                f"--budget {number(self.budget)} must lie between --min-n {self.min_n} and --max-n "
                f"{self.max_n}: change one of them"
            )
        if self.reference_n is not None and self.reference_n > self.largest_n:
            raise BonteaError(
                f"--reference-n {self.reference_n} exceeds --largest-n {self.largest_n}: lower it"
            )
