"""TRL's asynchronous trainer: its scoring loop, its rollout process and its training, on a CPU.

Stand-ins: a small HTTP server for vLLM's, a plain attention for the flash-attention kernel (which
is for GPUs), and a transfer of weights that does nothing. What lies between is TRL's own.
"""

import asyncio
import importlib
import itertools
import json
import queue
import random
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
trl = pytest.importorskip("trl")

import accelerate  # noqa: E402
import transformers  # noqa: E402
from datasets import Dataset  # noqa: E402
from tests.integrations.batches import CASES, check_other_versions, core, pretend  # noqa: E402
from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # noqa: E402
from trl.experimental.async_grpo import (  # noqa: E402
    AsyncGRPOConfig,
    AsyncGRPOTrainer,
    async_grpo_trainer,
    async_rollout_worker,
    packing,
)
from trl.experimental.async_grpo.async_rollout_worker import (  # noqa: E402
    AsyncRolloutWorker,
    RolloutGroup,
    TrainingSequence,
    _AsyncRolloutLoop,
)

from bontea.integrations import trl_async as adapter  # noqa: E402
from bontea.integrations._settings import read_settings  # noqa: E402
from bontea.integrations.frameworks import UntestedVersionError  # noqa: E402

M = 16
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of transformers to TRL


def words(completions, **_):
    """The reward of a group of the tests is written in it."""
    return [json.loads(c[-1]["content"]) for c in completions]


def constant(completions, **_):
    return [0.5] * len(completions)


def letters(completions, **_):
    """Of the trained model: how many of its letters are in the first half of the alphabet."""
    return [float(sum("a" <= x <= "m" for x in c[-1]["content"])) for c in completions]


@pytest.fixture(scope="module")
def tokenizer():
    """Bytes, and the special tokens of Qwen's chat template, which TRL knows."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE({x: i for i, x in enumerate([*special, *letters])}, []))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    out = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
    )  # fmt: skip
    folder = Path(trl.__file__).parent / "chat_templates"
    out.chat_template = (folder / "qwen3.jinja").read_text(encoding="utf-8")
    return out


def loop(tokenizer, groups, base=_AsyncRolloutLoop, rewards=(words,), **settings):
    """TRL's loop in this process, extended as its child process does it."""
    accelerate.PartialState()  # for TRL's logger
    nothing = SimpleNamespace(value=0)
    return adapter.build_loop(
        base,
        read_settings(settings, where="attach"),
        groups,
        model_name="toy",
        dataset=Dataset.from_dict({"prompt": ["a"]}),
        reward_funcs=list(rewards),
        processing_class=tokenizer,
        eos_token_ids=[2],
        rollout_buffer=queue.Queue(),
        model_version_value=nothing,
        heartbeat_value=nothing,
        failed_event=threading.Event(),
        exception_info_queue=queue.Queue(),
        metrics_queue=queue.Queue(),
        num_generations=M,
        max_inflight_tasks=1,
        score_queue_maxsize=0,
    )


def group_of(number, rewards, rows=None):
    """A finished group: `rows[i]` training rows of rollout i, one by default."""
    rows = [1] * len(rewards) if rows is None else rows
    say = [[{"role": "assistant", "content": json.dumps(r)}] for r in rewards]
    return RolloutGroup(
        prompts=[[{"role": "user", "content": f"prompt {number}"}]] * len(rewards),
        reward_kwargs={},
        completions=say,
        completions_ids=[[5]] * len(rewards),
        completions_sequences=[
            [TrainingSequence([4, 5 + j], [0, 1], [0.0, -1.0], f"{i}") for j in range(count)]
            for i, count in enumerate(rows)
        ],
        tool_call_counts=[0] * len(rewards),
        tool_failure_counts=[0] * len(rewards),
        model_version=0,
        group_id=number,
        env_rewards=[None] * len(rewards),
        rollout_rewards=[None] * len(rewards),
    )


def score(loop, groups):
    """Through TRL's scoring loop; the samples that it sends to the trainer."""

    async def main():
        for group in [*groups, None]:
            await loop._groups_to_score.put(group)
        await loop._score_loop(asyncio.Event())

    asyncio.run(main())
    loop._loop.close()
    return [loop.rollout_buffer.get() for _ in range(loop.rollout_buffer.qsize())]


def rewards_of(prompts, seed=0):
    """`(prompts, M)`, exact in any float type."""
    return np.round(np.random.default_rng(seed).normal(size=(prompts, M)) * 64) / 64


