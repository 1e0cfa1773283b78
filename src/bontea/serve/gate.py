"""Who may come in, and how many at once."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bontea._errors import BonteaError
from bontea.serve.errors import ApiError
from bontea.serve.settings import ServeSettings


class Keys:
    """The keys that clients may have, as hashes; none: everybody may come in."""

    def __init__(self, settings: ServeSettings):
        self.hashes: list[bytes] = []
        if settings.client_keys_env is not None:
            name = settings.client_keys_env
            keys = [key.strip() for key in os.environ.get(name, "").split(",") if key.strip()]
            if not keys:
                raise BonteaError(
                    f"--client-keys-env {name}: no environment variable of that name holds a key"
                )
            self.hashes += [hashlib.sha256(key.encode()).digest() for key in keys]
        if settings.client_keys_file is not None:
            self.hashes += _read_hashes(Path(settings.client_keys_file))

    def check(self, headers: Mapping[str, str]) -> None:
        """ApiError (401) unless the request has a key that is known. Takes as long for any key."""
        if not self.hashes:
            return
        scheme, _, key = headers.get("authorization", "").partition(" ")
        given = key.strip() if scheme.lower() == "bearer" else headers.get("api-key", "")
        digest = hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()
        known = [hmac.compare_digest(digest, one) for one in self.hashes]
        if not any(known):
            raise ApiError(
                401,
                "the API key is missing or unknown: send a valid one in the header Authorization, "
                "as Bearer KEY, or in the header api-key",
                code="invalid_api_key",
            )


def _read_hashes(path: Path) -> list[bytes]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileNotFoundError(f"--client-keys-file {path} cannot be read: {error}") from None
    out = []
    for number, line in enumerate(lines, start=1):
        word = line.split("#")[0].split()
        if not word:
            continue
        if not re.fullmatch(r"[0-9a-fA-F]{64}", word[0]):
            raise BonteaError(
                f"--client-keys-file {path}, line {number}: this is no SHA-256 in hexadecimal; the "
                "line for a key is written by: printf %s KEY | sha256sum"
            )
        out.append(bytes.fromhex(word[0]))
    if not out:
        raise BonteaError(
            f"--client-keys-file {path} holds no hash, so that no client would be let in: add the "
            "SHA-256 of a key"
        )
    return out


class Gate:
    """So many requests at once; more wait in a queue; when that is full, the answer is 429."""

    def __init__(self, most: int, queue: int):
        self.most, self.queue = most, queue
        self.free = asyncio.Semaphore(most)
        self.active = self.waiting = 0
        self.mean_seconds = 1.0
        """What a request takes, lately."""

    @asynccontextmanager
    async def enter(self, patience: float | None = None) -> AsyncIterator[None]:
        """Wait for a place, so many seconds at most. Raises ApiError (429, 504)."""
        if self.free.locked() and self.waiting >= self.queue:
            wait = self.mean_seconds * (self.waiting + 1) / self.most
            raise ApiError(
                429,
                f"{self.active} requests are worked on and {self.waiting} wait, which is the "
                "limit of this server: try again later",
                code="queue_full",
                after=min(max(wait, 1.0), 60.0),
            )
        self.waiting += 1
        try:
            await asyncio.wait_for(self.free.acquire(), patience)
        except (asyncio.TimeoutError, TimeoutError):
            raise ApiError(504, "the deadline came while the request waited in the queue") from None
        finally:
            self.waiting -= 1
        self.active += 1
        started = time.monotonic()
        try:
            yield
        finally:
            self.active -= 1
            self.free.release()
            self.mean_seconds += 0.05 * (time.monotonic() - started - self.mean_seconds)
