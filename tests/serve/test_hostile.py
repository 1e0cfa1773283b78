"""What hostile and careless clients, servers and rewards did to the gateway, and do no longer."""

import json
import time
from urllib.request import Request, urlopen

import pytest
from tests.rollouts.openai_server import OpenAIServer, Sent, choice
from tests.serve.running import running
from tests.serve.test_server import CHAT, by_seed, check_error, get, post, settings

from bontea._errors import BonteaError
from bontea.cli import main
from bontea.serve import audit, serve
from bontea.serve.log import Log


@pytest.fixture(scope="module")
def behind():
    with OpenAIServer(complete=by_seed) as server:
        yield server


def nested(depth):
    value = "x"
    for _ in range(depth):
        value = [value]
    return value


def test_a_deeply_nested_body_is_refused_and_scoring_goes_on(behind):
    with running(settings(behind, n=2)) as (url, _):
        for body in (
            {**CHAT, "messages": [{"role": "user", "content": nested(900)}]},
            {**CHAT, "best_of_n": {"columns": {"a": nested(900)}}},
        ):
            check_error(post(url, body), 400, "nested")
        deep = {**CHAT, "best_of_n": {"columns": {"a": nested(80)}}}
        assert post(url, deep)[0] == 200
        assert post(url, CHAT)[0] == 200


def test_a_bug_in_scoring_ends_no_more_than_its_requests(behind, monkeypatch):
    with running(settings(behind, n=2)) as (url, it):
        assert post(url, CHAT)[0] == 200
        worker = it.scores.calls.workers[0]
        whole = type(worker).begin
        monkeypatch.setattr(type(worker), "begin", lambda self: 1 / 0)
        check_error(post(url, CHAT), 502, "calling the reward failed (ZeroDivisionError)")
        monkeypatch.setattr(type(worker), "begin", whole)
        assert post(url, CHAT)[0] == 200


def test_a_reward_that_always_hangs_costs_a_few_of_its_times(behind):
    given = settings(behind, reward="tests.serve.rewards:hang", reward_timeout=0.5, n=16)
    with running(given) as (url, _):
        started = time.monotonic()
        check_error(post(url, CHAT), 502, "took longer than 0.5 s")
        assert time.monotonic() - started < 30  # 16 processes begun anew would take longer


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_a_log_that_is_taken_away_goes_on_in_a_new_file(tmp_path, how, monkeypatch):
    import asyncio

    monkeypatch.setattr("bontea.serve.log.SYNC", 0.02)
    path = tmp_path / "log.jsonl"
    row = {"prompt_id": "a", "rollout": 0, "reward": 1.0}

    async def run():
        with Log(path, 10_000) as log:
            log.add([row])
            await log.written()
            path.unlink() if how == "removed" else path.rename(tmp_path / "other.jsonl")
            await asyncio.sleep(0.3)
            log.add([row])
            await log.written()
            assert log.error is None

    asyncio.run(run())
    assert json.loads(path.read_text())["prompt_id"] == "a"


def test_a_log_that_cannot_go_on_holds_nobody_up(behind, tmp_path, monkeypatch):
    folder = tmp_path / "logs"
    folder.mkdir()
    given = settings(behind, n=2, log=str(folder / "log.jsonl"), log_mb=0.0001)
    monkeypatch.setattr("bontea.serve.log.SYNC", 0.02)
    with running(given) as (url, _):
        assert post(url, CHAT)[0] == 200
        folder.rename(tmp_path / "gone")
        for _ in range(3):
            assert post(url, CHAT)[0] == 200
            time.sleep(0.1)
        assert json.loads(get(url, "/healthz")[1])["log"] == "failing"
        folder.mkdir()
        assert post(url, CHAT)[0] == 200
        time.sleep(0.3)
        assert json.loads(get(url, "/healthz")[1])["log"] == "ok"


@pytest.mark.parametrize("kind", ["pipe", "folder", "other"])
def test_what_is_no_log(behind, tmp_path, kind):
    import os

    path = tmp_path / "log.jsonl"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text('{"question": 1}\n')
    with pytest.raises((BonteaError, OSError), match=r"log\.jsonl"):
        serve(settings(behind, log=str(path)))
    if kind == "other":
        assert path.read_text() == '{"question": 1}\n'


