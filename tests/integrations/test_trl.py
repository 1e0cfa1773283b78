"""TRL: whole training runs on the CPU, with one process, two, and its asynchronous trainer; in the
default tests, the last one in test_trl_async.py where it can run."""

import json
import math
import os
import pickle
import subprocess
import sys
import warnings
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
trl = pytest.importorskip("trl")

import transformers  # noqa: E402
from datasets import Dataset  # noqa: E402
from tests.integrations.batches import check_other_versions  # noqa: E402
from tests.tiny import WORDS, tiny_llama  # noqa: E402

import bontea  # noqa: E402
from bontea._errors import BonteaError  # noqa: E402
from bontea.advantages import EstimatorSpec  # noqa: E402
from bontea.integrations import trl as adapter  # noqa: E402
from bontea.integrations._settings import Settings  # noqa: E402
from bontea.integrations._step import AdvantageStep  # noqa: E402
from bontea.integrations.trl import (  # noqa: E402
    BestOfNConfig,
    BestOfNMixin,
    BestOfNTrainer,
    attach,
)

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of transformers to TRL

PROMPTS = Dataset.from_dict({"prompt": ["the cat", "a dog", "one bird", "two fish"] * 4})


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("model"))


def score(completions, **_):
    """No noise and hardly any ties: every word has its worth, by its place."""
    worth = {word: math.sin(7 * i) for i, word in enumerate(WORDS)}
    return [
        sum(worth.get(word, 0) / (1 + place / 3) for place, word in enumerate(text.split()))
        for text in completions
    ]


def length(completions, **_):
    return [len(text.split()) / 8 for text in completions]


def patchy(completions, **_):
    """None for every fifth completion, and for the whole of the first group."""
    return [
        None if i < 16 or i % 5 == 0 else value
        for i, value in enumerate(score(completions))
    ]  # fmt: skip


def settings(tmp_path, cls=BestOfNConfig, **changes):
    given = {
        "output_dir": str(tmp_path), "num_generations": 16, "per_device_train_batch_size": 32,
        "max_steps": 2, "max_completion_length": 6, "learning_rate": 1e-2, "logging_steps": 1,
        "use_cpu": True, "bf16": False, "report_to": "none", "save_strategy": "no",
        "disable_tqdm": True, "seed": 3,
    }  # fmt: skip
    if issubclass(cls, BestOfNConfig):
        given["estimator"] = "tea"
    return cls(**(given | changes))


def test_the_config_of_the_docs_is_right_as_it_stands():
    """On a machine without a GPU too: TRL asks for bf16 there, and then refuses it."""
    args = BestOfNConfig("out", num_generations=16, per_device_train_batch_size=16)
    assert args.bf16 is torch.accelerator.is_available()
    assert BestOfNConfig("out", use_cpu=True).bf16 is True  # as TRL has it


@pytest.mark.parametrize(
    ("batch", "more", "right"),
    [(8, {}, 16), (20, {}, 32), (6, {"gradient_accumulation_steps": 4}, 8),
     (5, {"steps_per_generation": 2}, 8)],
)  # fmt: skip
def test_a_batch_that_splits_groups_says_which_would_not(batch, more, right):
    with pytest.raises(BonteaError, match=f"set per_device_train_batch_size={right}$"):
        BestOfNConfig("out", num_generations=16, per_device_train_batch_size=batch, **more)
    BestOfNConfig("out", num_generations=16, per_device_train_batch_size=right, **more)
    with pytest.raises(ValueError, match=r"generation_batch_size \(24\)"):
        BestOfNConfig("out", num_generations=16, generation_batch_size=24)


class Spy:
    """Under the mixin: what TRL itself computed, what it shows, and what its loss gets."""

    def __init__(self, *args, **kwargs):
        self.rewards, self.of_trl, self.loss_rows = [], [], []
        super().__init__(*args, **kwargs)

    def _calculate_rewards(self, *args, **kwargs):
        rewards = super()._calculate_rewards(*args, **kwargs)
        self.rewards.append(rewards.clone())
        return rewards

    def _generate_and_score_completions(self, inputs):
        out = super()._generate_and_score_completions(inputs)
        self.of_trl.append(out["advantages"].clone())
        return out

    def _compute_loss(self, model, inputs):
        self.loss_rows += rows(inputs)
        return super()._compute_loss(model, inputs)


class SpyTrainer(Spy, trl.GRPOTrainer):
    pass


