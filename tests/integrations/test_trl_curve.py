"""The curve of best-of-k while a model is trained: real runs of a tiny model on the CPU."""

import hashlib
import json
import math
import os
import random
import subprocess
import sys
import warnings
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
trl = pytest.importorskip("trl")

import transformers  # noqa: E402
from datasets import Dataset  # noqa: E402
from tests.tiny import WORDS, tiny_llama  # noqa: E402

from bontea._errors import BonteaError  # noqa: E402
from bontea.integrations._trl_reward import reward_of  # noqa: E402
from bontea.integrations.trl import BestOfNConfig, BestOfNTrainer  # noqa: E402
from bontea.integrations.trl_curve import BestOfNCurve  # noqa: E402
from bontea.rollouts.generate import sample_rollouts  # noqa: E402
from bontea.rollouts.read import read_rollouts  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of transformers to TRL

ROOT = Path(__file__).parents[2]
PROMPTS = Dataset.from_dict({"prompt": ["the cat", "a dog", "one bird", "two fish"] * 4})
HELD_OUT = ["the dog", "a bird", "one fish", "two cat", "the fish"]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("model"))


def score(completions, **_):
    worth = {word: math.sin(7 * i) for i, word in enumerate(WORDS)}
    return [
        sum(worth.get(word, 0) / (1 + place / 3) for place, word in enumerate(text.split()))
        for text in completions
    ]


def restless(completions, **_):
    """A judge that draws from every generator there is."""
    random.random(), np.random.rand(), torch.rand(3)  # noqa: NPY002
    return [float(len(text.split())) for text in completions]


def make(model_dir, tmp_path, *, cls=BestOfNTrainer, reward_funcs=score, **changes):
    given = {
        "output_dir": str(tmp_path), "num_generations": 8, "per_device_train_batch_size": 16,
        "max_steps": 4, "max_completion_length": 6, "learning_rate": 1e-2, "logging_steps": 1,
        "use_cpu": True, "bf16": False, "report_to": "none", "save_strategy": "no",
        "disable_tqdm": True, "seed": 3,
    }  # fmt: skip
    config = BestOfNConfig if cls is BestOfNTrainer else trl.GRPOConfig
    return cls(
        model=model_dir, reward_funcs=reward_funcs, args=config(**(given | changes)),
        train_dataset=PROMPTS,
    )  # fmt: skip


def weights(trainer):
    digest = hashlib.sha256()
    for name, value in trainer.model.state_dict().items():
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def measured(trainer):
    """What was logged, by step, without what the Trainer adds."""
    return {
        entry["step"]: {name: value for name, value in entry.items() if name.startswith("eval_")}
        for entry in trainer.state.log_history
        if any(name.startswith("eval_") for name in entry)
    }


def trained(trainer):
    """What training logged, without times."""
    return [
        {name: value for name, value in entry.items() if "time" not in name}
        for entry in trainer.state.log_history
        if "loss" in entry
    ]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_training_does_not_notice(model_dir, tmp_path, checkpointing):
    more = {"gradient_checkpointing": checkpointing}
    alone = make(model_dir, tmp_path / "alone", **more)
    alone.train()
    watched = make(model_dir, tmp_path / "watched", **more)
    curve = BestOfNCurve(watched, HELD_OUT, eval_steps=3, m=8, judge=restless)
    watched.add_callback(curve)
    watched.train()

    assert weights(watched) == weights(alone)
    assert trained(watched) == trained(alone)
    assert len(trained(watched)) == 4
    assert watched.model.is_gradient_checkpointing is checkpointing
    watched.model.train().model.layers[0].eval()  # as of a layer that is frozen
    modes = [module.training for module in watched.model.modules()]
    states = random.getstate(), str(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
    curve._draw()
    assert (random.getstate(), str(np.random.get_state())) == states[:2]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[2])
    assert [module.training for module in watched.model.modules()] == modes
    assert len(set(modes)) == 2
    assert list(measured(watched)) == [0, 3, 4]  # the start, every third, and the end
    first, last = measured(watched)[0], measured(watched)[4]
    assert set(first) >= {f"eval_best_of/{k}" for k in (1, 2, 4, 8)}
    assert set(first) >= {f"eval_judge_of_best/{k}" for k in (1, 2, 4, 8)}
    assert first != last  # it is the model of now


