"""prime_rl: its algorithms, configs and training sink; `PRIME_RL=clone .ci/adapters prime_rl`.

`adaptive_tea` chooses for the whole batch, of which prime-rl shows a group at a time: left out.
"""

import asyncio
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("prime_rl.orchestrator.algo", reason="not on the path: .ci/adapters prime_rl")

import verifiers.v1 as vf
from prime_rl.configs.orchestrator import OrchestratorConfig
from prime_rl.orchestrator import algo, envs
from prime_rl.orchestrator.train_sink import TrainSink
from prime_rl.orchestrator.types import Progress
from tests.integrations.batches import EXAMPLES, batch, check_other_versions, core

import bontea.integrations.prime_rl as adapter
from bontea.cli import main


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    monkeypatch.setattr(algo, "ALGORITHM_CLASSES", dict(algo.ALGORITHM_CLASSES))
    monkeypatch.delenv("BONTEA", raising=False)


@pytest.fixture(autouse=True)
def taskset(tmp_path_factory, monkeypatch):
    """Tasks are packages of a user's; configs are read with them."""
    folder = tmp_path_factory.mktemp("tasks")
    text = "import verifiers.v1 as vf\n__all__ = ['Tasks']\nclass Tasks(vf.Taskset):\n    pass\n"
    (folder / "reverse_text.py").write_text(text)
    monkeypatch.syspath_prepend(folder)


@pytest.fixture
def settings(monkeypatch):
    """Set the environment variable, as `[orchestrator.env_vars]` does it, and install."""

    def put(**given):
        monkeypatch.setenv("BONTEA", json.dumps(given))
        adapter.install()

    return put


def episode(reward, group, tokens=2, **trace):
    """Prompt, response of `tokens`, a message of a tool, and another response of one token."""

    def node(message, count, parent):
        sampled = isinstance(message, vf.AssistantMessage)
        return vf.MessageNode(
            message=message,
            token_ids=list(range(count)),
            mask=[sampled] * count,
            logprobs=[-0.1 * sampled] * count,
            sampled=sampled,
            parent=parent,
        )

    nodes = [
        node(vf.UserMessage(content="q"), 3, None),
        node(vf.AssistantMessage(content="a"), tokens, 0),
        node(vf.ToolMessage(content="t", tool_call_id="x"), 2, 1),
        node(vf.AssistantMessage(content="a"), 1, 2),
    ]
    found = vf.Trace[vf.TaskData](
        task=vf.TraceTask(type="Task", data=vf.TaskData(idx=0, prompt=None)),
        agent=vf.AgentInfo(config=vf.AgentConfig()),
        nodes=nodes,
        rewards={"reward": vf.Reward(score=float(reward))},
        **{"ok": True, **trace},
    )
    return vf.Episode(
        env=vf.EnvInfo(id="test", name="test"),
        task=found.task,
        group=vf.GroupInfo(id=str(group)),
        run=vf.TrainRunInfo(id="run", name="run", work=vf.TrainWorkInfo(step=1, policy=None)),
        traces=[found],
    )


def orchestrator_config(group_size, batch_size):
    source = {"name": "test", "group_size": group_size, "env": {"taskset": {"id": "reverse-text"}}}
    return OrchestratorConfig.model_validate(
        {
            "algo": {"type": "max_rl"},
            "batch_size": batch_size,
            "group_size": group_size,
            "train": {"source": [source], "filter_zero_advantages": False},
        }
    )


def through_the_sink(episodes, group_size):
    """What prime-rl's trainer would get: its sink, with the algorithm that its config names."""
    config = orchestrator_config(group_size, len(episodes))
    (source,) = config.train.source
    env = types.SimpleNamespace(
        config=source,
        algorithm=envs.build_algorithm(source.algo, None),
        sampling_args={"temperature": 1.0},
    )
    sink = TrainSink(
        config,
        tokenizer=None,
        train_envs=types.SimpleNamespace(get=lambda name: env),
        mm_token_type_ids_mapping=None,
        progress=Progress(),
        batch_size=len(episodes),
        token_batch_size=None,
    )

    async def add_all():
        return [await sink.add(one) for one in episodes]

    made = [found for found in asyncio.run(add_all()) if found is not None]
    return env.algorithm, made


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("tea", {"n": 1024}),
        ("linear_tea", {"n": 128, "alpha": 0.5}),
        ("max_at_k", {"k": 4}),
        ("rloo", {}),
    ],
)
@pytest.mark.parametrize("scale", [None, "group"])
def test_from_episodes_to_samples(name, params, scale, settings):
    """All groups through the sink, in the shuffled order in which the rollouts arrive."""
    settings(estimator=name, **params, **({"scale": scale} if scale else {}))
    ids, rewards = batch(missing=0)
    episodes = [
        episode(r, g, 1 + row % 4) for row, (g, r) in enumerate(zip(ids, rewards, strict=True))
    ]
    algorithm, made = through_the_sink(episodes, 16)
    assert type(algorithm) is adapter.BestOfNAlgorithm
    (shipped,) = made
    expected = core(rewards, ids, name, scale=scale or "none", **params)
    of_episode = {e.traces[0].id: want for e, want in zip(episodes, expected, strict=True)}
    traces = [t for e in shipped.cohort.episodes for t in e.traces]
    assert len(traces) == len(episodes)
    for trace in traces:
        got = np.concatenate([n.advantages for n in trace.nodes if any(n.mask)])
        want = of_episode[trace.id]
        assert np.abs(got - want).max() < 1e-6 * max(1, np.abs(expected).max())
    assert len(shipped.samples) == len(episodes)
    for sample in shipped.samples:
        values = np.array(sample.advantages)[np.array(sample.mask)]
        assert len(set(values)) == 1
        assert np.abs(values[0] - expected).min() < 1e-6 * max(1, np.abs(expected).max())


