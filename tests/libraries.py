"""The array libraries that tests run on."""

from __future__ import annotations

import numpy as np
import pytest

LIBRARIES = ["numpy", "torch", "jax"]


def make(library: str, values, dtype: str = "float64"):
    """`values` as an array of `library` with the named dtype; skips when it is not installed."""
    values = np.asarray(values)
    if library == "numpy":
        return values.astype(dtype)
    if library == "torch":
        torch = pytest.importorskip("torch")
        return torch.tensor(values).to(getattr(torch, dtype))
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax.numpy.asarray(values).astype(dtype)


def back(array) -> np.ndarray:
    """An array of any library as float64 NumPy."""
    return np.asarray(array.double() if hasattr(array, "double") else array, dtype=np.float64)


def is_a(library: str, array) -> bool:
    """Whether `array` belongs to `library`."""
    return type(array).__module__.split(".")[0] in (library, library + "lib")
