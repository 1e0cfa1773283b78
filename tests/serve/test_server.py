"""The gateway over HTTP, as clients see it, in front of a real server."""

import asyncio
import json
import socket
import threading
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from tests.rollouts.openai_server import MODEL, OpenAIServer, Sent, choice
from tests.serve.running import running

from bontea._errors import BonteaError
from bontea.rollouts import read_rollouts
from bontea.serve import ServeSettings, audit, serve

CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "say a number"}]}


def by_seed(prompt, seed, max_tokens, temperature):
    """Another number for each seed: 7, 14, 21, ... modulo 10."""
    return f"number {seed * 7 % 10}"


@pytest.fixture(scope="module")
def behind():
    with OpenAIServer(complete=by_seed) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(behind):
    with running(settings(behind, n=8, min_n=2)) as (url, it):
        yield url, it


def settings(behind, **more):
    kept = {"endpoint": behind.url, "reward": "tests.serve.rewards:of_text", "port": 0}
    return {**kept, "retries": 0, "timeout": 20.0, "reward_timeout": 10.0, **more}


def post(url, body, path="/chat/completions", **headers):
    """Status, body and headers of an answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = Request(url + path, data, {"content-type": "application/json", **headers})
    try:
        with urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read()), answer.headers
    except HTTPError as error:
        return error.code, json.loads(error.read()), error.headers


def get(url, path):
    try:
        with urlopen(url.removesuffix("/v1") + path, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def check_error(answer, status, words):
    """An error in OpenAI's form."""
    found, body, _ = answer
    assert found == status, body
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert words in body["error"]["message"]


