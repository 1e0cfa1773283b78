"""Draw and score rollouts of a transformers model: batched, seeded per chunk, resumable.

A chunk is up to `batch_size` rollouts of one prompt, drawn from a seed of its own, (seed, prompt,
first rollout): a run that is killed and resumed draws the same completions as an unbroken one, and
pays for no chunk twice. A file that grows gets new chunks after its old ones, which end where they
ended: no seed is used for two different chunks. A chunk is on disk before it is scored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bontea.rollouts.calls import Calls
from bontea.rollouts.chats import token_ids
from bontea.rollouts.drawn import Drawn
from bontea.rollouts.prompts import Row
from bontea.rollouts.rewards import Reward
from bontea.rollouts.scoring import Scorer
from bontea.rollouts.table import RolloutFile


def sample_rollouts(
    model: Any,
    tokenizer: Any,
    rows: dict[int, Row],
    reward: Reward | Calls,
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
    on_trouble: Callable[[str], None] = lambda text: None,
) -> RolloutFile:
    """Bring a rollout file to `m` scored rollouts of every prompt.

    `rows` are the prompts by number, with any columns the reward function takes; what is drawn
    depends on the number, not on the other prompts. `earlier` are the values of `m`, rising, that
    this file was brought to before; `name` becomes the column `model`. `on_chunk` gets the number
    of rollouts each chunk adds, those found in the file first; an exception it raises ends the run
    with everything drawn so far on disk. `on_trouble` gets sentences about completions that the
    reward raised an error on; such a row has the reward null, and the error in the field `error`.

    Raises FailedError when it is the reward that fails, and not a completion (see `judge`).
    """
    import torch

    file = file if isinstance(file, RolloutFile) else RolloutFile(file)
    scorer = Scorer(reward, rows, file, batch_size=batch_size, name=name, on_trouble=on_trouble)
    scorer.score(scorer.left())
    model.eval()
    for prompt_id, row in rows.items():
        for wanted in chunks(m, batch_size, earlier):
            if not all(scorer.drawn.has(prompt_id, j) for j in wanted):
                with torch.random.fork_rng(devices=_cuda_devices(model)):
                    torch.manual_seed(seed_of(seed, prompt_id, wanted.start))
                    head = token_ids(tokenizer, row["prompt"], row.get("tools"))
                    ends = generate(
                        model, tokenizer, head, len(wanted), max_new_tokens, temperature
                    )
                drawn = [Drawn(prompt_id, j, *end) for j, end in zip(wanted, ends, strict=True)]
                scorer.score(scorer.keep(drawn))
            if on_chunk:
                on_chunk(len(wanted))
    scorer.finish()
    return file


def chunks(m: int, batch_size: int, earlier: Sequence[int] = ()) -> Iterator[range]:
    """The chunks of one prompt: none reaches across a number that was asked for before."""
    start = 0
    for stop in (*earlier, m):
        while start < stop:
            end = min(start + batch_size, stop)
            yield range(start, end)
            start = end


def generate(
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
