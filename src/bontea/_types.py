"""Names for annotations: what goes into a public function, and what comes out, with axis letters.

    def tea(rewards: Float[ArrayLike, "*P M"], *, n: float, ...) -> Float[Array, "*P M"]

P prompts (any number of leading axes), M rollouts of a prompt (always the last axis), K a grid of
k, B rollouts of a flat batch. A single letter is written with a space before it, as jaxtyping asks.
Shapes are for readers and type checkers: nothing looks at them at run time, and jaxtyping is never
imported then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Shaped

    __all__ = ["Array", "ArrayLike", "Bool", "Float", "Int", "Shaped"]

Array: TypeAlias = Any
"""An array of any library that `array_api_compat` knows; out comes the kind that went in."""

ArrayLike: TypeAlias = Array | Sequence[Any]
"""An array of one of these libraries, or nested lists, in which None is a missing number."""
