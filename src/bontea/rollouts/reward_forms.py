"""What a reward server is sent for completions, and how the rewards are read from its answer.

Three forms: bontea's own, that of vLLM and that of SGLang. The last two serve a reward model, a
transformer with one number at its end; what is wanted is that number, not the probability that
these servers make of it unless they are told otherwise. They serve it at three paths:

- `/classify` and `/pooling`: the whole text. A text prompt and its completion are joined as they
  are. A chat goes through the chat template of the reward model: on the server, where it takes
  chats, or here, with its tokenizer.
- `/score`: the prompt and the completion as a pair, which the server joins.

Only the prompt, the completion and the tools of a row are sent to a reward model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from bontea._errors import BonteaError
from bontea.rollouts.answer import check_error
from bontea.rollouts.chats import joined, template_text
from bontea.rollouts.service import BadAnswer, EndpointError

PATHS = ("classify", "pooling", "score")
"""The last part of a URL at which vLLM or SGLang may serve a reward model."""
VLLM, SGLANG = "vLLM", "SGLang"


class RewardServerError(EndpointError):
    """A server that answers, but whose model, or its interface, gives no reward."""


class Request(NamedTuple):
    """One request."""

    rows: list[int]
    """The places of the completions that it scores, in the order of the answer."""
    body: dict[str, Any]


class Form(Protocol):
    """How one kind of server is asked."""

    def requests(
        self, prompts: Sequence[Any], completions: Sequence[Any], columns: dict[str, Any]
    ) -> list[Request]:
        """What to send, in as few requests as the server allows."""

    def read(self, answer: Any, count: int) -> list[Any]:
        """The rewards of `count` completions, None for one that has none.

        Raises BadAnswer for an answer of another shape, which may be better next time, and
        RewardServerError for one that would always be the same.
        """


class OwnForm:
    """The arguments of a reward function, and `{"rewards": [...]}`."""

    def requests(
        self, prompts: Sequence[Any], completions: Sequence[Any], columns: dict[str, Any]
    ) -> list[Request]:
        body = {"prompts": prompts, "completions": completions, **columns}
        return [Request(list(range(len(prompts))), body)]

    def read(self, answer: Any, count: int) -> list[Any]:
        check_error(answer)
        if not isinstance(answer, dict) or not isinstance(answer.get("rewards"), list):
            raise BadAnswer('not {"rewards": [...]}')
        return answer["rewards"]


@dataclass(frozen=True)
class ServedModel:
    """A reward model behind vLLM or SGLang."""

    where: str
    """How messages name the server."""
    kind: str
    """vLLM or SGLang."""
    path: str
    """One of `PATHS`."""
    model: str
    more: dict[str, Any] = field(default_factory=dict)
    """Fields of every request: how this version is asked for the number as it is."""
    tokenizer: Any = None
    """That of the reward model, for chats."""
    no_chats: str = ""
    """Why this server takes no chats; "" if it does."""

    def requests(
        self, prompts: Sequence[Any], completions: Sequence[Any], columns: dict[str, Any]
    ) -> list[Request]:
        """Raises RewardServerError for chats that this server cannot be sent, and BonteaError for
        one that the chat template cannot take."""
        if self.path == "score":
            return self._pairs(prompts, completions, columns.get("tools") or [None] * len(prompts))
        rows = range(len(prompts))
        plain = [i for i in rows if isinstance(prompts[i], str)]
        chats = [i for i in rows if not isinstance(prompts[i], str)]
        out = []
        if plain:
            out.append(Request(plain, self._of_texts([prompts[i] + completions[i] for i in plain])))
        if not chats:
            return out
        all_tools = columns.get("tools") or [None] * len(prompts)
        whole = [joined(prompts[i], completions[i]) for i in chats]
        tools = [all_tools[i] for i in chats]
        if self.tokenizer is not None:
            return [*out, Request(chats, self._of_templates(whole, tools))]
        if self.no_chats or any(tools):
            why = self.no_chats or f"{self.kind} takes no tools with a chat at /{self.path}"
            raise RewardServerError(
                f"{self.where}: {why}: name the tokenizer of the reward model, whose chat template "
                "is then applied here, with --reward-tokenizer FOLDER_OR_HUB_NAME"
            )
        # This interface takes one chat a request.
        return out + [
            Request([i], {"model": self.model, "messages": chat, **self.more})
            for i, chat in zip(chats, whole, strict=True)
        ]

    def _of_texts(self, texts: list[str]) -> dict[str, Any]:
        name = "text" if self.kind == SGLANG else "input"
        return {"model": self.model, name: texts, **self.more}

    def _of_templates(self, chats: list[Any], tools: list[Any]) -> dict[str, Any]:
        texts = [
            template_text(self.tokenizer, chat, own, answer=False)
            for chat, own in zip(chats, tools, strict=True)
        ]
        if self.kind == SGLANG:
            ids = [self.tokenizer(t, add_special_tokens=False)["input_ids"] for t in texts]
            return {"model": self.model, "input_ids": ids, **self.more}
        return self._of_texts([self._without_added(text) for text in texts])

    def _without_added(self, text: str) -> str:
        """A text that becomes the tokens of `text` on a server that adds special tokens.

        A chat template has written them already. vLLM adds them to each text, and only its newer
        versions can be told not to.
        """
        wanted = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        for start in ("", self.tokenizer.bos_token or ""):
            shorter = text.removeprefix(start)
            if self.tokenizer(shorter)["input_ids"] == wanted:
                return shorter
        raise RewardServerError(
            f"{self.where}: the server would add special tokens to what the chat template of "
            "--reward-tokenizer writes: leave that out, and have vLLM 0.11.1 or later apply the "
            "chat template"
        )

    def _pairs(
        self, prompts: Sequence[Any], completions: Sequence[Any], tools: Sequence[Any]
    ) -> list[Request]:
        pairs = [self._pair(*row) for row in zip(prompts, completions, tools, strict=True)]
        if self.kind == VLLM:
            firsts, seconds = [first for first, _ in pairs], [second for _, second in pairs]
            return [Request(list(range(len(pairs))), self._of_pairs(firsts, seconds))]
        groups: dict[str, list[int]] = {}
        for place, (first, _) in enumerate(pairs):
            groups.setdefault(first, []).append(place)
        return [
            Request(rows, self._of_pairs([first], [pairs[i][1] for i in rows]))
            for first, rows in groups.items()
        ]

    def _pair(self, prompt: Any, completion: Any, tools: Any) -> tuple[str, str]:
        """Both halves as text. A chat of one question is that question."""
        if isinstance(prompt, str):
            return prompt, completion
        texts = [turn.get("content") for turn in (*prompt, *completion)]
        if tools or len(texts) != 2 or not all(isinstance(text, str) for text in texts):
            raise RewardServerError(
                f"{self.where}: /score compares two texts, and this chat is more than one question "
                f"in text: --reward {self.where.rpartition(' ')[2].removesuffix('score')}classify "
                "takes chats"
            )
        return texts[0], texts[1]

    def _of_pairs(self, firsts: list[str], seconds: list[str]) -> dict[str, Any]:
        if self.kind == SGLANG:  # one first half for all
            return {"model": self.model, "query": firsts[0], "items": seconds, **self.more}
        return {"model": self.model, "text_1": firsts, "text_2": seconds, **self.more}

    def read(self, answer: Any, count: int) -> list[Any]:
        check_error(answer)
        return [self._one(values) for values in values_of(answer, count)]

    def _one(self, values: Any) -> float | None:
        """The only number of a completion; None for null and NaN."""
        if not isinstance(values, list):
            values = [values]
        if len(values) == 1 and not isinstance(values[0], list):
            value = values[0]
            if value is None or value != value:
                return None
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise BadAnswer(f"a reward that is no number: {value!r:.100}")
            return value
        if not values:
            raise BadAnswer("no number for a completion")
        if isinstance(values[0], list):
            raise RewardServerError(
                f"{self.where}: the answer has numbers for each of {len(values)} tokens, and a "
                "reward is one number for the whole completion: serve the model as a sequence "
                "classifier, and name its /classify"
            )
        raise RewardServerError(
            f"{self.where}: the answer has {len(values)} numbers for one completion "
            f"({', '.join(f'{value!r:.20}' for value in values[:3])}"
            f"{', ...' * (len(values) > 3)}), and a reward is one number: serve a model with one "
            "label"
        )


def values_of(answer: Any, count: int) -> list[Any]:
    """What an answer holds of each of `count` completions, in their order: a number or a list.

    vLLM writes `{"data": [{"index": 0, "probs" or "data": [...] or "score": ...}]}`. SGLang writes
    `[{"embedding": [...]}]`, and `{"scores": [[...]]}` at `/v1/score`. Raises BadAnswer for
    anything else.
    """
    if isinstance(answer, dict) and isinstance(answer.get("scores"), list):
        found = answer["scores"]
    else:
        items = answer.get("data") if isinstance(answer, dict) else answer
        if isinstance(answer, dict) and "embedding" in answer:
            items = [answer]
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise BadAnswer(f"no list of rewards: {str(answer)[:200]!r}")
        places = [item.get("index", place) for place, item in enumerate(items)]
        if sorted(places, key=str) != sorted(range(len(items)), key=str):
            raise BadAnswer(f"the numbers {str(places)[:100]} as places of the rewards")
        by_place = dict(zip(places, items, strict=True))
        found = [_values(by_place[place]) for place in range(len(items))]
    if len(found) != count:
        raise BadAnswer(f"{len(found)} rewards for {count} completions")
    return found


def _values(item: dict[str, Any]) -> Any:
    for name in ("probs", "embedding", "score", "data"):
        if name in item:
            return item[name]
    raise BadAnswer(f"a reward without probs, data, score or embedding: {str(item)[:200]!r}")


def check_json(value: Any, what: str) -> None:
    """Raise BonteaError for a value that JSON cannot carry."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BonteaError(
            f"{what} has a value that cannot be sent as JSON ({error}): write it as text, or null"
        ) from None
