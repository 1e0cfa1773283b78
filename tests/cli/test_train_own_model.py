"""Three arguments changed: a local chat model, a local reward model, a prompt file."""

import json
import sys

import pytest

pytest.importorskip("trl")

from tests.tiny import word_tokenizer
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
)

from bontea.cli import main

WORDS = ["<pad>", "<eos>", "<unk>", "user", "assistant", "say", "good", "bad", "fine", "well"]
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)


@pytest.fixture
def local(tmp_path, monkeypatch):
    """A folder with `policy`, `reward` (tiny, random weights), `chat.jsonl` and `plain.csv`."""
    import torch

    tokenizer = word_tokenizer(WORDS)
    tokenizer.chat_template = TEMPLATE
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        eos_token_id=1,
        pad_token_id=0,
        num_labels=1,
    )
    torch.manual_seed(0)
    for name, kind in (("policy", LlamaForCausalLM), ("reward", LlamaForSequenceClassification)):
        kind(config).save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    asks = ["say good", "say bad", "say well", "say fine", "good", "bad"]
    chats = [{"prompt": [{"role": "user", "content": text}], "wish": text} for text in asks]
    (tmp_path / "chat.jsonl").write_text("\n".join(map(json.dumps, chats)))
    (tmp_path / "plain.csv").write_text("question\n" + "\n".join(asks) + "\n")
    (tmp_path / "mine.py").write_text(
        "def wished(prompts, completions, wish, **_):\n"
        "    assert all(p[-1]['role'] == 'user' for p in prompts)\n"
        "    texts = [c[0]['content'] for c in completions]\n"
        "    return [t.count(w.split()[-1]) + len(t) / 100 for t, w in zip(texts, wish)]\n"
        "def same(completions, **_):\n"
        "    return [1.0] * len(completions)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return tmp_path


SMALL = [
    "--model", "policy", "--rollouts", "12", "--batch-size", "24", "--steps", "2",
    "--eval-rollouts", "6", "--max-new-tokens", "5", "--learning-rate", "1e-3",
    "--output", "out", "--json",
]  # fmt: skip


def run(capsys, *arguments):
    assert main(["train", *SMALL, *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_reward_model_and_chat_prompts(local, capsys):
    results = run(
        capsys, "--reward", "reward", "--prompts", "chat.jsonl", "--estimator", "tea,max_at_k(k=4)"
    )
    assert [arm["arm"] for arm in results["arms"]] == ["start", "tea", "max_at_k(k=4)"]
    assert results["held_out_prompts"] == 1
    row = json.loads((local / "out" / "tea" / "rollouts.jsonl").read_text().splitlines()[0])
    assert row["prompt"][0]["role"] == "user"
    assert AutoTokenizer.from_pretrained("out/tea/model").chat_template == TEMPLATE
    assert (local / "out" / "max_at_k-k-4" / "model" / "model.safetensors").exists()


def test_lora_and_a_function_that_takes_a_column(local, capsys):
    results = run(
        capsys,
        *("--reward", "mine:wished", "--prompts", "chat.jsonl", "--lora", "4"),
        *("--eval-prompts", "chat.jsonl", "--micro-batch", "6", "--estimator", "prefix_tea"),
        *("--rollouts", "24", "--trl", "max_grad_norm=0.5"),
    )
    assert results["held_out_prompts"] == 6
    assert (local / "out" / "prefix_tea" / "model" / "adapter_model.safetensors").exists()
    start, trained = (
        (local / "out" / arm / "rollouts.jsonl").read_text() for arm in ("start", "prefix_tea")
    )
    assert start != trained  # the adapter is loaded for the held-out rollouts


def test_plain_prompts_from_a_named_column(local, capsys):
    results = run(
        capsys,
        *("--reward", "reward", "--prompts", "plain.csv", "--prompt-column", "question"),
        *("--estimator", "grpo", "--beta", "0.05"),
    )
    assert results["arms"][1]["rollouts"] == 48


def test_a_reward_that_is_always_the_same(local, capsys):
    with pytest.warns(UserWarning, match="nothing is being learned"):
        results = run(
            capsys,
            *("--reward", "mine:same", "--prompts", "chat.jsonl", "--estimator", "tea"),
            *("--steps", "6"),
        )
    assert results["arms"][1]["best_of_k"] == results["arms"][0]["best_of_k"]
    assert results["arms"][1]["spread"] == 0
    assert results["arms"][1]["kl"] == 0


def test_chat_prompts_need_a_chat_template(local, capsys):
    tokenizer = AutoTokenizer.from_pretrained("policy")
    tokenizer.chat_template = None
    for path in (local / "policy").glob("chat_template*"):
        path.unlink()
    tokenizer.save_pretrained("policy")
    assert main(["train", *SMALL, "--reward", "reward", "--prompts", "chat.jsonl"]) == 2
    assert "no chat template" in capsys.readouterr().err


VALUES = [3, None, 0.5, "007", [1, {"a": None}], {"b": 10**20}, "2024-01-01"]


def test_columns_reach_the_reward_as_the_file_has_them(local, capsys):
    """In training and on held-out prompts; a column of one type would refuse or change them."""
    rows = [
        {"prompt": f"say {word}", "value": value, "number": i}
        for i, (word, value) in enumerate(zip(["good"] * 7, VALUES, strict=True))
    ]
    (local / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (local / "mine.py").write_text(
        f"VALUES = {VALUES!r}\n"
        "def exact(prompts, completions, value, number, **_):\n"
        "    assert [repr(v) for v in value] == [repr(VALUES[i]) for i in number]\n"
        "    return [float(len(c)) for c in completions]\n"
    )
    run(
        capsys,
        *("--reward", "mine:exact", "--prompts", "p.jsonl", "--eval-prompts", "p.jsonl"),
        *("--estimator", "tea", "--steps", "4"),
    )


USER, START = {"role": "user", "content": "say"}, {"role": "assistant", "content": "good"}
IMAGE = {"role": "user", "content": [{"type": "image", "image": "x.png"}]}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": [USER, START]}, "ends with a turn of the assistant"),
        ({"prompt": [USER], "tools": [{"name": "f"}]}, "has tools"),
        ({"prompt": [USER], "image": "x.png"}, "column 'image'"),
        ({"prompt": [IMAGE]}, "this prompt has an image"),
        ({"prompt": "say"}, "some prompts are texts"),
    ],
)
def test_what_would_be_trained_on_wrongly_is_refused(local, capsys, row, said):
    rows = [{"prompt": [USER]}] * 5 + [row]
    (local / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = ["--reward", "mine:same", "--prompts", "p.jsonl", "--estimator", "tea"]
    assert main(["train", *SMALL, *options, "--batch-size", "12"]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not (local / "out" / "start").exists()
