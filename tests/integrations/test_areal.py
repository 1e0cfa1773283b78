"""areal: its actor, its FSDP engine and two ranks of it, on the CPU; `.ci/adapters areal`."""

import os
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("areal", reason="not installed: .ci/adapters areal")

import areal.engine
import torch
import torch.distributed as dist
from areal.api import FinetuneSpec, ModelAllocation
from areal.api.cli_args import GRPOConfig, MicroBatchSpec, NormConfig, OptimizerConfig
from areal.infra.rpc.serialization import deserialize_value, serialize_value
from areal.trainer.ppo.actor import PPOActor
from areal.utils import stats_tracker
from tests.integrations.batches import (
    CASES,
    EXAMPLES,
    batch,
    check_other_versions,
    core,
    in_order,
)
from transformers import Qwen2Config, Qwen2ForCausalLM

import bontea.integrations.areal as adapter
from bontea.cli import main
from bontea.demo import policy_folder


def config(**settings):
    own = {
        k: settings.pop(k)
        for k in list(settings)
        if k in adapter.BestOfNActorConfig.__annotations__
    }
    return adapter.BestOfNActorConfig(backend="fsdp:d1", kl_ctl=0.0, **own, **settings)


def actor(estimator="tea", **settings):
    return adapter.BestOfNActor(config(bontea={"estimator": estimator, **settings}), None)


def groups_of(ids, rewards):
    """Prompts of two tokens, responses of 1 to 4, and groups of different widths, as workflows
    return them."""
    out = []
    for number, name in enumerate(dict.fromkeys(ids)):
        mine = torch.tensor(rewards[ids == name]).float()
        lengths = torch.arange(len(mine)) % 4 + 1
        place = torch.arange(6 + number % 3)
        attention = place < (2 + lengths)[:, None]
        out.append(
            {
                "input_ids": torch.where(attention, place % 4 + 2, 0),
                "attention_mask": attention.long(),
                "loss_mask": (attention & (place >= 2)).long(),
                "logprobs": torch.where(attention, -0.5, 0.0),
                "versions": torch.where(attention, 0, -1),
                "rewards": mine,
            }
        )
    return out


def per_rollout(data):
    """The advantage of each rollout, which is the same on all its tokens."""
    out = []
    for group in data:
        for values, mask in zip(group["advantages"], group["loss_mask"].bool(), strict=True):
            assert len(set(values[mask].tolist())) == 1
            out.append(float(values[mask][0]))
    return np.array(out)


@pytest.mark.parametrize(("name", "params"), CASES)
@pytest.mark.parametrize("scale", ["none", "batch"])
def test_actor(name, params, scale):
    ids, rewards = batch()
    data = groups_of(ids, rewards)
    out = actor(name, scale=scale, **params).compute_advantages(data)
    expected = in_order(ids, core(rewards, ids, name, scale=scale, **params))
    assert np.abs(per_rollout(out) - expected).max() < 1e-6 * max(1, np.abs(expected).max())
    for group, given in zip(out, groups_of(ids, rewards), strict=True):
        assert torch.equal(group["rewards"], given["rewards"])  # AReaL logs them


def test_reinforce_is_the_default_of_areal():
    """With our code out of the way the same batch gets AReaL's own numbers."""
    ids, rewards = batch()
    theirs = PPOActor(config(), None).compute_advantages(groups_of(ids, rewards))
    np.testing.assert_allclose(per_rollout(theirs), in_order(ids, rewards), atol=1e-6)


def test_what_is_done_to_rewards_is_left_out():
    ids, rewards = batch()
    norm = NormConfig(mean_level="group", std_level="group", group_size=16)
    settings = config(
        bontea={"estimator": "tea", "scale": "none"},
        reward_norm=norm,
        reward_bias=3.0,
        reward_scaling=0.1,
        reward_clip=0.01,
    )
    out = adapter.BestOfNActor(settings, None).compute_advantages(groups_of(ids, rewards))
    expected = in_order(ids, core(rewards, ids, "tea", n=128))
    np.testing.assert_allclose(per_rollout(out), expected, atol=1e-5)


def test_groups_of_one_and_rewards_that_are_no_numbers():
    ids, rewards = batch()
    ids[:2] = "alone", "also alone"
    rewards[5] = np.nan
    stats_tracker.export_all()  # what other tests left there
    run = actor("tea", scale="none")
    got = per_rollout(run.compute_advantages(groups_of(ids, rewards)))
    np.testing.assert_allclose(got, in_order(ids, core(rewards, ids, "tea", n=128)), atol=1e-6)
    assert run._best_of_n.metrics["zeroed_alone"] == 2
    assert run._best_of_n.metrics["zeroed_unscorable"] == 1
    logged = stats_tracker.export_all()
    assert logged["best_of_n/zeroed_alone"] == 2


