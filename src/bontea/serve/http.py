"""Requests to the servers behind, by aiohttp.

The openai package's client takes 4.6 ms of a core for each request where this takes 0.3 ms
(docs/serve.md); a gateway makes N of them for each of its own. A request that is cancelled closes
its connection, which is how the server behind learns that nobody waits any more.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any

from bontea.rollouts.service import NoConnection, Service, StatusError, proxies_of


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
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
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
        return await self._ask("POST", path, body)

    async def get(self, path: str) -> bytes:
        """The same for what is asked without a body."""
        return await self._ask("GET", path, None)

    async def _ask(self, method: str, path: str, body: bytes | None) -> bytes:
        import aiohttp

        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            async with self.session.request(
                method,
                self.service.url + path,
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
            raise NoConnection(str(error) or type(error).__name__) from error
