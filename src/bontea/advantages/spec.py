"""An estimator with its parameters, as one value: `EstimatorSpec`.

Written once, it means the same in the trainers, the adapters, `diagnose`, `plan` and `bench`:

    max_at_k(k=8)        text, as on a command line or in a config
    bontea.max_at_k      a function of this library, or yours: (rewards (P, M), **params) -> (P, M)
    mymodule:estimate    yours, by its name

`bind` fills in what belongs to a run (the deployment budget N, the group size M, the tail fraction
alpha), and the result is called with rewards. What a user gave always wins over what a run fills
in. A `k` that nobody gave is `default_k`.
"""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, ClassVar, Literal

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj

from bontea._arrays import (
    Array,
    as_rewards,
    check_alpha,
    check_n,
    is_traced,
    per_group,
    to_compute,
    to_input_dtype,
)
from bontea._errors import BonteaError, GroupTooSmallError
from bontea._load import load_function
from bontea._numbers import number

SMALL_K = 6
"""`max_at_k` with this k is within one percent of the best weight that never decreases in the
reward, for every N from 32 to 2,048; a k that grows with M is noisier (docs/theory.md)."""

LOOKS_AT_BATCH = {"adaptive_tea": (), "pass_at_n": ("prior",)}
"""Estimators whose advantages depend on the other prompts of a call, unless these are given."""

TAIL_MODEL = {
    "tea",
    "prefix_tea",
    "calibrated_tea",
    "linear_tea",
    "adaptive_tea",
    "gaussian_plug_in",
}
"""Estimators that promise more than they see, from the shape of the rewards."""
TWO_VALUES = {"pass_at_k", "pass_at_n", "inference_aware"}
"""Estimators for 0/1 rewards."""

LARGEST_LEAST_M = 512
_KEYWORD = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def default_k(n: float, m: int) -> int:
    """The `k` of an estimator of best-of-k that was given none: `min(6, M - 1, N)`, at least 1.

    >>> default_k(128, 16), default_k(128, 4), default_k(2, 16)
    (6, 3, 2)
    """
    return int(max(1, min(SMALL_K, m - 1, n)))


