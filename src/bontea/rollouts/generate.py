"""Draw and score rollouts of a transformers model: batched, seeded per chunk, resumable.

A chunk is up to `batch_size` rollouts of one prompt, drawn from a seed of its own, (seed, prompt,
first rollout): a run that is killed and resumed draws the same completions as an unbroken one, and
pays for no chunk twice. A file that grows gets new chunks after its old ones, which end where they
ended: no seed is used for two different chunks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bontea.rollouts.answer import is_answer
from bontea.rollouts.chats import token_ids
from bontea.rollouts.prompts import Row
from bontea.rollouts.rewards import Reward, score
from bontea.rollouts.table import RolloutFile


class Drawn(NamedTuple):
    """A completion that is not scored yet."""

    prompt_id: int
    rollout: int
    text: str
    finish_reason: str | None = None
    """Why it ends: "stop", "length" (it was cut off), ...; None where nobody says."""
    reasoning_only: bool = False
    """The model thought, and no text came after it."""

    @property
    def is_answer(self) -> bool:
        """Whether there is anything to score."""
        return is_answer(self.text, self.finish_reason, self.reasoning_only)


def sample_rollouts(
    model: Any,
    tokenizer: Any,
    rows: dict[int, Row],
    reward: Reward,
    file: RolloutFile | Path,
    *,
    m: int,
    max_new_tokens: int,
    temperature: float = 1.0,
    batch_size: int = 256,
    seed: int = 0,
    earlier: Sequence[int] = (),
    name: str | None = None,
    on_chunk: Callable[[int], None] | None = None,
) -> RolloutFile:
    """Bring a rollout file to `m` scored rollouts of every prompt.

    `rows` are the prompts by number, with any columns the reward function takes; what is drawn
    depends on the number, not on the other prompts. `earlier` are the values of `m`, rising, that
    this file was brought to before; `name` becomes the column `model`. `on_chunk` gets the number
    of rollouts each chunk adds, those found in the file first; an exception it raises ends the run
    with everything drawn so far on disk.
    """
    import torch

    file = file if isinstance(file, RolloutFile) else RolloutFile(file)
    model.eval()
    for prompt_id, row in rows.items():
        for wanted in chunks(m, batch_size, earlier):
            if not all((prompt_id, j) in file.rewards for j in wanted):
                with torch.random.fork_rng(devices=_cuda_devices(model)):
                    torch.manual_seed(seed_of(seed, prompt_id, wanted.start))
                    head = token_ids(tokenizer, row["prompt"], row.get("tools"))
                    ends = _generate(
                        model, tokenizer, head, len(wanted), max_new_tokens, temperature
                    )
                drawn = [Drawn(prompt_id, j, *end) for j, end in zip(wanted, ends, strict=True)]
                file.append(score_rows(reward, rows, drawn, name))
            if on_chunk:
                on_chunk(len(wanted))
    return file


def chunks(m: int, batch_size: int, earlier: Sequence[int] = ()) -> Iterator[range]:
    """The chunks of one prompt: none reaches across a number that was asked for before."""
    start = 0
    for stop in (*earlier, m):
        while start < stop:
            end = min(start + batch_size, stop)
            yield range(start, end)
            start = end


def score_rows(
    reward: Reward, rows: dict[int, Row], drawn: list[Drawn], name: str | None = None
) -> list[Row]:
    """Score what was drawn in one call of the reward; the rows of the file.

    What is no answer (`Drawn.is_answer`) is not shown to the reward, and its row has none.
    """
    answers = [one for one in drawn if one.is_answer]
    prompts = [rows[one.prompt_id]["prompt"] for one in answers]
    completions = [
        one.text if isinstance(prompt, str) else [{"role": "assistant", "content": one.text}]
        for prompt, one in zip(prompts, answers, strict=True)
    ]
    columns = {
        column: [rows[one.prompt_id].get(column) for one in answers]
        for column in rows[drawn[0].prompt_id]
        if column != "prompt"
    }
    out = []
    rewards = np.full(len(drawn), np.nan)
    if answers:
        rewards[[one.is_answer for one in drawn]] = score(reward, prompts, completions, columns)
    for one, value in zip(drawn, rewards, strict=True):
        own = rows[one.prompt_id]
        row: Row = {
            "prompt_id": one.prompt_id,
            "rollout": one.rollout,
            "reward": None if np.isnan(value) else float(value),
            "prompt": own["prompt"],
            "completion": one.text,
        }
        if one.finish_reason is not None:
            row["finish_reason"] = one.finish_reason
        if one.reasoning_only:
            row["reasoning_only"] = True
        if name is not None:
            row["model"] = name
        if own.get("stratum") is not None:
            row["stratum"] = str(own["stratum"])
        out.append(row)
    return out


def _generate(
    model: Any,
    tokenizer: Any,
    head: list[int],
    count: int,
    max_new_tokens: int,
    temperature: float,
) -> list[tuple[str, str]]:
    """Completions, and why each ends: "stop", or "length" where no end-of-sequence token came."""
    import torch

    ids = torch.tensor([head], device=model.device)
    with torch.inference_mode():
        out = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            temperature=temperature,
            top_k=0,
            top_p=1.0,
            num_return_sequences=count,
            max_new_tokens=max_new_tokens,
            pad_token_id=tokenizer.pad_token_id,
        )
    new = out[:, len(head) :]
    ends = model.generation_config.eos_token_id
    ends = torch.as_tensor([] if ends is None else ends, device=new.device, dtype=new.dtype)
    ended = torch.isin(new, ends.reshape(-1)).any(dim=1).tolist()
    texts = tokenizer.batch_decode(new, skip_special_tokens=True)
    return [(text, "stop" if end else "length") for text, end in zip(texts, ended, strict=True)]


def seed_of(*parts: int) -> int:
    """A seed of 56 bits from any numbers."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:7], "little")


def _cuda_devices(model: Any) -> list[Any]:
    return [model.device] if model.device.type == "cuda" else []
