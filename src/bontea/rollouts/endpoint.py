"""Draw rollouts from an OpenAI-compatible server, and score and write them as they arrive.

    workers --(queue)--> writer --(inbox)-->     reward --> file
    [in a thread of their own  ]                 [in the thread of the caller]

One request a rollout, with a seed of its own from (seed, prompt, rollout): what is missing from the
file is what is asked for, in any order. What arrives is put onto the disk before anything else, and
is scored in batches while requests go on. The requests have the thread of their own, because
verifiers that guard themselves with signals work in the main thread only.

A chat goes to `chat/completions` as it is, with its tools; a text does so as one user turn, or with
`completions` to `completions` as it is. Nothing is sent that filters tokens; filters that a server
adds by itself (`top_p`, `top_k`, `min_p`) are its own business, and docs/sample.md says how to turn
them off. What is in an answer is read in `answer.py`, and which server is asked is decided in
`pool.py`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bontea.rollouts._beside import Beside
from bontea.rollouts.answer import Completion, completion_of, read_json
from bontea.rollouts.body import limit_of, remedy, shaped
from bontea.rollouts.calls import Calls, Inbox
from bontea.rollouts.chats import only_for_prefills, request_fields
from bontea.rollouts.drawn import Drawn
from bontea.rollouts.generate import seed_of
from bontea.rollouts.pool import Pool, Server
from bontea.rollouts.prompts import Row
from bontea.rollouts.rewards import Reward
from bontea.rollouts.scoring import Scorer
from bontea.rollouts.service import AGAIN, HOPELESS, EndpointError, Service
from bontea.rollouts.table import RolloutFile

ENOUGH_FAILURES = 10
"""So many requests in a row that fail after all retries mean a dead server."""
GRACE = 10.0
"""Seconds that requests in flight have to end after a stop was asked for."""


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn."""

    temperature: float = 1.0
    max_new_tokens: int = 512
    seed: int = 0
    completions: bool = False
    concurrency: int = 16
    requests_per_minute: float | None = None
    extra_body: dict[str, Any] | None = None
    """Put over each request; null leaves a field out."""


