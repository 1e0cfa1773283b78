"""From completions to rows: what is drawn is kept, scored, and written.

    drawn --> FILE.drawn.jsonl --> reward --> FILE

`Scorer` is the one way there, for completions of a model in this process and of a server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bontea.rollouts.calls import Calls, Inbox, calls_of
from bontea.rollouts.drawn import Drawn, DrawnFile
from bontea.rollouts.judge import Judge, Scored, Task, Verdicts
from bontea.rollouts.prompts import Row
from bontea.rollouts.rewards import Reward
from bontea.rollouts.table import RolloutFile

SHOWN = 5
"""So many errors of a reward are said as they come; all of them are in the rows."""


class Scorer:
    """Scores what is drawn for one rollout file.

    Parameters
    ----------
    reward
        A reward function, or a way to call one.
    rows
        The prompts by number, with the columns that the reward gets.
    name
        Becomes the column `model`.
    on_rows
        Gets the number of rows that were written, each time.
    on_trouble
        Gets sentences about completions that the reward raised an error on.
    """

    def __init__(
        self,
        reward: Reward | Calls,
        rows: dict[int, Row],
        file: RolloutFile,
        *,
        batch_size: int,
        name: str | None = None,
        on_rows: Callable[[int], None] = lambda count: None,
        on_trouble: Callable[[str], None] = lambda text: None,
    ):
        self.calls: Calls = calls_of(reward) if callable(reward) else reward
        self.rows, self.file, self.name = rows, file, name
        self.batch_size = batch_size
        self.on_rows = on_rows
        self.drawn = DrawnFile(file)
        self.judge = Judge(self.calls.name)
        self.troubles = Troubles(on_trouble)

    def keep(self, drawn: Iterable[Drawn]) -> list[Task]:
        """Put completions that are new onto the disk; what is then to be scored."""
        return [self._task(one) for one in self.drawn.add(drawn)]

    def left(self) -> list[Task]:
        """What an earlier run has drawn and not scored."""
        return [self._task(one) for one in self.drawn.waiting.values() if one[0] in self.rows]

    def score(self, tasks: Sequence[Task]) -> None:
        """Score these, and write their rows; some may wait for others to be scored: `finish`."""
        inbox = Inbox(self.batch_size)
        inbox.put(tasks)
        inbox.close()
        self.run(inbox)

    def run(self, inbox: Inbox) -> None:
        """Score what comes in until the inbox is closed."""
        self.calls.run(inbox, self._verdicts, self._write)

    def finish(self) -> None:
        """Raise the error of a reward that has failed for everything."""
        self.judge.finish()

    def _verdicts(self, tasks: Sequence[Task]) -> Verdicts:
        """Those of the judge; what is no answer is not shown to the reward, and has none."""
        answers = [task for task in tasks if task.key.is_answer]
        scored = (yield from self.judge.verdicts(answers)) if answers else []
        return scored + [Scored(task.key, None) for task in tasks if not task.key.is_answer]

    def _task(self, one: Drawn) -> Task:
        row = self.rows[one.prompt_id]
        prompt = row["prompt"]
        return Task(
            one,
            one.prompt_id,
            prompt,
            as_completion(prompt, one.text),
            {column: value for column, value in row.items() if column != "prompt"},
        )

    def _write(self, scored: list[Scored]) -> None:
        if not scored:  # all of a batch is set aside
            return
        self.file.append(self._row(one) for one in scored)
        self.drawn.settle(one.key for one in scored)
        self.troubles.say(
            (f"prompt {one.key.prompt_id}, rollout {one.key.rollout}", one.error) for one in scored
        )
        self.on_rows(len(scored))

    def _row(self, scored: Scored) -> Row:
        one, own = scored.key, self.rows[scored.key.prompt_id]
        row: Row = {
            "prompt_id": one.prompt_id,
            "rollout": one.rollout,
            "reward": scored.reward,
            "prompt": own["prompt"],
            "completion": one.text,
        }
        more = {
            "finish_reason": one.finish_reason,
            "reasoning_only": one.reasoning_only or None,
            "error": scored.error,
            "model": self.name,
            "stratum": None if own.get("stratum") is None else str(own["stratum"]),
        }
        return row | {name: value for name, value in more.items() if value is not None}


class Troubles:
    """Says which completions a reward raised an error on, the first of them one by one."""

    def __init__(self, say: Callable[[str], None]):
        self._say, self.count = say, 0

    def say(self, found: Iterable[tuple[str, str | None]]) -> None:
        for place, error in found:
            if error is not None:
                self.count += 1
                if self.count <= SHOWN:
                    self._say(f"{place} is unscorable: {error}")
                if self.count == SHOWN:
                    self._say("errors of more completions are in their rows, in the field error")


def as_completion(prompt: Any, text: str) -> Any:
    """A completion as a reward function gets it: the answer to a chat is a turn of it."""
    return text if isinstance(prompt, str) else [{"role": "assistant", "content": text}]
