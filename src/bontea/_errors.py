"""The errors that mean "you can mend this": wrong input, with the value, the limit, the remedy.

The command line turns them, and OSError, into one line on stderr. Anything else that is raised is
a bug and shows its traceback.
"""

from __future__ import annotations


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