def test_the_numbers_are_those_of_the_model_sampled_by_itself(model_dir, tmp_path):
    """Best-of-k and the judge of the best, by hand over all subsets, from the saved weights."""
    trainer = make(model_dir, tmp_path / "run", cls=trl.GRPOTrainer, max_steps=2, temperature=0.9)
    trainer.add_callback(BestOfNCurve(trainer, HELD_OUT, eval_steps=5, m=6, n=5, judge=restless))
    trainer.train()
    trainer.save_model(str(tmp_path / "saved"))

    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    file = sample_rollouts(
        model, trainer.processing_class, {i: {"prompt": p} for i, p in enumerate(HELD_OUT)}, score,
        tmp_path / "own.jsonl", m=6, max_new_tokens=6, temperature=0.9, seed=3, batch_size=64,
    )  # fmt: skip
    rewards = read_rollouts(file.path).table()
    judged = np.array([restless(texts) for _, texts in sorted(file.texts(6).items())])
    logged = measured(trainer)[2]
    assert len(np.unique(rewards)) > 20  # hardly any ties, of which equal texts are no trouble
    for k in (1, 2, 4, 5, 6):
        best = [[max(s) for s in combinations(row, k)] for row in rewards.tolist()]
        assert logged[f"eval_best_of/{k}"] == pytest.approx(np.mean(best), abs=1e-12)
        winners = [
            [judge[max(s, key=row.__getitem__)] for s in combinations(range(6), k)]
            for row, judge in zip(rewards.tolist(), judged.tolist(), strict=True)
        ]
        assert logged[f"eval_judge_of_best/{k}"] == pytest.approx(np.mean(winners), abs=1e-12)
    assert logged["eval_best_of/unscorable"] == 0
    assert "eval_best_of/predicted_v_n" not in logged  # 5 is within the sample: it is measured


def test_beyond_the_sample_with_an_interval(model_dir, tmp_path):
    def fine(completions, **_):
        """Two responses never have the same reward, as with a reward model."""
        digests = (hashlib.sha256(f"{i} {t}".encode()).digest() for i, t in enumerate(completions))
        noise = [int.from_bytes(digest[:4], "little") / 2**32 for digest in digests]
        return [v + e for v, e in zip(score(completions), noise, strict=True)]

    trainer = make(model_dir, tmp_path, max_steps=1, deploy_n=32, reward_funcs=fine)
    trainer.add_callback(BestOfNCurve(trainer, HELD_OUT, eval_steps=1, m=16))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        trainer.train()
    for logged in measured(trainer).values():
        value = logged["eval_best_of/predicted_v_n"]
        assert logged["eval_best_of/16"] <= value
        low, high = (logged[f"eval_best_of/predicted_v_n_{end}"] for end in ("low", "high"))
        assert low < value < high


def test_nothing_is_extrapolated_from_few_values(model_dir, tmp_path):
    def steps(completions, **_):
        return [float(len(text.split())) for text in completions]

    trainer = make(model_dir, tmp_path, max_steps=2, reward_funcs=steps, estimator="max_at_k")
    trainer.add_callback(BestOfNCurve(trainer, HELD_OUT, eval_steps=1, m=8, n=64))
    with pytest.warns(UserWarning, match="best-of-64 is not extrapolated: the rewards are") as said:
        trainer.train()
    assert sum("not extrapolated" in str(w.message) for w in said) == 1
    assert list(measured(trainer)) == [0, 1, 2]
    for logged in measured(trainer).values():
        assert not any("predicted" in name for name in logged)


def test_a_reward_that_fails_there_does_not_end_training(model_dir, tmp_path):
    """Nor does a judge; nothing wrong is logged, and the next time it may work."""

    def late(completions, **_):
        if trainer.state.global_step == 0:
            raise ConnectionError("the reward server is gone")
        return score(completions)

    def broken(completions, **_):
        return ["good" for _ in completions]

    alone = make(model_dir, tmp_path / "alone", max_steps=2, gradient_checkpointing=True)
    alone.train()
    trainer = make(model_dir, tmp_path / "run", max_steps=2, gradient_checkpointing=True)
    curve = BestOfNCurve(trainer, HELD_OUT, eval_steps=1, m=2, n=2, reward=late, judge=broken)
    trainer.add_callback(curve)
    with pytest.warns(UserWarning, match="BestOfNCurve") as said:
        trainer.train()
    text = "\n".join(str(w.message) for w in said)
    assert "step 0: no best-of-k is logged: ConnectionError: the reward server" in text, text
    assert "the judge failed, and is not logged: reward 'broken' returned 'good'" in text
    logged = measured(trainer)
    assert 0 not in logged
    assert "eval_best_of/2" in logged[2]
    assert not any("judge" in name for name in logged[2])
    assert weights(trainer) == weights(alone)


