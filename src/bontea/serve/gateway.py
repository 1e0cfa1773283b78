"""What a running server holds, and the way of one request through it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bontea.serve.gate import Gate, Keys
from bontea.serve.log import Log
from bontea.serve.metrics import Metrics
from bontea.serve.number import Numbers, load_prior
from bontea.serve.options import Options
from bontea.serve.reply import pick, reply
from bontea.serve.scores import Scores, load_scores
from bontea.serve.search import Found, Row, Search
from bontea.serve.settings import ServeSettings
from bontea.serve.upstream import Upstream, make_upstream


class Gateway:
    """All that a running server holds; an asynchronous context."""

    def __init__(
        self, settings: ServeSettings, say: Callable[[str], None] = lambda text: None
    ) -> None:
        """Load and check everything. Raises what loading raises: BonteaError, OSError."""
        self.settings = settings = settings.resolved()
        self.say = say
        self.keys = Keys(settings)
        self.numbers = Numbers(settings, load_prior(settings))
        self.scores: Scores = load_scores(settings)
        self.upstream: Upstream = make_upstream(settings, lambda text: say(f"endpoint: {text}"))
        self.metrics = Metrics()
        self.log: Log | None = None
        self.gate: Gate
        self.slots: asyncio.Semaphore
        self.failure: Exception | None = None
        """What kept it from starting."""
        self.background: set[asyncio.Task[None]] = set()
        self.done: list[tuple[list[float | None], Options]] = []
        """Requests that the rule has not learnt from yet, in order."""
        self._stack = contextlib.AsyncExitStack()
        self._said: dict[str, float] = {}
        self._gauges()

    async def __aenter__(self) -> Gateway:
        settings = self.settings
        self.gate = Gate(settings.requests, settings.queue)
        self.slots = asyncio.Semaphore(settings.concurrency)
        if settings.log is not None:
            log = Log(Path(settings.log), settings.log_mb * 2**20)
            self.log = self._stack.enter_context(log)
        await self._stack.enter_async_context(self.upstream)
        self.scores.begin()
        self._stack.callback(self.scores.close)
        if not settings.endpoints:  # what takes long, before anyone waits
            await self.scores.score("", "", {})
        return self

    async def __aexit__(self, *error: Any) -> None:
        end = time.monotonic() + 5
        while self.gate.active and time.monotonic() < end:  # cancelled, and not yet in the log
            await asyncio.sleep(0.01)
        if self.background:
            await asyncio.wait(self.background, timeout=5)
        await self._stack.aclose()

    def _gauges(self) -> None:
        gauge = self.metrics.gauge
        gauge("active_requests", "Requests that are worked on", lambda: self.gate.active)
        gauge("queued_requests", "Requests that wait for a place", lambda: self.gate.waiting)
        gauge("scoring", "Responses that wait for their reward", lambda: self.scores.waiting)
        gauge(
            "price",
            "Price of a response in reward units; NaN without a rule",
            lambda: float("nan") if self.numbers.price is None else self.numbers.price,
        )
        gauge(
            "rule_trust",
            "How far the rule follows a request's own rewards: 1 wholly, 0 not at all; NaN while "
            "it learns",
            lambda: float("nan") if self.numbers.prior is None else self.numbers.prior.trust,
        )
        gauge("log_rows", "Rows written to the log", lambda: self.log.rows if self.log else 0)
        gauge("log_rows_lost", "Rows given up", lambda: self.log.lost if self.log else 0)

    async def answer(self, options: Options, request_id: str, started: float) -> dict[str, Any]:
        """The answer to one request. Raises ApiError."""
        settings = self.settings
        rule = self.numbers.fixed(options) is None
        audit = rule and random.random() < settings.audit and self._can_audit(options)
        search = Search(
            options,
            request_id=request_id,
            numbers=self.numbers,
            upstream=self.upstream,
            scores=self.scores,
            slots=self.slots,
            started=started,
            audit=audit,
            text_reward=settings.text_reward,
            write=self._write,
        )
        try:
            found = await search.run()
        finally:  # what was drawn for nothing counts as well
            self.metrics.count(search.found)
        self.metrics.compare(found, self.numbers, rule and options.price is None)
        self._learn(found, options)
        if self.log is not None:
            await self.log.written()
            if self.log.error:
                self._trouble("log", self.log.error)
        if self.scores.error:
            self._trouble("scoring", f"calling the reward failed: {self.scores.error}")
        broken = sum(one.error is not None for one in found.drawn)
        if broken:  # why may quote the texts of the request
            self._trouble(
                "reward",
                f"the reward failed for {broken} of {len(found.drawn)} responses of the request "
                f"{request_id}; why is in the rows that --log writes",
            )
        chosen = pick(found, options, failure=settings.reward_failure)
        return reply(found, chosen, options, self.numbers, request_id)

    def _can_audit(self, options: Options) -> bool:
        """Whether a request that asks for no numbers of its own can be compared with others."""
        return options.n is None and options.min_n is None and options.price is None

    def _write(self, rows: list[Row]) -> None:
        if self.log is not None:
            self.log.add(rows)

    def _learn(self, found: Found, options: Options) -> None:
        if found.why in ("deadline", "endpoint", "reward"):
            return  # what is missing is not missing by chance

        self.done.append((found.rewards, options))
        if not self.background:
            task = asyncio.create_task(self._learn_from_all())
            self.background.add(task)
            task.add_done_callback(self.background.discard)

    async def _learn_from_all(self) -> None:
        """One task for all that wait: a task for each would keep its request while it waits."""
        while self.done:
            done, self.done = self.done, []
            for said in await asyncio.to_thread(
                lambda some: [self.numbers.finish(*one) for one in some], done
            ):
                if said:
                    self.say(said)

    def _trouble(self, part: str, text: str) -> None:
        """Say what is wrong with a part, once in a while."""
        now = time.monotonic()
        if now - self._said.get(part, -float("inf")) > 10:
            self._said[part] = now
            self.say(text)

    def health(self) -> dict[str, Any]:
        """What works, and whether all does."""
        parts = {
            "endpoint": self.upstream.works,
            "reward": self.scores.works,
            "log": self.log is None or self.log.error is None,
        }
        prior = self.numbers.prior
        return {
            "status": "ok" if all(parts.values()) else "failing",
            **{name: "ok" if works else "failing" for name, works in parts.items()},
            "rule": "fixed N"
            if self.settings.n is not None
            else "learning"
            if prior is None
            else prior.verdict,
        }
