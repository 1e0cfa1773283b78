"""Where a reward function is called, and how many times at once.

- `InPlace`: one batch after the other, in the thread that asks: the main one, as verifiers need it
  that guard themselves with `signal.alarm`.
- `Awaited`: an `async` function, so many batches at a time, all in one event loop of that thread.
- `InThreads`: a reward that a server computes, so many requests at a time.
- `InWorkers`: any other function, in so many processes, called in the main thread of each.

With `concurrency` K, a call gets the K-th part of what waits, so that the calls end at about the
same time, and a slow completion does not hold up the others.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import queue
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Protocol

from bontea._errors import BonteaError, FailedError
from bontea._numbers import number
from bontea.rollouts.judge import (
    Failure,
    Outcome,
    Scored,
    Task,
    Verdicts,
    arguments,
    drive,
    drive_async,
    outcome,
    outcome_async,
)
from bontea.rollouts.reward_servers import HttpReward
from bontea.rollouts.rewards import (
    ClassifierReward,
    Reward,
    is_async,
    name_of,
    wait_for,
)


class Inbox:
    """What waits to be scored; one thread may put in what another takes out."""

    def __init__(
        self, batch_size: int, on_taken: Callable[[int], None] = lambda count: None
    ) -> None:
        self.batch_size, self.on_taken = batch_size, on_taken
        self._tasks: list[Task] = []
        self._closed = False
        self._changed = threading.Condition()

    def put(self, tasks: Iterable[Task]) -> None:
        with self._changed:
            self._tasks += tasks
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing comes any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Give out nothing any more."""
        with self._changed:
            self._tasks.clear()
        self.close()

    def take(self, parts: int = 1, *, wait: bool = True) -> list[Task] | None:
        """One of so many parts of what waits, a batch at most; None when there will be no more.

        Nothing may be waiting: then an empty list, or with `wait` as long as it takes.
        """
        with self._changed:
            while wait and not self._tasks and not self._closed:
                self._changed.wait(0.5)  # a wait without an end cannot be interrupted everywhere
            if not self._tasks:
                return None if self._closed else []
            count = min(-(-len(self._tasks) // parts), self.batch_size)
            taken, self._tasks = self._tasks[:count], self._tasks[count:]
        self.on_taken(count)
        return taken


class Calls(Protocol):
    """A way to call a reward."""

    name: str

    def run(
        self,
        inbox: Inbox,
        verdicts: Callable[[Sequence[Task]], Verdicts],
        done: Callable[[list[Scored]], None],
    ) -> None:
        """Score what is in the inbox until it is closed; `done` gets it, in the caller's thread.

        An error of a verdict ends it, after the calls that are going on.
        """

    def close(self) -> None:
        """Give back what was held from one run to the next."""


class EndedError(FailedError):
    """A call that did not come back: its process died, or its time was over."""


class InPlace:
    """One call at a time, in this thread."""

    def __init__(self, reward: Reward):
        self.reward, self.name = reward, name_of(reward)

    def run(self, inbox: Inbox, verdicts: Any, done: Any) -> None:
        while batch := inbox.take():
            done(drive(verdicts(batch), partial(outcome, self.reward)))

    def close(self) -> None:
        pass


class Awaited:
    """So many calls at a time of an `async` function, in the event loop of all rewards.

    A call that takes longer than `timeout` seconds is cancelled, which fails it.
    """

    def __init__(self, reward: Reward, concurrency: int, *, timeout: float | None = None):
        self.reward, self.name, self.concurrency = reward, name_of(reward), concurrency
        self.timeout = timeout

    def run(self, inbox: Inbox, verdicts: Any, done: Any) -> None:
        wait_for(self._all(inbox, verdicts, done))

    async def _all(self, inbox: Inbox, verdicts: Any, done: Any) -> None:
        turn = asyncio.Lock()

        async def take() -> list[Task] | None:
            async with turn:  # one looks for all
                while (batch := inbox.take(self.concurrency, wait=False)) == []:
                    await asyncio.sleep(0.01)
                return batch

        async def one_after_the_other() -> None:
            try:
                while batch := await take():
                    done(await drive_async(verdicts(batch), self._call))
            except Exception:
                inbox.stop()
                raise

        slots = [asyncio.create_task(one_after_the_other()) for _ in range(self.concurrency)]
        try:
            results = await asyncio.gather(*slots, return_exceptions=True)
        finally:
            for slot in slots:
                slot.cancel()
        for result in results:
            if result is not None:
                raise result

    async def _call(self, tasks: Sequence[Task]) -> Outcome:
        try:
            return await asyncio.wait_for(outcome_async(self.reward, tasks), self.timeout)
        except (asyncio.TimeoutError, TimeoutError):
            return Failure(_late(self.name, self.timeout))

    def close(self) -> None:
        pass


class InThreads:
    """So many calls at a time, each in a thread: for a reward that works elsewhere."""

    def __init__(self, name: str, calls: Sequence[Callable[[Sequence[Task]], Outcome]]):
        self.name, self.calls = name, calls

    def run(self, inbox: Inbox, verdicts: Any, done: Any) -> None:
        results: queue.SimpleQueue[list[Scored] | BaseException | None] = queue.SimpleQueue()

        def one_after_the_other(call: Callable[[Sequence[Task]], Outcome]) -> None:
            try:
                while batch := inbox.take(len(self.calls)):
                    results.put(drive(verdicts(batch), call))
                results.put(None)
            except BaseException as error:
                results.put(error)

        for call in self.calls:
            threading.Thread(target=one_after_the_other, args=(call,), daemon=True).start()
        running, error = len(self.calls), None
        try:
            while running:
                try:
                    got = results.get(timeout=0.5)
                except queue.Empty:
                    continue
                if isinstance(got, list):
                    done(got)
                    continue
                running -= 1
                if got is not None:
                    error = error or got
                    inbox.stop()
        except BaseException:
            inbox.stop()
            raise
        if error:
            raise error

    def close(self) -> None:
        pass


class InWorkers(InThreads):
    """So many processes, each of which loads the reward and calls it in its main thread.

    A process that dies (a crash, too little memory, a call of `os._exit`) fails its call, and
    another takes its place: so the completion that kills it is found as one that raises. A call
    that takes longer than `timeout` seconds is ended the same way.
    """

    def __init__(
        self,
        name: str,
        spec: str,
        concurrency: int,
        options: dict[str, Any],
        *,
        timeout: float | None = None,
    ):
        self.workers = [_Worker(name, (spec, options), timeout) for _ in range(concurrency)]
        super().__init__(name, [worker.call for worker in self.workers])

    def begin(self) -> None:
        """Start the processes now, so that the first call does not wait for them."""
        for worker in self.workers:
            worker.begin()

    def close(self) -> None:
        for worker in self.workers:
            worker.close()


def _late(name: str, timeout: float | None) -> EndedError:
    return EndedError(f"reward {name!r} took longer than {number(timeout or 0.0)} s")


LOADING = 600.0
"""Seconds that a process may take to load the reward."""
START = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from bontea.rollouts.worker import work
work()
"""


@contextmanager
def _ended_after(seconds: float | None, end: Callable[[], None]) -> Iterator[None]:
    """Call `end` unless the block is left within so many seconds."""
    if seconds is None:
        yield
        return
    clock = threading.Timer(seconds, end)
    clock.daemon = True
    clock.start()
    try:
        yield
    finally:
        clock.cancel()


class _Worker:
    """A process that calls the reward; begun when it is first needed."""

    def __init__(self, name: str, reward: tuple[str, dict[str, Any]], timeout: float | None):
        self.name, self.reward, self.timeout = name, reward, timeout
        self.process: subprocess.Popen[bytes] | None = None
        self.loaded = False

    def begin(self) -> subprocess.Popen[bytes]:
        self.process = self.process or self._begin()
        return self.process

    def call(self, tasks: Sequence[Task]) -> Outcome:
        try:
            data = pickle.dumps(arguments(tasks))
        except Exception as error:  # before anything of it is in the pipe
            return Failure(
                FailedError(f"reward {self.name!r} cannot be given this ({type(error).__name__})")
            )
        process = self.begin()
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        limit = None
        try:
            if not self.loaded:  # which is no time of a call
                limit = LOADING if self.timeout else None
                with _ended_after(limit, end):
                    self.loaded = pickle.load(process.stdout)
            limit = self.timeout
            with _ended_after(limit, end):
                process.stdin.write(data)
                process.stdin.flush()
                return pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)  # it is about to end, and its own exit code says more
            code = self.close()
        if late.is_set():
            return Failure(_late(self.name, limit))
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return Failure(
            EndedError(f"reward {self.name!r} ended the process that it runs in ({how})")
        )

    def _begin(self) -> subprocess.Popen[bytes]:
        # In a session of its own: a Ctrl-C in the terminal is for us, and the batch ends first.
        process = subprocess.Popen(
            [sys.executable, "-c", START, json.dumps([path for path in sys.path if path])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin is not None
        with suppress(OSError):  # it has died: the first call finds out
            pickle.dump(self.reward, process.stdin)
            process.stdin.flush()
        return process

    def close(self) -> int:
        """End the process; its exit code."""
        if self.process is None:
            return 0
        process, self.process, self.loaded = self.process, None, False
        with suppress(OSError), process:  # which closes the pipes, and waits
            process.kill()
        return process.wait()


def calls_of(
    reward: Reward, concurrency: int = 1, spec: str | None = None, **options: Any
) -> Calls:
    """How to call a reward `concurrency` times at once, as its kind allows.

    `spec` and `options` are what `load_reward` made it from, for the processes that load it again.
    """
    if isinstance(reward, ClassifierReward) and concurrency > 1:
        raise BonteaError(
            f"--reward-concurrency {concurrency} is for functions and servers, and the reward "
            f"{name_of(reward)!r} is a model in this process, which scores a whole batch at once: "
            "leave it out, and raise --batch-size instead"
        )
    if isinstance(reward, HttpReward):
        if concurrency == 1:
            return InPlace(reward)
        return InThreads(name_of(reward), [partial(outcome, reward)] * concurrency)
    if is_async(reward) or concurrency == 1:
        if threading.current_thread() is not threading.main_thread():
            _warn_of_thread(reward)
        return Awaited(reward, concurrency) if is_async(reward) else InPlace(reward)
    if spec is None:
        raise BonteaError(
            f"--reward-concurrency {concurrency} needs the reward as module:function, for the "
            "processes that import it"
        )
    return InWorkers(name_of(reward), spec, concurrency, options)


def _warn_of_thread(reward: Reward) -> None:
    if isinstance(reward, ClassifierReward) or getattr(reward, "__module__", "").startswith(
        "bontea."
    ):
        return
    warnings.warn(
        f"the reward {name_of(reward)!r} is called outside the main thread, where Python has no "
        "signals: a verifier that guards itself with signal.alarm fails there, and may take that "
        "for a wrong answer. Call sample() in the main thread, or with reward_concurrency=2 or "
        "more, which calls the reward in processes of its own",
        stacklevel=3,
    )