def answers(url, path="/chat/completions", **more):
    raw = json.dumps({**CHAT, **more}).encode()
    with urlopen(Request(url + path, raw), timeout=30) as answer:
        return answer.read().decode()


class TestAnswersOfServers:
    @pytest.mark.parametrize("stream", [False, True])
    def test_no_finish_reason(self, stream):
        whole = choice("5")
        del whole["choices"][0]["finish_reason"]
        with (
            OpenAIServer(faults=lambda n: Sent(whole)) as behind,
            running(settings(behind, n=2)) as (url, _),
        ):
            text = answers(url, stream=stream)
        assert "error" not in text
        assert '"5"' in text

    @pytest.mark.parametrize("stream", [False, True])
    def test_numbers_that_are_none(self, stream):
        odd = {**choice("5"), "usage": {"total_tokens": float("nan"), "prompt_tokens": 10**400}}
        odd["choices"][0]["logprobs"] = {"content": [{"logprob": float("-inf")}]}
        raw = json.dumps(odd).encode()
        with (
            OpenAIServer(faults=lambda n: Sent(raw)) as behind,
            running(settings(behind, n=2)) as (url, _),
        ):
            text = answers(url, stream=stream, stream_options={"include_usage": True})
        assert "NaN" not in text
        assert "Infinity" not in text
        assert "error" not in text

    def test_addresses_are_not_for_clients(self):
        said = {"error": {"message": "cannot reach http://10.0.0.7:8000/secret"}}
        with (
            OpenAIServer(faults=lambda n: Sent(said, 500)) as behind,
            running(settings(behind, n=2)) as (url, _),
        ):
            _, body, _ = post(url, CHAT)
        assert "10.0.0.7" not in str(body)

    def test_an_error_that_quotes_the_prompt_is_not_said(self):
        said = {"error": {"message": "cannot answer 'say a (secret) number'"}}
        lines = []
        with (
            OpenAIServer(faults=lambda n: Sent(said, 500)) as behind,
            running(settings(behind, n=2, retries=1), lines) as (url, _),
        ):
            post(url, CHAT)
        assert any("status 500" in line for line in lines)
        assert "secret" not in " ".join(lines)


class TestRequests:
    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (
                b'{"model":"demo-policy","messages":[{"role":"user","content":"a"}],"top_p":NaN}',
                "NaN",
            ),
            ({**CHAT, "best_of_n": {"price": 10**400}}, "best_of_n.price"),
            ({**CHAT, "best_of_n": {"deadline": 10**400}}, "best_of_n.deadline"),
        ],
    )
    def test_numbers(self, behind, body, words):
        with running(settings(behind, n=1)) as (url, _):
            check_error(post(url, body), 400, words)

    def test_headers(self, behind):
        with running(settings(behind, n=1)) as (url, _):
            deep = {"x-best-of-n": "n=" + "[" * 20_000}
            check_error(post(url, CHAT, **deep), 400, "n must be a whole number")

    def test_a_trailing_slash_is_another_path(self, behind):
        with running(settings(behind, n=1)) as (url, _):
            check_error(post(url, CHAT, "/chat/completions/"), 404, "there is no POST")

    def test_a_deadline_in_the_queue(self):
        from concurrent.futures import ThreadPoolExecutor

        with (
            OpenAIServer(complete=by_seed, faults=lambda n: "slow", slow=3.0) as behind,
            running(settings(behind, n=1, requests=1)) as (url, it),
            ThreadPoolExecutor() as pool,
        ):
            first = pool.submit(post, url, CHAT)
            while not it.gate.active:
                time.sleep(0.01)
            started = time.monotonic()
            late = post(url, {**CHAT, "best_of_n": {"deadline": 0.3}})
            check_error(late, 504, "waited in the queue")
            assert time.monotonic() - started < 2
            assert first.result()[0] == 200
            assert len(behind.requests) == 1

    def test_a_key_with_other_letters(self, behind, monkeypatch):
        monkeypatch.setenv("KK", "clé-1")
        with running(settings(behind, n=1, client_keys_env="KK")) as (url, _):
            sent = "Bearer clé-1".encode().decode("latin-1")
            assert post(url, CHAT, authorization=sent)[0] == 200


