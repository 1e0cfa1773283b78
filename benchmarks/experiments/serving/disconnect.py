"""Does a server stop generating when its client goes away?

    python disconnect.py http://127.0.0.1:8081/v1 --requests 4 --tokens 900

`--requests` long requests are begun and cancelled after half a second. After `--settle` seconds in
which nothing is asked, the server should be free. Four cases: non-streaming and streaming requests,
each on a server that is quiet otherwise, and beside one long streaming request of another client,
which stays. The second matters: a server may look for closed connections only while it is quiet.

Two things say whether the server still works for nobody:

- running: how many requests run, by what the server itself says (`/slots` of llama.cpp, the gauge
  in `/metrics` of llama.cpp, vLLM and SGLang). It is read once, because asking can change what is
  measured: llama.cpp forgets to look for closed connections while it is asked every second.
- probe: how long one short request takes then. It works with every server, if the long requests
  fill it (`--requests` at least the number that it serves at once), so that the short one waits.

For a gateway, `--behind` names the server behind it: how many requests run is then read there.

A control, in which nobody goes away, shows what both are while the long requests run. Needs httpx.
Ends with status 1 if the server goes on in any case, and 2 if this could not be told.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

import httpx

GAUGES = ("llamacpp:requests_processing", "vllm:num_requests_running", "sglang:num_running_reqs")
LONG = "Count from one to one thousand in words, one number on each line. Do not stop before."
SHORT = "Say yes."
CASES = {
    "non-streaming": (False, False),
    "non-streaming, beside another client": (False, True),
    "streaming": (True, False),
    "streaming, beside another client": (True, True),
}


class Server:
    """An OpenAI-compatible server, and what it says about itself."""

    def __init__(self, args: argparse.Namespace):
        self.url = args.url.rstrip("/")
        self.args, self.model = args, args.model
        headers = {"Authorization": f"Bearer {args.key}"} if args.key else {}
        # No connection is used twice: closing it is then what the server sees of a client leaving.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.AsyncClient(timeout=600, headers=headers, limits=limits)

    async def find_model(self) -> None:
        if self.model is None:
            answer = await self.client.get(f"{self.url}/models")
            answer.raise_for_status()
            self.model = answer.json()["data"][0]["id"]

    async def ask(self, text: str, tokens: int, stream: bool) -> None:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": tokens,
            "stream": stream,
        }
        if tokens > 1 and not self.args.no_ignore_eos:
            body["ignore_eos"] = True  # vLLM, SGLang, llama.cpp: the answer is as long as asked
        url = f"{self.url}/chat/completions"
        async with self.client.stream("POST", url, json=body) as answer:
            parts = [part async for part in answer.aiter_text()]
            if answer.status_code != 200:
                raise SystemExit(f"{url}: status {answer.status_code}: {''.join(parts)[:300]}")

    def ask_long(self, count: int, stream: bool) -> list[asyncio.Task[None]]:
        tokens = self.args.tokens
        return [asyncio.create_task(self.ask(LONG, tokens, stream)) for _ in range(count)]

    async def probe(self) -> float:
        """Seconds that a short request takes, at most `--longest`."""
        begun = time.monotonic()
        with suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(self.ask(SHORT, 1, False), self.args.longest)
        return time.monotonic() - begun

    async def running(self) -> int | None:
        """How many requests run, by what the server says; None if it does not say."""
        root = (self.args.behind or self.url).rstrip("/").removesuffix("/v1")
        with suppress(httpx.HTTPError, ValueError, TypeError, KeyError):
            answer = await self.client.get(f"{root}/slots", timeout=10)
            if answer.status_code == 200:
                return sum(bool(slot["is_processing"]) for slot in answer.json())
        with suppress(httpx.HTTPError, ValueError):
            answer = await self.client.get(f"{root}/metrics", timeout=10)
            lines = answer.text.splitlines() if answer.status_code == 200 else []
            found = [line.rsplit(" ", 1)[1] for line in lines if line.startswith(GAUGES)]
            if found:
                return int(sum(float(text) for text in found))
        return None


@dataclass(frozen=True)
class Seen:
    """What was seen of a server `--settle` seconds later."""

    running: int | None
    probe: float

    def __str__(self) -> str:
        running = "server does not say" if self.running is None else f"{self.running} running"
        return f"{running}, a short request takes {self.probe:.2f} s"


async def end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result


async def look(server: Server, stream: bool, beside: bool, leave: bool) -> Seen:
    """Begin long requests, cancel them if `leave`, wait, and look at the server."""
    args = server.args
    other = server.ask_long(int(beside), True)
    tasks = server.ask_long(args.requests - int(beside), stream)
    await asyncio.sleep(args.after)
    if leave:
        await end(tasks)
    await asyncio.sleep(args.settle)
    if early := sum(task.done() for task in (*other, *(() if leave else tasks))):
        raise SystemExit(f"{early} long requests have ended by themselves: raise --tokens")
    seen = Seen(await server.running(), await server.probe())
    await end([*other, *tasks])
    await idle(server)
    return seen


async def idle(server: Server) -> None:
    """Wait until the server has ended what it goes on with, asking rarely."""
    until = time.monotonic() + 600
    while time.monotonic() < until:
        await asyncio.sleep(2.5)
        running = await server.running()
        if running == 0 or (running is None and await server.probe() < server.args.longest / 4):
            return
    raise SystemExit("the server is still busy after ten minutes")


def verdict(seen: Seen, control: Seen, free: Seen, stays: int) -> bool | None:
    """True if it stopped, False if it goes on, None if that cannot be told.

    `stays` is how many requests the client that stays keeps running: more than one at a gateway.
    """
    if seen.running is not None:
        return seen.running <= stays
    if control.probe < 4 * free.probe:
        return None
    return seen.probe < free.probe + (control.probe - free.probe) / 4


async def run(args: argparse.Namespace) -> int:
    server, results = Server(args), []
    async with server.client:
        await server.find_model()
        await server.ask(SHORT, 1, False)  # the first request may be slow
        free = Seen(await server.running(), await server.probe())
        print(f"idle: {free}")
        control = await look(server, stream=True, beside=False, leave=False)
        print(f"control, nobody leaves: {control}")
        alone = (control.running or 0) // args.requests
        for name, (stream, beside) in CASES.items():
            seen = await look(server, stream, beside, leave=True)
            stopped = verdict(seen, control, free, alone * beside)
            said = {True: "stops", False: "GOES ON", None: "cannot tell: more --requests"}[stopped]
            print(f"{name}: {said} ({seen}, {args.settle} s after the clients left)", flush=True)
            results.append(stopped)
    return 2 if None in results else int(not all(results))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="base URL, such as http://127.0.0.1:8081/v1")
    parser.add_argument("--behind", help="base URL of the server behind a gateway")
    parser.add_argument("--model", help="by default the first that /models names")
    parser.add_argument("--key", help="API key, if the server wants one")
    parser.add_argument("--requests", type=int, default=8, help="long requests at once (8)")
    parser.add_argument("--tokens", type=int, default=900, help="of a long request (900)")
    parser.add_argument("--after", type=float, default=0.5, help="seconds until they leave (0.5)")
    parser.add_argument("--settle", type=float, default=3.0, help="seconds until the look (3)")
    parser.add_argument("--longest", type=float, default=20.0, help="seconds a probe may take (20)")
    parser.add_argument(
        "--no-ignore-eos", action="store_true", help="for servers that refuse this field"
    )
    args = parser.parse_args()
    if args.requests < 2:
        parser.error(f"--requests {args.requests}: at least 2 (one stays while the others leave)")
    try:
        return asyncio.run(run(args))
    except httpx.HTTPError as error:
        raise SystemExit(f"{args.url}: {type(error).__name__}: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