class TestClients:
    def test_chat(self, gateway, behind):
        openai = pytest.importorskip("openai")
        client = openai.OpenAI(base_url=gateway[0], api_key="x", max_retries=0)
        asked = len(behind.requests)
        answer = client.chat.completions.create(**CHAT, seed=1, extra_body={"odd": 3})
        assert answer.choices[0].message.content == "number 9"  # of seeds 1 to 8
        assert answer.choices[0].finish_reason == "stop"
        assert answer.object == "chat.completion"
        own = answer.model_extra["bontea"]
        assert (own["reward"], own["drawn"], own["stopped"]) == (9.0, 8, "fixed_n")
        sent = [body for _, _, body in behind.requests[asked:]]
        assert sorted(body["seed"] for body in sent) == list(range(1, 9))
        assert all(body["odd"] == 3 and "best_of_n" not in body for body in sent)

    def test_several_of_the_best(self, gateway):
        openai = pytest.importorskip("openai")
        client = openai.OpenAI(base_url=gateway[0], api_key="x")
        more = {"best_of_n": {"n": 10}}
        answer = client.chat.completions.create(**CHAT, seed=0, n=3, extra_body=more)
        texts = [c.message.content for c in answer.choices]
        assert texts == ["number 9", "number 8", "number 7"]
        assert [c.index for c in answer.choices] == [0, 1, 2]
        assert answer.model_extra["bontea"]["rewards"] == [9.0, 8.0, 7.0]
        more["best_of_n"]["return"] = "all"
        answer = client.chat.completions.create(**CHAT, seed=0, extra_body=more)
        assert len(answer.choices) == 10

    @pytest.mark.parametrize("path", ["chat/completions", "completions"])
    def test_stream(self, gateway, path):
        openai = pytest.importorskip("openai")
        client = openai.OpenAI(base_url=gateway[0], api_key="x")
        if path == "completions":
            stream = client.completions.create(
                model=MODEL, prompt="p", seed=1, stream=True, stream_options={"include_usage": True}
            )
            pieces = list(stream)
            text = "".join(p.choices[0].text for p in pieces if p.choices)
        else:
            pieces = list(client.chat.completions.create(**CHAT, seed=1, stream=True))
            text = "".join(p.choices[0].delta.content or "" for p in pieces)
            assert pieces[0].choices[0].delta.role == "assistant"
        assert text == "number 9"
        ends = [p for p in pieces if p.choices and p.choices[0].finish_reason]
        assert [p.choices[0].finish_reason for p in ends] == ["stop"]
        assert ends[0].model_extra["bontea"]["drawn"] == 8

    def test_async(self, gateway):
        openai = pytest.importorskip("openai")

        async def ask():
            async with openai.AsyncOpenAI(base_url=gateway[0], api_key="x") as client:
                asked = [client.chat.completions.create(**CHAT, seed=s) for s in range(10)]
                return await asyncio.gather(*asked)

        best = [f"number {max(seed * 7 % 10 for seed in range(s, s + 8))}" for s in range(10)]
        assert [a.choices[0].message.content for a in asyncio.run(ask())] == best

    def test_usage_is_of_everything(self):
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        sent = Sent({**choice("5"), "usage": usage, "model": "m", "id": "a"})
        with (
            OpenAIServer(faults=lambda number: sent) as behind,
            running(settings(behind, n=4)) as (url, _),
        ):
            _, body, _ = post(url, CHAT)
        assert body["usage"] == {"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20}

    def test_models(self, gateway):
        status, text = get(gateway[0], "/v1/models")
        assert status == 200
        assert json.loads(text)["data"][0]["id"] == MODEL

    def test_the_header(self, gateway):
        _, body, _ = post(gateway[0], CHAT, **{"x-best-of-n": "n=3"})
        assert body["bontea"]["drawn"] == 3


class TestBadInput:
    @pytest.mark.parametrize(
        ("body", "status", "words"),
        [
            (b"{", 400, "the body"),
            (b"", 400, "the body"),
            (b'{"model": "a", "model": "b"}', 400, "model"),
            (b"\xff\xfe", 400, "the body"),
            (b"[" * 100_000, 400, "the body"),
            (b"3", 400, "must be a JSON object"),
            (b"null", 400, "must be a JSON object"),
            (b'"text"', 400, "must be a JSON object"),
            (b"[1, [2]]", 400, "must be a JSON object"),
            ({**CHAT, "model": "absent"}, 404, "does not exist"),
            ({**CHAT, "n": 10**9}, 400, "from 1 to 1,024"),
            ({"model": MODEL, "messages": [{"role": "user", "content": "forbidden"}]}, 400, "long"),
        ],
    )
    def test_bodies(self, gateway, body, status, words):
        check_error(post(gateway[0], body), status, words)

    def test_paths(self, gateway):
        check_error(post(gateway[0], CHAT, "/responses"), 404, "/v1/chat/completions")
        status, text = get(gateway[0], "/v1/chat/completions")
        assert status == 405
        assert json.loads(text)["error"]["type"] == "invalid_request_error"

    def test_a_large_body(self, behind):
        with running(settings(behind, body_mb=0.01)) as (url, _):
            large = {**CHAT, "messages": [{"role": "user", "content": "x" * 20_000}]}
            check_error(post(url, large), 413, "0.01 megabytes")

    @pytest.mark.parametrize(
        ("name", "status", "words"),
        [
            ("words", 502, "it must return numbers"),
            ("wrong_count", 502, "returned 999 values for"),
            ("broken", 502, "the judge is broken"),
            ("infinite", 502, "returned inf"),
            ("crash", 502, "ended the process"),
        ],
    )
    def test_rewards(self, behind, name, status, words):
        given = settings(behind, n=4, reward=f"tests.serve.rewards:{name}")
        with running(given) as (url, it):
            check_error(post(url, CHAT), status, words)
            assert get(url, "/healthz")[0] == 503
            if name == "broken":  # who sends nothing to it must learn some time that it is worth it
                it.scores._failed_at -= 60
                assert get(url, "/healthz")[0] == 200
            assert "bontea_failed_rewards_total 4.0" in get(url, "/metrics")[1]
        with running({**given, "reward_failure": "first"}) as (url, _):
            status, body, _ = post(url, CHAT)
        assert status == 200
        assert body["bontea"]["reward"] is None
        assert "no response has a reward" in body["bontea"]["message"]

    def test_a_failing_reward_is_said_without_texts(self, behind):
        given = settings(behind, n=4, reward="tests.serve.rewards:broken")
        said = []
        with running(given, said) as (url, _):
            post(url, CHAT)
            post(url, CHAT)
        lines = [line for line in said if "reward" in line]
        assert len(lines) == 1  # not for every request
        assert "failed for 4 of 4 responses" in lines[0]
        assert "the judge is broken" not in lines[0]

    def test_addresses_are_not_for_clients(self, behind):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        dead = settings(behind, n=2, reward=f"http://{address}/classify")
        for given in (dead, settings(behind, n=2, endpoint=f"http://{address}/v1")):
            with running(given) as (url, _):
                answer = post(url, CHAT)
            check_error(answer, 502, "no connection")
            assert address.split(":")[1] not in str(answer[1])

    def test_a_reward_that_hangs(self, behind):
        given = settings(behind, reward="tests.serve.rewards:hang", reward_timeout=0.5)
        with running({**given, "n": 2}) as (url, _):
            started = time.monotonic()
            check_error(post(url, CHAT), 502, "took longer than 0.5 s")
            assert time.monotonic() - started < 15

    def test_settings(self, behind):
        for more, words in [
            ({"price": -1.0}, "--price -1"),
            ({"price": 0.1, "budget": 4.0}, "--price and --budget"),
            ({"n": 0}, "--n 0"),
            ({"min_n": 9, "max_n": 4}, "--min-n 9 exceeds"),
            ({"budget": 500.0, "max_n": 4}, "--budget 500 must lie between"),
            ({"max_n": 5000}, "--largest-n"),
            ({"audit": 2.0}, "--audit 2"),
            ({"reward": None}, "needs --reward"),
            ({"reward": "no.such:thing"}, "no.such"),
            ({"log": "log.txt"}, "end in .jsonl"),
            ({"reward_failure": "ignore"}, "error or first"),
            ({"endpoint": "localhost:8000"}, "http://"),
            ({"client_keys_env": "NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE"),
            ({"deadline": 0.0}, "--deadline 0"),
        ]:
            with pytest.raises(BonteaError) as caught:
                serve(settings(behind, **more))
            assert words in str(caught.value)

    def test_two_on_one_port(self, behind):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(OSError, match=f"--port {port} cannot be listened on"):
                serve(settings(behind, port=port))

    def test_an_address_of_another_machine(self, behind):
        with pytest.raises(OSError, match="choose an address of this machine"):
            serve(settings(behind, host="192.0.2.1"))

    def test_two_on_one_log(self, behind, tmp_path):
        given = settings(behind, log=str(tmp_path / "log.jsonl"))
        with running(given), pytest.raises(OSError, match=r"another process.*another --log"):
            serve(given)


class TestUpstream:
    @pytest.mark.parametrize(
        ("fault", "status", "words"),
        [
            ("500", 502, "the server behind failed"),
            ("drop", 502, "no connection"),
            ("429", 503, "too busy"),
            ("401", 502, "refuses this gateway"),
            ("page", 502, "the server behind failed"),
            ("truncated", 502, "no JSON, or cut off"),
            ("error", 502, "it was not finished"),
        ],
    )
    def test_faults(self, fault, status, words):
        with (
            OpenAIServer(faults=lambda number: fault, complete=by_seed) as behind,
            running(settings(behind, n=2)) as (url, _),
        ):
            answer = post(url, CHAT)
            check_error(answer, status, words)
            assert behind.url not in str(answer[1])
            if status == 503:
                assert int(answer[2]["retry-after"]) >= 1

    def test_failures_are_counted_where_nothing_is_drawn(self):
        with (
            OpenAIServer(faults=lambda number: "500") as behind,
            running(settings(behind, n=2)) as (url, _),
        ):
            check_error(post(url, CHAT), 502, "the server behind failed")
            page = get(url, "/metrics")[1]
        assert "bontea_failed_responses_total 2.0" in page
        assert 'bontea_stops_total{why="endpoint"} 1.0' in page

    def test_a_request_that_is_wrong_is_no_failure_of_the_server(self, behind):
        with running(settings(behind, n=1)) as (url, _):
            check_error(post(url, {**CHAT, "model": "absent"}), 404, "does not exist")
            page = get(url, "/metrics")[1]
        assert "bontea_failed_responses_total 0.0" in page
        assert 'bontea_stops_total{why="refused"} 1.0' in page

    def test_several_answers_where_one_was_asked_for(self):
        two = choice("1")
        two["choices"] *= 2
        with (
            OpenAIServer(faults=lambda number: Sent(two)) as behind,
            running(settings(behind, n=2)) as (url, _),
        ):
            check_error(post(url, CHAT), 502, "2 choices where one was asked for")

    def test_a_wrong_model_leaves_no_server_out(self):
        with (
            OpenAIServer(complete=by_seed) as one,
            OpenAIServer(complete=by_seed) as two,
            running(settings(one, endpoint=[one.url, two.url], n=2)) as (url, _),
        ):
            for _ in range(3):
                check_error(post(url, {**CHAT, "model": "absent"}), 404, "does not exist")
            assert post(url, CHAT)[0] == 200
            assert get(url, "/healthz")[0] == 200

    def test_one_of_two_is_gone(self):
        with OpenAIServer(complete=by_seed) as one, OpenAIServer(complete=by_seed) as two:
            both = settings(one, endpoint=[one.url, two.url], n=4, retries=1)
            with running(both) as (url, _):
                one.die()
                for _ in range(4):
                    assert post(url, CHAT)[0] == 200

    def test_a_client_that_goes_away_ends_its_draws(self):
        with (
            OpenAIServer(complete=by_seed, faults=lambda n: "slow", slow=3.0) as behind,
            running(settings(behind, n=4, max_n=4)) as (url, it),
        ):
            host, port = url.removesuffix("/v1").removeprefix("http://").split(":")
            data = json.dumps(CHAT).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {len(data)}"
            with socket.create_connection((host, int(port))) as client:
                client.sendall(head.encode() + b"\r\n\r\n" + data)
                deadline = time.monotonic() + 10
                while len(behind.requests) < 4 and time.monotonic() < deadline:
                    time.sleep(0.02)
            while it.gate.active and time.monotonic() < deadline:
                time.sleep(0.02)
            assert it.gate.active == 0
            assert all(server.busy == 0 for server in it.upstream.pool.servers)
            page = get(url, "/metrics")[1]
            assert 'bontea_requests_total{path="/v1/chat/completions",status="499"} 1.0' in page
            assert "bontea_cancelled_responses_total 4.0" in page
            assert 'bontea_stops_total{why="client gone"} 1.0' in page

    @pytest.mark.parametrize("stream", [False, True])
    def test_the_end_comes_first(self, stream, monkeypatch):
        """SIGTERM, and the request takes longer than --drain: an error in OpenAI's form."""
        monkeypatch.setattr("bontea.serve.completions.KEEP_ALIVE", 0.1)
        found = {}

        def ask(url):
            body = json.dumps({**CHAT, "stream": stream}).encode()
            try:
                with urlopen(Request(url + "/chat/completions", body), timeout=30) as answer:
                    found["status"], found["text"] = answer.status, answer.read().decode()
            except HTTPError as error:
                found["status"], found["text"] = error.code, error.read().decode()
                found["after"] = error.headers["retry-after"]

        with (
            OpenAIServer(complete=by_seed, faults=lambda n: "slow", slow=5.0) as behind,
            running(settings(behind, n=1, drain=1.0)) as (url, _),
        ):
            asking = threading.Thread(target=ask, args=[url])
            asking.start()
            deadline = time.monotonic() + 10
            while not behind.requests and time.monotonic() < deadline:
                time.sleep(0.02)
        asking.join(20)
        if stream:
            *_, error, done = [line for line in found["text"].splitlines() if "data:" in line]
            assert done == "data: [DONE]"
            assert "send it again" in json.loads(error.removeprefix("data: "))["error"]["message"]
        else:
            assert found["status"] == 503
            assert "send it again" in json.loads(found["text"])["error"]["message"]
            assert found["after"] == "5"

    def test_a_stream_is_kept_alive(self, monkeypatch):
        monkeypatch.setattr("bontea.serve.completions.KEEP_ALIVE", 0.1)
        with (
            OpenAIServer(complete=by_seed, faults=lambda n: "slow", slow=1.0) as behind,
            running(settings(behind, n=2)) as (url, _),
        ):
            body = json.dumps({**CHAT, "stream": True}).encode()
            with urlopen(Request(url + "/chat/completions", body), timeout=30) as answer:
                assert answer.headers["content-type"] == "text/event-stream"
                lines = answer.read().decode().splitlines()
        assert lines.count(": drawing") >= 3
        assert lines[-2] == "data: [DONE]"

    def test_an_error_in_a_stream(self, monkeypatch):
        openai = pytest.importorskip("openai")
        monkeypatch.setattr("bontea.serve.completions.KEEP_ALIVE", 0.1)
        slow_then_bad = lambda n: "slow"  # noqa: E731
        with (
            OpenAIServer(complete=by_seed, faults=slow_then_bad, slow=0.5) as behind,
            running(settings(behind, n=2, reward="tests.serve.rewards:broken")) as (url, _),
        ):
            client = openai.OpenAI(base_url=url, api_key="x", max_retries=0)
            with pytest.raises(openai.APIError, match="the judge is broken"):
                list(client.chat.completions.create(**CHAT, stream=True))


class TestPassingThrough:
    def test_tool_calls_reach_client_and_reward(self):
        calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
        with_calls = choice(None, "tool_calls", tool_calls=calls)
        answers = [Sent(choice("plain")), Sent(with_calls)]
        with (
            OpenAIServer(faults=lambda number: answers[number % 2]) as behind,
            running(settings(behind, n=4, reward="tests.serve.rewards:chats_only")) as (
                url,
                _,
            ),
        ):
            _, body, _ = post(url, {**CHAT, "tools": [{"type": "function"}]})
            assert body["choices"][0]["message"]["tool_calls"] == calls
            assert body["bontea"]["reward"] == 1.0
            raw = json.dumps({**CHAT, "stream": True}).encode()
            with urlopen(Request(url + "/chat/completions", raw), timeout=30) as answer:
                first = json.loads(answer.readline().decode().removeprefix("data: "))
        assert first["choices"][0]["delta"]["tool_calls"] == [{"index": 0, **calls[0]}]

    def test_images_are_sent_as_they_are(self, gateway, behind):
        parts = [
            {"type": "text", "text": "what is this"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ]
        messages = [{"role": "user", "content": parts}]
        assert post(gateway[0], {"model": MODEL, "messages": messages})[0] == 200
        assert behind.requests[-1][2]["messages"] == messages

    def test_a_reward_for_texts(self, behind):
        given = settings(behind, reward="tests.serve.rewards:texts_only", text_reward=True)
        with running({**given, "n": 2}) as (url, _):
            assert post(url, CHAT)[0] == 200

    def test_columns_reach_the_reward(self, behind):
        given = settings(behind, n=8, reward="tests.serve.rewards:right")
        with running(given) as (url, _):
            own = {"columns": {"answer": 4}}
            _, body, _ = post(url, {**CHAT, "seed": 0, "best_of_n": own})
        assert body["choices"][0]["message"]["content"] == "number 4"

    def test_an_async_reward(self, behind):
        given = settings(behind, n=3, reward="tests.serve.rewards:length_async")
        with running(given) as (url, _):
            assert post(url, CHAT)[1]["bontea"]["reward"] == 8.0

    def test_a_reward_behind_a_url(self, behind):
        with running(settings(behind, n=3, reward=f"{behind.url}/score")) as (url, _):
            assert post(url, CHAT)[1]["bontea"]["reward"] == 8.0


class TestOperators:
    def test_keys(self, behind, tmp_path, monkeypatch):
        import hashlib

        monkeypatch.setenv("CLIENT_KEYS", "first, second")
        hashes = tmp_path / "keys"
        hashes.write_text(f"# for tests\n{hashlib.sha256(b'third').hexdigest()}  laptop\n")
        keys = {"client_keys_env": "CLIENT_KEYS", "client_keys_file": str(hashes)}
        said = []
        with running(settings(behind, n=1, **keys), said) as (url, _):
            for key in ("first", "second", "third"):
                assert post(url, CHAT, authorization=f"Bearer {key}")[0] == 200
            for headers in ({}, {"authorization": "Bearer fourth"}, {"authorization": "third"}):
                check_error(post(url, CHAT, **headers), 401, "missing or unknown")
            assert get(url, "/v1/models")[0] == 401
            assert get(url, "/healthz")[0] == 200
        assert not any(key in " ".join(said) for key in ("first", "second", "third"))

    def test_the_queue(self):
        with (
            OpenAIServer(complete=by_seed, faults=lambda n: "slow", slow=1.0) as behind,
            running(settings(behind, n=1, requests=1, queue=1)) as (url, _),
        ):

            async def ask():
                return await asyncio.gather(*(asyncio.to_thread(post, url, CHAT) for _ in range(5)))

            answers = asyncio.run(ask())
        statuses = sorted(answer[0] for answer in answers)
        assert statuses == [200, 200, 429, 429, 429]
        full = next(answer for answer in answers if answer[0] == 429)
        check_error(full, 429, "try again later")
        assert int(full[2]["retry-after"]) >= 1

    def test_metrics_and_log(self, behind, tmp_path):
        log = tmp_path / "served.jsonl"
        given = settings(behind, budget=4.0, min_n=2, audit=1.0, log=str(log), ceiling=9.0)
        with running(given) as (url, it):
            for seed in range(30):
                assert post(url, {**CHAT, "seed": seed * 3})[0] == 200
                deadline = time.monotonic() + 30
                while it.background and time.monotonic() < deadline:
                    time.sleep(0.01)  # until it has learnt from the request
            deadline = time.monotonic() + 10
            ended = 'bontea_requests_total{path="/v1/chat/completions",status="200"} 30.0'
            page = ""
            while (it.background or ended not in page) and time.monotonic() < deadline:
                time.sleep(0.05)  # a request is counted when its client has the answer
                page = get(url, "/metrics")[1]
            lines = dict(line.rsplit(" ", 1) for line in page.splitlines() if line[0] != "#")
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        assert float(lines["bontea_responses_total"]) == len(rows)
        assert float(lines["bontea_log_rows"]) == len(rows)
        assert float(lines['bontea_requests_total{path="/v1/chat/completions",status="200"}']) == 30
        rollouts = read_rollouts(log)
        assert len(rollouts) == 30
        found = audit(log, rng=0)
        assert found.requests == 30
        assert found.audited == float(lines["bontea_audits_total"])
        assert found.audited >= 10
        assert found.fixed_reward >= found.rule_reward
        squares = 0.0
        for name in {row["prompt_id"] for row in rows if row.get("audit")}:
            own = [row for row in rows if row["prompt_id"] == name]
            stop = next(i for i, row in enumerate(own, 1) if "stopped" in row)
            by_rule, fixed = (max(r["reward"] for r in own[:n]) for n in (stop, 4))
            squares += (by_rule - fixed) ** 2
        assert float(lines["bontea_audit_difference_squares"]) == pytest.approx(squares)
        assert squares > 0
        total = float(lines['bontea_audit_responses_total{by="rule"}'])
        assert found.rule_responses * found.audited == pytest.approx(total)

    def test_alive_whatever_fails_behind(self, behind):
        given = settings(behind, n=2, reward="tests.serve.rewards:broken")
        with running(given) as (url, _):
            assert post(url, CHAT)[0] == 502
            assert get(url, "/healthz")[0] == 503
            assert get(url, "/livez") == (200, '{"status": "ok"}')

    def test_said_at_the_start(self, behind):
        said = []
        with running(settings(behind, verbose=True, n=2), said) as (url, _):
            post(url, CHAT)
        assert "say a number" not in " ".join(said)
        assert any("200" in line and "drawn 2" in line for line in said)


def test_the_embedded_policy_needs_nothing():
    with running(ServeSettings(port=0, budget=4.0, min_n=2)) as (url, _):
        body = {"model": "demo", "prompt": "review of the soup:", "seed": 3}
        status, first, _ = post(url, body, "/completions")
        again = post(url, body, "/completions")[1]
        chat = {"model": "demo", "messages": [{"role": "user", "content": "review of the soup:"}]}
        assert post(url, chat)[0] == 200
        check_error(post(url, {**body, "model": "gpt"}, "/completions"), 404, "'gpt'")
    assert status == 200
    assert "soup" in first["choices"][0]["text"]
    assert first["choices"] == again["choices"]
    assert first["bontea"]["reward"] == pytest.approx(again["bontea"]["reward"])