def test_failures_are_no_savings(behind):
    given = settings(behind, price=0.0, min_n=2, max_n=8, reference_n=8, audit=0.0)
    with running({**given, "budget": None}) as (url, it):
        rng = __import__("numpy").random.default_rng(0)
        from bontea.serve.options import read_options

        options = read_options(CHAT, {}, it.settings, chat=True)
        for _ in range(8):
            it.numbers.finish(rng.normal(size=16).tolist(), options)
        assert it.numbers.prior is not None
        post(url, {**CHAT, "best_of_n": {"n": 1}})
        post(url, {**CHAT, "best_of_n": {"price": 100}})
        page = get(url, "/metrics")[1]
        assert "bontea_responses_saved 0.0" in page
        post(url, CHAT)
        page = get(url, "/metrics")[1]
        assert "bontea_reference_responses_total 8.0" in page


def test_the_gateway_is_no_endpoint_of_its_own(behind):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(BonteaError, match="is this server itself"):
        serve(settings(behind, endpoint=f"http://localhost:{port}/v1", port=port))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"audit": "16"}, "audit '16' is no number"),
        ({"audit": [1]}, "is no number of responses"),
        ({"audit": -5}, "audit '-5'"),
        ({"audit": True}, "audit 'True'"),
        ({"reward": 10**400}, "is no number"),
    ],
)
def test_rows_of_no_log(tmp_path, row, words):
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps({"prompt_id": "a", "rollout": 0, "reward": 1.0} | row) + "\n")
    with pytest.raises(BonteaError) as caught:
        audit(log)
    assert words in str(caught.value)


def test_rows_in_any_order_and_logs_that_are_not_there(tmp_path, capsys):
    rows = [
        {"prompt_id": p, "rollout": j, "reward": float(j == 3), "audit": 4}
        | ({"stopped": "price"} if j == 1 else {})
        for p in "abcdef"
        for j in range(4)
    ]
    found = []
    for order in (rows, rows[::-1]):
        log = tmp_path / "log.jsonl"
        log.write_text("".join(json.dumps(row) + "\n" for row in order))
        found.append(audit(log, rng=0))
    assert found[0] == found[1] or found[0].to_dict() == found[1].to_dict()
    assert "have the same difference of reward, -1" in found[0].message
    assert main(["audit", str(tmp_path / "none.jsonl")]) == 2
    assert "is not there" in capsys.readouterr().err


def test_few_large_differences_have_limits_that_can_be(tmp_path):
    rows = []
    for p in range(16):
        for j in range(4):
            best = 1.6 if (p in (3, 9) and j == 3) else 0.0
            row = {"prompt_id": f"r{p}", "rollout": j, "reward": best, "audit": 4}
            rows.append(row | ({"stopped": "price"} if j == 1 else {}))
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = audit(log, rng=0)
    assert -1.6 <= found.difference_low < found.difference < found.difference_high <= 0.3


def test_a_prior_of_another_reward_is_said(behind, tmp_path):
    from bontea.serve.number import warn_of_prior
    from bontea.serve.settings import ServeSettings

    (tmp_path / "p.jsonl").write_text("")
    values = {"version": "0", "seed": 0, "command": [], "prompts_sha256": "", "asked": [1]}
    values["settings"] = {"reward": "other:reward"}
    (tmp_path / "p.jsonl.settings.json").write_text(json.dumps(values))
    own = ServeSettings(
        endpoint="http://a/v1", reward="mine:reward", prior=str(tmp_path / "p.jsonl")
    )
    assert "other:reward" in warn_of_prior(own)
    same = ServeSettings(endpoint="http://a/v1", reward="other:reward", prior=own.prior)
    assert warn_of_prior(same) is None
