"""Servers behind that have a call to end a response whose client has gone.

A connection that is closed tells most servers that nobody waits any more; SGLang looks only every
few seconds, and some of its versions not at all (docs/serve-upstreams.md). It takes a request id
with each request (`rid`), and `POST /abort_request {"rid": ...}` ends that request. The connection
is closed after that: where it comes first, some versions forget the id and go on.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import suppress
from typing import Any

from bontea.rollouts.answer import read_json
from bontea.rollouts.pool import Server

OWNER = "sglang"
"""What SGLang says of its models, in `owned_by` of `/v1/models`."""
PATH = "/abort_request"
PATIENCE = 5.0


class Aborts:
    """Which servers have the call, and the calls that are going on."""

    def __init__(self) -> None:
        self.known: dict[Server, bool] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def request_id(self, server: Server, body: dict[str, Any]) -> str | None:
        """An id for a request to a server that has the call; None for others, or not yet known."""
        if server not in self.known:
            self.known[server] = False
            self._begin(self._look(server))
        own = body.get("rid")
        if not self.known[server] or own is not None:
            return None
        return uuid.uuid4().hex  # all of one length: SGLang takes an id for a prefix

    def abort(self, server: Server, request_id: str, asked: asyncio.Future[bytes]) -> None:
        """Ask the server, beside everything else, to end a request; then close its connection."""
        self._begin(self._call(server, request_id, asked))

    async def close(self) -> None:
        """Wait for the calls that are going on."""
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=PATIENCE)

    def _begin(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _look(self, server: Server) -> None:
        with suppress(Exception):  # who does not answer has no such call
            found = read_json(await asyncio.wait_for(server.client.get("/models"), PATIENCE))
            self.known[server] = any(model.get("owned_by") == OWNER for model in found["data"])

    async def _call(self, server: Server, request_id: str, asked: asyncio.Future[bytes]) -> None:
        body = json.dumps({"rid": request_id}).encode()
        try:
            with suppress(Exception):  # the closed connection has to do
                await asyncio.wait_for(server.client.post_to_root(PATH, body), PATIENCE)
        finally:
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
