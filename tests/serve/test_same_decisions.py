"""A server decides as `bontea.deploy` and `bontea simulate` do on the same rewards."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from tests.serve.crowd import Crowd, processes, start_gateway

from bontea.cli import main
from bontea.deploy import Rule
from bontea.deploy.walk import walk
from bontea.serve.number import load_prior
from bontea.serve.settings import ServeSettings

PRICE, MIN_N, MAX_N, WAVE, REQUESTS = 0.03, 4, 32, 4, 60


@pytest.fixture(scope="module")
def prior_file(tmp_path_factory):
    """Rollouts of prompts like those of the requests: levels from 0 to 1.5, a spread of 1."""
    path = tmp_path_factory.mktemp("prior") / "prior.jsonl"
    rng = np.random.default_rng(0)
    rows = (
        {"prompt_id": str(p), "reward": p % 7 / 4 + float(rng.normal())}
        for p in range(42)
        for _ in range(32)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def serve(prior_file, log, audit: float) -> tuple[list, dict[str, list]]:
    """The answers of a server, and the rows of its log for each request, in order."""
    with (
        processes.start_stub("--wait", "0.01") as stub,
        start_gateway(
            *("--endpoint", f"{stub.url}/v1", "--reward", "reward:reward", "--log", str(log)),
            *("--prior", str(prior_file), "--price", str(PRICE), "--wave", str(WAVE)),
            *("--min-n", str(MIN_N), "--max-n", str(MAX_N), "--reference-n", str(MAX_N)),
            *("--audit", str(audit)),
        ) as gateway,
    ):

        async def run():
            async with Crowd(gateway.url) as crowd:
                crowd.ask(REQUESTS)
                return await crowd.end(60)

        ends = asyncio.run(run())
        ends.check(REQUESTS)
    assert len(ends.answers) == REQUESTS
    rows: dict[str, list] = {}
    for line in log.read_text().splitlines():
        row = json.loads(line)
        rows.setdefault(row["prompt_id"], []).append(row)
    for of_request in rows.values():
        of_request.sort(key=lambda row: row["rollout"])
        assert [row["rollout"] for row in of_request] == list(range(len(of_request)))
    return ends.answers, rows


def prior_of(file):
    return load_prior(ServeSettings(prior=str(file)))


def replay(rule: Rule, rewards: list[float]) -> tuple[int, str]:
    """Where the rule stops, given what comes when it draws, and why."""
    drawn = 0
    while (found := rule.decide(rewards[:drawn])).draw:
        drawn += found.draw
        assert drawn <= len(rewards), "the rule draws on where the server had stopped"
    return drawn, found.reason


def test_the_log_replayed_stops_where_the_server_did(prior_file, tmp_path):
    answers, rows = serve(prior_file, tmp_path / "log.jsonl", audit=0)
    rule = Rule(prior_of(prior_file), PRICE, MIN_N, MAX_N, WAVE)
    lengths = []
    for answer in answers:
        own, of_request = answer["bontea"], rows[answer["id"].removeprefix("chatcmpl-")]
        rewards = [row["reward"] for row in of_request]
        assert replay(rule, rewards) == (own["drawn"], own["stopped"])
        assert own["drawn"] == len(rewards)
        assert own["reward"] == max(rewards)
        marks = [row.get("stopped") for row in of_request]
        assert marks == [None] * (len(rewards) - 1) + [own["stopped"]]
        lengths.append(len(rewards))
    assert len(set(lengths)) > 3  # it is no fixed N


def test_an_audited_request_says_where_the_rule_had_stopped(prior_file, tmp_path, capsys):
    """The mark in the log, `Rule`, `walk` and `simulate` agree."""
    log = tmp_path / "log.jsonl"
    _, rows = serve(prior_file, log, audit=1)
    prior = prior_of(prior_file)
    rule = Rule(prior, PRICE, MIN_N, MAX_N, WAVE)
    table = np.array([[row["reward"] for row in some] for some in rows.values()])
    assert table.shape == (REQUESTS, MAX_N)
    walked = walk(prior, table, min_n=MIN_N, max_n=MAX_N, wave=WAVE).outcome(PRICE)[0]
    stops = []
    for rewards, some, expected in zip(table.tolist(), rows.values(), walked, strict=True):
        at, why = next((i + 1, r["stopped"]) for i, r in enumerate(some) if "stopped" in r)
        assert replay(rule, rewards) == (at, why)
        assert at == expected
        stops.append(at)
    # `simulate` takes random orders and learns its prior from the log: alike on average.
    flags = ["--price", str(PRICE), "--min-n", str(MIN_N), "--max-n", str(MAX_N)]
    assert main(["simulate", str(log), *flags, "--wave", str(WAVE), "--json"]) == 0
    (outcome,) = json.loads(capsys.readouterr().out)["outcomes"]
    error = np.std(stops) / REQUESTS**0.5
    assert error < 0.15 * MAX_N
    assert abs(outcome["responses"] - np.mean(stops)) < 5 * error
