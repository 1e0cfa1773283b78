"""Where a reward is called: signals work there, and so many calls go on at a time."""

import asyncio
import functools
import os
import threading
import time
import warnings

import pytest
from tests.rollouts.openai_server import OpenAIServer

from bontea import BonteaError
from bontea.rollouts.calls import Inbox, InPlace, InThreads, InWorkers, calls_of
from bontea.rollouts.judge import Judge, Task
from bontea.rollouts.rewards import HttpReward, is_async, load_reward, named, score
from bontea.rollouts.service import Service

MINE = """
import os, signal, sys, threading, time

def guarded(completions, **_):
    '''As verifiers do: a time limit, and 0 for whatever goes wrong.'''
    def late(*_):
        raise TimeoutError
    try:
        signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            if "hang" in completions:
                time.sleep(20)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return [1.0] * len(completions)
    except TimeoutError:
        return [-1.0] * len(completions)
    except Exception:
        return [0.0] * len(completions)

def talks(completions, **_):
    print("hello")
    os.write(1, b"from below")
    assert not sys.stdin.read()
    return [float(os.getpid())] * len(completions)

def dies(completions, **_):
    if "3" in completions:
        os._exit(7)
    return [float(c) for c in completions]

class Odd(Exception):
    def __init__(self, a, b):
        super().__init__(a)

def odd(completions, **_):
    if "3" in completions:
        raise Odd("a", lambda: None)
    return [float(c) for c in completions]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "verifier.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def run(calls, completions, batch_size=64):
    inbox, judge = Inbox(batch_size), Judge(calls.name)
    inbox.put(Task(i, i % 2, "p", c, {}) for i, c in enumerate(completions))
    inbox.close()
    scored = []
    try:
        calls.run(inbox, judge.verdicts, scored.extend)
        judge.finish()
    finally:
        calls.close()
    return [(one.reward, one.error) for one in sorted(scored, key=lambda one: one.key)]


def of(spec, concurrency):
    return calls_of(load_reward(spec), concurrency, spec)


alarms = pytest.mark.skipif(not hasattr(__import__("signal"), "setitimer"), reason="no alarms")


@alarms
@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_verifier_with_an_alarm_works(folder, concurrency):
    calls = of("verifier:guarded", concurrency)
    assert isinstance(calls, InPlace if concurrency == 1 else InWorkers)
    found = run(calls, ["a", "hang", "b", "c"], batch_size=1)
    assert [reward for reward, _ in found] == [1.0, -1.0, 1.0, 1.0]


@alarms
def test_an_async_verifier_with_an_alarm_works(folder):
    import verifier

    async def reward(completions, **_):
        await asyncio.sleep(0)
        return verifier.guarded(completions)

    assert run(calls_of(reward), ["a", "b"]) == [(1.0, None)] * 2


@alarms
def test_outside_the_main_thread_it_is_said(folder):
    """Once, with the way out, which works there."""

    def elsewhere(concurrency):
        found = []

        def body():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                found.append(run(of("verifier:guarded", concurrency), ["a"] * 4, batch_size=1))
            found.append([str(one.message) for one in caught])

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        return found

    rewards, (message,) = elsewhere(1)
    assert "outside the main thread, where Python has no signals" in message
    assert rewards == [(0.0, None)] * 4
    assert elsewhere(2) == [[(1.0, None)] * 4, []]


def test_workers_are_processes_that_may_talk_and_die(folder, capfd):
    found = run(of("verifier:talks", 2), ["a"] * 8, batch_size=1)
    pids = {reward for reward, _ in found}
    assert 1 <= len(pids) <= 2
    assert float(os.getpid()) not in pids
    out, errors = capfd.readouterr()
    assert out == ""
    assert "from below" in errors
    found = run(of("verifier:dies", 2), list("0123456"))
    assert [reward for reward, _ in found] == [0, 1, 2, None, 4, 5, 6]
    assert found[3][1] == "reward 'dies' ended the process that it runs in (exit code 7)"
    found = run(of("verifier:odd", 2), list("0123456"))
    assert [reward for reward, _ in found] == [0, 1, 2, None, 4, 5, 6]
    assert "raised Odd: a" in found[3][1]


def test_workers_end_with_the_run(folder):
    calls = of("verifier:talks", 2)
    run(calls, ["a"] * 4, batch_size=1)
    assert all(worker.process is None for worker in calls.workers)


def test_async_rewards_are_awaited_so_many_at_a_time():
    now, most, loops = [0], [0], set()

    async def reward(completions, **_):
        loops.add(asyncio.get_running_loop())
        now[0] += 1
        most[0] = max(most[0], now[0])
        await asyncio.sleep(0.02)
        now[0] -= 1
        return [float(c) for c in completions]

    expected = [(float(i), None) for i in range(24)]
    for concurrency in (1, 3):
        most[0] = 0
        assert run(calls_of(reward, concurrency), map(str, range(24)), batch_size=2) == expected
        assert most[0] == concurrency

    class Judge:
        async def __call__(self, completions, **_):
            return await reward(completions)

    # Also where nobody awaits, and in a notebook; always in the same loop, or clients would break.
    for one in (reward, Judge(), functools.partial(reward, more=1)):
        assert is_async(one)
        assert score(one, ["p"], ["7"], {}).tolist() == [7.0]
        assert named(one)(prompts=["p"], completions=["7"]) == [7.0]
        assert not is_async(named(one))

    async def notebook():
        return score(reward, ["p"], ["7"], {}).tolist()

    assert asyncio.run(notebook()) == [7.0]
    assert len(loops) == 1


def test_an_async_reward_that_raises_is_treated_the_same():
    async def reward(completions, **_):
        await asyncio.sleep(0)
        if "3" in completions:
            raise ValueError("three")
        return [float(c) for c in completions]

    found = run(calls_of(reward, 2), list("0123456"))
    assert [value for value, _ in found] == [0, 1, 2, None, 4, 5, 6]
    assert "three" in found[3][1]

    async def broken(completions, **_):
        return [1.0] * (len(completions) + 1)

    with pytest.raises(BonteaError, match="returned 2 values for 1"):
        run(calls_of(broken, 2), ["a"])


def test_a_server_is_asked_so_often_at_a_time():
    busy, most, lock = [0], [0], threading.Lock()

    def faults(_):
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        time.sleep(0.05)
        with lock:
            busy[0] -= 1

    with OpenAIServer(faults=faults) as server:
        reward = load_reward(server.url + "/score", retries=0)
        assert isinstance(calls_of(reward), InPlace)
        calls = calls_of(reward, 4)
        assert isinstance(calls, InThreads)
        found = run(calls, ["a" * (i + 1) for i in range(32)])
    assert [value for value, _ in found] == list(range(1, 33))
    assert 2 <= most[0] <= 4


class FailsOn(OpenAIServer):
    """Answers status 500 to every request that holds this completion."""

    def note(self, path, headers, body):
        number = super().note(path, headers, body)
        self.bad = "bad" in body["completions"]
        return number


def test_one_completion_that_a_server_cannot_score():
    server = FailsOn(faults=lambda _: "500" if server.bad else None)
    with server:
        reward = HttpReward(
            Service("--reward", server.url + "/score", "--reward-key-env", None, retries=2,
                    first_wait=0.01)
        )  # fmt: skip
        found = run(calls_of(reward), ["a", "aa", "bad", "aaaa", "aaaaa", "aaaaaa"])
    assert [value for value, _ in found] == [1, 2, None, 4, 5, 6]
    assert "status 500" in found[2][1]
    retried = sum(len(body["completions"]) == 6 for _, _, body in server.requests)
    assert retried == 3  # the whole batch; not every half of it, as often
    with pytest.raises(OSError, match="no connection"):  # by now
        run(calls_of(reward), ["a"])


def test_parts():
    inbox = Inbox(8)
    inbox.put(Task(i, 0, "p", "c", {}) for i in range(20))
    sizes = [len(inbox.take(4)) for _ in range(5)]
    assert sizes == [5, 4, 3, 2, 2]
    assert len(inbox.take(1)) == 4
    assert inbox.take(1, wait=False) == []
    inbox.close()
    assert inbox.take() is None


def test_what_cannot_be_called_several_times_at_once():
    with pytest.raises(BonteaError, match="needs the reward as module:function"):
        calls_of(lambda **_: [], 2)
