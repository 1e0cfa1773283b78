"""verl: its own dispatch and its real trainer step, on the CPU; run by `.ci/adapters verl`."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("verl", reason="verl is not installed: .ci/adapters verl")

import torch
from omegaconf import OmegaConf
from tests.integrations.batches import pretend, run_script
from verl import DataProto
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY
from verl.trainer.ppo.ray_trainer import compute_advantage
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

import bontea
import bontea.integrations.verl as adapter
from bontea import ADVANTAGES
from bontea.cli import main

TOKENS = 6
BINARY = {"pass_at_k", "pass_at_n", "inference_aware", "max_rl"}


def config(**bontea_settings):
    return OmegaConf.create({"bontea": {"scale": "none", **bontea_settings}})


def batch(seed=0, prompts=12, m=16, missing=3, binary=False):
    """Shuffled rows; the first prompt lacks some of its rollouts."""
    rng = np.random.default_rng(seed)
    uids = np.repeat([f"prompt-{i:04x}" for i in range(prompts)], m)[missing:]
    rewards = rng.normal(size=len(uids)).astype(np.float32)
    if binary:
        rewards = (rewards > 0.5).astype(np.float32)
    order = rng.permutation(len(uids))
    return uids[order], rewards[order]


def data_of(uids, rewards):
    """As the trainer has it: the reward on the last token, responses of different lengths."""
    lengths = np.random.default_rng(1).integers(1, TOKENS + 1, len(uids))
    mask = torch.tensor(np.arange(TOKENS) < lengths[:, None]).long()
    tokens = torch.zeros(len(uids), TOKENS)
    tokens[torch.arange(len(uids)), torch.tensor(lengths) - 1] = torch.tensor(rewards).float()
    return DataProto.from_dict(
        tensors={"token_level_rewards": tokens, "response_mask": mask},
        non_tensors={"uid": uids.astype(object)},
    )


def per_rollout(data):
    """(B,) from (B, T); every token of a response has the same advantage, all others have 0."""
    advantages, mask = data.batch["advantages"], data.batch["response_mask"]
    out = advantages.sum(dim=1) / mask.sum(dim=1).clamp(min=1)
    torch.testing.assert_close(advantages, out[:, None] * mask, atol=1e-6, rtol=1e-6)
    assert torch.equal(advantages, data.batch["returns"])
    return out.numpy()


def core(rewards, uids, name, **params):
    return bontea.advantages_for(np.asarray(rewards, dtype=float), uids, name, **params)


@pytest.mark.parametrize("name", ADVANTAGES)
def test_dispatch_of_every_estimator(name):
    uids, rewards = batch(binary=name in BINARY)
    params = {"alpha": 0.5} if name == "prefix_tea" else {}
    random = {"rng": 7} if name == "prefix_tea" else {}
    data = compute_advantage(
        data_of(uids, rewards), f"bontea_{name}", config=config(n=12, **params, **random)
    )
    given = {"n": 12, "k": 6, "history": np.zeros((0, 16)), **params} | random
    takes = bontea.advantages.EstimatorSpec.of(name).takes
    expected = core(rewards, uids, name, **{k: v for k, v in given.items() if takes(k)})
    assert np.abs(expected).max() > 0.01
    assert np.abs(per_rollout(data) - expected).max() < 1e-6 * max(1, np.abs(expected).max())


def test_scale_is_the_batch_by_default():
    uids, rewards = batch()
    data = compute_advantage(
        data_of(uids, rewards), "bontea_rloo", config=OmegaConf.create({"bontea": {}})
    )
    expected = bontea.scale_advantages(core(rewards, uids, "rloo"))
    np.testing.assert_allclose(per_rollout(data), expected, atol=1e-6)


def test_padding_is_no_rollout():
    """verl's rows without response tokens, all under one uid: 0, and they change nothing."""
    uids, rewards = batch()
    plain = compute_advantage(data_of(uids, rewards), "bontea_tea", config=config(scale="batch"))
    more = data_of(np.append(uids, ["pad0"] * 20), np.append(rewards, np.zeros(20)))
    more.batch["response_mask"][-20:] = 0
    padded = compute_advantage(more, "bontea_tea", config=config(scale="batch"))
    assert (padded.batch["advantages"][-20:] == 0).all()
    np.testing.assert_array_equal(per_rollout(padded)[:-20], per_rollout(plain))
    assert ADV_ESTIMATOR_REGISTRY["bontea_tea"]._best_of_n.metrics["zeroed_padding"] == 20


