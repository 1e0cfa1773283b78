"""A server that is asked over HTTP: when to ask again, how long to wait, what to say in the end.

Attempt a = 0, 1, ... is followed by a wait of `first_wait 2^a` seconds, at most 30, of which a
random quarter is left out so that parallel requests do not come back together. The server's
Retry-After wins. Asked again is what may be better next time: no connection, no answer in time, an
answer that is cut off or is not what was asked for, and the statuses 408, 409, 429 and 5xx.

Keys come from the environment and go into a header, nowhere else: whatever a server says is
searched for the key before it is shown.
"""

from __future__ import annotations

import asyncio
import email.utils
import importlib.util
import json
import os
import random
import re
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bontea._errors import BonteaError, MissingPackageError
from bontea._numbers import number

LONGEST_BACKOFF = 30.0
LONGEST_RETRY_AFTER = 600.0
AGAIN = {408, 409, 429}
"""Statuses that may be better next time, as every 5xx may."""
HOPELESS = {401, 402, 403, 404, 405}
"""Statuses that every other request would get as well."""


class EndpointError(OSError):
    """A request that failed for good, with the status of the last answer, if there was one.

    `said` is what went wrong in the server's own words, without its address or key.
    """

    def __init__(self, message: str, status: int | None = None, said: str = ""):
        super().__init__(message)
        self.status, self.said = status, said


class BadAnswer(Exception):
    """The server answered with something else than what it was asked for."""


class StatusError(Exception):
    """An answer with a status that is no success, from a client that is not the openai package's.

    It has the attributes of that package's `APIStatusError` that are read here.
    """

    def __init__(self, status: int, headers: Mapping[str, str], text: str, phrase: str = ""):
        super().__init__(f"status {status}")
        self.status_code, self.headers, self.text, self.reason_phrase = (
            status,
            headers,
            text,
            phrase,
        )
        self.response = self
        try:
            self.body = json.loads(text)
        except (ValueError, RecursionError):
            self.body = text


class NoConnection(Exception):
    """No connection, or one that broke; raised from what says why."""


