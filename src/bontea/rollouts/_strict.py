"""JSON read strictly: what could be read in two ways is refused."""

from bontea._json import strict_loads

__all__ = ["strict_loads"]
