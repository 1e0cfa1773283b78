"""A request for completions: its body, its answer whole or as a stream, and its end.

A client that goes away ends its request, and so what was drawn for it. A stream begins with the
answer; until then it holds comments, which clients skip, so that no proxy closes the line.
"""

from __future__ import annotations

import asyncio
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from bontea._errors import BonteaError
from bontea._json import strict_loads
from bontea._numbers import number
from bontea.serve.errors import ApiError, to_json
from bontea.serve.gateway import Gateway
from bontea.serve.options import Options, read_options
from bontea.serve.reply import chunks, error_event

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
DEEPEST = 100
"""Levels of objects and lists in a body."""
KEEP_ALIVE = 5.0
"""Seconds between two comments of a stream that waits for its answer."""


class Completions:
    """One of the two interfaces, as an ASGI application."""

    def __init__(self, gateway: Gateway, *, chat: bool):
        self.gateway, self.chat = gateway, chat
        self.path = "/v1/chat/completions" if chat else "/v1/completions"

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        request_id, started = uuid.uuid4().hex, time.monotonic()
        reached = Sent(send)
        status, note = 500, ""
        try:
            status, note = await self._answer(scope, receive, reached, request_id, started)
        except asyncio.CancelledError:  # only when the server ends, and the time to end is over
            said = "this server is stopping before the request is done: send it again"
            status, note = 503, "the server stops"
            await reached.error(ApiError(503, said, code="stopping", after=5.0))
        except ApiError as error:
            status, note = error.status, str(error)
            await reached.error(error)
        except Exception as error:  # a bug: the client gets an answer, the operator the place
            note = type(error).__name__
            self.gateway.say(f"request {request_id} failed: {_traceback(error)}")
            await reached.error(ApiError(500, f"this server failed on the request {request_id}"))
        finally:
            self.gateway.metrics.requests.labels(self.path, str(status)).inc()
            took = time.monotonic() - started
            self.gateway.metrics.seconds.observe(took)
            if self.gateway.settings.verbose:
                # What an upstream says of a request may quote it.
                shown = note if status < 400 else ""
                self.gateway.say(f"{request_id} {self.path} {status} {number(took, 3)} s {shown}")

    async def _answer(
        self, scope: Any, receive: Receive, send: Sent, request_id: str, started: float
    ) -> tuple[int, str]:
        gateway = self.gateway
        headers = _headers(scope)
        gateway.keys.check(headers)
        body = await _read(receive, headers, gateway.settings.body_mb * 2**20)
        value = _json(body)
        options = read_options(value, headers, gateway.settings, chat=self.chat)

        async def work() -> dict[str, Any]:
            left = None
            if options.deadline is not None:
                left = max(started + options.deadline - time.monotonic(), 0.0)
            async with gateway.gate.enter(left):
                return await gateway.answer(options, request_id, started)

        answering = asyncio.create_task(work())
        leaving = asyncio.create_task(_gone(receive))
        try:
            wait = KEEP_ALIVE if options.stream else None
            both = {answering, leaving}
            await asyncio.wait(both, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            if options.stream and not (answering.done() or leaving.done()):
                return await self._wait_in_stream(answering, leaving, send, options)
            if not answering.done():
                return 499, "the client went away"
            answer = answering.result()
            if options.stream:
                await send.start(200, "text/event-stream")
                await send.events(chunks(answer, options))
            else:
                await send.json(200, answer, {})
            return 200, _summary(answer)
        finally:
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)

    async def _wait_in_stream(
        self,
        answering: asyncio.Task[Any],
        leaving: asyncio.Task[None],
        send: Sent,
        options: Options,
    ) -> tuple[int, str]:
        await send.start(200, "text/event-stream")
        while not answering.done():
            await send.comment("drawing")
            await asyncio.wait(
                {answering, leaving}, timeout=KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED
            )
            if leaving.done() and not answering.done():
                return 499, "the client went away"
        answer = answering.result()
        await send.events(chunks(answer, options))
        return 200, _summary(answer)


class Sent:
    """What is sent to one client."""

    def __init__(self, send: Send):
        self._send = send
        self.started = self.ended = False

    async def error(self, error: ApiError) -> None:
        """An error, in a stream that has begun as its end; nothing after a whole answer."""
        if not self.started:
            await self.json(error.status, error.body, error.headers)
        elif not self.ended:
            await self.events([error_event(error), b"data: [DONE]\n\n"])

    async def json(self, status: int, value: Any, headers: dict[str, str]) -> None:
        data = to_json(value)
        await self.start(status, "application/json", {**headers, "content-length": str(len(data))})
        await self._body(data, more=False)

    async def start(self, status: int, kind: str, headers: dict[str, str] | None = None) -> None:
        self.started = True
        own = {"content-type": kind, **(headers or {})}
        if kind == "text/event-stream":  # proxies that buffer would hold the comments back
            own |= {"cache-control": "no-cache", "x-accel-buffering": "no"}
        pairs = [(name.encode(), value.encode("latin-1", "replace")) for name, value in own.items()]
        await self._put({"type": "http.response.start", "status": status, "headers": pairs})

    async def comment(self, text: str) -> None:
        await self._body(f": {text}\n\n".encode(), more=True)

    async def events(self, events: Any) -> None:
        for event in events:
            await self._body(event, more=True)
        await self._body(b"", more=False)

    async def _body(self, data: bytes, *, more: bool) -> None:
        self.ended = self.ended or not more
        await self._put({"type": "http.response.body", "body": data, "more_body": more})

    async def _put(self, message: Message) -> None:
        with suppress(OSError):  # the client does not wait
            await self._send(message)


async def _read(receive: Receive, headers: dict[str, str], largest: float) -> bytes:
    """The body of a request. Raises ApiError (413) before it is read where that is known."""
    too_large = ApiError(
        413, f"the body is larger than {number(largest / 2**20)} megabytes, the limit here"
    )
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > largest:
        raise too_large
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ApiError(499, "the client went away")
        part = message.get("body", b"")
        size += len(part)
        if size > largest:
            raise too_large
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _json(body: bytes) -> Any:
    """The value of a body. Raises ApiError (400)."""
    try:
        value = strict_loads(body.decode("utf-8"), "the body")
    except UnicodeDecodeError:
        raise ApiError(400, "the body is not UTF-8", code="invalid_json") from None
    except BonteaError as error:
        raise ApiError(400, str(error), code="invalid_json") from None
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [one for one in level if isinstance(one, (dict, list))]
        if not level:
            return value
        inner = (one.values() if isinstance(one, dict) else one for one in level)
        level = [one for some in inner for one in some]
    raise ApiError(400, f"the body is nested more than {DEEPEST} levels deep", code="invalid_json")


async def _gone(receive: Receive) -> None:
    """Ends when the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _headers(scope: Any) -> dict[str, str]:
    """By name in small letters; one that is there several times is a list, as HTTP has it."""
    out: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
        out[name] = f"{out[name]}, {text}" if name in out else text
    return out


def _summary(answer: dict[str, Any]) -> str:
    own = answer["bontea"]
    reward = own["reward"]
    shown = "none" if reward is None else number(reward, 4)
    return f"drawn {own['drawn']}, reward {shown}, stopped: {own['stopped']}"


def _traceback(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