def test_responses_without_a_reward_are_counted(model_dir, tmp_path):
    def patchy(completions, **_):
        return [None if text.startswith("the") else v
                for text, v in zip(completions, score(completions), strict=True)]  # fmt: skip

    trainer = make(model_dir, tmp_path, max_steps=1)
    trainer.add_callback(BestOfNCurve(trainer, HELD_OUT, eval_steps=1, m=32, reward=patchy, n=4))
    with pytest.warns(UserWarning, match="of the held-out responses have no reward"):
        trainer.train()
    logged = measured(trainer)[1]
    assert 0 < logged["eval_best_of/unscorable"] < 0.5
    assert "eval_best_of/32" not in logged  # no prompt has so many


def test_several_rewards_are_summed_as_in_training(model_dir, tmp_path):
    """With the columns of the prompts, and async functions in the loop of training."""
    seen = []

    async def of_column(completions, target, completion_ids, trainer_state, log_metric, **_):
        log_metric("mine", 1.0)
        seen.append((tuple(target), trainer_state.global_step))
        assert [len(ids) for ids in completion_ids] == [len(t.split()) for t in completions]
        return [float(t) for t in target]

    rows = [{"prompt": p, "target": i} for i, p in enumerate(HELD_OUT)]
    data = Dataset.from_list([{"prompt": "the cat", "target": 7}] * 4)
    config = BestOfNConfig(
        str(tmp_path), num_generations=8, per_device_train_batch_size=8, max_steps=1,
        max_completion_length=6, use_cpu=True, bf16=False, report_to="none", save_strategy="no",
        disable_tqdm=True, reward_weights=[1.0, 100.0],
    )  # fmt: skip
    trainer = BestOfNTrainer(
        model=model_dir, reward_funcs=[score, of_column], args=config, train_dataset=data
    )
    plain = BestOfNCurve(trainer, rows, eval_steps=9, m=4, n=4, reward=score)
    both = BestOfNCurve(trainer, Dataset.from_list(rows), eval_steps=9, m=4, n=4)
    found = [curve._logs(curve._draw()[0]) for curve in (plain, both)]
    assert len({name for name, _ in seen}) == len(HELD_OUT)
    for k in (1, 2, 4):
        name = f"eval_best_of/{k}"
        # Float32 at no place: the mean of the column is 2.
        assert found[1][name] == pytest.approx(found[0][name] + 100 * 2, abs=1e-9)
    assert not trainer._metrics["train"], "what it logs is averaged with that of training"
    assert not trainer._pending_metrics


def test_a_run_goes_on_from_a_checkpoint(model_dir, tmp_path):
    whole = make(model_dir, tmp_path / "whole", save_strategy="steps", save_steps=2)
    whole.add_callback(BestOfNCurve(whole, HELD_OUT, eval_steps=2, m=4, n=4))
    whole.train()
    again = make(model_dir, tmp_path / "again", save_strategy="steps", save_steps=2)
    curve = BestOfNCurve(again, HELD_OUT, eval_steps=2, m=4, n=4)
    again.add_callback(curve)
    again.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    assert weights(again) == weights(whole)
    assert measured(again) == measured(whole)
    assert list(measured(again)) == [0, 2, 4]
    at_two = [e for e in again.state.log_history if e["step"] == 2 and "eval_best_of/1" in e]
    assert len(at_two) == 1


def test_a_judge_that_scores_little_or_nothing(model_dir, tmp_path):
    """Judged are the responses that have both; without one there is no line of the judge."""
    trainer = make(model_dir, tmp_path)
    for judge, there in (
        (lambda completions, **_: [None] * len(completions), False),
        (lambda completions, **_: [len(t) if t[:1] < "o" else None for t in completions], True),
    ):
        curve = BestOfNCurve(trainer, HELD_OUT, eval_steps=1, m=16, n=16, judge=judge)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            logs = curve._logs(curve._draw()[0])
        assert "eval_best_of/16" in logs
        assert ("eval_judge_of_best/1" in logs) is there
        assert "eval_judge_of_best/16" not in logs
        assert any("the judge is not logged" in str(w.message) for w in said) is not there


