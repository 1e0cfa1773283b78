"""Trinity-RFT: its registry, its experience pipeline and its classes; `.ci/adapters trinity`."""

import asyncio

import numpy as np
import pytest

pytest.importorskip("trinity", reason="Trinity-RFT is not installed: .ci/adapters trinity")

import torch
from tests.integrations.batches import CASES, EXAMPLES, batch, check_other_versions, core
from trinity.algorithm.advantage_fn import ADVANTAGE_FN
from trinity.buffer.pipelines.experience_pipeline import ExperiencePipeline
from trinity.common.config import AlgorithmConfig, load_config
from trinity.common.experience import EID, Experience

from bontea.cli import main

PATH = "bontea.integrations.trinity.BestOfNAdvantage"


def experience(task, run, reward, step=0, length=4):
    return Experience(
        eid=EID(batch=1, task=task, run=run, step=step),
        tokens=torch.arange(3 + length),
        prompt_length=3,
        logprobs=torch.zeros(length),
        action_mask=torch.tensor([True] * (length - 1) + [False]),
        reward=reward,
    )


def experiences(ids, rewards):
    run = dict.fromkeys(ids, 0)
    out = []
    for task, reward in zip(ids, np.asarray(rewards).tolist(), strict=True):
        out.append(experience(str(task), run[task], reward, length=2 + run[task] % 5))
        run[task] += 1
    return out


def pipeline_step(exps, **arguments):
    """The operators that Trinity's pipeline makes from a config, applied as it applies them.

    The buffer at its end is left out: it needs Ray and a database.
    """
    pipeline = ExperiencePipeline.__new__(ExperiencePipeline)
    pipeline.operators, pipeline.auxiliary_models = [], {}
    config = AlgorithmConfig(algorithm_type="grpo", advantage_fn=PATH, advantage_fn_args=arguments)
    pipeline._set_algorithm_operators(config)
    exps = Experience.deserialize_many(Experience.serialize_many(exps))  # as it travels
    metrics = {}
    for operator in pipeline.operators:
        exps, more = asyncio.run(operator.process(exps))
        metrics |= more
    assert len(pipeline.operators) == 1
    return exps, metrics


def per_experience(exps):
    for exp in exps:
        assert exp.advantages.dtype == torch.float32
        assert (exp.advantages[~exp.action_mask] == 0).all()
        assert len(set(exp.advantages[exp.action_mask].tolist())) == 1
        assert torch.equal(exp.advantages, exp.returns)
    return np.array([float(exp.advantages[0]) for exp in exps])


@pytest.mark.parametrize(("name", "params"), CASES)
@pytest.mark.parametrize("scale", ["none", "batch"])
def test_pipeline(name, params, scale):
    ids, rewards = batch()
    exps, metrics = pipeline_step(experiences(ids, rewards), estimator=name, scale=scale, **params)
    expected = core(rewards, ids, name, scale=scale, **params)
    assert np.abs(per_experience(exps) - expected).max() < 1e-6 * max(1, np.abs(expected).max())
    assert metrics["best_of_n/groups"] == 6
    assert all(isinstance(value, (int, float)) for value in metrics.values())


def test_a_run_of_several_steps_counts_once():
    """With the reward of its last step, wherever that stands."""
    ids, rewards = batch(missing=0)
    expected = core(rewards, ids, "tea", n=128)
    run, exps, want = dict.fromkeys(ids, 0), [], []
    for task, reward, advantage in zip(ids, rewards, expected, strict=True):
        for step in range(1 + run[task] % 3):
            last = step == run[task] % 3
            exps.append(experience(str(task), run[task], float(reward) if last else 9.0, step))
            want.append(advantage)
        run[task] += 1
    order = np.random.default_rng(1).permutation(len(exps))
    out, metrics = pipeline_step([exps[i] for i in order], estimator="tea", scale="none")
    np.testing.assert_allclose(per_experience(out), np.array(want)[order], atol=1e-6, rtol=1e-6)
    assert metrics["best_of_n/rollouts"] == len(ids)


def test_a_workflow_that_numbers_no_runs():
    ids, rewards = batch()
    exps = [experience(str(task), 0, float(r)) for task, r in zip(ids, rewards, strict=True)]
    out, _ = pipeline_step(exps, estimator="tea", scale="none")
    np.testing.assert_allclose(
        per_experience(out), core(rewards, ids, "tea", n=128), atol=1e-6, rtol=1e-6
    )


def test_what_trinity_asks_of_the_class():
    cls = ADVANTAGE_FN.get(PATH)
    assert not cls.compute_in_trainer()
    assert cls(**cls.default_args())([]) == ([], {})
    exps, _ = cls(estimator="rloo", scale="none")(experiences(["a", "a"], [1.0, 3.0]))
    assert per_experience(exps).tolist() == [-2, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"estimator": "tee"}, "did you mean 'tea'"),
        ({"n": "many"}, r"algorithm\.advantage_fn_args\.n='many'"),
        ({"estimator": "tea", "epsilon": 1e-6}, "has no parameter 'epsilon'"),
    ],
)
def test_wrong_settings_stop_the_pipeline_at_its_start(arguments, message):
    with pytest.raises(ValueError, match=message):
        pipeline_step([], **arguments)


YAML = """
algorithm:
  algorithm_type: grpo
  repeat_times: 16
  advantage_fn: bontea.integrations.trinity.BestOfNAdvantage
  advantage_fn_args: {estimator: ESTIMATOR, n: 256}
"""


def test_check(tmp_path, capsys):
    assert main(["check", "trinity"]) == 0
    assert "agrees with bontea.advantages_for" in capsys.readouterr().out
    file = tmp_path / "config.yaml"
    file.write_text(YAML.replace("ESTIMATOR", "tea"))
    assert main(["check", "trinity", str(file)]) == 0
    assert "settings: tea(n=256, alpha=0.25)" in capsys.readouterr().out
    file.write_text(YAML.replace("ESTIMATOR", "tee"))
    assert main(["check", "trinity", str(file)]) == 2
    assert "did you mean 'tea'" in capsys.readouterr().err
    file.write_text("algorithm: {advantage_fn: grpo}")
    assert main(["check", "trinity", str(file)]) == 2
    assert "advantage_fn='grpo': set it to" in capsys.readouterr().err


def test_the_example(capsys):
    path = str(EXAMPLES / "trinity" / "config.yaml")
    assert load_config(path).algorithm.advantage_fn == PATH  # Trinity knows every key
    assert main(["check", "trinity", path]) == 0
    assert "settings: adaptive_tea(n=128" in capsys.readouterr().out


def test_lone_and_unscorable():
    out, metrics = pipeline_step(
        experiences(["a"] * 12 + ["b"], [float(i) for i in range(11)] + [None, 3.0]), n=64
    )
    assert per_experience(out)[-2:].tolist() == [0, 0]
    assert metrics["best_of_n/zeroed_unscorable"] == metrics["best_of_n/zeroed_alone"] == 1


def test_another_version_is_refused(monkeypatch, tmp_path):
    check_other_versions("trinity", monkeypatch, tmp_path)
