"""A server with OpenAI's interface that draws nothing: what a gateway in front of it costs.

    python benchmarks/experiments/serving/stub.py --port 0 --wait 0.05 --fail 0.3

It answers every completion after `--wait` seconds. The text of a response ends with a number from a
normal law, so that a reward can be read off the text. The first line that it prints is its URL.

`GET /counts` says how many requests came (`asked`), were answered (`answered`), failed on purpose
(`failed`), were left by the client before their answer (`left`), are open now (`open`), and were
open at once at most (`most_open`). `POST /settings` changes `wait`, `fail` and `dies_after` while
it runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
from dataclasses import asdict, dataclass
from typing import Any

TEXT = "this is completion text"
"""How the text of every response begins."""
ERROR = {"error": {"message": "this failure is on purpose", "type": "server_error"}}


@dataclass
class Settings:
    """How the server behaves; all of it may change while it runs."""

    wait: float = 0.05
    """Seconds until an answer."""
    fail: float = 0.0
    """Share of answers that are status 500."""
    dies_after: int | None = None
    """After so many answers the process ends by SIGKILL."""


@dataclass
class Counts:
    """What came so far."""

    asked: int = 0
    answered: int = 0
    failed: int = 0
    left: int = 0
    open: int = 0
    most_open: int = 0


class Stub:
    """The ASGI application."""

    def __init__(self, settings: Settings, seed: int | None = None):
        self.settings, self.counts = settings, Counts()
        self.rng = random.Random(seed)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{message['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        path = scope["path"]
        if path == "/counts":
            await _send(send, asdict(self.counts))
        elif path == "/settings":
            self.settings = Settings(**{**asdict(self.settings), **json.loads(body)})
            await _send(send, asdict(self.settings))
        elif path.endswith("/models"):
            await _send(send, {"object": "list", "data": [{"id": "m", "object": "model"}]})
        else:
            await self._complete(path, receive, send)

    async def _complete(self, path: str, receive: Any, send: Any) -> None:
        counts, settings = self.counts, self.settings
        counts.asked += 1
        counts.open += 1
        counts.most_open = max(counts.most_open, counts.open)
        try:
            if await _left(receive, settings.wait):
                counts.left += 1
                return
            if self.rng.random() < settings.fail:
                counts.failed += 1
                await _send(send, ERROR, 500)
                return
            counts.answered += 1
            if settings.dies_after is not None and counts.answered > settings.dies_after:
                os.kill(os.getpid(), signal.SIGKILL)
            text = f"{TEXT} {self.rng.gauss(0, 1):.9f}"
            await _send(send, _answer(text, chat=path.endswith("/chat/completions")))
        finally:
            counts.open -= 1


async def _left(receive: Any, wait: float) -> bool:
    """Wait; whether the client went away meanwhile."""
    try:
        return (await asyncio.wait_for(receive(), wait))["type"] == "http.disconnect"
    except (asyncio.TimeoutError, TimeoutError):
        return False


def _answer(text: str, *, chat: bool) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    if chat:
        choice["message"] = {"role": "assistant", "content": text}
    else:
        choice["text"] = text
    return {
        "id": "1",
        "object": "chat.completion" if chat else "text_completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10},
    }


async def _send(send: Any, value: Any, status: int = 200) -> None:
    data = json.dumps(value).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


def main() -> None:
    import uvicorn

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--wait", type=float, default=0.05, metavar="SECONDS")
    parser.add_argument("--fail", type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--dies-after", type=int, metavar="ANSWERS")
    parser.add_argument("--seed", type=int, help="of the texts; the failures come from it too")
    args = parser.parse_args()
    stub = Stub(Settings(args.wait, args.fail, args.dies_after), args.seed)
    with socket.create_server(("127.0.0.1", args.port), backlog=4096) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        config = uvicorn.Config(
            stub,
            log_level="critical",
            access_log=False,
            backlog=4096,
            timeout_keep_alive=75,  # longer than a client waits while it is busy
        )
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
