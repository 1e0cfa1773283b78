"""Draw and score rollouts of a transformers model: batched, seeded per chunk, resumable.

A chunk is up to `batch_size` rollouts of one prompt, drawn from a seed of its own: a run that is
killed and resumed draws the same completions as an unbroken one, and pays for no chunk twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bontea.rollouts.prompts import Row
from bontea.rollouts.rewards import Reward, score
from bontea.rollouts.table import RolloutFile


def sample_rollouts(
    model: Any,
    tokenizer: Any,
    rows: dict[int, Row],
    reward: Reward,
    path: Path,
    *,
    rollouts: int,
    max_new_tokens: int,
    temperature: float = 1.0,
    batch_size: int = 256,
    seed: int = 0,
    on_chunk: Callable[[int], None] | None = None,
) -> RolloutFile:
    """Bring the rollout file at `path` to `rollouts` scored rollouts of every prompt.

    `rows` are the prompts by number, with any columns the reward function takes; what is drawn
    depends on the number, not on the other prompts. `on_chunk` gets the number of
    rollouts each chunk adds, those found in the file first; an exception it raises ends the run
    with everything drawn so far on disk.
    """
    import torch

    file = RolloutFile(path)
    model.eval()
    for prompt_id, row in rows.items():
        for start in range(0, rollouts, batch_size):
            wanted = range(start, min(start + batch_size, rollouts))
            if not all((prompt_id, j) in file.rewards for j in wanted):
                with torch.random.fork_rng(devices=_cuda_devices(model)):
                    torch.manual_seed(_seed(seed, prompt_id, start))
                    texts = _generate(
                        model, tokenizer, row["prompt"], len(wanted), max_new_tokens, temperature
                    )
                file.append(_score_rows(reward, row, prompt_id, wanted, texts))
            if on_chunk:
                on_chunk(len(wanted))
    return file


def _score_rows(
    reward: Reward, row: Row, prompt_id: int, wanted: range, texts: list[str]
) -> list[Row]:
    prompt, count = row["prompt"], len(texts)
    chat = not isinstance(prompt, str)
    completions = [[{"role": "assistant", "content": t}] for t in texts] if chat else texts
    columns = {name: [value] * count for name, value in row.items() if name != "prompt"}
    rewards = score(reward, [prompt] * count, completions, columns)
    return [
        {
            "prompt_id": prompt_id,
            "rollout": j,
            "reward": None if np.isnan(value) else float(value),
            "prompt": prompt,
            "completion": text,
        }
        for j, value, text in zip(wanted, rewards, texts, strict=True)
    ]


def _generate(
    model: Any, tokenizer: Any, prompt: Any, count: int, max_new_tokens: int, temperature: float
) -> list[str]:
    import torch

    if isinstance(prompt, str):
        inputs = tokenizer(prompt, return_tensors="pt")
    else:
        inputs = tokenizer.apply_chat_template(
            prompt, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
    inputs = {
        name: value.to(model.device)
        for name, value in inputs.items()
        if name in ("input_ids", "attention_mask")
    }
    with torch.inference_mode():
        out = model.generate(
            **inputs,
            do_sample=True,
            temperature=temperature,
            top_k=0,
            top_p=1.0,
            num_return_sequences=count,
            max_new_tokens=max_new_tokens,
            pad_token_id=tokenizer.pad_token_id,
        )
    new = out[:, inputs["input_ids"].shape[1] :]
    return tokenizer.batch_decode(new, skip_special_tokens=True)


def _seed(*parts: int) -> int:
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:7], "little")


def _cuda_devices(model: Any) -> list[Any]:
    return [model.device] if model.device.type == "cuda" else []
