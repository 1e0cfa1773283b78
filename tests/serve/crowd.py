"""Many clients at once, for the tests of `bontea serve` under load."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

from tests.scripts import ROOT, load_script

SERVING = ROOT / "benchmarks" / "experiments" / "serving"
processes = load_script(SERVING / "processes.py")
PATH = "/v1/chat/completions"
PROMPT = "this is prompt text"
UPSTREAM_KEY, CLIENT_KEY = "sk-secret-upstream", "sk-secret-client"
KEYS = {"OPENAI_API_KEY": UPSTREAM_KEY, "CLIENT_KEYS": f"another,{CLIENT_KEY}"}


def start_gateway(*flags: str):
    """`bontea serve` with keys on both sides, which says what it can."""
    return processes.start_gateway(
        *("--client-keys-env", "CLIENT_KEYS", "--verbose"), *flags, env=KEYS
    )


@dataclass
class Ends:
    """How the requests ended, in the order in which they did."""

    answers: list[Any] = field(default_factory=list)
    """Of those with status 200."""
    streams: list[str] = field(default_factory=list)
    """The texts of those that were streamed."""
    errors: list[tuple[int, Any]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Requests that got no answer at all."""

    def check(self, count: int) -> None:
        """Every request ended with an answer or an error in OpenAI's form."""
        assert not self.lost
        assert len(self.answers) + len(self.streams) + len(self.errors) == count
        assert all(self.streams)
        for answer in self.answers:
            assert answer["choices"][0]["message"]["content"]
            assert answer["bontea"]["drawn"] >= 1
        for status, body in self.errors:
            assert status >= 400
            assert body["error"].keys() == {"message", "type", "param", "code"}


class Crowd:
    """Clients of one gateway, in an event loop; a context."""

    def __init__(self, url: str):
        self.url, self.ends = url, Ends()
        self.tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Crowd:
        import aiohttp

        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            headers={"Authorization": f"Bearer {CLIENT_KEY}"},
            timeout=aiohttp.ClientTimeout(total=60),
        )
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.leave()
        await self.session.close()

    def ask(self, count: int, **body: Any) -> None:
        """Begin so many requests."""
        self.tasks += [asyncio.create_task(self._one(i, body)) for i in range(count)]

    async def end(self, seconds: float) -> Ends:
        """How they ended, which they must within so many seconds."""
        _, pending = await asyncio.wait(self.tasks, timeout=seconds)
        assert not pending, f"{len(pending)} of {len(self.tasks)} requests hang"
        return self.ends

    async def leave(self) -> None:
        """All clients go away."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _one(self, number: int, more: dict[str, Any]) -> None:
        import aiohttp

        turn = {"role": "user", "content": f"{PROMPT} {number % 7 / 4}"}
        body = {"model": "m", "messages": [turn], **more}
        try:
            async with self.session.post(self.url + PATH, json=body) as answer:
                if answer.content_type == "text/event-stream":
                    self._note_stream(await answer.text())
                    return
                found = await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self.ends.lost.append(f"{type(error).__name__}: {error}")
            return
        if answer.status == 200:
            self.ends.answers.append(found)
        else:
            self.ends.errors.append((answer.status, found))

    def _note_stream(self, text: str) -> None:
        events = [line.removeprefix("data: ") for line in text.split("\n\n") if line[:1] == "d"]
        assert events[-1] == "[DONE]"
        found = [json.loads(event) for event in events[:-1]]
        if "error" in found[-1]:
            self.ends.errors.append((500, found[-1]))
        else:
            self.ends.streams.append(
                "".join(c["choices"][0]["delta"].get("content", "") for c in found)
            )


async def until(what, seconds: float = 10.0) -> None:
    """Wait until `what()` is true."""
    end = time.monotonic() + seconds
    while not await asyncio.to_thread(what):
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.05)


def metric(gateway: Any, name: str) -> float:
    """A number of `/metrics`."""
    import urllib.request

    with urllib.request.urlopen(f"{gateway.url}/metrics", timeout=20) as page:
        lines = page.read().decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"bontea_{name} "))


def check_quiet(gateway: Any) -> None:
    """Nothing confidential is in what the gateway printed."""
    said = gateway.said()
    assert "serving at" in said
    for secret in ("sk-secret", "prompt text", "completion text"):
        assert secret not in said