def test_a_session_counts_once():
    """As for verl's grpo: the last output of a session decides, and all outputs get its value."""
    uids, rewards = batch(missing=0, prompts=4, m=8)
    turns = np.random.default_rng(2).integers(1, 4, len(uids))
    session = {uid: iter(range(99)) for uid in set(uids)}
    names = np.array([f"{uid}_{next(session[uid])}" for uid in uids])
    keys = [f"{name}_{t}" for name, n in zip(names, turns, strict=True) for t in range(n)]
    owner = np.repeat(np.arange(len(uids)), turns)
    values = np.random.default_rng(3).normal(size=len(keys)).astype(np.float32)  # of early turns
    values[np.cumsum(turns) - 1] = rewards
    order = np.random.default_rng(4).permutation(len(keys))
    data = data_of(uids[owner][order], values[order])
    shuffled = [keys[i] for i in order]
    out = compute_advantage_for_multi_trajectories(
        data, shuffled, "bontea_max_at_k", config=config(k=4)
    )
    expected = core(rewards, uids, "max_at_k", k=4)[owner][order]
    np.testing.assert_allclose(per_rollout(out), expected, atol=1e-5)

    # verl's own grpo without its division by the spread is reinforce.
    data = data_of(uids[owner][order], values[order])
    theirs = compute_advantage_for_multi_trajectories(
        data, shuffled, "grpo", norm_adv_by_std_in_grpo=False, config=config()
    )
    expected = per_rollout(theirs).copy()
    ours = compute_advantage_for_multi_trajectories(
        data, shuffled, "bontea_reinforce", config=config()
    )
    np.testing.assert_allclose(per_rollout(ours), expected, atol=1e-6)


@pytest.fixture
def queue():
    ray = pytest.importorskip("ray")
    tq = pytest.importorskip("transfer_queue")
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    ray.init(num_cpus=16, include_dashboard=False, log_to_driver=False)  # its actors ask for many
    tq.init()
    yield tq
    tq.close()
    ray.shutdown()


def test_the_real_trainer_step(queue):
    """`PPOTrainer._compute_advantage` with Ray, TransferQueue, nested tensors, an incomplete group,
    several outputs of a session, verl's own padding, and the order of its load balancing."""
    from transfer_queue import KVBatchMeta
    from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer
    from verl.utils.tensordict_utils import list_of_dict_to_tensordict

    uids, rewards = batch(prompts=5, m=8, missing=2)
    rng = np.random.default_rng(5)
    keys, tags, rows, value_of = [], [], [], {}
    counter = dict.fromkeys(uids, 0)
    for uid, reward in zip(uids, rewards, strict=True):
        session, counter[uid] = counter[uid], counter[uid] + 1
        outputs = int(rng.integers(1, 3))
        for turn in range(outputs):
            length = int(rng.integers(1, TOKENS + 1))
            scores = torch.zeros(length)
            scores[-1] = float(reward) if turn == outputs - 1 else 9.0
            ids = torch.arange(4 + length)
            keys.append(f"{uid}_{session}_{turn}")
            tags.append({"seq_len": 4 + length, "prompt_len": 4, "response_len": length})
            rows.append(
                {
                    "uid": uid,
                    "prompts": ids[:4],
                    "responses": ids[4:],
                    "input_ids": ids,
                    "attention_mask": torch.ones_like(ids),
                    "position_ids": ids,
                    "response_mask": torch.ones(length, dtype=torch.int64),
                    "loss_mask": torch.ones(length, dtype=torch.int64),
                    "rm_scores": scores,
                    "rollout_log_probs": torch.zeros(length),
                }
            )
            value_of[keys[-1]] = (uid, session)
    fields = list_of_dict_to_tensordict(rows)
    queue.kv_batch_put(keys=keys, partition_id="train", fields=fields, tags=tags)
    real = KVBatchMeta(keys=keys, tags=tags, partition_id="train")
    full = upsample_batch_to_divisible_size(real, batch_multiple=64, eos_token_id=0)
    assert len(full) > len(real)
    full.reorder(rng.permutation(len(full)).tolist())

    trainer = SimpleNamespace(
        config=OmegaConf.create(
            {
                "algorithm": {
                    "adv_estimator": "bontea_linear_tea",
                    "bontea": {"n": 128, "alpha": 0.5},
                    "gamma": 1.0,
                    "lam": 1.0,
                    "use_kl_in_reward": False,
                },
                "actor_rollout_ref": {"rollout": {"n": 8}},
            }
        )
    )
    PPOTrainer._compute_advantage(trainer, full, metrics={})
    got = queue.kv_batch_get(
        keys=full.keys, partition_id="train", select_fields=["advantages", "returns"]
    )["advantages"].unbind()

    raw = core(rewards, uids, "linear_tea", n=128, alpha=0.5)
    scaled = bontea.scale_advantages(raw)
    session, expected = dict.fromkeys(uids, 0), {}
    for uid, value in zip(uids, scaled, strict=True):
        expected[uid, session[uid]] = value
        session[uid] += 1
    assert len(expected) == len(uids)
    for key, values in zip(full.keys, got, strict=True):
        want = expected[value_of[key]] if key in value_of else 0.0
        assert np.abs(values.numpy() - want).max() < 1e-6, key


