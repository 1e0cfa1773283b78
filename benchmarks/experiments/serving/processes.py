"""The stub and the gateway as processes of their own, for the load script and the tests."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).parent
TICK = os.sysconf("SC_CLK_TCK")


class Process:
    """A process that has said its URL; a context, which ends it by SIGKILL."""

    def __init__(self, command: list[str], pattern: str, env: dict[str, str] | None = None):
        """`pattern` finds the URL in what it prints."""
        self.output = Path(tempfile.mkstemp(prefix="bontea-serving-", suffix=".log")[1])
        path = os.pathsep.join([str(HERE), *(p for p in sys.path if p)])
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": path, **(env or {})},
            )
        try:
            self.url = self._wait_for(pattern)
        except BaseException:
            self.close()
            raise

    def _wait_for(self, pattern: str, seconds: float = 60.0) -> str:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := re.search(pattern, self.said()):
                return found[0]
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError(f"{self.process.args} did not begin:\n{self.said()}")

    def said(self) -> str:
        """What it printed so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def memory(self) -> float:
        """Megabytes of memory that it has in use (RSS), without its children."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]

    def cpu(self) -> float:
        """Seconds of a core that it has used, without its children."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def get(self, path: str) -> Any:
        """JSON that it has at a path."""
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            return json.load(answer)

    def post(self, path: str, value: Any) -> Any:
        """The answer to JSON that is sent there."""
        request = urllib.request.Request(self.url + path, json.dumps(value).encode())
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def close(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        self.output.unlink(missing_ok=True)

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def start_stub(*flags: str) -> Process:
    """A stub on a free port."""
    return Process([str(HERE / "stub.py"), *flags], r"http://[\d.]+:\d+")


def start_gateway(*flags: str, env: dict[str, str] | None = None) -> Process:
    """`bontea serve` on a free port."""
    command = ["-m", "bontea", "serve", "--port", "0", *flags]
    return Process(command, r"(?<= at )http://[\d.]+:\d+(?=/v1)", env)