def score(rewards, **traces):
    episodes = [
        episode(r, "g", **{k: v[i] for k, v in traces.items()}) for i, r in enumerate(rewards)
    ]
    algorithm = algo.build_algorithm(orchestrator_config(16, 16).train.source[0].algo, None)
    asyncio.run(algorithm.finalize_group(episodes))
    return algorithm, [e.traces[0].nodes[1].advantages for e in episodes]


def test_failed_rollouts_are_left_out(settings):
    settings(estimator="tea")
    rewards = np.random.default_rng(0).normal(size=16)
    ok = [i not in (2, 7) for i in range(16)]
    errors = [[] if fine else [vf.Error(type="Failed", message="x")] for fine in ok]
    _, got = score(rewards, ok=ok, errors=errors)
    assert got[2] is None
    assert got[7] is None
    expected = core(rewards[ok], np.zeros(14), "tea", n=128)
    np.testing.assert_allclose([g[0] for g in got if g], expected, atol=1e-9)


def test_small_groups_after_the_first(settings):
    settings(estimator="tea")
    rewards = np.random.default_rng(0).normal(size=16)
    algorithm, _ = score(rewards)
    for few, counted in ([0.5], "zeroed_alone"), ([0.0, 1.0], "zeroed_small"):
        episodes = [episode(r, "g") for r in few]
        asyncio.run(algorithm.finalize_group(episodes))
        assert all(e.traces[0].nodes[1].advantages == [0.0, 0.0] for e in episodes)
        assert algorithm._best_of_n.metrics[counted] == len(few)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"estimator": "tee"}, "did you mean 'tea'"),
        ({"n": "many"}, r"\$BONTEA\.n='many'"),
        ({"scale": "batch"}, r"there is no batch"),
    ],
)
def test_wrong_settings(given, message, settings):
    with pytest.raises(ValueError, match=message):
        settings(**given)
    assert algo.ALGORITHM_CLASSES["max_rl"].__module__.startswith("prime_rl")


def test_other_algorithms_stay_and_another_prime_rl_is_refused(settings, monkeypatch):
    settings(estimator="tea")
    assert algo.ALGORITHM_CLASSES["grpo"].__module__ == "prime_rl.orchestrator.algo.grpo"
    monkeypatch.delitem(algo.ALGORITHM_CLASSES, "max_rl")
    with pytest.raises(ValueError, match="not what this was written for"):
        adapter.install()


def test_the_command():
    """Its `orchestrator`, with its own help; wrong settings stop it before anything else."""
    command = [sys.executable, "-m", "bontea.integrations.prime_rl", "--help"]
    env = dict(os.environ, BONTEA='{"estimator": "tea"}')
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "max_off_policy_steps" in done.stdout.replace("-", "_")
    env["BONTEA"] = '{"estimator": "tee"}'
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "did you mean 'tea'" in done.stderr


def test_the_example(tmp_path):
    """`rl` of the example starts our orchestrator: it is the first of that name on the path."""
    (tmp_path / "rl").write_text(
        "#!/usr/bin/env bash\ncommand -v orchestrator\nexec orchestrator --help\n"
    )
    (tmp_path / "rl").chmod(0o755)
    path = os.pathsep.join([str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]])
    env = dict(os.environ, PATH=path, BONTEA='{"estimator": "tea"}')
    command = ["bash", str(EXAMPLES / "prime_rl" / "run.sh")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert str(EXAMPLES / "prime_rl" / "bin" / "orchestrator") in done.stdout
    assert "max_off_policy_steps" in done.stdout.replace("-", "_")


def test_check(tmp_path, capsys):
    assert main(["check", "prime_rl", str(EXAMPLES / "prime_rl" / "rl.toml")]) == 0
    out = capsys.readouterr().out
    assert "agrees with bontea.advantages_for" in out
    assert "settings: tea(n=128, alpha=0.25), scale='none', 16 rollouts per prompt" in out
    file = tmp_path / "orchestrator.toml"
    for text, message in [
        ('algo = {type = "grpo"}', "whose place ours takes"),
        (
            """algo = {type = "max_rl"}\nenv_vars = {BONTEA = '{"estimator": "tee"}'}""",
            "mean 'tea'",
        ),
        (
            """group_size = 8\nalgo = {type = "max_rl"}\n"""
            """env_vars = {BONTEA = '{"estimator": "max_at_k", "k": 8}'}""",
            "k <= 7",
        ),
    ]:
        file.write_text(text)
        assert main(["check", "prime_rl", str(file)]) == 2
        assert message in capsys.readouterr().err


def test_the_example_is_a_config_of_prime_rl():
    import tomllib

    found = tomllib.loads((EXAMPLES / "prime_rl" / "rl.toml").read_text())
    config = OrchestratorConfig.model_validate(found["orchestrator"])
    assert [source.algo.type for source in config.train.source] == ["max_rl"]
    assert json.loads(config.env_vars["BONTEA"])["estimator"] == "adaptive_tea"


def test_another_version(monkeypatch, tmp_path):
    check_other_versions("prime_rl", monkeypatch, tmp_path)
