"""A real server over loopback that answers as vLLM and SGLang do with a reward model.

    with RewardServer("vllm", "0.13.0") as server:
        ...  # server.url + "/classify", server.requests

Paths, fields, what is ignored, what is refused and the shape of the answers are those of the
sources of vLLM 0.9.2, 0.10.2, 0.11.1, 0.13.0 and 0.33.0, and of SGLang 0.4.6, 0.5.5 and 0.5.23. The
model gives `logit(text)`. vLLM answers in the wrong order, which `index` puts right.
"""

from __future__ import annotations

import json
import math
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "org/reward-model"


def logit(text: str) -> float:
    """Below 0, in between and above 1, so that a probability is seen to be none."""
    return (sum(map(ord, text)) % 997) / 100 - 4.5


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def rendered(messages: list[dict[str, Any]]) -> str:
    """The chat template of the reward model."""
    return "".join(f"<{turn['role']}>{turn['content']}\n" for turn in messages)


class RewardServer:
    """One version of one server.

    `owner` is how `/v1/models` signs, which is not there where `models` is None; `says` is what
    `/version` says, and nothing if it is empty.
    """

    def __init__(
        self,
        kind: str,
        version: str = "",
        *,
        models: tuple[str, ...] | None = (MODEL,),
        owner: str | None = None,
        says: str | None = None,
        labels: int = 1,
        token_wise: bool = False,
        identity: bool = False,
        key: str | None = None,
        instead: Any = None,
        fails: int = 0,
        port: int = 0,
    ):
        self.kind, self.version = kind, tuple(map(int, version.split("."))) if version else ()
        self.models, self.owner = models, owner or kind
        self.says = version if says is None else says
        self.labels, self.token_wise, self.identity = labels, token_wise, identity
        self.key, self.instead, self.fails = key, instead, fails
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"owner": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def __enter__(self) -> RewardServer:
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.http.shutdown()
        self.http.server_close()

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [body for at, body in self.requests if at == path]

    def activated(self, body: dict[str, Any]) -> bool:
        """Whether this version applies the activation to what it was asked."""
        if self.identity or self.version < (0, 10, 1):
            return not self.identity
        if self.version < (0, 11, 1):
            return body.get("activation") is not False
        # `x := getattr(...) is not None` is whether it is there, not what it is.
        if self.version < (0, 15) and body.get("activation") is not None:
            return True
        return body.get("use_activation") is not False

    def numbers(self, value: float, body: dict[str, Any]) -> Any:
        if self.kind == "vllm" and self.activated(body):
            value = sigmoid(value)
        numbers = [value + label for label in range(self.labels)]
        return [numbers] * 5 if self.token_wise else numbers


class Refused(Exception):
    """Status and message."""


class _Handler(BaseHTTPRequestHandler):
    owner: RewardServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        owner = self.owner
        if self.path.startswith("/v1/") and not self.has_key():
            return self.send({"error": "Unauthorized"}, 401)
        if self.path == "/v1/models" and owner.models is not None:
            cards = [
                {"id": name, "object": "model", "owned_by": owner.owner, "root": name}
                for name in owner.models
            ]
            return self.send({"object": "list", "data": cards})
        if self.path == "/version" and owner.kind == "vllm" and owner.says:
            return self.send({"version": owner.says})
        return self.send({"detail": "Not Found"}, 404)

    def do_POST(self) -> None:
        owner = self.owner
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with owner.lock:
            owner.requests.append((self.path, body))
            fails = owner.fails >= len(owner.requests)
        if fails:
            return self.send({"error": {"message": "engine is busy"}}, 503)
        if self.path.startswith("/v1/") and not self.has_key():
            return self.send({"error": "Unauthorized"}, 401)
        if owner.instead is not None:
            return self.send(owner.instead)
        try:
            answer = getattr(self, owner.kind)(body)
        except Refused as error:
            status, message = error.args
            return self.send({"error": {"message": message, "code": status}}, status)
        return self.send(answer)

    def has_key(self) -> bool:
        key = self.owner.key
        return key is None or self.headers.get("Authorization") == f"Bearer {key}"

    def send(self, value: Any, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def vllm(self, body: dict[str, Any]) -> Any:
        owner, since = self.owner, self.owner.version
        paths = {"/pooling", "/score", "/v1/score"} | ({"/classify"} if since >= (0, 9) else set())
        if self.path not in paths:
            raise Refused(404, "Not Found")
        if body.get("model") not in (None, *(owner.models or (MODEL,))):
            raise Refused(404, f"The model `{body['model']}` does not exist.")
        if self.path.endswith("score"):
            first, second = body.get("text_1"), body.get("text_2")
            if not isinstance(first, list) or not isinstance(second, list):
                raise Refused(400, "Field required: text_1, text_2")
            if len(first) not in (1, len(second)):
                raise Refused(400, "Input lengths must be either 1:1, 1:N or N:N")
            first = first * len(second) if len(first) == 1 else first
            texts = [f"{a}[SEP]{b}" for a, b in zip(first, second, strict=True)]
        elif "messages" in body and (self.path == "/pooling" or since >= (0, 11, 1)):
            texts = [rendered(body["messages"])]
        elif isinstance(body.get("input"), list):
            texts = body["input"]
        else:
            raise Refused(400, "1 validation error: {'loc': ('body', 'input'), 'Field required'}")
        if any("too long" in text for text in texts):
            raise Refused(400, "This model's maximum context length is 16 tokens.")
        data = []
        for place, text in enumerate(texts):
            values = owner.numbers(logit(text), body)
            item: dict[str, Any] = {"index": place, "object": "pooling", "data": values}
            if self.path == "/classify":
                item = {"index": place, "label": "LABEL_0", "probs": values, "num_classes": 1}
            elif self.path.endswith("score"):
                item = {"index": place, "object": "score", "score": values[0]}
            elif body.get("task") == "classify" and owner.token_wise:
                raise Refused(400, "Unsupported task: 'classify'")
            data.append(item)
        return {"id": "1", "object": "list", "model": MODEL, "data": data[::-1], "usage": {}}

    def sglang(self, body: dict[str, Any]) -> Any:
        owner = self.owner
        if self.path == "/classify":
            texts, ids = body.get("text"), body.get("input_ids")
            if texts is None and ids is None:
                raise Refused(400, "Either text, input_ids or input_embeds should be provided.")
            values = [logit(text) for text in texts] if texts else [float(sum(own)) for own in ids]
            meta = {"id": "1", "finish_reason": {"type": "length", "length": 0}}
            return [{"embedding": owner.numbers(v, body), "meta_info": meta} for v in values]
        if self.path == "/v1/score":
            if body.get("items") is None:
                raise Refused(400, "items must be provided")
            texts = [body["query"] + item for item in body["items"]]
            scores = [owner.numbers(logit(text), body) for text in texts]
            return {"scores": scores, "model": MODEL, "usage": None, "object": "scoring"}
        raise Refused(404, "Not Found")
