"""One response from the servers behind: one request each, so that each can be cancelled.

Which server is asked, and when again, is decided by the pool that `bontea sample` has. What a
server says of a request of its client's (a prompt that is too long, a field that it does not know)
goes to the client as it is; what it says of us (a wrong key) does not.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from bontea._settings import DEMO
from bontea.rollouts.answer import Completion, completion_of, read_json
from bontea.rollouts.pool import Pool, Server
from bontea.rollouts.service import BadAnswer, EndpointError, Service
from bontea.serve.abort import Aborts
from bontea.serve.errors import ApiError, without_addresses
from bontea.serve.http import Client
from bontea.serve.options import Options
from bontea.serve.scores import FORGOTTEN
from bontea.serve.settings import ServeSettings

OURS = frozenset({401, 402, 403})
"""Statuses that say something of us, not of the request of a client."""
THEIRS = frozenset({400, 404, 405, 413, 415, 422})
"""Statuses that a client gets as they are."""


@dataclass(frozen=True)
class Response:
    """One response of a server behind."""

    answer: dict[str, Any]
    """The whole answer, as it came."""
    completion: Completion

    @property
    def choice(self) -> dict[str, Any]:
        """The one choice in it."""
        found: dict[str, Any] = self.answer["choices"][0]
        return found


class Upstream(Protocol):
    """What responses are drawn from."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, *error: Any) -> None: ...

    async def draw(self, options: Options, number: int) -> Response:
        """Response number `number` (from 0) of a request. Raises ApiError."""

    async def models(self) -> list[dict[str, Any]]:
        """The models there are. Raises ApiError."""

    @property
    def works(self) -> bool:
        """Whether a request would be taken now, as far as is known."""


class Endpoints:
    """Servers behind."""

    def __init__(
        self, settings: ServeSettings, on_trouble: Callable[[str], None] = lambda text: None
    ):
        key_name = settings.api_key_env or "OPENAI_API_KEY"
        self.services = [
            Service(
                "--endpoint",
                url,
                "--api-key-env",
                key_name,
                timeout=settings.timeout,
                retries=settings.retries,
            )
            for url in settings.endpoints
        ]
        self.only_model = settings.model
        self.on_trouble = lambda text: on_trouble(_without_texts(text))
        self.pool = Pool(self.services, on_trouble=self.on_trouble, client=Client, hopeless=OURS)
        self.aborts = Aborts()

    async def __aenter__(self) -> Endpoints:
        await self.pool.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.aborts.close()
        await self.pool.__aexit__(*error)

    async def draw(self, options: Options, number: int) -> Response:
        body, data = options.upstream, options.encoded
        if options.seed is not None:  # the same for all would give one response N times
            body = {**body, "seed": (options.seed + number) % 2**31}
            data = json.dumps(body).encode()

        async def send(server: Server) -> Response:
            rid = self.aborts.request_id(server, body)
            if rid is None:
                answer = read_json(await server.client.post(options.path, data))
            else:
                own = json.dumps({**body, "rid": rid}).encode()
                asked = asyncio.ensure_future(server.client.post(options.path, own))
                try:
                    answer = read_json(await asyncio.shield(asked))
                except asyncio.CancelledError:
                    self.aborts.abort(server, rid, asked)
                    raise
            return Response(answer, completion_of(answer))

        try:
            return await self.pool.ask(send, asyncio.sleep)
        except EndpointError as error:
            if error.status not in THEIRS or error.status == 404:  # a wrong path looks so too
                self.on_trouble(f"given up: {error}")
            raise _for_client(error) from error

    async def models(self) -> list[dict[str, Any]]:
        if self.only_model is not None:
            return [{"id": self.only_model, "object": "model", "created": 0, "owned_by": "bontea"}]

        async def send(server: Server) -> list[dict[str, Any]]:
            answer = read_json(await server.client.get("/models"))
            found = answer.get("data") if isinstance(answer, dict) else None
            if not isinstance(found, list):
                raise BadAnswer("no list of models")
            return found

        try:
            return await self.pool.ask(send, asyncio.sleep)
        except EndpointError as error:
            raise _for_client(error) from error

    @property
    def works(self) -> bool:
        now = time.monotonic()
        return any(
            server.failed_in_row <= server.service.retries or now - server.failed_at > FORGOTTEN
            for server in self.pool.servers
        )


def _without_texts(text: str) -> str:
    """What a server says in an error may quote the prompt: of that the operator gets the status.

    >>> _without_texts("status 500 (cannot answer 'a (secret) prompt'); asking again in 0.4 s")
    'status 500; asking again in 0.4 s'
    """
    return re.sub(r"(status \d+|an unexpected answer) \(.*\)", r"\1", text, flags=re.DOTALL)


def _for_client(error: EndpointError) -> ApiError:
    """What a client is told: the server's own words about its request, or that none answers."""
    status, said = error.status, without_addresses(error.said)
    if status in THEIRS:
        return ApiError(
            status,
            said or "the server behind refuses this request",
            code="model_not_found" if status == 404 else None,
        )
    if status in OURS:
        return ApiError(
            502,
            f"the server behind refuses this gateway (status {status}): its operator must check "
            "the key (--api-key-env)",
            code="upstream_refused",
        )
    if status == 429 or status == 503:
        return ApiError(
            503, f"the server behind is too busy: {said}", code="upstream_busy", after=5.0
        )
    late = said.startswith("no answer within")
    if said.startswith("no connection"):
        said = "no connection"  # the reason holds the address, which is for the operator
    return ApiError(
        504 if late else 502,
        f"the server behind failed: {said or 'no connection'}",
        code="upstream_timeout" if late else "upstream_failed",
    )


def make_upstream(
    settings: ServeSettings, on_trouble: Callable[[str], None] = lambda text: None
) -> Upstream:
    """What the settings name: endpoints, or the embedded policy."""
    if settings.endpoints:
        return Endpoints(settings, on_trouble)
    from bontea.serve.embedded import Embedded

    assert settings.model == DEMO
    return Embedded()
