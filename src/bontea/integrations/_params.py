"""From the settings of a run to an estimator that can be called: shared by all adapters.

Frameworks have one budget, one tail fraction and one group size; estimators have parameters of
their own. What matches by name is passed on, and the result is tried once, so that a wrong setting
stops a run before it has cost anything.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from array_api_compat import array_namespace, device

from bontea._arrays import (
    Array,
    as_rewards,
    check_alpha,
    check_n,
    per_group,
    to_compute,
    to_input_dtype,
)
from bontea._errors import BonteaError, GroupTooSmallError
from bontea.advantages import get_estimator
from bontea.advantages.flat import takes_missing

_KEYWORD = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class EstimatorCall:
    """An estimator with its parameters: `call(rewards (*P, M)) -> (*P, M)`, checked.

    It can be passed wherever an estimator can. NaN is a missing rollout. Estimators of this library
    see the whole block with it; any other function sees complete groups only, size by size. What is
    returned must have the shape of the rewards and be finite.
    """

    name: str
    function: Callable[..., Array]
    params: Mapping[str, Any]
    takes_rng: bool
    """The estimator is random and no `rng` is fixed in `params`: pass one to every call."""
    k_up_to: float | None = None
    """No `k` was given: it is this, or one less than the rewards of a group if that is smaller."""

    takes_missing: ClassVar[bool] = True

    def __call__(self, rewards: Any, *, rng: Any = None) -> Array:
        params = dict(self.params)
        if self.takes_rng:
            params["rng"] = rng

        def kernel(r: Array, xp: ModuleType) -> Array:
            if self.k_up_to is not None:
                params["k"] = default_k(self.k_up_to, r.shape[-1])
            return self._checked(self.function(r, **params), r, xp)

        # A k that depends on the size needs groups of one size.
        if self.k_up_to is not None or not takes_missing(self.function):
            return per_group(rewards, kernel)
        rewards = as_rewards(rewards)
        xp = array_namespace(rewards)
        m = rewards.shape[-1]
        out = kernel(xp.reshape(to_compute(rewards, xp), (-1, m)), xp)
        return to_input_dtype(xp.reshape(out, rewards.shape), rewards, xp)

    def fits(self, m: int, asarray: Callable[[Any], Array] = np.asarray) -> bool:
        """Whether a group of `m` rollouts is large enough."""
        try:
            self(_probe(m, asarray), rng=np.random.default_rng(0))
        except GroupTooSmallError:
            return False
        return True

    def _checked(self, out: Any, r: Array, xp: ModuleType) -> Array:
        try:
            out = xp.asarray(out, dtype=r.dtype, device=device(r))
        except (TypeError, ValueError, RuntimeError) as error:
            raise BonteaError(
                f"estimator {self.name!r} returned a {type(out).__name__} that is not an array of "
                f"numbers ({error})"
            ) from None
        if tuple(out.shape) != tuple(r.shape):
            raise BonteaError(
                f"estimator {self.name!r} returned shape {tuple(out.shape)} for rewards of shape "
                f"{tuple(r.shape)}: it must return one advantage per rollout, prompts x rollouts"
            )
        bad = ~xp.all(xp.isfinite(out), axis=-1)
        if bool(xp.any(bad)):
            row = int(xp.argmax(xp.astype(bad, xp.int8)))
            raise BonteaError(
                f"estimator {self.name!r} returned {_show(out[row, :])} for the rewards "
                f"{_show(r[row, :])}: advantages must be finite. Equal rewards are common in "
                "training; a group without a signal gets zeros"
            )
        return out


def estimator_call(
    estimator: str | Callable[..., Array],
    *,
    n: float,
    m: int,
    alpha: float = 0.25,
    params: Mapping[str, Any] | None = None,
    asarray: Callable[[Any], Array] = np.asarray,
) -> EstimatorCall:
    """An estimator with the parameters of a run, tried once on groups of `m` rollouts.

    Parameters
    ----------
    estimator
        Key in `ADVANTAGES`, `"module:function"`, or a callable `(rewards (P, m), **params)`.
    n, alpha
        Deployment budget and tail fraction: go to the estimator's parameters of these names. A
        parameter `k` that is not given becomes `min(n, m - 1)`, for every group by its own size.
    m
        Rollouts per prompt.
    params
        For the estimator; they win over all of the above.
    asarray
        Makes the kind of array that the framework will pass.

    Raises
    ------
    GroupTooSmallError (a ValueError)
        The estimator needs more than `m` rollouts.
    ValueError
        Everything else: unknown estimator or parameter, a value out of range, a function that fails
        or returns the wrong thing.

    >>> estimator_call("max_at_k", n=128, m=16).params
    {'k': 15}
    >>> estimator_call("tea", n=128, m=16, params={"alpha": 0.5}).params
    {'n': 128, 'alpha': 0.5}
    """
    check_n(n), check_alpha(alpha)
    function = get_estimator(estimator)
    name = estimator_name(estimator)
    given = dict(params or {})
    accepted, required, open_ended = _parameters(function)

    unknown = [key for key in given if key not in accepted]
    if unknown and not open_ended:
        near = difflib.get_close_matches(unknown[0], accepted, n=1)
        raise BonteaError(
            f"estimator {name!r} has no parameter {unknown[0]!r}"
            + (f"; did you mean {near[0]!r}?" if near else "")
            + (f" It takes: {', '.join(accepted)}" if accepted else " It takes none")
        )
    offered = {"n": n, "alpha": alpha, "k": default_k(n, m)}
    chosen = {key: value for key, value in offered.items() if key in accepted} | given
    missing = [key for key in required if key not in chosen and key != "rng"]
    if missing:
        raise BonteaError(
            f"estimator {name!r} needs a value for {', '.join(missing)}: give it among the "
            "estimator's parameters"
        )
    call = EstimatorCall(
        name,
        function,
        chosen,
        takes_rng="rng" in accepted and "rng" not in given,
        k_up_to=n if "k" in accepted and "k" not in given else None,
    )
    try:
        call(_probe(m, asarray), rng=np.random.default_rng(0))
    except GroupTooSmallError as error:
        raise GroupTooSmallError(f"estimator {name!r}: {error}") from None
    except ValueError as error:
        raise BonteaError(f"estimator {name!r}: {error}") from error
    except Exception as error:
        raise BonteaError(
            f"estimator {name!r} failed on a group of {m} rollouts with rewards 0 and 1: "
            f"{type(error).__name__}: {error}"
        ) from error
    return call


def default_k(n: float, m: int) -> int:
    """The `k` of an estimator of best-of-k that was given none: what a group of `m` allows."""
    return int(max(1, min(n, m - 1)))


def estimator_name(estimator: str | Callable[..., Array]) -> str:
    """What to call it in messages and files: `"module:function"` for a callable."""
    if isinstance(estimator, str):
        return estimator
    if isinstance(estimator, functools.partial):
        estimator = estimator.func
    name = getattr(estimator, "__qualname__", type(estimator).__qualname__)
    return f"{getattr(estimator, '__module__', '?')}:{name}"


def _parameters(function: Callable[..., Array]) -> tuple[list[str], list[str], bool]:
    """Names it accepts by keyword after the rewards, those without default, and `**kwargs`."""
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some C functions have no signature: take what is given
        return [], [], True
    named = [p for i, p in enumerate(found) if p.kind in _KEYWORD and i > 0]
    required = [p.name for p in named if p.default is inspect.Parameter.empty]
    return [p.name for p in named], required, any(p.kind == p.VAR_KEYWORD for p in found)


def _probe(m: int, asarray: Callable[[Any], Array]) -> Array:
    """A group of zeros and ones (legal for estimators of pass rates, and full of ties) and a
    constant one: what every run meets sooner or later."""
    return asarray(np.stack([np.arange(m) % 2, np.zeros(m)]).astype(float))


def _show(row: Array, most: int = 8) -> str:
    values = [f"{float(v):.4g}" for v in row[:most]]
    return "[" + ", ".join(values) + (", ...]" if row.shape[0] > most else "]")
