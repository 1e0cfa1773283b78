"""Time and memory of every estimator, against a sort of an array of the same shape.

A sort is what an estimator of the upper tail can hardly do without, and it is timed in turn with
the estimator, so that a busy machine slows both: the ratio of the two carries over to other
machines far better than milliseconds do. Two rows show what it is like without the library: a
Python loop over prompts, and the few lines that TRL's GRPO trainer spends on the mean and standard
deviation of each group.
"""

from __future__ import annotations

import importlib.util
import inspect
import tracemalloc
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from bontea._arrays import Array, check_k
from bontea._errors import BonteaError
from bontea.advantages import (
    ADVANTAGES,
    calibrated_expectations,
    get_estimator,
    linear_weights,
)
from bontea.bench.run import Task

N = 128
"""Deployment budget of the estimators that take one. Others: k = M // 4, defaults for the rest."""

Library: TypeAlias = Literal["numpy", "torch"]
LIBRARIES: tuple[Library, ...] = get_args(Library)
BUDGET = 5.0
"""Seconds after which a row is not repeated any more."""

BINARY = ("pass_at_k", "pass_at_n", "inference_aware")
"""Estimators of 0/1 rewards. `max_rl` gets absolute values, the others normal rewards."""

Prepare = Callable[[Array], Callable[[], Any] | None]
"""From rewards `(P, M)` to the call that is timed; None to leave a library out."""


def speed(
    ms: Sequence[int] = (16, 64, 256),
    prompts: int = 4096,
    libraries: Sequence[Library] = LIBRARIES,
    estimators: Iterable[str] | None = None,
    repeats: int = 20,
    device: str = "cpu",
    extra: Mapping[str, Prepare] | None = None,
    progress: Callable[[str], None] | None = None,
    rng: np.random.Generator | int | None = None,
) -> list[dict[str, Any]]:
    """Time estimators on float32 rewards of `prompts` x M: a row for each of them, library and M.

    Parameters
    ----------
    libraries
        Of `"numpy"` and `"torch"`; PyTorch is left out where it is not installed.
    estimators
        Keys of `ADVANTAGES`; all of them by default.
    device
        For PyTorch, such as `"cuda"`. NumPy stays on the CPU.
    extra
        More rows: name to a function that takes the rewards and returns the call to time, or None.
    progress
        Called with a line before each row.
    rng
        Seed or NumPy generator of the rewards.

    Returns
    -------
    Rows with `estimator`, `library`, `device`, `M`, `prompts`, `settings`, and

    - `repeats`: how many there were, fewer than asked for where they would take over 5 seconds;
    - `min_ms`, `median_ms`: of the repeats, after calls that fill the caches of constants;
    - `sort_ms`, `ratio`: the least time of the sorts in between, and `min_ms` over it;
    - `median_ratio`: the median over repeats of estimator over sort;
    - `peak_copies`: the most memory in use at once, the result included, in sizes of the rewards;
      None for PyTorch on the CPU, whose memory is not traced;
    - `cold_ms`: for `linear_tea` and `calibrated_tea`, how long their constants for this M take,
      once in a process. None for others.

    Raises ValueError for an unknown library or estimator, a device that PyTorch does not have, or
    `prompts` or `repeats` below 1; GroupTooSmallError for an M too small for an estimator.

    >>> rows = speed(ms=[16], prompts=8, libraries=["numpy"], estimators=["tea"], repeats=1)
    >>> [(row["estimator"], row["settings"]) for row in rows]
    [('tea', 'n=128'), ('loop over prompts', '')]
    """
    check_k(prompts, "prompts")
    check_k(repeats, "repeats")
    for library in libraries:
        if library not in LIBRARIES:
            raise BonteaError(f"library {library!r} must be one of {', '.join(LIBRARIES)}")
    names = list(ADVANTAGES) if estimators is None else list(estimators)
    functions = {name: get_estimator(name) for name in names}
    _settle_memory()

    rows = []
    for library in libraries:
        if library == "torch" and not has_torch():
            continue
        where = device if library == "torch" else "cpu"
        for m in ms:
            normal = np.random.default_rng(rng).normal(size=(prompts, m)).astype(np.float32)
            kinds = {
                "normal": _to(library, where, normal),
                "positive": _to(library, where, np.abs(normal)),
                "binary": _to(library, where, (normal > 0.5).astype(np.float32)),
            }
            calls: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {}
            for name, function in functions.items():
                params = settings(function, m)
                rewards = kinds[_kind(name)]
                calls[name] = (partial(function, rewards, **params), params)
            others = {"loop over prompts": _loop, "TRL inline": _trl, **(extra or {})}
            for name, prepare in others.items():
                call = prepare(kinds["normal"])
                if call is not None:
                    calls[name] = (call, {})
            sort = partial(_sort, kinds["normal"])
            for name, (call, params) in calls.items():
                if progress is not None:
                    progress(f"{library} {where} M={m} {name}")
                row = {"estimator": name, "library": library, "device": where, "M": m}
                row |= {"prompts": prompts, "settings": _text(params)}
                row |= _time(call, sort, repeats, _synchronise(library, where))
                row["peak_copies"] = _peak(call, library, where, normal.nbytes)
                row["cold_ms"] = _cold(name, m, params)
                rows.append(row)
    return rows