class Spied(BestOfNMixin, SpyTrainer):
    """With what finally left the generation step, advantages paired with their completions."""

    def _generate_and_score_completions(self, inputs):
        out = super()._generate_and_score_completions(inputs)
        self.used = [*getattr(self, "used", []), out["advantages"].clone()]
        self.shown = list(self._logs["advantages"])
        self.generated_rows = [*getattr(self, "generated_rows", []), rows(out)]
        return out


def rows(batch):
    return [
        (tuple(ids[mask.bool()].tolist()), advantage.item())
        for ids, mask, advantage in zip(
            batch["completion_ids"], batch["completion_mask"], batch["advantages"], strict=True
        )
    ]


def train(model, args, cls=Spied, rewards=score, **kwargs):
    trainer = cls(model=model, reward_funcs=rewards, args=args, train_dataset=PROMPTS, **kwargs)
    trainer.train()
    return trainer


def by_hand(rewards, estimator, m=16, **params):
    """Second route: one group at a time, NaN taken out first, unit root-mean-square at the end."""
    out = np.zeros(len(rewards))
    for start in range(0, len(rewards), m):
        group = np.asarray(rewards[start : start + m], dtype=float)
        there = ~np.isnan(group)
        if there.sum() >= 9:  # enough for a tail of a quarter
            out[start : start + m][there] = bontea.ADVANTAGES[estimator](group[there], **params)
    there = ~np.isnan(np.asarray(rewards))
    return out / (np.sqrt(np.mean(out[there] ** 2)) + 1e-6)


def weights(trainer):
    return [p.detach().clone() for p in trainer.model.parameters()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def logged(trainer, name):
    return [entry[name] for entry in trainer.state.log_history if entry.get(name) is not None]


# What reaches the loss


def test_loss_and_table_get_the_advantages_of_the_captured_rewards(model_dir, tmp_path):
    before = weights(trl.GRPOTrainer(model_dir, score, settings(tmp_path), PROMPTS))
    trainer = train(model_dir, settings(tmp_path))
    for rewards, used in zip(trainer.rewards, trainer.used, strict=True):
        assert used.dtype == torch.float32
        assert used.shape == (32,)
        expected = by_hand(rewards[:, 0], "tea", n=128, alpha=0.25)
        np.testing.assert_allclose(used, expected, atol=1e-5)
        assert used.square().mean().sqrt() == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(trainer.shown, trainer.used[-1])
    assert len(trainer.used) == 2
    assert sorted(trainer.loss_rows) == sorted(chain(*trainer.generated_rows))
    assert not same(before, weights(trainer))


def test_metrics_are_there_finite_and_right(model_dir, tmp_path):
    trainer = train(model_dir, settings(tmp_path))
    for step in trainer.state.log_history[:2]:
        ours = {k.removeprefix("best_of_n/"): v for k, v in step.items() if "best_of_n/" in k}
        assert set(ours) >= {
            "group_best", "tail_mean", "tail_std", "predicted_v_n", "max_seen", "max_predicted",
            "supported_tail", "tail_z", "degenerate_groups", "unscorable", "advantage_rms",
        }  # fmt: skip
        assert all(math.isfinite(value) for value in ours.values())
    groups = trainer.rewards[-1].double().numpy().reshape(2, 16)
    tails = np.sort(groups)[:, -4:]
    assert ours["group_best"] == pytest.approx(groups.max(axis=1).mean())
    assert ours["tail_mean"] == pytest.approx(tails.mean())
    assert ours["tail_std"] == pytest.approx(tails.std(axis=1).mean())
    assert ours["predicted_v_n"] == pytest.approx(bontea.predict_best_of_n(groups, 128).mean())
    raw = bontea.tea(groups, n=128)
    assert ours["advantage_rms"] == pytest.approx(np.sqrt(np.mean(raw**2)))
    both = np.concatenate([r.double().numpy().reshape(2, 16) for r in trainer.rewards])
    assert ours["tail_z"] == pytest.approx(bontea.check_tail(both).z)


def test_grpo_without_scale_is_what_trl_computes(model_dir, tmp_path):
    args = settings(tmp_path, estimator="grpo", advantage_scale="none")
    trainer = train(model_dir, args, rewards=[score, patchy, length])
    for ours, theirs in zip(trainer.used, trainer.of_trl, strict=True):
        assert theirs.abs().max() > 0.5
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_unscorable_rollouts_get_zero_and_do_not_count(model_dir, tmp_path):
    trainer = train(model_dir, settings(tmp_path), rewards=patchy)
    for rewards, used in zip(trainer.rewards, trainer.used, strict=True):
        missing = rewards[:, 0].isnan()
        assert missing.sum() == 16 + 3
        assert (used[missing] == 0).all()
        np.testing.assert_allclose(used, by_hand(rewards[:, 0], "tea", n=128), atol=1e-5)
        assert used[~missing].square().mean().sqrt() == pytest.approx(1, abs=1e-4)
    assert logged(trainer, "best_of_n/unscorable") == pytest.approx([19 / 32] * 2)
    assert logged(trainer, "best_of_n/degenerate_groups") == [0.5, 0.5]


def test_several_rewards_are_summed_with_their_weights(model_dir, tmp_path):
    args = settings(tmp_path, reward_weights=[2.0, -0.5])
    trainer = train(model_dir, args, rewards=[patchy, length])
    per_function = trainer.rewards[0].double().numpy()
    total = 2 * np.nan_to_num(per_function[:, 0]) - 0.5 * per_function[:, 1]
    np.testing.assert_allclose(trainer.used[0], by_hand(total, "tea", n=128), atol=1e-5)


def test_a_rollout_without_a_reward_that_counts_is_unscorable(model_dir, tmp_path):
    """A function of weight 0 is for the log: it makes no reward of 0 where all others gave None."""
    args = settings(tmp_path, reward_weights=[1.0, 0.0, 0.5])
    often = lambda completions, **_: [None] * 24 + score(completions[24:])  # noqa: E731
    trainer = train(model_dir, args, rewards=[patchy, length, often])
    for rewards, used in zip(trainer.rewards, trainer.used, strict=True):
        per_function = rewards.double().numpy()
        missing = np.isnan(per_function[:, 0]) & np.isnan(per_function[:, 2])
        assert missing.sum() == 16 + 1
        total = np.nansum(per_function * [1, 0, 0.5], axis=1)
        total[missing] = np.nan
        np.testing.assert_allclose(used, by_hand(total, "tea", n=128), atol=1e-5)
        assert (used[missing] == 0).all()
    assert logged(trainer, "best_of_n/unscorable") == pytest.approx([missing.mean()] * 2)


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 1e39])
def test_an_infinite_reward_zeroes_its_rollout(value, model_dir, tmp_path):
    def infinite(completions, **_):
        return [value if i % 5 == 0 else r for i, r in enumerate(score(completions))]

    rewards, args = [infinite, length], settings(tmp_path, reward_weights=[1.0, 0.5])
    with pytest.warns(UserWarning, match="'infinite' returned an infinite reward") as caught:
        trainer = train(model_dir, args, rewards=rewards)
    assert sum("infinite reward" in str(w.message) for w in caught) == 1
    for found, used in zip(trainer.rewards, trainer.used, strict=True):
        total = found[:, 0].double().numpy() + 0.5 * found[:, 1].double().numpy()
        total[::5] = np.nan
        assert (used[::5] == 0).all()
        np.testing.assert_allclose(used, by_hand(total, "tea", n=128), atol=1e-5)
    assert logged(trainer, "best_of_n/zeroed_unscorable") == [7, 7]
    assert all(math.isfinite(reward) for reward in logged(trainer, "reward"))