@pytest.mark.parametrize(("name", "params"), CASES)
@pytest.mark.parametrize("scale", ["none", "batch"])
def test_groups_wait_for_each_other(name, params, scale, tokenizer):
    """Six groups in the order in which they were finished, three of them a batch."""
    rewards, order = rewards_of(6), [3, 0, 5, 1, 4, 2]
    made = loop(tokenizer, 3, estimator=name, scale=scale, **params)
    samples = score(made, [group_of(i, rewards[i].tolist()) for i in order])
    assert [s.group_id for s in samples] == np.repeat(order, M).tolist()
    for batch, before in ((order[:3], []), (order[3:], order[:3])):
        own = [s for s in samples if s.group_id in batch]
        ids = np.array([s.group_id for s in own])
        if name == "adaptive_tea":
            params = {**params, "history": rewards[before]}
        expected = core([s.metrics["reward"] for s in own], ids, name, scale=scale, **params)
        assert [s.metrics["reward"] for s in own] == rewards[batch].ravel().tolist()
        got = np.array([s.advantage for s in own])
        assert np.abs(got - expected).max() < 1e-6 * max(1, np.abs(expected).max())
        assert np.abs(expected).max() > 0.1


def test_adaptive_tea_with_one_group_at_a_time(tokenizer):
    """The first group is nothing to extrapolate from; the 64th has 63 before it."""
    rewards = rewards_of(64)
    groups = [group_of(i, row.tolist()) for i, row in enumerate(rewards)]
    alone = score(loop(tokenizer, 1, estimator="adaptive_tea", scale="none"), groups)
    together = score(loop(tokenizer, 64, estimator="adaptive_tea", scale="none"), groups)
    alone, together = (np.array([s.advantage for s in samples]) for samples in (alone, together))
    ids = np.repeat(np.arange(64), M)
    cautious = core(rewards.ravel(), ids, "max_at_k", k=M - 1)
    bold = core(rewards.ravel(), ids, "linear_tea", n=128, alpha=0.75)
    np.testing.assert_allclose(together, bold, atol=1e-9)
    np.testing.assert_allclose(alone[:M], cautious[:M], atol=1e-9)
    np.testing.assert_allclose(alone[-M:], bold[-M:], atol=1e-9)


def test_rows_and_rewards_that_are_missing(tokenizer):
    """A rollout of several rows counts once, one without rows counts but is not sent, None is
    unscorable, and a rollout that is alone in its group gets 0."""
    rewards = rewards_of(2, seed=1)
    first, second = rewards.tolist()
    first[3], second[1:] = None, [None] * (M - 1)
    rows = [2, 0, 1, 3] + [1] * (M - 4)
    made = loop(tokenizer, 2, estimator="tea", scale="none")
    samples = score(made, [group_of(0, first, rows), group_of(1, second)])
    assert len(samples) == sum(rows) + M
    known = np.array([np.nan if r is None else r for r in first])
    expected = core(known, ["a"] * M, "tea", n=128)
    got = [s.advantage for s in samples if s.group_id == 0]
    np.testing.assert_allclose(got, np.repeat(expected, rows), atol=1e-9)
    assert expected[3] == 0
    assert [s.advantage for s in samples if s.group_id == 1] == [0.0] * M
    assert all(len(s.input_ids) == 2 for s in samples)
    assert made._best_of_n.metrics["zeroed_unscorable"] == 1 + M - 1
    assert made._best_of_n.metrics["zeroed_alone"] == 1
    pushed = [made._metrics_queue.get() for _ in range(made._metrics_queue.qsize())]
    (ours,) = [p for p in pushed if "best_of_n/zeroed_alone" in p]
    assert ours["best_of_n/groups"] == 2


def test_an_infinite_reward_zeroes_its_rollout(tokenizer):
    rewards = rewards_of(2, seed=1)
    rewards[0, 3], rewards[1, 5] = np.inf, -np.inf
    samples = score(
        loop(tokenizer, 2, estimator="tea", scale="none"),
        [group_of(i, row.tolist()) for i, row in enumerate(rewards)],
    )
    known = np.where(np.isinf(rewards), np.nan, rewards).ravel()
    expected = core(known, np.repeat([0, 1], M), "tea", n=128)
    np.testing.assert_allclose([s.advantage for s in samples], expected, atol=1e-9)
    assert expected[3] == expected[M + 5] == 0 < np.abs(expected).max()


def test_an_incomplete_batch_is_not_sent(tokenizer):
    groups = [group_of(i, row.tolist()) for i, row in enumerate(rewards_of(5))]
    assert len(score(loop(tokenizer, 3, n=64), groups)) == 3 * M


