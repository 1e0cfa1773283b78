"""Score the completions of a rollout file again: `bontea sample --rescore` in Python.

    from bontea.rollouts import rescore

    rescore("pilot.jsonl")                              # rewards that are null, with its own reward
    rescore("pilot.jsonl", reward="mymodule:judge")     # another reward, in a column `judge`

Scores are gathered in `FILE.rescored.jsonl`, on the disk from the moment they are there, and the
file is replaced as a whole at the end. A run that was stopped or killed goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bontea._errors import BonteaError, FailedError
from bontea._json import Result
from bontea._numbers import number
from bontea._progress import JobProgress, Stopped
from bontea.rollouts._batch import check_path
from bontea.rollouts.settings import SampleSettings
from bontea.rollouts.table import locked


@dataclass(frozen=True)
class RescoreResult(Result):
    """What a run did to a file. `str()` is a summary for a person."""

    output: str
    column: str
    reward: str
    rollouts: int
    """Rows of the file."""
    scored: int
    """Rows that got a reward from this run, or from one that it went on with."""
    unscorable: int
    """Rows that have none now."""
    failed: int
    """Of the unscorable ones: those whose reward raised an error, which is in their row."""
    mean_reward: float | None

    def __str__(self) -> str:
        mean = "" if self.mean_reward is None else f", mean {number(self.mean_reward, 4)}"
        failed = f" ({self.failed:,} because the reward raised an error)" if self.failed else ""
        return (
            f"column {self.column!r} of {self.output}: {self.scored:,} of {self.rollouts:,} "
            f"rollouts got a reward of {self.reward} now{mean}; unscorable "
            f"{self.unscorable:,}{failed}"
        )


def rescore(
    output: str | Path,
    reward: str | None = None,
    *,
    column: str | None = None,
    settings: SampleSettings | None = None,
    progress: JobProgress | None = None,
) -> RescoreResult:
    """Give the rows of a rollout file the rewards that they lack.

    Parameters
    ----------
    output
        JSONL or Parquet, written by `sample` or by anything else: rows with `completion`, and
        `prompt` or a `prompt_id` of the prompts. It is replaced as a whole at the end; every other
        field stays as it is.
    reward
        As in `sample`. Left out, the reward that the file was drawn with, and null rewards are
        filled. Another one scores every row, into a column of its own.
    column
        Where the rewards go; rows that have one there keep it. Default: `reward` for the reward of
        the file and for a file without rewards, otherwise the name of the function or model.
    settings
        `prompts` (with `prompt_column` and `prompts_split`) for columns that the reward needs and
        the rows do not have, found by `prompt_id`; default: the prompts the file was drawn from.
        `reward_concurrency`, `batch_size`, and how a reward URL is asked.

    Raises BonteaError or OSError for what cannot be used, FailedError when the reward fails, and
    Stopped after Ctrl-C; what was scored is kept then, and the same call goes on from there.
    """
    from bontea.rollouts.rescore_job import RescoreJob

    path = check_path(output)
    progress = progress or JobProgress(quiet=True)
    with locked(path), progress.catch_interrupt():
        job = RescoreJob(path, reward, column, settings or SampleSettings(), progress)
        try:
            return RescoreResult(**job.run())
        except (Stopped, KeyboardInterrupt):
            raise Stopped(job.safe()) from None
        except (BonteaError, OSError) as error:
            if not job.begun:
                raise
            raise FailedError(f"{error}\n{job.safe()}") from error
