"""Doctests of `src`: not of the adapters, whose modules import a framework that may be missing.

Their own tests import them, in the environment that `.ci/adapters` makes.
"""

from pathlib import Path

INTEGRATIONS = Path(__file__).parent / "bontea" / "integrations"
collect_ignore = [str(path) for path in INTEGRATIONS.glob("[a-z]*.py")]
