"""The gateway's client of the servers behind."""

from __future__ import annotations

import asyncio
import socket

import pytest

from bontea.rollouts.service import NoConnection, Service
from bontea.serve.http import Client

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}"


async def ask_server_that_closes(after: int, requests: int) -> tuple[list[bytes], int]:
    """Ask a server that closes each connection at the request after so many; answers, requests."""
    asked = 0

    async def serve(reader, writer):
        nonlocal asked
        answered = 0
        while (await reader.readline()).startswith(b"POST"):
            length = 0
            while (line := await reader.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            await reader.readexactly(length)
            asked += 1
            if answered == after:
                break
            answered += 1
            writer.write(ANSWER)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        service = Service("--endpoint", f"http://127.0.0.1:{port}/v1", "--api-key-env", None)
        async with Client(service) as client:
            found = [await client.post("/completions", b"{}") for _ in range(requests)]
    return found, asked


def test_a_kept_connection_that_is_closed_is_no_failure():
    found, asked = asyncio.run(ask_server_that_closes(after=1, requests=3))
    assert found == [b"{}"] * 3
    assert asked == 5  # the second and the third were each sent again


def test_a_server_that_closes_every_connection_is_one():
    with pytest.raises(NoConnection):
        asyncio.run(ask_server_that_closes(after=0, requests=1))


@pytest.mark.parametrize(
    ("host", "said"),
    [("127.0.0.1", "Connection refused"), ("localhost", ""), ("nowhere.invalid", "")],
)
def test_why_there_is_no_connection_names_no_address(host, said):
    """Clients of the gateway are told, and where the server behind is is not for them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    service = Service("--endpoint", f"http://{host}:{port}/v1", "--api-key-env", None)

    async def ask():
        async with Client(service) as client:
            await client.post("/completions", b"{}")

    with pytest.raises(NoConnection) as caught:
        asyncio.run(ask())
    reason = service.reason(caught.value)
    assert reason.startswith("no connection (")
    assert said in reason
    assert str(port) not in reason
    assert "127.0.0.1" not in reason
