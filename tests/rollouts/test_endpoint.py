"""Rollouts from a server that fails in every way: all arrive, once each, or one message says why.

The server is real, over loopback (`openai_server`), and makes its texts up from the seed and the
prompt; `tests/cli/test_sample.py` has one that serves the embedded policy.
"""

import collections
import datetime
import email.utils
import functools
import json
import signal
import threading
import time

import pytest
from tests.rollouts.openai_server import FAULTS, MODEL, OpenAIServer, Sent, plain

pytest.importorskip("openai")

import openai

from bontea import demo
from bontea.rollouts.drawn import drawn_path
from bontea.rollouts.endpoint import ENOUGH_FAILURES, Sampling, sample_endpoint
from bontea.rollouts.pool import Pace
from bontea.rollouts.prompts import load_prompts
from bontea.rollouts.rewards import HttpReward, load_reward, score
from bontea.rollouts.service import EndpointError, Service, read_key, retry_after
from bontea.rollouts.table import RolloutFile

ROLLOUTS = 4
OpenAIServer = functools.partial(OpenAIServer, complete=plain)


def length(prompts, completions, **_):
    return [float(len(c)) for c in completions]


def prompts(count=3):
    return {i: {"prompt": p} for i, p in enumerate(demo.held_out_prompts()[:count])}


def service(url, **options):
    options = {"model": MODEL, "timeout": 30.0, "retries": 4, "first_wait": 0.01, **options}
    return Service("--endpoint", url, "--api-key-env", "BONTEA_TEST_KEY", **options)


def draw(url, path, rows=None, reward=length, patience=None, **options):
    names = {"temperature", "seed", "completions", "concurrency", "requests_per_minute"}
    sampling = {name: options.pop(name) for name in names & options.keys()}
    file = RolloutFile(path)
    sample_endpoint(
        service(url, **(patience or {})),
        Sampling(**{"max_new_tokens": 6, "concurrency": 4, **sampling}),
        rows or prompts(),
        reward,
        file,
        **{"m": ROLLOUTS, "batch_size": 5, **options},
    )
    return file


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def assert_complete(path, count=3, rollouts=ROLLOUTS):
    keys = [(row["prompt_id"], row["rollout"]) for row in rows_of(path)]
    assert sorted(keys) == [(i, j) for i in range(count) for j in range(rollouts)]


def texts(path):
    return {(row["prompt_id"], row["rollout"]): row["completion"] for row in rows_of(path)}


def test_rows_requests_and_seeds(tmp_path):
    rows = {i: {**row, "stratum": "easy"} for i, row in prompts().items()}
    with OpenAIServer() as server:
        draw(server.url, tmp_path / "a.jsonl", rows)
        draw(server.url, tmp_path / "b.jsonl", rows, concurrency=1)
        draw(server.url, tmp_path / "c.jsonl", rows, seed=1)
    assert_complete(tmp_path / "a.jsonl")
    assert texts(tmp_path / "a.jsonl") == texts(tmp_path / "b.jsonl")  # whatever the order
    assert texts(tmp_path / "a.jsonl") != texts(tmp_path / "c.jsonl")
    for row in rows_of(tmp_path / "a.jsonl"):
        assert row["reward"] == len(row["completion"])
        assert (row["model"], row["stratum"]) == (MODEL, "easy")
        assert row["prompt"] == rows[row["prompt_id"]]["prompt"]
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert "authorization" not in headers  # there is no key
    assert body.pop("messages") == [{"role": "user", "content": rows[0]["prompt"]}]
    seeds = [body["seed"] for _, _, body in server.requests[:12]]
    assert len(set(seeds)) == 12
    assert all(0 <= seed < 2**31 for seed in seeds)
    del body["seed"]
    assert body == {"model": MODEL, "max_tokens": 6, "temperature": 1.0}