@dataclass(frozen=True)
class EstimatorSpec:
    """An estimator and its parameters; made by `EstimatorSpec.of` or `EstimatorSpec.parse`.

    >>> spec = EstimatorSpec.parse("max_at_k").bind(n=128, m=16)
    >>> spec.label, spec([[0.0, 1.0, 3.0, 4.0]]).round(2).tolist()
    ('max_at_k(k=6)', [[-1.0, -1.0, -1.0, 3.0]])
    """

    name: str
    """Key of `ADVANTAGES`, or `module:function`."""
    function: Callable[..., Array] = field(repr=False)
    params: Mapping[str, Any]
    """What the user gave."""
    context: Mapping[str, Any] = field(default_factory=dict)
    """What `bind` filled in: `n`, `alpha` and, where the group size is known, `k`."""
    k_up_to: float | None = None
    """No `k` was given: each group gets `default_k` of this budget and its own size."""

    takes_missing: ClassVar[bool] = True

    # --- making one ----------------------------------------------------------------------------

    @classmethod
    def of(cls, estimator: Any, **params: Any) -> EstimatorSpec:
        """A spec from text, a function, a pair `(estimator, params)`, or a spec, and parameters.

        Raises BonteaError for an unknown estimator or parameter, naming the nearest one.

        >>> EstimatorSpec.of("tea", alpha=0.5).label
        'tea(alpha=0.5)'
        """
        if isinstance(estimator, EstimatorSpec):
            return estimator.with_params(params) if params else estimator
        if isinstance(estimator, tuple) and len(estimator) == 2:
            return cls.of(estimator[0], **{**estimator[1], **params})
        if isinstance(estimator, str):
            spec = cls.parse(estimator)
            return spec.with_params(params) if params else spec
        if not callable(estimator):
            raise BonteaError(
                f"estimator {estimator!r} is neither a name, such as 'tea' or 'max_at_k(k=8)', nor "
                "a function (rewards (P, M), **params) -> (P, M)"
            )
        given = dict(params)
        while isinstance(estimator, functools.partial) and not estimator.args:
            given = {**estimator.keywords, **given}
            estimator = estimator.func
        name = _known_name(estimator) or _name_of(estimator)
        return cls(name, estimator, {}).with_params(given)

    @classmethod
    def parse(cls, text: str) -> EstimatorSpec:
        """A spec from `tea`, `max_at_k(k=8)` or `mymodule:estimate(beta=2)`.

        Raises BonteaError that shows the form, what the estimator takes, and the nearest name.

        >>> EstimatorSpec.parse("max_at_k( k = 8 )").label
        'max_at_k(k=8)'
        """
        match = re.fullmatch(r"([\w.]+(?::[\w.]+)?)\s*(?:\((.*)\))?", text.strip(), re.DOTALL)
        if match is None:
            raise BonteaError(
                f"estimator {text!r}: write a name, and parameters in brackets if any, such as "
                f"tea, max_at_k(k=8) or tea(alpha=0.5). Known: {', '.join(_known())}"
            )
        name, arguments = match.groups()
        function = get_estimator(name)
        spec = cls(_known_name(function) or name, function, {})
        if not arguments:
            return spec
        try:
            call = ast.parse(f"f({arguments})", mode="eval").body
            if not isinstance(call, ast.Call) or call.args or not isinstance(call.func, ast.Name):
                raise ValueError
            params = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
            if len(params) < len(call.keywords):
                raise ValueError
        except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
            raise BonteaError(
                f"estimator {text[:200]!r}: write parameters as NAME=VALUE, each once, such as "
                f"tea(alpha=0.5). {spec._takes()}"
            ) from None
        return spec.with_params(params)

    def with_params(self, params: Mapping[str, Any]) -> EstimatorSpec:
        """The same with more parameters; BonteaError for one that it does not take."""
        if not params:
            return self
        accepted, _, open_ended = self._signature
        unknown = [key for key in params if key not in accepted]
        if unknown and not open_ended:
            near = difflib.get_close_matches(unknown[0], accepted, n=1)
            raise BonteaError(
                f"estimator {self.name!r} has no parameter {unknown[0]!r}"
                + (f"; did you mean {near[0]!r}?" if near else ".")
                + f" {self._takes()}"
            )
        given = {**self.params, **{key: _hashable(value) for key, value in params.items()}}
        order = [*(key for key in accepted if key in given), *given]
        return replace(
            self,
            params={key: given[key] for key in dict.fromkeys(order)},
            context={key: value for key, value in self.context.items() if key not in params},
            k_up_to=None if "k" in params else self.k_up_to,
        )

    def settled(self) -> EstimatorSpec:
        """A bound spec without its run, but with the k that was filled in.

        >>> EstimatorSpec.of("max_at_k").bind(n=128, m=16).settled().params
        {'k': 6}
        """
        k = {"k": self.context["k"]} if "k" in self.context else {}
        return EstimatorSpec(self.name, self.function, {**k, **self.params})

    # --- what it needs -------------------------------------------------------------------------

    @functools.cached_property
    def _signature(self) -> tuple[list[str], list[str], bool]:
        """Names accepted by keyword after the rewards, those without default, and `**kwargs`."""
        try:
            return _signature_of(self.function)
        except TypeError:  # an object that has no hash
            return _signature_of.__wrapped__(self.function)

    def takes(self, parameter: str) -> bool:
        """Whether it has this parameter, such as `"n"`, `"k"` or `"alpha"`."""
        return parameter in self._signature[0]

    def takes_any(self, parameter: str) -> bool:
        """Whether it has this parameter, or takes any name."""
        return self._signature[2] or self.takes(parameter)

    @property
    def looks_at_batch(self) -> bool:
        """Whether advantages depend on the other prompts of a call; of a function of yours, yes."""
        if self.name not in LOOKS_AT_BATCH:
            return self.name not in _known()
        unless = LOOKS_AT_BATCH[self.name]
        return not any(isinstance(self.params.get(key), (tuple, list)) for key in unless)

    @property
    def assumes(self) -> Literal["nothing", "tail", "two values"]:
        """What it takes for granted about rewards: nothing, a tail of its shape, 0/1 rewards."""
        if self.name in TAIL_MODEL:
            return "tail"
        return "two values" if self.name in TWO_VALUES else "nothing"

    @property
    def takes_rng(self) -> bool:
        """It is random, and no `rng` is fixed: pass one to every call."""
        return self.takes("rng") and "rng" not in self.params

    def fits(self, m: int, asarray: Callable[[Any], Array] = np.asarray) -> bool:
        """Whether a group of `m` rollouts is large enough for this bound spec."""
        try:
            self(_probe(m, asarray), rng=np.random.default_rng(0))
        except GroupTooSmallError:
            return False
        return True

    def least_m(self, *, n: float, alpha: float | None = None) -> int:
        """The smallest group size that it can use.

        >>> [EstimatorSpec.of(name).least_m(n=128) for name in ("grpo", "tea", "prefix_tea")]
        [2, 9, 10]
        """
        for m in range(2, LARGEST_LEAST_M + 1):
            try:
                bound = self.bind(n=n, m=m, alpha=alpha)
                bound(_probe(m, np.asarray), rng=np.random.default_rng(0))
            except GroupTooSmallError:
                continue
            return m
        raise BonteaError(f"{self.label} fits no group of up to {LARGEST_LEAST_M} rollouts")

    # --- names ---------------------------------------------------------------------------------

    @property
    def label(self) -> str:
        """The one way it is written: name, what was given, and the k that was filled in."""
        shown = dict(self.params)
        if "k" in self.context:
            shown = {"k": self.context["k"], **shown}
        options = ", ".join(f"{key}={_written(value)}" for key, value in shown.items())
        return f"{self.name}({options})" if options else self.name

    def __str__(self) -> str:
        return self.label

    def __hash__(self) -> int:
        return hash(self.label)

    def _takes(self) -> str:
        accepted, _, open_ended = self._signature
        if open_ended:
            return "It takes any parameter"
        return f"It takes: {', '.join(accepted)}" if accepted else "It takes none"

    # --- a run ---------------------------------------------------------------------------------

    def bind(self, *, n: float, m: int | None = None, alpha: float | None = None) -> EstimatorSpec:
        """The same for a run: deployment budget `n`, group size `m`, tail fraction `alpha`.

        They go to the parameters of these names that were not given. A `k` that was not given is
        `default_k(n, m)`, and in a call that of each group's own size. Raises BonteaError for a
        value out of range, or for a parameter that still has no value.
        """
        check_n(n)
        if alpha is not None:
            check_alpha(alpha)
        accepted, required, _ = self._signature
        offered: dict[str, Any] = {"n": n}
        if alpha is not None:
            offered["alpha"] = alpha
        if m is not None:
            offered["k"] = default_k(n, m)
        context = {
            key: value
            for key, value in offered.items()
            if key in accepted and key not in self.params
        }
        default_of_k = "k" in accepted and "k" not in self.params
        self._require(required, {*context, *self.params, *(("k",) if default_of_k else ())})
        return replace(self, context=context, k_up_to=n if default_of_k else None)

    def _require(self, required: Iterable[str], known: Collection[str]) -> None:
        missing = [key for key in required if key not in known and key != "rng"]
        if missing:
            raise BonteaError(
                f"estimator {self.name!r} needs a value for {', '.join(missing)}: write "
                f"{self.name}({missing[0]}=...), or give it among the estimator's parameters"
            )

    def checked(self, m: int, asarray: Callable[[Any], Array] = np.asarray) -> EstimatorSpec:
        """This bound spec, tried once on groups of `m` rollouts, so that a run cannot start wrong.

        Raises GroupTooSmallError when it needs more than `m` rollouts, BonteaError for everything
        else: a value out of range, a function that fails or returns the wrong thing.
        """
        try:
            self(_probe(m, asarray), rng=np.random.default_rng(0))
        except GroupTooSmallError as error:
            raise GroupTooSmallError(f"estimator {self.name!r}: {error}") from None
        except ValueError as error:
            raise BonteaError(f"estimator {self.name!r}: {error}") from error
        except Exception as error:
            raise BonteaError(
                f"estimator {self.name!r} failed on a group of {m} rollouts with rewards 0 and 1: "
                f"{type(error).__name__}: {error}"
            ) from error
        return self

    def __call__(self, rewards: Any, *, rng: Any = None, **more: Any) -> Array:
        """Advantages of rewards `(*P, M)`; NaN is a missing rollout.

        Estimators of this library see the whole block with it; any other function sees complete
        groups only, size by size, in an array of its own. What is returned must have the shape of
        the rewards and be finite. `rng` goes to an estimator that is random, `more` to the
        function, where it wins over everything else.
        """
        params = {**self.context, **self.params, **more}
        if self.takes_rng:
            params.setdefault("rng", rng)
        k_up_to = None if "k" in more else self.k_up_to
        self._require(self._signature[1], {*params, *(() if k_up_to is None else ("k",))})
        ours = takes_missing(self.function)

        def kernel(r: Array, xp: ModuleType) -> Array:
            if k_up_to is not None:
                params["k"] = default_k(k_up_to, r.shape[-1])
            given = r if ours else xp.asarray(r, copy=True)
            return self._checked(self.function(given, **params), r, xp)

        # A k that depends on the size needs groups of one size.
        if k_up_to is not None or not ours:
            return per_group(rewards, kernel)
        rewards = as_rewards(rewards)
        xp = array_namespace(rewards)
        m = rewards.shape[-1]
        out = kernel(xp.reshape(to_compute(rewards, xp), (-1, m)), xp)
        return to_input_dtype(xp.reshape(out, rewards.shape), rewards, xp)

    def _checked(self, out: Any, r: Array, xp: ModuleType) -> Array:
        if is_array_api_obj(out) and array_namespace(out).isdtype(out.dtype, "complex floating"):
            raise BonteaError(f"estimator {self.name!r} returned complex numbers ({out.dtype})")
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
        if is_traced(out):  # under jax.jit values cannot be looked at
            return out
        bad = ~xp.all(xp.isfinite(out), axis=-1)
        if bool(xp.any(bad)):
            row = int(xp.argmax(xp.astype(bad, xp.int8)))
            raise BonteaError(
                f"estimator {self.name!r} returned {_show(out[row, :])} for the rewards "
                f"{_show(r[row, :])}: advantages must be finite. Equal rewards are common in "
                "training; a group without a signal gets zeros"
            )
        return out


