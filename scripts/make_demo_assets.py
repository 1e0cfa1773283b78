"""Write the demo's shipped files: the pre-trained policy and the head of the reward.

Run from anywhere with the package importable: ``python scripts/make_demo_assets.py``. Both steps
are seeded; the policy takes a few minutes on two CPU threads, the reward about one.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from bontea import demo
from bontea.demo import grammar
from bontea.demo.reward import HEAD_FILE, MiniLMEncoder, MiniLMReward

SPECIAL_TOKENS = ("<pad>", "<eos>", "<unk>")
REVIEWS = 128
"""In one batch of pre-training."""


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A word-level tokenizer whose decoded text is naturally spaced and encodes back."""
    words = [*SPECIAL_TOKENS, *grammar.vocabulary()]
    model = models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>")
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Lowercase()
    # Isolated punctuation: any run of marks a policy may write splits into the same tokens again.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated")]
    )
    # The WordPiece decoder is used for its spacing alone: no token carries its prefix.
    tokenizer.decoder = decoders.Sequence(
        [decoders.WordPiece(prefix="##", cleanup=True), decoders.Replace(" :", ":")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
        model_max_length=128,
        clean_up_tokenization_spaces=False,
    )


def batch_of_reviews(
    tokenizer: PreTrainedTokenizerFast, rng: random.Random, mood: float | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """`input_ids` and `labels`, both `(REVIEWS, T)`: prompts with reviews, of a mood or of any."""
    rows = []
    subjects = grammar.subjects()
    for _ in range(REVIEWS):
        subject = rng.choice(subjects)
        text, _ = grammar.review(subject, rng, mood)
        prompt = tokenizer(grammar.prompt_for(subject))["input_ids"]
        rows.append((len(prompt), [*prompt, *tokenizer(text)["input_ids"]]))
    width = max(len(row) for _, row in rows) + 1
    inputs = torch.full((len(rows), width), tokenizer.pad_token_id)
    labels = torch.full((len(rows), width), -100)
    for i, (start, row) in enumerate(rows):
        ids = torch.tensor([*row, tokenizer.eos_token_id])
        inputs[i, : len(ids)] = ids
        labels[i, start : len(ids)] = ids[start:]
    return inputs, labels


def learn_reviews(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    steps: int,
    seed: int,
    mood: float | None = None,
) -> None:
    """Steps on reviews that are drawn fresh for every batch; the model is changed in place."""
    rng = random.Random(seed)
    for step in range(steps):
        inputs, labels = batch_of_reviews(tokenizer, rng, mood)
        loss = model(input_ids=inputs, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step:4d}  loss {loss.item():.3f}", flush=True)


def make_policy(tokenizer: PreTrainedTokenizerFast, steps: int, seed: int) -> LlamaForCausalLM:
    """Pre-train the policy on reviews that are drawn fresh for every batch."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=512,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=128,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.98), weight_decay=0.01)
    warmup = 40
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(
            (step + 1) / warmup, 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps))
        ),
    )
    learn_reviews(model, tokenizer, optimizer, schedule, steps, seed)
    return model


def save_policy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Ship half precision to keep the wheel small; the config makes loading cast to float32."""
    # Plain sampling by default: the library's own default would cut the law to the top 50 tokens.
    model.generation_config.update(
        do_sample=True, top_k=0, max_new_tokens=demo.MAX_COMPLETION_LENGTH
    )
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # The second name is the one that releases of transformers before 5 also know.
    changes = {
        "config.json": {"dtype": "float32"},
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"},
    }
    for name, change in changes.items():
        values = json.loads((folder / name).read_text()) | change
        (folder / name).write_text(json.dumps(values, indent=2) + "\n")
    # Weights are saved readable by their owner only, which a wheel would pass on.
    for file in folder.iterdir():
        file.chmod(0o644)


def preference_pairs(
    subjects: list[str], texts: int, count: int, rng: random.Random
) -> tuple[list[tuple[str, str, str]], torch.Tensor]:
    """Triples (subject, first text, second text) and how likely the first one is preferred.

    Three in four pairs are two reviews of the subject and the better mean grade is preferred, as
    Bradley and Terry have it. The others set a review of the subject against a review, about as
    favourable, of another subject; keeping to the subject is worth one grade.
    """
    # Pairs share a pool of texts, since embedding a text is what costs time. Half of the pool has
    # the moods of the grammar, so that the head is sharp where the start policy is, and half has
    # all moods, so that it stays right where training takes the policy.
    pool = []
    for _ in range(texts):
        subject = rng.choice(subjects)
        mood = None if rng.random() < 0.5 else rng.uniform(-2, 2)
        pool.append((subject, *grammar.review(subject, rng, mood)))
    by_subject: dict[str, list[tuple[str, str, float]]] = {}
    for entry in pool:
        by_subject.setdefault(entry[0], []).append(entry)
    pairs, gaps = [], []
    while len(pairs) < count:
        subject, first, first_grade = rng.choice(pool)
        if len(pairs) % 4:
            _, second, second_grade = rng.choice(by_subject[subject])
            gap = 2.0 * (first_grade - second_grade)
        else:
            other, second, second_grade = rng.choice(pool)
            if other == subject or abs(first_grade - second_grade) > 0.25:
                continue
            gap = 2.0
        pairs.append((subject, first, second))
        gaps.append(gap)
    return pairs, torch.sigmoid(torch.tensor(gaps))


def pair_features(reward: MiniLMReward, pairs: list[tuple[str, str, str]]) -> torch.Tensor:
    """Features of the first text minus features of the second: all that a pair tells the head."""
    prompts = [grammar.prompt_for(subject) for subject, _, _ in pairs]
    first = reward.features(prompts, [first for _, first, _ in pairs])
    return first - reward.features(prompts, [second for _, _, second in pairs])


def fit_head(difference: torch.Tensor, target: torch.Tensor, penalty: float) -> torch.Tensor:
    """L2-regularised logistic regression without intercept, on scaled features."""
    # A dimension the encoder never uses has no spread: it keeps a weight of 0.
    spread = difference.std(0)
    scale = torch.where(spread > 0, spread, 1.0)
    scaled = (difference / scale).double()
    weight = torch.zeros(scaled.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=150, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        fit = torch.nn.functional.binary_cross_entropy_with_logits(scaled @ weight, target.double())
        value = fit + penalty * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return weight.detach() / scale


def sample_policy(prompts: list[str], per_prompt: int, seed: int) -> list[list[str]]:
    """Completions of the shipped policy at temperature 1."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(demo.policy_folder()).eval()
    tokenizer = AutoTokenizer.from_pretrained(demo.policy_folder())
    groups = []
    for start in range(0, len(prompts), 8):
        repeated = [prompt for prompt in prompts[start : start + 8] for _ in range(per_prompt)]
        inputs = tokenizer(repeated, return_tensors="pt", padding=True)
        tokens = model.generate(
            **inputs, max_new_tokens=demo.MAX_COMPLETION_LENGTH, do_sample=True, top_k=0
        )
        texts = tokenizer.batch_decode(
            tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        groups += [texts[i : i + per_prompt] for i in range(0, len(texts), per_prompt)]
    return groups


def make_reward_head(texts: int, pairs: int, penalty: float, seed: int) -> dict[str, torch.Tensor]:
    """Fit the head on pairs about training subjects and standardise it at the start policy."""
    rng = random.Random(seed)
    # The weights are a placeholder: only the features of this instance are used.
    width = 768
    head = {"weight": torch.zeros(width), "offset": torch.zeros(1)}
    reward = MiniLMReward(head, MiniLMEncoder())
    train, target = preference_pairs(grammar.training_subjects(), texts, pairs, rng)
    reward.weight = fit_head(pair_features(reward, train), target, penalty)
    test, truth = preference_pairs(grammar.held_out_subjects(), 800, 800, rng)
    agree = ((pair_features(reward, test).double() @ reward.weight > 0) == (truth > 0.5)).double()
    kind = torch.arange(len(test)) % 4 == 0
    print(
        f"agreement on held-out subjects: sentiment {agree[~kind].mean():.3f}, "
        f"subject {agree[kind].mean():.3f}"
    )
    prompts = demo.training_prompts()
    scores = torch.tensor(
        [
            reward([prompt] * len(texts), texts)
            for prompt, texts in zip(prompts, sample_policy(prompts, 32, seed), strict=True)
        ]
    )
    spread = scores.var(dim=1).mean().sqrt()
    return {
        "weight": (reward.weight / spread).float(),
        "offset": (-scores.mean() / spread).float().reshape(1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("policy", "reward"))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--texts", type=int, default=8000)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--penalty", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.only != "reward":
        start = time.perf_counter()
        tokenizer = make_tokenizer()
        model = make_policy(tokenizer, options.steps, options.seed)
        save_policy(model, tokenizer, demo.policy_folder())
        print(f"policy: {model.num_parameters():,} parameters, {time.perf_counter() - start:.0f} s")
    if options.only != "policy":
        start = time.perf_counter()
        head = make_reward_head(options.texts, options.pairs, options.penalty, options.seed)
        save_file(head, HEAD_FILE)
        HEAD_FILE.chmod(0o644)
        print(f"reward head: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