LOAD = """
import verl
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
print(get_adv_estimator_fn("bontea_adaptive_tea").name)
"""


@pytest.mark.parametrize("way", ["entry point", "environment"])
def test_verl_loads_it(way):
    """In a fresh process, without an import of ours: as in each of its Ray actors."""
    env = dict(os.environ, VERL_USE_EXTERNAL_PLUGINS="bontea")
    if way == "environment":
        env |= {
            "VERL_USE_EXTERNAL_PLUGINS": "none",
            "VERL_USE_EXTERNAL_MODULES": "bontea.integrations.verl",
        }
    else:
        if not [e for e in entry_points(group="verl.plugins") if e.name == "bontea"]:
            pytest.skip("bontea is on the path but not installed: no entry point")
    done = subprocess.run(
        [sys.executable, "-c", LOAD], env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "adaptive_tea", done.stderr


USE = """
import torch, verl
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
for name in ("grpo", "bontea_rloo"):
    ones = torch.ones(2, 3)
    get_adv_estimator_fn(name)(ones, ones, index=["a", "a"])
    print(name, "ran")
"""


@pytest.mark.parametrize("override", [False, True])
@pytest.mark.parametrize("way", ["entry point", "environment"])
def test_another_version_is_refused(way, override, tmp_path):
    """verl hides what a plugin raises: so it warns on import, and raises where it is used. verl's
    own estimators go on. The verl is the real one, which only its metadata calls 0.10.0."""
    path = [str(pretend(tmp_path, "verl", "0.10.0")), os.environ.get("PYTHONPATH", "")]
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(path), BONTEA_UNTESTED_VERSION="01"[override])
    if way == "environment":
        env["VERL_USE_EXTERNAL_MODULES"] = "bontea.integrations.verl"
    elif not [e for e in entry_points(group="verl.plugins") if e.name == "bontea"]:
        pytest.skip("bontea is on the path but not installed: no entry point")
    command = [sys.executable, "-c", USE]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    warned = "UserWarning: verl 0.10.0 is installed, but bontea's adapter is for verl>=0.9,<0.10"
    assert warned in done.stderr
    if override:
        assert done.returncode == 0, done.stderr
        assert "is set, so it is used all the same" in done.stderr
        assert done.stdout.splitlines() == ["grpo ran", "bontea_rloo ran"]
    else:
        assert done.stdout.splitlines() == ["grpo ran"]
        assert "UntestedVersionError: verl 0.10.0 is installed" in done.stderr.splitlines()[-1]
        command = [sys.executable, "-m", "bontea", "check", "verl"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stderr
        assert "verl 0.10.0 (refused" in done.stdout


def test_an_import_that_fails_in_another_version_is_seen(tmp_path):
    """What the adapter imports may have moved there: verl hides that error, not the warning."""
    path = [str(pretend(tmp_path, "verl", "0.10.0")), os.environ.get("PYTHONPATH", "")]
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(path))
    env.pop("BONTEA_UNTESTED_VERSION", None)
    moved = "import sys, verl; del sys.modules['bontea.integrations.verl']\n"
    moved += "sys.modules['verl.trainer.ppo.core_algos'] = None; import bontea.integrations.verl"
    command = [sys.executable, "-W", "always", "-c", moved]
    env |= {"VERL_USE_EXTERNAL_MODULES": "bontea.integrations.verl"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError" in done.stderr
    assert done.stderr.count("verl 0.10.0 is installed, but bontea's adapter is for") == 2


JOB = ["algorithm.adv_estimator=bontea_tea", "actor_rollout_ref.rollout.n=16"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 0, "works"),
        ([*JOB, "+algorithm.bontea.n=256"], 0, "settings: tea(n=256, alpha=0.25)"),
        ([*JOB, "+algorithm.bontea.alpha=0.1"], 2, "at least 21 rollouts"),
        ([*JOB, "+algorithm.bontea.alhpa=0.5"], 2, "did you mean algorithm.bontea.alpha?"),
        (["algorithm.adv_estimator=bontea_tee"], 2, "did you mean 'bontea_tea'"),
        (["algorithm.adv_estimator=grpo"], 2, "an estimator of verl, not of bontea"),
        ([*JOB, "algorithm.bontea.n=256"], 2, "bontea"),  # hydra wants a +
        ([*JOB, "algorithm.use_kl_in_reward=true"], 2, "changes which response is best"),
    ],
)
def test_check(arguments, code, message, capsys):
    if not [e for e in entry_points(group="verl.plugins") if e.name == "bontea"] and code == 0:
        pytest.skip("bontea is on the path but not installed: no entry point")
    assert main(["check", "--estimator", "linear_tea", "verl", *arguments]) == code
    out, err = capsys.readouterr()
    assert message in (err if code else out)