def test_nothing_in_the_data_stops_it(tokenizer, caplog):
    """After the first batch: an estimator for 0/1 rewards meets others."""
    ones = (rewards_of(1) > 0).astype(float)[0].tolist()
    groups = [group_of(0, ones), group_of(1, rewards_of(1)[0].tolist()), group_of(2, [0.5] * M)]
    samples = score(loop(tokenizer, 1, estimator="pass_at_k", k=4, scale="none"), groups)
    assert any(s.advantage for s in samples[:M])
    assert not any(s.advantage for s in samples[M:])
    assert "zeros for batch 2" in caplog.text


class Server(BaseHTTPRequestHandler):
    """vLLM's part: random letters, and their log-probabilities under a uniform policy."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        rng = random.Random(asked["seed"])
        ids = [self.server.letters[rng.randrange(26)] for _ in range(rng.randrange(2, 7))]
        choice = {"token_ids": [*ids, 2], "logprobs": {"token_logprobs": [-3.0] * (len(ids) + 1)}}
        body = json.dumps({"choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tokenizer):
    letters = [tokenizer.convert_tokens_to_ids(x) for x in "abcdefghijklmnopqrstuvwxyz"]
    out = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    out.letters, out.handle_error = letters, lambda *_: None  # a process that is gone
    thread = threading.Thread(target=out.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{out.server_address[1]}"
    out.shutdown()
    thread.join()
    out.server_close()


def attention(query, key, value, cu_q, cu_k, *_, softmax_scale, causal, window_size):
    """What the kernel computes: causal attention in every segment, aligned at its end."""
    assert causal
    assert window_size == (-1, -1)
    repeat = query.shape[1] // key.shape[1]
    out = []
    for (a, b), (c, d) in zip(itertools.pairwise(cu_q), itertools.pairwise(cu_k), strict=True):
        q = query[a:b].transpose(0, 1)
        k, v = (x[c:d].repeat_interleave(repeat, dim=1).transpose(0, 1) for x in (key, value))
        seen = torch.ones(int(b - a), int(d - c)).tril(int(d - c) - int(b - a)).bool()
        f = torch.nn.functional.scaled_dot_product_attention
        out.append(f(q, k, v, attn_mask=seen, scale=softmax_scale).transpose(0, 1))
    return torch.cat(out)


class NoTransfer:
    def __getattr__(self, name):
        return lambda *_: None


@pytest.fixture
def build(tmp_path, tokenizer, monkeypatch):
    """An AsyncGRPOTrainer with its own worker, where vLLM and a GPU are missing."""
    for needed in ("aiohttp", "requests"):
        pytest.importorskip(needed, reason=f"{needed} is not installed: .ci/adapters trl")
    monkeypatch.setattr(async_grpo_trainer, "get_peak_flops_per_device", lambda *_: None)
    monkeypatch.setattr(async_rollout_worker, "is_vllm_available", lambda *_: True)
    kernel = SimpleNamespace(flash_attn_varlen_func=attention)
    monkeypatch.setattr(packing, "_flash_attn", lambda: kernel)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, pad_token_id=0, eos_token_id=2,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")

    def make(reward=letters, url="http://127.0.0.1:1", **settings):
        args = AsyncGRPOConfig(
            str(tmp_path / "out"),
            vllm_server_base_url=url,
            num_generations=M,
            per_device_train_batch_size=2 * M,
            max_completion_length=8,
            token_budget=-1,
            bf16=False,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
            learning_rate=1e-3,
            **settings,
        )
        prompts = [[{"role": "user", "content": text}] for text in ("one", "two", "three")]
        return AsyncGRPOTrainer(
            str(tmp_path / "model"),
            reward_funcs=reward,
            args=args,
            train_dataset=Dataset.from_dict({"prompt": prompts}),
            processing_class=tokenizer,
            weight_transfer=NoTransfer(),
        )

    return make


def test_training(build, server, monkeypatch):
    """TRL's trainer and its rollout process: what reaches the loss are advantages of the batch."""
    trainer = build(url=server, max_steps=4)
    assert adapter.attach(trainer, "linear_tea", n=128, alpha=0.5) is trainer
    arrived, losses = [], []
    iterate = async_grpo_trainer.RolloutQueueDataset.__iter__

    def recording(self):
        for sample in iterate(self):
            arrived.append(sample)
            yield sample

    compute = trainer.compute_loss

    def compute_loss(model, inputs, **more):
        losses.append(inputs["advantages"][inputs["token_index"] >= 0])
        return compute(model, inputs, **more)

    monkeypatch.setattr(async_grpo_trainer.RolloutQueueDataset, "__iter__", recording)
    monkeypatch.setattr(trainer, "compute_loss", compute_loss)
    before = [p.detach().clone() for p in trainer.model.parameters()]
    trainer.train()
    assert any((a != b).any() for a, b in zip(before, trainer.model.parameters(), strict=True))
    for step in range(4):  # two groups a step, as many as wait for each other
        batch = arrived[2 * M * step :][: 2 * M]
        ids = np.array([s["group_id"] for s in batch])
        rewards = [s["metrics"]["reward"] for s in batch]
        expected = core(rewards, ids, "linear_tea", scale="batch", n=128, alpha=0.5)
        got = np.array([s["advantage"] for s in batch])
        assert np.abs(got - expected).max() < 1e-6
        assert np.abs(expected).max() > 0.5
        tokens = np.concatenate([[s["advantage"]] * int(s["completion_mask"].sum()) for s in batch])
        np.testing.assert_allclose(np.sort(losses[step].numpy()), np.sort(tokens), atol=1e-6)
    logged = [entry for entry in trainer.state.log_history if "best_of_n/advantage_rms" in entry]
    assert logged
    assert logged[0]["best_of_n/groups"] == 2


