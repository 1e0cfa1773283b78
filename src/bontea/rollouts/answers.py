"""The final answers of the responses in a file, and which of them are right.

What a vote needs beside the rewards. Responses are read again for it, some at a time, and only
their answers are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from bontea._errors import BonteaError
from bontea.rollouts.chat_text import last_content, quoted
from bontea.rollouts.final_answer import answer_function, final_answer, written
from bontea.rollouts.formats import Reading
from bontea.rollouts.groups import Rollouts
from bontea.rollouts.read import read_completions

AT_A_TIME = 250_000
"""Responses that are in memory together."""


def read_answers(
    rollouts: Rollouts, normaliser: str | Callable[[str], object] | None = None
) -> np.ndarray:
    """The final answer of every response, `(R,)` objects: text, or None where there is none.

    Parameters
    ----------
    rollouts
        Read from a file (`read_rollouts`), whose rows have the response (`completion`).
    normaliser
        A function, or `module:function`: from the text of a response to its answer, so that equal
        answers are equal; None for a response without one. Default: `final_answer`, for numbers and
        multiple choice. A chat is given as the text of its last turn.

    Raises BonteaError where the rollouts are of no file, where no row has a response, and where the
    normaliser raises.
    """
    function = answer_function(normaliser)
    out = _mapped(rollouts, rollouts.reading, lambda text: function(last_content(text)))
    if out is None:
        raise BonteaError(
            f"{rollouts.source} has no responses in it (completion), and a vote compares their "
            "answers: name the field that has them with --completion-column"
        )
    return out


def read_right(
    rollouts: Rollouts,
    answers: np.ndarray,
    column: str,
    normaliser: str | Callable[[str], object] | None = None,
) -> np.ndarray:
    """Which responses are right, `(R,)` of 0 and 1: their answer is the one in a field of the file.

    `answers` are those of `read_answers`. The right answer is normalised in the same way (by the
    default, a text that is nothing but an answer, such as "Paris", is one as well). A response
    without an answer is wrong. Raises BonteaError for a right answer that is missing, that cannot
    be normalised, or that differs between the rows of a prompt.
    """
    function = answer_function(normaliser)

    def right(text: str) -> str | None:
        return function(text) or (written(text) if function is final_answer else None)

    reading = replace(rollouts.reading or Reading(), completion=column)
    found = _mapped(rollouts, reading, lambda text: (text, right(text)))
    owner = np.repeat(np.arange(len(rollouts)), rollouts.counts)
    first: dict[int, tuple[Any, str]] = {}
    out = np.zeros(len(owner))
    for i, one in enumerate([None] * len(owner) if found is None else found):
        where = (
            f"{rollouts.source}, row {rollouts.rows[i] + 1:,}" if rollouts.rows is not None else ""
        )
        if one is None:
            raise BonteaError(f"{where}: there is no right answer in {column!r}")
        text, answer = one
        if answer is None:
            raise BonteaError(
                f"{where}: the right answer {quoted(text)} in {column!r} cannot be normalised: use "
                "a normaliser that takes it (--normaliser MODULE:FUNCTION)"
            )
        known, its_text = first.setdefault(int(owner[i]), (answer, text))
        if known != answer:
            raise BonteaError(
                f"{where}: prompt {quoted(rollouts.prompts[owner[i]])} has two right answers in "
                f"{column!r}, {quoted(its_text)} and {quoted(text)}: give it one"
            )
        out[i] = answers[i] == answer
    return out


def _mapped(
    rollouts: Rollouts, reading: Reading | None, function: Callable[[str], Any]
) -> np.ndarray | None:
    """What a function makes of the response of every rollout; None where no row has one."""
    if rollouts.source is None or rollouts.rows is None:
        raise BonteaError(
            "these rollouts were not read from a file, so that there are no responses to take "
            "answers from: give the answers themselves"
        )
    out = np.full(len(rollouts.rows), None, dtype=object)
    some = False
    for start in range(0, len(out), AT_A_TIME):
        texts = read_completions(rollouts.source, rollouts.rows[start : start + AT_A_TIME], reading)
        for i, text in enumerate(texts, start):
            if text is not None:
                some = True
                out[i] = function(text)
    return out if some else None
