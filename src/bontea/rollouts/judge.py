"""A reward that raises an error: which completion is it, or is it the reward?

A batch that fails is tried again by halves, until the completions that fail alone are found. Those
are unscorable, with the error as the reason, and all others of the batch keep their rewards. So is
a completion whose reward is infinite.

But a reward that fails on everything (a file that is missing, a server that is gone) must not fill
a file with nulls. So nothing is given up before the reward has been seen to work *afterwards*: on
another completion, or else on one that it has scored before, which it then gets again. If it fails
there, its error ends the run, and what was doubtful stays without a row. Where it has never scored
anything, what fails is set aside, and tried again once something could be scored; ten completions
of two prompts that fail like that end the run, and so does the end of all completions.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from bontea._errors import BonteaError, FailedError, MissingPackageError
from bontea.rollouts.rewards import InfiniteReward, Reward, score, score_async
from bontea.rollouts.service import HOPELESS, EndpointError

ENOUGH = 10
"""So many completions that fail one after the other raise the question whether it is the reward."""
LONGEST = 300
"""Characters of an error that are kept in a row."""


class Task(NamedTuple):
    """One completion to score."""

    key: Any
    """What it is, to whoever asked."""
    prompt_id: Hashable
    prompt: Any
    completion: Any
    columns: dict[str, Any]


class Scored(NamedTuple):
    """A completion with its reward; None: it cannot be scored; `error` says why if it raised."""

    key: Any
    reward: float | None
    error: str | None = None


class Failure(NamedTuple):
    """A call of the reward that gave no values."""

    error: Exception

    def __str__(self) -> str:
        text = str(self.error) or type(self.error).__name__
        if isinstance(self.error, OSError) and not isinstance(self.error, EndpointError):
            text = f"{type(self.error).__name__}: {text}"
        text = " ".join(text.split())
        return text if len(text) <= LONGEST else text[:LONGEST] + "..."

    @property
    def is_of_the_reward(self) -> bool:
        """No completion can be to blame: a server that is gone or refuses everybody, or values that
        are no numbers or not as many as they must be, which is a bug of the function."""
        error = self.error
        if isinstance(error, EndpointError):
            return error.status is None or error.status in HOPELESS
        return isinstance(error, BonteaError) and not isinstance(
            error, (FailedError, MissingPackageError)
        )


Outcome: TypeAlias = np.ndarray | Failure
"""What a call of the reward gives: values, NaN where it gave None, perhaps infinite; or none."""
Verdicts: TypeAlias = Generator[Sequence[Task], Outcome, list[Scored]]


def arguments(tasks: Sequence[Task]) -> tuple[list[Any], list[Any], dict[str, list[Any]]]:
    """Prompts, completions and columns, as a reward function takes them."""
    names = dict.fromkeys(name for task in tasks for name in task.columns)
    columns = {name: [task.columns.get(name) for task in tasks] for name in names}
    return [task.prompt for task in tasks], [task.completion for task in tasks], columns


def outcome(reward: Reward, tasks: Sequence[Task]) -> Outcome:
    """Call the reward."""
    return outcome_of(reward, *arguments(tasks))


def outcome_of(
    reward: Reward, prompts: list[Any], completions: list[Any], columns: dict[str, list[Any]]
) -> Outcome:
    """Call the reward."""
    try:
        return score(reward, prompts, completions, columns)
    except InfiniteReward as error:
        return error.values
    except Exception as error:
        return Failure(error)


async def outcome_async(reward: Reward, tasks: Sequence[Task]) -> Outcome:
    """Call a reward that is awaited."""
    try:
        return await score_async(reward, *arguments(tasks))
    except InfiniteReward as error:
        return error.values
    except Exception as error:
        return Failure(error)


class Judge:
    """What is known of one reward, over all batches. Several threads may ask at once."""

    def __init__(self, name: str):
        self.name = name
        self._good: Task | None = None
        self._aside: list[list[Task]] = []
        self._failed: list[Task] = []
        self._last: Failure | None = None
        self._lock = threading.Lock()

    def verdicts(self, batch: Sequence[Task]) -> Verdicts:
        """Yields what to call the reward with, is sent the outcome, and returns what is known then.

        That may be less than the batch, where some of it is set aside, or more, where some was.
        Raises the error of the reward if the reward is to blame.
        """
        todo, out = [list(batch)], list[Scored]()
        doubtful: list[tuple[Task, Failure]] = []
        while todo or doubtful:
            if not todo or len(doubtful) >= ENOUGH:
                if self._good is None:
                    self._set_aside(todo, doubtful)
                    return out
                result = yield [self._good]
                if isinstance(result, Failure) or np.isinf(result).any():
                    raise self._broken(doubtful[-1][1], len(doubtful))
                out += _given_up(doubtful)
                doubtful = []
                continue
            part = todo.pop()
            result = yield part
            if isinstance(result, Failure):
                if result.is_of_the_reward:
                    raise result.error
                half = len(part) // 2
                if half:
                    todo += [part[half:], part[:half]]
                else:
                    doubtful.append((part[0], result))
                continue
            infinite = np.isinf(result)
            if not infinite.all():
                out += _given_up(doubtful)
                doubtful = []
                todo += reversed(self._works_on(part[int(np.argmin(infinite))]))
            for task, value in zip(part, result.tolist(), strict=True):
                if np.isinf(value):
                    error = FailedError(f"reward {self.name!r} returned {value}")
                    doubtful.append((task, Failure(error)))
                else:
                    out.append(Scored(task.key, None if np.isnan(value) else value))
            if not infinite.all():
                out += _given_up(doubtful)
                doubtful = []
        return out

    def finish(self) -> None:
        """Raise the error of a reward that has not scored anything."""
        if self._aside and self._last:
            raise self._broken(self._last, len(self._failed))

    def _works_on(self, task: Task) -> list[list[Task]]:
        """The reward could score this; what was set aside before, to try again."""
        with self._lock:
            self._good = task
            aside, self._aside, self._failed = self._aside, [], []
            return aside

    def _set_aside(self, todo: list[list[Task]], doubtful: list[tuple[Task, Failure]]) -> None:
        with self._lock:
            self._aside += [*([task] for task, _ in doubtful), *reversed(todo)]
            self._failed += [task for task, _ in doubtful]
            self._last = doubtful[-1][1]
            prompts = {task.prompt_id for task in self._failed}
            if len(self._failed) >= ENOUGH and len(prompts) > 1:
                raise self._broken(self._last, len(self._failed))

    def _broken(self, failure: Failure, count: int) -> Exception:
        """The error that ends the run."""
        kind = MissingPackageError if isinstance(failure.error, ImportError) else FailedError
        proof = (
            "then failed for one that it had scored before"
            if self._good
            else "has not scored any completion"
        )
        error = kind(
            f"{failure.error}\nthe reward failed like this for {count:,} "
            f"completion{'s' * (count > 1)} one after the other, and {proof}: mend it, and go on; "
            "no null has been written for them"
        )
        error.__cause__ = failure.error
        return error


def drive(verdicts: Verdicts, call: Any) -> list[Scored]:
    """Answer what a generator of verdicts asks by `call(tasks)`; what it returns."""
    try:
        tasks = next(verdicts)
        while True:
            tasks = verdicts.send(call(tasks))
    except StopIteration as end:
        return end.value


async def drive_async(verdicts: Verdicts, call: Any) -> list[Scored]:
    """The same where `call(tasks)` is awaited."""
    try:
        tasks = next(verdicts)
        while True:
            tasks = verdicts.send(await call(tasks))
    except StopIteration as end:
        return end.value


def _given_up(doubtful: Iterable[tuple[Task, Failure]]) -> Iterator[Scored]:
    return (Scored(task.key, None, str(failure)) for task, failure in doubtful)