def test_the_example_passes_its_own_check(tmp_path):
    launched = run_script("verl/run.sh", tmp_path, "actor_rollout_ref.rollout.n=32")
    assert launched[:2] == ["-m", "verl.trainer.main_ppo"]
    assert "algorithm.adv_estimator=bontea_adaptive_tea" in launched
    assert launched[-1] == "actor_rollout_ref.rollout.n=32"


def test_any_module_and_function():
    uids, rewards = batch()
    settings = config(estimator="bontea:max_at_k", k="3")
    data = compute_advantage(data_of(uids, rewards), "bontea", config=settings)
    np.testing.assert_allclose(per_rollout(data), core(rewards, uids, "max_at_k", k=3), atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n": "many"}, r"algorithm\.bontea\.n='many' is not a deployment budget"),
        ({"alpha": 25}, r"algorithm\.bontea\.alpha=25"),
        ({"alhpa": 0.5}, r"did you mean algorithm\.bontea\.alpha"),
        ({"estimator": "rloo"}, "was told to use 'tea'"),
        ({"scale": "grop"}, r"algorithm\.bontea\.scale='grop' must be one of"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        compute_advantage(data_of(*batch()), "bontea_tea", config=config(**settings))


def test_half_precision_and_no_config():
    uids, rewards = batch()
    data = data_of(uids, rewards)
    data.batch["token_level_rewards"] = data.batch["token_level_rewards"].bfloat16()
    out = compute_advantage(data, "bontea_tea", config=None)
    rounded = torch.tensor(rewards).bfloat16().double().numpy()
    expected = bontea.scale_advantages(core(rounded, uids, "tea", n=128))
    assert out.batch["advantages"].dtype == torch.float32
    np.testing.assert_allclose(per_rollout(out), expected, atol=1e-6)
    adapter.register()  # a second time is harmless
