"""A server that has a call to end a response is asked to; others are not."""

import asyncio
import contextlib
import json

import pytest

from bontea.serve.options import read_options
from bontea.serve.settings import ServeSettings
from bontea.serve.upstream import Endpoints

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


class Slow:
    """A server over loopback that answers after a while, and has `/abort_request`."""

    def __init__(self, owner):
        self.owner, self.asked, self.aborted = owner, [], []

    async def app(self, scope, receive, send):
        if scope["type"] != "http":
            return
        data = b""
        while True:
            message = await receive()
            data += message.get("body", b"")
            if not message.get("more_body"):
                break
        answer = {}
        if scope["path"] == "/v1/models":
            answer = {"data": [{"id": "m", "owned_by": self.owner}]}
        elif scope["path"] == "/abort_request":
            self.aborted.append(json.loads(data)["rid"])
        else:
            self.asked.append(json.loads(data))
            choice = {"index": 0, "finish_reason": "stop", "message": {"content": "1"}}
            answer = {"choices": [choice]}
            await asyncio.sleep(0 if len(self.asked) == 1 else 30)
        body = json.dumps(answer).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize("owner", ["sglang", "vllm"])
def test_abort(owner):
    import uvicorn

    async def run():
        slow = Slow(owner)
        config = uvicorn.Config(
            slow.app, port=0, log_level="critical", lifespan="off", interface="asgi3"
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        settings = ServeSettings(endpoint=f"http://127.0.0.1:{port}/v1", reward="r")
        options = read_options(BODY, {}, settings, chat=True)
        async with Endpoints(settings) as upstream:
            await upstream.draw(options, 0)
            while upstream.aborts.tasks:
                await asyncio.sleep(0.01)
            draws = [asyncio.create_task(upstream.draw(options, n)) for n in (1, 2)]
            while len(slow.asked) < 3:
                await asyncio.sleep(0.01)
            draws[0].cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await draws[0]
            while upstream.aborts.tasks:
                await asyncio.sleep(0.01)
            first = list(slow.aborted)
            draws[1].cancel()
            await asyncio.gather(*draws, return_exceptions=True)
        server.should_exit = server.force_exit = True
        await serving
        return slow, first

    slow, first = asyncio.run(asyncio.wait_for(run(), 30))
    rids = [body.get("rid") for body in slow.asked]
    if owner == "sglang":
        assert rids[0] is None  # it was not known yet
        assert len(set(rids[1:])) == 2
        assert first == [rids[1]] or first == [rids[2]]
        assert sorted(slow.aborted) == sorted(rids[1:])
    else:
        assert rids == [None] * 3
        assert slow.aborted == []
