"""Reward functions that take their time."""

from __future__ import annotations

import asyncio
import os
import time

if "SLOW_TO_LOAD" in os.environ:
    time.sleep(float(os.environ["SLOW_TO_LOAD"]))


def hangs(prompts, completions, **columns):
    """Does not come back for a batch in which a completion says so."""
    if "hang" in completions:
        time.sleep(1e6)
    return [float(len(completion)) for completion in completions]


async def hangs_async(prompts, completions, **columns):
    """The same, awaited."""
    if "hang" in completions:
        await asyncio.sleep(1e6)
    return [float(len(completion)) for completion in completions]


def slow(prompts, completions, **columns):
    """Half a second for each call."""
    time.sleep(0.5)
    return [float(len(completion)) for completion in completions]


def hangs_all(prompts, completions, **columns):
    """Never comes back."""
    time.sleep(1e6)


async def blocks_async(prompts, completions, **columns):
    """Never comes back, and lets nothing else of its event loop run."""
    time.sleep(1e6)
