"""Several servers behind one run: real processes that are killed, come back, and refuse.

Nothing is lost, nothing is there twice, and the work goes to those that are alive.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("openai")

from tests.rollouts.openai_server import MODEL, OpenAIServer, Sent, choice, plain

from bontea import demo
from bontea.rollouts.endpoint import Sampling, sample_endpoint
from bontea.rollouts.service import EndpointError, Service
from bontea.rollouts.table import RolloutFile

SERVER = Path(__file__).with_name("openai_server.py")
PROMPTS = 6


def length(prompts, completions, **_):
    return [float(len(c)) for c in completions]


def services(urls, **options):
    options = {"model": MODEL, "timeout": 20.0, "retries": 2, "first_wait": 0.02, **options}
    return [Service("--endpoint", url, "--api-key-env", "NO_KEY_HERE", **options) for url in urls]


def draw(urls, path, m=20, patience=None, on_rows=lambda count: None, **options):
    said = []
    rows = {i: {"prompt": p} for i, p in enumerate(demo.held_out_prompts()[:PROMPTS])}
    sampling = Sampling(max_new_tokens=6, concurrency=options.pop("concurrency", 6))
    sample_endpoint(
        services(urls, **(patience or {})),
        sampling,
        rows,
        length,
        RolloutFile(path),
        m=m,
        batch_size=4,
        on_rows=on_rows,
        on_trouble=said.append,
        **options,
    )
    return said


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def assert_complete(path, m=20):
    rows = rows_of(path)
    assert sorted((row["prompt_id"], row["rollout"]) for row in rows) == [
        (i, j) for i in range(PROMPTS) for j in range(m)
    ]
    assert len({row["completion"] for row in rows}) == PROMPTS * m  # each has its own seed
    assert all(row["reward"] == len(row["completion"]) for row in rows)


class Process:
    """A server in a process of its own, which can be killed and started again."""

    def __init__(self, wait=0.01):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.wait = wait
        self.start()

    def start(self):
        command = [sys.executable, str(SERVER), str(self.port), "--plain", "--wait", str(self.wait)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def ready(self):
        self.url = self.process.stdout.readline().strip()
        assert self.url
        return self

    def asked(self):
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/requests") as answer:
            return json.load(answer)["requests"]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def three():
    servers = [Process() for _ in range(3)]
    try:
        yield [server.ready() for server in servers]
    finally:
        for server in servers:
            server.kill()


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_one_of_three_is_killed_in_the_middle(three, tmp_path):
    path, done, at_kill = tmp_path / "r.jsonl", [0], []

    def kill_one(count):
        done[0] += count
        if done[0] >= 30 and not at_kill:
            at_kill.append(three[1].asked())
            three[1].kill()

    said = draw([s.url for s in three], path, on_rows=kill_one)
    assert at_kill[0] > 0
    assert_complete(path)
    assert any(f"{three[1].url} is left out" in text for text in said)
    # The other two did what was left, each about as much, and nothing was asked of them twice.
    others = [three[0].asked(), three[2].asked()]
    # It may have answered a few more between the count and the kill.
    assert PROMPTS * 20 - at_kill[0] - 10 <= sum(others) <= PROMPTS * 20
    assert min(others) >= 0.5 * max(others)


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_one_that_comes_back_is_used_again(three, tmp_path):
    path, done = tmp_path / "r.jsonl", [0]
    three[1].kill()
    urls = [s.url for s in three]

    def restart(count):
        done[0] += count
        if done[0] >= 20 and three[1].process.poll() is not None:
            three[1].start()
            three[1].ready()

    said = draw(urls, path, m=60, on_rows=restart)
    assert_complete(path, 60)
    assert three[1].asked() >= 20
    assert any(f"{three[1].url} answers again" in text for text in said)
    assert sum(s.asked() for s in three) <= PROMPTS * 60 + 1


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_all_dead_then_resumed(three, tmp_path):
    path, urls = tmp_path / "r.jsonl", [s.url for s in three]

    def kill_all(count):
        for server in three:
            server.kill()

    with pytest.raises(
        EndpointError, match=r"10 requests, one after the other.*3 endpoints failed.*no conn"
    ):
        draw(urls, path, patience={"retries": 1}, on_rows=kill_all)
    kept = rows_of(path)
    assert 0 < len(kept) < PROMPTS * 20
    with OpenAIServer(complete=plain) as other:
        draw([other.url, urls[0]], path)
    assert_complete(path)
    assert len(other.requests) == PROMPTS * 20 - len(kept)


def test_a_silent_one_loses_its_requests_to_the_others(tmp_path):
    """It takes requests and never answers."""
    with (
        OpenAIServer(complete=plain, faults=lambda _: "slow", slow=15.0) as silent,
        OpenAIServer(complete=plain) as good,
    ):
        patience = {"timeout": 0.5, "retries": 0}
        said = draw([silent.url, good.url], tmp_path / "r.jsonl", patience=patience)
    assert_complete(tmp_path / "r.jsonl")
    assert any("is left out, at first for 0.1 s: no answer within 0.5 s" in text for text in said)
    assert len(good.requests) == PROMPTS * 20


@pytest.mark.parametrize(
    "fault",
    [
        "401",
        "500",
        "429",
        "drop",
        "page",
        "error",
        Sent({"error": {"message": "busy"}}),
        Sent(choice("half", "abort")),
    ],
    ids=str,
)
def test_one_that_always_fails(tmp_path, fault):
    """Whatever it says, the other one does all the work, and its half answers are no rows."""
    with (
        OpenAIServer(complete=plain, faults=lambda _: fault) as bad,
        OpenAIServer(complete=plain) as good,
    ):
        said = draw([bad.url, good.url], tmp_path / "r.jsonl", m=5)
    assert_complete(tmp_path / "r.jsonl", 5)
    assert len(bad.requests) < 30
    assert len(good.requests) == PROMPTS * 5
    assert any(bad.url in text for text in said)


def test_all_refuse(tmp_path):
    """What every server would say to every request ends the run at once."""
    with OpenAIServer(complete=plain) as one, OpenAIServer(complete=plain) as two:
        wrong = [server.url.removesuffix("/v1") for server in (one, two)]
        with pytest.raises(EndpointError, match="usually ends in /v1"):
            draw(wrong, tmp_path / "r.jsonl")
        assert len(one.requests) + len(two.requests) <= 12
        draw([wrong[0], two.url], tmp_path / "r.jsonl", m=3)  # one of them is spelt wrongly
    assert_complete(tmp_path / "r.jsonl", 3)


def test_a_prompt_that_is_refused_costs_no_server(tmp_path):
    rows = {0: {"prompt": "forbidden"}, 1: {"prompt": "a review of it:"}}
    with OpenAIServer(complete=plain) as one, OpenAIServer(complete=plain) as two:
        with pytest.raises(EndpointError, match=r"too long.*\(prompt 0\)"):
            sample_endpoint(
                services([one.url, two.url]),
                Sampling(concurrency=1),
                dict(reversed(rows.items())),
                length,
                RolloutFile(tmp_path / "r.jsonl"),
                m=4,
            )
        assert len(one.requests) + len(two.requests) == 5  # one refusal is enough
    assert {row["prompt_id"] for row in rows_of(tmp_path / "r.jsonl")} == {1}


def test_only_the_one_that_said_so_is_held(tmp_path):
    times = []
    with (
        OpenAIServer(
            complete=plain,
            faults=lambda n: times.append(time.monotonic()) or ("429" if n == 1 else None),
            retry_after="0.6",
        ) as busy,
        OpenAIServer(complete=plain, faults=lambda _: "slow", slow=0.02) as free,
    ):
        draw([busy.url, free.url], tmp_path / "r.jsonl", m=20, concurrency=2)
    assert_complete(tmp_path / "r.jsonl", 20)
    assert len(times) > 1  # it is asked again
    early = [t for t in times if t - times[0] < 0.55]
    assert len(early) <= 2  # those that were on their way
    assert len(free.requests) >= 20


def test_the_work_goes_to_the_least_loaded(tmp_path):
    """Two servers, one of them much slower: it gets few of the requests."""
    slow = {"faults": lambda _: "slow"}
    with (
        OpenAIServer(complete=plain, slow=0.02, **slow) as fast,
        OpenAIServer(complete=plain, slow=1.0, **slow) as lame,
    ):
        started = time.monotonic()
        draw([fast.url, lame.url], tmp_path / "r.jsonl", concurrency=4)
        seconds = time.monotonic() - started
    assert_complete(tmp_path / "r.jsonl")
    assert len(fast.requests) + len(lame.requests) == PROMPTS * 20
    assert len(lame.requests) <= 2 * (seconds / 1.0 + 1)
    assert len(fast.requests) > 2 * len(lame.requests)


def test_a_stop_with_several(tmp_path):
    stop = threading.Event()
    path = tmp_path / "r.jsonl"
    with OpenAIServer(complete=plain) as one, OpenAIServer(complete=plain) as two:
        urls = [one.url, two.url]
        draw(urls, path, on_rows=lambda _: stop.set(), should_stop=stop.is_set, m=40)
        kept = len(rows_of(path))
        assert 0 < kept < PROMPTS * 40
        assert kept == len(one.requests) + len(two.requests)
        draw(urls, path, m=40)
        assert len(one.requests) + len(two.requests) == PROMPTS * 40
    assert_complete(path, 40)