def test_turns_tools_and_parts_are_sent_unchanged(tmp_path):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    chat = [
        {"role": "developer", "content": "Be brief.", "name": "boss"},
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
    ]
    tools = [{"type": "function", "function": {"name": "add"}}]
    source = tmp_path / "p.jsonl"
    source.write_text(json.dumps({"prompt": chat, "tools": tools}))
    with OpenAIServer() as server:
        draw(server.url, tmp_path / "a.jsonl", dict(enumerate(load_prompts(str(source)))), m=1)
    (_, _, body), *_ = server.requests
    assert body["messages"] == chat
    assert body["tools"] == tools
    assert rows_of(tmp_path / "a.jsonl")[0]["prompt"] == chat


def test_chats_and_texts_as_they_are(tmp_path):
    seen = []

    def reward(prompts, completions, **_):
        seen.extend(zip(prompts, completions, strict=True))
        return [1.0] * len(prompts)

    chat = [{"role": "system", "content": "kind"}, {"role": "user", "content": "review of it:"}]
    with OpenAIServer() as server:
        draw(server.url, tmp_path / "a.jsonl", {0: {"prompt": chat}}, reward, m=1)
        options = {"m": 1, "reward": reward, "completions": True, "concurrency": 1}
        draw(server.url, tmp_path / "b.jsonl", **options)
    assert server.requests[0][2]["messages"] == chat
    prompt, completion = seen[0]
    assert prompt == chat
    assert completion == [{"role": "assistant", "content": texts(tmp_path / "a.jsonl")[0, 0]}]
    # Not by position: on a busy machine a request may be sent twice.
    _, _, body = next(r for r in server.requests if r[0] == "/v1/completions")
    assert body["prompt"] == prompts()[0]["prompt"]
    assert seen[1][1] in texts(tmp_path / "b.jsonl").values()


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_it_gets_over_every_fault(tmp_path, fault):
    """Two in three requests fail, the second one for a rollout as well."""
    options = {"rows": prompts(2), "m": 2, "concurrency": 1}
    with OpenAIServer() as server:
        draw(server.url, tmp_path / "whole.jsonl", **options)
    faults = lambda number: fault if number % 3 else None  # noqa: E731
    with OpenAIServer(faults=faults, slow=0.6) as server:
        patience = {"retries": 30, "timeout": 0.25 if fault == "slow" else 30.0}
        draw(server.url, tmp_path / "r.jsonl", patience=patience, **options)
    assert_complete(tmp_path / "r.jsonl", 2, 2)
    got, whole = texts(tmp_path / "r.jsonl"), texts(tmp_path / "whole.jsonl")
    if fault == "null":  # an answer, if an empty one
        assert len(server.requests) == 4
        assert sorted(got.values())[:3] == ["", "", ""]
        assert {k: v for k, v in got.items() if v}.items() <= whole.items()
    else:
        assert len(server.requests) >= 12
        assert got == whole


def test_a_dead_server_stops_at_the_first_request(tmp_path):
    with OpenAIServer() as server:
        pass
    with pytest.raises(EndpointError, match=r"failed 3 times.*no connection.*see if it runs"):
        draw(server.url, tmp_path / "r.jsonl", patience={"retries": 2})
    assert not (tmp_path / "r.jsonl").exists()


def test_a_server_that_dies_leaves_what_it_gave(tmp_path):
    rows, one = prompts(10), {"retries": 1}
    with OpenAIServer(die_after=9) as server, pytest.raises(EndpointError) as error:
        draw(server.url, tmp_path / "r.jsonl", rows, patience=one, concurrency=1)
    assert str(error.value).startswith("10 requests, one after the other, were given up")
    assert len(rows_of(tmp_path / "r.jsonl")) == 9
    with OpenAIServer() as server:
        draw(server.url, tmp_path / "r.jsonl", rows)
    assert len(server.requests) == 10 * ROLLOUTS - 9
    assert_complete(tmp_path / "r.jsonl", 10)


