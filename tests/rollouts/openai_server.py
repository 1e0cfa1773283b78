"""A real OpenAI-compatible server over loopback that serves the embedded demo policy, and fails.

    with OpenAIServer(faults=lambda number: "500" if number % 3 == 0 else None) as server:
        ...  # server.url, server.requests

`faults` says by the number of a request (from 1) what goes wrong with it: a name in FAULTS, or the
`Sent` that is sent in place of the answer. `complete=plain` answers at once, without the policy.

    python tests/rollouts/openai_server.py PORT [--plain] [--wait SECONDS]

serves until it is stopped or killed; `GET /requests` says how many requests it got.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

MODEL = "demo-policy"
FAULTS = {
    "429": "too many requests, with Retry-After",
    "500": "an error of the server",
    "truncated": "half of the JSON",
    "short": "half of the announced bytes, then the connection ends",
    "slow": "the answer, late",
    "drop": "the connection ends without an answer",
    "page": "an HTML page with status 200",
    "nothing": "no choice",
    "error": "half of the text, and finish_reason error",
    "null": "a choice without content",
}
"""What can go wrong, besides the statuses 400, 401 and 403."""


class Sent(NamedTuple):
    """What is sent in place of the answer: bytes, or what becomes JSON."""

    body: Any
    status: int = 200
    kind: str | None = "application/json"


def choice(content: Any = None, finish_reason: Any = "stop", **message: Any) -> dict:
    """An answer of the chat interface with one choice."""
    message = {"role": "assistant", "content": content, **message}
    return {"choices": [{"index": 0, "finish_reason": finish_reason, "message": message}]}


@functools.lru_cache(maxsize=1)
def policy():
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from bontea import demo

    torch.set_num_threads(1)
    folder = demo.policy_folder()
    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(
        folder
    )


_one_at_a_time = threading.Lock()


def plain(prompt: str, seed: int, max_tokens: int, temperature: float) -> str:
    """A text that differs from request to request, and is the same for the same one."""
    return f"{seed} {len(prompt)} {max_tokens} {temperature}"


def of_policy(prompt: str, seed: int, max_tokens: int, temperature: float) -> str:
    """One completion of the demo policy."""
    import torch

    with torch.random.fork_rng(), torch.inference_mode():
        model, tokenizer = policy()
        torch.manual_seed(seed)
        inputs = tokenizer(prompt, return_tensors="pt")
        out = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            do_sample=True,
            top_k=0,
            temperature=temperature,
            max_new_tokens=max_tokens,
            pad_token_id=tokenizer.pad_token_id,
        )
    return tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


class OpenAIServer:
    """The server, in threads of this process; a context."""

    def __init__(
        self,
        *,
        port: int = 0,
        key: str | None = None,
        faults: Callable[[int], str | Sent | None] = lambda number: None,
        complete: Callable[[str, int, int, float], str] = of_policy,
        retry_after: str = "0.05",
        slow: float = 1.0,
        die_after: int | None = None,
    ):
        self.key, self.faults, self.retry_after = key, faults, retry_after
        self.slow, self.die_after, self.complete = slow, die_after, complete
        self.requests: list[tuple[str, dict[str, str], dict]] = []
        self.dead = False
        self._count = threading.Lock()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._http.daemon_threads = True
        self._http.socket.listen(128)  # five at a time are too few
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> OpenAIServer:
        if self.complete is of_policy:
            policy()  # what takes long, before anyone waits
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()
        with _one_at_a_time:  # until the last completion is drawn
            pass

    def die(self) -> None:
        """Take no connection any more, and answer nothing on those there are."""
        with self._count:
            if self.dead:
                return
            self.dead = True
        self._http.shutdown()
        self._http.server_close()

    def note(self, path: str, headers: dict[str, str], body: dict) -> int:
        """Keep a request; its number."""
        with self._count:
            self.requests.append((path, headers, body))
            return len(self.requests)


class _Handler(BaseHTTPRequestHandler):
    owner: OpenAIServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/requests":
            return self.send({"requests": len(self.owner.requests)})
        if self.path != "/v1/models":
            return self.fail(404, "no such path")
        self.send({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    def do_POST(self) -> None:
        owner = self.owner
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        number = owner.note(self.path, headers, body)
        if owner.die_after is not None and number > owner.die_after:
            owner.die()
            return self.hang_up()
        if owner.die_after is None and owner.dead:
            return self.hang_up()
        sent = self.headers.get("Authorization")
        if owner.key is not None and sent != f"Bearer {owner.key}":
            # Real servers say more than they should: this one repeats what it was sent.
            return self.fail(401, f"Incorrect API key provided: {sent}")
        fault = owner.faults(number)
        if isinstance(fault, Sent):
            data = fault.body if isinstance(fault.body, bytes) else json.dumps(fault.body).encode()
            return self.send_bytes(data, fault.kind, status=fault.status)
        if fault in ("429", "500", "400", "401", "403"):
            return self.fail(int(fault), f"fault {fault} with {sent}")
        if fault == "drop":
            return self.hang_up()
        if fault == "slow":
            time.sleep(owner.slow)
        if fault == "page":
            return self.send_bytes(b"<html>503 behind a proxy</html>", "text/html")
        answer = self.answer(body)
        if answer is None:
            return None
        if fault == "nothing" and "choices" in answer:
            answer["choices"] = []
        if fault == "error" and "choices" in answer:
            answer["choices"][0]["finish_reason"] = "error"
        if fault == "null" and "choices" in answer:
            answer["choices"][0].update(text=None, message={"role": "assistant", "content": None})
        text = json.dumps(answer).encode()
        if fault == "truncated":
            return self.send_bytes(text[: len(text) // 2])
        if fault == "short":
            self.send_bytes(text[: len(text) // 2], length=len(text))
            return self.hang_up()
        return self.send_bytes(text)

    def answer(self, body: dict) -> dict | None:
        if self.path == "/v1/score":
            texts = [c if isinstance(c, str) else c[-1]["content"] for c in body["completions"]]
            return {"rewards": [float(len(text)) if text else None for text in texts]}
        if self.path not in ("/v1/chat/completions", "/v1/completions"):
            self.fail(404, "Not Found")
            return None
        if body["model"] != MODEL:
            self.fail(404, f"The model `{body['model']}` does not exist.")
            return None
        chat = self.path == "/v1/chat/completions"
        prompt = (
            " ".join(str(turn["content"]) for turn in body["messages"] if turn["role"] == "user")
            if chat
            else body["prompt"]
        )
        if "forbidden" in prompt:
            self.fail(400, "this prompt is too long")
            return None
        with _one_at_a_time:
            if self.owner.dead:  # the random generator belongs to the next test by now
                self.hang_up()
                return None
            text = self.owner.complete(
                prompt, body.get("seed", 0), body.get("max_tokens", 6), body.get("temperature", 1.0)
            )
        choice = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        return {
            "id": "1",
            "object": "chat.completion" if chat else "text_completion",
            "model": MODEL,
            "choices": [{"index": 0, "finish_reason": "stop", **choice}],
        }

    def fail(self, status: int, message: str) -> None:
        headers = {"Retry-After": self.owner.retry_after} if status == 429 else {}
        self.send({"error": {"message": message, "type": "error"}}, status, headers)

    def send(self, value: dict, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_bytes(json.dumps(value).encode(), status=status, headers=headers)

    def send_bytes(
        self,
        data: bytes,
        kind: str | None = "application/json",
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        try:
            self.send_response(status)
            if kind:
                self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data) if length is None else length))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True  # the client did not wait

    def hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("port", type=int)
    options.add_argument("--plain", action="store_true")
    options.add_argument("--wait", type=float, default=0.0, help="before each answer")
    given = options.parse_args()
    with OpenAIServer(
        port=given.port,
        complete=plain if given.plain else of_policy,
        faults=lambda number: "slow" if given.wait else None,
        slow=given.wait,
    ) as running:
        print(running.url, flush=True)
        while True:
            time.sleep(1)