def tasks(*, full: bool, seed: int = 0) -> list[Task]:
    """The table `speed`, a task for each library and M; without `full`, M = 16 and 64."""
    ms, repeats = ((16, 64, 256), 20) if full else ((16, 64), 5)
    return [
        Task(
            "speed",
            f"{library} M={m} repeats={repeats} seed={seed}",
            partial(speed, ms=(m,), libraries=(library,), repeats=repeats, rng=seed),
        )
        for library in LIBRARIES
        if library != "torch" or has_torch()
        for m in ms
    ]


def settings(function: Callable[..., Array], m: int) -> dict[str, Any]:
    """Values for the parameters of an estimator that have to be chosen."""
    values = {"n": N, "k": max(2, m // 4), "rng": 0}
    return {name: values[name] for name in inspect.signature(function).parameters if name in values}


def has_torch() -> bool:
    """Whether PyTorch is installed."""
    return importlib.util.find_spec("torch") is not None


def _settle_memory() -> None:
    """Allocate and free 31 MiB.

    From then on the C library keeps the memory of smaller arrays, as it does in every process that
    has worked for a while, instead of returning it to the system and asking for it again.
    """
    np.ones(31 * 2**17)


def _kind(name: str) -> str:
    return "binary" if name in BINARY else "positive" if name == "max_rl" else "normal"


def _text(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items())


def _to(library: str, device: str, values: np.ndarray) -> Array:
    if library == "numpy":
        return values
    import torch

    try:
        return torch.tensor(values, device=device)
    except (RuntimeError, AssertionError) as error:  # an AssertionError where CUDA is not built in
        raise BonteaError(f"PyTorch cannot use device {device!r} here: {error}") from None


def _sort(rewards: Array) -> Array:
    return np.sort(rewards, axis=-1) if isinstance(rewards, np.ndarray) else rewards.sort(dim=-1)


def _loop(rewards: Array) -> Callable[[], Any] | None:
    """z-scores, a prompt at a time: what vectorising saves."""
    if not isinstance(rewards, np.ndarray):
        return None
    return lambda: np.stack([(r - np.mean(r)) / (np.std(r) + 1e-4) for r in rewards])


def _trl(rewards: Array) -> Callable[[], Any] | None:
    """z-scores of flat rewards in the steps that TRL's GRPO trainer takes."""
    if isinstance(rewards, np.ndarray):
        return None
    m, flat = rewards.shape[-1], rewards.reshape(-1)

    def call() -> Any:
        groups = flat.view(-1, m)
        mean, std = groups.mean(dim=1), groups.std(dim=1)
        return (flat - mean.repeat_interleave(m)) / (std.repeat_interleave(m) + 1e-4)

    return call


def _synchronise(library: str, device: str) -> Callable[[], None]:
    """Waits for a GPU, whose work would otherwise go on after the clock has stopped."""
    if library == "torch" and device.startswith("cuda"):
        import torch

        return partial(torch.cuda.synchronize, device)
    return lambda: None


def _time(
    call: Callable[[], Any], sort: Callable[[], Any], repeats: int, wait: Callable[[], None]
) -> dict[str, float]:
    """Milliseconds of a call and of the sorts in between."""

    def once(function: Callable[[], Any]) -> float:
        wait()
        start = perf_counter()
        function()
        wait()
        return 1000 * (perf_counter() - start)

    begin = perf_counter()
    once(call)
    if perf_counter() - begin < BUDGET:
        once(call)
    once(sort)
    timed: list[tuple[float, float]] = []
    begin = perf_counter()
    while len(timed) < repeats and (not timed or perf_counter() - begin < BUDGET):
        timed.append((once(sort), once(call)))
    pairs = np.array(timed)
    sort_ms, min_ms = pairs.min(axis=0)
    return {
        "repeats": len(timed),
        "median_ms": float(np.median(pairs[:, 1])),
        "min_ms": float(min_ms),
        "sort_ms": float(sort_ms),
        "ratio": float(min_ms / sort_ms),
        "median_ratio": float(np.median(pairs[:, 1] / pairs[:, 0])),
    }


def _peak(call: Callable[[], Any], library: str, device: str, size: int) -> float | None:
    """The most memory that a call has in use at once, in units of `size` bytes."""
    if library == "numpy":
        tracing = tracemalloc.is_tracing()
        tracemalloc.start()  # NumPy reports to it; does nothing when on already
        try:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            call()
            return (tracemalloc.get_traced_memory()[1] - before) / size
        finally:
            if not tracing:
                tracemalloc.stop()
    if not device.startswith("cuda"):
        return None
    import torch

    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    torch.cuda.synchronize(device)
    return (torch.cuda.max_memory_allocated(device) - before) / size


def _cold(name: str, m: int, params: Mapping[str, Any]) -> float | None:
    """Milliseconds to compute the constants of a group size, without the cache."""
    from bontea.tails.normal import tail_size

    k = tail_size(0.25, m)
    start = perf_counter()
    if name == "linear_tea":
        linear_weights.__wrapped__(m, k, params["n"])
    elif name == "calibrated_tea":
        calibrated_expectations.__wrapped__(m, k)
    else:
        return None
    return 1000 * (perf_counter() - start)
