"""A framework, and whether the version that is installed is one its adapter is for."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

import numpy as np

from bontea._errors import BonteaError

OVERRIDE = "BONTEA_UNTESTED_VERSION"


class UntestedVersionError(BonteaError):
    """The installed version of a framework is outside the range that its adapter is for."""


@dataclass(frozen=True)
class Probed:
    """What became of a batch that went through the code of a framework."""

    advantages: np.ndarray
    """Of the rows, in their order, not scaled."""
    path: str
    """What they went through."""
    found: str
    """How the framework found the adapter."""
    loaded: bool = True
    """Whether it would find it without us."""


@dataclass(frozen=True)
class Framework:
    """A framework that an adapter exists for: all that is known of it beside the adapter's code."""

    name: str
    """Of the adapter's module, of its page in the docs, and in `bontea check NAME`."""
    distribution: str
    """As the package registry knows it; a framework that is not there is on the path."""
    tested: str
    """The version that the adapter's tests ran with; behind it a commit, if it has no release."""
    versions: tuple[str, str]
    """The lowest version that is accepted, and the first one that is not."""
    use: tuple[str, ...]
    """The lines a user adds."""
    off: tuple[tuple[str, str], ...]
    """Settings to leave off or set, each with the reason."""
    module: str
    """What `bontea check` imports to see whether it is there."""
    install: str
    """A command, or what to do."""
    title: str
    """As its makers write it."""
    hook: str
    """What the adapter takes hold of, in a few words for a table."""
    probe: Callable[[np.ndarray, np.ndarray, str, float], Probed]
    """`probe(rewards, ids, estimator, n)` sends the rows of a batch through the framework's own
    code. It imports the framework itself: this module is read where the framework is missing."""
    settings: Callable[[list[str]], str]
    """`settings(arguments)` reads what a launch script passes as the framework will read it, and
    says what it found; BonteaError for what cannot work."""
    environment: tuple[str, ...]
    """What pip installs for the tests of the adapter, a line for each call, after PyTorch. What the
    tested code does not import (vLLM, flash-attn) is left out."""
    clone: tuple[str, ...] = ()
    """Of a framework on no package registry: the folders of its clone that go onto the Python path,
    behind the name of the environment variable that says where it is (`PRIME_RL/src`)."""
    estimator: str = "adaptive_tea"
    """What `bontea check` sends its batch through."""

    @property
    def accepted(self) -> str:
        """The range, as pip takes it."""
        lowest, refused = self.versions
        return f"{self.distribution}>={lowest},<{refused}"

    def version(self) -> str | None:
        """Of the installed package, or what the module calls its own; None if neither is there.

        The module is not imported for it.
        """
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            module = sys.modules.get(self.module.partition(".")[0])
            version = getattr(module, "__version__", None)
            return None if version is None else str(version)

    def status(self) -> str:
        """Of the installed version: tested, accepted, refused or overridden; or unknown.

        `overridden` is one that would be refused, with BONTEA_UNTESTED_VERSION set.
        """
        version = self.version()
        numbers = release(version or "")
        if version is None or numbers is None:
            return "unknown"
        if version.partition("+")[0] == self.tested:
            return "tested"
        lowest, refused = map(release, self.versions)
        assert lowest is not None
        assert refused is not None
        if lowest <= numbers < refused:
            return "accepted"
        return "overridden" if os.environ.get(OVERRIDE, "0") not in ("", "0") else "refused"

    def outside(self) -> str:
        """What is installed, and what the adapter is for."""
        return (
            f"{self.distribution} {self.version()} is installed, but bontea's adapter is for "
            f"{self.accepted} (tested with {self.tested})"
        )

    def refusal(self) -> str:
        """The same, and what to do."""
        return (
            f"{self.outside()}: install such a version ({self.install}); or set {OVERRIDE}=1, in "
            f"the environment of every process, to try this one, and see whether `bontea check "
            f"{self.name}` says that it works"
        )


def release(version: str) -> tuple[int, ...] | None:
    """The numbers of a version, without zeros at its end; None if it does not start with a number.

    What follows them is left out: a pre-release counts as the release that it leads to, because it
    has most of its code.

    >>> [release(v) for v in ("1.16.0", "v0.10.0.dev3+g1a2b", "0.9rc1", "1!2.0.post1", "main")]
    [(1, 16), (0, 10), (0, 9), (2,), None]
    """
    match = re.match(r"\s*v?(?:\d+!)?(\d+(?:\.\d+)*)", version)
    if match is None:
        return None
    numbers = [int(part) for part in match[1].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