def test_an_infinite_reward_that_does_not_count(model_dir, tmp_path):
    def infinite(completions, **_):
        return [float("inf")] * len(completions)

    args = settings(tmp_path, reward_weights=[1.0, 0.0])
    with pytest.warns(UserWarning, match="'infinite' returned an infinite reward"):
        trainer = train(model_dir, args, rewards=[score, infinite])
    expected = by_hand(trainer.rewards[0][:, 0], "tea", n=128)
    np.testing.assert_allclose(trainer.used[0], expected, atol=1e-5)


def test_several_passes_over_micro_batches(model_dir, tmp_path):
    args = settings(
        tmp_path, per_device_train_batch_size=8, steps_per_generation=4, num_iterations=2,
        gradient_accumulation_steps=2, max_steps=4,
    )  # fmt: skip
    trainer = train(model_dir, args)
    assert len(trainer.used) == 1  # 4 steps of 2 micro-batches: 2 passes over one generation
    assert sorted(trainer.loss_rows) == sorted(trainer.generated_rows[0] * 2)
    expected = by_hand(trainer.rewards[0][:, 0], "tea", n=128)
    np.testing.assert_allclose(trainer.used[0], expected, atol=1e-5)


def test_evaluation_with_fewer_generations(model_dir, tmp_path):
    args = settings(
        tmp_path, num_generations_eval=2, per_device_eval_batch_size=64, eval_strategy="steps",
        eval_steps=1,
    )  # fmt: skip
    with pytest.warns(UserWarning, match="num_generations_eval=2 is too few") as caught:
        trainer = train(model_dir, args, eval_dataset=PROMPTS)
    assert sum("num_generations_eval" in str(w.message) for w in caught) == 1
    evaluations = [used for used in trainer.used if len(used) != 32 or (used == 0).all()]
    assert len(evaluations) == 2
    assert len(logged(trainer, "eval_best_of_n/group_best")) == 2
    assert not logged(trainer, "eval_best_of_n/predicted_v_n")
    assert logged(trainer, "best_of_n/predicted_v_n")