@dataclass(frozen=True)
class Service:
    """A server, the key it takes, and how patient to be with it."""

    flag: str
    """The option that named it: --endpoint or --reward."""
    url: str
    key_flag: str
    key_name: str | None
    """The environment variable that may hold its key."""
    model: str = ""
    timeout: float = 300.0
    retries: int = 6
    first_wait: float = 0.5
    key: str | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check_url(self.flag, self.url)
        object.__setattr__(self, "key", read_key(self.key_flag, self.key_name))

    def client_options(self) -> dict[str, Any]:
        """Arguments of the openai package's clients, which retry nothing: `wait` decides that."""
        if importlib.util.find_spec("openai") is None:
            raise MissingPackageError(
                f'{self.flag} {self.url} needs a package: pip install "bontea[endpoint]"'
            )
        return {
            "base_url": self.url,
            "api_key": "sent with each request",
            "timeout": self.timeout,
            "max_retries": 0,
        }

    def client(self, kind: str = "OpenAI") -> Any:
        """A client of the openai package, of the class `kind`.

        Raises EndpointError or MissingPackageError, in one line that names the cause, when the
        environment does not let one be made: certificates that are not there, a wrong proxy.
        """
        options = self.client_options()
        import openai

        try:
            return getattr(openai, kind)(**options)
        except Exception as error:  # OSError, ValueError, and types of the HTTP library's own
            failure = error
        raise _no_client(f"{self.flag} {self.url}", failure)

    def request_options(self) -> Any:
        """Options of each request: the key, or nothing in its place."""
        from openai import Omit

        return {"headers": {"Authorization": f"Bearer {self.key}" if self.key else Omit()}}

    def wait(self, error: Exception, attempt: int) -> float:
        """Seconds to wait after attempt number `attempt` (from 0) before the next one.

        Raises EndpointError, in words of ours only, when there is no point or no retry left.
        """
        after = retry_after(error)
        status = status_of(error)
        reason = self.reason(error)
        said = reason if status is None else self._clean(_detail(error))
        if status is not None and not (status in AGAIN or status >= 500):
            raise EndpointError(self._refusal(status, reason), status, said)
        if after is not None and after > LONGEST_RETRY_AFTER:
            raise EndpointError(
                f"{self.flag} {self.url}: {reason}, and to come back in {after:.0f} s",
                status,
                said,
            )
        if attempt >= self.retries:
            raise EndpointError(
                f"{self.flag} {self.url} failed {attempt + 1} times, the last time with {reason}"
                + self._advice(error),
                status,
                said,
            )
        if after:
            return after
        wait = min(self.first_wait * 2.0 ** min(attempt, 30), LONGEST_BACKOFF)
        return wait * random.uniform(0.75, 1.0)

    def reason(self, error: Exception) -> str:
        """What went wrong with one attempt, without the key."""
        if (status := status_of(error)) is not None:
            return f"status {status} ({self._clean(_detail(error))})"
        if isinstance(error, (_class("APITimeoutError"), asyncio.TimeoutError, TimeoutError)):
            return f"no answer within {number(self.timeout)} s (--timeout)"
        if _is_no_connection(error):
            return f"no connection ({self._clean(str(error.__cause__ or error))})"
        if isinstance(error, (BadAnswer, _class("APIResponseValidationError"))):
            return f"an unexpected answer ({self._clean(str(error))})"
        if isinstance(error, json.JSONDecodeError):
            return f"an answer that is no JSON, or cut off ({error})"
        raise error

    def _advice(self, error: Exception) -> str:
        if _is_no_connection(error):
            cause = str(error.__cause__)
            if "CERTIFICATE_VERIFY_FAILED" in cause:
                return ": name the file with the certificate of its authority in SSL_CERT_FILE"
            if "WRONG_VERSION_NUMBER" in cause:
                return ": it does not speak https; try http://"
            proxies = proxies_of(self.url)
            return ": see if it runs" + (
                f", and if it is reached without the proxy in {' or '.join(proxies)} (NO_PROXY)"
                if proxies
                else ""
            )
        if isinstance(error, BadAnswer) and self.flag == "--endpoint":
            return ": check --endpoint, which usually ends in /v1"
        return ""

    def _refusal(self, status: int, reason: str) -> str:
        start = f"{self.flag} {self.url} answers with {reason}: "
        if status == 401 and self.key is None:
            return start + (
                f"it wants a key, and the environment variable {self.key_name} is not set: set it, "
                f"or name another with {self.key_flag}"
                if self.key_name
                else f"it wants a key: name the variable that holds it with {self.key_flag}"
            )
        if status in (401, 403):
            whose = f"the key in {self.key_name}" if self.key else "a request without a key"
            return (
                start
                + f"it does not accept {whose}"
                + (f" for model {self.model!r}" if self.model else "")
            )
        if status in (404, 405) and self.flag == "--endpoint":
            return start + (
                f"there is no such path, or no model {self.model!r}: check --model, and "
                "--endpoint, which usually ends in /v1"
            )
        return start + "it refuses this request, and would refuse it again"

    def _clean(self, text: str) -> str:
        """Text of the server's on one line, without the key, at most 300 characters."""
        if self.key:
            for form in {self.key, json.dumps(self.key)[1:-1], repr(self.key)[1:-1]}:
                text = text.replace(form, "***")
        text = " ".join(text.split())
        return text if len(text) <= 300 else text[:300] + "..."


def read_key(flag: str, name: str | None) -> str | None:
    """The key in an environment variable; None if it is not set. Never says what it is."""
    if name is None:
        return None
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise BonteaError(
            f"{flag} takes the name of an environment variable that holds the key, never the key"
        )
    key = os.environ.get(name, "").strip()
    bad = next((i for i, letter in enumerate(key) if not "!" <= letter <= "~"), None)
    if bad is not None:
        raise BonteaError(
            f"the key in {name} has a character that a header cannot carry, at place {bad + 1}"
        )
    return key or None


