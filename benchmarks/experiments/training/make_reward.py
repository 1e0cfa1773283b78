"""Teach the distilled reward: least squares on the scores that the embedded reward gives.

    python benchmarks/experiments/training/make_reward.py

24,000 texts about the 64 training subjects: a third rollouts of the start policy, a third reviews
of the grammar in every mood, a third of these with clauses exchanged, repeated or cut, or about
another subject. The held-out subjects are never seen. About 7 minutes on one core.
"""

from __future__ import annotations

import random

import torch
from rewards import WEIGHTS, Distilled, encode
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from bontea import demo
from bontea.demo import grammar
from bontea.demo.reward import sentiment_and_subject

TEXTS, EPOCHS, BATCH, SEED = 24_000, 30, 128, 0


def texts_of_the_policy(count: int, temperature: float) -> list[tuple[str, str]]:
    """(subject, completion) at a temperature."""
    model = AutoModelForCausalLM.from_pretrained(demo.policy_folder()).eval()
    tokenizer = AutoTokenizer.from_pretrained(demo.policy_folder(), padding_side="left")
    out = []
    subjects = grammar.training_subjects()
    each = -(-count // len(subjects))
    for subject in subjects:
        inputs = tokenizer([grammar.prompt_for(subject)] * each, return_tensors="pt")
        ids = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            do_sample=True,
            top_k=0,
            temperature=temperature,
            max_new_tokens=demo.MAX_COMPLETION_LENGTH,
            pad_token_id=tokenizer.pad_token_id,
        )
        texts = tokenizer.batch_decode(
            ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        out += [(subject, text) for text in texts]
    return out[:count]


def changed(text: str, other: str, rng: random.Random) -> str:
    """A text that the grammar would not write, as a policy in training might."""
    clauses, others = text.split(". "), other.split(". ")
    kind = rng.randrange(4)
    if kind == 0:  # a clause of another review
        clauses[rng.randrange(len(clauses))] = rng.choice(others)
    elif kind == 1:  # one clause again
        clauses.insert(rng.randrange(len(clauses) + 1), rng.choice(clauses))
    elif kind == 2:  # cut off
        words = text.split()
        return " ".join(words[: rng.randrange(1, len(words) + 1)])
    else:  # another order of clauses
        rng.shuffle(clauses)
    return ". ".join(clause.rstrip(".") for clause in clauses) + "."


def make_texts(rng: random.Random) -> list[tuple[str, str]]:
    """(subject, text) of every kind."""
    subjects = grammar.training_subjects()
    third = TEXTS // 3
    rows = texts_of_the_policy(third // 2, 1.0) + texts_of_the_policy(third - third // 2, 1.4)
    reviews = []
    for _ in range(third):
        subject = rng.choice(subjects)
        reviews.append((subject, grammar.review(subject, rng, rng.uniform(-2.5, 2.5))[0]))
    rows += reviews
    for _ in range(third):
        (subject, text), (_, other) = rng.choice(reviews), rng.choice(reviews)
        asked = subject if rng.random() < 0.75 else rng.choice(subjects)
        rows.append((asked, changed(text, other, rng)))
    rng.shuffle(rows)
    return rows


def main() -> None:
    torch.manual_seed(SEED)
    rng = random.Random(SEED)
    rows = make_texts(rng)
    subjects, texts = map(list, zip(*rows, strict=True))
    prompts = [grammar.prompt_for(subject) for subject in subjects]
    scores = torch.tensor(sentiment_and_subject(prompts, texts)).float()
    print(f"{len(rows)} texts scored", flush=True)
    tokenizer = AutoTokenizer.from_pretrained(demo.policy_folder())
    ids = encode(tokenizer, subjects, texts)
    held = 2_000
    model = Distilled(len(tokenizer))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    steps = EPOCHS * ((len(rows) - held) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for epoch in range(EPOCHS):
        for chosen in torch.randperm(len(rows) - held).split(BATCH)[: (len(rows) - held) // BATCH]:
            loss = (model(ids[held:][chosen]) - scores[held:][chosen]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        with torch.inference_mode():
            error = (model(ids[:held]) - scores[:held]).square().mean().item()
        print(f"epoch {epoch}: loss {loss.item():.3f}, held out {error:.3f}", flush=True)
    print(f"variance of the scores {scores[:held].var().item():.3f}")
    save_file({key: value.half() for key, value in model.state_dict().items()}, WEIGHTS)


if __name__ == "__main__":
    main()