@pytest.mark.parametrize(("prompts", "kept"), [(8, 16), (1, 8)])
def test_completions_table_of_another_length_than_the_batch(prompts, kept, model_dir, tmp_path):
    """TRL keeps as many rows as a training batch has; an evaluation batch has more or fewer."""
    args = settings(
        tmp_path, estimator="rloo", num_generations=8, per_device_train_batch_size=16,
        per_device_eval_batch_size=64,
    )  # fmt: skip
    trainer = Spied(model_dir, score, args, PROMPTS, PROMPTS.select(range(prompts)))
    trainer.evaluate()
    assert len(trainer.used[-1]) == 8 * prompts
    assert len(trainer.shown) == len(trainer._logs["prompt"]) == kept
    np.testing.assert_allclose(trainer.shown, trainer.used[-1][-kept:])


def test_kl_in_the_loss(model_dir, tmp_path):
    trainer = train(model_dir, settings(tmp_path, beta=0.04))
    assert logged(trainer, "kl")[-1] > 0
    expected = by_hand(trainer.rewards[1][:, 0], "tea", n=128)
    np.testing.assert_allclose(trainer.used[1], expected, atol=1e-5)


def test_lora(model_dir, tmp_path):
    peft = pytest.importorskip("peft")
    adapters = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    trainer = train(model_dir, settings(tmp_path), peft_config=adapters)
    trained = [p for name, p in trainer.model.named_parameters() if "lora_B" in name]
    assert trained
    assert all(p.abs().max() > 0 for p in trained)  # lora_B starts at zero


def test_attach_is_the_same_as_the_trainer(model_dir, tmp_path):
    ours = train(model_dir, settings(tmp_path, estimator="max_at_k", estimator_params={"k": 8}),
                 cls=BestOfNTrainer)  # fmt: skip
    plain = settings(tmp_path, cls=trl.GRPOConfig)
    trainer = trl.GRPOTrainer(model_dir, score, plain, PROMPTS)
    attach(trainer, "tea", n=128)
    assert attach(trainer, "max_at_k", n=128, k=8) is trainer  # replaces the first
    trainer.train()
    assert same(weights(ours), weights(trainer))
    without = train(model_dir, plain, cls=trl.GRPOTrainer)
    assert not same(weights(ours), weights(without))


def test_attach_to_rloo(model_dir, tmp_path):
    args = settings(tmp_path, cls=trl.RLOOConfig, beta=0.0)
    trainer = attach(trl.RLOOTrainer(model_dir, score, args, PROMPTS), "tea")
    trainer.train()
    assert len(logged(trainer, "best_of_n/group_best")) == 2


# The same run twice


@pytest.mark.parametrize("estimator", ["prefix_tea", "adaptive_tea"])
def test_resumed_run_is_the_unbroken_run(estimator, model_dir, tmp_path):
    """Two generation batches in a step; an estimator that draws random orders, and one that looks
    at earlier groups."""
    common = {
        "estimator": estimator, "per_device_train_batch_size": 16, "max_steps": 3,
        "gradient_accumulation_steps": 2, "steps_per_generation": 1, "save_strategy": "steps",
        "save_steps": 1,
    }  # fmt: skip
    args = settings(tmp_path / "a", **common)
    unbroken = train(model_dir, args)
    again = train(model_dir, settings(tmp_path / "b", **common))
    assert len(again.used) == 6
    assert same(weights(unbroken), weights(again))

    resumed = Spied(model_dir, score, settings(tmp_path / "a", **common), PROMPTS)
    resumed.train(resume_from_checkpoint=str(tmp_path / "a" / "checkpoint-1"))
    assert len(resumed.used) == 4
    assert same(resumed.used, unbroken.used[2:])
    assert same(weights(unbroken), weights(resumed))
    saved = torch.load(tmp_path / "a" / "checkpoint-3" / "training_args.bin", weights_only=False)
    assert (saved.estimator, saved.deploy_n) == (estimator, 128)
    # It remembers the groups of the whole run; without that file, those since the checkpoint.
    assert resumed._best_of_n.state() == unbroken._best_of_n.state()
    assert len(resumed._best_of_n.memory.history(16)) == 6
    (tmp_path / "a" / "checkpoint-1" / adapter.MEMORY_FILE).unlink()
    forgetful = Spied(model_dir, score, settings(tmp_path / "a", **common), PROMPTS)
    forgetful.train(resume_from_checkpoint=str(tmp_path / "a" / "checkpoint-1"))
    assert len(forgetful._best_of_n.memory.history(16)) == 4


