"""Latent variables: continuous, on the whole line, precise in both tails."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np

Function: TypeAlias = Callable[[np.ndarray], np.ndarray]

GUMBEL_RANGE = (-6.0, 80.0)
"""Where latents are looked at, as `s = -log(-log F(x))`: F from 1e-175, 1 - F down to 1e-35. The
maximum of N has `s = log N` plus a few."""


@dataclass(frozen=True, eq=False)
class Latent:
    """A continuous variable on the whole real line. Functions of arrays."""

    cdf: Function
    sf: Function
    """`1 - cdf`, precise where it is small."""
    ppf: Function
    """Quantile, the inverse of `cdf`."""
    isf: Function
    """The inverse of `sf`."""
    pdf: Function
    psi: Function
    """`-d log pdf / dx`, the score of the location."""
    draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

    def log_cdf(self, x: Any) -> np.ndarray:
        """`log F(x)`, precise in both tails."""
        p, q = self.cdf(x), self.sf(x)
        with np.errstate(divide="ignore"):
            return np.where(p < 0.5, np.log(p), np.log1p(-np.minimum(q, 0.5)))

    def log_sf(self, x: Any) -> np.ndarray:
        """`log(1 - F(x))`, precise in both tails."""
        p, q = self.cdf(x), self.sf(x)
        with np.errstate(divide="ignore"):
            return np.where(q < 0.5, np.log(q), np.log1p(-np.minimum(p, 0.5)))

    def quantile(self, p: Any, q: Any) -> np.ndarray:
        """The x with `F(x) = p` and `1 - F(x) = q`, from the smaller of the two."""
        p, q = np.asarray(p, dtype=float), np.asarray(q, dtype=float)
        low = p < 0.5
        return np.where(low, self.ppf(np.where(low, p, 0.5)), self.isf(np.where(low, 0.5, q)))

    def at(self, s: Any) -> np.ndarray:
        """The x with `F(x) = exp(-exp(-s))`."""
        t = np.exp(-np.asarray(s, dtype=float))
        return self.quantile(np.exp(-t), -np.expm1(-t))

    def to_s(self, x: Any) -> np.ndarray:
        """`s = -log(-log F(x))`, the inverse of `at`."""
        with np.errstate(divide="ignore"):
            return -np.log(-self.log_cdf(x))

    def scores(self, x: Any) -> np.ndarray:
        """`(S_location, S_log_scale)`, stacked on a first axis of 2."""
        psi = self.psi(x)
        return np.stack([psi, x * psi - 1])


@lru_cache(maxsize=1)
def normal_latent() -> Latent:
    """The standard normal."""
    from scipy.special import ndtr, ndtri

    return Latent(
        cdf=ndtr,
        sf=lambda x: ndtr(np.negative(x)),
        ppf=ndtri,
        isf=lambda q: -ndtri(q),
        pdf=normal_pdf,
        psi=lambda x: np.asarray(x, dtype=float),
        draw=lambda rng, size: rng.standard_normal(size),
    )


def normal_pdf(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.square(x) / 2) / math.sqrt(2 * math.pi)


def distribution_latent(dist: Any) -> Latent:
    """The latent of a frozen SciPy distribution on the whole line."""
    name, args = getattr(dist.dist, "name", ""), dist.args
    if name == "norm":
        return normal_latent()
    closed: dict[str, Function] = {
        "logistic": lambda x: np.tanh(np.asarray(x) / 2),
        "gumbel_r": lambda x: -np.expm1(-np.asarray(x)),
        "t": lambda x: (args[0] + 1) * x / (args[0] + np.square(x)),
    }
    return Latent(
        cdf=dist.cdf,
        sf=dist.sf,
        ppf=dist.ppf,
        isf=dist.isf,
        pdf=dist.pdf,
        psi=closed.get(name) or partial(_numeric_psi, dist.logpdf, _spread(dist) / 100),
        draw=lambda rng, size: dist.rvs(size=size, random_state=rng),
    )


def _spread(dist: Any) -> float:
    return float(dist.ppf(0.75) - dist.ppf(0.25))


def _numeric_psi(log_pdf: Function, step: float, x: np.ndarray) -> np.ndarray:
    """Central difference of order 6."""
    x = np.asarray(x, dtype=float)
    weights = {1: 45 / 60, 2: -9 / 60, 3: 1 / 60}
    parts = [w * (log_pdf(x - k * step) - log_pdf(x + k * step)) for k, w in weights.items()]
    return sum(parts[1:], parts[0]) / step


def standardise(dist: Any) -> tuple[float, float, Any]:
    """Location, scale, and the same distribution at location 0 and scale 1."""
    count = dist.dist.numargs
    shapes = list(dist.args[:count])
    names = [part.strip() for part in (dist.dist.shapes or "").split(",")]
    shapes += [dist.kwds[part] for part in names[len(shapes) :] if part in dist.kwds]
    rest = dict(zip(("loc", "scale"), dist.args[count:], strict=False)) | dist.kwds
    loc, scale = float(rest.get("loc", 0.0)), float(rest.get("scale", 1.0))
    return loc, scale, dist.dist(*shapes)


def _moved(psi: Function, loc: float, scale: float, x: np.ndarray) -> np.ndarray:
    return psi((x - loc) / scale) / scale


def mixture_latent(parts: Sequence[Any], w: np.ndarray) -> Latent:
    """The mixture of frozen SciPy distributions on the whole line, in their own units."""
    psis = []
    for part in parts:
        loc, scale, standard = standardise(part)
        standard_psi = distribution_latent(standard).psi
        psis.append(partial(_moved, standard_psi, loc, scale))

    def total(method: str, x: np.ndarray) -> np.ndarray:
        values = [wk * getattr(part, method)(x) for wk, part in zip(w, parts, strict=True)]
        return np.sum(values, axis=0)

    def inverse(method: str, of: str, p: np.ndarray) -> np.ndarray:
        sign = 1.0 if of == "cdf" else -1.0
        ends = np.stack([getattr(part, method)(p) for part in parts])
        low, high = ends.min(0), ends.max(0)
        for _ in range(100):
            middle = (low + high) / 2
            below = sign * (total(of, middle) - p) <= 0
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return low

    def psi(x: np.ndarray) -> np.ndarray:
        log_f = np.stack([np.log(wk) + p.logpdf(x) for wk, p in zip(w, parts, strict=True)])
        share = np.exp(log_f - log_f.max(0))
        return (share * np.stack([p(x) for p in psis])).sum(0) / share.sum(0)

    def draw(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        which = rng.choice(len(parts), size=size, p=w / w.sum())
        draws = np.stack([part.rvs(size=size, random_state=rng) for part in parts])
        return np.take_along_axis(draws, which[None], axis=0)[0]

    return Latent(
        cdf=partial(total, "cdf"),
        sf=partial(total, "sf"),
        ppf=partial(inverse, "ppf", "cdf"),
        isf=partial(inverse, "isf", "sf"),
        pdf=partial(total, "pdf"),
        psi=psi,
        draw=draw,
    )