def test_wrong_settings():
    with pytest.raises(ValueError, match="did you mean 'tea'"):
        actor("tee")
    with pytest.raises(ValueError, match=r"actor\.bontea\.alpha=25"):
        actor("tea", alpha=25)
    for name, value in {
        "adv_norm": NormConfig(),
        "discount": 0.9,
        "gae_lambda": 0.5,
        "overlong_reward_penalty": True,
    }.items():
        with pytest.raises(ValueError, match=rf"actor\.{name}="):
            adapter.BestOfNActor(config(**{name: value}), None)


def test_kl_is_warned_of(monkeypatch):
    """AReaL sets up the handlers of the root logger anew, so that pytest's own sees nothing."""
    said = []
    monkeypatch.setattr(adapter.LOG, "warning", lambda text, *values: said.append(text % values))
    adapter.prepare(config())
    assert not said
    adapter.prepare(adapter.BestOfNActorConfig(backend="fsdp:d1"))
    assert "actor.kl_ctl=0.1 is added to the advantages" in said[0]


def free_port():
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return str(s.getsockname()[1])


@pytest.fixture
def one_rank(monkeypatch):
    for name, value in {
        "RANK": "0",
        "WORLD_SIZE": "1",
        "LOCAL_RANK": "0",
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": free_port(),
        "AREAL_SPMD_MODE": "1",
    }.items():
        monkeypatch.setenv(name, value)
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def small_model(tmp_path_factory):
    """Of a kind that AReaL's packed batches work with, untrained."""
    folder = tmp_path_factory.mktemp("model")
    shutil.copytree(policy_folder(), folder, dirs_exist_ok=True)
    (folder / "model.safetensors").unlink()
    torch.manual_seed(0)
    made = Qwen2Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    Qwen2ForCausalLM(made).save_pretrained(folder)
    return str(folder)


def engine_config(path):
    return config(
        experiment_name="test",
        trial_name="test",
        path=path,
        attn_impl="sdpa",
        dtype="float32",
        gradient_checkpointing=False,
        ppo_n_minibatches=1,
        mb_spec=MicroBatchSpec(max_tokens_per_mb=8),
        optimizer=OptimizerConfig(lr=1e-2, warmup_steps_proportion=0.0),
        bontea={"estimator": "tea", "n": 128, "scale": "batch"},
    )


def trainer_for(actor_config):
    """AReaL's trainer without its inference servers and datasets, which need GPUs."""
    out = object.__new__(adapter.BestOfNTrainer)
    out.config = adapter.BestOfNConfig(
        experiment_name="test",
        trial_name="test",
        actor=actor_config,
        ref=engine_config(actor_config.path),
    )
    return out


def test_the_trainer_makes_our_engine_and_it_trains(one_rank, small_model):
    """A whole update of AReaL's FSDP engine: the best response becomes more probable, and more so
    than the others."""
    actor_config = engine_config(small_model)
    actor_config.bontea = {"estimator": "max_at_k", "k": 2}
    trainer = trainer_for(actor_config)
    alloc = ModelAllocation.from_str("fsdp:d1")
    engine = trainer._create_train_engine(actor_config, alloc)
    assert type(engine) is adapter.BestOfNFSDPActor
    assert type(trainer._create_train_engine(trainer.config.ref, alloc)) is not type(engine)
    assert areal.engine.FSDPPPOActor is adapter.FSDPPPOActor  # put back
    engine.initialize(None, FinetuneSpec(1, 64, 8))
    rewards = torch.tensor([0.0, 0, 0, 1])
    tokens = torch.tensor([[2, 3, first, 5, 6, 7] for first in (8, 9, 10, 11)])
    ones = torch.ones_like(tokens)
    place = torch.arange(6).expand(4, 6)
    data = [
        {
            "input_ids": tokens + group,
            "attention_mask": ones,
            "loss_mask": (place >= 2).long(),
            "rewards": rewards,
        }
        for group in range(2)
    ]
    before = engine.compute_logp([dict(group) for group in data])
    for group, logp in zip(data, before, strict=True):
        group["logprobs"] = torch.roll(logp, 1, -1)
    engine.ppo_update(engine.compute_advantages([dict(group) for group in data]))
    after = engine.compute_logp([dict(group) for group in data])
    logged = engine.export_stats()
    assert logged["best_of_n/groups"] == 2
    for was, now in zip(before, after, strict=True):
        rise = (now - was)[:, 1]  # of the first token of the response, the one that differs
        assert rise[3] > 0.01
        assert rise[3] > rise[:3].max()
    engine.destroy()


