"""The errors that mean "you can mend this": wrong input, with the value, the limit, the remedy.

The command line turns them, and OSError, into one line on stderr. Anything else that is raised is
a bug and shows its traceback.
"""

from __future__ import annotations

import errno
from typing import Literal


class BonteaError(ValueError):
    """Input that cannot be used; the message names the value, what is allowed, and what to do."""


class GroupTooSmallError(BonteaError):
    """A group has fewer rollouts than the estimator needs; the message says how many would do."""


class WrongTypeError(BonteaError, TypeError):
    """An argument of a kind that cannot be used, such as an array of text for rewards."""


class MissingPackageError(BonteaError, ImportError):
    """An optional package that is not installed; the message says how to install it."""


class FailedError(BonteaError, RuntimeError):
    """Work that was begun and could not be finished; the message says what is safe, and what next.

    The disk is full, a server gave up, the memory was too small, a reward function raised.
    """


_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""A full disk, the largest file there may be, a used-up quota."""
_MEMORY = ("out of memory", "allocate memory", "not enough memory")
_DEVICE = ("CUDA error", "HIP error")


def what_gave_up(error: BaseException) -> Literal["disk", "memory", "device", ""]:
    """What around a job ended it: a full disk, too little memory, an accelerator; "" for none.

    Such an error is no bug of ours, but libraries raise it as types of their own, and torch mostly
    as a plain RuntimeError: the message tells.
    """
    text = str(error)
    if getattr(error, "errno", None) in _FULL or "No space left" in text:
        return "disk"
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, RuntimeError):
        for what, words in (("memory", _MEMORY), ("device", _DEVICE)):
            if any(word in text for word in words):
                return what  # type: ignore[return-value]
    return ""


def not_utf8(place: object, error: UnicodeDecodeError) -> str:
    """What to say of bytes that are not UTF-8; `place` is the file, or the file and the line."""
    found = error.object[error.start : error.start + 1]
    return (
        f"{place}: byte {found!r} at position {error.start + 1:,} is not UTF-8: convert the file "
        "first, such as with iconv -f latin1 -t utf-8 FILE (with the encoding that it has)"
    )
