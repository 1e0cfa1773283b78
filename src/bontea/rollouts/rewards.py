"""Reward functions in TRL's signature: `reward(prompts, completions, **columns) -> list[float]`.

A reward may be a function, or an `async` one, which is awaited.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from bontea._errors import BonteaError, FailedError, MissingPackageError, what_gave_up
from bontea._load import load_function
from bontea.rollouts.chats import joined, template_text
from bontea.rollouts.model import unloadable
from bontea.rollouts.reward_servers import HttpReward
from bontea.rollouts.service import Service

Reward: TypeAlias = Callable[..., Sequence[float | None] | Awaitable[Sequence[float | None]]]


class InfiniteReward(BonteaError):
    """A reward function returned an infinite value; `values` are all that it returned."""

    def __init__(self, message: str, values: np.ndarray):
        super().__init__(message, values)
        self.values = values

    def __str__(self) -> str:
        return str(self.args[0])


def load_reward(
    spec: str,
    *,
    trust_remote_code: bool = False,
    model: str | None = None,
    tokenizer: str | None = None,
    **service: Any,
) -> Reward:
    """A reward function from `"module:function"`, a URL, or a sequence-classification model.

    A model is a local folder or hub name whose first logit is the reward. Modules are looked up on
    the Python path and in the working folder. A URL is asked in bontea's own form, or as vLLM or
    SGLang (`HttpReward`): `model` is the one of several that are served, `tokenizer` the hub name
    or folder whose chat template makes text of chats that the server does not take. `service` is
    for URLs too: `key_name`, the environment variable with the key, `timeout` and `retries`.

    Raises BonteaError saying what could not be loaded; that the embedded reward has no weights is
    said here, not when it is first called.
    """
    if spec.startswith("bontea.demo.reward:"):
        from bontea.demo.reward import encoder_folder

        encoder_folder()
    if spec.startswith(("http://", "https://")):
        options: dict[str, Any] = {"key_name": None, **service}
        reward = HttpReward(
            Service("--reward", spec, "--reward-key-env", **options),
            model=model,
            tokenizer=tokenizer and _chat_tokenizer(tokenizer, trust_remote_code),
        )
        return reward
    for flag, value in (("--reward-model", model), ("--reward-tokenizer", tokenizer)):
        if value is not None:
            raise BonteaError(
                f"{flag} {value} is for a reward that is a URL, and --reward {spec} is none: leave "
                "it out"
            )
    if ":" in spec and not Path(spec).exists():
        return load_function(spec, "reward")
    return ClassifierReward(spec, trust_remote_code=trust_remote_code)


def _chat_tokenizer(name: str, trust_remote_code: bool) -> Any:
    """The tokenizer of a reward model that a server has, for its chat template."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
    except Exception as error:  # the library raises many unrelated types
        raise unloadable(error, f"--reward-tokenizer {name} cannot be loaded") from error
    if tokenizer.chat_template is None:
        raise BonteaError(
            f"--reward-tokenizer {name} has no chat template: name the tokenizer of the reward "
            "model that the server has"
        )
    return tokenizer


class ClassifierReward:
    """The first logit of a sequence-classification model on prompt and completion.

    Chat prompts go through the model's own chat template; plain ones are joined to their
    completions as they are. The model sits on the GPU of this process if there is one.
    """

    def __init__(self, model: str, *, batch_size: int = 16, trust_remote_code: bool = False):
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        options = {"trust_remote_code": trust_remote_code}
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(model, **options)
            self.model = AutoModelForSequenceClassification.from_pretrained(
                model, dtype="auto" if torch.cuda.is_available() else torch.float32, **options
            )
        except ModuleNotFoundError:
            raise  # the command line knows what to install
        except Exception as error:  # the libraries raise many unrelated types
            if what_gave_up(error):
                raise
            raise BonteaError(
                f"reward {model!r} is not MODULE:FUNCTION, and no sequence-classification model "
                f"could be loaded from it: {error}"
            ) from error
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.model.config.pad_token_id = self.tokenizer.pad_token_id
        from accelerate import PartialState

        self.device = PartialState().device
        self.model.to(self.device).eval()
        self.batch_size = batch_size
        self.__name__ = Path(model).name

    def __call__(self, prompts: list[Any], completions: list[Any], **columns: Any) -> list[float]:
        import torch

        tools = columns.get("tools") or [None] * len(prompts)
        texts = [self._text(p, c, t) for p, c, t in zip(prompts, completions, tools, strict=True)]
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # little padding
        batches = []
        for plain in (True, False):
            own = [i for i in order if isinstance(prompts[i], str) is plain]
            batches += [own[i : i + self.batch_size] for i in range(0, len(own), self.batch_size)]
        rewards = [0.0] * len(texts)
        with torch.inference_mode():
            for rows in batches:
                inputs = self.tokenizer(
                    [texts[i] for i in rows],
                    return_tensors="pt",
                    padding=True,
                    truncation=True,
                    # A chat template has already written the special tokens.
                    add_special_tokens=isinstance(prompts[rows[0]], str),
                ).to(self.device)
                logits = self.model(**inputs).logits[:, 0].float().cpu()
                for i, value in zip(rows, logits.tolist(), strict=True):
                    rewards[i] = value
        return rewards

    def check(self, row: dict[str, Any]) -> None:
        """Raise BonteaError for a prompt that the model's chat template cannot take."""
        if not isinstance(row["prompt"], str):
            answer = [{"role": "assistant", "content": "An answer."}]
            self._text(row["prompt"], answer, row.get("tools"))

    def _text(self, prompt: Any, completion: Any, tools: Any) -> str:
        if isinstance(prompt, str):
            return prompt + completion
        return template_text(self.tokenizer, joined(prompt, completion), tools, answer=False)


