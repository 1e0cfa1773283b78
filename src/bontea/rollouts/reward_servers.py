"""A reward that a server computes: which kind of server it is, and how it is asked.

bontea's own form is spoken at any path. At `/classify`, `/pooling` and `/score` the server may as
well be vLLM or SGLang. That is found out before the first request, from `/v1/models` beside that
path: both list what they serve there, and sign it with their name. Any other server is asked in
bontea's own form, unless a model is named for it (--reward-model), as behind a proxy that signs
otherwise; then a first request that both would understand shows which of them it is.

Both make a probability of the number that a reward model gives, unless a parameter says no; and
that parameter changed. vLLM before 0.10.1 has none and takes any field without a word; from 0.10.1
it is `activation`; from 0.11.1 it is `use_activation`, and there an `activation` of false counts as
true. So the version decides which one is sent, and where `/version` says nothing that is known, two
short texts show which one has an effect. SGLang's `/classify` gives the number as it is.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from bontea._errors import BonteaError
from bontea.rollouts.answer import read_json
from bontea.rollouts.reward_forms import (
    PATHS,
    SGLANG,
    VLLM,
    Form,
    OwnForm,
    Request,
    RewardServerError,
    ServedModel,
    check_json,
    values_of,
)
from bontea.rollouts.service import AGAIN, BadAnswer, EndpointError, Service

AT_ONCE = 16
"""Requests for one call where the server takes one completion in each."""
ACTIVATION, USE_ACTIVATION = (0, 10, 1), (0, 11, 1)
"""The versions of vLLM in which a parameter came."""
PROBES = ("What is 2 + 2?", ["4", "Paris, perhaps."])
CLOSE = 0.05
"""A sigmoid changes a number by more than this, unless it is between 0.59 and 0.73."""


class HttpReward:
    """A reward that a server computes, called like a reward function.

    bontea's own form: POST `{"prompts": [...], "completions": [...], "COLUMN": [...]}`, as the
    arguments of a reward function, is answered with `{"rewards": [number or null, ...]}`, one for
    each completion. Of vLLM and SGLang it is the number that the reward model gives for the whole
    text (`ServedModel`); `model` chooses one of several that are served, `tokenizer` is for chats
    that the server does not take.

    After a request that used up all its retries the next ones are made once, until one succeeds:
    the completion that the server cannot score is then found without waiting for each half.

    Several threads may call it at once. Raises EndpointError, an OSError, for a server that cannot
    be used, and BonteaError for what cannot be sent.
    """

    def __init__(self, service: Service, *, model: str | None = None, tokenizer: Any = None):
        self.service, self.model, self.tokenizer = service, model, tokenizer
        self.impatient = replace(service, retries=0)
        self.failed_last = False
        self.client = service.client()
        self.__name__ = service.url
        self.where = f"{service.flag} {service.url}"
        url = service.url.rstrip("/")
        last = urlsplit(url).path.rpartition("/")[2]
        self.path = last if last in PATHS else ""
        before = url.removesuffix(f"/{last}")
        self.is_v1 = before.endswith("/v1")
        self.root = before.removesuffix("/v1")
        self._form: Form | None = None if self.path else OwnForm()
        self._looking = threading.Lock()
        self._looked = False
        for flag, value in (("--reward-model", model), ("--reward-tokenizer", tokenizer)):
            if value is not None and not self.path:
                raise BonteaError(
                    f"{flag} is for a reward model behind vLLM or SGLang, and {self.where} ends "
                    f"with none of {', '.join('/' + path for path in PATHS)}: leave it out"
                )

    def check(self, row: dict[str, Any]) -> None:
        """Raise BonteaError for a row that cannot be sent.

        A server that is not there yet is no error here: it may come while completions are drawn.
        """
        form = self._form
        if form is None and not self._looked:
            self._looked = True
            try:
                form = self._found(patient=False)
            except EndpointError as error:
                gone = error.status is None or error.status >= 500
                if isinstance(error, RewardServerError) or not gone:
                    raise
        if isinstance(form, ServedModel):
            tools = {"tools": [row["tools"]]} if row.get("tools") else {}
            prompt, answer = row["prompt"], "An answer."
            chat = None if isinstance(prompt, str) else [{"role": "assistant", "content": answer}]
            for request in form.requests([prompt], [chat or answer], tools):
                check_json(request.body, "the prompt")
        else:
            for name, value in row.items():
                check_json(value, f"the column {name!r}")

    def __call__(
        self, prompts: list[Any], completions: list[Any], **columns: Any
    ) -> list[float | None]:
        form = self._found()
        requests = form.requests(prompts, completions, columns) if prompts else []

        def ask(request: Request) -> list[Any]:
            service = self.impatient if self.failed_last else self.service
            try:
                rewards = self._rewards(service, form, request)
            except EndpointError:
                self.failed_last = True
                raise
            self.failed_last = False
            return rewards

        if len(requests) == 1:
            return ask(requests[0])
        out: list[Any] = [None] * len(prompts)
        with ThreadPoolExecutor(max(1, min(len(requests), AT_ONCE))) as pool:
            for request, rewards in zip(requests, pool.map(ask, requests), strict=True):
                for row, reward in zip(request.rows, rewards, strict=True):
                    out[row] = reward
        return out

    def _rewards(self, service: Service, form: Form, request: Request) -> list[Any]:
        """What one request is answered with, and in an error what may help."""

        def read(data: bytes) -> list[Any]:
            return form.read(read_json(data), len(request.rows))

        try:
            return self._ask(service, request.body, read)
        except EndpointError as error:
            raise self._explained(error, form, request.body) from None

    def _ask(
        self,
        service: Service,
        body: dict[str, Any] | None,
        read: Callable[[bytes], Any],
        absent: Callable[[int], bool] = lambda status: False,
    ) -> Any:
        """What `read` makes of the answer; GET without a body; None for a status that is `absent`.

        Raises EndpointError when there is none after all retries.
        """
        import openai

        options: Any = {"options": service.request_options(), "cast_to": bytes}
        for attempt in itertools.count():
            try:
                if body is None:
                    return read(self.client.get(service.url, **options))
                return read(self.client.post(service.url, body=body, **options))
            except RewardServerError:
                raise
            except Exception as error:
                if isinstance(error, openai.APIStatusError) and absent(error.status_code):
                    return None
                failure = error
            # Out here, so that what the server said is in no traceback of what is raised.
            time.sleep(service.wait(failure, attempt))
        raise AssertionError("unreachable")

    def _explained(self, error: EndpointError, form: Form, body: dict[str, Any]) -> EndpointError:
        """The error, and what may help where the server seems to want another form."""
        advice = ""
        if error.status in (400, 422) and isinstance(form, OwnForm) and self.path:
            advice = (
                f"; it was asked in bontea's own form, because {self.root}/v1/models does not say "
                "that it is vLLM or SGLang: if it is, name its model with --reward-model"
            )
        elif error.status in (400, 422) and "messages" in body:
            advice = (
                "; if it takes no chats, name the tokenizer of the reward model with "
                "--reward-tokenizer"
            )
        elif error.status == 404 and self.is_v1 and isinstance(form, ServedModel):
            advice = f"; {form.kind} has {self.root}/{self.path}"
        return type(error)(f"{error}{advice}", error.status) if advice else error

    def _found(self, *, patient: bool = True) -> Form:
        """The form of the server, looked for until it is found once."""
        with self._looking:
            if self._form is None:
                patient = patient and not self.failed_last
                try:
                    self._form = self._look(self.service if patient else self.impatient)
                except EndpointError:
                    self.failed_last |= patient  # the other threads that wait here try once
                    raise
            return self._form

    def _look(self, service: Service) -> Form:
        cards = self._get(service, "/v1/models", _cards) or []
        owners = {str(card.get("owned_by")).lower() for card in cards}
        kind = {"vllm": VLLM, "sglang": SGLANG}.get(owners.pop() if len(owners) == 1 else "")
        if kind is None and self.model is None and self.tokenizer is None:
            return OwnForm()
        names = [str(card["id"]) for card in cards]
        if self.model is None and len(names) != 1:
            raise RewardServerError(
                f"{self.where} serves {len(names)} models ({_some(names)}): choose one with "
                "--reward-model NAME"
                if names
                else f"{self.where}: {self.root}/v1/models lists no model: name it with "
                "--reward-model NAME"
            )
        model = names[0] if self.model is None else self.model
        if names and model not in names:
            raise RewardServerError(
                f"{self.where} has no model {model!r} (--reward-model): it serves {_some(names)}"
            )
        if (kind or self._kind(service, model)) == SGLANG:
            form = self._sglang(model)
        else:
            form = self._vllm(service, model)
        self._probe(service, form)  # what it cannot do is said before anything is drawn
        return form

    def _get(self, service: Service, path: str, read: Callable[[bytes], Any]) -> Any:
        """What stands at another path of the same server; None where there is nothing."""
        there = replace(service, url=self.root + path)
        return self._ask(there, None, read, _NOTHING.__contains__)

    def _kind(self, service: Service, model: str) -> str:
        """vLLM or SGLang, of a server that does not say: the one whose answer it gives.

        Each finds its own fields in the request, and takes no notice of the others.
        """
        question, (answer, *_) = PROBES
        text = f"{question} {answer}"
        fields: dict[str, Any] = {"input": [text], "text": [text]}
        if self.path == "score":
            fields = {"text_1": [question], "text_2": [answer], "query": question}
            fields["items"] = [answer]

        def read(data: bytes) -> str:
            found = read_json(data)
            values_of(found, 1)
            return VLLM if isinstance(found, dict) and "data" in found else SGLANG

        return self._ask(service, {"model": model, **fields}, read)

    def _sglang(self, model: str) -> ServedModel:
        if self.path == "classify" and self.is_v1:
            raise RewardServerError(
                f"{self.where}: SGLang gives probabilities there, which for a reward model are all "
                f"1: name {self.root}/classify, where it gives the number as it is"
            )
        form = ServedModel(self.where, SGLANG, self.path, model, tokenizer=self.tokenizer)
        return replace(form, no_chats="SGLang takes no chats here, only text")

    def _vllm(self, service: Service, model: str) -> ServedModel:
        said = self._get(service, "/version", _version)
        version = tuple(map(int, said.split(".")[:3])) if said else ()
        form = ServedModel(self.where, VLLM, self.path, model, tokenizer=self.tokenizer)
        if said and ACTIVATION <= version < USE_ACTIVATION:
            if self.path == "pooling":
                raise RewardServerError(
                    f"{self.where}: vLLM {said} gives probabilities at /pooling, whatever it is "
                    f"told: name {self.root}/classify, or update it to 0.11.1 or later"
                )
            why = f"vLLM {said} takes no chats at /classify, as 0.11.1 and later do"
            return replace(form, more={"activation": False}, no_chats=why)
        whole = {"task": "classify"} if self.path == "pooling" else {}
        form = replace(form, more={**whole, "use_activation": False})
        if version >= USE_ACTIVATION:
            return form
        return self._with_effect(service, form, said)

    def _with_effect(self, service: Service, form: ServedModel, version: str | None) -> ServedModel:
        """The form with the parameter that has an effect on the answer."""
        tried = [{"activation": False}] if self.path != "pooling" else []
        whole = {name: form.more[name] for name in ("task",) if name in form.more}
        plain, new, *old = [
            self._probe(service, replace(form, more={**whole, **own}))
            for own in ({}, {"use_activation": False}, *tried)
        ]
        if _differ(plain, new):
            return form
        if any(_differ(plain, other) for other in old):
            return replace(form, more={"activation": False})
        if any(value is not None and not 0 <= value <= 1 for value in plain):
            return form  # no probabilities
        if version:
            raise RewardServerError(
                f"{self.where}: vLLM {version} gives probabilities, and cannot be told otherwise: "
                "update it to 0.11.1 or later"
            )
        warnings.warn(
            f"{self.where}: the server does not say its version, and gives numbers between 0 and 1 "
            "whatever it is told (use_activation): they may be probabilities, not the numbers of "
            "the reward model",
            stacklevel=2,
        )
        return form

    def _probe(self, service: Service, form: ServedModel) -> list[Any]:
        question, answers = PROBES
        request, *_ = form.requests([question] * len(answers), answers, {})
        return self._rewards(service, form, request)


_NOTHING = {*range(400, 500), 500, 501} - {401, 402, 403} - AGAIN
"""Statuses that say there is nothing at a path; Python's own servers say 501 to any GET."""


def _cards(data: bytes) -> list[dict[str, Any]] | None:
    """The models in an answer of `/v1/models`; None if it is no list of models."""
    try:
        answer = read_json(data)
    except (BadAnswer, json.JSONDecodeError):
        return None
    cards = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(cards, list) or not all(isinstance(c, dict) and "id" in c for c in cards):
        return None
    return cards


def _version(data: bytes) -> str | None:
    """The version in an answer of `/version`; None for none, and for one between releases."""
    try:
        answer = read_json(data)
    except (BadAnswer, json.JSONDecodeError):
        return None
    said = str(answer.get("version")) if isinstance(answer, dict) else ""
    found = re.match(r"v?(\d+\.\d+\.\d+)(?!\.?(dev|rc)|\d)", said)
    return found.group(1) if found else None


def _differ(some: list[Any], others: list[Any]) -> bool:
    return any(
        a is not None and b is not None and abs(a - b) > CLOSE
        for a, b in zip(some, others, strict=True)
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:10]) + ", ..." * (len(names) > 10)