def parse_estimators(texts: str | Iterable[str]) -> list[EstimatorSpec]:
    """Specs from texts in which commas outside brackets separate too; each once.

    >>> [spec.label for spec in parse_estimators(["grpo,tea(alpha=0.5, center=False)", "rloo"])]
    ['grpo', 'tea(alpha=0.5, center=False)', 'rloo']
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    parts = [part for text in texts for part in _split(text) if part.strip()]
    specs = [EstimatorSpec.parse(part) for part in parts]
    if not specs:
        raise BonteaError("no estimator given: name at least one, such as tea")
    labels = [spec.label for spec in specs]
    for label in labels:
        if labels.count(label) > 1:
            raise BonteaError(f"estimator {label!r} is given twice: name each once")
    return specs


def _split(text: str) -> list[str]:
    """The text between the commas that stand outside brackets and quotes.

    >>> _split("a(b=(1, 2), c='x,)'),d")
    ["a(b=(1, 2), c='x,)')", 'd']
    """
    out, depth, quote = [""], 0, ""
    for i, char in enumerate(text):
        if quote:
            quote = "" if char == quote and text[i - 1] != "\\" else quote
        elif char in "'\"":
            quote = char
        else:
            depth += (char in "([{") - (char in ")]}")
        if char == "," and not quote and depth <= 0:
            out.append("")
        else:
            out[-1] += char
    return out


def get_estimator(estimator: str | Callable[..., Array]) -> Callable[..., Array]:
    """The function of an estimator: by its key in `ADVANTAGES`, by `"module:function"`, or itself.

    Raises BonteaError for an unknown key (naming the nearest one) or a module without the function.

    >>> get_estimator("tea").__name__
    'tea'
    """
    if callable(estimator):
        return estimator
    known = _known()
    if estimator in known:
        return known[estimator]
    if isinstance(estimator, str) and ":" in estimator:
        return load_function(estimator, "estimator")
    near = difflib.get_close_matches(str(estimator), known, n=1, cutoff=0.4)
    raise BonteaError(
        f"unknown estimator {estimator!r}"
        + (f"; did you mean {near[0]!r}?" if near else ".")
        + f" Known: {', '.join(known)}; or MODULE:FUNCTION"
    )


def takes_missing(function: Callable[..., Array]) -> bool:
    """Whether an estimator treats NaN as a missing rollout itself: ours do."""
    return getattr(function, "takes_missing", False) or function in _known().values()


@functools.lru_cache(maxsize=256)
def _signature_of(function: Callable[..., Array]) -> tuple[list[str], list[str], bool]:
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some C functions have no signature: take what is given
        return [], [], True
    named = [p for i, p in enumerate(found) if p.kind in _KEYWORD and i > 0]
    required = [p.name for p in named if p.default is inspect.Parameter.empty]
    return [p.name for p in named], required, any(p.kind == p.VAR_KEYWORD for p in found)


def _known() -> dict[str, Callable[..., Array]]:
    from bontea.advantages import ADVANTAGES

    return ADVANTAGES


def _known_name(function: Any) -> str | None:
    return next((name for name, known in _known().items() if known is function), None)


def _name_of(estimator: Any) -> str:
    """`"module:function"` for a callable."""
    while isinstance(estimator, functools.partial):
        estimator = estimator.func
    name = getattr(estimator, "__qualname__", type(estimator).__qualname__)
    return f"{getattr(estimator, '__module__', '?')}:{name}"


def _probe(m: int, asarray: Callable[[Any], Array]) -> Array:
    """A group of zeros and ones (legal for estimators of pass rates, and full of ties) and a
    constant one: what every run meets sooner or later."""
    return asarray(np.stack([np.arange(m) % 2, np.zeros(m)]).astype(float))


def _hashable(value: Any) -> Any:
    """Lists and arrays as tuples: specs are compared, and kept as keys."""
    if is_array_api_obj(value):
        value = np.asarray(value.cpu() if hasattr(value, "cpu") else value).tolist()
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _written(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_written, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value)


def _show(row: Array, most: int = 8) -> str:
    values = [number(float(v), 4) for v in row[:most]]
    return "[" + ", ".join(values) + (", ...]" if row.shape[0] > most else "]")