def test_memory_of_an_attached_trainer(model_dir, tmp_path):
    args = settings(tmp_path, cls=trl.GRPOConfig, save_strategy="steps", save_steps=2)
    trainer = attach(trl.GRPOTrainer(model_dir, score, args, PROMPTS))
    trainer.train()
    again = attach(trl.GRPOTrainer(model_dir, score, args, PROMPTS))
    args.max_steps = 3
    again.train(resume_from_checkpoint=True)
    assert len(trainer._best_of_n.memory.history(16)) == 4
    assert len(again._best_of_n.memory.history(16)) == 6


def test_evaluation_leaves_the_memory_alone(model_dir, tmp_path):
    args = settings(tmp_path, max_steps=1, eval_strategy="steps", eval_steps=1,
                    per_device_eval_batch_size=64)  # fmt: skip
    trainer = train(model_dir, args, eval_dataset=PROMPTS)
    assert len(trainer.used) > 1
    assert len(trainer._best_of_n.memory.history(16)) == 2


def test_random_orders_depend_on_seed_step_and_repeat():
    run, fresh = (state("prefix_tea", scale="none") for _ in range(2))
    rewards = torch.randn(32, generator=torch.Generator().manual_seed(0)).double()

    def go(run, seed=0, step=0, training=True):
        return run(
            rewards, np.arange(32) // 16, training=training, moment=(seed, int(training), step)
        )

    first, second = go(run), go(run)
    assert np.array_equal(first, go(fresh))
    for other in (second, go(fresh, step=1), go(fresh, seed=1), go(fresh, training=False)):
        assert not np.array_equal(first, other)


