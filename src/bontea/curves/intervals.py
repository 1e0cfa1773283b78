"""Confidence intervals of means over prompts, stratified or not.

Prompts are the independent unit. With strata (kinds of prompts in fixed shares) only the spread
inside a stratum counts, and prompts are resampled inside their stratum; the estimate stays the mean
over all prompts.

    se^2 = sum_h n_h / (n_h - 1) sum_{p in h} (v_p - mean_h)^2 / P^2,   h strata of n_h prompts

- `"studentised"`: quantiles of `(mean* - mean) / se*` over resamples. Where more than 0.2 % of the
  resamples have no spread (most prompts agree, as with a pass rate near 0 or 1) their `se*` says
  nothing, and it is BCa.
- `"bca"`: quantiles of `mean*`, corrected for bias and skewness (Efron 1987), at levels for
  Student's t, as the normal ones are too narrow for few prompts.
- `"percentile"`: quantiles of `mean*`, at levels for Student's t.
- `"jackknife"`: mean and standard error over prompts, Student's t with Welch's degrees of freedom.
  No resampling, hence fast, and from 2 prompts on.

Which holds the truth how often is measured (benchmarks/experiments/coverage): the first is best for
a curve, whose values are skewed, the last for differences, which are symmetric with long tails.

A bootstrap knows a spread that is `(n_h - 1) / n_h` too small; deviations are scaled up by the root
of that. One resample is a row of counts, so that a batch of them is one matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from bontea._errors import BonteaError
from bontea._json import Result
from bontea._numbers import number
from bontea.rollouts.chat_text import quoted

if TYPE_CHECKING:
    from bontea._types import Float


Method: TypeAlias = Literal["studentised", "bca", "percentile", "jackknife"]
METHODS: tuple[Method, ...] = get_args(Method)
CURVE_METHOD: Method = "studentised"
PAIRED_METHOD: Method = "jackknife"
LEAST_PROMPTS = 5
"""Of a bootstrap. With fewer, too many resamples repeat a single prompt."""
MOST_FLAT = 0.002
"""Share of resamples without spread up to which they are studentised."""


@dataclass(frozen=True)
class Interval(Result):
    """Limits and standard error of K means; NaN where the prompts cannot give them."""

    low: Float[np.ndarray, " K"]
    high: Float[np.ndarray, " K"]
    standard_error: Float[np.ndarray, " K"]
    message: str
    """Why a limit is missing, or what was done about the strata; empty when there is nothing."""


def mean_interval(
    values: Float[np.ndarray, "P K"],
    strata: Sequence[Any] | np.ndarray | None = None,
    *,
    method: Method = CURVE_METHOD,
    confidence_level: float = 0.95,
    resamples: int = 2000,
    batch: int | None = 200,
    rng: np.random.Generator | int | None = None,
    bounds: tuple[Any, Any] = (-np.inf, np.inf),
    seen: tuple[Any, Any] = (-np.inf, np.inf),
    columns: Sequence[str] | None = None,
) -> Interval:
    """Interval of the mean over the P rows of `values` `(P, K)`, each column by itself.

    Parameters
    ----------
    strata
        `(P,)` labels. Strata of a single prompt say nothing about their spread; they are treated
        as one stratum (a lone one joins the smallest other), so the interval is rather too wide.
    resamples, batch
        How many resamples, and how many are held in memory at once; `batch` changes nothing.
    bounds
        What the means lie between for certain, numbers or `(K,)`; limits are cut off there.
    seen
        The lowest and the highest value that there could be in this sample, numbers or `(K,)`. A
        limit goes beyond them only as far as Student's t does, which is for few prompts. Where one
        prompt lies far from the others, the quantiles of `(mean* - mean) / se*` have no upper end:
        resamples without that prompt have hardly a spread.
    columns
        Names of the columns, for the message.

    Limits and standard error are NaN where all prompts agree or there is one prompt: a width of 0
    would claim what nobody knows. A bootstrap of fewer than 5 prompts has a standard error and no
    limits.

    Raises ValueError for an unknown method, a level outside (0, 1), or strata of another length.
    """
    from scipy.stats import t

    _check(method, confidence_level, resamples, batch)
    prompts, width = values.shape
    names = list(columns) if columns is not None else [f"column {i}" for i in range(width)]
    codes, notes = _strata(strata, prompts)
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    mean = values.mean(0)
    low, high, error = (np.full(width, np.nan) for _ in range(3))
    if prompts < 2:
        return Interval(low, high, error, "one prompt has no interval: use more prompts")

    centred = _centred(values[order], sizes)
    same = (np.abs(centred) <= 1e-12 * np.abs(values).max(0)).all(0)
    if same.any():
        kind = "all prompts" if len(sizes) == 1 else "all prompts of a stratum"
        notes.append(
            f"{kind} have the same value at {_listed(names, same)}, which leaves nothing to take "
            "an interval from: use more, or other, prompts"
        )
    centred = centred[:, ~same]
    # Fourth powers of chances such as 1e-90 are nothing to a float; a power of 2 changes no digit.
    scale = np.exp2(np.floor(np.log2(np.abs(centred).max(0, initial=0))))
    centred = centred / scale
    se, freedom = _standard_error(centred, sizes)
    error[~same] = se * scale
    level = (1 + confidence_level) / 2
    by_spread = np.stack([-se, se]) * t.ppf(level, freedom)
    if method == "jackknife":
        limits = by_spread
    elif prompts < LEAST_PROMPTS:
        notes.append(
            f"{prompts} prompts are too few to resample for an interval, at least {LEAST_PROMPTS} "
            'are needed: use more, or --method jackknife (in Python method="jackknife"), which '
            "assumes that their mean is normally distributed"
        )
        limits = np.full((2, len(se)), np.nan)
    else:
        draws = _resample(sizes, resamples, batch or resamples, np.random.default_rng(rng))
        means, scaled_means, errors = _resampled(draws, centred, sizes)
        scaled = centred * np.repeat(np.sqrt(sizes / (sizes - 1)), sizes)[:, None]
        limits = _quantiles(scaled_means, scaled, freedom, level, bca=method != "percentile")
        if method == "studentised":
            by_t, flat = _studentised(means, errors, se, level)
            limits = np.where(flat, limits, by_t)
    lowest, highest = (np.broadcast_to(end, width)[~same] for end in seen)
    by_t_low, by_t_high = mean[~same] + by_spread * scale
    found_low, found_high = mean[~same] + limits * scale
    low[~same] = np.maximum(found_low, np.minimum(lowest, by_t_low))
    high[~same] = np.minimum(found_high, np.maximum(highest, by_t_high))
    low, high = np.maximum(low, bounds[0]), np.minimum(high, bounds[1])
    return Interval(low, high, error, "; ".join(notes))


def error_of_mean(values: np.ndarray, strata: Any) -> tuple[np.ndarray, np.ndarray]:
    """Standard error of the mean over the P rows of `values` `(P, K)` inside strata, `(K,)`.

    And its degrees of freedom, as for `method="jackknife"`; P is at least 2.
    """
    return _standard_error(*centred_in_strata(values, strata))


def centred_in_strata(values: np.ndarray, strata: Any) -> tuple[np.ndarray, np.ndarray]:
    """Values `(P, K)` by stratum, minus the mean of theirs, and the sizes of the strata."""
    codes, _ = _strata(strata, len(values))
    sizes = np.bincount(codes)
    return _centred(values[np.argsort(codes, kind="stable")], sizes), sizes


def resampled_means(
    centred: np.ndarray,
    sizes: np.ndarray,
    resamples: int,
    batch: int | None,
    rng: np.random.Generator | int | None,
) -> np.ndarray:
    """`mean* - mean` of each resample, `(B, K)`, with deviations scaled up."""
    draws = _resample(sizes, resamples, batch or resamples, np.random.default_rng(rng))
    return _resampled(draws, centred, sizes)[1]


def _check(method: str, level: float, resamples: int, batch: int | None) -> None:
    if method not in METHODS:
        raise BonteaError(f"method={method!r} is not known: use one of {', '.join(METHODS)}")
    if not 0 < level < 1:
        raise BonteaError(f"confidence_level={level!r} must be between 0 and 1, such as 0.95")
    least = int(np.ceil(2 / (1 - level) - 1e-6))
    if method != "jackknife" and resamples < least:
        raise BonteaError(
            f"resamples={resamples!r} cannot show a {number(level, 4)} interval: use at least "
            f"{least}, "
            f'better {max(2000, 10 * least)}, or method="jackknife"'
        )
    if batch is not None and batch < 1:
        raise BonteaError(f"batch={batch!r} must be at least 1, or None for all at once")


def _strata(strata: Any, prompts: int) -> tuple[np.ndarray, list[str]]:
    """Stratum of each prompt, numbered from 0 on, each of at least 2 prompts if there are two."""
    if strata is None:
        return np.zeros(prompts, dtype=int), []
    labels = np.asarray(strata)
    if labels.shape != (prompts,):
        raise BonteaError(
            f"strata of shape {labels.shape} must be ({prompts},): one label for each prompt"
        )
    found, codes, count = np.unique(labels, return_inverse=True, return_counts=True)
    alone = np.flatnonzero(count == 1)
    if len(alone) == 0 or len(found) == 1:
        return codes, []
    host = alone[0]
    if len(alone) == 1:
        host = min((h for h in range(len(found)) if h != alone[0]), key=lambda h: count[h])
        lone, other = quoted(str(found[alone[0]])), quoted(str(found[host]))
        note = f"stratum {lone} has a single prompt and joins {other}"
    else:
        note = f"{len(alone)} strata of a single prompt are treated as one"
    codes = np.where(np.isin(codes, alone), host, codes)
    return np.unique(codes, return_inverse=True)[1], [note]


def _listed(names: list[str], which: np.ndarray) -> str:
    chosen = list(dict.fromkeys(name for name, w in zip(names, which, strict=True) if w))
    return ", ".join(chosen[:4]) + (f" and {len(chosen) - 4} more" if len(chosen) > 4 else "")


def _parts(sizes: np.ndarray) -> Iterator[tuple[int, slice]]:
    """Size and rows of each stratum."""
    stop = 0
    for size in sizes.tolist():
        start, stop = stop, stop + size
        yield size, slice(start, stop)


def _centred(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Values minus the mean of their stratum, whose prompts are next to each other."""
    out = np.empty_like(values)
    for _, rows in _parts(sizes):
        part = values[rows]
        # Relative to the first: prompts that agree exactly then have exactly no spread.
        out[rows] = part - part[0]
        out[rows] -= out[rows].mean(0)
    return out


