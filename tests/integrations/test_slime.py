"""slime: the steps between its samples and its token advantages; `SLIME=clone .ci/adapters slime`.

slime's RolloutManager cannot be imported without SGLang and a GPU, so its two methods are cut out
of its file and run as they stand there.
"""

import ast
import types
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slime.utils.types", reason="slime is not on the path: .ci/adapters slime")

import slime
import torch
from slime.utils.misc import load_function
from slime.utils.ppo_utils import get_grpo_returns
from slime.utils.types import Sample
from tests.integrations.batches import CASES, EXAMPLES, batch, check_other_versions, core

import bontea.integrations.slime as adapter
from bontea.cli import main

PATH = "bontea.integrations.slime.post_process_rewards"
METHODS = ("_post_process_rewards", "_convert_samples_to_train_data")


def cut_out(file, name, names):
    """Define a function of a file of slime, or a class with METHODS alone, among `names`."""
    path = Path(next(iter(slime.__path__))) / file
    (node,) = (
        node
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if getattr(node, "name", None) == name
    )
    node.decorator_list = []
    if isinstance(node, ast.ClassDef):
        node.bases = []
        node.body = [part for part in node.body if getattr(part, "name", None) in METHODS]
        assert len(node.body) == len(METHODS)
    exec(compile(ast.Module([node], []), str(path), "exec"), names)


def manager(**settings):
    """A RolloutManager with slime's methods, and the arguments that they read."""
    names = {"Sample": Sample, "torch": torch}
    cut_out("utils/data.py", "get_source", names)
    cut_out("ray/rollout.py", "RolloutManager", names)
    out = names["RolloutManager"]()
    out.args = types.SimpleNamespace(
        advantage_estimator="grpo",
        normalize_advantages=False,
        rewards_normalization=True,
        grpo_std_normalization=True,
        n_samples_per_prompt=16,
        rollout_batch_size=6,
        reward_key=None,
        bontea=settings,
    )
    out.custom_reward_post_process_func = load_function(PATH)
    out.custom_convert_samples_to_train_data_func = None
    return out


def samples(ids, rewards):
    group = {name: number for number, name in enumerate(sorted(set(ids)))}
    return [
        Sample(
            group_index=group[name],
            index=row,
            rollout_id=row,
            tokens=list(range(5 + row % 4)),
            response_length=1 + row % 4,
            reward=reward,
            status=Sample.Status.COMPLETED,
        )
        for row, (name, reward) in enumerate(zip(ids, np.asarray(rewards).tolist(), strict=True))
    ]


def tokens_of(data):
    """What slime's loss does with the rewards: on every token of the response."""
    kl = [torch.zeros(length) for length in data["response_lengths"]]
    return get_grpo_returns(torch.tensor(data["rewards"], dtype=torch.float32), kl)


@pytest.mark.parametrize(("name", "params"), CASES)
@pytest.mark.parametrize("scale", ["none", "batch"])
def test_from_samples_to_tokens(name, params, scale):
    ids, rewards = batch()
    run = manager(estimator=name, scale=scale, **params)
    data = run._convert_samples_to_train_data(samples(ids, rewards))
    expected = core(rewards, ids, name, scale=scale, **params)
    for values, want in zip(tokens_of(data), expected, strict=True):
        assert np.abs(values.numpy() - want).max() < 1e-6 * max(1, np.abs(expected).max())
    assert data["raw_reward"] == rewards.tolist()


def test_siblings_of_a_rollout_count_once():
    ids, rewards = batch()
    parts = np.random.default_rng(2).integers(1, 4, len(ids))
    owner = np.repeat(np.arange(len(ids)), parts)
    last = np.append(owner[1:] != owner[:-1], True)
    all_samples = samples(ids[owner], np.where(last, rewards[owner], 9.0))
    for sample, rollout in zip(all_samples, owner.tolist(), strict=True):
        sample.rollout_id = rollout
    run = manager(estimator="tea", scale="none")
    data = run._convert_samples_to_train_data(all_samples)
    np.testing.assert_allclose(data["rewards"], core(rewards, ids, "tea", n=128)[owner], atol=1e-9)
    # Without ids slime counts every sample, and so do we.
    for sample in all_samples:
        sample.rollout_id = None
    _, got = run._post_process_rewards(all_samples)
    everything = np.where(last, rewards[owner], 9.0)
    np.testing.assert_allclose(got, core(everything, ids[owner], "tea", n=128), atol=1e-9)


def test_one_of_several_rewards_and_none():
    ids, rewards = batch()
    all_samples = samples(ids, rewards)
    for sample in all_samples:
        sample.reward = {"quality": sample.reward, "length": 0.0}
    all_samples[3].reward["quality"] = None
    run = manager(estimator="tea", scale="none")
    run.args.reward_key = "quality"
    raw, got = run._post_process_rewards(all_samples)
    assert raw[3] == got[3] == 0
    missing = rewards.copy()
    missing[3] = np.nan
    np.testing.assert_allclose(got, core(missing, ids, "tea", n=128), atol=1e-9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n": "many"}, r"bontea\.n='many'"),
        ({"estimator": "max_at_k", "k": 16}, "k <= 15"),
        ({"estimator": "tee"}, "did you mean 'tea'"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        manager(**settings)._post_process_rewards(samples(*batch()))


def test_check(tmp_path, capsys):
    assert main(["check", "slime"]) == 0
    assert "agrees with bontea.advantages_for" in capsys.readouterr().out
    assert main(["check", "slime", str(EXAMPLES / "slime" / "bontea.yaml")]) == 0
    assert "settings: adaptive_tea(n=128" in capsys.readouterr().out
    file = tmp_path / "bontea.yaml"
    for text, code, message in [
        ("bontea: {estimator: tea, n: 256}", 0, "settings: tea(n=256, alpha=0.25)"),
        ("bontea: {estimator: tee}", 2, "did you mean 'tea'"),
        ("estimator: tea", 2, "has no key `bontea`"),
    ]:
        file.write_text(text)
        assert main(["check", "slime", str(file)]) == code
        out, err = capsys.readouterr()
        assert message in (err if code else out)


def test_what_slime_would_do_to_them(caplog):
    run = manager(n=64)
    run.args.advantage_estimator = "ppo"
    with pytest.raises(ValueError, match="--advantage-estimator ppo computes with the rewards"):
        run._post_process_rewards(samples(*batch()))
    run = manager(n=65)
    run.args.normalize_advantages = True
    run._post_process_rewards(samples(*batch()))
    assert "--normalize-advantages shifts" in caplog.text
    no_group = samples(*batch())
    no_group[0].group_index = None
    with pytest.raises(ValueError, match="no group_index"):
        adapter.post_process_rewards(manager().args, no_group)


def test_another_version_is_refused(monkeypatch, tmp_path):
    check_other_versions("slime", monkeypatch, tmp_path)