@pytest.mark.parametrize(
    ("path", "model", "key", "sent", "words"),
    [
        ("/v1", MODEL, "right", None, "BONTEA_TEST_KEY is not set: set it, or name another with"),
        (
            "/v1",
            MODEL,
            "right",
            "wrong",
            f"not accept the key in BONTEA_TEST_KEY for model '{MODEL}",
        ),
        ("", MODEL, None, None, "usually ends in /v1"),
        ("/v1", "other", None, None, "no model 'other': check --model"),
    ],
)
def test_what_every_request_would_get_stops_at_once(
    tmp_path, monkeypatch, path, model, key, sent, words
):
    if sent:
        monkeypatch.setenv("BONTEA_TEST_KEY", sent)
    with OpenAIServer(key=key) as server:
        url = server.url.removesuffix("/v1") + path
        with pytest.raises(EndpointError) as error:
            draw(url, tmp_path / "r.jsonl", patience={"model": model})
    assert words in str(error.value)
    assert len(server.requests) <= 4  # the concurrency
    if sent:
        assert server.requests[0][1]["authorization"] == f"Bearer {sent}"
        assert sent not in str(error.value).replace("is wrong", "")


def test_a_refused_prompt_costs_its_own_rollouts_only(tmp_path):
    rows = {**prompts(), 3: {"prompt": "forbidden"}, 4: prompts(4)[3]}
    with OpenAIServer() as server, pytest.raises(EndpointError) as error:
        draw(server.url, tmp_path / "r.jsonl", rows)
    assert "4 requests were given up, while others were answered" in str(error.value)
    assert "too long" in str(error.value)
    assert "(prompt 3)" in str(error.value)
    assert len(rows_of(tmp_path / "r.jsonl")) == 4 * ROLLOUTS
    # A refused prompt is not asked for again; the concurrency may have it in flight.
    assert 4 * ROLLOUTS < len(server.requests) <= 5 * ROLLOUTS


@pytest.mark.parametrize("concurrency", [1, 4, 16])
@pytest.mark.parametrize("place", [0, 2])
def test_a_prompt_refused_at_once_costs_only_itself(tmp_path, place, concurrency):
    """Also before anything is answered, and with more rollouts than a dead server gets requests."""
    rows, m = prompts(3), ENOUGH_FAILURES + 2
    rows[place] = {"prompt": "forbidden"}

    def slowly(*asked):
        time.sleep(0.02)
        return plain(*asked)

    with OpenAIServer(complete=slowly) as server, pytest.raises(EndpointError) as error:
        draw(server.url, tmp_path / "r.jsonl", rows, m=m, concurrency=concurrency)
    assert f"{m} requests were given up, while others were answered" in str(error.value)
    assert f"(prompt {place})" in str(error.value)
    counts = collections.Counter(row["prompt_id"] for row in rows_of(tmp_path / "r.jsonl"))
    assert counts == {i: m for i in rows if i != place}
    refused = len(server.requests) - 2 * m
    assert 1 <= refused <= min(concurrency, m)


@pytest.mark.parametrize("count", [2, ENOUGH_FAILURES + 20])
def test_a_server_that_refuses_every_prompt(tmp_path, count):
    rows = {i: {"prompt": "forbidden"} for i in range(count)}
    with OpenAIServer() as server, pytest.raises(EndpointError) as error:
        draw(server.url, tmp_path / "r.jsonl", rows, m=20, concurrency=1)
    assert "too long" in str(error.value)
    assert "(prompt 0)" in str(error.value)
    assert len(server.requests) == min(count, ENOUGH_FAILURES)


def failed(server):
    """The error of one request to a server that fails."""
    asked = service(server.url)
    client = openai.OpenAI(**asked.client_options())
    with pytest.raises(openai.APIError) as error:
        client.post("/completions", body={}, options=asked.request_options(), cast_to=object)
    return error.value