def test_a_batch_that_cannot_work_stops_the_run(build, server):
    """The error of the rollout process is raised where the trainer asks how it is.

    Not through `train()`: TRL 1.16 then stops the process, and waits without end for one that has
    died while it listened for that.
    """
    trainer = build(url=server)
    adapter.attach(trainer, "pass_at_k", n=8)  # rewards of letters are not 0/1
    worker = trainer.rollout_worker
    worker.start()
    try:
        assert worker._failed_event.wait(60)
        kind, message, _ = worker._exception_info_queue.get(timeout=60)
        assert (kind, message[:29]) == ("ValueError", "pass_at_k needs 0/1 rewards, ")
        with pytest.raises(RuntimeError, match="Rollout worker child has failed"):
            worker.check_health(60)
    finally:
        worker._process.kill()
        worker._process.join()


def test_attach(build, caplog):
    trainer = build()
    worker = trainer.rollout_worker
    adapter.attach(trainer, "tea", n=64)
    base, settings, groups = worker._loop_cls.args
    assert (base, settings.estimator, settings.n, groups) == (_AsyncRolloutLoop, "tea", 64, 2)
    assert "bontea" not in caplog.text
    adapter.attach(trainer, "rloo", groups=1)  # again: in its place
    base, settings, groups = worker._loop_cls.args
    assert (base, settings.estimator, groups) == (_AsyncRolloutLoop, "rloo", 1)
    assert "every prompt is a batch of its own" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"estimator": "tee"}, "did you mean 'tea'"),
        ({"n": "many"}, "attach.n='many'"),
        ({"estimator": "max_at_k", "k": 16}, "k <= 15"),
        ({"alhpa": 0.5}, "did you mean 'alpha'"),
        ({"groups": 0}, "groups=0 must be at least 1"),
        ({"estimator": lambda rewards: rewards}, "cannot be saved"),
    ],
)
def test_wrong_settings(arguments, message, build):
    with pytest.raises(ValueError, match=message):
        adapter.attach(build(), **arguments)


def test_other_trainers(build):
    with pytest.raises(ValueError, match="no rollout worker"):
        adapter.attach(SimpleNamespace())
    trainer = build()
    trainer.rollout_worker = SimpleNamespace()
    with pytest.raises(ValueError, match="computes advantages itself"):
        adapter.attach(trainer)
    trainer.rollout_worker = None  # as on all processes but one
    assert adapter.attach(trainer) is trainer


def test_a_worker_of_another_loop(build):
    """OpenEnv's harness, or a subclass of yours: its loop is what is extended."""

    class Mine(_AsyncRolloutLoop):
        pass

    class Worker(AsyncRolloutWorker):
        _loop_cls = Mine

    trainer = build()
    trainer.rollout_worker = Worker(**trainer.rollout_worker._loop_kwargs)
    adapter.attach(trainer)
    assert trainer.rollout_worker._loop_cls.args[0] is Mine
    assert Worker._loop_cls is Mine


def test_another_trl(monkeypatch, tmp_path, tokenizer):
    """Samples that are not one for each training row."""

    class Merging(_AsyncRolloutLoop):
        async def _score_group(self, group):
            return (await super()._score_group(group))[1:]

    with pytest.raises(RuntimeError, match="TRL made 15 samples of 16 training rows"):
        score(loop(tokenizer, 1, base=Merging), [group_of(0, rewards_of(1)[0].tolist())])
    module = "bontea.integrations.trl_async"
    monkeypatch.syspath_prepend(pretend(tmp_path, "trl", "1.17.0"))
    monkeypatch.delitem(sys.modules, module)
    with pytest.raises(UntestedVersionError, match=r"is for trl>=1\.16,<1\.17"):
        importlib.import_module(module)


def test_another_version_is_refused(monkeypatch, tmp_path):
    check_other_versions("trl", monkeypatch, tmp_path, module="bontea.integrations.trl_async")
