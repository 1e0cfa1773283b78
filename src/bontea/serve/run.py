"""The process: a socket, the signals, and an end that loses nothing."""

from __future__ import annotations

import contextlib
import errno
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bontea._errors import MissingPackageError
from bontea._numbers import percent
from bontea._settings import from_dict
from bontea.serve.app import make_app
from bontea.serve.gateway import Gateway
from bontea.serve.settings import LOOPBACK, ServeSettings


def say_on_stderr(text: str) -> None:
    """A line for the operator."""
    print(f"bontea serve: {text}", file=sys.stderr, flush=True)


PACKAGES = ("starlette", "uvicorn", "aiohttp", "prometheus_client", "openai")


def serve(
    settings: ServeSettings | Mapping[str, Any],
    *,
    say: Callable[[str], None] = say_on_stderr,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; then open requests end first, and it returns.

    `say` gets what an operator should know, a line each, without keys, prompts and responses.
    `on_ready` gets the base URL when requests are taken. Raises BonteaError, OSError for settings
    that cannot be used, a port that is taken, a reward or a prior that cannot be loaded.
    """
    _check_packages()
    wanted = (
        settings
        if isinstance(settings, ServeSettings)
        else from_dict(ServeSettings, settings, "serve")
    ).resolved()
    with contextlib.closing(_listen(wanted.host, wanted.port)) as listener:
        gateway = Gateway(wanted, say)
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"

        def ready() -> None:
            for line in _opening(gateway, url):
                say(line)
            on_ready(url)

        _run(gateway, listener, ready)


def _run(gateway: Gateway, listener: socket.socket, ready: Callable[[], None]) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        """uvicorn raises the signal again at the end; here the end is a clean one."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            with _handled(self.handle_exit):
                yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if not self.should_exit:
                ready()

    config = uvicorn.Config(
        make_app(gateway),
        log_level="critical",  # what can go wrong is said here
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=max(1, round(gateway.settings.drain)),
        server_header=False,
        timeout_keep_alive=75,
        backlog=4096,
    )
    server = Server(config)
    with contextlib.suppress(SystemExit):  # its way to say that it could not start
        server.run(sockets=[listener])
    if gateway.failure is not None:
        raise gateway.failure


@contextlib.contextmanager
def _handled(handler: Any) -> Iterator[None]:
    """`handler` for SIGTERM and Ctrl-C meanwhile; nothing outside the main thread."""
    before = {}
    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError):
            before[name] = signal.signal(name, handler)
    try:
        yield
    finally:
        for name, old in before.items():
            signal.signal(name, old)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(4096)
    except (OSError, UnicodeError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or error
        remedy = "choose an address of this machine, or 0.0.0.0 for all of them"
        if getattr(error, "errno", None) == errno.EACCES:
            remedy = "ports below 1024 are for the administrator; choose another --port"
        elif getattr(error, "errno", None) == errno.EADDRINUSE:
            remedy = "another process has it; choose another --port, or 0 for a free one"
        raise OSError(
            f"--host {host} --port {port} cannot be listened on ({why}): {remedy}"
        ) from None
    return listener


def _opening(gateway: Gateway, url: str) -> Iterator[str]:
    """What is said when a server starts."""
    settings, numbers = gateway.settings, gateway.numbers
    behind = ", ".join(settings.endpoints) or "the embedded toy policy"
    yield f"serving at {url}: responses from {behind}, rewards from {settings.reward}"
    if settings.n is not None:
        yield f"every request draws {settings.n} responses"
    elif numbers.prior is not None:
        yield f"the rule has learnt from {settings.prior}: {numbers.said()}"
    else:
        first = min(numbers.first, numbers.max_n)
        yield (
            f"the rule learns from the first requests, which draw {first} responses each "
            "(--prior FILE gives it rollouts to learn from)"
        )
    if settings.n is None and settings.audit:
        yield (
            f"{percent(settings.audit)} of the requests draw at least {settings.reference_n} "
            "responses, to compare the rule with a fixed N (--audit)"
        )
    if settings.log is None:
        yield "responses are not kept (--log FILE.jsonl writes them down, with their prompts)"
    if settings.host not in LOOPBACK and not gateway.keys.hashes:
        yield (
            f"warning: {settings.host} may be reached from other machines, and no key is asked for "
            "(--client-keys-file)"
        )


def _check_packages() -> None:
    import importlib.util

    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            f'bontea serve needs {", ".join(missing)}: pip install "bontea[serve]"'
        )
