"""The rewards of a TRL trainer as one number, and as one reward function of ours."""

from __future__ import annotations

import asyncio
from typing import Any

import torch
from trl.data_utils import apply_chat_template, is_conversational

from bontea._errors import BonteaError
from bontea.rollouts.rewards import InfiniteReward, Reward, is_async, name_of, score


def weighted_sum(per_function: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """`(B, functions)` to `(B,)`, as TRL sums them: a function that gave None adds nothing.

    Unlike there, a function of weight 0 does not make a rollout scorable: a reward of 0 that nobody
    gave would be compared with real ones. In float64 on the CPU, so that processes and devices
    agree to the last digit and nothing waits for small kernels.
    """
    values = per_function.detach().to("cpu", torch.float64)
    weights = weights.to("cpu", torch.float64)
    total = (values * weights).nansum(dim=1)
    return torch.where(values[:, weights != 0].isnan().all(dim=1), torch.nan, total)


def reward_of(trainer: Any) -> Reward:
    """The weighted sum of a trainer's reward functions, for responses that it did not draw itself.

    Functions get what TRL gives them, but for two things: `completion_ids` are the tokens of the
    text, without those that are no text, and what they log is not kept, since it would be averaged
    with that of training.
    """
    functions = getattr(trainer, "reward_funcs", None)
    if not functions:
        raise BonteaError(
            f"this {type(trainer).__name__} has no reward functions of its own: give the callback "
            "a reward"
        )
    counted = [i for i, weight in enumerate(trainer.reward_weights.tolist()) if weight]
    if not counted:
        raise BonteaError("every reward weight of this trainer is 0: give the callback a reward")

    def call(prompts: list[Any], completions: list[Any], **columns: Any) -> list[float]:
        per_function = torch.full((len(prompts), len(functions)), torch.nan, dtype=torch.float64)
        more = {
            "completion_ids": [_ids(trainer, text) for text in completions],
            "trainer_state": trainer.state,
            "log_extra": _ignore,
            "log_metric": _ignore,
        }
        for i in counted:
            function = _adapted(trainer, i)
            try:
                values = score(function, prompts, completions, columns | more)
            except InfiniteReward as error:  # makes the sum infinite, which is then unscorable
                values = error.values
            per_function[:, i] = torch.from_numpy(values)
        found: list[float] = weighted_sum(per_function, trainer.reward_weights).tolist()
        return found

    names = [trainer.reward_func_names[i] for i in counted]
    call.__name__ = " + ".join(names)
    return call


def _adapted(trainer: Any, i: int) -> Reward:
    """One of the trainer's reward functions, called where and how TRL calls it."""
    function = trainer.reward_funcs[i]
    if isinstance(function, torch.nn.Module):
        return _of_model(trainer, i)
    if not is_async(function):
        return function

    def wait(**arguments: Any) -> Any:
        # In the event loop of training, to which clients that the function keeps belong.
        return asyncio.run_coroutine_threadsafe(function(**arguments), trainer.async_loop).result()

    wait.__name__ = name_of(function)
    return wait


def _of_model(trainer: Any, i: int) -> Reward:
    """A reward model: the first logit of prompt and completion, as TRL joins them."""
    model, tokenizer = trainer.reward_funcs[i], trainer.reward_processing_classes[i]

    def call(prompts: list[Any], completions: list[Any], **_: Any) -> list[float]:
        pairs = list(zip(prompts, completions, strict=True))
        if is_conversational({"prompt": prompts[0]}):
            chats = ({"messages": prompt + completion} for prompt, completion in pairs)
            kwargs = trainer.chat_template_kwargs
            texts = [apply_chat_template(chat, tokenizer, **kwargs)["text"] for chat in chats]
        else:
            texts = [p + c for p, c in pairs]
        inputs = tokenizer(
            text=texts,
            return_tensors="pt",
            padding=True,
            padding_side="right",
            add_special_tokens=False,
        ).to(trainer.accelerator.device)
        with torch.inference_mode():
            values: list[float] = model(**inputs).logits[:, 0].double().tolist()
        return values

    call.__name__ = trainer.reward_func_names[i]
    return call


def _ids(trainer: Any, completion: Any) -> list[int]:
    text = completion if isinstance(completion, str) else completion[0]["content"]
    tokenizer = getattr(trainer.processing_class, "tokenizer", trainer.processing_class)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _ignore(*args: Any, **kwargs: Any) -> None:
    """In the place of TRL's functions that log."""
