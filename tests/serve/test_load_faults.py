"""`bontea serve` under load while something fails: nothing lost, nothing hangs, nothing leaks."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

from tests.serve.crowd import Crowd, check_quiet, metric, processes, start_gateway, until

N = 8


def behind(stub, reward="reward:reward"):
    """The flags of a gateway that draws N responses from a stub."""
    return ("--endpoint", f"{stub.url}/v1", "--reward", reward, "--n", str(N))


def test_one_of_two_endpoints_is_killed():
    with processes.start_stub() as first, processes.start_stub() as second:
        flags = ("--endpoint", f"{first.url}/v1", "--endpoint", f"{second.url}/v1")
        with start_gateway(*flags, "--reward", "reward:reward", "--n", str(N)) as gateway:

            async def run():
                async with Crowd(gateway.url) as crowd:
                    crowd.ask(80)
                    await until(lambda: first.get("/counts")["asked"] > 50)
                    first.process.send_signal(signal.SIGKILL)
                    ends = await crowd.end(30)
                    ends.check(80)
                    # The other one answers for both.
                    assert not ends.errors
                    assert {answer["bontea"]["drawn"] for answer in ends.answers} == {N}

            asyncio.run(run())
            check_quiet(gateway)


def test_the_only_endpoint_is_killed():
    with (
        processes.start_stub() as stub,
        start_gateway(*behind(stub)) as gateway,
    ):

        async def run():
            async with Crowd(gateway.url) as crowd:
                crowd.ask(60)
                await until(lambda: stub.get("/counts")["asked"] > 50)
                stub.process.send_signal(signal.SIGKILL)
                ends = await crowd.end(30)
                ends.check(60)
                assert len(ends.errors) > 30
                for status, body in ends.errors:
                    assert status == 502
                    assert stub.url.rsplit(":", 1)[1] not in body["error"]["message"]

        asyncio.run(run())
        check_quiet(gateway)


def test_a_process_of_the_reward_is_killed():
    """Another takes its place, and no response goes without its reward."""
    with (
        processes.start_stub() as stub,
        start_gateway(*behind(stub)) as gateway,
    ):
        pid = gateway.process.pid

        async def run():
            async with Crowd(gateway.url) as crowd:
                crowd.ask(60)
                await until(lambda: len(crowd.ends.answers) > 5)
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                for child in children:
                    os.kill(int(child), signal.SIGKILL)
                ends = await crowd.end(30)
                ends.check(60)
                assert len(children) == 1
                assert not ends.errors
                assert all(answer["bontea"]["unscored"] == 0 for answer in ends.answers)

        asyncio.run(run())
        check_quiet(gateway)


def test_a_third_of_the_upstreams_answers_are_500():
    with (
        processes.start_stub("--fail", "0.3", "--seed", "0") as stub,
        start_gateway(*behind(stub)) as gateway,
    ):

        async def run():
            async with Crowd(gateway.url) as crowd:
                crowd.ask(50)
                ends = await crowd.end(30)
                ends.check(50)
                assert not ends.errors
                for answer in ends.answers:
                    # What no try gave is drawn anew.
                    assert answer["bontea"]["drawn"] == N
                    assert answer["usage"]["total_tokens"] == 10 * N
                assert sum(answer["bontea"]["failed"] for answer in ends.answers) >= 1

        asyncio.run(run())
        counts = stub.get("/counts")
        assert counts["failed"] > 50
        assert counts["open"] == 0
        check_quiet(gateway)


def test_a_reward_that_does_not_come_back():
    """What hangs is given up after its time; the others are scored."""
    with (
        processes.start_stub("--seed", "0") as stub,
        start_gateway(
            *behind(stub, "reward:hanging"),
            *("--reward-timeout", "2"),
        ) as gateway,
    ):

        async def run():
            async with Crowd(gateway.url) as crowd:
                crowd.ask(25)
                ends = await crowd.end(40)
                ends.check(25)
                for status, body in ends.errors:
                    assert status == 502
                    assert "took longer than 2 s" in body["error"]["message"]
                assert len(ends.answers) > 20
                # And then it goes on.
                crowd.tasks.clear()
                crowd.ask(1)
                await crowd.end(30)

        asyncio.run(run())
        check_quiet(gateway)


def test_clients_that_go_away_leave_no_draw_running():
    with (
        processes.start_stub("--wait", "20") as stub,
        start_gateway(
            *behind(stub),
            *("--requests", "30"),
        ) as gateway,
    ):

        async def run():
            async with Crowd(gateway.url) as crowd:
                crowd.ask(20)
                crowd.ask(20, stream=True)  # of these, 10 wait for a place
                await until(lambda: stub.get("/counts")["open"] == 30 * N)
                await crowd.leave()
                await until(lambda: stub.get("/counts")["open"] == 0)
            counts = stub.get("/counts")
            assert counts["answered"] == 0
            # One that waited may get a place just before it is seen that its client has gone.
            assert 30 * N <= counts["asked"] <= 40 * N
            assert counts["left"] == counts["asked"]
            await until(lambda: metric(gateway, "active_requests") == 0)
            assert metric(gateway, "queued_requests") == 0

        asyncio.run(run())
        check_quiet(gateway)


def test_sigterm_answers_what_is_open():
    with (
        processes.start_stub("--wait", "1") as stub,
        start_gateway(
            *behind(stub),
            *("--requests", "20"),
        ) as gateway,
    ):

        async def run():
            async with Crowd(gateway.url) as crowd:
                crowd.ask(40)
                await until(lambda: metric(gateway, "queued_requests") == 20)
                gateway.process.send_signal(signal.SIGTERM)
                ends = await crowd.end(30)
                ends.check(40)
                assert not ends.errors

        asyncio.run(run())
        assert gateway.process.wait(10) == 0
        check_quiet(gateway)


def test_sigterm_tells_those_who_would_wait_too_long():
    with (
        processes.start_stub("--wait", "60") as stub,
        start_gateway(
            *behind(stub),
            *("--requests", "10", "--drain", "6"),
        ) as gateway,
    ):

        async def run():
            async with Crowd(gateway.url) as crowd:
                crowd.ask(5, stream=True)  # which have begun when the error comes
                crowd.ask(15)
                await until(lambda: metric(gateway, "queued_requests") == 10)
                gateway.process.send_signal(signal.SIGTERM)
                ends = await crowd.end(20)
                ends.check(20)
                assert {body["error"]["code"] for _, body in ends.errors} == {"stopping"}
                assert len(ends.errors) == 20
                assert sum(status == 503 for status, _ in ends.errors) == 15

        asyncio.run(run())
        assert gateway.process.wait(10) == 0
        assert stub.get("/counts")["open"] == 0
        check_quiet(gateway)


def test_a_log_survives_sigkill(tmp_path):
    """Whole lines, all rows of every answer, and the next process goes on in the same file."""
    log = tmp_path / "log.jsonl"
    with processes.start_stub() as stub:
        flags = (
            *behind(stub),
            *("--log", str(log)),
        )
        with start_gateway(*flags) as gateway:

            async def run(count, kill_after):
                async with Crowd(gateway.url) as crowd:
                    crowd.ask(count)
                    await until(lambda: len(crowd.ends.answers) >= kill_after)
                    gateway.process.send_signal(signal.SIGKILL)
                    return await crowd.end(20)

            ends = asyncio.run(run(200, 40))
            assert ends.lost  # it was killed in the middle
            check_quiet(gateway)
        before = log.read_bytes()
        whole = before[: before.rfind(b"\n") + 1]
        drawn = _rows_by_request(whole)
        for answer in ends.answers:
            assert drawn[answer["id"].removeprefix("chatcmpl-")] == list(range(N))
        with start_gateway(*flags) as gateway:

            async def run_on():
                async with Crowd(gateway.url) as crowd:
                    crowd.ask(10)
                    return await crowd.end(20)

            more = asyncio.run(run_on())
            more.check(10)
    after = log.read_bytes()
    assert after.startswith(whole)
    assert after.endswith(b"\n")
    drawn = _rows_by_request(after[len(whole) :])
    assert {answer["id"].removeprefix("chatcmpl-") for answer in more.answers} == drawn.keys()


def _rows_by_request(data: bytes) -> dict[str, list[int]]:
    out: dict[str, list[int]] = {}
    for line in data.splitlines():
        row = json.loads(line)
        out.setdefault(row["prompt_id"], []).append(row["rollout"])
    return {name: sorted(numbers) for name, numbers in out.items()}