def _check_url(flag: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        host, secret = parts.hostname, parts.username or parts.password
    except ValueError:
        raise BonteaError(f"{flag} {url!r} is not a URL: write http://HOST:PORT/...") from None
    if secret:
        raise BonteaError(
            f"{flag} has a name or password before the host, which would end up in files: keep it "
            "in an environment variable"
        )
    if parts.scheme not in ("http", "https") or not host:
        raise BonteaError(f"{flag} {url!r} must begin with http:// or https:// and a host")
    if re.search(r"[,;\s]", url):
        raise BonteaError(
            f"{flag} {url!r} has a comma, a semicolon or a space in it: write one URL; several are "
            "given one after the other"
        )
    if parts.query or parts.fragment:
        raise BonteaError(
            f"{flag} must end before the '?' or '#': what follows could be a key, and would end up "
            "in files"
        )


_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def proxies_of(url: str) -> list[str]:
    """The variables that name a proxy for a URL, or could; none where NO_PROXY excepts it."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return []
    wanted = {f"{parts.scheme.upper()}_PROXY", "ALL_PROXY"}
    return [n for name in _PROXIES if name in wanted for n in (name, name.lower()) if _set(n)]


def _set(name: str) -> str:
    return os.environ.get(name, "").strip()


def _no_client(who: str, error: Exception) -> Exception:
    """What to raise when no client can be made. A proxy may hold a password: it is not shown."""
    proxies = [n for name in _PROXIES for n in (name, name.lower()) if _set(n)]
    if isinstance(error, ImportError) and proxies:
        return MissingPackageError(
            f"{who}: {' or '.join(proxies)} names a SOCKS proxy, which needs a package: "
            "pip install socksio"
        )
    if isinstance(error, OSError):
        why = f"{error.strerror or error}"
        if path := _set("SSL_CERT_FILE"):
            return EndpointError(
                f"{who}: the certificates in SSL_CERT_FILE={path} cannot be loaded ({why}): name a "
                "file that holds certificates, or unset the variable"
            )
        return EndpointError(
            f"{who}: no certificates can be loaded ({why}): name a file that holds some in "
            "SSL_CERT_FILE"
        )
    if proxies:
        return EndpointError(
            f"{who}: the proxy in {' or '.join(proxies)} cannot be used "
            f"({type(error).__name__}): write http://HOST:PORT, or unset the variable"
        )
    return EndpointError(f"{who}: no client can be made ({type(error).__name__}: {error})")


def _class(name: str) -> Any:
    """Errors of the openai package, for `isinstance`, without loading it: that takes a second."""
    package = sys.modules.get("openai")
    return () if package is None else getattr(package, name)


def _is_no_connection(error: Exception) -> bool:
    return isinstance(error, (NoConnection, _class("APIConnectionError")))


def status_of(error: Exception) -> int | None:
    """The status of an answer that was no success; None where none came."""
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def retry_after(error: Exception) -> float | None:
    """Seconds a server asks us to stay away: `retry-after-ms`, or `retry-after`, also a date."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            pass
    try:
        date = email.utils.parsedate_to_datetime(headers["retry-after"])
        return max(0.0, date.timestamp() - time.time())
    except (KeyError, ValueError, TypeError):
        return None


def _detail(error: Any) -> str:
    """What the server says itself, wherever it puts it."""
    body = error.body
    while isinstance(body, dict):
        inner = next((body[k] for k in ("error", "message", "detail") if body.get(k)), None)
        if inner is None:
            break
        body = inner
    said = str(body or error.response.text or error.response.reason_phrase)
    # OpenAI names the parameter that it does not take beside the message.
    whole: Any = error.body if isinstance(error.body, dict) else {}
    inner = whole.get("error")
    param = (inner if isinstance(inner, dict) else whole).get("param")
    return f"{said} (param {param})" if isinstance(param, str) and param not in said else said
