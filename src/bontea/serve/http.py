"""Requests to the servers behind, by aiohttp.

The openai package's client takes 4.1 ms of a core for each request where this takes 0.35 ms
(benchmarks/experiments/serving/load.py); a gateway makes N of them for each of its own. A request
that is cancelled closes its connection, which is how the server behind learns that nobody waits any
more.

A server closes a connection that is idle, vLLM after 5 s, and may do so in the moment in which the
next request is sent. Nothing has failed then: the request is sent again at once.
"""

from __future__ import annotations

import os
import socket
import ssl
from types import TracebackType
from typing import Any

from bontea.rollouts.service import NoConnection, Service, StatusError, proxies_of

IDLE = 4.0
"""Seconds for which an idle connection is kept: less than the 5 s of uvicorn, so of vLLM."""
IDLE_CLOSED = 1
"""How often a request is sent again at once whose connection was closed without an answer."""


class Client:
    """A client of one server; an asynchronous context."""

    def __init__(self, service: Service):
        self.service = service
        self.session: Any = None
        # Once, and not for each request: aiohttp's trust_env reads ~/.netrc every time.
        self.proxy = next((os.environ[name].strip() for name in proxies_of(service.url)), None)

    async def __aenter__(self) -> Client:
        import aiohttp

        key = self.service.key
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=aiohttp.ClientTimeout(total=self.service.timeout, sock_connect=30),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.session.close()

    async def post(self, path: str, body: bytes) -> bytes:
        """The body of the answer. Raises StatusError, NoConnection or TimeoutError."""
        return await self._ask("POST", self.service.url + path, body)

    async def post_to_root(self, path: str, body: bytes) -> bytes:
        """The same for a path of the server that does not begin with /v1."""
        return await self._ask("POST", self.service.url.removesuffix("/v1") + path, body)

    async def get(self, path: str) -> bytes:
        """The same for what is asked without a body."""
        return await self._ask("GET", self.service.url + path, None)

    async def _ask(self, method: str, url: str, body: bytes | None) -> bytes:
        import aiohttp

        for _ in range(IDLE_CLOSED):
            try:
                return await self._ask_once(method, url, body)
            except NoConnection as error:
                if not isinstance(
                    error.__cause__, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
                ):
                    raise
        return await self._ask_once(method, url, body)

    async def _ask_once(self, method: str, url: str, body: bytes | None) -> bytes:
        import aiohttp

        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            async with self.session.request(
                method,
                url,
                data=body,
                headers=headers,
                allow_redirects=False,
                proxy=self.proxy,
            ) as answer:
                data = await answer.read()
                if 200 <= answer.status < 300:
                    return data
                text = data.decode("utf-8", "replace")
                raise StatusError(answer.status, answer.headers, text, answer.reason or "")
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError):  # aiohttp's are both
                raise TimeoutError from None
            raise NoConnection("no connection") from _without_address(error)


def _without_address(error: Exception) -> Exception:
    """Why there is no connection, fit for clients: aiohttp's words name the server behind."""
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
    if inner is None:  # not of connecting: it broke later
        return error
    if isinstance(inner, (ssl.SSLError, socket.gaierror)):
        return inner
    return OSError(os.strerror(inner.errno) if inner.errno else "it cannot be reached")
