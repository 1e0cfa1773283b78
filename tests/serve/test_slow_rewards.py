"""Rewards that hang or are slow, in the gateway: what is to blame for it, and what is not."""

from __future__ import annotations

import asyncio
import time

import pytest

from bontea.serve.scores import load_scores
from bontea.serve.settings import ServeSettings

SCORED = ["a", "bb", "ccc", "dddd"]


def score(reward: str, completions: list[str], **settings):
    """Score completions at once; what came of each, and the seconds until it did."""

    async def run():
        scores = load_scores(ServeSettings(reward=f"tests.serve.slow_rewards:{reward}", **settings))
        scores.begin()
        try:
            await scores.score("", "warm", {})
            begun = time.monotonic()

            async def one(completion):
                found = await scores.score("", completion, {})
                return found, time.monotonic() - begun

            return await asyncio.gather(*map(one, completions))
        finally:
            scores.close()
            scores._thread.join(10)

    return asyncio.run(run())


@pytest.mark.parametrize("reward", ["hangs", "hangs_async"])
def test_what_hangs_takes_nothing_from_the_others(reward):
    """Of a batch that is late each is tried alone: two waits in all, not one for each half."""
    timeout = 1.0
    completions = [*SCORED[:2], "hang", *SCORED[2:], *"e" * 10]
    found = score(reward, completions, reward_timeout=timeout, reward_concurrency=1)
    for completion, (one, seconds) in zip(completions, found, strict=True):
        if completion == "hang":
            assert one.reward is None
            assert one.error is not None
            assert "took longer than 1 s" in one.error
            assert seconds >= 2 * timeout
        else:
            assert one.reward == len(completion)


def test_calls_that_hang_do_not_use_up_the_slots():
    """An awaited call that hangs is cancelled after its time, and its slot is free again."""
    completions = ["hang"] * 9 + SCORED
    found = score("hangs_async", completions, reward_timeout=0.2, batch_size=1)
    assert [one.reward for one, _ in found] == [None] * 9 + [1.0, 2.0, 3.0, 4.0]


def test_loading_is_no_part_of_a_call(monkeypatch):
    """A process that takes longer to load its reward than a call may take is not ended for it."""
    monkeypatch.setenv("SLOW_TO_LOAD", "1.5")
    found = score("hangs", SCORED, reward_timeout=1.0)
    assert [one.reward for one, _ in found] == [1.0, 2.0, 3.0, 4.0]


def test_what_waits_behind_others_is_not_late():
    """Calls of half a second each, where a call may take one: none of them is late."""
    found = score("slow", ["x"] * 15, reward_timeout=1.0, batch_size=1)
    assert [one.reward for one, _ in found] == [1.0] * 15
    assert found[-1][1] > 2 * 1.0 + 5
