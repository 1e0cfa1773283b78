"""How a file is to be read, as the user says: which of its fields are what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bontea._errors import BonteaError


@dataclass(frozen=True)
class Reading:
    """Choices for files whose fields say too little; with none a file is read as it is.

    Names of fields may be dotted paths into nested objects and lists: `metrics.accuracy`,
    `content.0.0`.
    """

    reward: str | Mapping[str, float] | None = None
    """The score that is the reward, or several with their weights: the reward is then the sum of
    weight times score over the scores that are there, and unscorable if none is."""
    prompt_id: str | None = None
    """The field whose equal values are one prompt."""
    prompt: str | None = None
    """The field with the prompt, whose equal values are one prompt where no id is named."""
    completion: str | None = None
    """The field with the response."""
    group_size: int | None = None
    """So many rows after each other are one prompt, in files that do not say which they belong to.
    """
    step: int | None = None
    """The training step, of a folder (default: the last) or a file that holds several."""
    function: str | None = None
    """A reward function, `module:function`, that scores the responses again."""
    scores: str | Path | None = None
    """A file with the scores of responses, for one that has none."""
    also: tuple[str, ...] = ()
    """Further scores to read beside the reward, by the names of their fields."""
    said: str = ""
    """What was read and how, in one line; found by reading, not given."""

    def __post_init__(self) -> None:
        if self.group_size is not None and self.group_size < 1:
            raise BonteaError(f"group_size={self.group_size} must be at least 1")
        given = [self.reward, self.function, self.scores]
        if sum(one is not None for one in given) > 1:
            raise BonteaError(
                "a score of the file, a reward function and a file of scores are three rewards: "
                "give one (--reward-column, --reward or --scores)"
            )
        if isinstance(self.reward, Mapping) and not self.reward:
            raise BonteaError("reward={} names no score: give at least one with its weight")

    @property
    def rewards(self) -> tuple[str, ...]:
        """The names of the scores that make up the reward."""
        if self.reward is None:
            return ()
        return (self.reward,) if isinstance(self.reward, str) else tuple(self.reward)

    @property
    def weights(self) -> dict[str, Any]:
        """The weight of each of them."""
        if isinstance(self.reward, Mapping):
            return dict(self.reward)
        return dict.fromkeys(self.rewards, 1.0)