def test_waits():
    in_a_minute = email.utils.format_datetime(
        datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=60)
    )
    for header, expected in [("7", 7), ("0.25", 0.25), (in_a_minute, pytest.approx(60, abs=5))]:
        with OpenAIServer(faults=lambda _: "429", retry_after=header) as server:
            error = failed(server)
        assert retry_after(error) == expected
        assert service(server.url).wait(error, 0) == expected
    for header in ("soon", "0", "-3", "nan"):  # no use: our own wait
        with OpenAIServer(faults=lambda _: "429", retry_after=header) as server:
            error = failed(server)
        assert 0.0075 <= service(server.url).wait(error, 0) <= 0.01
    with OpenAIServer(faults=lambda _: "500") as server:
        error = failed(server)
    patient = service(server.url, retries=20)
    for attempt in range(20):
        longest = min(0.01 * 2**attempt, 30)
        waits = [patient.wait(error, attempt) for _ in range(20)]
        assert 0.75 * longest <= min(waits) < max(waits) <= longest
    with pytest.raises(EndpointError, match=r"failed 21 times, the last time with status 500"):
        patient.wait(error, 20)
    with OpenAIServer(faults=lambda _: "429", retry_after="3600") as server:
        error = failed(server)
    with pytest.raises(EndpointError, match="come back in 3600 s"):
        service(server.url).wait(error, 0)


def test_retry_after_holds_every_request(tmp_path):
    """After the refusal nobody asks before the time is over."""
    times = []

    def faults(number):
        times.append(time.monotonic())
        return "429" if number == 5 else None

    with OpenAIServer(faults=faults, retry_after="0.5") as server:
        draw(server.url, tmp_path / "r.jsonl", concurrency=1)
    assert_complete(tmp_path / "r.jsonl")
    assert times[5] - times[4] >= 0.5


def test_pace():
    pace = Pace(60)  # one a second
    start = time.monotonic()
    slots = [pace.next_slot() for _ in range(5)]
    late = time.monotonic() - start
    for i, slot in enumerate(slots):
        assert i - late <= slot <= i
    pace.hold(100)
    assert 100 - late - 1 <= pace.next_slot() <= 100
    assert [Pace(None).next_slot() for _ in range(3)] == [0.0] * 3


def test_requests_a_minute(tmp_path):
    times = []
    with OpenAIServer(faults=lambda _: times.append(time.monotonic())) as server:
        started = time.monotonic()
        draw(server.url, tmp_path / "r.jsonl", requests_per_minute=1200, concurrency=8)
    assert len(times) == 12
    assert times[-1] - started >= 11 * 0.05  # eleven gaps


def test_the_reward_is_never_called_twice_at_once_and_requests_go_on(tmp_path):
    busy = threading.Lock()
    went_on = []
    with OpenAIServer() as server:

        def reward(prompts, completions, **_):
            assert busy.acquire(blocking=False)
            before, deadline = len(server.requests), time.monotonic() + 5
            while len(server.requests) == before < 12 and time.monotonic() < deadline:
                time.sleep(0.01)
            went_on.append(len(server.requests) > before or before == 12)
            busy.release()
            return [0.0] * len(completions)

        draw(server.url, tmp_path / "r.jsonl", reward=reward)
    assert_complete(tmp_path / "r.jsonl")
    assert all(went_on)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no alarms")
def test_the_reward_is_called_where_signals_work(tmp_path):
    """A verifier that guards itself takes the error of a thread for a wrong answer."""

    def guarded(prompts, completions, **_):
        def late(*_):
            raise TimeoutError

        try:
            signal.signal(signal.SIGALRM, late)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            time.sleep(20)
        except TimeoutError:
            return [1.0] * len(completions)
        except ValueError:
            return [0.0] * len(completions)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    with OpenAIServer() as server:
        draw(server.url, tmp_path / "r.jsonl", reward=guarded)
    assert_complete(tmp_path / "r.jsonl")
    assert {row["reward"] for row in rows_of(tmp_path / "r.jsonl")} == {1.0}