@pytest.mark.slow
def test_two_processes_share_a_group(model_dir, tmp_path):
    """Each rank has half of every group: both use it whole, and keep their own half."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2",
        "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0",
        str(Path(__file__).with_name("two_processes.py")), model_dir, str(tmp_path),
    ]  # fmt: skip
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=180,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    ranks = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    assert [rank["world"] for rank in ranks] == [2, 2]
    assert ranks[0]["weights"] == ranks[1]["weights"]
    assert len(ranks[0]["steps"]) == 2
    call = EstimatorSpec.of("prefix_tea").bind(n=128, alpha=0.5, m=8)
    for step, (a, b) in enumerate(zip(ranks[0]["steps"], ranks[1]["steps"], strict=True)):
        assert json.dumps(a["rewards"]) == json.dumps(b["rewards"])  # NaN is not equal to itself
        rewards = np.array(a["rewards"], dtype=float)[:, 0]
        assert len(rewards) == 24
        prompts = np.array(a["prompts"] + b["prompts"]).reshape(-1, 8)
        assert (prompts == prompts[:, :1]).all()  # by position, over the ranks
        assert (prompts[:2, 0] != prompts[1:, 0]).all()
        # What one process makes of the gathered rewards.
        raw = bontea.advantages_for(
            rewards, np.arange(24) // 8, call, rng=np.random.default_rng((5, 1, step, 0))
        )
        there = ~np.isnan(rewards)
        assert 0 < there.sum() < 24
        expected = raw / (np.sqrt(np.mean(raw[there] ** 2)) + 1e-6)
        assert np.abs(expected).max() > 1
        np.testing.assert_allclose(a["advantages"], expected[:12], atol=1e-5)
        np.testing.assert_allclose(b["advantages"], expected[12:], atol=1e-5)
        np.testing.assert_allclose(a["shown"], expected, atol=1e-5)


# Degenerate batches: nothing crashes, and it is said


def state(estimator="tea", m=16, **changes):
    """The step as the trainer makes it."""
    return AdvantageStep(
        Settings(estimator, **changes), m, asarray=torch.as_tensor, whole_groups=True,
        say=lambda message: warnings.warn(message, stacklevel=2),
    )  # fmt: skip


def feed(run, rewards, m=16, training=True):
    rewards = torch.as_tensor(np.asarray(rewards, dtype=float).ravel())
    groups = np.arange(len(rewards)) // m
    return run(rewards, groups, training=training, moment=(0, int(training), 0)), run.metrics


def test_nothing_scorable(model_dir, tmp_path):
    def never(completions, **_):
        return [None] * len(completions)

    with pytest.warns(UserWarning, match="no completion of a batch got a reward") as caught:
        trainer = train(model_dir, settings(tmp_path), rewards=never)
    assert sum("no completion" in str(w.message) for w in caught) == 1
    assert all((used == 0).all() for used in trainer.used)
    assert logged(trainer, "best_of_n/unscorable") == [1, 1]
    assert all(p.isfinite().all() for p in weights(trainer))


def test_equal_rewards_give_zeros_and_a_warning_after_five_batches():
    run = state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(4):
            advantages, metrics = feed(run, np.full((3, 16), 0.7))
            assert (advantages == 0).all()
            assert metrics["degenerate_groups"] == 1
        feed(run, np.random.default_rng(0).normal(size=(3, 16)))
        for _ in range(4):
            feed(run, np.zeros((3, 16)))
    with pytest.warns(UserWarning, match="nothing is being learned"):
        feed(run, np.zeros((3, 16)))


def test_a_ceiling_is_reported_once_there_are_enough_groups():
    rng = np.random.default_rng(0)
    capped = [np.minimum(rng.normal(size=(50, 16)), 0.8) for _ in range(5)]
    run, unconcerned, normal = state(), state("max_at_k"), state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for batch in capped[:3]:
            feed(run, batch)
        for batch in capped:
            feed(unconcerned, batch)  # does not use the tail
            feed(normal, rng.normal(size=(50, 16)))
    with pytest.warns(UserWarning, match=r"adaptive_tea.*max_at_k"):
        _, metrics = feed(run, capped[3])
    assert metrics["tail_z"] < -4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        feed(run, capped[4])


def test_scale():
    rewards = np.random.default_rng(0).normal(size=(3, 16))
    rewards[1] *= 10
    rewards[:, ::5] = np.nan
    raw = feed(state(scale="none"), rewards)[0].reshape(3, 16)
    by_group = feed(state(scale="group"), rewards)[0].reshape(3, 16)
    batch = feed(state(scale="batch"), rewards)[0].reshape(3, 16)
    there = ~np.isnan(rewards)
    np.testing.assert_allclose(raw, bontea.tea(rewards, n=128))
    np.testing.assert_allclose(batch, raw / np.sqrt(np.mean(raw[there] ** 2)), rtol=1e-4)
    rms = np.array([np.sqrt(np.mean(a[t] ** 2)) for a, t in zip(raw, there, strict=True)])
    np.testing.assert_allclose(by_group, raw / rms[:, None], rtol=1e-4)


# Refusals: before training starts, with a reason and a remedy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tail_fraction": 0}, "tail_fraction=0 is not a tail fraction"),
        ({"tail_fraction": 1.5}, r"tail_fraction=1.5 .* at most 1"),
        ({"deploy_n": 0}, "deploy_n=0 is not a deployment budget"),
        ({"deploy_n": 0, "estimator": "grpo"}, "deploy_n=0"),
        ({"num_generations": 2}, "num_generations=2 .* at least 9 rollouts"),
        ({"num_generations": 8}, "num_generations=8 .* at least 9 rollouts, or a tail fraction"),
        ({"estimator": "tae"}, "unknown estimator 'tae'; did you mean 'tea'"),
        ({"estimator": "no.such:f"}, "estimator 'no.such:f': there is no module 'no.such'"),
        ({"estimator": "max_at_k(k=16)"}, "use k <= 15"),
        ({"estimator": "max_at_k(8)"}, r"NAME=VALUE.*It takes: k"),
        ({"estimator": "max_at_k", "estimator_params": {"k": 16}}, "use k <= 15"),
        ({"estimator_params": {"alfa": 0.5}}, "no parameter 'alfa'; did you mean 'alpha'.*center"),
        ({"estimator_params": "k=3"}, "must be a dict"),
        ({"advantage_scale": "bacth"}, "must be one of none, group, batch"),
        ({"multi_objective_aggregation": "normalize_then_sum"}, "which response is best"),
        ({"estimator": lambda rewards: rewards}, "top level of a module"),
    ],
)
def test_wrong_settings_stop_the_trainer(changes, message, tmp_path):
    args = settings(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        BestOfNTrainer("/no/such/model", score, args, PROMPTS)  # refused before it is loaded


def test_careless_arguments(model_dir, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"args=BestOfNConfig.*attach"):
        BestOfNTrainer(model_dir, score, settings(tmp_path, cls=trl.GRPOConfig), PROMPTS)

    @dataclass
    class OnCPU(BestOfNConfig):
        use_cpu: bool = True
        bf16: bool = False

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(adapter, "BestOfNConfig", OnCPU)
    args = BestOfNTrainer(model_dir, score, train_dataset=PROMPTS).args
    assert (args.estimator, args.num_generations) == ("adaptive_tea", 8)  # as TRL has it
    with pytest.raises(AttributeError, match="BestOfNTrianer"):
        adapter.BestOfNTrianer  # noqa: B018


def test_attach_refuses(model_dir, tmp_path):
    with pytest.raises(ValueError, match="need GRPOTrainer or RLOOTrainer"):
        attach(object())
    grpo = trl.GRPOTrainer(model_dir, score, settings(tmp_path, cls=trl.GRPOConfig), PROMPTS)
    for name, short in adapter.LONG_NAMES.items():
        with pytest.raises(ValueError, match=f"no parameter '{name}'.*here it is {short}=0.5"):
            attach(grpo, "tea", **{name: 0.5})
    with pytest.raises(ValueError, match="no parameter 'alhpa'; did you mean 'alpha'"):
        attach(grpo, "tea", alhpa=0.5)
    with pytest.raises(ValueError, match=r"^scale='bacth' must be one of"):
        attach(grpo, "tea", scale="bacth")
    assert type(grpo) is trl.GRPOTrainer  # a refused trainer is as it was
    grpo._calculate_rewards = grpo._calculate_rewards
    with pytest.raises(ValueError, match="replaced on the instance"):
        attach(grpo)
    for changes, message in [
        ({"beta": 0.05}, "subtracts the KL from the reward"),
        ({"beta": 0.0, "reward_clip_range": (-1.0, 1.0)}, "clips rewards"),
    ]:
        args = settings(tmp_path, cls=trl.RLOOConfig, **changes)
        with pytest.raises(ValueError, match=message):
            attach(trl.RLOOTrainer(model_dir, score, args, PROMPTS))
    summed = settings(
        tmp_path, cls=trl.GRPOConfig, multi_objective_aggregation="normalize_then_sum"
    )
    with pytest.raises(ValueError, match="weighted sum"):
        attach(trl.GRPOTrainer(model_dir, score, summed, PROMPTS))


@pytest.mark.parametrize("hook", ["_calculate_rewards", "_generate_and_score_completions"])
def test_another_trl_is_refused(hook, tmp_path):
    hooks = {"_calculate_rewards", "_generate_and_score_completions"} - {hook}
    old = type("OldTrainer", (), {name: lambda self: None for name in hooks})
    mine = type("Mine", (BestOfNMixin, old), {})
    with pytest.raises(ValueError, match=f"no `{hook}`.*trl>=1.16,<2"):
        mine("model", score, settings(tmp_path))


def text(completions, **_):
    return ["good"] * len(completions)


def one_number(completions, **_):
    return 1.0


def too_few(completions, **_):
    return [1.0]


async def async_text(completions, **_):
    return ["good"] * len(completions)


@pytest.mark.parametrize("function", [text, one_number, too_few, async_text])
def test_a_broken_reward_function_is_named(function, model_dir, tmp_path):
    with pytest.raises(ValueError, match=f"'{function.__name__}'.*(must return|returned)"):
        train(model_dir, settings(tmp_path), rewards=[score, function])


async def async_score(completions, **_):
    return score(completions)


def test_async_and_tensor_rewards(model_dir, tmp_path):
    def tensors(completions, **_):
        return torch.tensor(score(completions))

    trainer = train(model_dir, settings(tmp_path), rewards=[async_score, tensors])
    torch.testing.assert_close(trainer.rewards[0][:, 0], trainer.rewards[0][:, 1])
    assert trainer.reward_funcs == [async_score, tensors]  # wrapped only while they are called


# Parameters and estimators


def flat_shape(rewards):
    return rewards.ravel()


def divides_by_zero(rewards):
    return (rewards - rewards.mean(-1, keepdims=True)) / rewards.std(-1, keepdims=True)


def needs_more(rewards, *, temperature):
    return rewards * temperature


def crashes(rewards):
    raise KeyError("oops")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (flat_shape, r"flat_shape' returned shape \(32,\) for rewards of shape \(2, 16\)"),
        (divides_by_zero, r"returned \[nan.*advantages must be finite"),
        (needs_more, "needs a value for temperature"),
        (crashes, "failed on a group of 16 rollouts.*KeyError"),
        (lambda rewards: "good", "not an array of numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_broken_estimator_is_refused(function, message):
    with pytest.raises(ValueError, match=message):
        EstimatorSpec.of(function).bind(n=128, m=16).checked(16)


def unstable(rewards):
    return rewards / (rewards.max() < 5)


def test_an_estimator_that_breaks_later_is_named():
    run = state(unstable)
    with pytest.raises(ValueError, match=r"unstable' returned .*inf.* for the rewards"):
        feed(run, np.arange(16))


def centred(rewards):
    return rewards - rewards.mean(-1, keepdims=True)


def test_a_custom_estimator_sees_complete_groups_of_tensors(model_dir, tmp_path):
    trainer = train(model_dir, settings(tmp_path, estimator=centred), rewards=patchy)
    rewards = trainer.rewards[0][:, 0].double().numpy()
    expected = np.nan_to_num(rewards - np.nanmean(rewards[16:]))
    expected[:16] = 0
    rms = np.sqrt(np.mean(expected[~np.isnan(rewards)] ** 2))
    np.testing.assert_allclose(trainer.used[0], expected / rms, atol=1e-4)


@pytest.mark.parametrize(
    ("estimator", "given", "expected"),
    [
        ("tea", {}, {"n": 100, "alpha": 0.3}),
        ("tea", {"n": 7, "center": False}, {"n": 7, "alpha": 0.3, "center": False}),
        ("max_at_k", {}, {"k": 6}),
        ("max_at_k(k=8)", {}, {"k": 8}),
        ("max_at_k(k=8)", {"k": 4}, {"k": 4}),
        ("max_at_k", {"k": 4}, {"k": 4}),
        ("grpo", {"eps": 1e-6}, {"eps": 1e-6}),
        ("rloo", {}, {}),
        ("prefix_tea", {"permutations": 2}, {"n": 100, "alpha": 0.3, "permutations": 2}),
    ],
)
def test_parameters_reach_the_estimator(estimator, given, expected):
    spec = Settings(estimator, 100, 0.3, params=given).spec(16)
    assert {**spec.context, **spec.params} == expected
    assert spec.takes_rng == (estimator == "prefix_tea")


def test_k_is_at_most_the_budget():
    assert Settings("max_at_k", 4).spec(16).context == {"k": 4}


@pytest.mark.parametrize("estimator", bontea.ADVANTAGES)
@pytest.mark.parametrize("library", [np.asarray, torch.as_tensor])
def test_every_estimator_can_be_called(estimator, library):
    spec = Settings(estimator).spec(16).checked(16, library)
    rewards = library(np.random.default_rng(0).random((3, 16)).round())
    params = dict(spec.context) | ({"rng": 0} if spec.takes_rng else {})
    np.testing.assert_allclose(spec(rewards, rng=0), spec.function(rewards, **params))


# The config


def test_config_is_a_config_of_trl(tmp_path):
    parser = transformers.HfArgumentParser(BestOfNConfig)
    line = ["--output_dir", str(tmp_path), "--estimator", "max_at_k", "--deploy_n", "64",
            "--estimator_params", '{"k": 4}', "--advantage_scale", "group", "--tail_fraction",
            "0.5", "--num_generations", "8", "--use_cpu", "--bf16", "false"]  # fmt: skip
    (args,) = parser.parse_args_into_dataclasses(line)
    assert isinstance(args, trl.GRPOConfig)
    assert (args.estimator, args.deploy_n, args.tail_fraction) == ("max_at_k", 64, 0.5)
    assert (args.estimator_params, args.advantage_scale) == ({"k": 4}, "group")
    assert pickle.loads(pickle.dumps(args)) == args

    yaml = tmp_path / "run.yaml"
    yaml.write_text(
        f"output_dir: {tmp_path}\nestimator: max_at_k\nestimator_params: {{k: 4}}\n"
        "use_cpu: true\nbf16: false\n"
    )
    (args,) = trl.TrlParser(BestOfNConfig).parse_args_and_config(["--config", str(yaml)])
    assert (args.estimator_params, args.advantage_scale) == ({"k": 4}, "batch")


def test_config_with_a_function_can_be_shown(tmp_path):
    args = settings(tmp_path, estimator=centred)
    assert json.loads(args.to_json_string())["estimator"].endswith(":centred")


def test_package_loads_no_framework():
    code = "import sys, bontea.integrations; print({'torch', 'trl', 'scipy'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_another_version_is_refused(monkeypatch, tmp_path):
    check_other_versions("trl", monkeypatch, tmp_path)
