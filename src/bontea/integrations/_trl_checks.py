"""What the TRL adapter refuses, each with a reason and a remedy."""

from __future__ import annotations

import functools
import inspect
import pickle
from typing import Any

import torch
import trl

from bontea._errors import BonteaError
from bontea.advantages import EstimatorSpec
from bontea.integrations.frameworks import FRAMEWORKS

HOOKS = ("_calculate_rewards", "_generate_and_score_completions")


def require_hooks(trainer: Any, name: str) -> None:
    """The two methods that are extended exist (on a trainer, or on `super()` of one)."""
    lacking = [hook for hook in HOOKS if not hasattr(trainer, hook)]
    if lacking:
        raise BonteaError(
            f"{name} has no `{lacking[0]}` to take rewards from: best-of-N advantages need "
            f"GRPOTrainer or RLOOTrainer of {FRAMEWORKS['trl'].accepted} (this is trl "
            f"{trl.__version__})"
        )


def require_not_hidden(trainer: Any) -> None:
    """Nothing on the instance hides the methods of its class."""
    hidden = [hook for hook in HOOKS if hook in vars(trainer)]
    if hidden:
        raise BonteaError(
            f"`{hidden[0]}` of this trainer was replaced on the instance, which would bypass the "
            "new advantages: attach before whatever replaced it"
        )


def require_sum(config: Any) -> None:
    """Several rewards are summed as they are in deployment."""
    if getattr(config, "multi_objective_aggregation", None) == "normalize_then_sum":
        raise BonteaError(
            "multi_objective_aggregation='normalize_then_sum' normalises every reward inside its "
            "group, which changes which response is best; best-of-N picks by the weighted sum. "
            "Leave 'sum_then_normalize' and set reward_weights"
        )


def require_picklable(estimator: Any) -> None:
    """The Trainer writes its args next to every checkpoint: better fail now than there."""
    try:
        pickle.dumps(estimator)
    except Exception as error:
        name = EstimatorSpec.of(estimator).name
        raise BonteaError(
            f"estimator {name} cannot be saved, and args are saved with every checkpoint "
            f"({error}): define it at the top level of a module, or pass 'module:function'"
        ) from None


def checked_reward(function: Any, name: str) -> Any:
    """A reward function whose values are numbers or None, or a ValueError that names it.

    TRL hands the values to `torch.tensor`, whose message for a string is about dimensions. Reward
    models pass through unchanged.
    """
    if isinstance(function, torch.nn.Module):
        return function

    def numbers(values: Any) -> list[float | None]:
        try:
            return [None if v is None else _number(v) for v in values]
        except (TypeError, ValueError) as error:
            raise BonteaError(
                f"reward function {name!r} must return a list with a number or None for every "
                f"completion: {error}"
            ) from None

    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    # An object with an async __call__ is not a coroutine function itself.
    if inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(inner.__call__):

        async def async_checked(*args: Any, **kwargs: Any) -> list[float | None]:
            return numbers(await function(*args, **kwargs))

        return async_checked

    def checked(*args: Any, **kwargs: Any) -> list[float | None]:
        return numbers(function(*args, **kwargs))

    return checked


def _number(value: Any) -> float:
    if isinstance(value, (str, bytes)):
        raise BonteaError(f"it returned {value!r}")
    return float(value)
