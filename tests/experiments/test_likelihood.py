"""Log-likelihoods of completions against their sum token by token."""

import pytest
from tests.scripts import ROOT, load_script

from bontea import demo
from bontea.rollouts.chats import token_ids


@pytest.fixture(scope="module")
def likelihood():
    pytest.importorskip("transformers")
    return load_script(ROOT / "benchmarks" / "experiments" / "training" / "likelihood.py")


@pytest.fixture(scope="module")
def policy():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = demo.policy_folder()
    return AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)


def token_by_token(model, head, tail):
    import torch

    ids, total = list(head), 0.0
    for token in tail:
        with torch.inference_mode():
            total += model(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1)[token].item()
        ids.append(token)
    return total


@pytest.mark.parametrize("batch", [2, 64])
def test_it_is_the_sum_over_tokens(likelihood, policy, monkeypatch, batch):
    monkeypatch.setattr(likelihood, "BATCH", batch)
    tokenizer, model = policy
    head = token_ids(tokenizer, demo.held_out_prompts()[0])
    tails = tokenizer(["the soup was good.", "", "i liked it, and we stayed an hour."])["input_ids"]
    found = likelihood.log_likelihood(model, head, tails)
    expected = [token_by_token(model, head, tail) for tail in tails]
    assert found.tolist() == pytest.approx(expected, abs=1e-4)
    assert found[1] == 0
    assert found[0] < -1


def test_the_ratio_goes_by_prompt_and_keeps_the_order(likelihood, policy):
    tokenizer, model = policy
    prompts = [demo.held_out_prompts()[i] for i in (0, 5, 0)]
    tails = tokenizer(["the soup was good.", "a dull day.", "we stayed an hour."])["input_ids"]
    sides = [
        (model, lambda prompt: token_ids(tokenizer, prompt)),
        (model, lambda prompt: token_ids(tokenizer, "write a review :")),
    ]
    found = likelihood.log_ratio(sides, prompts, tails)
    for prompt, tail, own in zip(prompts, tails, found.tolist(), strict=True):
        first, second = (token_by_token(model, head(prompt), tail) for _, head in sides)
        assert own == pytest.approx(first - second, abs=1e-4)
        assert abs(own) > 1e-2


def test_a_head_of_one_token_is_refused(likelihood, policy):
    _, model = policy
    with pytest.raises(ValueError, match="the head has 1 tokens; at least 2 are needed"):
        likelihood.log_likelihood(model, [5], [[6, 7]])


def test_no_tails_have_no_likelihoods(likelihood, policy):
    _, model = policy
    assert likelihood.log_likelihood(model, [5, 6], []).shape == (0,)
