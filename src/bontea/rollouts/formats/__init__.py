"""Files of other tools, read as they are: one module an origin.

A module has `NAME`, `REWARD`, `GROUPS`, `detect(record)` and `rows(records)`; see `_row.Format`.
`_records` gives the records of a file whatever contains them, `_folder` chooses the files of a
folder, `_reader` turns rows into the batches of `bontea.rollouts.read`. docs/other-files.md lists
the fields of every origin.
"""

from __future__ import annotations

from bontea.rollouts.formats import (
    evalplus,
    human_eval,
    inspect_log,
    lm_eval,
    monkeys,
    nemo_rl,
    openai_batch,
    reward_bench,
    search_and_learn,
    skyrl,
    slime,
    tail_rl,
    tinker,
    trinity,
    trl,
    verifiers_results,
    verifiers_traces,
    verl,
)
from bontea.rollouts.formats._reading import Reading
from bontea.rollouts.formats._row import Format

FORMATS: tuple[Format, ...] = (  # type: ignore[assignment]
    trl,
    verl,
    inspect_log,
    verifiers_traces,
    verifiers_results,
    evalplus,
    human_eval,
    lm_eval,
    nemo_rl,
    skyrl,
    slime,
    tinker,
    trinity,
    reward_bench,
    search_and_learn,
    tail_rl,
    monkeys,
    openai_batch,
)
"""In the order in which they are tried; those with fields that others may have come late."""

__all__ = ["FORMATS", "Format", "Reading"]
