"""The KL divergence from the start: likelihoods against their sum token by token."""

import numpy as np
import pytest

from bontea import demo

pytest.importorskip("transformers")

from bontea.training import distance

TEXTS = ["the soup was good.", "", "i liked it, and we stayed an hour."]


@pytest.fixture(scope="module")
def policy():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = demo.policy_folder()
    return AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)


def token_by_token(model, ids, tail, temperature=1.0):
    import torch

    total = 0.0
    for token in tail:
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits[0, -1].double() / temperature
        total += logits.log_softmax(-1)[token].item()
        ids = [*ids, token]
    return total


@pytest.mark.parametrize(("batch", "temperature"), [(64, 1.0), (2, 1.0), (64, 0.7)])
def test_it_is_the_sum_over_tokens_and_the_end(policy, monkeypatch, batch, temperature):
    monkeypatch.setattr(distance, "BATCH", batch)
    tokenizer, model = policy
    prompt = demo.held_out_prompts()[0]
    found = distance.log_likelihoods(
        model, tokenizer, prompt, TEXTS, max_new_tokens=32, temperature=temperature
    )
    tails = [[*ids, tokenizer.eos_token_id] for ids in tokenizer(TEXTS)["input_ids"]]
    head = tokenizer(prompt)["input_ids"]
    expected = [token_by_token(model, head, tail, temperature) for tail in tails]
    assert found == pytest.approx(expected, abs=1e-4)
    assert (found < -1).all()


def test_what_was_cut_off_has_no_end(policy):
    tokenizer, model = policy
    prompt = demo.held_out_prompts()[0]
    length = len(tokenizer(TEXTS[0])["input_ids"])
    (whole,), (cut,) = (
        distance.log_likelihoods(model, tokenizer, prompt, TEXTS[:1], max_new_tokens=limit)
        for limit in (length + 1, length)
    )
    ids = tokenizer(prompt)["input_ids"] + tokenizer(TEXTS[0])["input_ids"]
    assert whole - cut == pytest.approx(
        token_by_token(model, ids, [tokenizer.eos_token_id]), abs=1e-4
    )


def test_models_without_a_plain_cache(policy):
    """A hybrid: convolutions beside attention."""
    import torch
    from transformers import Lfm2Config, Lfm2ForCausalLM

    tokenizer, _ = policy
    torch.manual_seed(0)
    config = Lfm2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        layer_types=["conv", "full_attention"],
    )
    model = Lfm2ForCausalLM(config).eval()
    prompt = demo.held_out_prompts()[0]
    found = distance.log_likelihoods(model, tokenizer, prompt, TEXTS, max_new_tokens=32)
    head = tokenizer(prompt)["input_ids"]
    tails = [[*ids, tokenizer.eos_token_id] for ids in tokenizer(TEXTS)["input_ids"]]
    assert found == pytest.approx([token_by_token(model, head, t) for t in tails], abs=1e-4)


def test_a_sharper_policy_is_as_far_as_its_law_says(policy):
    """Of single tokens the divergence is a sum over the vocabulary."""
    import torch

    tokenizer, model = policy
    prompt = demo.held_out_prompts()[0]
    with torch.inference_mode():
        logits = model(torch.tensor([tokenizer(prompt)["input_ids"]])).logits[0, -1].double()
    sharp, start = ((logits / t).log_softmax(-1) for t in (0.5, 1.0))
    expected = float((sharp.exp() * (sharp - start)).sum())
    generator = torch.Generator().manual_seed(0)
    drawn = torch.multinomial(sharp.exp(), 8000, replacement=True, generator=generator)
    texts = [tokenizer.decode([token]) for token in drawn.tolist()]
    same = [len(tokenizer(t, add_special_tokens=False)["input_ids"]) == 1 for t in texts]
    assert np.mean(same) > 0.99
    texts = [text for text, one in zip(texts, same, strict=True) if one]
    own, other = (
        distance.log_likelihoods(
            model, tokenizer, prompt, texts, max_new_tokens=1, temperature=temperature
        )
        for temperature in (0.5, 1.0)
    )
    error = (own - other).std() / len(texts) ** 0.5
    assert (own - other).mean() == pytest.approx(expected, abs=4 * error)
    assert error < 0.1 * expected
