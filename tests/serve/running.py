"""A gateway over loopback in this process, in front of a real server of ours."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bontea.rollouts.answer import Completion
from bontea.serve import Gateway, ServeSettings, make_app
from bontea.serve.errors import ApiError
from bontea.serve.upstream import Response

REWARD = "tests.serve.rewards:of_text"


@contextmanager
def running(settings: dict[str, Any] | ServeSettings, said: list[str] | None = None) -> Iterator:
    """The base URL of a running gateway, and the gateway: `with running({...}) as (url, it):`."""
    import uvicorn

    from bontea.serve.run import _listen

    wanted = settings if isinstance(settings, ServeSettings) else ServeSettings(**settings)
    lines = [] if said is None else said
    gateway = Gateway(wanted, lines.append)
    listener = _listen("127.0.0.1", 0)
    config = uvicorn.Config(
        make_app(gateway),
        log_level="critical",
        lifespan="on",
        timeout_graceful_shutdown=max(1, round(wanted.drain)),
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        thread.join(0.02)
    if gateway.failure:
        raise gateway.failure
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", gateway
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive()


class Known:
    """An upstream in memory whose response number j has the text of the j-th reward."""

    works = True

    def __init__(self, rewards: list[Any], seconds: dict[int, float] | None = None):
        self.rewards, self.seconds = rewards, seconds or {}
        self.begun: list[int] = []
        self.cancelled: list[int] = []

    async def draw(self, options: Any, number: int) -> Response:
        self.begun.append(number)
        try:
            await asyncio.sleep(self.seconds.get(number, 0))
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        value = self.rewards[number]
        if isinstance(value, ApiError):
            raise value
        text = json.dumps(value)
        choice = {"index": 0, "finish_reason": "stop", "message": {"content": text}}
        return Response({"choices": [choice], "model": "m"}, Completion(text, "stop"))
