"""A process that calls a reward function in its main thread, for `bontea.rollouts.calls`.

It reads from its standard input what to load, and then the arguments of one call after the other,
and writes to its standard output that it has loaded, and what comes of each call, all of them
pickled. It ends when the process
that began it does.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import threading
from typing import Any

from bontea._errors import FailedError
from bontea.rollouts.judge import Failure, outcome_of
from bontea.rollouts.rewards import load_reward


def work() -> None:
    """Answer calls until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # how to end is decided on the other side
    # What the function prints must not come between the answers, nor may it read the calls.
    calls, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    spec, options = pickle.load(calls)
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def read() -> None:
        try:
            while True:
                waiting.put(pickle.load(calls))
        finally:
            os._exit(0)  # also out of a call that does not end

    threading.Thread(target=read, daemon=True).start()
    reward, failure = None, Failure(FailedError(""))
    try:
        reward = load_reward(spec, **options)
    except Exception as error:
        failure = Failure(error)
    pickle.dump(True, answers)  # so that loading is not taken for a call
    answers.flush()
    while True:
        arguments = waiting.get()
        found = outcome_of(reward, *arguments) if reward else failure
        try:
            data = pickle.dumps(found)
            pickle.loads(data)
        except Exception:  # an error of a type that cannot be sent
            data = pickle.dumps(Failure(FailedError(str(found))))
        answers.write(data)
        answers.flush()