def check_rows(reward: Reward, rows: Iterable[dict[str, Any]]) -> None:
    """Raise BonteaError naming the first prompt that the reward cannot take, as far as it knows."""
    for number, row in enumerate(rows):
        _check_columns(row)
        if not isinstance(reward, (ClassifierReward, HttpReward)):
            continue
        try:
            reward.check(row)
        except BonteaError as error:
            raise BonteaError(
                f"reward {name_of(reward)!r}, prompt {number} (the first is 0): {error}"
            ) from None


def name_of(reward: Reward) -> str:
    """What to call a reward function in messages and logs."""
    while isinstance(reward, functools.partial):
        reward = reward.func
    return getattr(reward, "__name__", type(reward).__name__)


def is_async(reward: Reward) -> bool:
    """Whether a reward is to be awaited: an `async` function, or an object with such a call."""
    while isinstance(reward, functools.partial):
        reward = reward.func
    call = getattr(reward, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(reward) or inspect.iscoroutinefunction(call)


def named(reward: Reward) -> Callable[..., Sequence[float | None]]:
    """The same function under its name, which stands in the error where it raises one.

    What is to be awaited is awaited here, every time in the same event loop, so that a client that
    an `async` reward keeps stays usable. Errors that say themselves what to do about a server, a
    file or a package stay as they are.
    """

    def call(**arguments: Any) -> Sequence[float | None]:
        with _errors_of(reward):
            values = reward(**arguments)
            return wait_for(values) if inspect.isawaitable(values) else values

    call.__name__ = name_of(reward)
    return call


def score(
    reward: Reward, prompts: list[Any], completions: list[Any], columns: dict[str, list[Any]]
) -> np.ndarray:
    """Rewards of completions as float64, NaN where the function gave None; checked.

    Raises BonteaError naming the reward function when it returns the wrong number of values or
    something that is not a number, InfiniteReward when one of them is infinite, and FailedError
    when it raises an error.
    """
    _check_columns(columns)
    values = named(reward)(prompts=prompts, completions=completions, **columns)
    return _checked(values, len(completions), name_of(reward))


async def score_async(
    reward: Reward, prompts: list[Any], completions: list[Any], columns: dict[str, list[Any]]
) -> np.ndarray:
    """The same for a reward that is awaited in a loop which runs already."""
    _check_columns(columns)
    with _errors_of(reward):
        values: Any = reward(prompts=prompts, completions=completions, **columns)
        if inspect.isawaitable(values):
            values = await values
    return _checked(values, len(completions), name_of(reward))


@contextmanager
def _errors_of(reward: Reward) -> Iterator[None]:
    """Name the reward in what it raises.

    That need not be an Exception: code that a verifier runs may call `exit()`, and the time-outs of
    verifiers are often made so that no `except Exception` of such code takes them.
    """
    name = name_of(reward)
    try:
        yield
    except (OSError, MissingPackageError, KeyboardInterrupt, asyncio.CancelledError):
        raise
    except ImportError as error:
        raise MissingPackageError(f"reward {name!r}: {error}") from error
    except BaseException as error:
        raise FailedError(f"reward {name!r} raised {type(error).__name__}: {error}") from error


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def wait_for(awaitable: Awaitable[Any]) -> Any:
    """The result of something awaitable, in the event loop that all rewards share.

    It runs in this thread, where signals work if it is the main one; in another where an event loop
    runs here already, as in a notebook.
    """

    async def awaited() -> Any:
        return await awaitable

    def run() -> Any:
        task = _loop().create_task(awaited())
        try:
            return _loop().run_until_complete(task)
        except BaseException:
            if task.cancel():  # Ctrl-C
                _loop().run_until_complete(asyncio.gather(task, return_exceptions=True))
            raise

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def _check_columns(columns: Mapping[str, Any]) -> None:
    for taken in ("prompts", "completions"):
        if taken in columns:
            raise BonteaError(
                f"the prompts have a column {taken!r}, which is what a reward function calls its "
                "own argument: rename the column"
            )


def _checked(values: Any, expected: int, name: str) -> np.ndarray:
    try:
        count = len(values)
    except TypeError:
        raise BonteaError(
            f"reward {name!r} returned a {type(values).__name__}: it must return a list with one "
            "number per completion"
        ) from None
    if count != expected:
        raise BonteaError(
            f"reward {name!r} returned {count} values for {expected} completions: it must "
            "return one number per completion"
        )
    out = np.empty(count)
    for i, value in enumerate(values):
        try:
            if isinstance(value, str):
                raise TypeError
            out[i] = np.nan if value is None else float(value)
        except OverflowError:  # an integer that no float holds
            out[i] = np.inf if value > 0 else -np.inf
        except (TypeError, ValueError):
            raise BonteaError(
                f"reward {name!r} returned {value!r} ({type(value).__name__}): it must return "
                "numbers, or None for a completion it cannot score"
            ) from None
    if np.isinf(out).any():
        raise InfiniteReward(
            f"reward {name!r} returned an infinite value: clip it, or return None", out
        )
    return out
