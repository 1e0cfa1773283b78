"""The processes of one job: which this is, of how many, and how they start and end together."""

from __future__ import annotations

import os


def rank() -> int:
    """The number of this process, from 0; torchrun and accelerate set it."""
    return int(os.environ.get("RANK", 0))


def world_size() -> int:
    """How many processes there are; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", 1))


def is_main() -> bool:
    """Whether this process writes what all have in common."""
    return rank() == 0


def join() -> None:
    """Set up the processes of torchrun, if any; whoever asks accelerate first decides for all."""
    import torch
    from accelerate import PartialState

    PartialState(cpu=not torch.cuda.is_available())


def leave() -> None:
    """Close what torchrun's processes share, once a job is done, and nothing if it runs alone.

    Left to the end of the interpreter, the threads of an open group can abort a process that has
    finished its work ("terminate called without an active exception", exit code -6).
    """
    from accelerate import PartialState

    PartialState().wait_for_everyone()
    PartialState().destroy_process_group()
