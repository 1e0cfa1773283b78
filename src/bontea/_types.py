"""Names for annotations: what goes into a public function, and what comes out, with axis letters.

    def tea(rewards: Float[ArrayLike, "*P M"], *, n: float, ...) -> Float[Array, "*P M"]

P prompts (any number of leading axes), M rollouts of a prompt (always the last axis), K a grid of
k, B rollouts of a flat batch. A single letter is written with a space before it, as jaxtyping asks.
Annotations are for readers and type checkers: nothing looks at them at run time, and modules import
this one under `TYPE_CHECKING` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped

    __all__ = ["Array", "ArrayLike", "Float", "Int", "Shaped"]

Array: TypeAlias = Any
"""An array of the library that the input came from: NumPy, PyTorch, JAX or CuPy."""

ArrayLike: TypeAlias = Array | Sequence[Any]
"""An array of one of these libraries, or nested lists (None is a missing number)."""