def test_an_async_reward(tmp_path):
    async def reward(prompts, completions, **_):
        return length(prompts, completions)

    with OpenAIServer() as server:
        draw(server.url, tmp_path / "r.jsonl", reward=reward)
    assert all(row["reward"] == len(row["completion"]) for row in rows_of(tmp_path / "r.jsonl"))


def test_one_completion_that_raises_costs_itself(tmp_path):
    said = []
    with OpenAIServer() as server:
        draw(server.url, tmp_path / "whole.jsonl")
        bad = {texts(tmp_path / "whole.jsonl")[1, 2]}

        def reward(prompts, completions, **_):
            if bad & set(completions):
                raise ValueError("this one")
            return length(prompts, completions)

        draw(server.url, tmp_path / "r.jsonl", reward=reward, on_trouble=said.append)
    assert_complete(tmp_path / "r.jsonl")
    rows = rows_of(tmp_path / "r.jsonl")
    lost = [row for row in rows if row["completion"] in bad]
    assert lost
    for row in rows:
        assert row["reward"] == (None if row in lost else len(row["completion"]))
    assert all("this one" in row["error"] for row in lost)
    assert any("reward: prompt" in line and "this one" in line for line in said)


def test_what_was_paid_for_is_kept_when_the_reward_fails(tmp_path):
    def broken(prompts, completions, **_):
        raise KeyError("answer")

    path, rows = tmp_path / "r.jsonl", prompts(8)
    with OpenAIServer() as server:
        with pytest.raises(RuntimeError, match="has not scored any completion"):
            draw(server.url, path, rows, reward=broken)
        assert not path.exists()
        drawn = drawn_path(path)
        assert len(drawn.read_text().splitlines()) == len(server.requests) > 4
        draw(server.url, path, rows)
        assert len(server.requests) == 8 * ROLLOUTS
    assert_complete(path, 8)
    assert not drawn.exists()


def test_a_broken_reward_stops_the_run(tmp_path):
    def broken(prompts, completions, **_):
        raise KeyError("answer")

    with OpenAIServer() as server, pytest.raises(RuntimeError, match="'broken' raised KeyError"):
        draw(server.url, tmp_path / "r.jsonl", reward=broken)
    short = lambda prompts, completions, **_: [1.0] * (len(completions) + 1)  # noqa: E731
    with OpenAIServer() as server, pytest.raises(ValueError, match=r"returned \d values for \d"):
        draw(server.url, tmp_path / "r.jsonl", reward=short)


def test_a_stop_keeps_what_arrived(tmp_path):
    rows = prompts(8)
    written = []
    with OpenAIServer() as server:
        draw(
            server.url,
            tmp_path / "r.jsonl",
            rows,
            on_rows=written.append,
            should_stop=lambda: bool(written),
        )
        kept = len(rows_of(tmp_path / "r.jsonl"))
        assert 0 < kept == sum(written) < 8 * ROLLOUTS
        assert kept == len(server.requests)  # what was asked for was not thrown away
        draw(server.url, tmp_path / "r.jsonl", rows)
    assert_complete(tmp_path / "r.jsonl", 8)
    assert len(server.requests) == 8 * ROLLOUTS


