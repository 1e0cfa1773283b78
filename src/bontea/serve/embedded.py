"""The toy policy of `bontea.demo` in place of a server, so that everything runs on one machine.

It draws in a thread: responses of one request that wait are drawn in one batch. A response that is
cancelled before its batch begins is not drawn.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from bontea._settings import DEMO
from bontea.rollouts.answer import Completion
from bontea.serve.errors import ApiError
from bontea.serve.options import LIMITS, Options, last_text
from bontea.serve.upstream import Response

BATCH = 64


class _Wanted(NamedTuple):
    text: str
    tokens: int
    temperature: float
    seed: int | None


class Embedded:
    """An `Upstream` of the embedded policy."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="policy")
        self.waiting: list[tuple[_Wanted, asyncio.Future[Any]]] = []
        self.running = False
        self.model: Any = None
        self.tokenizer: Any = None
        self.works = True

    async def __aenter__(self) -> Embedded:
        await asyncio.get_running_loop().run_in_executor(self.thread, self._load)
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.thread.shutdown(wait=False, cancel_futures=True)

    def _load(self) -> None:
        from bontea.rollouts.model import load_model, load_tokenizer, start_model

        path = start_model(DEMO)
        self.tokenizer, self.model = load_tokenizer(path), load_model(path, dtype="float32")

    async def models(self) -> list[dict[str, Any]]:
        return [{"id": DEMO, "object": "model", "created": 0, "owned_by": "bontea"}]

    async def draw(self, options: Options, number: int) -> Response:
        wanted = _wanted(options, number)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.waiting.append((wanted, future))
        if not self.running:
            self.running = True
            asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(self._work()))
        text, reason, tokens = await future
        return Response(_answer(options, text, reason, tokens), Completion(text, reason))

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self.waiting:
                self.waiting = [one for one in self.waiting if not one[1].done()]
                if not self.waiting:
                    return
                first = self.waiting[0][0]
                alike = [one for one in self.waiting if one[0] == first]
                batch = alike[: 1 if first.seed is not None else BATCH]
                self.waiting = [one for one in self.waiting if one not in batch]
                try:
                    drawn = await loop.run_in_executor(self.thread, self._draw, first, len(batch))
                except Exception as error:
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(ApiError(500, f"the policy failed: {error}"))
                    continue
                for (_, future), one in zip(batch, drawn, strict=True):
                    if not future.done():
                        future.set_result(one)
        finally:
            self.running = False

    def _draw(self, wanted: _Wanted, count: int) -> list[tuple[str, str, tuple[int, int]]]:
        import torch

        from bontea.rollouts.generate import generate

        head = list(self.tokenizer(wanted.text)["input_ids"])
        with torch.random.fork_rng(devices=[], enabled=wanted.seed is not None):
            if wanted.seed is not None:
                torch.manual_seed(wanted.seed)
            ends = generate(
                self.model, self.tokenizer, head, count, wanted.tokens, wanted.temperature
            )
        return [
            (text, reason, (len(head), len(self.tokenizer(text)["input_ids"])))
            for text, reason in ends
        ]


def _wanted(options: Options, number: int) -> _Wanted:
    from bontea import demo

    if options.model != DEMO:
        raise ApiError(
            404,
            f"the model {options.model!r} does not exist",
            param="model",
            code="model_not_found",
        )
    given = options.upstream
    tokens = min(
        [given[name] for name in LIMITS if given.get(name) is not None]
        or [demo.MAX_COMPLETION_LENGTH]
    )
    temperature = given.get("temperature", 1.0)
    right = isinstance(temperature, (int, float)) and not isinstance(temperature, bool)
    if not right or not 0 <= temperature <= 100:
        raise ApiError(400, "temperature must be a number from 0 to 100", param="temperature")
    seed = None if options.seed is None else (options.seed + number) % 2**31
    # Nothing so small is sampled by the policy: this is the most likely text.
    return _Wanted(
        last_text(options.prompt),
        min(tokens, 2 * demo.MAX_COMPLETION_LENGTH),
        max(float(temperature), 1e-4),
        seed,
    )


def _answer(options: Options, text: str, reason: str, tokens: tuple[int, int]) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": 0, "finish_reason": reason, "logprobs": None}
    if options.chat:
        choice["message"] = {"role": "assistant", "content": text}
    else:
        choice["text"] = text
    head, own = tokens
    return {
        "id": f"{'chatcmpl' if options.chat else 'cmpl'}-{uuid.uuid4().hex}",
        "object": "chat.completion" if options.chat else "text_completion",
        "created": int(time.time()),
        "model": options.model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": head,
            "completion_tokens": own,
            "total_tokens": head + own,
        },
    }
