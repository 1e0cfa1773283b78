"""A coroutine that runs in a thread of its own, while the main thread is free for signals."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any


class Beside:
    """Begins at once; `on_end` is called in its thread, however it ends."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], on_end: Callable[[], None]):
        self._coroutine, self._on_end = coroutine, on_end
        self._error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait()

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call a function in its event loop; nothing happens after the end."""
        try:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            pass  # it is closed

    def join(self) -> None:
        """Wait for the end, and raise what it raised."""
        while self._thread.is_alive():
            self._thread.join(0.5)  # Ctrl-C comes through
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        """End it now."""
        if self._task is not None:
            self.call_soon(self._task.cancel)
        self._thread.join()

    def _run(self) -> None:
        async def all_of_it() -> None:
            self._task, self._loop = asyncio.current_task(), asyncio.get_running_loop()
            self._ready.set()
            await self._coroutine

        try:
            asyncio.run(all_of_it())
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()
            self._on_end()
