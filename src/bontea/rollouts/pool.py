"""Several servers behind one run: each request goes to the least loaded one that is alive.

A request is made in rounds. In each round every live server is asked once at most, the next one as
soon as one fails; after a round in which all failed it waits, as `Service.wait` says, for the next.
It has failed for good when every server that could be asked has failed it in all its tries. With
one server this is plain asking again.

A server that fails more often in a row than a request is made again is left out, for a time that
doubles up to 30 seconds. Then it is given one request at a time, until one succeeds. A refusal that
every request would get (a wrong key, a wrong path) leaves a server out at once; if all refuse so,
the run ends. While no server is alive, those that are left out are asked as well.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from bontea.rollouts.service import (
    AGAIN,
    HOPELESS,
    LONGEST_BACKOFF,
    LONGEST_RETRY_AFTER,
    EndpointError,
    Service,
    retry_after,
    status_of,
)

T = TypeVar("T")
Pause = Callable[[float], Awaitable[None]]
BETWEEN_WORDS = 10.0
"""Seconds between two messages about attempts that failed."""


class Server:
    """One server, and how it has been lately."""

    def __init__(self, service: Service):
        self.service = service
        self.client: Any = None
        self.busy = self.asked = 0
        """Requests in flight, and all so far."""
        self.failed_in_row = self.times_out = 0
        self.failed_at = -float("inf")
        """When it failed last."""
        self.out_until: float | None = None
        """When a server that is left out is tried again; None for a live one."""
        self.held_until = 0.0
        """Before that it wants no request (Retry-After)."""
        self.hopeless = False

    def alive(self, now: float) -> bool:
        """Whether it takes a request now; one that was left out takes one at a time."""
        return self.out_until is None or (now >= self.out_until and not self.busy)

    def succeeded(self) -> bool:
        """Note an answer; whether it had been left out."""
        was_out = self.out_until is not None
        self.failed_in_row = self.times_out = 0
        self.out_until, self.hopeless = None, False
        return was_out

    def leave_out(self, at_least: float = 0.0) -> float | None:
        """Give it no request for a while; for how long, None if it is left out already."""
        now = time.monotonic()
        if self.out_until is not None and now < self.out_until:
            return None
        pause = min(4 * self.service.first_wait * 2.0**self.times_out, LONGEST_BACKOFF)
        pause = max(pause, at_least)
        self.times_out, self.out_until = min(self.times_out + 1, 30), now + pause
        return pause


class Pool:
    """The servers of one run; an asynchronous context, in which their clients are open.

    `client` makes what `send` finds in `Server.client`. `hopeless` are statuses that say that every
    other request would be refused as well.
    """

    def __init__(
        self,
        services: Sequence[Service],
        per_minute: float | None = None,
        on_trouble: Callable[[str], None] = lambda text: None,
        *,
        client: Callable[[Service], Any] = lambda service: service.client("AsyncOpenAI"),
        hopeless: Collection[int] = frozenset(HOPELESS),
    ):
        self.servers = [Server(service) for service in services]
        self.client, self.hopeless = client, hopeless
        self.pace = Pace(per_minute)
        self.on_trouble = on_trouble
        self.last_said = -float("inf")
        self.open = AsyncExitStack()

    async def __aenter__(self) -> Pool:
        await self.open.__aenter__()
        for server in self.servers:
            client = self.client(server.service)
            server.client = await self.open.enter_async_context(client)
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.open.__aexit__(*error)

    async def ask(self, send: Callable[[Server], Awaitable[T]], pause: Pause) -> T:
        """What `send` gets from one of the servers.

        `pause` sleeps, and may raise to end it all. Raises EndpointError when the request failed
        for good, with a status in HOPELESS only where every server gives one.
        """
        tries: Counter[Server] = Counter()
        spent: dict[Server, EndpointError] = {}
        while True:
            tried, waits = set(spent), []
            while self._pick(tried, spent):
                await pause(self.pace.next_slot())
                server = self._pick(tried, spent)
                if server is None:
                    break
                tried.add(server)
                server.busy, server.asked = server.busy + 1, server.asked + 1
                try:
                    while (held := server.held_until - time.monotonic()) > 0:
                        await pause(held)
                    answer, failure = await _attempt(send, server)
                finally:
                    server.busy -= 1
                if failure is None:
                    if server.succeeded():
                        self.on_trouble(f"{server.service.url} answers again")
                    return answer
                final = self._final(server, failure, tries[server])
                tries[server] += 1
                if isinstance(final, float):
                    waits.append(final)
                else:
                    spent[server] = final
                    if self._is_the_requests_own(final) or all(s.hopeless for s in self.servers):
                        raise final
            if waits:
                await pause(min(waits))
            elif spent:
                raise self._last(spent)

    def _pick(self, tried: set[Server], spent: dict[Server, EndpointError]) -> Server | None:
        """The server to ask next, None when this round is over."""
        now = time.monotonic()
        left = [server for server in self.servers if server not in tried]
        alive = [server for server in left if server.alive(now)]
        if not alive and any(s.alive(now) for s in self.servers if s not in spent):
            return None
        return min(alive or left, key=lambda s: (s.held_until > now, s.busy, s.asked), default=None)

    def _final(self, server: Server, failure: Exception, tries: int) -> float | EndpointError:
        """Seconds to wait after an attempt that failed, or the error when it was the last one."""
        service, alone = server.service, len(self.servers) == 1
        reason = service.reason(failure)
        after = retry_after(failure)
        found: float | EndpointError
        try:
            found = service.wait(failure, tries)
        except EndpointError as error:
            found = error
        if isinstance(found, float) and (after or (not alone and status_of(failure) == 429)):
            server.held_until = max(server.held_until, time.monotonic() + found)
            if all(s.held_until > time.monotonic() for s in self.servers):
                self.pace.hold(min(s.held_until for s in self.servers) - time.monotonic())
        if isinstance(found, EndpointError) and self._is_the_requests_own(found):
            server.succeeded()  # it lives, and refuses this one
            return found
        server.hopeless = isinstance(found, EndpointError) and found.status in self.hopeless
        if status_of(failure) != 429 or (after or 0) > LONGEST_RETRY_AFTER:
            server.failed_in_row += 1
            server.failed_at = time.monotonic()
        left_out = None
        if not alone and (
            server.hopeless
            or server.failed_in_row > service.retries
            or (after or 0) > LONGEST_RETRY_AFTER
        ):
            left_out = server.leave_out(after or 0.0)
        if left_out is not None and server.times_out == 1:
            self.on_trouble(f"{service.url} is left out, at first for {left_out:.1f} s: {reason}")
        elif isinstance(found, float) and time.monotonic() - self.last_said > BETWEEN_WORDS:
            self.last_said = time.monotonic()
            where = "" if alone else f"{service.url}: "
            again = f"asking again in {found:.1f} s" if alone else "asking another, or again later"
            self.on_trouble(f"{where}{reason}; {again}")
        return found

    def _is_the_requests_own(self, error: EndpointError) -> bool:
        """A refusal of this request, which another server would refuse as well."""
        status = error.status
        if status is None or not 400 <= status < 500:
            return False
        return status not in self.hopeless and status not in AGAIN

    def _last(self, spent: dict[Server, EndpointError]) -> EndpointError:
        """The error to show: not the refusal of one server for the failure of another."""
        errors = sorted(spent.values(), key=lambda error: error.status in self.hopeless)
        if len(spent) == 1:
            return errors[0]
        first = errors[0]
        return EndpointError(f"{len(spent)} endpoints failed: {first}", first.status, first.said)


async def _attempt(send: Callable[[Server], Awaitable[T]], server: Server) -> Any:
    """An answer and None, or None and what went wrong.

    The error is given back, not raised further: what the server said is then in no traceback.
    """
    try:
        return await asyncio.wait_for(send(server), server.service.timeout), None
    except Exception as error:
        return None, error


class Pace:
    """When the next request may begin: evenly spaced, and not before the servers said."""

    def __init__(self, per_minute: float | None):
        self.gap = 60 / per_minute if per_minute else 0.0
        self.free_at = 0.0

    def next_slot(self) -> float:
        """Seconds from now to the next free moment, which is taken by this call."""
        now = time.monotonic()
        slot = max(now, self.free_at)
        self.free_at = slot + self.gap
        return slot - now

    def hold(self, seconds: float) -> None:
        """Let no request begin for so long."""
        self.free_at = max(self.free_at, time.monotonic() + seconds)