def sample_endpoint(
    services: Service | Sequence[Service],
    sampling: Sampling,
    rows: dict[int, Row],
    reward: Reward | Calls,
    file: RolloutFile,
    *,
    m: int,
    batch_size: int = 64,
    on_rows: Callable[[int], None] = lambda count: None,
    on_trouble: Callable[[str], None] = lambda text: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Bring a rollout file to `m` scored rollouts of every prompt.

    `services` are one server, or several that serve the same model. `rows` are the prompts by
    number; `on_rows` gets the number of rows written each time, and `on_trouble` what requests are
    retried for, once in a while, and what the reward raised. When `should_stop` turns true no
    request is begun any more, those in flight have ten seconds, and what arrived is scored and
    written.

    Raises EndpointError when every server is dead or refuses every request, and at the end if some
    requests were given up; ValueError or RuntimeError when the reward fails. Whatever arrived
    before has been scored and written then, or if it is the reward that failed, kept to be scored.
    """
    services = [services] if isinstance(services, Service) else list(services)
    scorer = Scorer(
        reward,
        rows,
        file,
        batch_size=batch_size,
        name=services[0].model,
        on_rows=on_rows,
        on_trouble=lambda text: on_trouble(f"reward: {text}"),
    )
    failed = threading.Event()
    run = _Run(
        services,
        sampling,
        rows,
        scorer,
        batch_size,
        lambda text: on_trouble(f"endpoint: {text}"),
        lambda: failed.is_set() or should_stop(),
    )
    inbox = Inbox(batch_size, on_taken=lambda count: requests.call_soon(lambda: run.free(count)))
    left = scorer.left()
    inbox.put(left)
    run.inbox, run.without_room = inbox, len(left)
    requests = Beside(run.all(run.missing(m)), on_end=inbox.close)
    try:
        scorer.run(inbox)
    except Exception:
        failed.set()  # what is in flight has been paid for
        with suppress(Exception):
            requests.join()
        raise
    except BaseException:
        requests.cancel()
        raise
    requests.join()
    if not should_stop():
        scorer.finish()


class _Stopping(Exception):
    """A worker ends because a stop was asked for."""


class _Run:
    """One call of `sample_endpoint`."""

    def __init__(
        self,
        services: list[Service],
        sampling: Sampling,
        rows: dict[int, Row],
        scorer: Scorer,
        batch_size: int,
        on_trouble: Callable[[str], None],
        should_stop: Callable[[], bool],
    ):
        self.sampling, self.rows, self.model = sampling, rows, services[0].model
        self.scorer, self.batch_size = scorer, batch_size
        self.inbox: Inbox
        self.without_room = 0
        self.on_trouble, self.should_stop = on_trouble, should_stop
        self.pool = Pool(services, sampling.requests_per_minute, on_trouble)
        self.succeeded = self.failed = self.failed_in_row = 0
        self.last_error: EndpointError | None = None
        self.refused: dict[int, EndpointError] = {}
        """What was said of prompts that the server does not take, such as one that is too long."""
        self.said_empty = False

    def missing(self, m: int) -> Iterator[tuple[int, int]]:
        """The rollouts to ask for, prompt by prompt: servers keep the prompt's prefix."""
        for i in self.rows:
            for j in range(m):
                if not self.scorer.drawn.has(i, j):
                    yield i, j

    async def all(self, missing: Iterator[tuple[int, int]]) -> None:
        self.stopping = asyncio.Event()
        self.arrived: asyncio.Queue[Any] = asyncio.Queue()
        self.room = asyncio.Semaphore(2 * self.batch_size + self.sampling.concurrency)
        async with self.pool:
            workers = [
                asyncio.create_task(self._work(missing)) for _ in range(self.sampling.concurrency)
            ]
            writer = asyncio.create_task(self._write())
            try:
                error = await self._watch(workers, writer)
                self.arrived.put_nowait(None)  # the end
                await writer
            finally:
                for task in (*workers, writer):
                    task.cancel()
                await asyncio.gather(*workers, writer, return_exceptions=True)
        if error:
            raise error
        if self.last_error and not self.stopping.is_set():
            if not self.succeeded:
                raise next(iter(self.refused.values()))
            raise EndpointError(
                f"{self.failed:,} requests were given up, while others were answered; the last "
                f"one: {self.last_error}"
            )

    async def _watch(
        self, workers: list[asyncio.Task[None]], writer: asyncio.Task[None]
    ) -> BaseException | None:
        """Wait for the workers; the first error among them, after which the others are ended."""
        running, deadline = set(workers), float("inf")
        while running:
            done, _ = await asyncio.wait(
                {*running, writer}, timeout=0.2, return_when=asyncio.FIRST_COMPLETED
            )
            running -= done
            errors = (task.exception() for task in done)
            error = next((error for error in errors if error), None)
            if not self.stopping.is_set() and self.should_stop():
                self.stopping.set()
                deadline = time.monotonic() + GRACE
            if error or writer in done or time.monotonic() > deadline:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)
                return error
        return None

    async def _work(self, missing: Iterator[tuple[int, int]]) -> None:
        for i, j in missing:
            if i in self.refused:  # another rollout of the prompt is the same but for its seed
                self.failed += 1
                continue
            failure = None
            # Before the request: what has been drawn never waits where a stop would lose it.
            await self.room.acquire()
            try:
                completion = await self._draw(i, j)
            except _Stopping:
                return
            except EndpointError as error:
                failure = error
            if failure:
                self.room.release()
                self._count_failure(failure, i)
                continue
            self.succeeded, self.failed_in_row = self.succeeded + 1, 0
            drawn = Drawn(i, j, *completion)
            if not (drawn.is_answer or self.said_empty):
                self.said_empty = True
                self.on_trouble(_why_empty(drawn, self.sampling))
            self.arrived.put_nowait(drawn)

    def _count_failure(self, error: EndpointError, prompt: int) -> None:
        if error.status in HOPELESS:
            raise error
        if error.status is not None:
            error = EndpointError(f"{error} (prompt {prompt})", error.status)
        status = error.status or 0
        refused = 400 <= status < 500 and status not in AGAIN
        if not (self.succeeded or refused):
            raise error
        self.failed, self.last_error = self.failed + 1, error
        if refused:
            # A refusal comes at once, and before the first answer: it says nothing of the server,
            # unless there are too many to be about prompts.
            self.refused.setdefault(prompt, error)
            if not self.succeeded and len(self.refused) >= ENOUGH_FAILURES:
                raise next(iter(self.refused.values()))
            return
        self.failed_in_row += 1
        if self.failed_in_row >= ENOUGH_FAILURES:
            raise EndpointError(
                f"{ENOUGH_FAILURES} requests, one after the other, were given up: {error}"
            )

    async def _draw(self, i: int, j: int) -> Completion:
        body = self._body(i, j)
        path = "/completions" if self.sampling.completions else "/chat/completions"

        async def send(server: Server) -> Completion:
            options = server.service.request_options()
            data = await server.client.post(path, body=body, options=options, cast_to=bytes)
            return completion_of(read_json(data))

        try:
            return await self.pool.ask(send, self._pause)
        except EndpointError as error:
            refused = error
        if refused.status not in (400, 422):
            raise refused
        what = remedy(str(refused), body, self.sampling.extra_body)
        raise EndpointError(f"{refused}{what}", refused.status)

    async def _pause(self, seconds: float) -> None:
        """Sleep; raise _Stopping if a stop was asked for before or meanwhile."""
        if seconds > 0 and not self.stopping.is_set():
            try:
                await asyncio.wait_for(self.stopping.wait(), seconds)
            except (asyncio.TimeoutError, TimeoutError):
                return
        if self.stopping.is_set():
            raise _Stopping

    def _body(self, i: int, j: int) -> dict[str, Any]:
        row, sampling = self.rows[i], self.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            # 31 bits, which every server takes; no two rollouts of a prompt share a seed.
            "seed": (seed_of(sampling.seed, i) + j) % 2**31,
        }
        if sampling.completions:
            body["prompt"] = row["prompt"]
        else:
            body |= request_fields(row)
        return only_for_prefills(shaped(body, sampling.extra_body))

    async def _write(self) -> None:
        """Put what arrives onto the disk, and hand it on to be scored."""
        ended = False
        while not ended:
            batch = [await self.arrived.get()]
            while not self.arrived.empty():
                batch.append(self.arrived.get_nowait())
            if batch[-1] is None:
                ended = True
                batch.pop()
            self.inbox.put(await asyncio.to_thread(self.scorer.keep, batch))

    def free(self, count: int) -> None:
        """So many completions are being scored: there is room for as many more."""
        left = min(count, self.without_room)  # they come first, and no request was made for them
        self.without_room -= left
        for _ in range(count - left):
            self.room.release()


def _why_empty(drawn: Drawn, sampling: Sampling) -> str:
    """What to say of the first completion that has no text to score."""
    if drawn.finish_reason == "length":
        why = "its tokens were used up"
        if drawn.reasoning_only:
            why = "thinking used up its tokens"
        why += f" ({limit_of(sampling.max_new_tokens, sampling.extra_body)})"
    elif drawn.reasoning_only:
        why = (
            "the server says that all of it is thinking (check its reasoning parser, which tells "
            "thinking from the answer)"
        )
    else:
        why = f"finish_reason {drawn.finish_reason!r}"
    return f"a completion has no text, and gets no reward: {why}"
