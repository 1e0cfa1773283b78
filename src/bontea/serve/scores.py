"""Rewards for many requests at once: what waits is scored in batches, in a thread of its own.

A function runs in a process of its own, in its main thread: it may use signals, take all of a core,
hang or crash without holding up the server, and is ended after its time. A model in this process
gets whatever waits in one batch; a server gets several requests at a time.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from bontea._numbers import number
from bontea.rollouts.calls import Awaited, Calls, EndedError, Inbox, InWorkers, calls_of
from bontea.rollouts.judge import Failure, Scored, Task, Verdicts
from bontea.rollouts.rewards import ClassifierReward, Reward, is_async, load_reward, name_of
from bontea.serve.settings import ServeSettings

FORGOTTEN = 30.0
"""Seconds after which a failure says nothing of now. A balancer that sends no request to a server
that says "failing" would otherwise never learn that it works again."""
FOR_SERVERS = 8
"""Calls at once of a reward that waits rather than computes."""


class Scores:
    """The reward of a server; `begin` before the first `score`, `close` at the end."""

    def __init__(self, calls: Calls, *, batch_size: int, timeout: float):
        self.calls, self.timeout = calls, timeout
        self.inbox = Inbox(batch_size)
        self.waiting = 0
        """Responses that are being scored or wait for it."""
        self._failed_at: float | None = None
        """When the last call of the reward failed; None where it gave values."""
        self.error: str | None = None
        """What went wrong last beside the reward itself: a bug."""
        self._ended = -float("inf")
        """When a call of the reward ended last."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self) -> None:
        """Start scoring; in the event loop that will ask."""
        self._loop = asyncio.get_running_loop()
        if isinstance(self.calls, InWorkers):
            self.calls.begin()
        self._thread.start()

    @property
    def works(self) -> bool:
        """Whether the last call gave values, or failed so long ago that it is worth a try."""
        return self._failed_at is None or time.monotonic() - self._failed_at > FORGOTTEN

    def close(self) -> None:
        """End at once."""
        self.inbox.stop()
        self.calls.close()

    async def score(self, prompt: Any, completion: Any, columns: dict[str, Any]) -> Scored:
        """The reward of one response; with `error` where the reward failed."""
        assert self._loop is not None
        future: asyncio.Future[Scored] = self._loop.create_future()
        self.waiting += 1
        try:
            self.inbox.put([Task(future, "", prompt, completion, columns)])
            begun = time.monotonic()
            while True:
                # Others are before it, and each of their calls ends in its time: it waits for as
                # long as some call does end.
                patience = 2 * self.timeout + 5 - (time.monotonic() - max(begun, self._ended))
                if patience <= 0:
                    break
                if (await asyncio.wait({future}, timeout=patience))[0]:
                    return future.result()
            self._failed_at = time.monotonic()
            took = f"took longer than {number(self.timeout)} s (--reward-timeout)"
            return Scored(None, None, f"reward {self.calls.name!r} {took}")
        finally:
            future.cancel()  # what nobody waits for is not scored
            self.waiting -= 1

    def _run(self) -> None:
        while True:
            try:
                self.calls.run(self.inbox, self._verdicts, self._done)
                return
            except Exception as error:  # never without an answer for those who wait
                self.error = type(error).__name__  # its text may quote a prompt
                self._failed_at = time.monotonic()
                if self.inbox.closed:
                    return
                time.sleep(0.1)  # an error that comes back at once must not take all of a core

    def _verdicts(self, tasks: Sequence[Task]) -> Verdicts:
        """A batch that fails is tried by parts, until those that fail alone are found."""
        todo = [list(tasks)]
        while todo:
            part = [task for task in todo.pop() if not task.key.done()]
            if not part:
                continue
            result = yield part
            self._ended = time.monotonic()
            self._failed_at = time.monotonic() if isinstance(result, Failure) else None
            if not isinstance(result, Failure):
                self._done([self._scored(*one) for one in zip(part, result.tolist(), strict=True)])
            elif len(part) == 1 or result.is_of_the_reward:
                self._done([Scored(task.key, None, str(result)) for task in part])
            elif isinstance(result.error, EndedError):  # halves would take their time once more
                todo += [[task] for task in reversed(part)]
            else:
                half = len(part) // 2
                todo += [part[half:], part[:half]]
        return []

    def _scored(self, task: Task, value: float) -> Scored:
        if np.isinf(value):
            return Scored(task.key, None, f"reward {self.calls.name!r} returned {value}")
        return Scored(task.key, None if np.isnan(value) else value)

    def _done(self, scored: list[Scored]) -> None:
        assert self._loop is not None

        def settle() -> None:
            for one in scored:
                if not one.key.done():
                    one.key.set_result(one)

        with suppress(RuntimeError):  # the server has ended
            self._loop.call_soon_threadsafe(settle)


def load_scores(settings: ServeSettings) -> Scores:
    """The reward of the settings, loaded. Raises what loading it raises."""
    spec = str(settings.reward)
    options = {"trust_remote_code": settings.trust_remote_code}
    reward = load_reward(
        spec,
        **options,
        model=settings.reward_model,
        tokenizer=settings.reward_tokenizer,
        key_name=settings.reward_key_env,
        timeout=settings.reward_timeout,
        retries=settings.retries,
    )
    calls = _calls(reward, spec, options, settings)
    return Scores(calls, batch_size=settings.batch_size, timeout=settings.reward_timeout)


def _calls(reward: Reward, spec: str, options: dict[str, Any], settings: ServeSettings) -> Calls:
    count = settings.reward_concurrency
    if isinstance(reward, ClassifierReward):
        return calls_of(reward, count or 1)
    if is_async(reward):
        return Awaited(reward, count or FOR_SERVERS, timeout=settings.reward_timeout)
    if spec.startswith(("http://", "https://")):
        return calls_of(reward, count or FOR_SERVERS)
    return InWorkers(name_of(reward), spec, count or 1, options, timeout=settings.reward_timeout)