def test_a_stop_does_not_wait_for_a_silent_server(tmp_path, monkeypatch):
    from bontea.rollouts import endpoint

    monkeypatch.setattr(endpoint, "GRACE", 0.3)
    asked = []
    faults = lambda number: asked.append(number) or "slow"  # noqa: E731
    with OpenAIServer(faults=faults, slow=20.0) as server:
        started = time.monotonic()
        draw(server.url, tmp_path / "r.jsonl", should_stop=lambda: bool(asked))
        assert time.monotonic() - started < 15
    assert not (tmp_path / "r.jsonl").exists()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("localhost:8000/v1", "must begin with http:// or https://"),
        ("ftp://localhost/v1", "must begin with http:// or https://"),
        ("http:///v1", "must begin with http:// or https:// and a host"),
        ("http://[::1/v1", "is not a URL"),
        ("http://me:secret@localhost/v1", "would end up in files"),
        ("http://localhost/v1?key=secret", "would end up in files"),
        ("http://a/v1,http://b/v1", "several are given one after the other"),
    ],
)
def test_urls(url, words):
    with pytest.raises(ValueError, match="--endpoint") as error:
        service(url)
    assert words in str(error.value)
    assert "secret" not in str(error.value)


def test_keys(monkeypatch):
    assert read_key("--api-key-env", None) is None
    monkeypatch.setenv("BONTEA_TEST_KEY", "  k3y\n")
    assert read_key("--api-key-env", "BONTEA_TEST_KEY") == "k3y"
    assert "k3y" not in repr(service("http://localhost/v1"))
    monkeypatch.setenv("BONTEA_TEST_KEY", "k3y\nX-Evil: 1")
    with pytest.raises(ValueError, match="place 4") as error:
        read_key("--api-key-env", "BONTEA_TEST_KEY")
    assert "Evil" not in str(error.value)
    with pytest.raises(ValueError, match="never the key") as error:
        read_key("--api-key-env", "sk-12345")
    assert "12345" not in str(error.value)


def test_reward_over_http(tmp_path):
    """Also with faults, and None for what cannot be scored."""
    with OpenAIServer(faults=lambda n: "500" if n < 3 else None) as server:
        url = server.url + "/score"
        reward = load_reward(url, retries=2)
        got = score(reward, ["p", "p"], ["abc", ""], {"answer": [1, 2]})
        assert got[0] == 3
        assert got[1] != got[1]
        sent = {"prompts": ["p", "p"], "completions": ["abc", ""], "answer": [1, 2]}
        assert [body for _, _, body in server.requests] == [sent] * 3
        assert "authorization" not in server.requests[0][1]
        draw(server.url, tmp_path / "r.jsonl", reward=reward)
    assert_complete(tmp_path / "r.jsonl")
    with OpenAIServer(faults=lambda _: "page") as server:
        wrong = load_reward(server.url + "/score", retries=0)
        with pytest.raises(EndpointError, match=r'--reward .*not {"rewards"'):
            wrong(prompts=["p"], completions=["c"])
    said = Sent({"rewards": [0.5]}, kind="text/plain")
    with OpenAIServer(faults=lambda _: said) as server:
        assert load_reward(server.url + "/score")(prompts=["p"], completions=["c"]) == [0.5]
    said = Sent({"rewards": [0.0], "error": "out of memory"})
    with OpenAIServer(faults=lambda _: said) as server:
        wrong = load_reward(server.url + "/score", retries=0)
        with pytest.raises(EndpointError, match="an error with status 200: 'out of memory'"):
            wrong(prompts=["p"], completions=["c"])
    with OpenAIServer(key="right") as server:
        wants = load_reward(server.url + "/score", retries=0)
        with pytest.raises(EndpointError, match=r"it wants a key.*--reward-key-env"):
            wants(prompts=["p"], completions=["c"])


def test_the_reward_server_gets_its_own_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "not-for-you")
    monkeypatch.setenv("REWARD_KEY", "for-you")
    with OpenAIServer() as server:
        for name in (None, "REWARD_KEY"):
            reward = load_reward(server.url + "/score", key_name=name)
            assert isinstance(reward, HttpReward)
            assert reward(prompts=["p"], completions=["cc"]) == [2.0]
    assert "authorization" not in server.requests[0][1]
    assert server.requests[1][1]["authorization"] == "Bearer for-you"
    assert "not-for-you" not in str(server.requests)