@pytest.mark.parametrize(
    ("prompts", "more", "said"),
    [([], {}, "no held-out prompts"),
     (["the cat", ""], {}, r"prompt 1 \(the first is 0\): the prompt is an empty text"),
     ([{"question": "the cat"}], {}, "has no column prompt; it has question"),
     ({"prompt": ["the cat"]}, {}, "prompts is a dict: give a list"),
     (None, {}, "prompts is a NoneType"),
     (["the cat"], {"judge": 3}, "not 3"),
     (["the cat"], {"reward": [score]}, "are one reward function"),
     (["the cat"], {"m": 1}, "m=1 is one response"),
     (["the cat"], {"m": 2.5}, "m=2.5 must be a whole number"),
     (["the cat"], {"eval_steps": 0}, "eval_steps=0 must be a whole number of at least 1"),
     (["the cat"], {"n": 0}, "n=0"),
     (["the cat"], {"judge": "no_such_module:judge"}, "no_such_module"),
     ([{"prompt": "the cat", "completions": 1}], {}, "column 'completions'")],
)  # fmt: skip
def test_bad_settings_are_refused_before_training(model_dir, tmp_path, prompts, more, said):
    trainer = make(model_dir, tmp_path)
    with pytest.raises(BonteaError, match=said):
        BestOfNCurve(trainer, prompts, **({"eval_steps": 2, "m": 4} | more))


def test_a_trainer_of_another_kind_is_refused():
    with pytest.raises(BonteaError, match="it must be a GRPOTrainer"):
        BestOfNCurve("trainer", HELD_OUT, eval_steps=1)


def test_chats_an_adapter_and_a_reward_model(model_dir, tmp_path):
    """A reward model gives what it gives in training, and an adapter is sampled as it is."""
    peft = pytest.importorskip("peft")
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    config = transformers.LlamaConfig.from_pretrained(model_dir, num_labels=1)
    transformers.LlamaForSequenceClassification(config).save_pretrained(tmp_path / "rm")
    tokenizer.save_pretrained(tmp_path / "rm")
    chats = [[{"role": "user", "content": text}] for text in HELD_OUT]
    config = trl.GRPOConfig(
        str(tmp_path), num_generations=8, per_device_train_batch_size=8, max_steps=1,
        max_completion_length=6, use_cpu=True, bf16=False, report_to="none", save_strategy="no",
        disable_tqdm=True, gradient_checkpointing=True, reward_weights=[2.0, 0.5],
    )  # fmt: skip

    def words(completions, **_):
        return [float(len(chat[0]["content"].split())) for chat in completions]

    trainer = trl.GRPOTrainer(
        model=model_dir, reward_funcs=[str(tmp_path / "rm"), words], args=config,
        train_dataset=Dataset.from_dict({"prompt": chats}), processing_class=tokenizer,
        peft_config=peft.LoraConfig(target_modules=["q_proj"], init_lora_weights=False),
    )  # fmt: skip
    trainer.add_callback(BestOfNCurve(trainer, trainer.train_dataset, eval_steps=1, m=4, n=4))
    trainer.train()
    assert len(measured(trainer)) == 2
    answers = [[{"role": "assistant", "content": text}] for text in ("the cat", "a big dog runs")]
    per_function = trainer._calculate_rewards(
        [{"prompt": chat} for chat in chats[:2]], chats[:2], answers, [[1], [1]]
    )
    expected = (per_function * trainer.reward_weights).sum(1)
    assert reward_of(trainer)(chats[:2], answers) == pytest.approx(expected.tolist(), rel=1e-6)


@pytest.mark.slow
def test_two_processes_share_the_prompts(model_dir, tmp_path):
    """The same numbers as one process gets, on both; one of them fails once, and neither hangs."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2",
        "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0",
        str(Path(__file__).with_name("two_processes_curve.py")), model_dir, str(tmp_path),
    ]  # fmt: skip
    path = os.pathsep.join([str(ROOT), *sys.path])
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=180,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    ranks = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    assert [rank["world"] for rank in ranks] == [2, 2]
    assert ranks[0]["weights"] == ranks[1]["weights"]
    assert ranks[0]["logged"] == ranks[1]["logged"]
    assert list(ranks[0]["logged"]) == ["0", "2"]  # at step 1 the second process failed
    assert "step 1: no best-of-k is logged: ConnectionError: gone" in run.stderr, run.stderr
    alone = make(model_dir, tmp_path / "alone", max_steps=1)
    curve = BestOfNCurve(alone, HELD_OUT, eval_steps=1, m=4, n=4, reward=score)
    assert curve._logs(curve._draw()[0]) == pytest.approx(ranks[0]["logged"]["0"])