def test_only_fsdp(one_rank, small_model):
    actor_config = engine_config(small_model)
    with pytest.raises(ValueError, match="are for fsdp"):
        trainer_for(actor_config)._create_train_engine(
            actor_config, ModelAllocation.from_str("megatron:d1")
        )


def test_start_of_the_trainer():
    """Settings that cannot work stop it before it does anything."""
    bad = adapter.BestOfNConfig(experiment_name="test", trial_name="test", actor=config())
    bad.actor.bontea = {"estimator": "max_at_k", "k": 16}
    bad.gconfig.n_samples = 16
    with pytest.raises(ValueError, match="k <= 15"):
        adapter.BestOfNTrainer(bad)
    bad.critic = object()
    with pytest.raises(ValueError, match="critic"):
        adapter.BestOfNTrainer(bad)


def test_settings_reach_a_worker():
    """What AReaL sends to its workers: the config, and the path of the engine."""
    sent = config(bontea={"estimator": "max_at_k", "k": 4})
    arrived = deserialize_value(serialize_value(sent))
    assert type(arrived) is adapter.BestOfNActorConfig
    assert arrived.bontea == sent.bontea
    assert str(adapter.prepare(arrived).settings).startswith("max_at_k")
    controller = adapter.BestOfNFSDPActor.as_controller(
        adapter.BestOfNActorConfig(backend="fsdp:d1", path=str(policy_folder())), scheduler=None
    )
    engine = controller.train_engine  # as its `initialize` names it to the workers
    assert f"{engine.__module__}.{engine.__name__}" == "bontea.integrations.areal.BestOfNFSDPActor"


RANK = """
import sys
import numpy as np, torch, torch.distributed as dist
from areal.api import ModelAllocation
from tests.integrations.batches import batch
from tests.integrations.test_areal import engine_config, groups_of, per_rollout
import bontea.integrations.areal as adapter

engine = adapter.BestOfNFSDPActor(engine_config(sys.argv[2]))
engine.create_process_group(ModelAllocation.from_str("fsdp:d2").parallel)
ids, rewards = batch()
data = groups_of(ids, rewards)
mine = data[:2] if dist.get_rank() == 0 else data[2:]
np.save(sys.argv[1] + f"/{dist.get_rank()}.npy", per_rollout(engine.compute_advantages(mine)))
dist.barrier()
dist.destroy_process_group()
"""


def test_two_ranks_see_one_batch(tmp_path, small_model):
    port = free_port()
    running = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(tmp_path), small_model],
            env=dict(
                os.environ,
                RANK=str(rank),
                WORLD_SIZE="2",
                LOCAL_RANK="0",
                MASTER_ADDR="localhost",
                MASTER_PORT=port,
                PYTHONPATH=os.pathsep.join(["src", ".", os.environ.get("PYTHONPATH", "")]),
            ),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    errors = [process.communicate(timeout=300)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
    got = np.concatenate([np.load(tmp_path / f"{rank}.npy") for rank in (0, 1)])
    ids, rewards = batch()
    expected = in_order(ids, core(rewards, ids, "tea", n=128, scale="batch"))
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_check(tmp_path, capsys):
    file = str(EXAMPLES / "areal" / "config.yaml")
    assert main(["check", "areal", file]) == 0
    out = capsys.readouterr().out
    assert "agrees with bontea.advantages_for" in out
    assert "settings: adaptive_tea(n=128" in out
    for overrides, message in [
        (["actor.bontea.estimator=tee"], "did you mean 'tea'"),
        (["actor.bontea.estimator=max_at_k", "+actor.bontea.k=16"], "k <= 15"),
        (["actor.bonzai=3"], "AReaL's config does not take this"),
        (["+actor.bonzai=3"], "AReaL's config does not take this"),
        (["+actor.discount=0.9"], "actor.discount=0.9 makes"),
    ]:
        assert main(["check", "areal", file, *overrides]) == 2
        assert message in capsys.readouterr().err


def test_the_example_has_what_areal_asks_for():
    """All its keys are keys of AReaL, whose plain config lacks only ours."""
    from areal.api.cli_args import parse_cli_args, to_structured_cfg
    from omegaconf import open_dict
    from omegaconf.errors import ConfigKeyError

    found, _ = parse_cli_args(["--config", str(EXAMPLES / "areal" / "config.yaml")])
    with pytest.raises(ConfigKeyError, match="bontea"):
        to_structured_cfg(found, GRPOConfig)
    with open_dict(found):
        del found.actor.bontea
    to_structured_cfg(found, GRPOConfig)


def test_another_version(monkeypatch, tmp_path):
    check_other_versions("areal", monkeypatch, tmp_path)