def _standard_error(centred: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the mean over prompts, and its degrees of freedom.

    Satterthwaite's, `(sum v_h)^2 / sum v_h^2 / f_h`, is far too low for small strata, where `v_h^2`
    is on average `1 + 2 / f_h` times too large: without that factor it is f for a single stratum,
    and the right number on average for pairs (Welch 1947).
    """
    parts = np.stack(
        [(centred[rows] ** 2).sum(0) * size / (size - 1) for size, rows in _parts(sizes)]
    )
    variance = parts.sum(0)
    freedom = variance**2 / (parts**2 / (sizes + 1)[:, None]).sum(0) - 2
    return np.sqrt(variance) / len(centred), freedom


def _resample(
    sizes: np.ndarray, resamples: int, batch: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """`(B, P)` counts of each prompt in B resamples inside strata, a batch at a time."""
    prompts = int(sizes.sum())
    size = np.repeat(sizes, sizes)
    start = np.repeat(np.cumsum(sizes) - sizes, sizes)
    for done in range(0, resamples, batch):
        rows = min(batch, resamples - done)
        drawn = start + (rng.random((rows, prompts)) * size).astype(np.int64)
        drawn += np.arange(rows)[:, None] * prompts
        yield np.bincount(drawn.ravel(), minlength=rows * prompts).reshape(rows, -1).astype(float)


def _resampled(
    draws: Iterator[np.ndarray], centred: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each resample `(B, K)`: mean, the same with deviations scaled up, and standard error."""
    squares = centred**2
    means, scaled, errors = [], [], []
    for counts in draws:
        total, wide, variance = np.zeros((3, len(counts), centred.shape[1]))
        for size, rows in _parts(sizes):
            part = counts[:, rows] @ centred[rows]
            second = counts[:, rows] @ squares[rows]
            spread = second - part**2 / size
            spread[spread < 1e-12 * second] = 0  # rounding
            total += part
            wide += part * np.sqrt(size / (size - 1))
            variance += spread * size / (size - 1)
        means.append(total / len(centred))
        scaled.append(wide / len(centred))
        errors.append(np.sqrt(variance) / len(centred))
    return np.concatenate(means), np.concatenate(scaled), np.concatenate(errors)


def _studentised(
    means: np.ndarray, errors: np.ndarray, se: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """`- se` times the upper and lower quantile of `t* = (mean* - mean) / se*`, `(2, K)`.

    And in which columns too many resamples have no spread for that.
    """
    flat = errors == 0
    t = means / np.where(flat, 1, errors)
    levels = np.broadcast_to([[level], [1 - level]], (2, len(se)))
    return -se * _quantile(np.sort(t, axis=0), levels), flat.mean(0) > MOST_FLAT


def _quantiles(
    means: np.ndarray, scaled: np.ndarray, freedom: np.ndarray, level: float, *, bca: bool
) -> np.ndarray:
    """Quantiles of `mean* - mean`, `(2, K)`; `scaled` are the deviations of the prompts.

    BCa: at `Phi(z0 + (z0 + z) / (1 - a (z0 + z)))`, z0 the normal quantile of the share of
    resamples below the estimate, a the acceleration `sum d^3 / 6 (sum d^2)^1.5`.
    """
    from scipy.stats import norm, t

    z = np.stack([-t.ppf(level, freedom), t.ppf(level, freedom)])
    levels = norm.cdf(z)
    if bca:
        rounding = 1e-12 * np.abs(scaled).max(0)
        below = ((means < -rounding).mean(0) + (means <= rounding).mean(0)) / 2
        acceleration = (scaled**3).sum(0) / (scaled**2).sum(0) ** 1.5 / 6
        shifted = norm.ppf(below) + z
        # Beyond 1 the expansion has broken down, and the limit is the last resample.
        room = np.maximum(1 - acceleration * shifted, 1e-9)
        levels = norm.cdf(norm.ppf(below) + shifted / room)
    return _quantile(np.sort(means, axis=0), levels)


def _quantile(ordered: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Linear quantiles of sorted columns `(B, K)`, at levels `(L, K)` of their own."""
    last = len(ordered) - 1
    at = np.nan_to_num(np.clip(levels, 0, 1)) * last
    lower = np.minimum(np.floor(at).astype(int), last - 1)
    share = at - lower
    low = np.take_along_axis(ordered, lower, axis=0)
    high = np.take_along_axis(ordered, lower + 1, axis=0)
    with np.errstate(invalid="ignore"):
        out = np.where(share > 0, low * (1 - share) + high * share, low)
    return np.where(np.isnan(levels), np.nan, out)
