"""One request: draw, score, decide, until the rule stops or something else does.

    first wave -> rewards -> decide -> next wave -> ... -> the best

A wave is drawn in parallel and is complete before the rule decides, so that long responses have the
same chance as short ones and a decision is that of `bontea simulate`. What is in flight is
cancelled when the deadline comes, the client goes away, or an answer has the best reward there can
be.

An audited request goes on to the reference N after the rule has stopped: there both are known, what
the rule gave and what a fixed N would have given.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bontea.rollouts.answer import is_answer
from bontea.serve.errors import ApiError
from bontea.serve.number import Numbers
from bontea.serve.options import Options, last_text
from bontea.serve.scores import Scores
from bontea.serve.upstream import THEIRS, Response, Upstream

Row = dict[str, Any]


@dataclass
class Drawn:
    """A response and its reward."""

    number: int
    response: Response
    reward: float | None = None
    error: str | None = None
    """Why the reward failed."""
    scored: bool = False


@dataclass
class Found:
    """What came of a request."""

    drawn: list[Drawn] = field(default_factory=list)
    """In the order in which they were begun."""
    why: str = ""
    """A key of `bontea.serve.number.STOPPED`."""
    price: float | None = None
    cancelled: int = 0
    failed: int = 0
    """Responses that no server behind gave."""
    audit: bool = False
    rule_n: int | None = None
    """Of an audited request: how many the rule would have drawn."""
    first: int = 0
    """Responses drawn whatever the rewards are: the first wave."""

    @property
    def rewards(self) -> list[float | None]:
        return [one.reward for one in self.drawn]

    @property
    def ranked(self) -> list[Drawn]:
        """The best first; of equal ones the first; those without a reward at the end."""
        low = -float("inf")
        return sorted(
            self.drawn, key=lambda d: (d.reward is None, -(low if d.reward is None else d.reward))
        )


class Search:
    """The search for the best response to one request."""

    def __init__(
        self,
        options: Options,
        *,
        request_id: str,
        numbers: Numbers,
        upstream: Upstream,
        scores: Scores,
        slots: asyncio.Semaphore,
        started: float,
        audit: bool = False,
        text_reward: bool = False,
        write: Callable[[list[Row]], None] = lambda rows: None,
    ):
        self.options, self.request_id = options, request_id
        self.numbers, self.upstream, self.scores = numbers, upstream, scores
        self.slots, self.started, self.text_reward = slots, started, text_reward
        self.write = write
        self.found = Found(audit=audit)
        self.by_number: dict[int, Drawn] = {}
        self.next = 0
        self.written: set[int] = set()
        self.last_error: ApiError | None = None

    async def run(self) -> Found:
        """Draw until something stops it. Raises ApiError where there is nothing to answer with."""
        found = self.found
        try:
            while True:
                step = self.numbers.decide(found.rewards, self.options)
                found.price = step.price if step.price is not None else found.price
                if step.draw == 0:
                    found.why = step.why
                    found.rule_n = len(found.drawn)
                    self._write(stopped=step.why)
                    await self._audit()
                    break
                self._write()
                if not found.drawn:
                    found.first = step.draw
                cut = await self._wave(step.draw)
                if cut:
                    found.why = cut
                    break
        except asyncio.CancelledError:
            found.why = "client gone"
            raise
        except ApiError:
            found.why = "refused"
            raise
        finally:
            self._sort()
            found.why = found.why or "failed"
            self._write(stopped=found.why)
        if not found.drawn:
            raise self.last_error or ApiError(504, "no response came before the deadline")
        return found

    async def _audit(self) -> None:
        while self.found.audit:
            more = self.numbers.reference_n - len(self.found.drawn)
            if more <= 0:
                return
            if await self._wave(more):  # it is not known what the fixed N would have given
                self.found.audit = False

    async def _wave(self, count: int) -> str | None:
        """Draw so many; why it was cut short, None if it was not."""
        tasks = {
            asyncio.create_task(self._one(number)): number
            for number in range(self.next, self.next + count)
        }
        self.next += count
        before = len(self.by_number)
        cut, pending = None, set(tasks)
        try:
            while pending:
                done, pending = await asyncio.wait(
                    pending, timeout=self._left(), return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    cut = "deadline"
                    break
                self._note_failures(done)
                if pending and not self.found.audit and self.numbers.solved(self._rewards()):
                    # The first ones are waited for: their rewards are those of all responses, not
                    # of those that were fast and good.
                    least = self.numbers.least(self.options)
                    spare = {task for task in pending if tasks[task] >= least}
                    await self._cancel(spare)
                    pending -= spare
                    self.found.first = min(self.found.first, least)
        finally:
            await self._cancel(pending)
            await asyncio.gather(*tasks, return_exceptions=True)  # no error is left unlooked at
            self._sort()
        if cut:
            return cut
        wave = [d for d in self.found.drawn if d.number >= self.next - count]
        if len(self.by_number) == before:
            return "endpoint"
        if all(d.error is not None for d in wave):
            return "reward"
        return None

    async def _one(self, number: int) -> None:
        async with self.slots:
            response = await self.upstream.draw(self.options, number)
        own = self.by_number[number] = Drawn(number, response)
        prompt, completion = self._texts(response)
        if completion is not None:  # otherwise it is no answer, and is not shown to the reward
            scored = await self.scores.score(prompt, completion, self.options.columns)
            own.reward, own.error = scored.reward, scored.error
        own.scored = True

    def _texts(self, response: Response) -> tuple[Any, Any]:
        """What the reward is given: prompt and completion; None for what is no answer."""
        done = response.completion
        options = self.options
        calls = options.chat and (response.choice.get("message") or {}).get("tool_calls")
        if not is_answer(*done) and not (calls and not self.text_reward):
            return None, None
        if self.text_reward:
            return last_text(options.prompt), done.text
        if not options.chat:
            return options.prompt, done.text
        turn: dict[str, Any] = {"role": "assistant", "content": done.text}
        if calls:
            turn["tool_calls"] = calls
        return options.prompt, [turn]

    def _note_failures(self, done: set[asyncio.Task[None]]) -> None:
        for task in done:
            error = task.exception()
            if error is None:
                continue
            if not isinstance(error, ApiError):
                raise error
            if error.status in THEIRS and not self.by_number:
                raise error  # it would be refused again, and is no failure of the server behind
            self.found.failed += 1
            self.last_error = error

    async def _cancel(self, tasks: set[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            self.found.cancelled += len(tasks)
            await asyncio.gather(*tasks, return_exceptions=True)

    def _left(self) -> float | None:
        if self.options.deadline is None:
            return None
        return max(self.started + self.options.deadline - time.monotonic(), 0.0)

    def _rewards(self) -> list[float | None]:
        return [one.reward for one in self.by_number.values()]

    def _sort(self) -> None:
        self.found.drawn = [self.by_number[number] for number in sorted(self.by_number)]

    def _write(self, stopped: str | None = None) -> None:
        """Hand the rows that are new to the log; the last one says why no more were drawn."""
        new = [one for one in self.found.drawn if one.number not in self.written]
        self.written |= {one.number for one in new}
        kept = self.found.first
        if self.found.audit:
            kept = max(kept, self.numbers.reference_n)
        rows = [self._row(one, kept) for one in new]
        if rows and stopped is not None:
            rows[-1]["stopped"] = stopped
        if rows:
            self.write(rows)

    def _row(self, one: Drawn, kept: int) -> Row:
        options, done = self.options, one.response.completion
        message = one.response.choice.get("message") or {}
        row: Row = {
            "prompt_id": self.request_id,
            "rollout": one.number,
            "reward": one.reward,
            "prompt": options.prompt,
            "completion": done.text,
        }
        more = {
            "finish_reason": done.finish_reason,
            "reasoning_only": done.reasoning_only or None,
            "tool_calls": message.get("tool_calls") or None,
            "tools": options.upstream.get("tools"),
            "error": one.error,
            "model": options.model or None,
            "by_rule": True if one.number >= kept else None,
            "audit": self.numbers.reference_n if self.found.audit else None,
            "price": self.found.price,
        }
        return row | {name: value for name, value in more.items() if value is not None}
