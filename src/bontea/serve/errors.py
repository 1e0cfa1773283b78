"""Errors in OpenAI's form, which every client of that interface understands."""

from __future__ import annotations

import json
import re
from typing import Any

from bontea._json import plain

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}


def to_json(value: Any) -> bytes:
    """The bytes of an answer: JSON that every client reads, whatever a server behind sent.

    >>> to_json({"usage": float("nan"), "text": "\\ud800"})
    b'{"usage": null, "text": "?"}'
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:  # NaN and infinities, which Python reads and JSON does not know
        text = json.dumps(plain(value), ensure_ascii=False)
    return text.encode("utf-8", "replace")


def without_addresses(text: str) -> str:
    """Where the servers behind are is not for clients.

    >>> without_addresses("--reward http://10.0.0.7:8001/classify failed 3 times")
    'its server failed 3 times'
    """
    return re.sub(r"(--reward )?https?://[^\s'\"]+", "its server", text)


class ApiError(Exception):
    """An answer that is an error: its status, what is wrong, and what to do.

    `param` is the field of the request that is wrong; `after` the seconds after which to try again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        after: float | None = None,
    ):
        super().__init__(message)
        self.status, self.param, self.code, self.after = status, param, code, after

    @property
    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        return {
            "error": {
                "message": str(self),
                "type": TYPES.get(self.status, "server_error"),
                "param": self.param,
                "code": self.code,
            }
        }

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        out = {} if self.after is None else {"retry-after": str(max(1, round(self.after)))}
        if self.status == 401:
            out["www-authenticate"] = "Bearer"
        return out
